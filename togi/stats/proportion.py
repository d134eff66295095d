"""Intervals of a proportion."""

from __future__ import annotations

import math
from functools import partial

from togi.errors import DataError
from togi.stats.bootstrap import estimate_from
from togi.stats.bounds import unknown_bounds, wilson_bounds
from togi.stats.estimate import Estimate


def wilson(k: float, n: int, level: float = 0.95) -> Estimate:
    """Return k of n as a proportion with Wilson's score interval (Wilson 1927).

    The usual interval of an accuracy: it never leaves [0, 1], is not of zero width at 0 of n,
    and covers about its level from n of 5 or so upwards.

    Args:
        k: how many were right; need not be whole (half credits).
        n: out of how many independent ones.
        level: of the interval.

    Returns:
        The estimate; NaN bounds below two, a NaN mean at n = 0.

    Raises:
        DataError: k outside 0 … n.
        UsageError: a level outside (0, 1).

    >>> found = wilson(8, 10)
    >>> found.mean, round(found.low, 4), round(found.high, 4)
    (0.8, 0.4902, 0.9433)
    >>> wilson(0, 0).known
    False
    """
    if not 0 <= k <= n:
        raise DataError(f"{k} of {n} is not a proportion", where="wilson", expected="0 ≤ k ≤ n")
    bounds = partial(wilson_bounds, k=k, n=n) if n >= 2 else unknown_bounds
    return estimate_from(k / n if n else math.nan, bounds, n, level)
