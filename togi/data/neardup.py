"""Near-duplicates: texts that share most of their runs of words, found without comparing all pairs.

MinHash sketches (Broder 1997) of each text's shingles go into an LSH index (`datasketch`), whose
bands are chosen so that a pair at the threshold is missed at most once in a hundred. What the index
proposes is then compared exactly, so nothing is dropped for a similarity that it does not have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from togi.data.features import Features, Featuriser
from togi.errors import UsageError

if TYPE_CHECKING:
    from datasketch import MinHash

PERMUTATIONS = 128
RECALL = 0.99
BUCKETS = 1 << 22  # two texts of 1,000 shingles each share one by chance once in four
AT_A_TIME = 256  # texts
SKETCHED = 1 << 13  # shingles that go into a sketch at once: 4 MB
Shingles: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.uint32]]"


def shingles(texts: Sequence[str], words: int = 5) -> Iterator[Shingles]:
    r"""Yield each text's set of runs of `words` words as sorted hashes; a shorter text is one run.

    Words are `\w+` and punctuation in lower case, as everywhere in `togi.data`.

    >>> [len(found) for found in shingles(["a b c d e f", "A b", ""])]
    [2, 1, 0]
    """
    features = Features(order=words, buckets=BUCKETS)
    featuriser = Featuriser(features)
    for start in range(0, len(texts), AT_A_TIME):
        part = featuriser.texts(texts[start : start + AT_A_TIME])
        ends = np.cumsum(features.ngrams(part.words))
        for end, count in zip(ends.tolist(), part.words.tolist(), strict=True):
            size = int(features.ngrams(np.array([count]))[0])
            yield np.unique(_runs(part.indices[end - size : end], count, words))


def _runs(ngrams: np.ndarray, count: int, words: int) -> Shingles:
    """Keep the longest of the n-grams that end at each word: the first words end shorter ones."""
    if count < words:
        return ngrams[-1:].astype(np.uint32)
    before = words * (words - 1) // 2  # n-grams that end at the first words - 1 words
    return ngrams[before + words - 1 :: words].astype(np.uint32)


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


def sketch(found: Shingles, seed: int = 1) -> MinHash:
    """Return the MinHash sketch of a set."""
    made = _empty_sketch(seed).copy()
    for start in range(0, len(found), SKETCHED):
        made.update_batch(found[start : start + SKETCHED].tolist())
    return made


@lru_cache(maxsize=1)  # its permutations are shared by all copies
def _empty_sketch(seed: int) -> MinHash:
    from datasketch import MinHash

    return MinHash(num_perm=PERMUTATIONS, seed=seed, hashfunc=int)


class NearIndex:
    """Sets that can be asked for those near another one."""

    def __init__(self, threshold: float) -> None:
        from datasketch import MinHashLSH

        if not 0.1 <= threshold <= 1:
            raise UsageError(
                "near must lie in 0.1 to 1", found=str(threshold), hint="0.7 is usual; 1 is equal"
            )
        self.threshold = threshold
        self.index = MinHashLSH(num_perm=PERMUTATIONS, params=bands(threshold))
        self.sets: list[Shingles] = []

    def add(self, found: Shingles, made: MinHash | None = None) -> None:
        """Put a set into the index under the next number; an empty one is near to nothing."""
        if len(found):
            self.index.insert(len(self.sets), made or sketch(found), check_duplication=False)
        self.sets.append(found)

    def near(self, found: Shingles, made: MinHash | None = None) -> tuple[int, float]:
        """Return the number of the nearest set and its similarity; (-1, 0) if none reaches."""
        if not len(found):
            return -1, 0.0
        proposed = sorted(cast("list[int]", self.index.query(made or sketch(found))))
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
    index, places = NearIndex(threshold), []
    members: dict[int, list[tuple[int, float]]] = {}
    for place, found in enumerate(sets):
        made = sketch(found)
        key, similarity = index.near(found, made)
        if key >= 0:
            members.setdefault(places[key], []).append((place, similarity))
        else:
            places.append(place)
            index.add(found, made)
    return [Cluster(kept, tuple(dropped)) for kept, dropped in sorted(members.items())]
