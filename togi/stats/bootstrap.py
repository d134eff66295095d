"""Bootstrap intervals of a mean or of a ratio of sums, with clusters, reproducible and bounded.

Everything is a ratio of sums over independent units: a mean has the denominator 1 for each
sample, a clustered mean the sums and sizes of the clusters (the clusters are resampled), bits
per byte the bits and bytes. One resampling core serves them all.

Sources: Efron 1987 (BCa), Efron & Tibshirani 1993 (chapters 12 to 14), Hesterberg 2015 (why the
plain intervals are too narrow for small n, and by how much).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from togi.errors import UsageError, nearest
from togi.stats.arrays import Floats, Labels, Values, check_draws, check_level, floats
from togi.stats.bounds import (
    Bounds,
    same_bounds,
    student_bounds,
    unknown_bounds,
    wilson_bounds,
)
from togi.stats.estimate import Estimate
from togi.stats.rng import stream
from togi.stats.special import normal_cdf, normal_quantile
from togi.stats.units import Units, jackknife, standard_error, to_units

Method: TypeAlias = Literal["bca", "percentile", "studentised"]

CELLS = 1 << 20  # resampled cells held at once: some 25 MB, whatever n and draws are
TAIL = 5  # fewer draws than this beyond a bound do not tell where it lies


def resampled_sums(columns: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Draw n of n units with replacement and sum each column.

    Args:
        columns: (n, c) what is summed.
        draws: how many resamples.
        rng: where the randomness comes from.

    Returns:
        (draws, c) sums. The draws do not depend on how the work is cut into chunks.

    >>> from togi.stats.rng import stream
    >>> resampled_sums(np.ones((5, 1)), 100, stream(0)).max()
    np.float64(5.0)
    """
    n, width = columns.shape
    out = np.empty((draws, width))
    rows = max(1, CELLS // n)
    for start in range(0, draws, rows):
        count = min(rows, draws - start)
        picks = rng.integers(0, n, size=(count, n))
        picks += np.arange(count)[:, None] * n
        times = np.bincount(picks.ravel(), minlength=count * n).reshape(count, n)
        out[start : start + count] = times.astype(np.float64) @ columns
    return out


def _quantile(ordered: Floats, p: float) -> float:
    """Return the p-quantile of ordered draws, linear between neighbours."""
    place = min(max(p, 0.0), 1.0) * (len(ordered) - 1)
    below = min(int(place), len(ordered) - 2)
    step = float(ordered[below + 1] - ordered[below])
    return float(ordered[below]) + (place - below) * step


def percentile_bounds(alpha: float, *, ordered: Floats) -> tuple[float, float]:
    """Return the textbook's percentile interval of the ordered draws.

    >>> percentile_bounds(0.5, ordered=np.arange(5.0))
    (1.0, 3.0)
    """
    return _quantile(ordered, alpha / 2), _quantile(ordered, 1 - alpha / 2)


def bca_share(z: float, bias: float, acceleration: float) -> float:
    """Return which share of the draws lies below the BCa bound of normal quantile z.

    Source: Efron 1987, eq. 2.3.

    >>> bca_share(0.0, 0.0, 0.1)
    0.5
    """
    shifted = bias + z
    scale = 1 - acceleration * shifted
    # beyond the pole of the formula the bound has gone to the end of the draws
    return normal_cdf(bias + shifted / scale) if scale > 0 else float(shifted > 0)


def bca_bounds(
    alpha: float, *, ordered: Floats, bias: float, acceleration: float, student: Bounds, se: float
) -> tuple[float, float]:
    """BCa interval, widened at small n.

    The bootstrap is too narrow at small n: its spread is that of n, not n − 1, and it knows no
    Student's t (Hesterberg 2015, section 5.2.1: for a mean, z becomes √(n/(n−1)) · t(n−1)). So
    the normal quantile is replaced by what Student's t with the jackknife's standard error is in
    units of `se`, the bootstrap's own; for a ratio that also heals where few long texts carry
    the sum. Where fewer than five draws lie beyond a bound they do not tell where it is; the
    further one of theirs and Student's is taken, so that n of 2 to 5 gets Student's width.
    """
    edges = student(alpha)
    z = -(edges[1] - edges[0]) / 2 / se
    low_share, high_share = bca_share(z, bias, acceleration), bca_share(-z, bias, acceleration)
    low, high = _quantile(ordered, low_share), _quantile(ordered, high_share)
    few = TAIL / len(ordered)
    blind = normal_cdf(z) < few
    if blind or low_share < few:
        low = min(low, edges[0])
    if blind or 1 - high_share < few:
        high = max(high, edges[1])
    return low, high


def studentised_bounds(
    alpha: float, *, value: float, se: float, ordered: Floats, student: Bounds
) -> tuple[float, float]:
    """Bootstrap-t interval: value − t* · se; `ordered` are the ordered draws of t*."""
    low = value - _quantile(ordered, 1 - alpha / 2) * se
    high = value - _quantile(ordered, alpha / 2) * se
    if alpha / 2 * len(ordered) < TAIL:
        edge = student(alpha)
        return min(low, edge[0]), max(high, edge[1])
    return low, high


def bias_of(offsets: Floats) -> float:
    """Return BCa's z₀ from the draws' distances to the estimate; ties count half."""
    fuzz = 1e-12 * float(np.abs(offsets).max())
    below = (offsets < -fuzz).sum() + 0.5 * (np.abs(offsets) <= fuzz).sum()
    least = 0.5 / len(offsets)
    return normal_quantile(min(max(float(below) / len(offsets), least), 1 - least))


def acceleration_of(moves: Floats) -> float:
    """Return BCa's acceleration from the jackknife (Efron 1987, eq. 6.6)."""
    spread = moves.mean() - moves
    size = float((spread**2).sum()) ** 1.5
    return float((spread**3).sum()) / (6 * size) if size else 0.0


def _studentise(rest: Floats, den: Floats, draws: Floats) -> Floats:
    """Return the ordered t* of the draws; draws without any spread are left out."""
    n = len(rest)
    offset = draws[:, 0] / draws[:, 1]
    square = draws[:, 2] - 2 * offset * draws[:, 3] + offset**2 * draws[:, 4]
    se = np.sqrt(np.maximum(square, 0) * n / (n - 1)) / draws[:, 1]
    floor = 1e-9 * float(np.sqrt(rest @ rest)) / float(den.sum())
    return np.sort(offset[se > floor] / se[se > floor])


def ratio_bounds(units: Units, method: Method, draws: int, seed: int) -> Bounds:
    """Return the family of intervals of sum(num) / sum(den) over independent units."""
    if method not in ("bca", "percentile", "studentised"):
        choices = ["bca", "percentile", "studentised"]
        raise UsageError(f"unknown method '{method}'", where="stats", hint=nearest(method, choices))
    value = units.ratio
    if int((units.den > 0).sum()) < 2:
        return unknown_bounds
    rest = units.num - value * units.den
    if np.abs(rest).max() <= 1e-12 * max(float(np.abs(units.num).max()), 1e-300):
        return partial(same_bounds, value=value, n=units.n)
    # deviations from the estimate are resampled, not the values: no digits are lost far from 0
    columns = [rest, units.den]
    if method == "studentised":
        columns += [rest**2, rest * units.den, units.den**2]
    sums = resampled_sums(
        np.column_stack(columns), check_draws(draws), stream(seed, "stats", "bootstrap")
    )
    sums = sums[sums[:, 1] > 0]
    se = math.sqrt(float(rest @ rest)) / float(units.den.sum())
    student = partial(
        student_bounds, value=value, se=standard_error(units), df=max(1.0, units.effective - 1)
    )
    offsets = sums[:, 0] / sums[:, 1]
    if method == "studentised":
        ordered = _studentise(rest, units.den, sums)
        if len(ordered) < draws / 2:  # two units: most draws repeat one and have no spread
            return student
        se *= math.sqrt(units.n / (units.n - 1))
        return partial(studentised_bounds, value=value, se=se, ordered=ordered, student=student)
    ordered = np.sort(value + offsets)
    if method == "percentile":
        return partial(percentile_bounds, ordered=ordered)
    return partial(
        bca_bounds,
        ordered=ordered,
        bias=bias_of(offsets),
        acceleration=acceleration_of(jackknife(units)),
        student=student,
        se=se,
    )


def estimate_from(value: float, bounds: Bounds, n: int, level: float) -> Estimate:
    """Return the estimate with its interval at that level."""
    low, high = bounds(1 - check_level(level))
    return Estimate(value, low, high, n, level)


def bootstrap_mean(
    values: Values,
    *,
    clusters: Labels | None = None,
    method: Method = "bca",
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return the mean of the values with a bootstrap interval.

    Args:
        values: (rows,) one number per sample; NaN is unknown and left out.
        clusters: (rows,) labels of samples that belong together (module, document, rater);
            whole clusters are resampled and `n` counts clusters.
        method: "bca" (bias-corrected, accelerated; widened at small n, see `bca_bounds`),
            "percentile" (the textbook's, too narrow below some 50 units), or "studentised"
            (bootstrap-t: wider, covers best on skewed data below some 20 units; Student's own
            at two).
        level: of the interval.
        draws: how many resamples.
        seed: the same seed and values give the same interval, in whatever order they come.

    Returns:
        The estimate; its bounds are NaN below two units. Values that are all equal have no
        spread to resample: all 0 or all 1 are read as a proportion and get Wilson's interval;
        any other constant gets zero width where n is large enough for it to be honest (29 at
        95 %, see `units_to_trust_sameness`) and NaN below.

    Raises:
        DataError: infinite values, or columns of different length.
        UsageError: a level, method or number of draws that makes no sense.

    >>> bootstrap_mean([0.3, 0.1, 0.4, 0.1, 0.5, 0.9, 0.2, 0.6]).mean
    0.3875
    >>> bootstrap_mean([1.0])
    Estimate(mean=1.0, low=nan, high=nan, n=1, level=0.95)
    """
    check_level(level)
    units = to_units(floats(values, "values"), None, clusters)
    if units.n >= 2 and units.ratio in (0.0, 1.0) and np.ptp(units.num / units.den) == 0:
        bounds: Bounds = partial(wilson_bounds, k=units.ratio * units.n, n=units.n)
    else:
        bounds = ratio_bounds(units, method, draws, seed)
    return estimate_from(units.ratio, bounds, units.n, level)


def bootstrap_ratio(
    numerators: Values,
    denominators: Values,
    *,
    clusters: Labels | None = None,
    method: Method = "bca",
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return sum(numerators) / sum(denominators) with a bootstrap interval.

    Bits per byte of a corpus is such a ratio: long texts weigh more, and numerator and
    denominator of one sample are resampled together. Arguments and errors are those of
    `bootstrap_mean`; a sample whose numerator or denominator is NaN is left out; the ratio of a
    zero denominator is NaN.

    >>> bootstrap_ratio([2.0, 1.0, 6.0], [4.0, 2.0, 3.0]).mean
    1.0
    """
    check_level(level)
    units = to_units(
        floats(numerators, "numerators"), floats(denominators, "denominators"), clusters
    )
    return estimate_from(units.ratio, ratio_bounds(units, method, draws, seed), units.n, level)
