"""What an exam says: accuracy by relation and task, effects of expertise, and `exam.csv`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from togi.evaluate.personas.effects import (
    About,
    Floats,
    Trust,
    age_effects,
    comparisons,
    paired_effect,
)
from togi.evaluate.personas.exam import RELATIONS, Exam, Marked
from togi.evaluate.personas.persona import NONE, Persona
from togi.stats import bootstrap_mean

MEASURES = {
    "accuracy": ("share", "share of questions whose right option was chosen; ties are split"),
    "nats": ("nats", "minus the right option's log-probability among the options; less is better"),
}
"""Measure -> unit and definition; the first is thresholded, the second continuous."""
PAIRS = (
    ("task", "neutral"),
    ("task", "domain"),
    ("domain", "other"),
    ("task", "other"),
    ("neutral", NONE),
)
"""Which relations are compared."""


def by_relation(exam: Exam, marks: Mapping[str, Marked]) -> dict[str, dict[str, Floats]]:
    """Return relation -> measure -> (items,) means over its personas; NaN where there is none.

    A further persona is a relation of its own, under its name.
    """
    names = [*RELATIONS, *(who.name for who in exam.more)]
    sums: dict[str, dict[str, list[list[float]]]] = {
        name: {measure: [[] for _ in exam.items] for measure in MEASURES} for name in names
    }
    for place, item in enumerate(exam.items):
        for relation, who in exam.asked_of(item):
            got = marks[f"{item.id}/{who.name}"]
            name = who.name if relation == "more" else relation
            for measure, value in (("accuracy", got.correct), ("nats", got.nats)):
                if not math.isnan(value):
                    sums[name][measure][place].append(value)
    return {
        name: {
            measure: np.array([float(np.mean(v)) if v else math.nan for v in values])
            for measure, values in measures.items()
        }
        for name, measures in sums.items()
    }


def unread(exam: Exam, marks: Mapping[str, Marked]) -> dict[str, tuple[int, int]]:
    """Return relation -> answers that could not be read, and all answers."""
    found: dict[str, tuple[int, int]] = {}
    for item in exam.items:
        for relation, who in exam.asked_of(item):
            name = who.name if relation == "more" else relation
            lost, n = found.get(name, (0, 0))
            lost += math.isnan(marks[f"{item.id}/{who.name}"].correct)
            found[name] = lost, n + 1
    return found


def labels(exam: Exam) -> list[str] | None:
    """Return the questions' clusters, None where each is a unit of its own."""
    return [exam.clusters[item.id] for item in exam.items] if exam.clusters else None


def exam_results(exam: Exam, marks: Mapping[str, Marked], trust: Trust) -> dict[str, Any]:
    """Return each relation's measures with intervals, and each task's accuracies."""
    table, lost = by_relation(exam, marks), unread(exam, marks)

    def told(values: Floats) -> dict[str, Any]:
        return bootstrap_mean(
            values, clusters=labels(exam), draws=trust.draws, seed=trust.seed
        ).as_dict()

    relations = {
        name: {
            **{measure: told(values) for measure, values in measures.items()},
            "unread": lost[name][0],
            "answers": lost[name][1],
        }
        for name, measures in table.items()
        if name in lost
    }
    return {"relations": relations, "tasks": _by_task(exam, table, lost)}


def _by_task(
    exam: Exam, table: Mapping[str, Mapping[str, Floats]], asked: Mapping[str, Any]
) -> list[dict[str, Any]]:
    tasks = np.array([exam.tasks[item.id] for item in exam.items])
    rows = []
    for task, domain in exam.domains.items():
        mine = tasks == task
        accuracy = {
            name: _mean(measures["accuracy"][mine])
            for name, measures in table.items()
            if name in asked
        }
        rows.append({"task": task, "domain": domain, "n": int(mine.sum()), "accuracy": accuracy})
    return rows


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def exam_effects(
    model: str, exam: Exam, marks: Mapping[str, Marked], trust: Trust
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a model's effects of expertise on accuracy, and on the nats; not settled."""
    table = by_relation(exam, marks)
    sides = [pair for pair in PAIRS if all(_known(table, name) for name in pair)]
    none = (Persona(NONE, "", NONE),) if _known(table, NONE) else ()
    people = (*none, *exam.more)
    sides += [(people[a].name, people[b].name) for a, b in comparisons(people)]
    found: dict[str, list[dict[str, Any]]] = {measure: [] for measure in MEASURES}
    for measure, (unit, _) in MEASURES.items():
        for after, before in sides:
            one, two = table[after][measure], table[before][measure]
            if np.isnan(one - two).all():
                continue
            about = About(model, measure, unit, shown(after), shown(before))
            found[measure].append(paired_effect(about, one, two, trust, clusters=labels(exam)))
        if exam.more:
            rows = np.stack([table[who.name][measure] for who in exam.more])
            about = About(model, measure, unit)
            found[measure] += age_effects(about, exam.more, rows, trust, labels(exam))
    return found["accuracy"], found["nats"]


SHOWN = {
    "task": "task expert",
    "domain": "domain expert",
    "other": "outside expert",
    "neutral": "neutral persona",
    NONE: "no persona",
}
"""Relation -> how it is called where a sentence is made of it."""


def shown(relation: str) -> str:
    """Return a relation in words; a persona's name as it is.

    >>> shown("task"), shown("woman")
    ('task expert', 'woman')
    """
    return SHOWN.get(relation, relation)


def _known(table: Mapping[str, Mapping[str, Floats]], name: str) -> bool:
    return name in table and not np.isnan(table[name]["accuracy"]).all()


def exam_model_effects(
    exam: Exam, marks: Mapping[str, Mapping[str, Marked]], trust: Trust
) -> list[dict[str, Any]]:
    """Return how each further model's accuracy, over all personas, differs from the first one's."""
    names = list(marks)
    overall: dict[str, Floats] = {}
    for name in names:
        overall[name] = np.array([
            float(np.mean([marks[name][f"{item.id}/{who.name}"].correct
                           for _, who in exam.asked_of(item)]))
            for item in exam.items
        ])  # fmt: skip
    unit = MEASURES["accuracy"][0]
    return [
        paired_effect(
            About("", "accuracy", unit, name, names[0]),
            overall[name], overall[names[0]], trust, clusters=labels(exam),
        )
        for name in names[1:]
    ]  # fmt: skip


def exam_csv(exam: Exam, marks: Mapping[str, Mapping[str, Marked]]) -> str:
    """Return each model's and persona's right answers by task, and its relation to it."""
    sums: dict[tuple[str, ...], list[float]] = {}
    for model, got in marks.items():
        for item in exam.items:
            task = exam.tasks[item.id]
            for relation, who in exam.asked_of(item):
                key = (model, task, exam.domains[task], who.name, relation)
                sums.setdefault(key, []).append(got[f"{item.id}/{who.name}"].correct)
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["model", "task", "domain", "persona", "relation", "n", "unread", "correct"])
    for key, values in sums.items():
        known = [value for value in values if not math.isnan(value)]
        table.writerow([*key, len(values), len(values) - len(known), f"{sum(known):g}"])
    return out.getvalue()
