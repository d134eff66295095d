"""What `raters.json` says of a table as a whole: labels, agreement, contested items, codings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from togi.errors import UsageError, nearest
from togi.evaluate.disagreement.agreement import estimate, fleiss
from togi.evaluate.disagreement.grasp import percentile, resampled
from togi.evaluate.disagreement.membership import Pool
from togi.evaluate.disagreement.soft import (
    contested,
    corrected_entropy,
    lead,
    pairwise_disagreement,
)
from togi.evaluate.disagreement.table import Ratings
from togi.stats import Estimate, bootstrap_mean, bootstrap_ratio, stream, wilson
from togi.stats.alpha import Level, alpha_estimate

UNSURE = ("unsure", "not sure", "uncertain", "don't know", "cannot tell", "maybe")
POSITIVE = ("yes", "unsafe", "true", "toxic", "hate", "1")
SURE = 0.95
"A leading label is settled where its posterior probability of being ahead is at least this."


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """How a table is looked at.

    Attributes:
        level: of α.
        positive: the label that shares are told of.
        below: a leading label below this share makes an item contested.
        draws: bootstrap resamples.
        seed: of the resamples.
    """

    level: Level = "nominal"
    positive: str = ""
    below: float = 2 / 3
    draws: int = 2000
    seed: int = 0


def overview(ratings: Ratings, look: Looking) -> dict[str, Any]:
    """Return sizes, labels, agreement, items and codings as plain values."""
    sizes = ratings.counts.sum(axis=1)
    return {
        "sizes": {
            "items": len(ratings.items),
            "raters": len(ratings.raters) or None,
            "ratings": ratings.n,
            "ratings_per_item": [int(sizes.min()), float(np.median(sizes)), int(sizes.max())],
            "complete": ratings.complete,
        },
        "labels": list(ratings.labels),
        "positive": look.positive,
        "shares": {
            label: share(ratings, k, look).as_dict() for k, label in enumerate(ratings.labels)
        },
        "agreement": agreement(ratings, look),
        "items": of_items(ratings, look),
        "codings": codings(ratings, look),
    }


def share(ratings: Ratings, label: int, look: Looking) -> Estimate:
    """Return a label's share of all ratings, with an interval over items."""
    sizes = ratings.counts.sum(axis=1)
    return bootstrap_ratio(ratings.counts[:, label], sizes, draws=look.draws, seed=look.seed)


def agreement(ratings: Ratings, look: Looking) -> dict[str, Any]:
    """Return α over items, α over items and raters, raw agreement, and κ where it is defined."""
    values = ratings.numbers() if look.level in ("interval", "ratio") else None
    alpha = alpha_estimate(ratings.counts, look.level, values, draws=look.draws, seed=look.seed)
    told: dict[str, Any] = {
        "level": look.level,
        "alpha": alpha.as_dict(),
        "raw": bootstrap_mean(
            1 - pairwise_disagreement(ratings.counts), draws=look.draws, seed=look.seed
        ).as_dict(),
        "reason": "" if math.isfinite(alpha.mean) else "all ratings are the same label: 0/0",
    }
    sizes = ratings.counts.sum(axis=1)
    if np.ptp(sizes) == 0:
        kappa = estimate(fleiss(ratings.counts), draws=look.draws, seed=look.seed)
        told["fleiss"] = kappa.as_dict()
    if ratings.raters and look.level == "nominal":
        told["alpha_any_raters"] = alpha_any_raters(ratings, look).as_dict()
    return told


def alpha_any_raters(ratings: Ratings, look: Looking) -> Estimate:
    """Return α with raters and items resampled: what other raters of this kind would give."""
    pool = Pool(ratings)
    everyone = np.ones(len(ratings.raters), dtype=np.bool_)
    value = float(pool.common(everyone[None]).irr[0])
    rng = stream(look.seed, "alpha", "raters")
    parts = resampled(pool, everyone, look.draws, rng)
    found = np.concatenate([part.irr for part in parts])
    return percentile(value, found, len(ratings.raters), 0.95)


def of_items(ratings: Ratings, look: Looking) -> dict[str, Any]:
    """Return how divided the items are: entropy, contested and settled shares, unanimous ones."""
    counts = ratings.counts
    sizes = counts.sum(axis=1)
    rated = sizes >= 2
    flags = {
        "contested": contested(counts, look.below)[rated],
        "unanimous": (counts.max(axis=1) == sizes)[rated],
        "unsettled": (lead(counts) < SURE)[rated],
    }
    nats = corrected_entropy(counts)[rated]
    return {
        "entropy": bootstrap_mean(nats, draws=look.draws, seed=look.seed).as_dict(),
        "entropy_most": math.log(len(ratings.labels)),
        **{name: wilson(float(flag.sum()), len(flag)).as_dict() for name, flag in flags.items()},
        "contested_below": look.below,
        "settled_from": SURE,
    }


def codings(ratings: Ratings, look: Looking) -> list[dict[str, Any]]:
    """Return what changes where an "unsure" label is counted with another one.

    Empty where no label means "unsure" or the labels are two already.
    """
    unsure = next((label for label in ratings.labels if label.casefold() in UNSURE), "")
    if not unsure or len(ratings.labels) < 3 or look.level != "nominal":
        return []
    ways: list[tuple[str, Mapping[str, str]]] = [("as it is", {})]
    ways += [
        (f"{unsure} counts as {label}", {unsure: label})
        for label in ratings.labels
        if label != unsure
    ]
    found = []
    for name, merge in ways:
        table = ratings.merged(merge)
        alpha = alpha_estimate(table.counts, draws=look.draws, seed=look.seed)
        flag = contested(table.counts, look.below)
        told = {"coding": name, "alpha": alpha.as_dict()}
        told["contested"] = wilson(float(flag.sum()), len(flag)).as_dict()
        if look.positive in table.labels:
            place = table.labels.index(look.positive)
            told["positive"] = share(table, place, look).as_dict()
        found.append(told)
    return found


def positive_label(ratings: Ratings, wanted: str | None) -> str:
    """Return the label that shares are told of: as asked, else one such as "Yes", else the last.

    Raises:
        UsageError: a label that the table has not.
    """
    if wanted is None:
        named = (label for label in ratings.labels if label.casefold() in POSITIVE)
        return next(named, ratings.labels[-1])
    if wanted not in ratings.labels:
        raise UsageError(
            f"no label is called '{wanted}'",
            where="positive",
            expected=nearest(wanted, ratings.labels),
        )
    return wanted
