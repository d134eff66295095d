"""Agreement beyond chance: Cohen's and Fleiss' κ, and cross-replication reliability (xRR).

Krippendorff's α is in `togi.stats.alpha`. Each number is a function of sums over items, so each
gets a bootstrap interval over items by `togi.stats.smooth`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError, UsageError
from togi.stats.alpha import Summed, alpha_sums, checked_counts
from togi.stats.estimate import Estimate
from togi.stats.smooth import smooth_estimate

Counts: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = Literal["none", "linear", "quadratic"]


def estimate(summed: Summed, *, level: float = 0.95, draws: int = 2000, seed: int = 0) -> Estimate:
    """Return a statistic with its bootstrap interval over items; at most 1."""
    return smooth_estimate(
        summed.rows, summed.statistic, most=1.0, level=level, draws=draws, seed=seed
    )


def _beyond_chance(observed: Floats, expected: Floats) -> Floats:
    """Return 1 − observed / expected disagreement, NaN where chance would not disagree."""
    known = expected > 1e-15
    return np.where(known, 1 - observed / np.where(known, expected, 1.0), math.nan)


# --- kappa --------------------------------------------------------------------------------------

FAR: dict[str, Callable[[Floats], Floats]] = {
    "none": lambda gap: (gap != 0).astype(np.float64),
    "linear": np.abs,
    "quadratic": np.square,
}
"How much two labels disagree, by how many places they are apart."


def cohen(first: Counts, second: Counts, labels: int, weights: Weights = "none") -> Summed:
    """Return Cohen's κ of two raters as a function of sums over items.

    Args:
        first: (items,) one rater's labels as places 0 … labels − 1.
        second: (items,) the other's, of the same items.
        labels: how many labels there are.
        weights: "none" where all differences are alike, "linear" or "quadratic" where labels
            have an order. Source: Cohen 1960 and 1968.

    Raises:
        DataError: columns of different length.

    They agree on 3 of 4 items, by chance on .5: κ = (.75 − .5) / (1 − .5)

    >>> cohen(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]), 2).value
    0.5
    """
    one, two = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    if one.shape != two.shape:
        raise DataError("two raters' labels differ in length", where="κ")
    place = np.arange(labels)
    far = FAR[weights]((place[:, None] - place[None, :]).astype(np.float64))
    rows = np.zeros((len(one), labels * labels))
    rows[np.arange(len(one)), one * labels + two] = 1

    def statistic(sums: Floats) -> Floats:
        table = sums.reshape(len(sums), labels, labels)
        table = table / np.maximum(table.sum(axis=(1, 2), keepdims=True), 1)
        chance = table.sum(axis=2)[:, :, None] * table.sum(axis=1)[:, None, :]
        return _beyond_chance((table * far).sum(axis=(1, 2)), (chance * far).sum(axis=(1, 2)))

    return Summed(rows, statistic)


def fleiss(counts: Counts) -> Summed:
    """Return Fleiss' κ as a function of sums over items.   Source: Fleiss 1971.

    Args:
        counts: (items, labels) how many raters gave each item each label.

    Raises:
        DataError: items with different numbers of ratings; α takes those.

    >>> round(fleiss(np.array([[2, 0], [2, 0], [1, 1], [0, 2]])).value, 4)
    0.4667
    """
    table = checked_counts(counts)
    sizes = table.sum(axis=1)
    if len(table) and (np.ptp(sizes) > 0 or sizes[0] < 2):
        raise DataError(
            "Fleiss' κ wants the same number of raters, two or more, on each item",
            where="κ",
            found=f"{sizes.min():g} to {sizes.max():g} ratings an item",
            hint="Krippendorff's α takes any number",
        )
    apart = 1 - ((table**2).sum(axis=1) - sizes) / (sizes * (sizes - 1))

    def statistic(sums: Floats) -> Floats:
        n, total = sums[:, 0], sums[:, 2:].sum(axis=1)
        share = sums[:, 2:] / np.maximum(total, 1)[:, None]
        return _beyond_chance(sums[:, 1] / np.maximum(n, 1), 1 - (share**2).sum(axis=1))

    return Summed(np.column_stack([np.ones(len(table)), apart, table]), statistic)


# --- cross-replication reliability --------------------------------------------------------------


def xrr(first: Counts, second: Counts, distances: Floats | None = None) -> Summed:
    """Return κx, how far two groups of raters agree with each other beyond chance.

    Source: Wong, Paritosh & Aroyo 2021 ("Cross-replication reliability", eq. 2 to 5), with the
    weights for missing ratings. Only items that both groups rated count. Both sums are functions
    of counts, so the expected disagreement costs labels², not ratings².

    Args:
        first: (items, labels) counts of one group.
        second: (items, labels) counts of the other, of the same items.
        distances: (labels, labels) how far labels are apart; 0 and 1 where None.

    Raises:
        DataError: tables of different shape.

    Each group agrees in itself and with the other:

    >>> both = np.array([[2, 0], [0, 3]])
    >>> xrr(both, both).value
    1.0
    """
    x, y = checked_counts(first), checked_counts(second)
    if x.shape != y.shape:
        raise DataError(
            "the two groups' tables differ in shape", where="xRR", found=f"{x.shape} and {y.shape}"
        )
    both = (x.sum(axis=1) > 0) & (y.sum(axis=1) > 0)
    x, y = x[both], y[both]
    labels = x.shape[1]
    far = 1 - np.eye(labels) if distances is None else np.asarray(distances, dtype=np.float64)
    r, s = x.sum(axis=1), y.sum(axis=1)
    apart = (r + s) / (r * s) * ((x @ far) * y).sum(axis=1)

    def statistic(sums: Floats) -> Floats:
        mine, theirs = sums[:, 2 : 2 + labels], sums[:, 2 + labels :]
        pairs = mine.sum(axis=1) * theirs.sum(axis=1)
        chance = ((mine @ far) * theirs).sum(axis=1) / np.maximum(pairs, 1)
        return _beyond_chance(sums[:, 0] / np.maximum(sums[:, 1], 1), chance)

    return Summed(np.column_stack([apart, r + s, x, y]), statistic)


def normalised_xrr(first: Counts, second: Counts) -> Summed:
    """Return κx / √(α · α'), with each group's α on the items that both rated twice or more.

    Undefined (NaN) where the product of the two α is not above 0. Source: as for `xrr`, eq. 6.

    >>> both = np.array([[2, 0], [0, 3]])
    >>> normalised_xrr(both, both).value
    1.0
    """
    x, y = checked_counts(first), checked_counts(second)
    both = (x.sum(axis=1) >= 2) & (y.sum(axis=1) >= 2)
    if x.shape != y.shape or not both.any():
        raise DataError("no item was rated twice or more by both groups", where="xRR")
    parts = [xrr(x[both], y[both]), alpha_sums(x[both]), alpha_sums(y[both])]
    ends = np.cumsum([part.rows.shape[1] for part in parts])

    def statistic(sums: Floats) -> Floats:
        across, one, two = (
            part.statistic(piece)
            for part, piece in zip(parts, np.split(sums, ends[:-1], axis=1), strict=True)
        )
        product = one * two
        known = product > 0
        return np.where(known, across / np.sqrt(np.where(known, product, 1.0)), math.nan)

    return Summed(np.column_stack([part.rows for part in parts]), statistic)


def label_distances(level: str, values: Floats) -> Floats:
    """Return (labels, labels) distances for `xrr`: nominal or interval.

    >>> label_distances("interval", np.array([0.0, 2.0])).tolist()
    [[0.0, 4.0], [4.0, 0.0]]
    """
    if level == "nominal":
        return 1 - np.eye(len(values))
    if level == "interval":
        return (values[:, None] - values[None, :]) ** 2
    raise UsageError(f"xRR has no distances at the level '{level}'", expected="nominal, interval")
