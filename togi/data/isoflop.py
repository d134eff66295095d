"""IsoFLOP profiles: at each compute budget the best size is the vertex of a parabola.

Hoffmann et al. 2022, approach 2: for each budget C, loss against ln N of runs of about that
compute is fitted by a parabola; the vertices N*(C) lie on a line in logarithms, whose slope is the
exponent a. No law is presumed, so that a fitted law can be judged by it.

Known bias: where sizes are spread unevenly about the vertex, or widely, the true curve's skew moves
the vertex by some per cent (the exponent is not moved). `recentred` says by how much for a law.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from togi.data.law_numbers import estimate
from togi.data.scaling import loss, optimum
from togi.data.scaling_runs import FLOPS_PER, Runs
from togi.data.solve import Floats
from togi.stats.estimate import Estimate
from togi.stats.rng import stream

WIDTH = 0.2  # runs within this of a budget, in ln C, share its profile
LEAST = 4  # runs of a profile: three make a parabola and leave nothing to judge it by
SIZES = 9  # in the noise-free profile that `recentred` judges the method by
LEAST_PROFILES = 3  # for a line and something to judge it by


@dataclass(frozen=True, slots=True)
class Profile:
    """One budget's parabola, L = floor + curve · (ln N − best)².

    Attributes:
        flops: the budget.
        which: places of its runs.
        best: ln N*; NaN where the parabola has no vertex among the sizes tried.
        floor: the loss there.
        curve: the parabola's opening, per square of ln N.
        why: why the profile is left out, "" where it counts.
    """

    flops: float
    which: tuple[int, ...]
    best: float
    floor: float
    curve: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class IsoFlop:
    """All profiles, and the line through their vertices, ln N* = level + exponent · ln C."""

    profiles: tuple[Profile, ...]
    exponent: Estimate
    level: float
    lines: Floats
    """(s, 2) level and exponent under resamples of each profile's runs."""

    @property
    def counted(self) -> list[Profile]:
        """Return the profiles that the line goes through."""
        return [profile for profile in self.profiles if not profile.why]

    def best(self, flops: float, level: float = 0.95) -> Estimate:
        """Return the best number of parameters at a budget."""
        work, n = math.log(flops), self.exponent.n
        draws = np.exp(self.lines @ np.array([1.0, work]))
        return estimate(math.exp(self.level + self.exponent.mean * work), draws, n, level)


def budgets_of(flops: Floats, width: float = WIDTH, least: int = LEAST) -> list[float]:
    """Find the budgets about which runs gather: the fullest window first, its median the budget.

    Windows of less than half the middling one's runs are thin places between budgets.

    >>> [f"{budget:.2g}" for budget in budgets_of(np.repeat([1e18, 1e19, 1.05e19, 1e20], 4))]
    ['1e+18', '1e+19', '1e+20']
    """
    work = np.log(flops)
    free, found = np.ones(len(work), dtype=bool), []
    while free.any():
        near = (np.abs(work[:, None] - work[None, :]) < width) & free[None, :] & free[:, None]
        fullest = int(near.sum(axis=1).argmax())
        if near[fullest].sum() < least:
            break
        found.append((float(np.exp(np.median(work[near[fullest]]))), int(near[fullest].sum())))
        free &= ~near[fullest]
    enough = float(np.median([size for _, size in found])) / 2 if found else 0
    return sorted(budget for budget, size in found if size >= enough)


def isoflop(
    runs: Runs,
    budgets: Sequence[float] = (),
    *,
    width: float = WIDTH,
    draws: int = 400,
    seed: int = 0,
    level: float = 0.95,
) -> IsoFlop:
    """Fit a parabola to each budget's runs, and a line through the vertices.

    Args:
        runs: the runs.
        budgets: FLOPs; found from the runs where none are given.
        width: how far in ln C a run may lie from its budget.
        draws: resamples of each profile's runs, for the interval.
        seed: of the draws.
        level: of the interval.

    Returns:
        The profiles; exponent and line are NaN with fewer than three that count.
    """
    work, size = np.log(runs.flops), np.log(runs.params)
    profiles, vertices = [], []
    for budget in list(budgets) or budgets_of(runs.flops, width):
        which = np.flatnonzero(np.abs(work - math.log(budget)) < width)
        profile = _profile(budget, which, size[which], runs.loss[which])
        profiles.append(profile)
        if not profile.why:
            rng = stream(seed, "data.isoflop", repr(float(budget)))
            times = rng.multinomial(len(which), np.full(len(which), 1 / len(which)), size=draws)
            vertices.append(_vertices(size[which], runs.loss[which], times.astype(float))[0])
    counted = [profile for profile in profiles if not profile.why]
    if len(counted) < LEAST_PROFILES:
        unknown = Estimate(math.nan, math.nan, math.nan, 0, level)
        return IsoFlop(tuple(profiles), unknown, math.nan, np.full((draws, 2), np.nan))
    along = np.log([profile.flops for profile in counted])
    design = np.stack([np.ones_like(along), along], axis=1)
    line = np.linalg.lstsq(design, [profile.best for profile in counted], rcond=None)[0]
    lines = _lines(along, np.stack(vertices, axis=1))
    n = sum(len(profile.which) for profile in counted)
    slope = estimate(float(line[1]), lines[:, 1], n, level)
    return IsoFlop(tuple(profiles), slope, float(line[0]), lines)


def _lines(along: Floats, vertices: Floats) -> Floats:
    """Return (s, 2) levels and slopes through each row's vertices, where three are known."""
    known = ~np.isnan(vertices)
    count = np.maximum(known.sum(axis=1), 1)
    middle = (known @ along) / count
    from_middle = np.where(known, along - middle[:, None], 0)
    high = np.where(known, vertices, 0)
    spread = (from_middle**2).sum(axis=1)
    sound = (known.sum(axis=1) >= LEAST_PROFILES) & (spread > 0)
    slope = (from_middle * high).sum(axis=1) / np.where(sound, spread, np.nan)
    return np.stack([high.sum(axis=1) / count - slope * middle, slope], axis=1)


def _profile(budget: float, which: np.ndarray, size: Floats, losses: Floats) -> Profile:
    places = tuple(which.tolist())
    if len(which) < LEAST or len(np.unique(size.round(3))) < LEAST:
        why = f"{len(which)} run(s) of fewer than {LEAST} sizes"
        return Profile(budget, places, math.nan, math.nan, math.nan, why)
    best, floor, curve = (float(v[0]) for v in _vertices(size, losses, np.ones((1, len(size)))))
    why = ""
    if math.isnan(best):
        why = "the parabola has no lowest point"
    elif not size.min() <= best <= size.max():
        why = f"the lowest point, {math.exp(best):.3g} parameters, lies beyond the sizes tried"
    return Profile(budget, places, best, floor, curve, why)


def _vertices(size: Floats, losses: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return vertex, floor and opening of (s, r) weighted parabolas; NaN where none opens up."""
    middle = size.mean()
    powers = np.stack([(size - middle) ** k for k in range(3)], axis=1)
    normal = np.einsum("sr,ri,rj->sij", weights, powers, powers)
    right = np.einsum("sr,ri,r->si", weights, powers, losses)
    sound = np.linalg.cond(normal) < 1e12  # a resample of two sizes has no parabola
    fitted = np.full((len(weights), 3), np.nan)
    fitted[sound] = np.linalg.solve(normal[sound], right[sound][:, :, None])[:, :, 0]
    flat, slope, curve = fitted.T
    curve = np.where(curve > 0, curve, np.nan)
    return middle - slope / (2 * curve), flat - slope**2 / (4 * curve), curve


def recentred(theta: Floats, flops: float, spread: float) -> float:
    """Return what a noise-free profile of a law gives for N*, over the law's own N*.

    Args:
        theta: the law.
        flops: the budget.
        spread: nine sizes lie evenly in ln N, this far below and above the best one.

    >>> from togi.data.scaling import law_of
    >>> printed = law_of(406.4, 410.7, 1.69, 0.34, 0.28)
    >>> round(recentred(printed, 1e20, spread=2.8), 2)
    1.06
    """
    best = float(np.log(optimum(theta, flops)[0]))
    size = best + np.linspace(-spread, spread, SIZES)
    losses = loss(theta, np.exp(size), flops / FLOPS_PER / np.exp(size))
    return float(np.exp(_vertices(size, losses, np.ones((1, SIZES)))[0][0] - best))
