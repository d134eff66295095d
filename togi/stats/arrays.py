"""What comes in: values, denominators and cluster labels, checked once and brought to one form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError, UsageError

Floats: TypeAlias = NDArray[np.float64]
Values: TypeAlias = Sequence[float] | Sequence[int] | Sequence[bool] | NDArray[Any]
Labels: TypeAlias = Sequence[Any] | NDArray[Any]


def floats(values: Values, name: str) -> Floats:
    """Return a one-dimensional float64 array; NaN means unknown, infinities are refused."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise DataError(
            f"{name} must be one column of numbers", found=f"shape {array.shape}", where="stats"
        )
    if np.isinf(array).any():
        raise DataError(
            f"{name} holds {int(np.isinf(array).sum())} infinite value(s)",
            where="stats",
            expected="finite numbers, NaN where unknown",
            hint="an infinite score has no mean; find the sample that gave it",
        )
    return array


def same_length(first: Floats | Labels, second: Floats | Labels, names: str) -> None:
    """Refuse two columns of different length: they cannot be aligned on the same samples."""
    if len(first) != len(second):
        raise DataError(
            f"{names} differ in length",
            where="stats",
            found=f"{len(first)} and {len(second)}",
            expected="one entry per sample, in the same order",
        )


def check_level(level: float) -> float:
    """Return the level if it lies between 0 and 1."""
    if not 0 < level < 1:
        raise UsageError(
            f"level must lie between 0 and 1, got {level}", where="stats", hint="0.95 is usual"
        )
    return level


def check_draws(draws: int) -> int:
    """Return the number of random draws if it is enough to say anything."""
    if draws < 100:
        raise UsageError(f"draws must be at least 100, got {draws}", where="stats")
    return draws


@dataclass(frozen=True, slots=True)
class Units:
    """Independent units: the sums of numerator and denominator in each sample or cluster.

    Units stand in a canonical order (sorted), so that nothing computed from them, random draws
    included, depends on the order in which the samples came.

    Attributes:
        num: (n,) sum of the numerators of each unit.
        den: (n,) sum of its denominators; the number of its samples where a mean is wanted.
        rows: how many samples entered; NaN ones did not.
        dropped: how many samples were left out because something of them was unknown.
    """

    num: Floats
    den: Floats
    rows: int
    dropped: int

    @property
    def n(self) -> int:
        """How many independent units there are."""
        return len(self.num)

    @property
    def clustered(self) -> bool:
        """Whether some unit holds more than one sample."""
        return self.n < self.rows

    @property
    def ratio(self) -> float:
        """Sum over sum; NaN where there is nothing to divide by."""
        total = math.fsum(self.den)
        return math.fsum(self.num) / total if total else math.nan


def cluster_codes(clusters: Labels) -> NDArray[np.intp]:
    """Give the clusters the numbers 0, 1, …; labels may be anything hashable.

    >>> cluster_codes(["b", "a", "b"]).tolist()
    [0, 1, 0]
    """
    seen: dict[Any, int] = {}
    labels: list[Any] = clusters.tolist() if isinstance(clusters, np.ndarray) else list(clusters)
    return np.array([seen.setdefault(label, len(seen)) for label in labels], dtype=np.intp)


def _sums(codes: NDArray[np.intp], values: Floats, size: int) -> Floats:
    """Sum the values of each code."""
    return np.bincount(codes, weights=values, minlength=size).astype(np.float64)


def to_units(num: Floats, den: Floats | None, clusters: Labels | None) -> Units:
    """Leave out unknown samples, sum up clusters, sort.

    Args:
        num: (rows,) numerators or plain values.
        den: (rows,) denominators, not negative; None for a mean.
        clusters: (rows,) labels of what was drawn together; None where samples are independent.
    """
    weight = np.ones(len(num)) if den is None else den
    same_length(num, weight, "numerators and denominators")
    known = ~(np.isnan(num) | np.isnan(weight))
    if (weight[known] < 0).any():
        raise DataError("a denominator is negative", where="stats", expected="counts or sizes")
    top, bottom = num[known], weight[known]
    if clusters is not None:
        same_length(num, clusters, "values and clusters")
        codes = cluster_codes(clusters)[known]
        _, codes = np.unique(codes, return_inverse=True)
        size = int(codes.max()) + 1 if len(codes) else 0
        # lexsort first: sums of floats depend on their order, results must not
        order = np.lexsort((bottom, top, codes))
        top = _sums(codes[order], top[order], size)
        bottom = _sums(codes[order], bottom[order], size)
    order = np.lexsort((bottom, top))
    rows = int(known.sum())
    return Units(top[order], bottom[order], rows, len(num) - rows)
