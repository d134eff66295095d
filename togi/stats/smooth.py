"""An interval of any smooth function of sums over independent units: α, κ, a correlation.

Each unit adds a row of numbers; the statistic is a function of the columns' sums. So a resample
is one product of a table of counts with the rows, and leaving a unit out is one subtraction:
thousands of replicates cost no more than the mean's. Source: Efron 1987 (BCa).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from togi.errors import DataError
from togi.stats.arrays import Floats, check_draws, check_level
from togi.stats.bootstrap import acceleration_of, bca_bounds, bias_of, resampled_sums
from togi.stats.bounds import Bounds, same_bounds, student_bounds, unknown_bounds
from togi.stats.estimate import Estimate
from togi.stats.rng import stream

Statistic: TypeAlias = Callable[[Floats], Floats]
"(b, c) sums -> (b,) values, NaN where undefined."


def smooth_estimate(
    rows: Floats,
    statistic: Statistic,
    *,
    most: float = math.inf,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return a statistic of summed rows with a BCa bootstrap interval over the rows.

    Args:
        rows: (n, c) what each independent unit adds to the sums.
        statistic: from (b, c) sums to (b,) values.
        most: the greatest value that is possible; the interval ends there.
        level: of the interval.
        draws: how many resamples.
        seed: the same seed and rows give the same interval, in whatever order they come.

    Returns:
        The estimate; its bounds are NaN below two units, or where more than half of the
        resamples leave the statistic undefined. A statistic that no resample moves gets what
        `togi.stats.bounds.same_bounds` allows.

    Raises:
        DataError: rows that are no table, or hold numbers that are not finite.
        UsageError: a level or number of draws that makes no sense.

    The ratio of two sums, by hand (1 + 2) / (2 + 4):

    >>> found = smooth_estimate(np.array([[1.0, 2.0], [2.0, 4.0]]), lambda s: s[:, 0] / s[:, 1])
    >>> found.mean, found.n
    (0.5, 2)
    """
    check_level(level)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise DataError("rows must be a table of finite numbers", where="stats")
    n = len(rows)
    ordered = rows[np.lexsort(rows.T[::-1])]  # nothing may depend on the order of the units
    total = ordered.sum(axis=0)
    value = float(statistic(total[None])[0]) if n else math.nan
    bounds: Bounds = unknown_bounds
    if n >= 2 and math.isfinite(value):
        bounds = _bounds(ordered, total, value, statistic, check_draws(draws), seed)
    low, high = bounds(1 - level)
    return Estimate(value, low, min(high, most) if high == high else high, n, level)


def _bounds(
    rows: Floats, total: Floats, value: float, statistic: Statistic, draws: int, seed: int
) -> Bounds:
    """Return the BCa family of intervals, widened at small n as `bca_bounds` does."""
    n = len(rows)
    sums = resampled_sums(rows, draws, stream(seed, "stats", "smooth"))
    found = statistic(sums)
    known = np.sort(found[np.isfinite(found)])
    moves = statistic(total - rows) - value
    moves = moves[np.isfinite(moves)]
    if len(known) < draws / 2 or len(moves) < 2:
        return unknown_bounds
    if max(abs(known[0] - value), abs(known[-1] - value)) <= 1e-12 * max(1.0, abs(value)):
        return partial(same_bounds, value=value, n=n)
    error = math.sqrt((n - 1) * float(moves.var()))
    spread = float(known.std())
    if not error or not spread:
        return unknown_bounds
    return partial(
        bca_bounds,
        ordered=known,
        bias=bias_of(known - value),
        acceleration=acceleration_of(moves),
        student=partial(student_bounds, value=value, se=error, df=n - 1),
        se=spread,
    )
