"""Scores from `samples.jsonl`: estimates of each model, paired differences, and what is refused.

Everything is computed from the lines and from what `scores.json` says about the tasks, so a
finished judging can be scored again, and two judgings be compared, without any model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from togi.errors import DataError
from togi.evaluate.asking import Measure
from togi.evaluate.columns import LEVEL, Column, check_pair, columns, estimate, paired
from togi.evaluate.ledger import Line, read_lines
from togi.evaluate.mirage import mirage
from togi.evaluate.tasks import Task
from togi.stats import Paired, holm

MULTIPLICITY = (
    "Two families are corrected apart by Holm's method: the differences of primary measures, "
    "and those of all other measures. 'better' is said where the adjusted p-value is at most "
    f"{1 - LEVEL:.2f}. Measures marked as not compared are shown without tests."
)


def task_facts(task: Task, backends: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return what `scores.json` says about a task, enough to compute its scores again."""
    primary = task.measures[0]
    card = {
        "template": task.template_hash,
        "asked": task.template,
        "shots": len(task.shots),
        "cluster": task.cluster,
        "backend": ", ".join(sorted({facts["backend"] for facts in backends})),
        "dtype": ", ".join(sorted({facts["dtype"] for facts in backends})),
    }
    return {
        "kind": task.kind,
        "about": task.rules.definition,
        "primary_measure": primary.name,
        "unit": primary.unit,
        "higher_is_better": primary.higher_is_better,
        "definition": primary.definition,
        "n": len(task.samples),
        "measures": {measure.name: asdict(measure) for measure in task.measures},
        "card": card,
    }


def measures_of(facts: Mapping[str, Any]) -> list[Measure]:
    """Return the measures that a task's facts name, the primary one first."""
    return [Measure(**entry) for entry in facts["measures"].values()]


def score(
    tasks: Mapping[str, Mapping[str, Any]],
    models: Sequence[str],
    comparisons: Sequence[tuple[str, str]],
    lines: Sequence[Line],
    *,
    series: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Compute the whole of `scores.json` from the lines.

    Args:
        tasks: task name -> `task_facts`.
        models: their order.
        comparisons: (after, before) pairs; the family that multiplicity is corrected over.
        lines: of `samples.jsonl`.
        series: models in order, such as checkpoints, whose curves are looked over for jumps.
        seed: of the bootstrap.
    """
    table = columns(lines)
    scores: dict[str, Any] = {model: {} for model in models}
    undefined: list[dict[str, Any]] = []
    for model in models:
        for task, facts in tasks.items():
            column = table[model, task]
            named = measures_of(facts)
            scores[model][task] = {m.name: estimate(m, column, seed=seed).as_dict() for m in named}
            if missing := int(np.isnan(column.numbers[named[0].over]).sum()):
                undefined.append({"model": model, "task": task, "samples": missing})
    found = differences(tasks, comparisons, table, seed=seed)
    measures = {task: measures_of(facts) for task, facts in tasks.items()}
    return {
        "tasks": dict(tasks),
        "models": list(models),
        "comparisons": [list(pair) for pair in comparisons],
        "series": list(series),
        "scores": scores,
        "differences": found,
        "mirage": mirage(measures, found, series, table, seed=seed),
        "multiplicity": MULTIPLICITY,
        "undefined": undefined,
        "seed": seed,
    }


def differences(
    tasks: Mapping[str, Mapping[str, Any]],
    comparisons: Sequence[tuple[str, str]],
    table: Mapping[tuple[str, str], Column],
    *,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return the paired differences "after minus before" with p-values adjusted by family."""
    families: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for after, before in comparisons:
        for task, facts in tasks.items():
            one, two = table[after, task], table[before, task]
            check_pair(task, one, two, (after, before))
            for place, measure in enumerate(measures_of(facts)):
                if measure.compared:
                    found = paired(measure, one, two, seed=seed)
                    pair = (task, after, before)
                    families[min(place, 1)].append(difference(pair, measure, found))
    for family in families:
        adjust(family)
    return [*families[0], *families[1]]


def difference(pair: tuple[str, str, str], measure: Measure, found: Paired) -> dict[str, Any]:
    """Return one difference as `scores.json` holds it, not yet adjusted."""
    task, after, before = pair
    return {
        "task": task,
        "measure": measure.name,
        "unit": measure.unit,
        "higher_is_better": measure.higher_is_better,
        "after": after,
        "before": before,
        "estimate": found.estimate.as_dict(),
        "pairs": found.n,
        "dropped": found.dropped,
        "test": found.test,
        "p_value": None if math.isnan(found.p_value) else found.p_value,
        "p_adjusted": None,
        "better": None,
    }


def adjust(family: list[dict[str, Any]], alpha: float = 1 - LEVEL) -> None:
    """Fill in `p_adjusted` and `better` of the differences of one family, in place.

    `better` is said where the adjusted p-value is at most alpha and the interval shown excludes
    zero (with few samples the test and the bootstrap can differ), and stays None elsewhere.
    """
    p = [math.nan if entry["p_value"] is None else entry["p_value"] for entry in family]
    for entry, adjusted in zip(family, holm(p).tolist() if p else [], strict=True):
        entry["p_adjusted"] = None if math.isnan(adjusted) else adjusted
        low, high = (entry["estimate"][key] for key in ("low", "high"))
        apart = None not in (low, high) and not low <= 0 <= high
        if adjusted <= alpha and apart:
            entry["better"] = (entry["estimate"]["mean"] > 0) == entry["higher_is_better"]


def check_cards(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Refuse to join two judgings that asked a task of the same name in different ways.

    Args:
        ours: task name -> facts, of one judging.
        theirs: of the other.

    Raises:
        DataError: says each setting that differs.
    """
    for task in ours.keys() & theirs.keys():
        one, two = (side[task]["card"]["asked"] for side in (ours, theirs))
        unlike = [key for key in {**one, **two} if one.get(key) != two.get(key)]
        if unlike:
            shown = "; ".join(f"{k}: {_short(one.get(k))} and {_short(two.get(k))}" for k in unlike)
            raise DataError(
                "the two judgings asked it in different ways and cannot be compared",
                where=f"task '{task}'",
                found=shown,
                expected="one and the same template",
                hint="judge both models again with one task",
            )


def _short(value: Any) -> str:
    return f"{len(value)} of {','.join(map(str, value))}" if isinstance(value, list) else str(value)


def read_scores(folder: Path) -> tuple[dict[str, Any], list[Line]]:
    """Read a judging's `scores.json` and the lines that it was computed from.

    Raises:
        DataError: there is no finished judging in the folder.
    """
    path = folder / "scores.json"
    if not path.exists():
        raise DataError("there is no finished judging here", where=str(folder), expected=path.name)
    return orjson.loads(path.read_bytes()), read_lines(folder / "samples.jsonl")[0]


def rescore(folder: Path) -> dict[str, Any]:
    """Compute the scores of a finished judging again from its lines."""
    old, lines = read_scores(folder)
    pairs = [(after, before) for after, before in old["comparisons"]]
    series = old.get("series", [])
    return score(old["tasks"], old["models"], pairs, lines, series=series, seed=old["seed"])
