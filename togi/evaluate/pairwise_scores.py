"""Scores of a pairwise judging from its lines: win rates, strengths, bias, agreement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from togi.errors import DataError
from togi.evaluate.answers import ANSWER
from togi.evaluate.asking import Asking
from togi.evaluate.columns import LEVEL, Column, columns, estimate
from togi.evaluate.ledger import Line
from togi.evaluate.scores import read_scores
from togi.stats import (
    Estimate,
    bootstrap_mean,
    holm,
    minimum_detectable_effect,
    paired_difference,
    wilson,
    win_rate,
)
from togi.stats.arrays import Floats
from togi.stats.bradley_terry import strengths
from togi.stats.judge_agreement import agreement, cohen_kappa

ANSWERS = "answers"
"The task that all models answer."

DEFINITIONS = {
    "win_rate": "share of prompts on which the judge prefers the first-named model's answer, both "
    "orders averaged, a tie counting one half; .5 is even",
    "graded_win_rate": "the same with each verdict weighted by the probabilities of its letters",
    "position_bias": "by how much the answer shown first wins more often than half; 0 is a fair "
    "judge, .5 one that always takes the first",
    "inconsistent": "share of prompts on which the judge's verdict turned round with the order",
    "unparsed": "share of written verdicts that could not be read; they are unknown, not ties",
    "longer": "share of wins of the longer answer, where the two differ in length; .5 is no "
    "liking for length",
    "minimum_detectable": "the smallest win rate away from .5 that so many prompts would show "
    "with a chance of 80 %, at this spread of verdicts",
    "strength": "Bradley–Terry: log-odds of being preferred to the first model, in nats, all "
    "comparisons together; 0 is as good, 1.1 is three wins to one",
    "agreement": "tie-discounted agreement of two judges: 1 where they say the same, .5 where "
    "exactly one says tie, 0 otherwise",
    "kappa": "Cohen's kappa over won, tie, lost: agreement beyond chance; 0 is chance, 1 is full",
}
"""Name -> what it is, for the report."""


def shown(first: str, second: str) -> str:
    """Return the name of the task in which one model's answer is shown before another's.

    >>> shown("sft", "base")
    'sft, then base'
    """
    return f"{first}, then {second}"


def pairwise_scores(
    asked: Mapping[str, Any], lines: Sequence[Line], *, seed: int = 0
) -> dict[str, Any]:
    """Compute the whole of a pairwise `scores.json` from the lines.

    Args:
        asked: what was asked, as `togi.evaluate.pairwise.asked_facts` says it.
        lines: of `samples.jsonl`.
        seed: of the bootstrap.
    """
    table = columns(lines)
    results = [
        result(table, judge, (after, before), seed=seed)
        for judge in asked["judges"]
        for after, before in asked["comparisons"]
    ]
    _adjust(results)
    return {
        "kind": "pairwise",
        "asked": dict(asked),
        "results": results,
        "strengths": _strengths(table, asked, seed),
        "agreement": _agreements(table, asked, seed),
        "answers": {name: _described(table[name, ANSWERS], seed) for name in asked["models"]},
        "definitions": DEFINITIONS,
        "multiplicity": "p-values are adjusted by Holm's method over all comparisons and judges.",
        "seed": seed,
    }


def credits(
    table: Mapping[tuple[str, str], Column],
    judge: str,
    pair: tuple[str, str],
    name: str = "first",
) -> tuple[Floats, Floats, Column]:
    """Return the first-named model's credits where it was shown first, and second.

    Raises:
        DataError: the two orders were asked about different prompts.
    """
    first, second = (table[judge, shown(*names)] for names in (pair, pair[::-1]))
    if first.ids != second.ids:
        raise DataError(
            "the two orders hold different samples", where=f"judge '{judge}', {shown(*pair)}"
        )
    return first.numbers[name], 1 - second.numbers[name], first


def result(
    table: Mapping[tuple[str, str], Column], judge: str, pair: tuple[str, str], *, seed: int
) -> dict[str, Any]:
    """Return what one judge found of one pair of models."""
    first, second, column = credits(table, judge, pair)
    kept = {"clusters": column.clusters, "level": LEVEL, "seed": seed}
    found = win_rate(first, second, **kept)
    spread = paired_difference((first + second) / 2, np.full(len(first), 0.5), **kept).sd
    least = minimum_detectable_effect(spread, found.rate.n) if spread > 0 else math.nan
    turned = np.where(np.isnan(first + second), math.nan, (first - 0.5) * (second - 0.5) < 0)
    told: dict[str, Any] = {
        "judge": judge,
        "after": pair[0],
        "before": pair[1],
        "tasks": [shown(*pair), shown(pair[1], pair[0])],
        "win_rate": found.rate.as_dict(),
        "p_value": _plain(found.p_value),
        "p_adjusted": None,
        "better": None,
        "wins": found.wins,
        "ties": found.ties,
        "losses": found.losses,
        "position_bias": found.position_bias.as_dict(),
        "position_p_value": _plain(found.position_p_value),
        "inconsistent": _share(turned, column, seed).as_dict(),
        "longer": _longer(table, pair, (first + second) / 2, column, seed).as_dict(),
        "minimum_detectable": _plain(least),
        "n": found.n,
        "dropped": found.dropped,
    }
    if "graded" in column.numbers:
        graded = credits(table, judge, pair, "graded")
        told["graded_win_rate"] = win_rate(graded[0], graded[1], **kept).rate.as_dict()
    if "parsed" in column.numbers:
        told["unparsed"] = _unparsed(table, judge, pair, seed).as_dict()
    return told


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _share(values: Floats, column: Column, seed: int) -> Estimate:
    """Return the mean of values of 0 and 1."""
    known = values[~np.isnan(values)]
    if column.clusters is None:
        return wilson(float(known.sum()), len(known), LEVEL)
    return bootstrap_mean(values, clusters=column.clusters, level=LEVEL, seed=seed)


def _unparsed(
    table: Mapping[tuple[str, str], Column], judge: str, pair: tuple[str, str], seed: int
) -> Estimate:
    """Return the share of verdicts that could not be read, prompts being the units."""
    both = [table[judge, shown(*names)] for names in (pair, pair[::-1])]
    values = np.concatenate([1 - column.numbers["parsed"] for column in both])
    labels = list(both[0].clusters or both[0].ids) * 2
    return bootstrap_mean(values, clusters=labels, level=LEVEL, seed=seed)


def _longer(
    table: Mapping[tuple[str, str], Column],
    pair: tuple[str, str],
    credit: Floats,
    column: Column,
    seed: int,
) -> Estimate:
    """Return how often the longer answer wins: a judge's liking for length."""
    sizes = [table[name, ANSWERS].numbers["characters"] for name in pair]
    gap = np.sign(sizes[0] - sizes[1])
    values = np.where(gap == 0, math.nan, np.where(gap > 0, credit, 1 - credit))
    return bootstrap_mean(values, clusters=column.clusters, level=LEVEL, seed=seed)


def _adjust(results: Sequence[dict[str, Any]]) -> None:
    """Fill in `p_adjusted` and `better`, in place, over all results."""
    p = [math.nan if one["p_value"] is None else one["p_value"] for one in results]
    for one, adjusted in zip(results, holm(p).tolist(), strict=True):
        one["p_adjusted"] = _plain(adjusted)
        rate = one["win_rate"]
        apart = rate["low"] is not None and not rate["low"] <= 0.5 <= rate["high"]
        if adjusted <= 1 - LEVEL and apart:
            one["better"] = rate["mean"] > 0.5


def _strengths(
    table: Mapping[tuple[str, str], Column], asked: Mapping[str, Any], seed: int
) -> list[dict[str, Any]]:
    """Return Bradley–Terry strengths by each judge, where there are three or more models."""
    models, found = list(asked["models"]), []
    if len(models) < 3:
        return []
    pairs = [(after, before) for after, before in asked["comparisons"]]
    places = [(models.index(after), models.index(before)) for after, before in pairs]
    for judge in asked["judges"]:
        sides = [credits(table, judge, pair) for pair in pairs]
        both = np.stack([(first + second) / 2 for first, second, _ in sides], axis=1)
        every = strengths(
            both, places, len(models), clusters=sides[0][2].clusters, level=LEVEL, seed=seed
        )
        found += [
            {"judge": judge, "model": name, "over": models[0], "strength": one.as_dict()}
            for name, one in zip(models[1:], every, strict=True)
        ]
    return found


def _agreements(
    table: Mapping[tuple[str, str], Column], asked: Mapping[str, Any], seed: int
) -> list[dict[str, Any]]:
    """Return how far each two judges agree, over all pairs of answers."""
    sides: dict[str, Floats] = {}
    labels: list[str] = []
    for judge in asked["judges"]:
        found = [credits(table, judge, (after, before)) for after, before in asked["comparisons"]]
        sides[judge] = np.concatenate([(first + second) / 2 for first, second, _ in found])
        labels = [label for _, _, column in found for label in column.clusters or column.ids]
    kept = {"clusters": labels, "level": LEVEL, "seed": seed}
    return [
        {
            "judges": [one, two],
            "agreement": agreement(sides[one], sides[two], **kept).as_dict(),
            "kappa": cohen_kappa(sides[one], sides[two], **kept).as_dict(),
        }
        for one, two in combinations(sides, 2)
    ]


def _described(column: Column, seed: int) -> dict[str, Any]:
    """Return what a model's answers are like: words, ended, and so on."""
    return {
        measure.name: {
            **estimate(measure, column, seed=seed).as_dict(),
            "unit": measure.unit,
            "definition": measure.definition,
        }
        for measure in ANSWER.measures(Asking())
    }


def rescore(folder: Path) -> dict[str, Any]:
    """Compute the scores of a finished pairwise judging again from its lines."""
    old, lines = read_scores(folder)
    return pairwise_scores(old["asked"], lines, seed=old["seed"])
