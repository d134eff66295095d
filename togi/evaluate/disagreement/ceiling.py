"""A model's distributions against the raters', beside what people reach against people.

A majority vote throws away how divided the raters were. Here a predicted distribution q is held
against the shares p of all raters, and the *human ceiling* says what to expect at best: one half
of an item's raters predicts the other half. Model and people are scored against the very same
halves, so the target's sampling noise is in both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError
from togi.evaluate.disagreement.soft import entropy, plurality, shares
from togi.stats.alpha import checked_counts

Floats = NDArray[np.float64]

FLOOR = 1e-6
"Least probability that a prediction is read with: a label it excludes costs 13.8 nats."
SPLITS = 200
PRIORS = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"Ratings, spread as all ratings are, of which the best number is added to half of the raters."
SUMS = 1e-3
"How far a distribution's sum may be from 1."

MEASURES: dict[str, tuple[str, bool, str]] = {
    "cross_entropy": (
        "nats",
        False,
        "mean of −Σ p ln q: nats that a rating of a randomly drawn rater costs the prediction q",
    ),
    "js": (
        "bits",
        False,
        "Jensen–Shannon divergence of prediction and raters, 0 (equal) to 1 (nothing in common)",
    ),
    "variation": (
        "share",
        False,
        "total variation: the share of raters' votes that would have to move",
    ),
    "brier": ("squared share", False, "Σ (p − q)² over the labels, 0 to 2"),
    "agreement": (
        "share",
        True,
        "share of the item's raters who chose the prediction's most probable label",
    ),
}
"Measure -> unit, whether higher is better, definition."


def predicted(values: Any, labels: int, where: str) -> Floats:
    """Return one predicted distribution, checked and normalised exactly.

    Raises:
        DataError: not one number of at least 0 for each label, or a sum that is not 1.

    >>> predicted([0.25, 0.75], 2, "p.jsonl line 3").tolist()
    [0.25, 0.75]
    """
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):  # words, or lists of different length
        found = np.zeros(0)
    if found.shape != (labels,) or not np.isfinite(found).all() or (found < 0).any():
        raise DataError(
            "not a distribution",
            where=where,
            found=str(values)[:80],
            expected=f"{labels} numbers of at least 0",
        )
    total = float(found.sum())
    if abs(total - 1) > SUMS:
        raise DataError(
            "the probabilities do not add up to 1",
            where=where,
            found=f"a sum of {total:.6g}",
            hint="normalise them first; logits are no probabilities",
        )
    return found / total


def scores(p: Floats, q: Floats) -> dict[str, Floats]:
    """Score predictions against shares, item by item.

    Args:
        p: (..., labels) the raters' shares.
        q: (..., labels) what was predicted.

    Returns:
        Measure -> (...) values; NaN where p or q is.

    >>> found = scores(np.array([0.5, 0.5]), np.array([0.5, 0.5]))
    >>> {name: round(float(value), 4) for name, value in found.items()}
    {'cross_entropy': 0.6931, 'js': 0.0, 'variation': 0.0, 'brier': 0.0, 'agreement': 0.5}
    """
    read = np.maximum(q, FLOOR)
    middle = (p + q) / 2
    js = (entropy(middle) - (entropy(p) + entropy(q)) / 2) / math.log(2)
    best = (q == q.max(axis=-1, keepdims=True)).astype(np.float64)
    return {
        "cross_entropy": -(p * np.log(read)).sum(axis=-1),
        "js": np.maximum(js, 0.0),
        "variation": np.abs(p - q).sum(axis=-1) / 2,
        "brier": np.square(p - q).sum(axis=-1),
        "agreement": (p * best).sum(axis=-1) / np.maximum(best.sum(axis=-1), 1) + 0 * js,
    }


def half(counts: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw half of each item's ratings without replacement (rounded down), as counts.

    >>> from togi.stats.rng import stream
    >>> half(np.array([[4, 0], [0, 3]]), stream(0)).tolist()
    [[2, 0], [0, 1]]
    """
    left, need = counts.sum(axis=1), counts.sum(axis=1) // 2
    drawn = np.zeros_like(counts)
    for k in range(counts.shape[1]):
        left = left - counts[:, k]
        drawn[:, k] = rng.hypergeometric(counts[:, k], left, need)
        need = need - drawn[:, k]
    return drawn


@dataclass(frozen=True, slots=True)
class Against:
    """Scores against the same halves of the raters, item by item: measure -> (items,).

    Attributes:
        people: one half of the raters predicts the other half; to its votes `prior` ratings are
            added that are spread as all ratings are.
        majority: the same half's leading label alone, read as the mean of what the other halves
            say where that label leads: all that a majority vote tells.
        models: model -> its scores against those other halves.
        prior: the number of ratings that suits best for all items, of `PRIORS`.
    """

    people: dict[str, Floats]
    majority: dict[str, Floats]
    models: dict[str, dict[str, Floats]]
    prior: float


def smoothed(counts: NDArray[np.int64], prior: float, usual: Floats) -> Floats:
    """Return an item's shares with `prior` ratings added that are spread as `usual` says.

    >>> smoothed(np.array([[2, 0]]), 2.0, np.array([0.5, 0.5])).tolist()
    [[0.75, 0.25]]
    """
    whole = counts + prior * usual
    return whole / whole.sum(axis=1, keepdims=True)


def best_prior(counts: NDArray[np.int64], usual: Floats, rng: np.random.Generator) -> float:
    """Return how many added ratings make one half predict the other best.

    >>> from togi.stats.rng import stream
    >>> best_prior(np.array([[40, 0], [0, 40]]), np.array([0.5, 0.5]), stream(0))
    0.1
    """
    first = half(counts, rng)
    target = shares(counts - first)
    if not len(counts):
        return 1.0

    def cost(prior: float) -> float:
        return float(scores(target, smoothed(first, prior, usual))["cross_entropy"].mean())

    return min(PRIORS, key=cost)


def against_people(
    counts: NDArray[Any],
    models: dict[str, Floats],
    rng: np.random.Generator,
    splits: int = SPLITS,
) -> Against:
    """Score people, a majority vote and models against the same halves of the raters.

    Args:
        counts: (items, labels); items with fewer than two ratings get NaN.
        models: name -> (items, labels) predicted distributions, NaN where an item lacks one.
        rng: where the random halves come from.
        splits: random halvings that are averaged.

    Ten raters who all agree predict each other well, and a model that knows it is as good:

    >>> from togi.stats.rng import stream
    >>> sure = {"sure": np.array([[0.0, 1.0]])}
    >>> found = against_people(np.array([[0, 10]]), sure, stream(0), splits=10)
    >>> round(float(found.people["js"][0]), 3), float(found.models["sure"]["js"][0])
    (0.0, 0.0)
    """
    table = checked_counts(counts).astype(np.int64)
    rated = table.sum(axis=1) >= 2
    usual = table.sum(axis=0) / max(1, int(table.sum()))
    prior = best_prior(table[rated], usual, rng)
    sums: dict[str, dict[str, Floats]] = {}

    def add(name: str, found: dict[str, Floats]) -> None:
        kept = sums.setdefault(name, {m: np.zeros(len(table)) for m in found})
        for measure, values in found.items():
            kept[measure] += np.where(rated, values, math.nan) / splits

    for _ in range(splits):
        first = half(table, rng)
        target = shares(table - first)
        add("people", scores(target, smoothed(first, prior, usual)))
        add("majority", scores(target, _vote(first, target)))
        for name, q in models.items():
            add(f"model {name}", scores(target, q))
    own = {name: sums[f"model {name}"] for name in models}
    return Against(sums["people"], sums["majority"], own, prior)


def _vote(first: NDArray[np.int64], target: Floats) -> Floats:
    """Return what the leading label of a half tells: the mean of the targets where it leads.

    The means are taken over the very targets that are predicted, which is to the vote's favour.
    """
    vote = plurality(first)
    known = np.isfinite(vote).all(axis=1) & np.isfinite(target).all(axis=1)
    size = vote[known].sum(axis=0)
    means = vote[known].T @ target[known] / np.maximum(size, 1e-12)[:, None]
    return vote @ means


def threshold_curve(p: Floats, q: Floats, label: int) -> list[dict[str, float]]:
    """Return how well a model finds the items that at least a share t of raters gave a label.

    A majority vote is the point t = .5 of it. The area is the chance that an item above t gets
    a higher probability than one below it (AUC), ties counted half.

    Args:
        p: (items, labels) shares.
        q: (items, labels) predictions.
        label: the label in question.

    >>> p = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    >>> curve = threshold_curve(p, p, 1)
    >>> [point["auc"] for point in curve if point["threshold"] == 0.5]
    [1.0]
    """
    known = np.isfinite(p[:, label]) & np.isfinite(q[:, label])
    mine, theirs = p[known, label], q[known, label]
    points = []
    for tenth in range(1, 10):
        above = mine >= tenth / 10 - 1e-12
        points.append(
            {
                "threshold": tenth / 10,
                "items": int(above.sum()),
                "auc": _auc(theirs[above], theirs[~above]),
            }
        )
    return points


def _auc(high: Floats, low: Floats) -> float:
    """Return the chance that one of `high` is above one of `low`; NaN where one is empty."""
    if not len(high) or not len(low):
        return math.nan
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([high, low]))[: len(high)]
    return float((ranks.sum() - len(high) * (len(high) + 1) / 2) / (len(high) * len(low)))
