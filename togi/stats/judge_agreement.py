"""How far two judges of pairs agree: tie-discounted agreement, and Cohen's kappa.

A judge's verdict on a pair is a credit: above .5 the one answer, below .5 the other, .5 a tie.
Sources: Zhou et al. 2023 (LIMA, section 4.2: tie-discounted accuracy), Cohen 1960 (kappa).
"""

from __future__ import annotations

import math

import numpy as np

from togi.stats.arrays import Floats, Labels, Values, floats, same_length
from togi.stats.bootstrap import bootstrap_mean
from togi.stats.estimate import Estimate
from togi.stats.resampled import drawn_estimate, redrawn, unit_sums


def _sides(first: Values, second: Values) -> tuple[Floats, Floats]:
    """Return both judges' verdicts as 1, 0 and −1; NaN where one of them is unknown."""
    one, two = floats(first, "first"), floats(second, "second")
    same_length(one, two, "the two judges")
    missing = np.isnan(one) | np.isnan(two)
    signs = [np.where(missing, math.nan, np.sign(side - 0.5)) for side in (one, two)]
    return signs[0], signs[1]


def tie_discounted(first: Values, second: Values) -> Floats:
    """Return the agreement on each item: 1 equal, .5 where exactly one says tie, 0 otherwise.

    Args:
        first: (items,) one judge's credits, NaN unknown.
        second: (items,) the other's, of the same items.

    >>> tie_discounted([1, 1, 0.5, 0], [1, 0.5, 0.5, 1]).tolist()
    [1.0, 0.5, 1.0, 0.0]
    """
    one, two = _sides(first, second)
    return 1 - np.abs(one - two) / 2


def agreement(
    first: Values,
    second: Values,
    *,
    clusters: Labels | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return the mean tie-discounted agreement with its bootstrap interval.

    Arguments are those of `tie_discounted` and `bootstrap_mean`.

    >>> agreement([1, 1, 0.5, 0], [1, 0.5, 0.5, 1]).mean
    0.625
    """
    return bootstrap_mean(
        tie_discounted(first, second), clusters=clusters, level=level, draws=draws, seed=seed
    )


def _kappa(tables: Floats) -> Floats:
    """Return kappa of (..., 9) counts; NaN where chance alone would agree always."""
    square = tables.reshape(*tables.shape[:-1], 3, 3)
    total = square.sum(axis=(-1, -2))
    with np.errstate(invalid="ignore", divide="ignore"):
        seen = np.trace(square, axis1=-2, axis2=-1) / total
        chance = (square.sum(axis=-1) * square.sum(axis=-2)).sum(axis=-1) / total**2
        return np.where(chance < 1 - 1e-12, (seen - chance) / (1 - chance), math.nan)


def cohen_kappa(
    first: Values,
    second: Values,
    *,
    clusters: Labels | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return Cohen's kappa over won, tie and lost: agreement beyond what chance would give.

    Args:
        first: (items,) one judge's credits, NaN unknown.
        second: (items,) the other's, of the same items.
        clusters: (items,) labels of items that belong together; resampled whole.
        level: of the interval.
        draws: resamples.
        seed: the same seed and verdicts give the same interval, in whatever order they come.

    Returns:
        The estimate; NaN where both judges always say one and the same thing, because then
        chance would agree too.

    Agreed on 3 of 4 where chance gives a half:

    >>> cohen_kappa([1, 1, 0, 0], [1, 1, 0, 1]).mean
    0.5
    """
    one, two = _sides(first, second)
    known = ~np.isnan(one)
    cells = ((one[known] + 1) * 3 + two[known] + 1).astype(np.intp)
    labels = None if clusters is None else np.asarray(list(clusters), dtype=object)[known]
    units = unit_sums(np.eye(9)[cells], labels)
    if not len(units):
        return Estimate(math.nan, math.nan, math.nan, 0, level)
    drawn = _kappa(redrawn(units, draws, seed))
    return drawn_estimate(float(_kappa(units.sum(axis=0))), drawn, len(units), level)
