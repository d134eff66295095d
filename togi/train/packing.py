"""Which items a step takes, and how they share micro-batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from togi.stats.rng import stream


class Sampler(Protocol):
    """Which rows a step takes: a function of the step's number alone, so that a run can resume."""

    def rows(self, step: int) -> list[int]:
        """Return the rows that step number `step` (from 0) trains on."""
        ...

    def binding(self) -> dict[str, Any]:
        """Return what a resumed run must have the same, beside `TrainConfig`'s settings."""
        ...


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, rows: int) -> tuple[int, ...]:
    return tuple(int(i) for i in stream(seed, "order", epoch).permutation(rows))


def step_rows(step: int, *, batch: int, rows: int, total: int, seed: int) -> list[int]:
    """Return the rows that step number `step` (from 0) trains on.

    The items stand in one long line, each epoch in its own order, and a step takes the next
    `batch` of them (the last step what is left of `total`). The position follows from the step
    alone, so a resumed run needs no other state.

    >>> [len(step_rows(s, batch=4, rows=5, total=10, seed=0)) for s in range(3)]
    [4, 4, 2]
    >>> first = [r for s in range(2) for r in step_rows(s, batch=4, rows=4, total=8, seed=0)]
    >>> sorted(first)
    [0, 0, 1, 1, 2, 2, 3, 3]
    """
    places = range(step * batch, min((step + 1) * batch, total))
    return [_permutation(seed, place // rows, rows)[place % rows] for place in places]


@dataclass(frozen=True, slots=True)
class InOrder:
    """Every row once an epoch, as `step_rows` lays them out; the loop's own sampler."""

    batch: int
    of: int
    total: int
    seed: int

    def rows(self, step: int) -> list[int]:
        """Return the step's rows."""
        return step_rows(step, batch=self.batch, rows=self.of, total=self.total, seed=self.seed)

    def binding(self) -> dict[str, Any]:
        """Return nothing more: all of it stands in `TrainConfig`."""
        return {}


def pack(costs: Sequence[int], budget: int) -> list[list[int]]:
    """Split items into micro-batches of at most `budget` tokens, by first-fit decreasing.

    Uses at most 11/9 of the fewest possible bins plus 2/3 (Dósa 2007). Ties keep the given
    order, so the split is the same on every machine. An item above the budget goes alone.

    Returns:
        Lists of positions in `costs`, each list ascending.

    >>> pack([5, 9, 4, 2], budget=9)
    [[1], [0, 2], [3]]
    """
    bins: list[list[int]] = []
    room: list[int] = []
    for item in sorted(range(len(costs)), key=lambda i: (-costs[i], i)):
        for number, free in enumerate(room):
            if costs[item] <= free:
                bins[number].append(item)
                room[number] -= costs[item]
                break
        else:
            bins.append([item])
            room.append(budget - costs[item])
    return [sorted(members) for members in bins]
