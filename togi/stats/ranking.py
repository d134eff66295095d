"""Ranking several models on the same samples: mean win rates and Bradley–Terry strengths.

A model's win rate is the mean of its win rates over each other model of the set, so it depends on
who else is in the set: adding a weak model that one of two beats by more turns their order round.
`flips` looks for that by leaving out each model in turn. Strengths depend on the set less, and
not at all where the odds follow Bradley and Terry's law.

Sources: Bradley & Terry 1952; Liang et al. 2022 (HELM: mean win rates); Mogstad et al. 2024
(confidence sets for ranks, from simultaneous intervals of all differences).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from togi.errors import DataError
from togi.stats.arrays import Floats, Labels, check_level
from togi.stats.bradley_terry import bradley_terry, wins_of
from togi.stats.estimate import Estimate
from togi.stats.proportion import wilson
from togi.stats.resampled import drawn_estimate, redrawn, unit_sums
from togi.stats.rng import derive

EVEN = 1e-9
"""Win rates nearer than this are even: sums of floats differ by their order."""


@dataclass(frozen=True, slots=True)
class Board:
    """One task's outcomes: who won on which sample.

    Attributes:
        credits: (samples, pairs) credit of each pair's first model: 1 won, .5 tie, 0 lost, NaN
            unknown.
        clusters: (samples,) labels of samples that belong together; None where independent.
    """

    credits: Floats
    clusters: Labels | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one model stands.

    Attributes:
        win_rate: mean over the other models of the share of samples won, a tie counting half,
            each task weighing the same; .5 is the set's average.
        strength: log-odds against the average model of the set, in nats; NaN where a model won
            or lost all.
        rank: by win rate, 1 is best; equal ones share the better rank.
        best: the best rank that the intervals leave open, all models together.
        worst: the worst one.
    """

    win_rate: Estimate
    strength: Estimate
    rank: int
    best: int
    worst: int


@dataclass(frozen=True, slots=True)
class Flip:
    """Two models whose order turns round when a third one is left out."""

    by: str
    one: int
    two: int
    without: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """The places of all models, in the order given, and what the order hangs on."""

    places: tuple[Place, ...]
    shares: Floats
    flips: tuple[Flip, ...]


def credits_of(scores: Floats, pairs: Sequence[tuple[int, int]]) -> Floats:
    """Turn scores into credits: the higher one wins the sample.

    Args:
        scores: (samples, models), more is better; NaN where unknown.
        pairs: numbers of the two models of each column of the result.

    >>> credits_of(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, np.nan]]), [(0, 1)]).tolist()
    [[1.0], [0.5], [nan]]
    """
    first, second = (scores[:, [pair[side] for pair in pairs]] for side in (0, 1))
    return (np.sign(first - second) + 1) / 2


def all_pairs(size: int) -> list[tuple[int, int]]:
    """Return each two of so many models once.

    >>> all_pairs(3)
    [(0, 1), (0, 2), (1, 2)]
    """
    return list(combinations(range(size), 2))


def rank_models(
    boards: Sequence[Board],
    size: int,
    *,
    level: float = 0.95,
    draws: int = 4000,
    seed: int = 0,
) -> Ranking:
    """Rank models that were asked the same samples, over one task or several.

    Samples (or whole clusters) are drawn again within each task, all models together, so that a
    sample that is easy for all makes no interval wider.

    Args:
        boards: one a task; each task weighs the same. The pairs are those of `all_pairs`.
        size: how many models there are, two or more.
        level: of each interval; ranks are bounded at this level for all models at once.
        draws: resamples.
        seed: the same seed and credits give the same numbers, in whatever order samples come.

    Raises:
        DataError: fewer than two models, or a board without samples.

    The first beats the second on two of three samples, and both beat the third always:

    >>> board = Board(np.array([[1, 1, 1], [1, 1, 1], [0, 1, 1]], dtype=np.float64))
    >>> [round(place.win_rate.mean, 3) for place in rank_models([board], 3).places]
    [0.833, 0.667, 0.0]
    """
    check_level(level)
    pairs = all_pairs(size)
    if size < 2 or not boards or any(not len(board.credits) for board in boards):
        raise DataError("a ranking needs two models and a sample of each task", where="ranking")
    units = [_units(board) for board in boards]
    shares = _shares([one.sum(axis=0) for one in units], pairs, size)
    drawn = _shares(
        [redrawn(one, draws, derive(seed, "ranking", str(at))) for at, one in enumerate(units)],
        pairs,
        size,
    )
    n = sum(len(one) for one in units)
    rates, rates_drawn = win_rates(shares), win_rates(drawn)
    found, found_drawn = _centred(shares), _centred(drawn)
    bounds = _rank_bounds(rates, rates_drawn, pairs, n, 1 - (1 - level) / len(pairs))
    places = tuple(
        Place(
            win_rate=_rate(float(rates[m]), rates_drawn[:, m], n, level),
            strength=drawn_estimate(float(found[m]), found_drawn[:, m], n, level),
            rank=1 + int((rates > rates[m] + EVEN).sum()),
            best=bounds[m][0],
            worst=bounds[m][1],
        )
        for m in range(size)
    )
    return Ranking(places, shares, _flips(shares))


def _rate(rate: float, drawn: Floats, n: int, level: float) -> Estimate:
    """Return a win rate with its interval; no resample of a rate without spread tells it.

    A model that won each of 20 samples may yet lose the next: then it is Wilson's, as wide as a
    share of so many units can be.
    """
    known = drawn[~np.isnan(drawn)]
    if n >= 2 and len(known) and np.ptp(known) < EVEN:
        return wilson(min(float(n), rate * n), n, level)
    return drawn_estimate(rate, drawn, n, level)


def _units(board: Board) -> Floats:
    """Return each unit's credits of both sides of each pair; unknown ones count for neither."""
    known = ~np.isnan(board.credits)
    sides = (np.where(known, board.credits, 0.0), np.where(known, 1 - board.credits, 0.0))
    return unit_sums(np.stack(sides, axis=-1).reshape(len(board.credits), -1), board.clusters)


def _shares(sums: Sequence[Floats], pairs: Sequence[tuple[int, int]], size: int) -> Floats:
    """Return (..., k, k) shares of samples won, the mean over the tasks; NaN where unknown."""
    each: list[Floats] = []
    for one in sums:
        wins = wins_of(one, pairs, size)
        met = wins + np.swapaxes(wins, -1, -2)
        each.append(np.divide(wins, met, out=np.full_like(wins, math.nan), where=met > 0))
    stacked = np.stack(each)
    known = (~np.isnan(stacked)).sum(axis=0)
    total = np.nansum(stacked, axis=0)
    return np.divide(total, known, out=np.full_like(total, math.nan), where=known > 0)


def win_rates(shares: Floats) -> Floats:
    """Return each model's mean share over the others.

    >>> win_rates(np.array([[np.nan, 0.75], [0.25, np.nan]])).tolist()
    [0.75, 0.25]
    """
    known = ~np.isnan(shares)
    counted = known.sum(axis=-1)
    total = np.where(known, shares, 0.0).sum(axis=-1)
    return np.divide(total, counted, out=np.full_like(total, math.nan), where=counted > 0)


def _centred(shares: Floats) -> Floats:
    """Return Bradley–Terry strengths against the set's average."""
    found = bradley_terry(np.nan_to_num(shares))
    return found - found.mean(axis=-1, keepdims=True)


def _rank_bounds(
    rates: Floats, drawn: Floats, pairs: Sequence[tuple[int, int]], n: int, level: float
) -> list[tuple[int, int]]:
    """Return each model's best and worst rank, from intervals of all differences at once."""
    size = len(rates)
    best, worst = [1] * size, [size] * size
    for one, two in pairs:
        gap = float(rates[one] - rates[two])
        between = drawn_estimate(gap, drawn[:, one] - drawn[:, two], n, level)
        if between.low > 0:
            best[two] += 1
            worst[one] -= 1
        elif between.high < 0:
            best[one] += 1
            worst[two] -= 1
    return list(zip(best, worst, strict=True))


def _flips(shares: Floats) -> tuple[Flip, ...]:
    """Return the orders that turn round when one model is left out, by either way of ranking."""
    size = len(shares)
    found: list[Flip] = []
    for left in range(size if size > 2 else 0):
        rest = [m for m in range(size) if m != left]
        for by, order in (("win rate", win_rates), ("strength", _centred)):
            whole, part = order(shares), order(shares[rest][:, rest])
            for a, b in combinations(range(size - 1), 2):
                before, after = whole[rest[a]] - whole[rest[b]], part[a] - part[b]
                if before * after < 0 and min(abs(before), abs(after)) > EVEN:
                    found.append(Flip(by, rest[a], rest[b], left))
    return tuple(found)
