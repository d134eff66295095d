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
from togi.evaluate.unlike import (
    Differs,
    cards_differ,
    check_allowed,
    engines_differ,
    refuse,
    refused,
)
from togi.stats import Paired, holm, minimum_detectable_effect

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
    judged: Mapping[str, Mapping[str, Any]] | None = None,
    unlike: Sequence[str] = (),
) -> dict[str, Any]:
    """Compute the whole of `scores.json` from the lines.

    Args:
        tasks: task name -> `task_facts`.
        models: their order.
        comparisons: (after, before) pairs; the family that multiplicity is corrected over.
        lines: of `samples.jsonl`.
        series: models in order, such as checkpoints, whose curves are looked over for jumps.
        seed: of the bootstrap.
        judged: model -> what is known of it; models whose engines differ are not compared.
        unlike: the differences that are allowed on purpose; see `togi.evaluate.unlike`.
    """
    table = columns(lines)
    alike, apart = _alike(comparisons, judged or {}, unlike)
    scores: dict[str, Any] = {model: {} for model in models}
    undefined: list[dict[str, Any]] = []
    for model in models:
        for task, facts in tasks.items():
            column = table[model, task]
            named = measures_of(facts)
            scores[model][task] = {m.name: estimate(m, column, seed=seed).as_dict() for m in named}
            if missing := int(np.isnan(column.numbers[named[0].over]).sum()):
                undefined.append({"model": model, "task": task, "samples": missing})
    found = differences(tasks, alike, table, seed=seed)
    measures = {task: measures_of(facts) for task, facts in tasks.items()}
    return {
        "tasks": dict(tasks),
        "models": list(models),
        "comparisons": [list(pair) for pair in comparisons],
        "series": list(series),
        "scores": scores,
        "differences": found,
        "unlike": {"allowed": list(unlike), "pairs": apart},
        "mirage": mirage(measures, found, series, table, seed=seed),
        "multiplicity": MULTIPLICITY,
        "undefined": undefined,
        "seed": seed,
    }


def _alike(
    comparisons: Sequence[tuple[str, str]],
    judged: Mapping[str, Mapping[str, Any]],
    allowed: Sequence[str],
) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    """Return the pairs that are compared, and those that differ, compared all the same or not."""
    check_allowed(allowed)
    kept, apart = [], []
    for pair in comparisons:
        differs = engines_differ(*(judged.get(name, {}) for name in pair))
        compared = not refused(differs, allowed)
        if compared:
            kept.append(pair)
        if differs:
            sides = {key: list(both) for key, both in differs.items()}
            apart.append(
                {"after": pair[0], "before": pair[1], "differs": sides, "compared": compared}
            )
    return kept, apart


def differences(
    tasks: Mapping[str, Mapping[str, Any]],
    comparisons: Sequence[tuple[str, str]],
    table: Mapping[tuple[str, str], Column],
    *,
    seed: int = 0,
    alike: bool = True,
) -> list[dict[str, Any]]:
    """Return the paired differences "after minus before" with p-values adjusted by family.

    `alike` is False where the user has allowed that models were asked in different ways.
    """
    families: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for after, before in comparisons:
        for task, facts in tasks.items():
            one, two = table[after, task], table[before, task]
            check_pair(task, one, two, (after, before), alike=alike)
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
        "sd": found.sd if math.isfinite(found.sd) else None,
        "minimum_detectable": None,
        "test": found.test,
        "p_value": None if math.isnan(found.p_value) else found.p_value,
        "p_adjusted": None,
        "better": None,
    }


def adjust(family: list[dict[str, Any]], alpha: float = 1 - LEVEL) -> None:
    """Fill in `p_adjusted`, `better` and `minimum_detectable` of one family, in place.

    `better` is said where the adjusted p-value is at most alpha and the interval shown excludes
    zero (with few samples the test and the bootstrap can differ), and stays None elsewhere.
    `minimum_detectable` is the smallest true difference that so many pairs of this spread would
    show with a chance of 80 %, at the strictest level of the correction, alpha over the number
    of differences in the family.
    """
    strictest = alpha / max(1, len(family))
    p = [math.nan if entry["p_value"] is None else entry["p_value"] for entry in family]
    for entry, adjusted in zip(family, holm(p).tolist() if p else [], strict=True):
        entry["p_adjusted"] = None if math.isnan(adjusted) else adjusted
        if "sd" in entry:  # a side of trust is no mean over samples, and has no such spread
            entry["minimum_detectable"] = detectable(entry["sd"], entry["estimate"]["n"], strictest)
        low, high = (entry["estimate"][key] for key in ("low", "high"))
        apart = None not in (low, high) and not low <= 0 <= high
        if adjusted <= alpha and apart:
            entry["better"] = (entry["estimate"]["mean"] > 0) == entry["higher_is_better"]


def detectable(sd: float | None, n: int, alpha: float, power: float = 0.8) -> float | None:
    """Return the smallest difference that n units of that spread show; None where unknown.

    A spread of 0, all differences equal, tells nothing of the next sample's.

    >>> round(detectable(1.0, 100, 0.05), 3), detectable(0.0, 100, 0.05)
    (0.283, None)
    """
    if not sd:
        return None
    found = minimum_detectable_effect(sd, n, alpha, power)
    return found if math.isfinite(found) else None


def check_cards(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], allowed: Sequence[str] = ()
) -> dict[str, Differs]:
    """Refuse to join two judgings that asked a task of the same name in different ways.

    Args:
        ours: task name -> facts, of one judging.
        theirs: of the other.
        allowed: fields that may differ on purpose.

    Returns:
        Task name -> what differs and is allowed.

    Raises:
        DataError: says each setting that differs.
    """
    check_allowed(allowed)
    apart = {}
    for task in sorted(ours.keys() & theirs.keys()):
        if differs := cards_differ(ours[task]["card"], theirs[task]["card"]):
            refuse(differs, allowed, f"task '{task}'")
            apart[task] = differs
    return apart


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
    return score(
        old["tasks"],
        old["models"],
        pairs,
        lines,
        series=old.get("series", []),
        seed=old["seed"],
        judged=old.get("judged", {}),
        unlike=old.get("unlike", {}).get("allowed", ()),
    )
