"""Judged samples that stand in training rows, and the scores with and without them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from togi.report import numbers as show
from togi.report.files import RunFiles, as_dict, as_list
from togi.report.hygiene import overlaps
from togi.report.judged import spoken
from togi.report.tables import Table, table
from togi.report.verdict import with_interval

PARTS = ("all", "without", "overlapping")
NONE = "no sample"


def sections(files: RunFiles) -> list[dict[str, Any]]:
    """Return one section for each step that looked for leakage."""
    found = []
    for step in files.steps:
        told = files.json(step, "leakage.json")
        if told:
            found.append({"counts": _counts(told), "tables": list(_tables(told))})
    return found


def _counts(told: dict[str, Any]) -> Table:
    rows = [
        (
            spoken(task),
            show.told(one.get("overlapping")),
            show.told(one.get("n")),
            show.told(one.get("rows")),
            show.told(one.get("reasons")),
        )
        for task, found in as_dict(told.get("tasks")).items()
        if (one := as_dict(found))
    ]
    head = ("task", "samples that overlap", "of", "training rows that hold them", "why")
    title = f"Judged samples in {show.told(told.get('rows'))} training rows"
    return table(title, head, rows, text=(0, 4))


def _tables(told: dict[str, Any]) -> Iterator[Table]:
    tasks = as_dict(told.get("tasks"))
    for task, found in tasks.items():
        if as_dict(found).get("overlapping"):
            yield _scores(told, task)
            yield _differences(told, task)
            examples = as_dict(found).get("examples")
            yield overlaps(f"{spoken(task)}: examples", examples, ("sample", "row"))


def _scores(told: dict[str, Any], task: str) -> Table:
    rows = [
        (model, spoken(measure), *(_cell(as_dict(parts).get(part)) for part in PARTS))
        for model, tasks in as_dict(told.get("scores")).items()
        for measure, parts in as_dict(as_dict(tasks).get(task)).items()
    ]
    head = ("model", "measure", "all samples", "without overlap", "overlapping only")
    return table(f"{spoken(task)}: scores with and without", head, rows, text=(0, 1))


def _cell(estimate: Any) -> str:
    one = as_dict(estimate)
    return with_interval(one) if one else NONE


def _differences(told: dict[str, Any], task: str) -> Table:
    rows = []
    for entry in map(as_dict, as_list(told.get("differences"))):
        if entry.get("task") == task:
            parts = [as_dict(entry.get(part)) for part in ("all", "without")]
            cells = [_cell(part.get("estimate")) for part in parts]
            p = [show.p_value(part.get("p_adjusted")) if part else NONE for part in parts]
            pair = f"{entry.get('after')} − {entry.get('before')}"
            rows.append((pair, spoken(entry.get("measure")), cells[0], p[0], cells[1], p[1]))
    head = ("pair", "measure", "all samples", "adjusted p", "without overlap", "adjusted p")
    return table(f"{spoken(task)}: differences with and without", head, rows, text=(0, 1))
