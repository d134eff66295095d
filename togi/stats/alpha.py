"""Krippendorff's α from counts: agreement beyond chance, for any number of raters and gaps.

α = 1 − observed disagreement / disagreement expected by chance. Sources: Krippendorff 2011,
"Computing Krippendorff's alpha-reliability"; his 2018 book, chapter 12. Everything is a function
of counts[i, k], how many raters gave item i the label k, and moreover of sums over items, so
that resampling items is a product of matrices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError, UsageError, nearest
from togi.stats.arrays import Floats, Values, floats
from togi.stats.estimate import Estimate
from togi.stats.smooth import Statistic, smooth_estimate

Level: TypeAlias = Literal["nominal", "ordinal", "interval", "ratio"]
LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval", "ratio")
CELLS = 40_000_000  # of items × labels × labels held at once: 320 MB


@dataclass(frozen=True, slots=True)
class Summed:
    """What each item adds to the sums of which a statistic is a function.

    Attributes:
        rows: (n, c) one row for each item that two or more raters rated.
        statistic: from (b, c) sums to (b,) values.
    """

    rows: Floats
    statistic: Statistic

    @property
    def value(self) -> float:
        """The statistic of all items; NaN where it is undefined."""
        return float(self.statistic(self.rows.sum(axis=0)[None])[0])


def krippendorff(
    counts: NDArray[Any], level: Level = "nominal", values: Values | None = None
) -> float:
    """Return Krippendorff's α: 1 is perfect agreement, 0 is what chance gives.

    Args:
        counts: (items, labels) how many raters gave each item each label.
        level: how far two labels are apart: "nominal" all alike, "ordinal" by the ratings that
            lie between them, "interval" by the square of their difference, "ratio" by the square
            of their difference over their sum.
        values: (labels,) the labels' numbers for interval and ratio, 0, 1, … where None; for
            ordinal the columns stand in order.

    Returns:
        α; NaN where it is undefined: all ratings are the same, or no item has two.

    Raises:
        DataError: counts that are negative or no table, or as many values as there are not labels.
        UsageError: an unknown level.

    Two raters agree on three of four items, five ratings "a", three "b":
    α = 1 − (8 − 1) · 2 / (8² − 5² − 3²)

    >>> krippendorff(np.array([[2, 0], [2, 0], [1, 1], [0, 2]]))
    0.5333333333333333
    """
    return alpha_sums(counts, level, values).value


def alpha_estimate(
    counts: NDArray[Any],
    level: Level = "nominal",
    values: Values | None = None,
    *,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return α with a bootstrap interval over items: other items, the same raters.

    Arguments and errors are those of `krippendorff` and `togi.stats.smooth.smooth_estimate`; `n`
    counts the items that two or more raters rated.

    >>> found = alpha_estimate(np.array([[2, 0], [2, 0], [1, 1], [0, 2]]))
    >>> round(found.mean, 4), found.n, found.low < found.mean < found.high <= 1
    (0.5333, 4, True)
    """
    summed = alpha_sums(counts, level, values)
    return smooth_estimate(
        summed.rows, summed.statistic, most=1.0, level=confidence, draws=draws, seed=seed
    )


def alpha_sums(
    counts: NDArray[Any], level: Level = "nominal", values: Values | None = None
) -> Summed:
    """Return α as a function of sums over items; arguments as for `krippendorff`."""
    table = checked_counts(counts)
    if level not in LEVELS:
        raise UsageError(f"unknown level '{level}'", where="α", hint=nearest(level, LEVELS))
    numbers = np.arange(table.shape[1], dtype=np.float64)
    if values is not None:
        numbers = floats(values, "values")
    if len(numbers) != table.shape[1]:
        raise DataError(
            "there is not one value for each label",
            where="α",
            found=f"{len(numbers)} values",
            expected=f"{table.shape[1]}",
        )
    table = table[table.sum(axis=1) >= 2]
    if level == "nominal":
        return _nominal(table)
    if level == "interval":
        return _interval(table, numbers)
    return _coincident(table, numbers, level)


def checked_counts(counts: NDArray[Any]) -> Floats:
    """Return counts as a table of numbers of at least 0."""
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or not np.isfinite(table).all() or (table < 0).any():
        raise DataError(
            "counts must be a table of items × labels with numbers of at least 0",
            where="counts",
            found=f"shape {table.shape}",
        )
    return table


def _ratio(observed: Floats, expected: Floats) -> Floats:
    """Return 1 − observed / expected, NaN where chance would not disagree either."""
    known = expected > 0
    return np.where(known, 1 - observed / np.where(known, expected, 1.0), math.nan)


def _nominal(table: Floats) -> Summed:
    """Disagreeing pairs of an item over its ratings less one, and its counts."""
    n = table.sum(axis=1)
    apart = (n**2 - (table**2).sum(axis=1)) / (n - 1)

    def statistic(sums: Floats) -> Floats:
        total = sums[:, 1:].sum(axis=1)
        chance = (total**2 - (sums[:, 1:] ** 2).sum(axis=1)) / np.maximum(total - 1, 1)
        return _ratio(sums[:, 0], chance)

    return Summed(np.column_stack([apart, table]), statistic)


def _interval(table: Floats, values: Floats) -> Summed:
    """Squared differences by moments, so that the number of distinct values does not matter."""
    everything = float(table.sum())
    middle = float((table @ values).sum()) / everything if everything else 0.0
    first, second = table @ (values - middle), table @ (values - middle) ** 2
    n = table.sum(axis=1)
    apart = 2 * (n * second - first**2) / (n - 1)

    def statistic(sums: Floats) -> Floats:
        total = sums[:, 1]
        chance = 2 * (total * sums[:, 3] - sums[:, 2] ** 2) / np.maximum(total - 1, 1)
        return _ratio(sums[:, 0], np.where(chance > 1e-12 * total * sums[:, 3], chance, 0.0))

    return Summed(np.column_stack([apart, n, first, second]), statistic)


def _coincident(table: Floats, values: Floats, level: Level) -> Summed:
    """Ordinal and ratio: the pairs of labels that meet in an item, weighed by a distance."""
    items, labels = len(table), int(table.shape[1])
    if items * labels**2 > CELLS:
        raise DataError(
            f"too many distinct labels for α at the level '{level}'",
            where="α",
            found=f"{labels} labels over {items} items",
            hint="use the level 'interval', or put the values into bins",
        )
    n = table.sum(axis=1)
    pairs = table[:, :, None] * table[:, None, :]
    own: NDArray[np.intp] = np.arange(labels)
    pairs[:, own, own] -= table
    rows = (pairs / (n - 1)[:, None, None]).reshape(items, labels**2)
    fixed = ratio_distances(values) if level == "ratio" else None

    def statistic(sums: Floats) -> Floats:
        met = sums.reshape(len(sums), labels, labels)
        share = met.sum(axis=2)
        far = ordinal_distances(share) if fixed is None else fixed[None]
        chance = (share[:, :, None] * share[:, None, :] * far).sum(axis=(1, 2))
        total = share.sum(axis=1)
        return _ratio((met * far).sum(axis=(1, 2)), chance / np.maximum(total - 1, 1))

    return Summed(rows, statistic)


def ordinal_distances(share: Floats) -> Floats:
    """Return the squared differences of the labels' middle ranks.

    Args:
        share: (b, labels) how many ratings have each label.

    With 2, 1 and 1 ratings the middle ranks are 1, 2.5 and 3.5:

    >>> ordinal_distances(np.array([[2.0, 1.0, 1.0]]))[0, 0].tolist()
    [0.0, 2.25, 6.25]
    """
    rank = np.cumsum(share, axis=1) - share / 2
    return (rank[:, :, None] - rank[:, None, :]) ** 2


def ratio_distances(values: Floats) -> Floats:
    """Return ((v − w) / (v + w))², 0 where both are 0.

    Raises:
        DataError: a value below 0: a ratio scale begins there.

    >>> ratio_distances(np.array([0.0, 1.0, 3.0])).tolist()
    [[0.0, 1.0, 1.0], [1.0, 0.0, 0.25], [1.0, 0.25, 0.0]]
    """
    if (values < 0).any():
        raise DataError(
            "a ratio scale has no values below 0",
            where="α",
            found=f"{values.min():g}",
            hint="use the level 'interval'",
        )
    both = values[:, None] + values[None, :]
    return ((values[:, None] - values[None, :]) / np.where(both == 0, 1.0, both)) ** 2
