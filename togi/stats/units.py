"""Independent units: samples, or clusters of them, summed up and put in one order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError
from togi.stats.arrays import Floats, Labels, same_length


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
    def effective(self) -> float:
        """How many units of equal size weigh as much (Kish 1965): (Σ size)² / Σ size²."""
        square = float((self.den**2).sum())
        return float(self.den.sum()) ** 2 / square if square else 0.0

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


def jackknife(units: Units) -> Floats:
    """Return how far the ratio of sums moves when each unit is left out.

    >>> jackknife(to_units(np.array([1.0, 2.0, 6.0]), None, None)).tolist()
    [1.0, 0.5, -1.5]
    """
    left = float(units.den.sum()) - units.den
    rest = units.num - units.ratio * units.den
    return -rest[left > 0] / left[left > 0]


def standard_error(units: Units) -> float:
    """Return the jackknife's standard error of the ratio of sums; s/√n for a mean.

    >>> units = to_units(np.array([1.0, 2.0, 3.0]), None, None)
    >>> round(standard_error(units), 6) == round(1 / 3**0.5, 6)
    True
    """
    moves = jackknife(units) if units.n > 1 and units.den.any() else np.empty(0)
    if len(moves) < 2:
        return math.nan
    return math.sqrt((len(moves) - 1) * float(moves.var()))
