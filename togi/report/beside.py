"""What lies beside the page for machines: `report.json` and `report.csv`, all numbers of a run.

The JSON holds what the steps told, whole; the CSV has one number a row with its interval, n and
test, whatever kind of step it came from. Both are made from the files that the page is made from.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from typing import Any, TypeAlias

from togi.report.files import RunFiles, as_dict, as_list
from togi.report.judged import SAYS, verdict

TOLD = {
    "scores.json": "judged",
    "verdict.json": "verdict",
    "rank.json": "ranking",
    "changes.json": "changes",
    "leakage.json": "leakage",
    "raters.json": "raters",
    "model_eval.json": "model_eval",
    "finding.json": "finding",
    "train.json": "training",
    "selection.json": "selection",
    "curation.json": "curation",
    "compare.json": "compared",
    "scaling.json": "scaling",
    "repeated.json": "repeated",
    "rows.json": "rows",
}
"""Files of steps that enter `report.json`, and what they are called there."""

HEAD = (
    "step", "kind", "task", "measure", "model", "against", "mean", "low", "high", "n", "level",
    "p_value", "p_adjusted", "says", "minimum_detectable", "unit", "higher_is_better",
)  # fmt: skip
"""Columns of `report.csv`; an empty cell is unknown or does not apply."""

Row: TypeAlias = dict[str, Any]


def whole(files: RunFiles) -> dict[str, Any]:
    """Return what `report.json` holds: the run, its verdict, and what each step told.

    Args:
        files: of the run, finished or not.
    """
    run = files.run
    kept = ("name", "status", "model", "seed", "started", "finished", "togi", "versions", "machine")
    return {
        "format": 1,
        **{key: run.get(key) for key in kept},
        "recipe": as_dict(run.get("recipe")),
        "verdict": verdict(files) or None,
        "steps": [
            {
                "name": step.name,
                "use": step.use,
                "status": step.status,
                "seconds": step.seconds,
                "hash": step.hash,
                "notes": step.notes,
                "settings": step.settings,
                **{key: told for name, key in TOLD.items() if (told := files.json(step, name))},
            }
            for step in files.steps
        ],
        "problems": list(files.problems),
    }


def as_json(told: dict[str, Any]) -> str:
    r"""Return strict JSON: what is not finite is null.

    >>> as_json({"a": float("nan")})
    '{\n "a": null\n}\n'
    """
    return json.dumps(_strict(told), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _strict(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, str):  # half a surrogate pair can be in no UTF-8 file
        return value.encode("utf-8", "replace").decode("utf-8")
    return value


def as_csv(told: dict[str, Any]) -> str:
    """Return all numbers of a run, a row each; `told` is from `whole`."""
    out = io.StringIO()
    writer = csv.DictWriter(out, HEAD, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in rows(told):
        cells = {key: _cell(value) for key, value in _strict(row).items()}
        writer.writerow(cells)
    return out.getvalue()


def _cell(value: Any) -> Any:
    """Return a cell; a text that a spreadsheet would take for a formula gets an apostrophe.

    >>> _cell("=1+1"), _cell(True), _cell(-0.5)
    ("'=1+1", 'true', -0.5)
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


def rows(told: dict[str, Any]) -> Iterator[Row]:
    """Yield the rows of `report.csv`."""
    for step in as_list(told.get("steps")):
        one = as_dict(step)
        for key, reader in READERS.items():
            for row in reader(as_dict(one.get(key))):
                yield {"step": one.get("name"), **row}


def _estimate(value: Any) -> Row:
    found = as_dict(value)
    return {key: found.get(key) for key in ("mean", "low", "high", "n", "level")}


def _says(better: Any) -> str:
    return SAYS[better if isinstance(better, bool) else None]


def _judged(data: dict[str, Any]) -> Iterator[Row]:
    for model, tasks in as_dict(data.get("scores")).items():
        for task, measures in as_dict(tasks).items():
            about = as_dict(as_dict(as_dict(data.get("tasks")).get(task)).get("measures"))
            for measure, found in as_dict(measures).items():
                own = as_dict(about.get(measure))
                facts = {key: own.get(key) for key in ("unit", "higher_is_better")}
                head = {"kind": "score", "task": task, "measure": measure, "model": model}
                yield {**head, **_estimate(found), **facts}
    yield from _differences(data)
    for entry in as_list(data.get("results")):  # of a pairwise judging
        one = as_dict(entry)
        pair = {"task": one.get("judge"), "model": one.get("after"), "against": one.get("before")}
        says = _says(one.get("better"))
        tests = {key: one.get(key) for key in ("p_value", "p_adjusted", "minimum_detectable")}
        rate = {**_estimate(one.get("win_rate")), **tests, "says": says}
        yield {"kind": "win rate", "measure": "win_rate", **pair, **rate}
        for name in ("position_bias", "inconsistent", "longer", "unparsed"):
            if one.get(name) is not None:
                yield {"kind": "judge", "measure": name, **pair, **_estimate(one[name])}
    for entry in as_list(data.get("strengths")):
        one = as_dict(entry)
        head = {"kind": "strength", "task": one.get("judge"), "measure": "strength"}
        pair = {"model": one.get("model"), "against": one.get("over")}
        yield {**head, **pair, **_estimate(one.get("strength"))}


def _differences(data: dict[str, Any]) -> Iterator[Row]:
    keys = ("task", "measure", "p_value", "p_adjusted", "minimum_detectable", "unit")
    for entry in as_list(data.get("differences")):
        one = as_dict(entry)
        says = _says(one.get("better"))
        yield {
            "kind": "difference", **{key: one.get(key) for key in keys},
            "model": one.get("after"), "against": one.get("before"), "says": says,
            "higher_is_better": one.get("higher_is_better"), **_estimate(one.get("estimate")),
        }  # fmt: skip


def _verdict(data: dict[str, Any]) -> Iterator[Row]:
    keys = ("task", "measure", "p_value", "p_adjusted", "minimum_detectable", "unit")
    parts = [("primary", data.get("primary"))]
    parts += [("guard", entry) for entry in as_list(data.get("guards"))]
    for kind, entry in parts:
        one = as_dict(entry)
        if one:
            yield {
                "kind": kind, **{key: one.get(key) for key in keys}, "says": one.get("status"),
                "model": data.get("candidate"), "against": data.get("baseline"),
                "higher_is_better": one.get("higher_is_better"), **_estimate(one.get("estimate")),
            }  # fmt: skip


def _ranking(data: dict[str, Any]) -> Iterator[Row]:
    boards = [("all", "", as_dict(data.get("all")))]
    for task in as_list(data.get("tasks")):
        one = as_dict(task)
        boards.append((str(one.get("task")), str(one.get("measure")), one))
    for task, measure, board in boards:
        for entry in as_list(board.get("places")):
            place = as_dict(entry)
            ranks = f"{place.get('rank_best')} to {place.get('rank_worst')}"
            says = f"rank {place.get('rank')}, open {ranks}"
            for key in ("win_rate", "strength"):
                name = f"{measure} {key}".strip()
                head = {"kind": f"rank {key}", "task": task, "measure": name, "says": says}
                yield {**head, "model": place.get("model"), **_estimate(place.get(key))}
    yield from _differences(data)


def _found(data: dict[str, Any], kind: str, above: str = "") -> Iterator[Row]:
    """Yield every estimate of a nested object under its dotted name."""
    for key, value in data.items():
        name = f"{above}.{key}" if above else str(key)
        if isinstance(value, dict):
            if {"mean", "low", "high"} <= value.keys():
                yield {"kind": kind, "measure": name, **_estimate(value)}
            else:
                yield from _found(value, kind, name)


READERS = {
    "judged": _judged,
    "verdict": _verdict,
    "ranking": _ranking,
    "changes": lambda data: [*_found(as_dict(data.get("kl")), "divergence"), *_differences(data)],
    "raters": lambda data: _found(data, "raters"),
    "finding": lambda data: _found(as_dict(data.get("estimates")), "finding"),
}
"""What a step told -> its rows."""
