"""Two copies of a token tree side by side, so that one pass answers for two sets of weights."""

from __future__ import annotations

import numpy as np

from togi.lm.tree import Piece, Span, TokenTree


def twice(tree: TokenTree) -> TokenTree:
    """Return two copies of a tree side by side in one, stems included; neither sees the other.

    The first half of the new nodes, and of the paths, is the first copy's. So one forward pass
    answers for two sets of weights, where each layer applies its own to its half of the rows.

    >>> from togi.lm.tree import build
    >>> both = twice(build([(1, 2, 3)], stem=(1,)))
    >>> both.tokens.tolist(), both.positions.tolist(), both.stem
    ([2, 3, 2, 3], [1, 2, 1, 2], 2)
    >>> both.nodes(0).tolist(), both.nodes(1).tolist()
    ([0, 2, 3], [1, 4, 5])
    """
    stem, new = tree.stem, len(tree)

    def moved(span: Span, copy: int) -> list[Span]:
        low, high = copy * stem, stem + copy * new
        halves = [
            Span(span.start + low, min(span.end, stem) + low),
            Span(max(span.start, stem) + high, span.end + high),
        ]
        return [half for half in halves if half.start < half.end]

    pieces: list[Piece] = []
    paths: list[tuple[Span, ...]] = []
    for copy in (0, 1):
        for piece in tree.pieces:
            above = tuple(half for span in piece.above for half in moved(span, copy))
            shift = stem + copy * new
            pieces.append(Piece(piece.start + shift, piece.end + shift, above))
        for path in tree.paths:
            paths.append(tuple(half for span in path for half in moved(span, copy)))
    return TokenTree(
        tokens=np.concatenate([tree.tokens, tree.tokens]),
        positions=np.concatenate([tree.positions, tree.positions]),
        stem=2 * stem,
        pieces=tuple(pieces),
        paths=tuple(paths),
    )
