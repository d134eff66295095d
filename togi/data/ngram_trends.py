"""Nested n-grams that move together are one trend: "language model" in "large language model"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from togi.stats.arrays import Floats

NESTED = 0.5  # share of an n-gram's documents from which on a longer one is the same trend


def trends(
    names: Sequence[str], documents: np.ndarray, rose: np.ndarray, weight: Floats
) -> np.ndarray:
    """Fold nested n-grams that move together into one trend.

    A longer n-gram's documents are a part of a shorter one's that stands inside it, so their
    Jaccard index is the ratio of the two counts, exactly. Where it is at least one half, on the
    side where the shorter one is more frequent, and both rose or both fell, they are one.

    Args:
        names: words joined by single spaces.
        documents: int64[m, 2], documents of both corpora.
        rose: bool[m].
        weight: (m,) of those of one trend the one of the greatest weight stands for it.

    Returns:
        int64[m], the place of the n-gram that stands for each one's trend.

    >>> names = ["large language", "large language models", "language models"]
    >>> docs = np.array([[8, 58], [6, 50], [34, 112]])
    >>> trends(names, docs, np.ones(3, bool), np.array([4.5, 4.1, 4.7])).tolist()
    [0, 0, 2]
    """
    place = {name: i for i, name in enumerate(names)}
    root = list(range(len(names)))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for i, name in enumerate(names):
        for inner in _inside(name):
            j = place.get(inner)
            if j is not None and rose[i] == rose[j]:
                side = int(rose[j])
                if documents[i, side] >= NESTED * documents[j, side] > 0:
                    root[find(i)] = find(j)
    best: dict[int, int] = {}
    for i in range(len(names)):
        top = find(i)
        if top not in best or weight[i] > weight[best[top]]:
            best[top] = i
    return np.array([best[find(i)] for i in range(len(names))], np.int64)


def _inside(name: str) -> Iterator[str]:
    """Yield the shorter n-grams that stand in one.

    >>> list(_inside("a b c"))
    ['a', 'b', 'c', 'a b', 'b c']
    """
    words = name.split(" ")
    for size in range(1, len(words)):
        for start in range(len(words) - size + 1):
            yield " ".join(words[start : start + size])
