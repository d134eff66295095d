"""What `raters.json` says of people against people, and of models against people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.evaluate.disagreement.ceiling import (
    MEASURES,
    Against,
    against_people,
    scores,
    threshold_curve,
)
from togi.evaluate.disagreement.soft import contested, entropy, plurality, shares
from togi.evaluate.disagreement.table import Ratings
from togi.stats import Estimate, bootstrap_mean, derive, paired_difference, stream
from togi.stats.smooth import smooth_estimate

Floats = NDArray[np.float64]
Told = dict[str, dict[str, Any]]

ABOUT = (
    "People: one half of an item's raters predicts the other half, averaged over random halves "
    "and drawn a little towards all items' shares, as suits best. Vote: the same half's leading "
    "label alone, read as what the other halves say on average where it leads. Models are "
    "scored against the same halves, so a model at 0 above people is as near to the raters as "
    "half of them are to the other half. Intervals are over items."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How predictions are judged.

    Attributes:
        positive: place of the label that threshold curves and rank correlations are about.
        below: a leading label below this share makes an item contested.
        least: groups with fewer raters are not judged against.
        splits: random halvings of the raters.
        draws: bootstrap resamples.
        seed: of both.
    """

    positive: int
    below: float = 2 / 3
    least: int = 10
    splits: int = 200
    draws: int = 2000
    seed: int = 0


def people_told(
    ratings: Ratings,
    models: Mapping[str, Floats],
    axes: Mapping[str, Sequence[str]],
    how: Judging,
) -> dict[str, Any]:
    """Judge people, the majority vote and models against the raters' distributions.

    Args:
        ratings: the raters' labels.
        models: name -> (items, labels) predicted distributions, NaN rows where there is none.
        axes: axis -> each rater's group; each model is judged against each group's shares too.
        how: numbers of draws and bounds.
    """
    found = against_people(
        ratings.counts, dict(models), stream(how.seed, "halves"), splits=how.splits
    )
    flag = contested(ratings.counts, how.below)
    told: dict[str, Any] = {
        "about": ABOUT,
        "splits": how.splits,
        "prior": found.prior,
        "people": means(found.people, how),
        "vote": means(found.majority, how),
        "vote_above_people": differences(found.majority, found.people, how),
        "parts": {
            name: {
                "items": int(part.sum()),
                "people": means(found.people, how, part),
                "vote_above_people": differences(found.majority, found.people, how, part),
            }
            for name, part in (("contested", flag), ("consensual", ~flag))
        },
        "models": {},
    }
    for name, q in models.items():
        told["models"][name] = model_told(ratings, q, found, name, axes, how)
    return told


def means(values: Mapping[str, Floats], how: Judging, part: Any = None) -> Told:
    """Return the mean of each measure over the items, or a part of them."""
    return {
        measure: _mean(of if part is None else of[part], how).as_dict()
        for measure, of in values.items()
    }


def differences(
    one: Mapping[str, Floats], two: Mapping[str, Floats], how: Judging, part: Any = None
) -> Told:
    """Return the paired mean difference of each measure, with its p-value."""
    told: Told = {}
    for measure in one:
        pair = (one[measure], two[measure])
        if part is not None:
            pair = (pair[0][part], pair[1][part])
        found = paired_difference(*pair, seed=derive(how.seed, measure))
        told[measure] = {
            **found.estimate.as_dict(),
            "p": None if math.isnan(found.p_value) else found.p_value,
        }
    return told


def _mean(values: Floats, how: Judging) -> Estimate:
    return bootstrap_mean(values, draws=how.draws, seed=how.seed)


def model_told(
    ratings: Ratings,
    q: Floats,
    found: Against,
    name: str,
    axes: Mapping[str, Sequence[str]],
    how: Judging,
) -> dict[str, Any]:
    """Return all that is told of one model's predictions."""
    p = shares(ratings.counts)
    flag = contested(ratings.counts, how.below)
    straight = scores(p, q)
    halves = found.models[name]
    answered = np.isfinite(q).all(axis=1) & np.isfinite(p).all(axis=1)
    best = (q == q.max(axis=1, keepdims=True)) / np.maximum(
        (q == q.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True), 1
    )
    majority = np.where(answered, (best * plurality(ratings.counts)).sum(axis=1), math.nan)
    told: dict[str, Any] = {
        "items": int(answered.sum()),
        "missing": int((~answered).sum()),
        "scores": means(straight, how),
        "majority": _mean(majority, how).as_dict(),
        "above_people": differences(halves, found.people, how),
        "parts": {
            part: means(straight, how, mask)
            for part, mask in (("contested", flag), ("consensual", ~flag))
        },
        "rank_correlation": rank_correlation(
            q[answered, how.positive], p[answered, how.positive], how
        ).as_dict(),
        "entropy_correlation": rank_correlation(
            entropy(q[answered]), entropy(p[answered]), how
        ).as_dict(),
        "thresholds": threshold_curve(p, q, how.positive),
        "groups": by_group_told(ratings, q, axes, how),
    }
    return told


def rank_correlation(one: Floats, two: Floats, how: Judging) -> Estimate:
    """Return Spearman's rank correlation with a bootstrap interval over items.

    The ranks are taken once, and Pearson's correlation of them is a function of sums.
    """
    from scipy.stats import rankdata

    if not len(one):
        return Estimate(math.nan, math.nan, math.nan, 0)
    x, y = (rankdata(column) - (len(one) + 1) / 2 for column in (one, two))
    rows = np.column_stack([np.ones(len(x)), x, y, x * x, y * y, x * y])

    def statistic(sums: Floats) -> Floats:
        n = np.maximum(sums[:, 0], 1)
        middle_x, middle_y = sums[:, 1] / n, sums[:, 2] / n
        spread = (sums[:, 3] / n - middle_x**2) * (sums[:, 4] / n - middle_y**2)
        known = spread > 1e-12
        joint = sums[:, 5] / n - middle_x * middle_y
        return np.where(known, joint / np.sqrt(np.where(known, spread, 1.0)), math.nan)

    return smooth_estimate(rows, statistic, most=1.0, draws=how.draws, seed=how.seed)


def by_group_told(
    ratings: Ratings, q: Floats, axes: Mapping[str, Sequence[str]], how: Judging
) -> list[dict[str, Any]]:
    """Return, axis by axis, the scores against each group's own shares and the widest gap."""
    told = []
    for axis, of in axes.items():
        names = sorted({group for group in of if group})
        by_group: dict[str, dict[str, Floats]] = {}
        for name in names:
            keep = np.array([group == name for group in of])
            if keep.sum() >= how.least:
                by_group[name] = scores(shares(ratings.only(keep).counts), q)
        if len(by_group) > 1:
            told.append({"axis": axis, **_gaps(by_group, how)})
    return told


def _gaps(by_group: Mapping[str, Mapping[str, Floats]], how: Judging) -> dict[str, Any]:
    """Return each group's scores, and the worst against the best group on cross-entropy."""
    measure = "cross_entropy"
    level = {name: float(np.nanmean(found[measure])) for name, found in by_group.items()}
    worst, best = max(level, key=level.__getitem__), min(level, key=level.__getitem__)
    gap = paired_difference(
        by_group[worst][measure], by_group[best][measure], seed=derive(how.seed, "gap")
    )
    return {
        "groups": {name: means(found, how) for name, found in by_group.items()},
        "worst": worst,
        "best": best,
        "gap": gap.estimate.as_dict(),
    }


def stats_list(models: Mapping[str, Any], people: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return HELM-style statistics, one a line: name, model, split, sub_split, mean, count.

    >>> one = {"scores": {"js": {"mean": 0.1, "low": None, "high": None, "n": 3}}, "groups": []}
    >>> stats_list({"m": one}, {})[0]["name"], stats_list({"m": one}, {})[0]["count"]
    ('js', 3)
    """

    def line(model: str, name: str, found: Mapping[str, Any], sub: str = "") -> dict[str, Any]:
        return {
            "name": name,
            "unit": MEASURES[name][0],
            "model": model,
            "split": "test",
            "sub_split": sub,
            "mean": found["mean"],
            "low": found["low"],
            "high": found["high"],
            "count": found["n"],
        }

    lines = [line("people", name, found) for name, found in people.items()]
    for model, told in models.items():
        lines += [line(model, name, found) for name, found in told["scores"].items()]
        for axis in told["groups"]:
            for group, values in axis["groups"].items():
                sub = f"{axis['axis']}={group}"
                lines += [line(model, name, found, sub) for name, found in values.items()]
    return lines
