"""The token tree: each distinct prefix stands once, branches follow it.

Sequences are laid out in lexicographic order, so that a sequence adds only the tokens that its
predecessor does not share with it. Node `i` of the tree is row `i` of the model's input; a node
sees its ancestors and itself and nothing else. A *stem* is a shared beginning whose keys and
values an earlier forward pass has left behind: its nodes come first and are not computed again.

    ids   a b c      a b d e      a f        tree  a b c d e f
                                             new   a b c | d e | f      runs
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LONGEST_PIECE = 256
"Queries of one attention block at most: shorter saves work above the diagonal."
BLOCK_OVERHEAD = 3000
"Query-key pairs that cost as much as one more block (measured on lists of choices and on rows)."


@dataclass(frozen=True, slots=True)
class Span:
    """Contiguous nodes [start, end) on one path, so that a path is a short list of spans."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Contiguous new nodes that follow each other, after the ancestors in `above`."""

    start: int
    end: int
    above: tuple[Span, ...]

    @property
    def depth(self) -> int:
        """Number of ancestors of the first node."""
        return sum(s.end - s.start for s in self.above)

    @property
    def pairs(self) -> int:
        """Query-key products of this piece alone."""
        n = self.end - self.start
        return n * (self.depth + n)


@dataclass(frozen=True, slots=True)
class Block:
    """What one attention product computes: contiguous queries, gathered keys, and their mask.

    Attributes:
        start, end: the queries' rows, counted without the stem.
        keys: spans of nodes (stem included) that some of the queries see; the last is their own.
        mask: [queries, keys] bool, True where seen; None where every pair is seen.
    """

    start: int
    end: int
    keys: tuple[Span, ...]
    mask: NDArray[np.bool_] | None

    @property
    def n_keys(self) -> int:
        """Number of keys."""
        return sum(s.end - s.start for s in self.keys)


@dataclass(frozen=True, slots=True)
class TokenTree:
    """Sequences packed into one prefix tree.

    Attributes:
        tokens: [T] token ids of the new nodes.
        positions: [T] position ids, equal to the depth below the root.
        stem: number of nodes whose keys and values are given.
        pieces: the new nodes as runs with their ancestors.
        paths: for each sequence, in the order given, its nodes as spans.
    """

    tokens: NDArray[np.int64]
    positions: NDArray[np.int64]
    stem: int
    pieces: tuple[Piece, ...]
    paths: tuple[tuple[Span, ...], ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def nodes(self, index: int, start: int = 0, end: int | None = None) -> NDArray[np.int64]:
        """Return the nodes of a sequence's tokens [start, end), stem nodes first."""
        path = np.concatenate([np.arange(s.start, s.end) for s in self.paths[index]])
        return path[start:end]

    def blocks(self) -> list[Block]:
        """Return the attention blocks: neighbouring pieces joined where that saves time."""
        return [_block(group, self.stem) for group in _groups(self.pieces)]

    def dense_mask(self) -> NDArray[np.bool_]:
        """Return the whole mask [T, stem + T]; for devices that want one product, and for tests.

        >>> tree = build([(1, 2, 3), (1, 2, 4)])
        >>> tree.dense_mask().astype(int).tolist()
        [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1]]
        """
        mask = np.zeros((len(self), self.stem + len(self)), dtype=bool)
        for piece in self.pieces:
            rows = slice(piece.start - self.stem, piece.end - self.stem)
            for span in piece.above:
                mask[rows, span.start : span.end] = True
            n = piece.end - piece.start
            mask[rows, piece.start : piece.end] = np.tri(n, dtype=bool)
        return mask


def shared_length(a: NDArray[np.int64], b: NDArray[np.int64]) -> int:
    """Return the number of leading elements that two arrays share.

    >>> shared_length(np.array([1, 2, 3]), np.array([1, 2, 4, 5]))
    2
    """
    n = min(len(a), len(b))
    differ = np.flatnonzero(a[:n] != b[:n])
    return int(differ[0]) if len(differ) else n


def lexicographic(sequences: Sequence[Sequence[int]]) -> list[int]:
    """Return the order of the sequences in which shared beginnings stand together."""
    return sorted(range(len(sequences)), key=lambda i: tuple(sequences[i]))


def build(
    sequences: Sequence[Sequence[int]], stem: Sequence[int] = (), order: Sequence[int] | None = None
) -> TokenTree:
    """Pack sequences of token ids into one tree.

    Args:
        sequences: token ids, each at least one token; equal sequences share all of their nodes.
        stem: ids of the nodes already computed; at least one token of each sequence is new only
            where it leaves the stem, so a sequence may also lie wholly within it.
        order: a lexicographic order of the sequences, if it is known.

    >>> tree = build([(1, 2, 3), (1, 4), (1, 2, 5, 6)])
    >>> tree.tokens.tolist(), tree.positions.tolist()
    ([1, 2, 3, 5, 6, 4], [0, 1, 2, 2, 3, 1])
    >>> tree.nodes(2).tolist()
    [0, 1, 3, 4]
    """
    order = lexicographic(sequences) if order is None else order
    previous = np.asarray(stem, dtype=np.int64)
    path: list[Span] = [Span(0, len(previous))] if len(previous) else []
    pieces: list[Piece] = []
    paths: list[tuple[Span, ...]] = [()] * len(sequences)
    tokens: list[NDArray[np.int64]] = []
    positions: list[NDArray[np.int64]] = []
    count = len(previous)
    for index in order:
        ids = np.asarray(sequences[index], dtype=np.int64)
        shared = shared_length(previous, ids)
        path = _cut(path, shared)
        new = len(ids) - shared
        if new:
            pieces.extend(_pieces(count, count + new, tuple(path)))
            path = _joined(path, Span(count, count + new))
            tokens.append(ids[shared:])
            positions.append(np.arange(shared, len(ids)))
            count += new
        paths[index] = tuple(path)
        previous = ids
    none = np.zeros(0, dtype=np.int64)
    return TokenTree(
        tokens=np.concatenate([none, *tokens]),
        positions=np.concatenate([none, *positions]),
        stem=len(stem),
        pieces=tuple(pieces),
        paths=tuple(paths),
    )


def packs(
    sequences: Sequence[Sequence[int]], budget: int, *, carry: bool
) -> Iterator[tuple[list[int], int]]:
    """Split sequences into packs of at most `budget` new tokens, shared beginnings together.

    Args:
        sequences: token ids.
        budget: new tokens in one pack; a longer sequence gets a pack of its own.
        carry: the beginning that a pack shares with the one before is its stem and costs nothing.

    Yields:
        indices of the sequences in lexicographic order, and the length of the beginning that
        the first of them shares with the last of the pack before (0 without `carry`).
    """
    order = lexicographic(sequences)
    pack: list[int] = []
    previous = np.zeros(0, dtype=np.int64)
    used = stem = 0
    for index in order:
        ids = np.asarray(sequences[index], dtype=np.int64)
        shared = shared_length(previous, ids)
        new = len(ids) - shared
        if pack and used + new > budget:
            yield pack, stem
            pack, used = [], 0
            stem = shared if carry else 0
            new = len(ids) - stem
        pack.append(index)
        used += new
        previous = ids
    if pack:
        yield pack, stem


def _cut(path: list[Span], depth: int) -> list[Span]:
    kept: list[Span] = []
    for span in path:
        if depth <= 0:
            break
        kept.append(Span(span.start, min(span.end, span.start + depth)))
        depth -= span.end - span.start
    return kept


def _joined(path: list[Span], span: Span) -> list[Span]:
    if path and path[-1].end == span.start:
        return [*path[:-1], Span(path[-1].start, span.end)]
    return [*path, span]


def _pieces(start: int, end: int, above: tuple[Span, ...]) -> Iterator[Piece]:
    for first in range(start, end, LONGEST_PIECE):
        before = _joined(list(above), Span(start, first)) if first > start else list(above)
        yield Piece(first, min(first + LONGEST_PIECE, end), tuple(before))


def _groups(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Join neighbours while one larger product costs less than several small ones."""
    group: list[Piece] = []
    apart = 0
    for piece in pieces:
        if group:
            rows = piece.end - group[0].start
            together = rows * (group[0].depth + rows)
            costly = together > apart + piece.pairs + BLOCK_OVERHEAD
            if costly or _other_stem(group[0], piece):
                yield group
                group, apart = [], 0
        group.append(piece)
        apart = apart + piece.pairs + (BLOCK_OVERHEAD if len(group) > 1 else 0)
    if group:
        yield group


def _other_stem(first: Piece, piece: Piece) -> bool:
    """Whether a piece hangs on another stem than the first of a group, as in a tree of twins."""
    if not first.above or not piece.above:
        return False
    root = piece.above[0].start
    return root < first.start and root != first.above[0].start


def _block(group: Sequence[Piece], stem: int) -> Block:
    """Build one block; the nodes above a later piece lie above the first one or within it."""
    start, end = group[0].start, group[-1].end
    outer, rows = group[0].above, end - start
    depth = group[0].depth
    mask = np.zeros((rows, depth + rows), dtype=bool)
    for piece in group:
        mine = slice(piece.start - start, piece.end - start)
        inside = 0
        for span in piece.above:
            low, high = max(span.start, start), span.end
            if low < high:
                mask[mine, depth + low - start : depth + high - start] = True
                inside += high - low
        mask[mine, : piece.depth - inside] = True
        n = piece.end - piece.start
        mask[mine, depth + piece.start - start : depth + piece.end - start] = np.tri(n, dtype=bool)
    keys = (*outer, Span(start, end))
    whole = None if mask.all() else mask
    return Block(start - stem, end - stem, keys, whole)
