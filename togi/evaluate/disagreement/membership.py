"""What a group of raters has in common, for thousands of memberships at once.

A membership is a row of zeros and ones over the raters; a permutation of whole raters, or a
resample of them, is nothing else. One product with the raters' one-hot table gives the counts of
all memberships, and everything is a function of counts. Where every rater rated every item there
is a shorter way: all that is needed of a group is Σ over its pairs of raters of how often the
two agree, a quadratic form in a raters × raters table, whatever the number of items and labels.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.evaluate.disagreement.table import Ratings

Floats = NDArray[np.float64]
Singles = NDArray[Any]  # float32: counts of raters are exact in it
ALONE = 1 << 18  # multiplications in a product that BLAS does on one thread
EXACT = 1 << 24  # whole numbers below it are exact in single precision
CELLS = 500_000  # of memberships × items held at once: 2 MB for each of some ten tables


@dataclass(frozen=True, slots=True)
class Common:
    """What each of b groups has in common, against all raters outside it.

    Attributes:
        irr: (b,) Krippendorff's α inside the group.
        xrr: (b,) κx between the group and the others.
        held: (b,) Σ over items of Σ n²/n inside: how concentrated its labels are.
        held_out: (b,) the same of the others.
        share: (b, labels) the labels' shares among all of the group's ratings.
        share_out: (b, labels) the same of the others.
    """

    irr: Floats
    xrr: Floats
    held: Floats
    held_out: Floats
    share: Floats
    share_out: Floats


class Pool:
    """All raters' ratings, ready for memberships.

    Attributes:
        hot: (labels, raters, items) one-hot ratings: each label's table lies in one piece.
        counts: (labels, items) all raters' counts.
        shape: raters, items, labels.
        pairs: where every rater rated every item: (raters, raters) on how many items two raters
            agree, beside it its sum over the raters and (raters, labels) how often each gave each
            label; None elsewhere.
        held: Σ over items of Σ n²/n of all raters.
        varied: Σ over items of n − Σ n²/n: the disagreement that groups could explain.
    """

    def __init__(self, ratings: Ratings) -> None:
        table = ratings.one_hot()
        self.shape = table.shape
        self.hot = np.ascontiguousarray(table.transpose(2, 0, 1))
        self.counts = self.hot.sum(axis=1)
        self.pairs: NDArray[Any] | None = None
        if ratings.complete:
            flat = table.reshape(len(table), -1)
            alike = flat @ flat.T
            # single precision is exact, and twice as fast, as long as no sum of pairs exceeds 2²⁴
            exact = self.shape[1] * self.shape[0] ** 2 < EXACT
            columns = [alike, alike.sum(axis=1, keepdims=True), table.sum(axis=1)]
            self.pairs = np.concatenate(columns, axis=1, dtype=np.float32 if exact else np.float64)
        n = self.counts.sum(axis=0, dtype=np.float64)
        parts = (self.counts.astype(np.float64) ** 2).sum(axis=0) / np.where(n > 0, n, 1)
        self.held = float(parts.sum())
        self.varied = float((n - parts).sum())

    def common(self, member: NDArray[np.bool_]) -> Common:
        """Return what each membership has in common.

        Args:
            member: (b, raters).
        """
        if self.pairs is not None:
            return self._by_pairs(member.astype(self.pairs.dtype), self.pairs)
        return self.by_counts(member)

    def _by_pairs(self, member: NDArray[Any], pairs: NDArray[Any]) -> Common:
        """Every rater rated every item: quadratic forms of the raters' agreement."""
        raters, items, _ = self.shape
        size = member.sum(axis=1, dtype=np.float64)
        rest = raters - size
        met = product(member, pairs)
        # a rater's agreement with himself is included
        inside = np.einsum("br,br->b", met[:, :raters], member).astype(np.float64)
        across = met[:, raters] - inside
        outside = pairs[:, raters].sum(dtype=np.float64) - inside - 2 * across
        used = met[:, raters + 1 :].astype(np.float64)
        used_out = pairs[:, raters + 1 :].sum(axis=0, dtype=np.float64) - used
        n, m = size * items, rest * items
        apart = (size * n - inside) / np.maximum(size - 1, 1)
        chance = (n**2 - (used**2).sum(axis=1)) / np.maximum(n - 1, 1)
        alpha = np.where(size >= 2, _beyond(apart, chance), math.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            cross = _beyond(1 - across / (size * m), 1 - (used * used_out).sum(axis=1) / (n * m))
            return Common(
                alpha, cross, inside / size, outside / rest,
                used / n[:, None], used_out / m[:, None],
            )  # fmt: skip

    def by_counts(self, member: NDArray[np.bool_]) -> Common:
        """Any table: the counts of every membership, some thousands of cells at a time."""
        step = max(1, CELLS // self.shape[1])
        parts = [
            self._counted(member[start : start + step].astype(np.float32))
            for start in range(0, len(member), step)
        ]
        return Common(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in Common.__dataclass_fields__
            )
        )

    def _counted(self, member: Singles) -> Common:
        inside = [product(member, of) for of in self.hot]
        outside = [total - mine for total, mine in zip(self.counts, inside, strict=True)]
        return common_of(inside, outside)


def product(member: NDArray[Any], table: NDArray[Any]) -> NDArray[Any]:
    """Return member @ table, in blocks of rows that BLAS does on one thread where they are small.

    So small a product gains nothing from threads, and on a busy machine they wait for each other:
    20,000 memberships of 104 raters took 0.2 s with threads and 0.02 s without them.

    >>> rng = np.random.default_rng(0)
    >>> one, two = rng.random((1000, 30)), rng.random((30, 50))
    >>> bool(np.allclose(product(one, two), one @ two))
    True
    """
    rows = ALONE // table.size
    if rows < 4 or len(member) < 2 * rows:
        return member @ table
    whole = len(member) // rows * rows
    blocks = member[:whole].reshape(-1, rows, member.shape[1]) @ table
    return np.concatenate([blocks.reshape(whole, -1), member[whole:] @ table])


def _beyond(observed: Floats, expected: Floats) -> Floats:
    """Return 1 − observed / expected, NaN where chance would not disagree or nothing is known."""
    known = expected > 1e-12
    return np.where(known, 1 - observed / np.where(known, expected, 1.0), math.nan)


def common_of(
    inside: list[Singles],
    outside: list[Singles],
    own: Singles | None = None,
    weight: Singles | None = None,
) -> Common:
    """Return what groups have in common, from counts.

    Args:
        inside: for each label (b, items), the groups' counts; a resampled rater counts several
            times.
        outside: the same of the others.
        own: (b, items) pairs of a rater with himself among the group's ratings of an item: as
            many as ratings where None, more where raters are resampled. They say nothing of
            agreement.
        weight: (b, items) how often each item counts; once where None.
    """
    n, m = _sum(inside), _sum(outside)
    squares, squares_out = (_sum([part * part for part in parts]) for parts in (inside, outside))
    met = _sum([a * b for a, b in zip(inside, outside, strict=True)])
    return Common(
        _alpha(inside, n, squares, n if own is None else own, weight),
        _kappa(inside, outside, met, weight),
        _total(squares / np.maximum(n, 1), weight),
        _total(squares_out / np.maximum(m, 1), weight),
        _shares(inside, weight),
        _shares(outside, weight),
    )


def _sum(parts: list[Singles]) -> Singles:
    """Sum over the labels."""
    return functools.reduce(np.add, parts)


def _total(values: Singles, weight: Singles | None) -> Floats:
    """Sum over the items, in double precision."""
    return (values if weight is None else values * weight).sum(axis=1, dtype=np.float64)


def _shares(parts: list[Singles], weight: Singles | None) -> Floats:
    used = np.stack([_total(part, weight) for part in parts], axis=1)
    return used / np.maximum(used.sum(axis=1, keepdims=True), 1)


def _within(known: NDArray[np.bool_], weight: Singles | None) -> Singles | None:
    """Return the weights with 0 for items that cannot count; None where all count once."""
    if known.all():
        return weight
    return known.astype(np.float32) if weight is None else np.where(known, weight, 0)


def _alpha(
    inside: list[Singles], n: Singles, squares: Singles, own: Singles, weight: Singles | None
) -> Floats:
    """α of the items that have a pair of different raters in the group."""
    pairs = n * n - own
    counted = _within(pairs > 0, weight)
    apart = _total((n * n - squares) * n / np.maximum(pairs, 1), counted)
    used = np.stack([_total(part, counted) for part in inside], axis=1)
    total = used.sum(axis=1)
    return _beyond(apart, (total**2 - (used**2).sum(axis=1)) / np.maximum(total - 1, 1))


def _kappa(
    inside: list[Singles], outside: list[Singles], met: Singles, weight: Singles | None
) -> Floats:
    """κx of the items that have raters on both sides."""
    n, m = _sum(inside), _sum(outside)
    counted = _within((n > 0) & (m > 0), weight)
    apart = _total((n + m) * (1 - met / np.maximum(n * m, 1)), counted)
    one, two = (
        np.stack([_total(part, counted) for part in parts], axis=1) for parts in (inside, outside)
    )
    pairs = one.sum(axis=1) * two.sum(axis=1)
    chance = np.where(pairs > 0, 1 - (one * two).sum(axis=1) / np.maximum(pairs, 1), 0.0)
    return _beyond(apart / np.maximum(_total(n + m, counted), 1), chance)
