"""Gaps between groups of people: demographic parity and equalised odds, with their intervals.

A gap is an absolute difference, so an estimate of it is never negative, is too large on average
where the true gap is small, and its naive interval never holds 0. A single gap's interval is
therefore what the intervals of the signed differences allow (Newcombe's, of two shares); that
of a mean of gaps corrects the excess first (`mean_gap_bounds`).

Sources: Dwork et al. 2012 and Hardt, Price & Srebro 2016 for the two gaps; Newcombe 1998, method
10, for the interval of a difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from togi.stats.arrays import Floats, check_level
from togi.stats.estimate import Estimate
from togi.stats.shares import share_differences
from togi.stats.special import normal_quantile

EXCESS = {1: 2 / math.sqrt(math.pi), 2: math.sqrt(math.pi / 2) / math.atan(math.sqrt(0.5))}
"""How many differences a gap is the greatest of -> the height of `corrected`'s correction.

So high that, where all differences are 0, the corrected gap is 0 on average: E max|z| over
E exp(−max z² / 2), for one or two standard normal z; about 1.128 and 2.036.
"""


FAR = 50.0
"Standard errors beyond which an excess is nothing."


class Share(NamedTuple):
    """How many of a group's members were predicted positive."""

    positive: float
    n: float


def absolute(low: float, high: float) -> tuple[float, float]:
    """Return the bounds of |x| where x lies between low and high.

    >>> absolute(-0.1, 0.3), absolute(0.2, 0.3), absolute(-0.4, -0.1)
    ((0.0, 0.3), (0.2, 0.3), (0.1, 0.4))
    """
    least = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return least, max(abs(low), abs(high))


def greatest_gap(families: Sequence[Sequence[Share]], level: float = 0.95) -> Estimate:
    """Return the greatest difference of two shares within any of the families.

    Each family holds one share for each group of people. All pairs of groups are compared; their
    intervals are widened together (Bonferroni), so that the greatest of them is covered as well.

    Returns:
        The estimate, NaN where a group of some family is empty or there is only one; n is the
        size of all groups.

    >>> found = greatest_gap([[Share(48, 80), Share(56, 70)]])
    >>> round(found.mean, 4), round(found.low, 4), round(found.high, 4), found.n
    (0.2, 0.0524, 0.3339, 150)
    """
    n = int(sum(share.n for family in families for share in family))
    pairs = [pair for family in families for pair in combinations(family, 2)]
    if not pairs or any(not share.n > 0 for pair in pairs for share in pair):
        return Estimate(math.nan, math.nan, math.nan, n, level)
    each = 1 - (1 - check_level(level)) / len(pairs)
    found: list[tuple[float, float, float]] = []
    for one, two in pairs:
        gap = share_differences([one.positive], int(one.n), [two.positive], int(two.n), each)
        bounds = absolute(float(gap.low[0]), float(gap.high[0]))
        found.append((abs(float(gap.mean[0])), *bounds))
    mean, low, high = (max(column) for column in zip(*found, strict=True))
    return Estimate(mean, low, high, n, level)


def demographic_parity(selected: Sequence[Share], level: float = 0.95) -> Estimate:
    """Return the demographic-parity difference: max over groups of |P(ŷ=1 | a) − P(ŷ=1 | b)|.

    Two of four men and none of four women are predicted positive:

    >>> demographic_parity([Share(2, 4), Share(0, 4)]).mean
    0.5
    """
    return greatest_gap([selected], level)


def equalised_odds(
    true_positive: Sequence[Share], false_positive: Sequence[Share], level: float = 0.95
) -> Estimate:
    """Return the equalised-odds difference: max(|ΔTPR|, |ΔFPR|) over groups.

    Both groups' positives are always found; of the others one man of two is called positive:

    >>> equalised_odds([Share(2, 2), Share(2, 2)], [Share(1, 2), Share(0, 2)]).mean
    0.5
    """
    return greatest_gap([true_positive, false_positive], level)


def corrected(gap: Floats, error: Floats, of: int) -> Floats:
    """Take the excess out of absolute differences: |d| − c · s · exp(−d² / 2s²).

    The excess of |d| over its true value is s·√(2/π) where the truth is 0 and fades away within
    two standard errors s. The corrected value is right on average at 0, and a little too low
    beyond, never too high: made for a lower bound.

    Args:
        gap: (k,) |d|, or the greatest of several.
        error: (k,) standard errors.
        of: how many differences a gap is the greatest of, 1 or 2.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(error > 0, np.minimum(gap / error, FAR), FAR)
    return gap - EXCESS[of] * error * np.exp(-(ratio**2) / 2)


def mean_gap_bounds(signed: Floats, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of the mean over k sets of the greatest absolute difference in each.

    The lower bound is the mean of the corrected gaps minus a margin, the upper one the mean of
    the gaps plus it. The margin is that of the mean of the signed differences, each with its
    observed sign; resamples tell it, so the sets may share people.

    Args:
        signed: (1 + draws, k, m) the m signed differences of each set: observed ones first, then
            those of resamples; m is 1 (demographic parity) or 2 (equalised odds).
        level: of the interval.

    Returns:
        The bounds, the lower at least 0; NaN where a difference is undefined or nothing was
        resampled.
    """
    if len(signed) < 3 or not np.isfinite(signed[0]).all():
        return math.nan, math.nan
    place = np.abs(signed[0]).argmax(axis=1)[None, :, None]
    place = np.broadcast_to(place, (len(signed), signed.shape[1], 1))
    greatest = np.take_along_axis(signed, place, axis=2)[:, :, 0]
    turned = greatest * np.where(greatest[0] < 0, -1.0, 1.0)
    error = np.nanstd(turned[1:], axis=0)
    margin = -normal_quantile((1 - check_level(level)) / 2) * float(np.nanstd(turned[1:].mean(1)))
    low = float(corrected(turned[0], error, signed.shape[2]).mean()) - margin
    return max(0.0, low), float(turned[0].mean()) + margin
