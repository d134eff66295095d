"""Exact tests of counts in two groups, in log space: Fisher's, and that of two rates.

Both take whole columns: one entry for each thing that was counted (an n-gram), with its count in
the first and in the second group, and answer with ln p, which does not run out at 1e-308.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from togi.stats.arrays import Floats
from togi.stats.shares import two
from togi.stats.special import log_gamma

Counts: TypeAlias = NDArray[np.int64]
LogMass: TypeAlias = Callable[[NDArray[np.intp], Counts], Floats]

CELLS = 1 << 20  # probabilities that are held at once
TIE = 1e-7  # outcomes this much likelier than the observed one, in nats, count as equally likely
SPREADS, MORE = 12, 50  # a tail is summed for so many standard deviations and so many outcomes


def fisher_log_p(a: Any, n_a: int, b: Any, n_b: int) -> Floats:
    """Test by Fisher's exact test whether two shares differ; return ln p, two-sided.

    The p-value sums all tables with the same margins that are at most as likely as the observed
    one (Fisher 1935; the rule of R and scipy). Summed in log space, it does not run out at 1e-308.

    Args:
        a: (m,) how many of the first group have it.
        n_a: size of the first group.
        b: (m,) how many of the second.
        n_b: its size.

    Returns:
        (m,) natural logarithms of p-values.

    Raises:
        DataError: counts that are none, see `two`.

    The tea tasting: 3 of 4 against 1 of 4 has p = 34/70.

    >>> round(float(np.exp(fisher_log_p([3], 4, [1], 4))[0]) * 70, 9)
    34.0
    """
    counts = two(a, n_a, b, n_b)
    total = counts.a + counts.b
    whole = counts.n_a + counts.n_b
    choose = (log_gamma(total + 1) + log_gamma(whole - total + 1)) - log_gamma(np.array(whole + 1))
    ways = log_gamma(np.array(counts.n_a + 1)) + log_gamma(np.array(counts.n_b + 1))

    def log_mass(rows: NDArray[np.intp], k: Counts) -> Floats:
        rest = total[rows] - k
        inside = log_gamma(k + 1.0) + log_gamma(counts.n_b - k + 1)
        outside = log_gamma(rest + 1) + log_gamma(counts.n_a - rest + 1)
        return choose[rows] + ways - inside - outside

    share = total / whole
    variance = share * (1 - share) * counts.n_a * counts.n_b / max(1.0, whole - 1)
    return _two_sided(
        counts.b.astype(np.int64),
        np.floor((total + 1) * (counts.n_b + 1) / (whole + 2)).astype(np.int64),
        variance,
        np.maximum(0, total - counts.n_a).astype(np.int64),
        np.minimum(total, counts.n_b).astype(np.int64),
        log_mass,
    )


def rates_log_p(a: Any, n_a: float, b: Any, n_b: float) -> Floats:
    """Test whether two rates of independent events differ; return ln p, two-sided.

    Given their sum, the second count is binomial with the share n_b / (n_a + n_b) if both rates
    are equal (Przyborowski & Wilenski 1940). Sums, errors and arguments are as in
    `fisher_log_p`, but a count may be larger than its group's size, which is an exposure.

    Eight events against two at equal exposure: (1 + 10 + 45) · 2 of 1,024 arrangements.

    >>> round(float(np.exp(rates_log_p([8], 100, [2], 100))[0]) * 1024, 9)
    112.0
    """
    counts = two(a, n_a, b, n_b, shares=False)
    total = counts.a + counts.b
    share = counts.n_b / (counts.n_a + counts.n_b)
    whole = log_gamma(total + 1)

    def log_mass(rows: NDArray[np.intp], k: Counts) -> Floats:
        rest = total[rows] - k
        ways = whole[rows] - log_gamma(k + 1.0) - log_gamma(rest + 1)
        return ways + k * np.log(share) + rest * np.log1p(-share)

    return _two_sided(
        counts.b.astype(np.int64),
        np.minimum(np.floor((total + 1) * share), total).astype(np.int64),
        total * share * (1 - share),
        np.zeros(len(total), np.int64),
        total.astype(np.int64),
        log_mass,
    )


def _two_sided(
    observed: Counts, mode: Counts, variance: Floats, least: Counts, most: Counts, log_mass: LogMass
) -> Floats:
    """Sum the outcomes at most as likely as the observed one, of a mass with one peak.

    The tail that starts at the observed outcome, and the one on the other side of the peak, whose
    start is found by bisection. The masses are log-concave, so that each tail falls at least as
    fast as from the peak: what lies beyond `SPREADS` standard deviations and `MORE` is nothing.
    """
    every = np.arange(len(observed))
    here = log_mass(every, observed)
    up = observed >= mode
    reach = (SPREADS * np.sqrt(variance)).astype(np.int64) + MORE
    far = _other_side(every, here, mode, np.where(up, least - 1, most + 1), log_mass)
    right, left = np.where(up, observed, far), np.where(up, far, observed)
    total = _tail_sums(right, np.minimum(most, right + reach), here, log_mass)
    total += _tail_sums(np.maximum(least, left - reach), left, here, log_mass)
    at_peak = log_mass(every, mode) <= here + TIE
    return np.minimum(0.0, np.where(at_peak, 0.0, here + np.log(total)))


def _other_side(
    every: NDArray[np.intp], here: Floats, mode: Counts, beyond: Counts, log_mass: LogMass
) -> Counts:
    """Find, from the peak towards the first impossible outcome `beyond`, where it is as unlikely.

    Returns:
        The outcome nearest to the peak that is at most as likely as the observed one; `beyond`
        where there is none.
    """
    near, found = mode.copy(), beyond.copy()
    while (open_rows := np.flatnonzero(abs(found - near) > 1)).size:
        middle = (near[open_rows] + found[open_rows]) // 2
        low = log_mass(every[open_rows], middle) <= here[open_rows] + TIE
        found[open_rows[low]] = middle[low]
        near[open_rows[~low]] = middle[~low]
    return found


def _tail_sums(low: Counts, high: Counts, here: Floats, log_mass: LogMass) -> Floats:
    """Sum exp(log mass − here) from low to high of each row, a bounded number of cells at once."""
    widths = np.maximum(high - low + 1, 0)
    out = np.zeros(len(low))
    first = 0
    while first < len(low):
        ends = np.cumsum(widths[first:])
        last = first + max(1, int(np.searchsorted(ends, CELLS, side="right")))
        rows = np.repeat(np.arange(first, last), widths[first:last])
        begun = np.concatenate([[0], ends[: last - first - 1]]).astype(np.int64)
        k = low[rows] + np.arange(len(rows)) - begun[rows - first]
        mass = np.exp(np.minimum(log_mass(rows, k) - here[rows], TIE))
        out[first:last] = np.bincount(rows - first, mass, minlength=last - first)
        first = last
    return out
