"""Samples side by side: the worst regressions, the best gains, and a few drawn blindly.

`samples.jsonl` may hold many thousands of lines: the first pass keeps one number a line, the
second only the lines of the samples that are shown.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from togi.report import numbers as show
from togi.report.diff import Part, words
from togi.report.files import RunFiles, as_dict, as_list
from togi.report.glossary import Names
from togi.report.judged import Judged, spoken
from togi.report.numbers import finite
from togi.report.selection import clip

Values = dict[str, dict[str, float | None]]
"""Sample id -> model -> the value of the task's primary measure."""

LN2 = math.log(2)


@dataclass(frozen=True, slots=True)
class Depth:
    """How much of the samples is shown: of each group and task, and letters of a text."""

    each: int
    letters: int
    tasks: int = 12


def sections(
    files: RunFiles, judged: list[Judged], told: dict[str, Any], names: Names, depth: Depth
) -> list[dict[str, Any]]:
    """Return one section a task that has samples."""
    found = []
    for one in judged:
        values = _values(files, one)
        chosen = {
            task: _chosen(one, task, values[task], _sides(one, told), depth)
            for task in list(values)[: depth.tasks]
        }
        lines = _lines(files, one, chosen)
        for task, groups in chosen.items():
            found.append(_section(one, task, groups, values[task], lines, told, names, depth))
    return found


def _sides(one: Judged, told: dict[str, Any]) -> tuple[str, str] | None:
    """Return baseline and candidate; without a verdict the first model and the last."""
    models = one.models
    before, after = told.get("baseline"), told.get("candidate")
    if before in models and after in models:
        return str(before), str(after)
    return (models[0], models[-1]) if len(models) > 1 else None


def _values(files: RunFiles, one: Judged) -> dict[str, Values]:
    values: dict[str, Values] = defaultdict(lambda: defaultdict(dict))
    for line in files.lines(one.step, "samples.jsonl"):
        task, model, name = (str(line.get(key)) for key in ("task", "model", "id"))
        measures, primary = as_dict(line.get("measures")), one.primary(task)
        values[task][name][model] = sample_value(measures, primary, one.about(task, primary))
    return values


def sample_value(measures: dict[str, Any], primary: str, about: dict[str, Any]) -> float | None:
    """Return one sample's value of a measure, None where it is undefined.

    `about` may say how the value comes from the line: scale · over / per. Without a word of it the
    value stands in the line by the measure's name; bits per byte are made of nats and bytes.

    >>> sample_value({"correct": 1}, "accuracy", {"over": "correct"})
    1.0
    >>> round(sample_value({"nats": 6.931, "bytes": 10}, "bits_per_byte", {}), 3)
    1.0
    >>> sample_value({}, "accuracy", {})
    """
    if primary.replace(" ", "_") == "bits_per_byte" and not about.get("over"):
        about = {"over": "nats", "per": "bytes", "scale": 1 / LN2}
    over = finite(measures.get(str(about.get("over") or primary)))
    per = finite(measures.get(str(about["per"]))) if about.get("per") else 1.0
    scale = finite(about.get("scale"))
    return over / per * (1.0 if scale is None else scale) if over is not None and per else None


def _chosen(
    one: Judged, task: str, values: Values, sides: tuple[str, str] | None, depth: Depth
) -> list[tuple[str, list[str]]]:
    """Return headings and ids: regressions by size, gains by size, then some drawn blindly."""
    higher = one.higher_is_better(task, one.primary(task))
    gains: dict[str, float] = {}
    if sides and higher is not None:
        for name, by_model in values.items():
            before, after = (by_model.get(side) for side in sides)
            if before is not None and after is not None:
                gains[name] = after - before if higher else before - after
    ranked = sorted(gains, key=lambda name: (gains[name], name))
    worst = [name for name in ranked[: depth.each] if gains[name] < 0]
    best = [name for name in ranked[::-1][: depth.each] if gains[name] > 0]
    rest = sorted((name for name in values if name not in {*worst, *best}), key=blind)
    groups = (
        ("Worst regressions", worst),
        ("Best gains", best),
        ("Drawn blindly", rest[: max(0, depth.each - 1)]),
    )
    return [(title, ids) for title, ids in groups if ids]


def blind(name: str) -> bytes:
    """Return what orders samples blindly, the same in every run."""
    return hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest()


Lines = dict[tuple[str, str], dict[str, dict[str, Any]]]


def _lines(files: RunFiles, one: Judged, chosen: dict[str, list[tuple[str, list[str]]]]) -> Lines:
    wanted = {(task, name) for task, groups in chosen.items() for _, ids in groups for name in ids}
    found: Lines = {key: {} for key in wanted}
    for line in files.lines(one.step, "samples.jsonl") if wanted else ():
        key = (str(line.get("task")), str(line.get("id")))
        if key in found:
            found[key][str(line.get("model"))] = line
    return found


def _section(
    one: Judged,
    task: str,
    groups: list[tuple[str, list[str]]],
    values: Values,
    lines: Lines,
    told: dict[str, Any],
    names: Names,
    depth: Depth,
) -> dict[str, Any]:
    sides = _sides(one, told)
    primary = one.primary(task)
    shown = [
        (title, [_sample(one, name, lines[task, name], values[name], sides, depth) for name in ids])
        for title, ids in groups
    ]
    return {
        "id": names.ids("samples", task),
        "title": spoken(task),
        "measure": names(primary) if primary else None,
        "groups": shown,
        "shown": sum(len(ids) for _, ids in groups),
        "total": len(values),
    }


def _sample(
    one: Judged,
    name: str,
    by_model: dict[str, dict[str, Any]],
    values: dict[str, float | None],
    sides: tuple[str, str] | None,
    depth: Depth,
) -> dict[str, Any]:
    any_line = next(iter(by_model.values()), {})
    base = sides[0] if sides else next(iter(by_model), "")
    known = [model for model in one.models if model in by_model]
    order = sorted(known, key=lambda m: (m != base, sides is not None and m != sides[1]))
    answers = [
        {
            "model": model,
            "role": _role(model, sides),
            "value": _value(values, model),
            "parts": marked(by_model, base, model, depth.letters),
        }
        for model in order
    ]
    return {
        "id": name,
        "headline": _headline(values, sides),
        "input": clip(text_of(any_line.get("input")), depth.letters),
        "target": clip(text_of(any_line.get("target")), depth.letters),
        "answers": answers,
        "spoken": any(answer["parts"] for answer in answers),
    }


def _role(model: str, sides: tuple[str, str] | None) -> str:
    return dict(zip(sides or (), ("before", "after"), strict=False)).get(model, "")


def _value(values: dict[str, float | None], model: str) -> str:
    return show.number(values.get(model), show.common_places(values.values()))


def _headline(values: dict[str, float | None], sides: tuple[str, str] | None) -> str:
    if not sides:
        return ""
    before, after = (_value(values, side) for side in sides)
    return f"{before} → {after}"


def marked(by_model: dict[str, dict[str, Any]], base: str, model: str, letters: int) -> list[Part]:
    """Return a model's answer, with what differs from the base model's marked."""
    answer = clip(text_of(by_model[model].get("answer")), letters)
    if model == base or base not in by_model:
        return [Part("same", answer)] if answer else []
    return words(clip(text_of(by_model[base].get("answer")), letters), answer)


def text_of(value: Any) -> str:
    """Return a prompt, target or answer as text; the turns of a conversation carry their role.

    >>> text_of([{"role": "user", "content": "Hi"}]), text_of(None), text_of(2)
    ('user: Hi', '', '2')
    """
    if isinstance(value, list):
        turns = (
            (as_dict(turn).get("role"), as_dict(turn).get("content")) for turn in as_list(value)
        )
        return "\n\n".join(f"{role or 'turn'}: {text_of(content)}" for role, content in turns)
    return "" if value is None else value if isinstance(value, str) else show.told(value)
