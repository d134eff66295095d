"""Effects of personas: paired differences with intervals, and plainly said where there is none.

Every effect is a difference over the same games, questions or things. It counts as *detected*
where its p-value, corrected for all that were asked in its family, is at most alpha and its
interval leaves zero out. Else it is "not detected", and beside it stands what would have been:
the smallest true difference that this many units show with the stated power.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.evaluate.personas.persona import NONE, PAIRED_KINDS, Persona
from togi.evaluate.personas.weights import Slope, dealt
from togi.stats import holm, minimum_detectable_effect, paired_difference
from togi.stats.arrays import Labels
from togi.stats.estimate import Estimate
from togi.stats.resampled import unit_sums
from togi.stats.smooth import smooth_estimate

Floats = NDArray[np.float64]
DECADE = 10.0
"Years of age for which a slope is told."
AGES = "10 years of age"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How sure one wants to be.

    Attributes:
        alpha: chance of any wrong "detected" in a family of effects.
        power: chance with which the smallest detectable effect would have been seen.
        draws: resamples.
        seed: of them.
    """

    alpha: float = 0.05
    power: float = 0.8
    draws: int = 1000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class About:
    """What an effect is about: model, measure with its unit, and the two sides."""

    model: str
    measure: str
    unit: str
    after: str = ""
    before: str = ""

    def facts(self) -> dict[str, str]:
        """Return it as the first fields of an effect."""
        return {
            "model": self.model, "measure": self.measure, "unit": self.unit,
            "after": self.after, "before": self.before,
        }  # fmt: skip


def comparisons(people: Sequence[Persona]) -> list[tuple[int, int]]:
    """Return which personas are compared: each with none, and those of one kind with each other.

    >>> from togi.evaluate.personas.persona import chosen
    >>> comparisons(chosen(["none", "ethnicities"]))
    [(1, 0), (2, 0), (1, 2)]
    """
    names = [who.name for who in people]
    pairs: list[tuple[int, int]] = []
    if NONE in names:
        none = names.index(NONE)
        pairs += [(place, none) for place in range(len(people)) if place != none]
    kinds = [who.kind for who in people]
    for kind in PAIRED_KINDS:
        pairs += itertools.combinations([i for i, one in enumerate(kinds) if one == kind], 2)
    return pairs


def aged(people: Sequence[Persona]) -> tuple[list[int], Floats]:
    """Return which personas have an age, and their ages in decades."""
    places = [place for place, who in enumerate(people) if who.age is not None]
    ages = np.array([float(people[place].age or 0) for place in places], dtype=np.float64)
    return places, ages / DECADE


def standardised(after: Floats, before: Floats, clusters: Labels | None, trust: Trust) -> Estimate:
    """Return the difference of means in standard deviations of `before`, with its interval.

    Source: Glass 1976 (Δ), on paired units.

    >>> one, two = np.array([2.0, 4.0, 6.0, 8.0]), np.array([1.0, 3.0, 5.0, 7.0])
    >>> round(standardised(one, two, None, Trust()).mean, 4)  # 1 / √5
    0.4472
    """
    known = ~(np.isnan(after) | np.isnan(before))
    one, two = after[known], before[known]
    columns = np.column_stack([one - two, two, two**2, np.ones(len(two))])
    labels = None if clusters is None else np.asarray(clusters)[known]

    def statistic(sums: Floats) -> Floats:
        mean, square = sums[:, 1] / sums[:, 3], sums[:, 2] / sums[:, 3]
        spread = np.sqrt(np.maximum(square - mean**2, 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            found = sums[:, 0] / sums[:, 3] / spread
        return np.where(spread > 1e-12, found, np.nan)

    return smooth_estimate(
        unit_sums(columns, labels), statistic, draws=trust.draws, seed=trust.seed
    )


def mean_of(values: Floats, trust: Trust) -> Estimate:
    """Return the mean of measured values with its interval; values all 0 are no proportion.

    >>> mean_of(np.zeros(3), Trust())
    Estimate(mean=0.0, low=nan, high=nan, n=3, level=0.95)
    """
    nothing = np.zeros(len(values))
    return paired_difference(
        values, nothing, method="bca", test="sign-flip", draws=trust.draws, seed=trust.seed
    ).estimate


def paired_effect(
    about: About, after: Floats, before: Floats, trust: Trust, *, clusters: Labels | None = None
) -> dict[str, Any]:
    """Return the effect of one side over the other on the same units, not yet settled.

    Args:
        about: what it is.
        after: (units,) NaN where unknown.
        before: (units,) of the same units.
        trust: draws and seed.
        clusters: (units,) labels of units that belong together.
    """
    found = paired_difference(after, before, clusters=clusters, draws=trust.draws, seed=trust.seed)
    size = standardised(after, before, clusters, trust)
    return {
        **about.facts(),
        "estimate": found.estimate.as_dict(),
        "size": size.as_dict(),
        "p_value": _plain(found.p_value),
        "sd": _plain(found.sd),
        "test": found.test,
        "pairs": found.n,
        "dropped": found.dropped,
    }


def slope_effect(about: About, slope: Slope, pairs: int) -> dict[str, Any]:
    """Return the effect that a change along a contrast is, not yet settled."""
    return {
        **about.facts(),
        "estimate": slope.estimate.as_dict(),
        "size": None,
        "p_value": _plain(slope.p_value),
        "sd": _plain(slope.sd),
        "test": "permutation of personas within units",
        "pairs": pairs,
        "dropped": 0,
    }


def age_slope(values: Floats, ages: Floats, clusters: Labels | None, trust: Trust) -> Slope:
    """Return how a measure changes with each decade of age, over the same units.

    Args:
        values: (personas, units) NaN where unknown; such units are left out.
        ages: (personas,) in decades.
        clusters: (units,) labels of units that belong together.
        trust: draws and seed.

    Rewards 1, 2 and 4 at the ages 0, 10 and 20 in both of two games: slope 1.5 a decade.

    >>> table = np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])
    >>> age_slope(table, np.array([0.0, 1.0, 2.0]), None, Trust()).estimate.mean
    1.5
    """
    z = ages - ages.mean()
    known = ~np.isnan(values).any(axis=0)
    order = np.argsort(z, kind="stable")
    # z sums to 0: taking the first row off changes nothing but the rounding
    slopes = z[order] @ (values[order] - values[order[:1]])[:, known] / float(z @ z)
    labels = None if clusters is None else np.asarray(clusters)[known]
    found = paired_difference(
        slopes, np.zeros(len(slopes)), clusters=labels, method="bca", test="sign-flip",
        draws=trust.draws, seed=trust.seed,
    )  # fmt: skip
    sums = values[:, known]
    if labels is not None:
        codes = np.unique(labels, return_inverse=True)[1]
        sums = np.stack([np.bincount(codes, weights=row).astype(np.float64) for row in sums])
    (p,) = dealt(sums[:, :, None], z, seed=trust.seed)
    return Slope(found.estimate, p, found.sd)


def age_effects(
    about: About,
    people: Sequence[Persona],
    table: Floats,
    trust: Trust,
    clusters: Labels | None = None,
) -> list[dict[str, Any]]:
    """Return the slope over age of one measure, where there are two ages or more.

    Args:
        about: the measure; its two sides are put in here.
        people: the personas.
        table: (personas, units).
        trust: draws and seed.
        clusters: (units,) labels of units that belong together.
    """
    places, ages = aged(people)
    if len(set(ages.tolist())) < 2:
        return []
    slope = age_slope(table[places], ages, clusters, trust)
    return [slope_effect(replace(about, after=AGES, before=""), slope, slope.estimate.n)]


def settle(family: list[dict[str, Any]], trust: Trust) -> None:
    """Correct the p-values of a family, and say of each effect whether it was detected, in place.

    Adds `p_adjusted`, `detected` (None where it cannot be known) and `detectable`: the smallest
    true difference that this many units show with the power, at the level that a family of this
    size leaves to one effect.
    """
    p = [math.nan if one["p_value"] is None else one["p_value"] for one in family]
    asked = max(1, sum(not math.isnan(value) for value in p))
    adjusted = holm(p).tolist() if p else []
    for one, value in zip(family, adjusted, strict=True):
        estimate = one["estimate"]
        sd, n = one["sd"], estimate["n"]
        one["p_adjusted"] = _plain(value)
        one["detected"] = None
        if not math.isnan(value) and estimate["low"] is not None and estimate["high"] is not None:
            apart = not estimate["low"] <= 0 <= estimate["high"]
            one["detected"] = bool(value <= trust.alpha and apart)
        one["detectable"] = None
        if sd:  # differences that are all 0 do not tell how they spread
            alpha = trust.alpha / asked
            one["detectable"] = _plain(minimum_detectable_effect(sd, n, alpha, trust.power))


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
