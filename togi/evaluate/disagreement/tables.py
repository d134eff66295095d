"""The tables beside `raters.json`: a line an item, a line a rater, and soft labels as rows."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from togi.evaluate.disagreement.crowdtruth import CrowdTruth, crowdtruth
from togi.evaluate.disagreement.mace import Mace, mace
from togi.evaluate.disagreement.soft import (
    contested,
    corrected_entropy,
    lead,
    pairwise_disagreement,
    plurality,
    share_interval,
    shares,
)
from togi.evaluate.disagreement.table import Ratings
from togi.evaluate.disagreement.told import leading, split_flags
from togi.rows.types import Sample


@dataclass(frozen=True, slots=True)
class Quality:
    """What models of the crowd say of items and raters."""

    crowd: CrowdTruth
    mace: Mace


def quality_of(ratings: Ratings, seed: int = 0) -> Quality:
    """Fit CrowdTruth and MACE."""
    chosen = np.eye(len(ratings.labels))[ratings.label]
    return Quality(
        crowdtruth(ratings.item, ratings.rater, chosen),
        mace(ratings.item, ratings.rater, ratings.label, len(ratings.labels), seed=seed),
    )


def quality_told(ratings: Ratings, quality: Quality) -> dict[str, Any]:
    """Return what `raters.json` says of the quality scores."""
    crowd = quality.crowd
    return {
        "crowdtruth": {
            "rounds": crowd.rounds,
            "settled": crowd.settled,
            "labels": dict(zip(ratings.labels, _plain(crowd.last.labels), strict=True)),
        },
        "mace": {
            "rounds": quality.mace.rounds,
            "log_likelihood": quality.mace.log_likelihood,
        },
    }


def item_lines(
    ratings: Ratings,
    axes: Mapping[str, Sequence[str]],
    quality: Quality | None,
    *,
    positive: int,
    below: float,
    least: int,
) -> Iterator[dict[str, Any]]:
    """Yield a line for each item, in the table's order."""
    counts = ratings.counts
    p, sure = shares(counts), lead(counts)
    nats, apart = corrected_entropy(counts), pairwise_disagreement(counts)
    flag, best = contested(counts, below), plurality(counts)
    ends = share_interval(counts, positive)
    sides = {axis: _sides(ratings, of, least) for axis, of in axes.items()}
    for i, item in enumerate(ratings.items):
        line: dict[str, Any] = {
            "item": item,
            "n": int(counts[i].sum()),
            "counts": dict(zip(ratings.labels, counts[i].tolist(), strict=True)),
            "shares": dict(zip(ratings.labels, _plain(p[i]), strict=True)),
            "leading": [x for x, top in zip(ratings.labels, best[i], strict=True) if top > 0],
            "lead": _number(sure[i]),
            "contested": bool(flag[i]),
            "entropy": _number(nats[i]),
            "disagreement": _number(apart[i]),
            "positive": {
                "label": ratings.labels[positive],
                "share": _number(p[i, positive]),
                "low": float(ends[i, 0]),
                "high": float(ends[i, 1]),
            },
            "split": [axis for axis, (flags, _, _) in sides.items() if flags[i]],
        }
        line["groups"] = {
            axis: {name: _number(share[i, positive]) for name, share in zip(names, of, strict=True)}
            for axis, (_, names, of) in sides.items()
        }
        if quality is not None:
            line |= _quality_of_item(ratings, quality, i)
        if ratings.gold:
            line["gold"] = ratings.gold[i]
        if ratings.texts:
            line["text"] = ratings.texts[i]
        yield line


def _sides(ratings: Ratings, of: Sequence[str], least: int) -> tuple[Any, list[str], list[Any]]:
    """Return which items are split between an axis' groups, the groups, and their shares."""
    names = sorted({group for group in of if group and list(of).count(group) >= least})
    tables = [shares(ratings.only(np.array([g == name for g in of])).counts) for name in names]
    if len(names) < 2:
        return np.zeros(len(ratings.items), dtype=np.bool_), names, tables
    return split_flags(leading(ratings, of, names)), names, tables


def _quality_of_item(ratings: Ratings, quality: Quality, i: int) -> dict[str, Any]:
    crowd = quality.crowd
    return {
        "uqs": float(crowd.last.items[i]),
        "uqs_initial": float(crowd.first.items[i]),
        "unit_annotation_score": dict(zip(ratings.labels, _plain(crowd.scores[i]), strict=True)),
        "mace": dict(zip(ratings.labels, _plain(quality.mace.truth[i]), strict=True)),
    }


def rater_lines(
    ratings: Ratings, axes: Mapping[str, Sequence[str]], quality: Quality | None, positive: int
) -> Iterator[dict[str, Any]]:
    """Yield a line for each rater: how much, what, and how far with the others."""
    size = len(ratings.raters)
    used = np.zeros((size, len(ratings.labels)))
    np.add.at(used, (ratings.rater, ratings.label), 1)
    others = ratings.counts.sum(axis=1)[ratings.item] - 1
    alike = ratings.counts[ratings.item, ratings.label] - 1
    met = np.bincount(ratings.rater, others, size)
    agreed = np.bincount(ratings.rater, alike, size)
    for r, rater in enumerate(ratings.raters):
        n = int(used[r].sum())
        line: dict[str, Any] = {
            "rater": rater,
            "n": n,
            "groups": {axis: of[r] for axis, of in axes.items()},
            "shares": dict(zip(ratings.labels, (used[r] / n).tolist(), strict=True)),
            "positive": float(used[r, positive] / n),
            "agreement": float(agreed[r] / met[r]) if met[r] else None,
            "one_label_only": bool(n > 1 and used[r].max() == n),
        }
        if quality is not None:
            last = quality.crowd.last
            line |= {
                "wqs": float(last.raters[r]),
                "wwa": float(last.with_others[r]),
                "wsa": float(last.with_crowd[r]),
                "competence": float(quality.mace.competence[r]),
            }
        yield line


def soft_rows(ratings: Ratings, prior: float, question: str = "") -> Iterator[Sample]:
    """Yield the items as questions whose answer is a distribution, for `evaluate.judge`.

    The metadata holds the counts and, with the prior added, the soft label.
    """
    soft = shares(ratings.counts, prior)
    for i, (item, text) in enumerate(zip(ratings.items, ratings.texts, strict=True)):
        if ratings.counts[i].sum() and text:
            yield Sample(
                id=item,
                input=f"{text}\n\n{question}" if question else text,
                target=int(ratings.counts[i].argmax()),
                choices=ratings.labels,
                metadata={
                    "counts": ratings.counts[i].tolist(),
                    "distribution": soft[i].tolist(),
                },
            )


GROUP_COLUMNS = (
    "axis", "group", "raters", "labels_p", "labels_q", "irr", "irr_low", "irr_high",
    "xrr", "xrr_low", "xrr_high", "gai", "gai_low", "gai_high", "gai_p", "gai_q", "reason",
)  # fmt: skip


def groups_csv(told: Mapping[str, Any], labels: Sequence[str]) -> str:
    """Return the groups as csv, a line each."""
    columns = [*GROUP_COLUMNS]
    for label in labels:
        columns += [f"share {label}", f"difference {label}", f"low {label}", f"high {label}"]
    out = io.StringIO()
    table = csv.DictWriter(out, columns, lineterminator="\n")
    table.writeheader()
    for axis in told["axes"]:
        for group in axis["groups"]:
            row = {name: group.get(name) for name in GROUP_COLUMNS}
            for name in ("irr", "xrr", "gai"):
                found = group[name] or {}
                row |= {
                    name: found.get("mean"),
                    f"{name}_low": found.get("low"),
                    f"{name}_high": found.get("high"),
                }
            for label in labels:
                gap = group["differences"][label]
                row |= {
                    f"share {label}": group["shares"][label]["mean"],
                    f"difference {label}": gap["mean"],
                    f"low {label}": gap["low"],
                    f"high {label}": gap["high"],
                }
            table.writerow({name: row.get(name) for name in columns})
    return out.getvalue()


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _plain(values: Any) -> list[float | None]:
    return [_number(value) for value in values]
