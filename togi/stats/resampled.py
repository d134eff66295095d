"""Intervals of a statistic that is no ratio of sums, from resamples of whole units."""

from __future__ import annotations

import math

import numpy as np

from togi.stats.arrays import Floats, Labels, check_draws, check_level, same_length
from togi.stats.bootstrap import resampled_sums
from togi.stats.bounds import UNKNOWN, same_bounds
from togi.stats.estimate import Estimate
from togi.stats.rng import stream
from togi.stats.special import normal_cdf, t_quantile
from togi.stats.units import cluster_codes


def unit_sums(columns: Floats, clusters: Labels | None) -> Floats:
    """Sum rows of counts by cluster, and put the units in an order that is theirs alone.

    Args:
        columns: (rows, c) what is summed; no NaN.
        clusters: (rows,) labels of rows that belong together; None where rows are independent.

    Returns:
        (units, c) sums, sorted, so that random draws do not depend on the rows' order.

    >>> unit_sums(np.array([[2.0], [1.0], [4.0]]), ["a", "b", "a"]).tolist()
    [[1.0], [6.0]]
    """
    if clusters is not None:
        same_length(columns, clusters, "values and clusters")
        codes = cluster_codes(clusters)
        order = np.lexsort((*columns.T, codes))  # sums of floats depend on their order
        sums = np.zeros((len(set(codes.tolist())), columns.shape[1]))
        np.add.at(sums, codes[order], columns[order])
        columns = sums
    return columns[np.lexsort(columns.T)] if len(columns) else columns


def redrawn(units: Floats, draws: int, seed: int) -> Floats:
    """Return the (draws, c) sums of so many resamples of the units, each as large as all.

    >>> redrawn(np.ones((5, 1)), 100, 0).max()
    np.float64(5.0)
    """
    return resampled_sums(units, check_draws(draws), stream(seed, "stats", "bootstrap"))


def expanded_alpha(alpha: float, n: int) -> float:
    """Return the α at which a percentile interval of n units covers 1 − α.

    A plain percentile interval is too narrow at small n: its spread is that of n and not n − 1,
    and it knows no Student's t. Source: Hesterberg 2015, section 4.2.

    >>> round(expanded_alpha(0.05, 10), 4), round(expanded_alpha(0.05, 10_000), 4)
    (0.0171, 0.05)
    """
    return 2 * normal_cdf(math.sqrt(n / (n - 1)) * t_quantile(alpha / 2, n - 1))


def drawn_estimate(value: float, draws: Floats, n: int, level: float = 0.95) -> Estimate:
    """Return a statistic with the expanded percentile interval of its resamples.

    Args:
        value: the statistic of all units.
        draws: (draws,) the statistic of each resample; NaN where it is undefined there.
        n: how many units.
        level: of the interval.

    Returns:
        The estimate. A draw without a value counts as being beyond both bounds; where there are
        too many of them, or fewer than two units, a bound is NaN.

    >>> found = drawn_estimate(0.0, np.linspace(-1, 1, 2001), 10_000)
    >>> round(found.low, 3), round(found.high, 3)
    (-0.95, 0.95)
    """
    alpha = 1 - check_level(level)
    if n < 2 or math.isnan(value):
        return Estimate(value, *UNKNOWN, n, level)
    known = np.sort(draws[~np.isnan(draws)])
    lost = len(draws) - len(known)
    place = expanded_alpha(alpha, n) / 2 * (len(draws) - 1)
    below = math.floor(place) - lost
    if below < 0:
        return Estimate(value, *UNKNOWN, n, level)
    if np.ptp(known) <= 1e-12 * max(1.0, abs(value)):
        return Estimate(value, *same_bounds(alpha, value=value, n=n), n, level)
    share = place - math.floor(place)
    low = known[below] + share * (known[below + 1] - known[below])
    high = known[-1 - below] - share * (known[-1 - below] - known[-2 - below])
    return Estimate(value, float(low), float(high), n, level)
