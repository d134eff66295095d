"""What tuning has changed: a table of methods, the divergence, and quality against cost."""

from __future__ import annotations

from typing import Any

from togi.report import numbers as show
from togi.report.files import RunFiles, StepFiles, as_dict, as_list
from togi.report.glossary import Names
from togi.report.judged import direction, spoken
from togi.report.numbers import finite
from togi.report.plots import IntervalPlot, Mark, interval_plot
from togi.report.scatter import ScatterPlot, Spot, scatter_plot
from togi.report.tables import Table, table
from togi.report.verdict import with_interval

DIVERGENCES = ("kl_answer", "kl_token", "kl_answer_k3", "kl_token_k3")
COSTS = ("tokens", "seconds", "memory_mb", "trained_parameters")
PLOTTED = (("seconds", "seconds of training"), ("tokens", "tokens of training"))
UNKNOWN = "unknown"


def sections(files: RunFiles, names: Names) -> list[dict[str, Any]]:
    """Return one part a step that left `changes.json`."""
    read = ((step, files.json(step, "changes.json")) for step in files.steps)
    return [_part(step, data, names) for step, data in read if data.get("kind") == "changes"]


def _part(step: StepFiles, data: dict[str, Any], names: Names) -> dict[str, Any]:
    plots = [_against(data, cost, label, names) for cost, label in PLOTTED]
    openings = [str(one) for one in as_list(data.get("refusal_openings"))]
    return {
        "id": names.ids("changed", step.name),
        "name": step.name,
        "sentence": _sentence(data),
        "table": _methods(data, names),
        "divergence": _divergence(data, names),
        "scatter": [plot for plot in plots if plot],
        "no_scatter": _why_none(data) if not any(plots) else "",
        "unknown": [
            f"The divergence of {name} is unknown: {why}."
            for name, found in as_dict(data.get("kl")).items()
            if (why := as_dict(found).get("unknown"))
        ],
        "trainings": _trainings(data),
        "openings": ", ".join(f"“{one}”" for one in openings),
    }


def _tuned(data: dict[str, Any]) -> list[str]:
    return [str(name) for name in as_list(data.get("models")) if name != data.get("base")]


def _sentence(data: dict[str, Any]) -> str:
    asked = as_dict(data.get("asked"))
    return (
        f"Against {data.get('base')}, on {show.told(asked.get('prompts'))} prompts with"
        f" {show.told(asked.get('answers to each'))} answer to each, of at most"
        f" {show.told(asked.get('max_tokens'))} tokens, drawn at temperature 1."
    )


def _named(data: dict[str, Any], names: Names, name: str) -> Any:
    return names(name, str(as_dict(data.get("definitions")).get(name) or ""))


def _methods(data: dict[str, Any], names: Names) -> Table:
    """Return the table of methods: what is measured, each tuned model, and the base's level."""
    tuned = _tuned(data)
    rows: list[tuple[Any, ...]] = []
    for name in DIVERGENCES:
        found = (as_dict(as_dict(as_dict(data.get("kl")).get(m)).get(name)) for m in tuned)
        rows.append((_named(data, names, name), *(_divergence_cell(one) for one in found), "–"))
    rows += _quality_row(data, names)
    for task, about in as_dict(data.get("tasks")).items():
        rows += _task_rows(data, str(task), as_dict(about), names)
    for name in COSTS:
        costs = (as_dict(as_dict(data.get("costs")).get(m)).get(name) for m in tuned)
        rows.append((_named(data, names, name), *(_cost_cell(name, one) for one in costs), "–"))
    names("n")
    names("interval")
    base = data.get("base")
    head = ("measure", *(f"{name} − {base}" for name in tuned), str(base))
    return table("What changed against the base", head, rows)


def _divergence_cell(estimate: dict[str, Any]) -> str:
    return UNKNOWN if finite(estimate.get("mean")) is None else with_interval(estimate)


def _cost_cell(name: str, value: Any) -> str:
    if finite(value) is None:
        return UNKNOWN
    return show.duration(value) if name == "seconds" else show.number(value)


def _quality_row(data: dict[str, Any], names: Names) -> list[tuple[Any, ...]]:
    """Return the row of a quality from another judging; a task of its own has its row already."""
    quality = as_dict(data.get("quality"))
    if not quality or quality.get("task") in as_dict(data.get("tasks")):
        return []
    found = (as_dict(as_dict(quality.get("differences")).get(m)) for m in _tuned(data))
    label = names(str(quality.get("measure")))
    label = label._replace(text=f"{spoken(quality.get('task'))}: {label.text}")
    return [(label, *(with_interval(one, sign=True) for one in found), "–")]


def _task_rows(
    data: dict[str, Any], task: str, about: dict[str, Any], names: Names
) -> list[tuple[Any, ...]]:
    """Return a task's primary measure; of the answers, all of them."""
    measures = as_dict(about.get("measures"))
    shown = measures if task == "answers" else [about.get("primary_measure")]
    rows = []
    for name in map(str, shown):
        label = names(name, str(as_dict(measures.get(name)).get("definition") or ""))
        text = label.text if task == "answers" else f"{spoken(task)}: {label.text}"
        level = as_dict(as_dict(as_dict(data.get("scores")).get(str(data.get("base")))).get(task))
        cells = (
            with_interval(_difference(data, task, name, model), sign=True) for model in _tuned(data)
        )
        rows.append((label._replace(text=text), *cells, with_interval(as_dict(level.get(name)))))
    return rows


def _difference(data: dict[str, Any], task: str, measure: str, model: str) -> dict[str, Any]:
    wanted = (task, measure, model)
    for entry in map(as_dict, as_list(data.get("differences"))):
        if (entry.get("task"), entry.get("measure"), entry.get("after")) == wanted:
            return as_dict(entry.get("estimate"))
    return {}


def _divergence(data: dict[str, Any], names: Names) -> IntervalPlot | None:
    marks = []
    for name in _tuned(data):
        found = as_dict(as_dict(as_dict(data.get("kl")).get(name)).get("kl_answer"))
        mean, low, high = (finite(found.get(key)) for key in ("mean", "low", "high"))
        if mean is not None:
            marks.append(Mark(name, show.mean(found), mean, low, high))
    if not marks:
        return None
    return interval_plot(
        marks,
        id=names.ids("figure", "divergence"),
        title="How far each has moved",
        axis_label=f"KL divergence from {data.get('base')}, nats an answer, 95 % interval",
        lines=((0, "no change"),),
    )


def _against(data: dict[str, Any], cost: str, label: str, names: Names) -> ScatterPlot | None:
    """Return quality over one cost; None where no model has both."""
    quality, spots = as_dict(data.get("quality")), []
    higher = quality.get("higher_is_better")
    for name in _tuned(data):
        found = as_dict(as_dict(quality.get("differences")).get(name))
        mean, low, high = (finite(found.get(key)) for key in ("mean", "low", "high"))
        paid = finite(as_dict(as_dict(data.get("costs")).get(name)).get(cost))
        if mean is None or paid is None:
            continue
        reading = f"{with_interval(found, sign=True)} at {_cost_cell(cost, paid)}"
        kind = "open"
        if low is not None and high is not None and not low <= 0 <= high:
            kind = "good" if (mean > 0) == higher else "bad"
        reading += " tokens" if cost == "tokens" else ""
        spots.append(Spot(name, reading, paid, mean, low, high, kind))
    if not spots:
        return None
    measure = f"{spoken(quality.get('measure'))} of {spoken(quality.get('task'))}"
    what = f"difference in {measure}: {direction(higher if isinstance(higher, bool) else None)}"
    return scatter_plot(
        spots,
        id=names.ids("figure", "quality", cost),
        title=f"Quality against {label}",
        x_label=label,
        y_label=what,
    )


def _why_none(data: dict[str, Any]) -> str:
    if not as_dict(data.get("quality")):
        return (
            "There is no measure of quality to draw against the cost: name `scores` and `primary`."
        )
    return "No training has told its cost, so that quality cannot be drawn against it."


def _trainings(data: dict[str, Any]) -> list[str]:
    """Return which trainings each model's cost is made of."""
    return [
        f"{name}: {', then '.join(str(one) for one in parts)}"
        for name, cost in as_dict(data.get("costs")).items()
        if (parts := as_list(as_dict(cost).get("trainings")))
    ]
