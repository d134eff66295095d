"""Diversity: how many of each topic, and which ones so that the rest is near to one of them.

Sources: balance by temperature as in LIMA (Zhou et al. 2023: shares ∝ size^(1/τ), τ = 3); k-center,
farthest first (Gonzalez 1985: within twice the best radius); facility location, greedy (Nemhauser
et al. 1978: at least 1 − 1/e of the best coverage), lazily evaluated (Minoux 1978: the same pick).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence

import numpy as np

from togi.data.vectors import Points

DECIMALS = 4  # of a gain, whose parts are single-precision cosines
REMEMBERED = 1 << 29  # bytes of similarities that are kept: those of 11,585 points


def quotas(
    sizes: Sequence[int], k: int, tau: float = 3.0, most: Sequence[int] | None = None
) -> list[int]:
    """Share k among topics in proportion to size^(1/τ); what one cannot fill goes to the others.

    Args:
        sizes: how many rows each topic has.
        k: how many to share; more than there are gives all.
        tau: 1 is proportional, infinity the same for each.
        most: how many of each can be taken; its size by default.

    >>> quotas([1000, 100, 10], 111, tau=1), quotas([1000, 100, 10], 60, tau=3)
    ([100, 10, 1], [36, 16, 8])
    """
    room = np.array(sizes if most is None else most, dtype=np.int64)
    shares = np.array(sizes, dtype=np.float64) ** (1 / tau) * (room > 0)
    k = min(k, int(room.sum()))
    given = np.zeros(len(room), dtype=np.int64)
    free = room > 0
    while k > int(given.sum()) and free.any():
        ideal = (k - given[~free].sum()) * shares / shares[free].sum()
        full = free & (ideal >= room)
        if not full.any():
            given[free] = np.floor(ideal[free]).astype(np.int64)
            rest = np.where(free, ideal - given, -1.0)
            given[np.argsort(-rest, kind="stable")[: k - int(given.sum())]] += 1
            break
        given[full] = room[full]
        free &= ~full
    return given.tolist()


def grouped_quotas(
    sizes: Sequence[int], groups: Sequence[int], k: int, tau: float, most: Sequence[int]
) -> list[int]:
    """Share k equally among groups of topics, and within each by temperature.

    Args:
        sizes: how many rows each topic has.
        groups: the group of each topic, from 0.
        k: how many to share.
        tau: the temperature within a group.
        most: how many of each topic can be taken.

    >>> grouped_quotas([1000, 8, 50, 50], [0, 0, 1, 1], 40, 1, [1000, 8, 50, 50])
    [20, 0, 10, 10]
    """
    members = [[t for t, group in enumerate(groups) if group == g] for g in sorted(set(groups))]
    room = [sum(most[t] for t in topics) for topics in members]
    given = [0] * len(sizes)
    for topics, share in zip(members, quotas([1] * len(members), k, 1, room), strict=True):
        inside = quotas([sizes[t] for t in topics], share, tau, [most[t] for t in topics])
        for topic, count in zip(topics, inside, strict=True):
            given[topic] = count
    return given


def entropy(counts: Sequence[int]) -> float:
    """Return the entropy of a distribution, in nats; ln(topics) where all are equal.

    >>> round(entropy([5, 5]), 4), entropy([7, 0]), entropy([])
    (0.6931, 0.0, 0.0)
    """
    total = sum(counts)
    return sum(-c / total * math.log(c / total) for c in counts if c) if total else 0.0


def k_center(points: Points, k: int) -> list[int]:
    """Return k points such that the farthest one from its nearest of them is near: farthest first.

    The largest distance is at most twice the smallest possible. The first point is point 0; of
    equally far ones the first is taken, so the order of the points decides ties.
    """
    if not k or not len(points):
        return []
    picked, apart = [0], points.distance(0)
    taken = np.zeros(len(points), dtype=bool)
    taken[0] = True
    while len(picked) < min(k, len(points)):
        far = int(np.argmax(np.where(taken, -1.0, apart)))
        picked.append(far)
        taken[far] = True
        apart = np.minimum(apart, points.distance(far))
    return picked


def facility_location(points: Points, k: int) -> list[int]:
    """Return k points to which all are similar: greedy maximum of Σ_i max_j∈S similarity(i, j).

    The sum is at least 1 − 1/e of the largest possible. Gains only shrink as the set grows, so the
    heap's old gains bound the new ones, and only the head is computed anew. Gains that are equal
    but for rounding go by the order of the points.
    """
    near_to = _remembered(points)
    best = np.zeros(len(points), dtype=np.float32)
    gains = points.total_similarity().round(DECIMALS).tolist()
    heap = [(-gain, place) for place, gain in enumerate(gains)]
    heapq.heapify(heap)
    picked: list[int] = []
    while heap and len(picked) < k:
        _, place = heapq.heappop(heap)
        near = near_to(place)
        gain = round(float(np.maximum(near - best, 0).sum(dtype=np.float64)), DECIMALS)
        if heap and (-gain, place) > heap[0]:
            heapq.heappush(heap, (-gain, place))
            continue
        picked.append(place)
        np.maximum(best, near, out=best)
    return picked


def _remembered(points: Points) -> Callable[[int], np.ndarray]:
    """Return the points' similarities, each row computed once where all of them fit in memory."""
    n = len(points)
    if 4 * n * n > REMEMBERED:
        return lambda place: points.similarity(place).astype(np.float32)
    table, known = np.empty((n, n), dtype=np.float32), np.zeros(n, dtype=bool)

    def near_to(place: int) -> np.ndarray:
        if not known[place]:
            table[place], known[place] = points.similarity(place), True
        return table[place]

    return near_to


def first_ones(points: Points, k: int) -> list[int]:
    """Return the first k points."""
    return list(range(min(k, len(points))))


METHODS: dict[str, Callable[[Points, int], list[int]]] = {
    "facility_location": facility_location,
    "k_center": k_center,
    "score": first_ones,
    "random": first_ones,
}
"""How to pick within a topic; for "score" its rows come best first, else in a drawn order."""


def coverage(points: Points, picked: Sequence[int]) -> np.ndarray:
    """Return each point's similarity to the nearest picked one: float64[n]."""
    best = np.zeros(len(points))
    for place in picked:
        np.maximum(best, points.similarity(place), out=best)
    return best
