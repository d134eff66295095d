"""Each task's measures before and after: levels, paired differences, and how it was asked."""

from __future__ import annotations

from typing import Any

from togi.report import mirage
from togi.report import numbers as show
from togi.report.files import as_dict, as_list
from togi.report.glossary import Names
from togi.report.judged import Judged, direction, spoken
from togi.report.numbers import finite
from togi.report.plots import IntervalPlot, Mark, interval_plot
from togi.report.tables import Table, table
from togi.report.verdict import differences_table, says, with_interval
from togi.report.words import look_up

MOST_PLOTTED = 40
"""Measures that get a drawing, over the whole page; further ones are told in tables only."""


def sections(judged: list[Judged], told: dict[str, Any], names: Names) -> list[dict[str, Any]]:
    """Return one section a task, in the order of the recipe."""
    found, plotted = [], 0
    for one in judged:
        for task, about in one.tasks.items():
            compared = _compared(one, task)
            found.append(
                {
                    "id": names.ids("task", task),
                    "title": spoken(task),
                    "step": one.step.name if len(judged) > 1 else "",
                    "definition": str(about.get("about") or about.get("definition") or ""),
                    "card": _card(about),
                    "measures": [
                        _measure(one, task, name, told, names, plotted + place < MOST_PLOTTED)
                        for place, name in enumerate(compared)
                    ],
                    "others": _others(one, task, compared, names),
                    "mirage": mirage.section(one, task, names),
                }
            )
            plotted += len(compared)
    return found


def remarks(judged: list[Judged]) -> list[str]:
    """Return what the judging says of all its differences, and of samples without a value."""
    found = []
    for one in judged:
        found += [str(one.data["multiplicity"])] if one.data.get("multiplicity") else []
        for entry in as_list(as_dict(one.data.get("unlike")).get("pairs")):
            found.append(_unlike(as_dict(entry)))
        for entry in as_list(one.data.get("undefined")):
            lost = as_dict(entry)
            found.append(
                f"{lost.get('model')} has no value on {show.told(lost.get('samples'))} samples of"
                f" {spoken(lost.get('task'))}; they are left out of its scores."
            )
    return list(dict.fromkeys(found))


def _unlike(entry: dict[str, Any]) -> str:
    """Say that two models are unlike, and whether they were compared all the same.

    >>> _unlike({"after": "a", "before": "b", "compared": True,
    ...          "differs": {"dtype": ["float32", "bfloat16"]}})
    'a and b differ in dtype (float32 and bfloat16); they were compared all the same, on purpose.'
    """
    sides = {key: as_list(both) for key, both in as_dict(entry.get("differs")).items()}
    fields = ", ".join(f"{spoken(key)} ({' and '.join(both)})" for key, both in sides.items())
    done = "were compared all the same, on purpose" if entry.get("compared") else "are not compared"
    return f"{entry.get('after')} and {entry.get('before')} differ in {fields}; they {done}."


def models(judged: list[Judged]) -> Table:
    """Return what was judged: each model's engine, number format and fingerprint."""
    every = {
        name: as_dict(told)
        for one in judged
        for name, told in as_dict(one.data.get("judged")).items()
    }
    keys = list(dict.fromkeys(key for told in every.values() for key in told))
    rows = [
        (name, *(show.told(told.get(key))[:40] for key in keys)) for name, told in every.items()
    ]
    return table("The models judged", ("model", *map(spoken, keys)), rows, text=range(9))


def _compared(one: Judged, task: str) -> list[str]:
    """Return the task's primary measure and those that models were compared on."""
    every = one.measures(task)
    return [
        name for name in every if name == one.primary(task) or one.differences(task, name)
    ] or every[:1]


def _definition(one: Judged, task: str, measure: str) -> str:
    """Return the run's own definition of a measure.

    A task's only definition may be meant for the task: ours goes before it where we have one.
    """
    per_measure = as_dict(as_dict(one.tasks[task].get("measures")).get(measure))
    text = per_measure.get("definition")
    if not text and not look_up(measure):
        text = one.about(task, measure).get("definition")
    return str(text or "")


def _measure(
    one: Judged, task: str, measure: str, told: dict[str, Any], names: Names, drawn: bool
) -> dict[str, Any]:
    better = direction(one.higher_is_better(task, measure))
    unit = str(one.about(task, measure).get("unit") or "")
    differences = one.differences(task, measure)
    title = f"{spoken(task)}, {spoken(measure)}"
    label = f"{spoken(measure)}{f', {unit}' if unit and unit != spoken(measure) else ''}: {better}"
    return {
        "name": names(measure, _definition(one, task, measure)),
        "direction": better,
        "levels": _levels(one, task, measure, told, title, label, names) if drawn else None,
        "levels_table": _levels_table(one, task, measure, title),
        "changes": _changes(differences, title, label, names) if drawn and differences else None,
        "changes_table": differences_table(f"{title}: differences", differences, names),
    }


def _levels(
    one: Judged,
    task: str,
    measure: str,
    told: dict[str, Any],
    title: str,
    label: str,
    names: Names,
) -> IntervalPlot:
    kinds = {str(told.get("candidate")): "good", str(told.get("baseline")): "open"}
    marks = [
        _mark(model, one.estimate(model, task, measure), kinds.get(model, "plain"))
        for model in one.models
    ]
    return interval_plot(
        marks, id=names.ids("figure", task, measure), title=f"{title}: each model", axis_label=label
    )


def _mark(label: str, estimate: dict[str, Any], kind: str, says: str = "") -> Mark:
    mean, low, high = (finite(estimate.get(key)) for key in ("mean", "low", "high"))
    reading = show.mean(estimate, sign=bool(says))
    reading = reading if low is not None or mean is None else f"{reading} · {show.TOO_SMALL}"
    return Mark(label, f"{reading}{f' · {says}' if says else ''}", mean, low, high, kind)


def _changes(
    differences: list[dict[str, Any]], title: str, label: str, names: Names
) -> IntervalPlot:
    kinds = {"better": "good", "worse": "bad"}
    marks = [
        _mark(
            f"{entry.get('after', '?')} − {entry.get('before', '?')}",
            as_dict(entry.get("estimate")),
            kinds.get(says(entry), "open"),
            says(entry),
        )
        for entry in differences
    ]
    return interval_plot(
        marks,
        id=names.ids("figure", title, "differences"),
        title=f"{title}: paired differences",
        axis_label=f"difference in {label}",
        lines=((0, "no change"),),
    )


def _levels_table(one: Judged, task: str, measure: str, title: str) -> Table:
    rows = []
    for model in one.models:
        score = one.estimate(model, task, measure)
        rows.append((model, show.mean(score), show.interval(score), show.number(score.get("n", 0))))
    scores = (one.estimate(model, task, measure) for model in one.models)
    level = show.level(next((score for score in scores if score), {}))
    return table(title, ("model", "mean", f"{level} interval", "n"), rows)


def _others(one: Judged, task: str, compared: list[str], names: Names) -> Table | None:
    others = [name for name in one.measures(task) if name not in compared]
    if not others:
        return None
    rows = [
        (
            names(measure, _definition(one, task, measure)),
            *(with_interval(one.estimate(model, task, measure)) for model in one.models),
        )
        for measure in others
    ]
    return table(f"{spoken(task)}: further measures", ("measure", *one.models), rows)


def _card(about: dict[str, Any]) -> Table:
    """Say how a task was asked, so that unlike is not compared with unlike."""
    plain = {"kind": about.get("kind"), "samples": about.get("n"), **as_dict(about.get("card"))}
    rows = [(spoken(key), show.told(value)) for key, value in plain.items() if value is not None]
    return table("How it was asked", ("setting", "value"), rows, text=(0, 1))
