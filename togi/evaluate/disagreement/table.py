"""Ratings: who gave which item which label, with the raters' groups; checked when built.

Everything that follows is a function of two views: `counts[i, k]`, how many raters gave item i
the label k, and `one_hot()`, each rater's labels as a table of zeros and ones. A table may hold
counts only (published data often do); then nothing can be said of raters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError, UsageError, nearest

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
EMPTY: Codes = np.zeros(0, dtype=np.int64)
HOT_CELLS = 200_000_000  # raters × items × labels of a dense table: 800 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """A table of ratings.

    Attributes:
        items: the items' ids.
        labels: the labels, in order where there is one.
        counts: (items, labels) how many raters gave each item each label.
        raters: the raters' ids; empty where only counts are known.
        item, rater, label: (n,) one entry for each rating, as places in the tuples above.
        groups: axis -> each rater's group; "" where unknown.
        texts: each item's text, or none at all.
        gold: each item's expert label where the source has one; shown, never taken for truth.
        notes: what was left out, and other things worth knowing.

    >>> ratings = from_triples([("a", "r1", "yes"), ("a", "r2", "no"), ("b", "r1", "yes")])
    >>> ratings.counts.tolist(), ratings.labels, ratings.complete
    ([[1, 1], [0, 1]], ('no', 'yes'), False)
    """

    items: tuple[str, ...]
    labels: tuple[str, ...]
    counts: Codes
    raters: tuple[str, ...] = ()
    item: Codes = field(default_factory=EMPTY.copy)
    rater: Codes = field(default_factory=EMPTY.copy)
    label: Codes = field(default_factory=EMPTY.copy)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    gold: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """How many ratings there are."""
        return int(self.counts.sum())

    @property
    def complete(self) -> bool:
        """Whether every rater rated every item."""
        return bool(self.raters) and len(self.item) == len(self.items) * len(self.raters)

    def one_hot(self) -> NDArray[np.float32]:
        """Return (raters, items, labels): 1 where that rater gave that item that label.

        Raises:
            DataError: the table would not fit into memory.
        """
        shape = (len(self.raters), len(self.items), len(self.labels))
        if np.prod(shape, dtype=np.float64) > HOT_CELLS:
            raise DataError(
                "too many raters and items for an analysis by groups",
                where="raters",
                found=f"{shape[0]} raters × {shape[1]} items × {shape[2]} labels",
                hint="analyse a part of the items, or give `groups: []`",
            )
        hot = np.zeros(shape, dtype=np.float32)
        hot[self.rater, self.item, self.label] = 1
        return hot

    def numbers(self) -> Floats | None:
        """Return the labels as numbers, None where some are not."""
        try:
            found = np.array([float(label) for label in self.labels])
        except ValueError:
            return None
        return found if np.isfinite(found).all() else None

    def only(self, keep: NDArray[np.bool_]) -> Ratings:
        """Return the table of those raters alone; items and labels stay as they are."""
        place = np.cumsum(keep) - 1
        mine = keep[self.rater]
        counts = np.zeros_like(self.counts)
        np.add.at(counts, (self.item[mine], self.label[mine]), 1)
        return replace(
            self,
            counts=counts,
            raters=tuple(r for r, stays in zip(self.raters, keep, strict=True) if stays),
            item=self.item[mine],
            rater=place[self.rater[mine]],
            label=self.label[mine],
            groups={
                axis: tuple(g for g, stays in zip(of, keep, strict=True) if stays)
                for axis, of in self.groups.items()
            },
        )

    def merged(self, into: Mapping[str, str]) -> Ratings:
        """Return the table with some labels counted as others, as in {"Unsure": "Yes"}.

        Raises:
            UsageError: a label that the table has not.
        """
        for name in into:
            if name not in self.labels:
                raise UsageError(
                    f"no label is called '{name}'",
                    where="merge",
                    expected=nearest(name, self.labels),
                )
        named = [into.get(label, label) for label in self.labels]
        labels = tuple(dict.fromkeys(named))
        place = np.array([labels.index(name) for name in named], dtype=np.int64)
        counts = np.zeros((len(self.items), len(labels)), dtype=np.int64)
        np.add.at(counts.T, place, self.counts.T)
        gold = tuple(into.get(label, label) for label in self.gold)
        return replace(self, labels=labels, counts=counts, label=place[self.label], gold=gold)

    def crossed(self, axes: Sequence[str]) -> tuple[str, ...]:
        """Return each rater's group on crossed axes, such as "Asian, Woman"; "" where unknown.

        Raises:
            UsageError: an axis that the table has not.
        """
        for axis in axes:
            if axis not in self.groups:
                raise UsageError(
                    f"the raters have no group '{axis}'",
                    where="cross",
                    expected=nearest(axis, self.groups) if self.groups else "a column of groups",
                )
        parts = [self.groups[axis] for axis in axes]
        return tuple(", ".join(of) if all(of) else "" for of in zip(*parts, strict=True))


def from_triples(triples: Sequence[tuple[str, str, str]], **more: Any) -> Ratings:
    """Return the table of (item, rater, label) triples; `more` are further fields of `Ratings`.

    Raises:
        DataError: a rater rates an item twice.
    """
    items: dict[str, int] = {}
    raters: dict[str, int] = {}
    item = [items.setdefault(i, len(items)) for i, _, _ in triples]
    rater = [raters.setdefault(r, len(raters)) for _, r, _ in triples]
    labels = ordered_labels(dict.fromkeys(label for _, _, label in triples))
    place = {name: k for k, name in enumerate(labels)}
    return build(
        tuple(items), tuple(raters), labels, (item, rater, [place[x] for _, _, x in triples]), more
    )


def build(
    items: tuple[str, ...],
    raters: tuple[str, ...],
    labels: tuple[str, ...],
    codes: tuple[Sequence[int], Sequence[int], Sequence[int]],
    more: Mapping[str, Any],
) -> Ratings:
    """Return the table of coded ratings; without raters it holds counts only."""
    item, rater, label = (np.asarray(column, dtype=np.int64) for column in codes)
    counts = np.zeros((len(items), len(labels)), dtype=np.int64)
    np.add.at(counts, (item, label), 1)
    if not raters:
        return Ratings(items=items, labels=labels, counts=counts, **more)
    pairs, times = np.unique(item * len(raters) + rater, return_counts=True)
    if len(pairs) < len(item):
        first = int(pairs[times > 1][0])
        raise DataError(
            f"rater '{raters[first % len(raters)]}' rates item '{items[first // len(raters)]}'"
            " twice",
            where="ratings",
            expected="one rating of an item by a rater",
        )
    return Ratings(
        items=items, labels=labels, counts=counts, raters=raters,
        item=item, rater=rater, label=label, **more,
    )  # fmt: skip


def checked(ratings: Ratings, where: str) -> Ratings:
    """Return the table if disagreement can show in it; say what is thin about it.

    Raises:
        DataError: no ratings, one rater, one label, or no item with two ratings.
    """
    sizes = ratings.counts.sum(axis=1)
    problem = found = hint = ""
    if not ratings.n:
        problem = "the table holds no ratings"
    elif len(ratings.raters) == 1:
        problem, found = "there is only one rater", ratings.raters[0]
        hint = "columns.rater may name another column"
    elif len(ratings.labels) < 2:
        problem, found = "all ratings are the same label", ", ".join(ratings.labels)
        hint = "agreement beyond chance is 0/0 then; list all possible ones in `labels:`"
    elif sizes.max() < 2:
        problem, found = "no item has two ratings", f"{len(ratings.items)} items"
        hint = "columns.item may name another column"
    if problem:
        raise DataError(
            problem, where=where, found=found, hint=hint,
            expected="items that two or more raters rated",
        )  # fmt: skip
    alone = int((sizes == 1).sum())
    if alone:
        note = f"{alone} of {len(sizes)} items have one rating; they show no disagreement"
        return replace(ratings, notes=(*ratings.notes, note))
    return ratings


def ordered_labels(names: Mapping[str, Any]) -> tuple[str, ...]:
    """Return labels by number where all are numbers, by letter otherwise.

    >>> ordered_labels({"10": 0, "9": 0}), ordered_labels({"no": 0, "Yes": 0, "10": 0})
    (('9', '10'), ('10', 'no', 'Yes'))
    """
    try:
        numbers = {name: float(name) for name in names}
    except ValueError:
        numbers = {}
    if numbers and all(map(math.isfinite, numbers.values())):
        return tuple(sorted(names, key=lambda name: numbers[name]))
    return tuple(sorted(names, key=lambda name: (name.casefold(), name)))
