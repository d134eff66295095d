"""Near-duplicates: texts that share most of their runs of words, found without comparing all pairs.

MinHash sketches (Broder 1997) of each text's shingles are cut into bands, chosen so that a pair at
the threshold agrees in none of them at most once in a hundred. Texts that agree in a band are then
compared exactly, so nothing is dropped for a similarity that it does not have. Sketches, bands and
comparisons run in the byte kernels (`togi.data.kernels.minhash`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np

from togi.data.features import Features, Part
from togi.data.featuriser import Featuriser
from togi.data.kernels.table import PERMUTATIONS
from togi.data.native import kernels
from togi.errors import UsageError
from togi.stats.rng import stream

RECALL = 0.99
BUCKETS = 1 << 29  # a pair of texts of 1,000 shingles each shares one by chance once in 500
AT_A_TIME = 1024  # texts, or sketches
Shingles: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.uint32]]"


def shingles(texts: Sequence[str], words: int = 5) -> Iterator[Shingles]:
    r"""Yield each text's set of runs of `words` words as sorted hashes; a shorter text is one run.

    Words are `\w+` and punctuation in lower case, as everywhere in `togi.data`.

    >>> [len(found) for found in shingles(["a b c d e f", "A b", ""])]
    [2, 1, 0]
    """
    featuriser = Featuriser(Features(order=words, buckets=BUCKETS), counted=False)
    for start in range(0, len(texts), AT_A_TIME):
        yield from _sets(featuriser.texts(texts[start : start + AT_A_TIME]), words)


def _sets(part: Part, words: int) -> list[Shingles]:
    """Return, for each document, the longest n-grams that end at each of its words, sorted.

    The first words end shorter n-grams only, `before` in all; of a shorter document the last
    n-gram, which is all of it, is the one run.
    """
    before, counts = words * (words - 1) // 2, part.words.astype(np.int64)
    runs = np.where(counts >= words, counts - words + 1, np.minimum(counts, 1))
    owner = np.repeat(np.arange(len(counts)), runs)
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(runs) - runs, runs)
    begins = np.cumsum(part.ngrams) - part.ngrams
    place = np.where(
        counts[owner] >= words, before + words - 1 + words * nth, part.ngrams[owner] - 1
    )
    hashes = part.indices[begins[owner] + place]
    keys = np.sort(owner.astype(np.uint64) << np.uint64(32) | hashes)
    keys = keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys
    sizes = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(counts))
    return np.split(keys.astype(np.uint32), np.cumsum(sizes)[:-1])


def jaccard(one: Shingles, other: Shingles) -> float:
    """Return the share of two sets' union that both have; 0 where both are empty.

    >>> jaccard(np.array([1, 2, 3], np.uint32), np.array([2, 3, 4], np.uint32))
    0.5
    """
    both = len(np.intersect1d(one, other, assume_unique=True))
    either = len(one) + len(other) - both
    return both / either if either else 0.0


def bands(
    threshold: float, permutations: int = PERMUTATIONS, recall: float = RECALL
) -> tuple[int, int]:
    """Return (bands, rows of each): the most rows that still find a pair at the threshold.

    A pair of similarity s is proposed with probability 1 - (1 - s^rows)^bands (Leskovec et al.,
    Mining of Massive Datasets, section 3.4.2).

    >>> bands(0.7), bands(0.95)
    ((32, 4), (8, 16))
    """
    for rows in range(permutations // 2, 1, -1):
        count = permutations // rows
        if 1 - (1 - threshold**rows) ** count >= recall:
            return count, rows
    return permutations, 1


@cache
def _permutations() -> np.ndarray:
    """Return the factors of the permutations, odd, and then their addends: uint32."""
    drawn = stream(0, "minhash").integers(0, 1 << 32, 2 * PERMUTATIONS, dtype=np.uint32)
    drawn[:PERMUTATIONS] |= np.uint32(1)
    return drawn


def sketches(sets: Sequence[Shingles]) -> np.ndarray:
    """Return the MinHash sketches of sets: uint32[sets, PERMUTATIONS].

    Two sets of Jaccard similarity J agree in each place with probability J.

    >>> one, two = sketches([np.array([1, 2, 3], np.uint32)] * 2)
    >>> float((one == two).mean())
    1.0
    """
    minima = np.empty((len(sets), PERMUTATIONS), np.uint32)
    sizes = np.array([len(one) for one in sets], np.int64)
    members = np.concatenate([np.empty(0, np.uint32), *sets, np.zeros(1, np.uint32)])
    kernels()("minhash", members, sizes, len(sets), _permutations(), minima.reshape(-1))
    return minima


def _band_keys(sets: Sequence[Shingles], count: int, rows: int) -> np.ndarray:
    """Return a key of each band of each set: uint32[bands, sets]."""
    keys = np.empty((count, len(sets)), np.uint32)
    for start in range(0, len(sets), AT_A_TIME):
        some = sets[start : start + AT_A_TIME]
        part = np.empty(count * len(some), np.uint32)
        kernels()("band_keys", sketches(some).reshape(-1), len(some), count, rows, part)
        keys[:, start : start + len(some)] = part.reshape(count, -1)
    return keys


def _check(threshold: float) -> None:
    if not 0.1 <= threshold <= 1:
        raise UsageError(
            "near must lie in 0.1 to 1", found=str(threshold), hint="0.7 is usual; 1 is equal"
        )


class NearIndex:
    """Sets that can be asked for those near another one."""

    def __init__(self, threshold: float) -> None:
        _check(threshold)
        self.threshold, (self.count, self.rows) = threshold, bands(threshold)
        self.tables: list[dict[int, list[int]]] = [{} for _ in range(self.count)]
        self.sets: list[Shingles] = []

    def _keys(self, found: Shingles) -> list[int]:
        return _band_keys([found], self.count, self.rows)[:, 0].tolist()

    def add(self, found: Shingles) -> None:
        """Put a set into the index under the next number; an empty one is near to nothing."""
        if len(found):
            for table, key in zip(self.tables, self._keys(found), strict=True):
                table.setdefault(key, []).append(len(self.sets))
        self.sets.append(found)

    def near(self, found: Shingles) -> tuple[int, float]:
        """Return the number of the nearest set and its similarity; (-1, 0) if none reaches."""
        if not len(found):
            return -1, 0.0
        pairs = zip(self.tables, self._keys(found), strict=True)
        proposed = {number for table, key in pairs for number in table.get(key, ())}
        best = max(((jaccard(found, self.sets[key]), -key) for key in proposed), default=(0.0, 1))
        return (-best[1], best[0]) if best[0] >= self.threshold else (-1, 0.0)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A text that stays, and those that are near to it, each with its similarity."""

    kept: int
    dropped: tuple[tuple[int, float], ...]


def near_duplicates(sets: Sequence[Shingles], threshold: float) -> list[Cluster]:
    """Return the clusters of near-duplicates, given in the order in which texts are preferred.

    Each text in turn stays unless it is near to one that stays, so a dropped text always has a
    near one among those kept, and a chain of small changes does not pull its ends together.

    >>> texts = ["the cat sat on the mat today", "a dog", "the cat sat on the mat today too"]
    >>> near_duplicates(list(shingles(texts, 3)), 0.7)
    [Cluster(kept=0, dropped=((2, 0.8333333333333334),))]
    """
    _check(threshold)
    if not sets:
        return []
    sizes = np.array([len(one) for one in sets], np.int64)
    groups, bounds, number = _groups(_band_keys(sets, *bands(threshold)), sizes > 0)
    nearest, similarity = np.empty(len(sets), np.int32), np.empty(len(sets))
    kernels()(
        "keep_first", np.concatenate([*sets, np.zeros(1, np.uint32)]),
        np.concatenate([[0], np.cumsum(sizes)]), len(sets), groups, bounds,
        np.full(number + 1, -1, np.int32), np.empty(2 * len(groups), np.int32),
        np.full(len(sets), -1, np.int32), threshold, nearest, similarity,
    )  # fmt: skip
    members: dict[int, list[tuple[int, float]]] = {}
    for place in np.flatnonzero(nearest >= 0).tolist():
        near = (place, float(similarity[place]))
        members.setdefault(int(nearest[place]), []).append(near)
    return [Cluster(kept, tuple(dropped)) for kept, dropped in sorted(members.items())]


def _groups(keys: np.ndarray, full: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the groups of sets that agree in a band: those of each set, and where each begins.

    Only sets that share a band with another one are in any group.
    """
    owners, numbers, number = [np.empty(0, np.int32)], [np.empty(0, np.int32)], 0
    places = np.flatnonzero(full)
    for band in keys[:, places]:
        order = np.argsort(band)  # which of equals comes first does not matter
        ordered = band[order]
        fresh = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
        alone = fresh & np.append(fresh[1:], True)[: len(fresh)]
        owners.append(places[order[~alone]].astype(np.int32))
        group = np.cumsum(fresh[~alone], dtype=np.int32) + np.int32(number - 1)
        numbers.append(group)
        number = int(group[-1]) + 1 if len(group) else number
    owner, group = np.concatenate(owners), np.concatenate(numbers)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(full)))])
    return group[np.argsort(owner, kind="stable")], bounds.astype(np.int64), number
