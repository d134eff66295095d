"""Resamples and swaps of independent units that stand in strata; any statistic of their sums.

A side of trust is made of scenarios that share some of their units and not others. Units that
occur in the same scenarios form a stratum; each is resampled by itself, so that no scenario is
ever empty. Two models are compared on the same resamples, and tested by swapping them on whole
units: if they were interchangeable, each unit's answers could as well have been the other's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from togi.stats.arrays import Floats
from togi.stats.bootstrap import CELLS, resampled_sums
from togi.stats.estimate import Estimate
from togi.stats.proportion import wilson
from togi.stats.resampled import drawn_estimate
from togi.stats.rng import stream

FEW = 8
"""A stratum of fewer units joins the one that is most like it."""


def strata_of(present: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Give units that occur in the same scenarios the same number.

    Where fewer than `FEW` units occur in the very same scenarios, they join those that have the
    most in common with them, if there are any that share a scenario: a unit that is resampled by
    itself would look as if it could not have been another one.

    Args:
        present: (units, scenarios) whether a unit occurs in a scenario.

    >>> present = np.array([[True, False]] * 8 + [[True, True]] * 8 + [[False, True]])
    >>> strata_of(present).tolist()
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    """
    if not len(present):
        return np.empty(0, dtype=np.intp)
    patterns, codes = np.unique(present, axis=0, return_inverse=True)
    joined = _joined(patterns, np.bincount(codes.reshape(-1)))
    return np.unique(joined[codes.reshape(-1)], return_inverse=True)[1].astype(np.intp)


def _joined(patterns: NDArray[np.bool_], sizes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the pattern that each pattern's units join; its own where it is not rare."""
    joins = np.arange(len(patterns))
    sizes, alone = sizes.copy(), np.zeros(len(patterns), dtype=np.bool_)
    while (rare := np.flatnonzero((sizes > 0) & (sizes < FEW) & ~alone)).size:
        one = int(rare[sizes[rare].argmin()])
        differ = (patterns != patterns[one]).sum(axis=1)
        shares = (patterns & patterns[one]).any(axis=1) & (sizes > 0)
        shares[one] = False
        if not shares.any():
            alone[one] = True
            continue
        other = int(np.flatnonzero(shares)[differ[shares].argmin()])
        joins[joins == one] = other
        sizes[other] += sizes[one]
        sizes[one] = 0
    return joins


def least_units(strata: NDArray[np.intp]) -> int:
    """Return how many units the smallest stratum has; 0 where there are none.

    >>> least_units(np.array([0, 0, 1]))
    1
    """
    return int(np.bincount(strata).min()) if len(strata) else 0


def stratified_sums(
    units: Floats, strata: NDArray[np.intp], draws: int, rng: np.random.Generator
) -> Floats:
    """Draw as many units of each stratum as it has, with replacement, and sum the columns.

    Args:
        units: (n, c) what is summed.
        strata: (n,) the stratum of each unit.
        draws: how many resamples.
        rng: where the randomness comes from.

    Returns:
        (draws, c) sums.

    >>> rows = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> stratified_sums(rows, np.array([0, 0, 1]), 2, np.random.default_rng(0)).tolist()
    [[2.0, 1.0], [2.0, 1.0]]
    """
    sums = np.zeros((draws, units.shape[1]))
    for code in range(int(strata.max(initial=-1)) + 1):
        sums += resampled_sums(units[strata == code], draws, rng)
    return sums


def swapped_sums(gaps: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Sum the units' gaps between two models with random signs: a swap of whole units.

    Args:
        gaps: (n, c) one model's sums minus the other's, of each unit.
        draws: how many swaps.
        rng: where the randomness comes from.

    >>> np.unique(np.abs(swapped_sums(np.ones((1, 1)), 9, np.random.default_rng(0)))).tolist()
    [1.0]
    """
    out = np.empty((draws, gaps.shape[1]))
    rows = max(1, CELLS // max(1, len(gaps)))
    for start in range(0, draws, rows):
        count = min(rows, draws - start)
        signs = 1.0 - 2.0 * rng.integers(0, 2, size=(count, len(gaps)))
        out[start : start + count] = signs @ gaps
    return out


def bounded_estimate(
    value: float, drawn: Floats, *, units: int, least: int, most: float, level: float = 0.95
) -> Estimate:
    """Return an estimate from resamples, also where none of them moves it from an end.

    Args:
        value: the statistic of all units.
        drawn: (draws,) that of each resample.
        units: how many units it is made of.
        least: how many the smallest stratum has; the interval is as wide as that asks for.
        most: the greatest value that is possible, 0 being the least; NaN where it has no ends.
        level: of the interval.

    Five of five, in no resample anything else, get Wilson's interval and not a width of zero:

    >>> found = bounded_estimate(100.0, np.full(9, 100.0), units=5, least=5, most=100.0)
    >>> round(found.low, 1), found.high, found.n
    (56.6, 100.0, 5)
    """
    at_an_end = not np.isnan(most) and value in (0.0, most)
    if least >= 2 and at_an_end and (drawn == value).all():
        ends = wilson(units * value / most, units, level)
        return Estimate(value, most * ends.low, most * ends.high, units, level)
    return replace(drawn_estimate(value, drawn, least, level), n=units)


def swap_test(observed: float, drawn: Floats) -> float:
    """Return the two-sided p-value of a difference against those of swapped units.

    The observed one counts among them (Phipson & Smyth 2010); a swap that leaves the difference
    undefined counts as extreme.

    >>> swap_test(3.0, np.array([1.0, -3.0, 0.5]))
    0.5
    """
    if np.isnan(observed):
        return float("nan")
    fuzz = 1e-12 * max(1.0, abs(observed))
    extreme = np.isnan(drawn) | (np.abs(drawn) >= abs(observed) - fuzz)
    return float((1 + extreme.sum()) / (1 + len(drawn)))


def draws_of(
    units: Floats, strata: NDArray[np.intp], *, draws: int, seed: int, names: Sequence[str] = ()
) -> Floats:
    """Return the sums of all units in the first row and those of the resamples after it.

    >>> draws_of(np.ones((2, 1)), np.array([0, 0]), draws=1, seed=0).tolist()
    [[2.0], [2.0]]
    """
    rng = stream(seed, "stats", "stratified", *names)
    return np.vstack([units.sum(axis=0), stratified_sums(units, strata, draws, rng)])
