"""Shares and rates of two groups: differences and ratios with their intervals, column by column.

Everything takes whole columns: one entry for each thing that was counted (an n-gram), with its
count in the first and in the second group. All intervals are closed forms of scores, or exact.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from togi.errors import DataError
from togi.stats.arrays import Floats, check_level
from togi.stats.estimate import Estimate
from togi.stats.special import beta_quantiles, normal_quantile


class Interval(NamedTuple):
    """A column of values with their bounds; infinite where a ratio has no upper bound."""

    mean: Floats
    low: Floats
    high: Floats

    def at(self, place: int, n: int, level: float, scale: float = 1.0) -> Estimate:
        """Return one entry as an estimate over n units, times `scale`."""
        mean, low, high = (scale * float(column[place]) for column in self)
        return Estimate(mean, low, high, n, level)


class Two(NamedTuple):
    """Counts of two groups, checked: float64 columns, and the groups' sizes."""

    a: Floats
    n_a: float
    b: Floats
    n_b: float


def two(a: Any, n_a: float, b: Any, n_b: float, *, shares: bool = True) -> Two:
    """Check two columns of counts.

    Raises:
        DataError: a group of no size, columns of different length, counts that are negative or
            no whole numbers, or (for shares) larger than their group.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise DataError(
            "the two columns of counts differ in shape",
            where="stats",
            found=f"{first.shape} and {second.shape}",
        )
    if not (n_a >= 1 and n_b >= 1):
        raise DataError("a group is empty", where="stats", found=f"sizes {n_a:g} and {n_b:g}")
    for column, size in ((first, n_a), (second, n_b)):
        fits = (column >= 0) & (column == np.floor(column)) & (column < 2**53)
        if not fits.all() or (shares and (column > size).any()):
            wrong = column[~fits | (column > size if shares else False)][0]
            raise DataError(
                "this is no count",
                where="stats",
                found=f"{wrong:g} of {size:g}",
                expected="whole numbers from 0" + (" to the group's size" if shares else ""),
            )
    return Two(first, float(n_a), second, float(n_b))


def two_share_z(a: Any, n_a: int, b: Any, n_b: int) -> Floats:
    """Return z of the second share minus the first, with pooled variance; 0 where nothing varies.

    An approximation, good where all expected counts are at least five or so; beside the exact
    test it tells the direction and compares with what others report.

    >>> round(float(two_share_z([34], 2900, [112], 3584)[0]), 2)
    5.27
    """
    counts = two(a, n_a, b, n_b)
    pooled = (counts.a + counts.b) / (counts.n_a + counts.n_b)
    error = np.sqrt(pooled * (1 - pooled) * (1 / counts.n_a + 1 / counts.n_b))
    gap = counts.b / counts.n_b - counts.a / counts.n_a
    return np.divide(gap, error, out=np.zeros_like(gap), where=error > 0)


def wilson_column(k: Floats, n: float, level: float = 0.95) -> Interval:
    """Return shares k / n with Wilson's score interval, for a whole column.

    >>> [round(float(bound[0]), 4) for bound in wilson_column(np.array([8.0]), 10)]
    [0.8, 0.4902, 0.9433]
    """
    z = normal_quantile(1 - (1 - check_level(level)) / 2)
    share = k / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = np.where(k == 0, 0.0, np.maximum(0.0, middle - half))
    return Interval(share, low, np.where(k == n, 1.0, np.minimum(1.0, middle + half)))


def share_differences(a: Any, n_a: int, b: Any, n_b: int, level: float = 0.95) -> Interval:
    """Return the second share minus the first, with Newcombe's hybrid score interval.

    Source: Newcombe 1998, method 10: the two Wilson intervals, put together by squares.

    >>> [round(float(bound[0]), 4) for bound in share_differences([48], 80, [56], 70)]
    [0.2, 0.0524, 0.3339]
    """
    counts = two(a, n_a, b, n_b)
    one = wilson_column(counts.a, counts.n_a, level)
    other = wilson_column(counts.b, counts.n_b, level)
    gap = other.mean - one.mean
    low = gap - np.hypot(other.mean - other.low, one.high - one.mean)
    return Interval(gap, low, gap + np.hypot(other.high - other.mean, one.mean - one.low))


def share_ratios(a: Any, n_a: int, b: Any, n_b: int, level: float = 0.95) -> Interval:
    """Return the second share over the first, with the interval of Donner & Zou 2012 (MOVER-R).

    It is made of the two Wilson intervals, so it is never wider than they allow, and exchanging
    the groups inverts it. Without a count in the first group ratio and upper bound are infinite;
    without any in either, the ratio is unknown and anything is possible.

    >>> [round(float(bound[0]), 2) for bound in share_ratios([34], 2900, [112], 3584)]
    [2.67, 1.82, 3.89]
    """
    counts = two(a, n_a, b, n_b)
    one = wilson_column(counts.a, counts.n_a, level)
    other = wilson_column(counts.b, counts.n_b, level)
    low = 1 / _upper(one, other)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Interval(other.mean / one.mean, low, _upper(other, one))


def _upper(over: Interval, under: Interval) -> Floats:
    """Return MOVER-R's upper bound of over / under; infinite where `under` may be 0."""
    product = over.mean * under.mean
    rest = over.high * under.low * (2 * over.mean - over.high) * (2 * under.mean - under.low)
    bottom = under.low * (2 * under.mean - under.low)
    top = product + np.sqrt(np.maximum(product**2 - rest, 0))
    return np.divide(top, bottom, out=np.full_like(top, np.inf), where=bottom > 0)


def rate_ratios(a: Any, n_a: float, b: Any, n_b: float, level: float = 0.95) -> Interval:
    """Return the second rate over the first with the exact conditional interval.

    Clopper and Pearson's interval of the share b / (a + b), as odds, times n_a / n_b.

    >>> [round(float(bound[0]), 3) for bound in rate_ratios([10], 100, [20], 100)]
    [2.0, 0.894, 4.785]
    """
    counts = two(a, n_a, b, n_b, shares=False)
    tail = (1 - check_level(level)) / 2
    low = beta_quantiles(tail, counts.b, counts.a + 1)
    high = beta_quantiles(1 - tail, counts.b + 1, counts.a)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = counts.n_a / counts.n_b
        return Interval(
            counts.b / counts.a * scale, low / (1 - low) * scale, high / (1 - high) * scale
        )
