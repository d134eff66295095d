"""Measures that count right or wrong, each beside a continuous one, and the jumps they make."""

from __future__ import annotations

from typing import Any

from togi.report import numbers as show
from togi.report.files import as_dict, as_list
from togi.report.glossary import Names
from togi.report.judged import Judged, spoken
from togi.report.numbers import finite
from togi.report.tables import Table, table
from togi.report.verdict import with_interval


def section(one: Judged, task: str, names: Names) -> dict[str, Any] | None:
    """Return what a task's article says of thresholded measures; None where it has none."""
    told = as_dict(one.data.get("mirage"))
    pairs = _of(told, "measures", task)
    if not pairs:
        return None
    return {
        "tables": [_beside(one, task, pair, names) for pair in pairs],
        "flags": [_sentence(entry) for entry in _flagged(told, task)],
        "others": [_sentence(entry) for entry in _of(told, "series", task) if not _is(entry)],
        "definition": str(told.get("definition") or ""),
    }


def flags(judged: list[Judged]) -> list[str]:
    """Return each flag of a run in one sentence, its task first."""
    return [
        f"{spoken(task)}: {_sentence(entry)}"
        for one in judged
        for task in one.tasks
        for entry in _flagged(as_dict(one.data.get("mirage")), task)
    ]


def _of(told: dict[str, Any], key: str, task: str) -> list[dict[str, Any]]:
    every = (as_dict(entry) for entry in as_list(told.get(key)))
    return [entry for entry in every if entry.get("task") == task]


def _is(entry: dict[str, Any]) -> bool:
    return entry.get("flagged") is True


def _flagged(told: dict[str, Any], task: str) -> list[dict[str, Any]]:
    return [e for key in ("jumps", "series") for e in _of(told, key, task) if _is(e)]


def _sentence(entry: dict[str, Any]) -> str:
    """Say who is compared, what moved, and what the tokens alone would give.

    >>> _sentence({"after": "b", "before": "a", "says": "exact rose by 0.4 of its scale"})
    'b against a: exact rose by 0.4 of its scale.'
    """
    models = [str(name) for name in as_list(entry.get("models"))]
    pair = [str(entry[key]) for key in ("after", "before") if key in entry]
    who = f"{models[0]} to {models[-1]}" if models else " against ".join(pair)
    says = f"{entry.get('says', '')}.{_tokens(entry)}"
    return f"{who}: {says}" if who else says


def _tokens(entry: dict[str, Any]) -> str:
    """Say what tokens of the measured probability, taken as independent, would give."""
    after = as_dict(as_dict(entry.get("tokens")).get("after"))
    expected, length = finite(after.get("expected")), finite(after.get("length"))
    if expected is None or length is None:
        return ""
    return (
        f" A token of {after.get('p', 0):.2g} gives {expected:.2g} over {length:.3g} tokens"
        " were they independent."
    )


def _beside(one: Judged, task: str, pair: dict[str, Any], names: Names) -> Table:
    measure, partner = str(pair.get("measure")), str(pair.get("partner") or "")
    unseen, step = finite(pair.get("unseen")), finite(pair.get("resolution"))
    steps = "" if step is None else f": it moves in steps of {show.told(step)}"
    hidden = "" if unseen is None else f", and none right may hide {show.told(unseen)}"
    head = ("model", spoken(measure), spoken(partner) if partner else "a continuous measure")
    rows = [
        (
            model,
            with_interval(one.estimate(model, task, measure)),
            with_interval(one.estimate(model, task, partner)) if partner else "not asked for",
        )
        for model in one.models
    ]
    for name in filter(None, (measure, partner)):
        names(name, str(one.about(task, name).get("definition") or ""))  # in the glossary, too
    return table(f"{spoken(task)}, {spoken(measure)}{steps}{hidden}", head, rows)
