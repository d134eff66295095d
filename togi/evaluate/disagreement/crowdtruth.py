"""CrowdTruth: the qualities of items, raters and labels, each weighed by the other two.

Source: Dumitrache, Inel, Aroyo, Timmermans & Welty 2018, "CrowdTruth 2.0" (arXiv 1808.06080).
A rater is good where he agrees with good raters on clear items; an item is clear where good
raters agree; a label is clear where one good rater's use of it predicts another's. The equations
are iterated from 1 everywhere; in each round all read the round before.

Cosines of pairs are never formed one by one: with vectors of unit length, the weighted sum over
pairs is ‖Σ w x‖² − Σ w² ‖x‖², so a round costs as much as there are ratings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

TINY = 1e-8  # stands for a denominator of zero, as in the reference
CLOSE = 1e-3  # the iteration ends where nothing moves by more
MOST = 200  # rounds


@dataclass(frozen=True, slots=True)
class Qualities:
    """All qualities of one round, each from 0 to 1.

    Attributes:
        items: (items,) unit quality UQS: how far an item's raters agree.
        raters: (raters,) worker quality WQS = with_others · with_crowd.
        with_others: (raters,) WWA, agreement with other raters, one by one.
        with_crowd: (raters,) WSA, agreement with the sum of all other raters.
        labels: (labels,) annotation quality AQS.
    """

    items: Floats
    raters: Floats
    with_others: Floats
    with_crowd: Floats
    labels: Floats


@dataclass(frozen=True, slots=True)
class CrowdTruth:
    """What the iteration found.

    Attributes:
        last: the qualities.
        first: those of the first round, in which all weights are 1.
        scores: (items, labels) UAS: the share of an item's raters who chose a label, each rater
            weighed by his quality.
        rounds: how many rounds it took.
        settled: whether it came to rest within the rounds allowed.
    """

    last: Qualities
    first: Qualities
    scores: Floats
    rounds: int
    settled: bool


class _Crowd:
    """Ratings as sparse sums; `chosen` may have several labels of one rater on one item."""

    def __init__(self, item: Codes, rater: Codes, chosen: Floats, items: int, raters: int) -> None:
        from scipy import sparse

        self.item, self.rater, self.chosen = item, rater, chosen
        place = np.arange(len(item))
        ones = np.ones(len(item))
        self.by_item = sparse.csr_array((ones, (item, place)), shape=(items, len(item)))
        self.by_rater = sparse.csr_array((ones, (rater, place)), shape=(raters, len(item)))
        self.present = sparse.csr_array((ones, (rater, item)), shape=(raters, items))
        self.uses = [
            sparse.csr_array((column, (rater, item)), shape=(raters, items)) for column in chosen.T
        ]

    def unit(self, labels: Floats) -> Floats:
        """Return each rating's vector, weighed by label quality, at length 1 (or 0)."""
        weighed = self.chosen * np.sqrt(labels)
        length = np.sqrt((weighed**2).sum(axis=1, keepdims=True))
        return weighed / np.where(length > 0, length, 1.0)


def _over(top: Floats, bottom: Floats) -> Floats:
    return top / np.maximum(bottom, TINY)


def _item_quality(crowd: _Crowd, unit: Floats, weight: Floats) -> Floats:
    """UQS: mean cosine of an item's pairs of raters, weighed by both raters' quality."""
    mine = weight[:, None] * unit
    alike = ((crowd.by_item @ mine) ** 2 - crowd.by_item @ mine**2).sum(axis=1)
    pairs = (crowd.by_item @ weight) ** 2 - crowd.by_item @ weight**2
    return _over(alike / 2, pairs / 2)


def _with_others(crowd: _Crowd, unit: Floats, weight: Floats, quality: Floats) -> Floats:
    """WWA: mean cosine with every other rater of the same items."""
    mine = weight[:, None] * unit
    rest = (crowd.by_item @ mine)[crowd.item] - mine
    clear = quality[crowd.item]
    others = (crowd.by_item @ weight)[crowd.item] - weight
    return _over(
        crowd.by_rater @ ((unit * rest).sum(axis=1) * clear), crowd.by_rater @ (others * clear)
    )


def _with_crowd(crowd: _Crowd, labels: Floats, weight: Floats, quality: Floats) -> Floats:
    """WSA: cosine with the sum of all other raters' vectors, item by item."""
    mine = weight[:, None] * crowd.chosen
    rest = (crowd.by_item @ mine)[crowd.item] - mine
    length = np.sqrt((labels * mine**2).sum(axis=1) * (labels * rest**2).sum(axis=1))
    known = length >= TINY
    cosine = np.where(
        known, (labels * mine * rest).sum(axis=1) / np.where(known, length, 1.0), TINY
    )
    clear = quality[crowd.item]
    return _over(crowd.by_rater @ (cosine * clear), crowd.by_rater @ clear)


def _label_quality(crowd: _Crowd, weight: Floats, quality: Floats) -> Floats:
    """AQS: the chance that one rater chooses a label which another has chosen, over all pairs.

    Args:
        crowd: the ratings.
        weight: (raters,) rater quality.
        quality: (items,) item quality.
    """
    found = np.empty(len(crowd.uses))
    for label, uses in enumerate(crowd.uses):
        clear = uses.multiply(quality[None, :]).T.tocsr()
        both, met = (uses @ clear).tocsr(), (crowd.present @ clear).tocsr()
        seen, inverse = met.copy(), met.copy()
        seen.data = (met.data > 0).astype(np.float64)
        inverse.data = np.where(met.data > 0, 1 / np.where(met.data > 0, met.data, 1.0), 0.0)
        chance = both.multiply(inverse).tocsr()
        total, agreed = (_other_pairs(table, weight) for table in (seen, chance))
        found[label] = max(agreed / total, TINY) if total > TINY else TINY
    return found


def _other_pairs(table: Any, weight: Floats) -> float:
    """Return the weighted sum of a raters × raters table without its diagonal."""
    return float(weight @ (table @ weight) - (weight**2 * table.diagonal()).sum())


def crowdtruth(
    item: Codes,
    rater: Codes,
    chosen: NDArray[Any],
    *,
    open_ended: bool = False,
    close: float = CLOSE,
    most: int = MOST,
) -> CrowdTruth:
    """Compute CrowdTruth's qualities.

    Args:
        item: (n,) the item of each rating, as a place 0, 1, …
        rater: (n,) its rater.
        chosen: (n, labels) 1 for each label that the rater chose there.
        open_ended: the labels are not the same for all items, so they have no quality of their
            own (1 throughout).
        close: the iteration ends where no quality moves by more.
        most: rounds after which it ends at any rate.

    Raises:
        DataError: no ratings, columns of different length, a negative entry.

    Three raters, of whom the third always disagrees:

    >>> item, rater = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 0, 1, 2])
    >>> found = crowdtruth(item, rater, np.eye(2)[[0, 0, 1, 1, 1, 0]])
    >>> found.last.raters.round(2).tolist(), found.settled
    ([1.0, 1.0, 0.0], True)
    """
    chosen = np.asarray(chosen, dtype=np.float64)
    if chosen.ndim != 2 or not len(item) == len(rater) == len(chosen) or not len(item):
        raise DataError("CrowdTruth wants one item, rater and row of labels for each rating")
    if not np.isfinite(chosen).all() or (chosen < 0).any():
        raise DataError("CrowdTruth wants labels of at least 0", where="chosen")
    items, raters = int(item.max()) + 1, int(rater.max()) + 1
    crowd = _Crowd(item, rater, chosen, items, raters)
    even = np.ones(raters)
    now = Qualities(np.ones(items), even, even, even, np.ones(chosen.shape[1]))
    first, rounds, settled = now, 0, False
    while not settled and rounds < most:
        then = _round(crowd, now, open_ended)
        rounds += 1
        first = then if rounds == 1 else first
        moved = (
            np.abs(after - before).max()
            for after, before in (
                (then.items, now.items), (then.raters, now.raters), (then.labels, now.labels),
            )
        )  # fmt: skip
        settled = bool(max(moved) < close)
        now = then
    return CrowdTruth(now, first, label_scores(crowd, now.raters), rounds, settled)


def _round(crowd: _Crowd, now: Qualities, open_ended: bool) -> Qualities:
    weight, unit = now.raters[crowd.rater], crowd.unit(now.labels)
    others = _with_others(crowd, unit, weight, now.items)
    whole = _with_crowd(crowd, now.labels, weight, now.items)
    labels = now.labels if open_ended else _label_quality(crowd, now.raters, now.items)
    return Qualities(_item_quality(crowd, unit, weight), others * whole, others, whole, labels)


def label_scores(crowd: _Crowd, quality: Floats) -> Floats:
    """UAS: the quality-weighed share of an item's raters who chose each label."""
    weight = quality[crowd.rater]
    return _over(
        crowd.by_item @ (weight[:, None] * crowd.chosen), (crowd.by_item @ weight)[:, None]
    )
