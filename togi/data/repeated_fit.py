"""Fitting the worth of repeats, and how little published runs tell of it: the flat valley.

With the law of fresh data held fixed, two numbers remain, R_D* and R_N*. Their Huber sum is taken
on a grid that reaches to "no decay at all", so that no minimum is missed, and the best cells are
followed down. A bootstrap resample is a set of weights over the same per-run losses: all of them
together are one matrix product, each then followed down from its own best cell.

The published (15.39, 5.31) is one of several minima along a valley whose floor is level to half a
per cent from R_D* = 10 to no decay; the profile and the intervals here say so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from togi.data.repeated import ENDLESS, Decay, decays, effective, useful_params
from togi.data.scaling import Points, points_of
from togi.data.scaling_fit import (
    DELTA,
    huber,
    likelihood_ratio,
    objective_of,
    resamples,
    residuals,
)
from togi.data.scaling_runs import Runs
from togi.data.solve import Floats, minimise
from togi.errors import DataError
from togi.stats.arrays import Labels

GRID_D = np.append(np.geomspace(0.5, 3000, 63), ENDLESS)
GRID_N = np.append(np.geomspace(0.05, 300, 47), ENDLESS)
NONE_FROM = 3000.0  # a fitted R* beyond the grid is no decay
LEAST_RUNS = 6
LEAST_REPEATED = 3
FRESH = 1.02  # at most so many epochs count as fresh


@dataclass(frozen=True, slots=True)
class DecayFit:
    """Fitted decays, and what the whole plane looks like.

    Attributes:
        decay: at the lowest Huber sum; ENDLESS where no decay fits best.
        objective: that sum.
        minima: other decays where the sum has a minimum, with their sums, lowest first.
        draws: (s, 2) R_D*, R_N* under resamples.
        profile: (k, 4) R_D*, the best R_N* with it, the sum, and the likelihood ratio statistic.
        n: independent groups of runs.
    """

    decay: Decay
    objective: float
    minima: tuple[tuple[Decay, float], ...]
    draws: Floats
    profile: Floats
    n: int


def refuse(runs: Runs, where: str = "runs") -> None:
    """Refuse runs that tell nothing of repeats.

    Raises:
        DataError: fewer than six runs, or fewer than three that repeat their tokens.
    """
    repeated = int((runs.tokens > FRESH * runs.unique).sum())
    if len(runs) < LEAST_RUNS or repeated < LEAST_REPEATED:
        raise DataError(
            "the runs cannot tell what repeated data is worth",
            where=where,
            found=f"{len(runs)} runs, {repeated} of them with more tokens than unique tokens",
            expected=f"at least {LEAST_RUNS} runs, {LEAST_REPEATED} of them repeated",
            hint="give a column unique_tokens, or name it with columns: {unique_tokens: …}",
        )


def plane(points: Points, base: Floats, delta: float = DELTA) -> Floats:
    """Return each run's Huber loss at each cell of the grid, (D cells, N cells, runs)."""
    a, b, e, alpha, beta = base
    useful = useful_params(base, np.exp(points.u))
    size = np.log(effective(useful, np.exp(points.n), GRID_N[:, None]))
    data = np.log(effective(np.exp(points.u), np.exp(points.d), GRID_D[:, None]))
    by_size, by_data = np.exp(a - alpha * size), np.exp(b - beta * data)
    predicted = np.log(by_size[None] + by_data[:, None] + math.exp(e))
    return huber(predicted - points.y, delta)[0]


def fit_decays(
    runs: Runs,
    base: Floats,
    *,
    delta: float = DELTA,
    draws: int = 400,
    seed: int = 0,
    groups: Labels | None = None,
) -> DecayFit:
    """Fit R_D* and R_N* with the law of fresh data held fixed.

    Args:
        runs: the runs, with unique tokens.
        base: the law (a, b, e, α, β), whose own uncertainty is not in the intervals.
        delta: of the Huber loss.
        draws: bootstrap resamples.
        seed: of the draws.
        groups: labels of runs that are drawn together.

    Raises:
        DataError: the runs tell nothing of repeats.
    """
    refuse(runs)
    points = points_of(runs)
    losses = plane(points, base, delta)
    sums = losses.sum(axis=2)
    cells = np.array(lowest_cells(sums))
    found, values = _follow(points, base, delta, cells)
    order = np.argsort(values, kind="stable")
    minima = _distinct([(_decay(found[i]), float(values[i])) for i in order])
    weights = resamples(np.arange(len(runs)) if groups is None else groups, draws, seed)
    flat = (losses.reshape(-1, len(runs)) @ weights.T).argmin(axis=0)
    starts = np.stack(np.unravel_index(flat, sums.shape), axis=1)
    drawn, _ = _follow(points, base, delta, starts, weights)
    return DecayFit(
        minima[0][0],
        minima[0][1],
        tuple(minima[1:]),
        _ended(np.exp(drawn)),
        _profile(points, base, sums, found[order[0]], delta),
        len(runs) if groups is None else len(np.unique(groups)),
    )


def lowest_cells(sums: Floats) -> list[tuple[int, int]]:
    """Return the cells that lie below all their neighbours, the edges of the grid included.

    >>> lowest_cells(np.array([[1.0, 2.0, 1.5], [2.0, 3.0, 2.0]]))
    [(0, 0), (0, 2)]
    """
    edged = np.pad(sums, 1, constant_values=np.inf)
    near = np.lib.stride_tricks.sliding_window_view(edged, (3, 3))
    found = np.argwhere(sums <= near.min(axis=(2, 3))).tolist()
    return [(int(row), int(column)) for row, column in found]


def _follow(
    points: Points, base: Floats, delta: float, cells: np.ndarray, weights: Floats | None = None
) -> tuple[Floats, Floats]:
    """Go down from cells of the grid; return (s, 2) logarithms of the decays and the sums."""
    starts = np.log(np.stack([GRID_D[cells[:, 0]], GRID_N[cells[:, 1]]], axis=1))
    objective, _ = objective_of(decays(base), points, delta, weights)
    found = minimise(objective, starts)
    return found.theta, found.value


def _decay(logs: Floats) -> Decay:
    return Decay(*_ended(np.exp(logs)).tolist())


def _ended(values: Floats) -> Floats:
    """Return decays with those beyond the grid as none."""
    return np.where(values > NONE_FROM, ENDLESS, values)


def _distinct(found: list[tuple[Decay, float]]) -> list[tuple[Decay, float]]:
    """Leave out minima that an earlier one is within two per cent of."""
    kept: list[tuple[Decay, float]] = []
    for decay, value in found:
        logs = np.log(np.array(decay))
        if all(np.abs(logs - np.log(np.array(other))).max() > 0.02 for other, _ in kept):
            kept.append((decay, value))
    return kept


def _profile(points: Points, base: Floats, sums: Floats, best: Floats, delta: float) -> Floats:
    """Hold R_D* at each value of the grid and follow R_N* down from its best cell."""
    form, n = decays(base), np.log(GRID_N[sums.argmin(axis=1)])
    starts = np.stack([np.log(GRID_D), n], axis=1)
    objective, _ = objective_of(form, points, delta, held=(0,))
    found = minimise(objective, starts)
    away, least = residuals(points, form, found.theta), residuals(points, form, best)
    statistic = [likelihood_ratio(row, least) for row in away]
    return np.column_stack([GRID_D, _ended(np.exp(found.theta[:, 1])), found.value, statistic])
