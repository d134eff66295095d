"""Families of nested intervals: a function from α to (low, high), and its inversion to p-values.

A `Bounds` takes the error probability α = 1 − level, because 1 − level loses digits where α is
tiny. Wider confidence never gives a narrower interval, so that the largest α whose interval
still holds a value is a p-value against that value: intervals and tests agree by construction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from togi.stats.special import find_root, normal_quantile, t_quantile

Bounds: TypeAlias = Callable[[float], tuple[float, float]]

UNKNOWN = (math.nan, math.nan)
SMALLEST_P = 1e-12
MAY_DIFFER = 0.1


def unknown_bounds(alpha: float) -> tuple[float, float]:
    """Too few units: nothing is known, at any level.

    >>> unknown_bounds(0.05)
    (nan, nan)
    """
    del alpha
    return UNKNOWN


def units_to_trust_sameness(alpha: float) -> int:
    """Return how many equal values it takes before a zero-width interval is honest.

    After n equal values a share r of others may still exist with (1 − r)ⁿ > α (the "rule of
    three" where α is .05). The interval is called zero-width once r is at most a tenth.

    >>> units_to_trust_sameness(0.05)
    29
    """
    return max(2, math.ceil(math.log(alpha) / math.log(1 - MAY_DIFFER)))


def same_bounds(alpha: float, *, value: float, n: int) -> tuple[float, float]:
    """All n values are equal: zero width where n is large enough, unknown where it is not.

    >>> same_bounds(0.05, value=0.5, n=28), same_bounds(0.05, value=0.5, n=29)
    ((nan, nan), (0.5, 0.5))
    """
    return (value, value) if n >= units_to_trust_sameness(alpha) else UNKNOWN


def student_bounds(alpha: float, *, value: float, se: float, df: float) -> tuple[float, float]:
    """Student's t: value ± t(1 − α/2, df) · se.

    >>> low, high = student_bounds(0.05, value=0.0, se=1.0, df=4)
    >>> round(low, 3), round(high, 3)
    (-2.776, 2.776)
    """
    half = -t_quantile(alpha / 2, df) * se
    return value - half, value + half


def wilson_bounds(alpha: float, *, k: float, n: int) -> tuple[float, float]:
    """Wilson 1927's score interval of k of n.

    >>> low, high = wilson_bounds(0.05, k=8, n=10)
    >>> round(low, 4), round(high, 4)
    (0.4902, 0.9433)
    """
    z2 = normal_quantile(alpha / 2) ** 2
    centre = (k + z2 / 2) / (n + z2)
    half = math.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    # at k = 0 and k = n the exact bound is the edge; rounding must not move it inside
    return (0.0 if k == 0 else centre - half), (1.0 if k == n else centre + half)


def _tango_score(delta: float, b: int, c: int, n: int) -> float:
    """Score statistic of H₀: p₁₀ − p₀₁ = delta (Tango 1998, eq. 8 and 9); falls with delta."""
    linear = -b - c + (2 * n - b + c) * delta
    constant = -c * delta * (1 - delta)
    q = (math.sqrt(max(0.0, linear * linear - 8 * n * constant)) - linear) / (4 * n)
    variance = n * (2 * q + delta * (1 - delta))
    gap = b - c - n * delta
    if variance <= 0:
        return math.copysign(math.inf, gap) if gap else 0.0
    return gap / math.sqrt(variance)


def tango_bounds(alpha: float, *, b: int, c: int, n: int) -> tuple[float, float]:
    """Tango 1998's score interval of a difference of paired proportions.

    Args:
        alpha: 1 − level.
        b: pairs in which only the first is right.
        c: pairs in which only the second is right.
        n: all pairs.

    It holds its level where the bootstrap does not: few pairs that differ, or none. With none
    it is ± z²/(n + z²):

    >>> low, high = tango_bounds(0.05, b=0, c=0, n=50)
    >>> round(low, 3), round(high, 3), round(1.96**2 / (50 + 1.96**2), 3)
    (-0.071, 0.071, 0.071)
    """
    z = -normal_quantile(alpha / 2)
    value = (b - c) / n
    if z <= 0:
        return value, value
    low, high = -1.0, 1.0
    if value > low:
        low = find_root(lambda d: _tango_score(d, b, c, n) - z, -1 + 1e-13, value)
    if value < high:
        high = find_root(lambda d: _tango_score(d, b, c, n) + z, value, 1 - 1e-13)
    return low, high


def level_of(decided: Callable[[float], bool], *, steps: int = 40) -> float:
    """Return the smallest α at which `decided(α)` holds; 1 if it never does.

    It must hold from some α upwards, as "the interval leaves a value out" does; the α is found
    by bisection on its logarithm, down to 1e-12.

    >>> round(level_of(lambda alpha: alpha > 0.05), 6)
    0.05
    """
    if not decided(1.0):
        return 1.0
    if decided(SMALLEST_P):
        return SMALLEST_P
    low, high = math.log(SMALLEST_P), 0.0
    for _ in range(steps):
        middle = (low + high) / 2
        if decided(math.exp(middle)):
            high = middle
        else:
            low = middle
    return math.exp(high)


def p_against(bounds: Bounds, value: float) -> float:
    """Return the two-sided p-value against `value`: the largest α whose interval holds it.

    >>> from functools import partial
    >>> round(p_against(partial(wilson_bounds, k=8, n=10), 0.5), 3)
    0.058
    """

    def left_out(alpha: float) -> bool:
        low, high = bounds(alpha)
        return low > value or high < value

    return math.nan if math.isnan(bounds(1.0)[0]) else level_of(left_out)
