"""Gaps between the sexes in a side's sums: differences of rates, and the interval of their mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from togi.evaluate.trust.sums import Sums
from togi.stats.arrays import Floats
from togi.stats.gaps import Share, demographic_parity, equalised_odds, mean_gap_bounds

SEXES = ("male", "female")
ANSWERS = ("yes", "no")
"""True answers; the number `positive_SEX_ANSWER` says whether "yes" was predicted."""


class Rates(NamedTuple):
    """Differences of one set's rates, men's minus women's, each (draws,)."""

    selected: Floats
    true_positive: Floats
    false_positive: Floats


def counted(sums: Sums, scenario: str, sex: str, answers: Sequence[str]) -> tuple[Floats, Floats]:
    """Count those of a sex, with these true answers, that were called positive; and all of them.

    >>> table = {("a", "positive_male_yes"): (np.array([3.0]), np.array([4.0]))}
    >>> positive, n = counted(Sums(("a",), table, 1), "a", "male", ("yes", "no"))
    >>> positive.tolist(), n.tolist()
    ([3.0], [4.0])
    """
    nothing = np.zeros(sums.draws), np.zeros(sums.draws)
    found = [sums.table.get((scenario, f"positive_{sex}_{one}"), nothing) for one in answers]
    positive, n = (np.sum(column, axis=0) for column in zip(*found, strict=True))
    return positive, n


def rates(sums: Sums, scenario: str) -> Rates:
    """Return a set's differences between the sexes; NaN where one of the rates is undefined."""
    gaps: list[Floats] = []
    for answers in (ANSWERS, ANSWERS[:1], ANSWERS[1:]):
        (man, men), (woman, women) = (counted(sums, scenario, sex, answers) for sex in SEXES)
        with np.errstate(divide="ignore", invalid="ignore"):
            gaps.append(man / men - woman / women)
    return Rates(*gaps)


def odds_gap(sums: Sums, scenario: str, *, published: bool) -> Floats:
    """Return the greater of a set's gaps in hits and in false alarms.

    Where a group has none of one label, the rate is undefined and so is the gap; as published,
    the missing rate is 0.
    """
    gaps: list[Floats] = []
    for answer in ANSWERS:
        (man, men), (woman, women) = (counted(sums, scenario, sex, (answer,)) for sex in SEXES)
        with np.errstate(divide="ignore", invalid="ignore"):
            one, two = man / men, woman / women
        if published:
            one, two = np.where(men > 0, one, 0.0), np.where(women > 0, two, 0.0)
        gaps.append(np.abs(one - two))
    return np.maximum(*gaps)


def interval(sums: Sums, names: Sequence[str], *, odds: bool) -> tuple[float, float]:
    """Return the bounds of the mean gap over some sets; see `togi.stats.gaps`.

    Where no resample moves any of the gaps (a model that always gives one answer), the bounds
    are the means of each set's own ones.
    """
    signed = [rates(sums, name) for name in names]
    if not signed:
        return math.nan, math.nan
    chosen = [np.stack(one[1:] if odds else one[:1], axis=-1) for one in signed]
    low, high = mean_gap_bounds(np.stack(chosen, axis=1))
    if high > low or math.isnan(low):
        return low, high
    single = np.array([_single(sums, name, odds=odds) for name in names])
    return float(single[:, 0].mean()), float(single[:, 1].mean())


def _single(sums: Sums, scenario: str, *, odds: bool) -> tuple[float, float]:
    def shares(answers: Sequence[str]) -> list[Share]:
        found = (counted(sums, scenario, sex, answers) for sex in SEXES)
        return [Share(float(positive[0]), float(n[0])) for positive, n in found]

    if odds:
        gap = equalised_odds(shares(ANSWERS[:1]), shares(ANSWERS[1:]))
    else:
        gap = demographic_parity(shares(ANSWERS))
    return gap.low, gap.high
