"""Ranking models from finished judgings: on each sample the better number wins.

The judgings may lie in several runs; `togi.evaluate.field` puts their models side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from togi.errors import UsageError, nearest
from togi.evaluate.asking import Measure
from togi.evaluate.columns import LEVEL
from togi.evaluate.field import Field
from togi.evaluate.scores import differences, measures_of
from togi.stats.arrays import Floats
from togi.stats.ranking import Board, Ranking, all_pairs, credits_of, rank_models

WARNING = (
    "A win rate is a mean over the other models of this set: it changes, and two models may change "
    "places, when another model joins or leaves. Do not compare it with win rates of another set."
)


def measure_of(tasks: Mapping[str, Mapping[str, Any]], name: str) -> tuple[str, Measure]:
    """Return the task and measure that `task` or `task.measure` names; the primary by default.

    Raises:
        UsageError: there is no such task or measure.
    """
    task, dot, wanted = (name, "", "") if name in tasks else name.rpartition(".")
    if task not in tasks:
        raise UsageError(
            f"no common task is called '{task or name}'", where="rank",
            expected=nearest(task or name, tasks),
        )  # fmt: skip
    measures = {measure.name: measure for measure in measures_of(tasks[task])}
    if dot and wanted not in measures:
        raise UsageError(
            f"task '{task}' has no measure '{wanted}'", where="rank",
            expected=nearest(wanted, measures),
        )  # fmt: skip
    return task, measures[wanted] if dot else next(iter(measures.values()))


def sample_scores(field: Field, task: str, measure: Measure) -> Floats:
    """Return (samples, models) numbers, turned so that more is better; NaN where unknown."""
    columns = []
    for model in field.models:
        numbers = field.table[model, task].numbers
        value = numbers[measure.over] * measure.scale
        if measure.per:
            size = numbers[measure.per]
            value = np.divide(value, size, out=np.full_like(value, np.nan), where=size > 0)
        columns.append(value if measure.higher_is_better else -value)
    return np.stack(columns, axis=1)


def rank(
    field: Field, tasks: Sequence[str] = (), *, draws: int = 4000, seed: int = 0
) -> dict[str, Any]:
    """Rank the models on each task and on all together; return what `rank.json` holds.

    Args:
        field: from `gather`.
        tasks: `task` or `task.measure`; each common task's primary measure where none is named.
        draws: resamples.
        seed: of the bootstrap.
    """
    chosen = [measure_of(field.tasks, name) for name in tasks or field.tasks]
    pairs, size = all_pairs(len(field.models)), len(field.models)
    boards = {}
    for task, measure in chosen:
        labels = field.table[field.models[0], task].clusters
        credits = credits_of(sample_scores(field, task, measure), pairs)
        boards[task, measure.name] = Board(credits, labels)
    ranked = {name: rank_models([b], size, draws=draws, seed=seed) for name, b in boards.items()}
    whole = rank_models(list(boards.values()), size, draws=draws, seed=seed)
    facts = {t: _chosen_only(field.tasks[t], [m for u, m in chosen if u == t]) for t, _ in chosen}
    compared = [(one, two) for two, one in combinations(field.models, 2)]
    return {
        "kind": "rank",
        "models": field.models,
        "judged": field.facts,
        "all": told(whole, field.models),
        "tasks": [
            {"task": task, "measure": measure, "n": len(boards[task, measure].credits),
             **told(found, field.models)}
            for (task, measure), found in ranked.items()
        ],
        "differences": differences(
            facts, compared, field.table, seed=seed, alike=field.alike
        ),
        "warning": WARNING,
        "notes": list(dict.fromkeys(field.notes)),
        "level": LEVEL,
        "seed": seed,
    }  # fmt: skip


def _chosen_only(facts: Mapping[str, Any], measures: Sequence[Measure]) -> dict[str, Any]:
    names = [measure.name for measure in measures]
    kept = {name: entry for name, entry in facts["measures"].items() if name in names}
    return {**facts, "measures": kept}


def told(found: Ranking, models: Sequence[str]) -> dict[str, Any]:
    """Return a ranking as plain values, the best model first."""
    places = [
        {
            "model": model,
            "rank": place.rank,
            "rank_best": place.best,
            "rank_worst": place.worst,
            "win_rate": place.win_rate.as_dict(),
            "strength": place.strength.as_dict(),
        }
        for model, place in zip(models, found.places, strict=True)
    ]
    plain = [[None if np.isnan(v) else float(v) for v in row] for row in found.shares]
    return {
        "places": sorted(places, key=lambda place: place["rank"]),
        "shares": {
            model: dict(zip(models, row, strict=True))
            for model, row in zip(models, plain, strict=True)
        },
        "flips": [
            {
                "by": flip.by,
                "models": [models[flip.one], models[flip.two]],
                "without": models[flip.without],
            }
            for flip in found.flips
        ],
    }


def sentences(found: Mapping[str, Any]) -> list[str]:
    """Say who is where, which orders hang on the set of models, and the warning.

    >>> sentences({"all": {"places": [{"model": "a", "rank": 1, "rank_best": 1, "rank_worst": 2}],
    ...                    "flips": []}, "warning": "Beware."})
    ['1. a (between rank 1 and 2)', 'Beware.']
    """
    lines = []
    for place in found["all"]["places"]:
        best, worst = place["rank_best"], place["rank_worst"]
        between = f"between rank {best} and {worst}" if best < worst else "sure at 95 %"
        lines.append(f"{place['rank']}. {place['model']} ({between})")
    for flip in found["all"]["flips"]:
        one, two = flip["models"]
        lines.append(
            f"By {flip['by']}, {one} and {two} change places when {flip['without']} is left out."
        )
    return [*lines, found["warning"]]
