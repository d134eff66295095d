"""Nested n-grams that move together are one trend: "language model" in "large language model"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from togi.stats.arrays import Floats

NESTED = 0.5  # share of an n-gram's documents from which on a longer one is the same trend
Z = 1.96  # a share that changed by less than so many standard errors has not changed


def trends(
    names: Sequence[str], documents: np.ndarray, z: Floats, significant: np.ndarray
) -> np.ndarray:
    """Fold nested n-grams that move in the same direction into one trend.

    The documents of a longer n-gram are a part of those of a shorter one that stands inside it.
    So the Jaccard index of both is the ratio of their counts, exactly, and two rules need nothing
    but counts. The longer and the shorter one are one trend where the index is at least one half
    on the side to which they moved. And the longer one belongs to the shorter one's trend where
    that is significant and of the greater z, and the longer one adds nothing to it: its share
    among the shorter one's documents is the same on both sides.

    Args:
        names: words joined by single spaces.
        documents: int64[m, 2], documents of both corpora.
        z: (m,) positive for those that rose; of a trend the one of the greatest |z| stands for it.
        significant: bool[m].

    Returns:
        int64[m], the place of the n-gram that stands for each one's trend.

    "for large language" adds nothing to "large language", which is in most titles with it:

    >>> names = ["large language", "large language models", "language models", "for large language"]
    >>> docs = np.array([[8, 58], [6, 50], [34, 112], [2, 18]])
    >>> trends(names, docs, np.array([4.5, 4.1, 4.7, 2.2]), np.array([True] * 4)).tolist()
    [0, 0, 2, 0]
    """
    place = {name: i for i, name in enumerate(names)}
    pairs = [(i, place[inner]) for i, name in enumerate(names) for inner in _inside(name)
             if inner in place]  # fmt: skip
    if not pairs:
        return np.arange(len(names))
    longer, shorter = np.array(pairs).T
    together = (z[longer] > 0) == (z[shorter] > 0)
    longer, shorter = longer[together], shorter[together]
    side = (z[longer] > 0).astype(np.int64)
    most = documents[longer, side] >= NESTED * documents[shorter, side]
    head = _heads(longer[most], shorter[most], np.abs(z))
    adds = _share_changed(documents[longer], documents[shorter])
    return _adopted(head, longer[~adds], shorter[~adds], np.abs(z), significant)


def _inside(name: str) -> Iterator[str]:
    """Yield the shorter n-grams that stand in one.

    >>> list(_inside("a b c"))
    ['a', 'b', 'c', 'a b', 'b c']
    """
    words = name.split(" ")
    for size in range(1, len(words)):
        for start in range(len(words) - size + 1):
            yield " ".join(words[start : start + size])


def _heads(one: np.ndarray, other: np.ndarray, weight: Floats) -> np.ndarray:
    """Join what is linked, and return for each the one of the greatest weight of its group."""
    root = list(range(len(weight)))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for i, j in zip(one.tolist(), other.tolist(), strict=True):
        first, second = find(i), find(j)
        if weight[first] < weight[second]:
            first, second = second, first
        root[second] = first
    return np.array([find(i) for i in range(len(weight))], np.int64)


def _share_changed(longer: np.ndarray, shorter: np.ndarray) -> np.ndarray:
    """Whether the longer n-gram's share of the shorter one's documents changed: bool[pairs]."""
    pooled = longer.sum(axis=1) / shorter.sum(axis=1)
    least = np.maximum(shorter, 1)
    error = np.sqrt(pooled * (1 - pooled) * (1 / least).sum(axis=1))
    shares = longer / least
    known = (shorter > 0).all(axis=1)
    return known & (np.abs(shares[:, 1] - shares[:, 0]) > Z * error)


def _adopted(
    head: np.ndarray, child: np.ndarray, parent: np.ndarray, weight: Floats, significant: np.ndarray
) -> np.ndarray:
    """Let each group whose head adds nothing to a significant n-gram join that one's group.

    A head joins the parent of the greatest weight, which must exceed its own: so there is no
    circle, and two parents are never joined by a child of both.
    """
    into = {}
    for i, j in zip(child.tolist(), parent.tolist(), strict=True):
        stronger = significant[j] and head[i] == i and weight[head[j]] > weight[i]
        if stronger and (i not in into or weight[j] > weight[into[i]]):
            into[i] = j

    def top(i: int) -> int:
        i = int(head[i])
        while i in into:
            i = int(head[into[i]])
        return i

    return np.array([top(i) for i in range(len(head))], np.int64)
