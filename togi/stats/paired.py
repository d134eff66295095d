"""Two models on the same samples: the difference with its interval and its test."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from togi.errors import UsageError, nearest
from togi.stats.arrays import (
    Floats,
    Labels,
    Values,
    check_level,
    floats,
    same_length,
)
from togi.stats.bootstrap import Method, estimate_from, ratio_bounds
from togi.stats.bounds import Bounds, p_against, tango_bounds, unknown_bounds
from togi.stats.estimate import Estimate
from togi.stats.exact import Tested, is_binary, mcnemar, sign_flip, sign_test
from togi.stats.units import Units, standard_error, to_units

PairedMethod: TypeAlias = Literal["auto", "score"] | Method
PairedTest: TypeAlias = Literal["auto", "sign-flip", "mcnemar", "sign"]


@dataclass(frozen=True, slots=True)
class Paired:
    """A difference "after minus before" over the same samples.

    Attributes:
        estimate: the difference; its `n` counts independent units (clusters, where given).
        p_value: against no difference, two-sided, by `test`; NaN where it cannot be known.
        test: which test was done.
        n: how many pairs entered.
        dropped: how many pairs were left out because a side of them was unknown.
        sd: the spread of one unit's difference, for power: standard error · √units.
        bounds: the interval at any α; what `at` and `p_against` ask.
    """

    estimate: Estimate
    p_value: float
    test: str
    n: int
    dropped: int
    sd: float
    bounds: Bounds = field(repr=False, compare=False)

    def at(self, level: float) -> Estimate:
        """Return the difference with its interval at another level, of the same draws."""
        return estimate_from(self.estimate.mean, self.bounds, self.estimate.n, level)

    def p_against(self, difference: float) -> float:
        """Return the two-sided p-value against that true difference, by inverting the interval.

        It is at most α exactly where the interval of level 1 − α leaves `difference` out. Against
        0 it may differ a little from `p_value`, which is the permutation test's.
        """
        return p_against(self.bounds, difference)


def _paired(units: Units, bounds: Bounds, level: float, tested: Tested) -> Paired:
    """Put the parts together."""
    estimate = estimate_from(units.ratio, bounds, units.n, level)
    sd = standard_error(units) * math.sqrt(units.n)
    return Paired(estimate, tested.p_value, tested.test, units.rows, units.dropped, sd, bounds)


def _flipped(units: Units, seed: int) -> Tested:
    """Flip the signs of whole units; NaN where fewer than two are known."""
    if units.n < 2:
        return Tested(math.nan, "sign-flip permutation", units.n)
    return sign_flip(units.num, seed=seed)


def paired_difference(
    after: Values,
    before: Values,
    *,
    clusters: Labels | None = None,
    method: PairedMethod = "auto",
    test: PairedTest = "auto",
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Paired:
    """Return the mean difference of two models' scores on the same samples.

    Args:
        after: (rows,) the candidate's scores; NaN where unknown.
        before: (rows,) the baseline's scores of the same samples, in the same order.
        clusters: (rows,) labels of samples that belong together; resampled and flipped whole.
        method: of the interval. "auto" takes Tango's score interval ("score") where both are
            right or wrong (0 and 1) without clusters, and BCa else; see `bootstrap_mean` for the
            bootstrap's methods and for what is done where all differences are equal.
        test: of the p-value. "auto" takes McNemar's exact test for 0 and 1 without clusters and
            the sign-flip permutation test else; both hold their level exactly if the models are
            interchangeable, and the sign flip in the limit if only the means are equal. "sign"
            asks for the direction only.
        level: of the interval.
        draws: resamples of the bootstrap.
        seed: the same seed and pairs give the same numbers, in whatever order they come.

    Raises:
        DataError: columns of different length, infinite values, "score" or "mcnemar" on values
            that are not 0 and 1.
        UsageError: "score", "mcnemar" or "sign" with clusters; an unknown method or test.

    >>> found = paired_difference([0.9, 0.8, 0.7, float("nan")], [0.5, 0.6, 0.2, 0.3])
    >>> round(found.estimate.mean, 4), found.n, found.dropped, found.p_value
    (0.3667, 3, 1, 0.25)
    """
    check_level(level)
    one, two = floats(after, "after"), floats(before, "before")
    same_length(one, two, "'after' and 'before'")
    gap = one - two
    units = to_units(gap, None, clusters)
    binary = is_binary(one) and is_binary(two) and not units.clustered
    if method == "auto":
        method = "score" if binary else "bca"
    if test == "auto":
        test = "mcnemar" if binary else "sign-flip"
    if units.clustered and (method == "score" or test in ("sign", "mcnemar")):
        raise UsageError(
            "the score interval and the sign and McNemar tests need independent samples",
            where="paired_difference",
            found="clusters",
            expected='method "bca" and test "sign-flip"',
        )
    exact: dict[str, Callable[[], Tested]] = {
        "sign-flip": lambda: _flipped(units, seed),
        "mcnemar": lambda: mcnemar(one, two),
        "sign": lambda: sign_test(one, two),
    }
    if test not in exact:
        raise UsageError(f"unknown test '{test}'", where="stats", hint=nearest(test, exact))
    if method == "score":
        return _paired(units, _score_bounds(one, two), level, exact[test]())
    return _paired(units, ratio_bounds(units, method, draws, seed), level, exact[test]())


def _score_bounds(one: Floats, two: Floats) -> Bounds:
    """Return Tango's intervals of two columns of 0 and 1."""
    mcnemar(one, two)  # refuses what is not binary
    gap = one - two
    n = int((~np.isnan(gap)).sum())
    if n < 2:
        return unknown_bounds
    return partial(tango_bounds, b=int((gap == 1).sum()), c=int((gap == -1).sum()), n=n)


def paired_ratio_difference(
    numerators_after: Values,
    numerators_before: Values,
    denominators: Values,
    *,
    clusters: Labels | None = None,
    method: Method = "bca",
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Paired:
    """Return the difference of two ratios of sums over the same samples and denominators.

    For bits per byte: the bits of both models and the bytes of each text. Both ratios have the
    same denominator, so their difference is sum(after − before) / sum(denominators), itself one
    ratio, and the bootstrap resamples samples (or whole clusters) with all three numbers. The
    p-value is the sign-flip permutation test's: flipping a sign swaps the two models on that
    unit, which leaves the denominators alone; it is exact if the models are interchangeable,
    where inverting a bootstrap would hold its level only in the limit.

    Args:
        numerators_after: (rows,) the candidate's; a pair with a NaN anywhere is dropped.
        numerators_before: (rows,) the baseline's, of the same samples.
        denominators: (rows,) of both.
        clusters: (rows,) labels of samples that belong together.
        method: of the interval, as in `bootstrap_mean`.
        level: of the interval.
        draws: resamples of the bootstrap.
        seed: as in `paired_difference`.

    Raises:
        DataError: columns of different length, infinite values, negative denominators.

    Eight bits fewer over 16 bytes:

    >>> found = paired_ratio_difference([10.0, 6.0], [16.0, 8.0], [12.0, 4.0])
    >>> found.estimate.mean, found.p_value
    (-0.5, 0.5)
    """
    check_level(level)
    one = floats(numerators_after, "numerators after")
    two = floats(numerators_before, "numerators before")
    same_length(one, two, "the two numerators")
    units = to_units(one - two, floats(denominators, "denominators"), clusters)
    bounds = ratio_bounds(units, method, draws, seed)
    return _paired(units, bounds, level, _flipped(units, seed))
