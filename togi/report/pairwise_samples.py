"""Pairs of answers side by side: won, lost, turned round with the order, and drawn blindly."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from togi.report.files import RunFiles, as_dict, as_list
from togi.report.glossary import Names
from togi.report.numbers import finite
from togi.report.pairwise import Pairwise
from togi.report.samples import Depth, blind, marked, text_of
from togi.report.selection import clip

Verdicts = dict[str, dict[str, dict[str, float | None]]]
"""Judge -> task -> sample id -> credit of the answer shown first."""

Lines = dict[str, dict[str, dict[str, Any]]]
"""Sample id -> model -> the line of its answer."""


def sections(
    files: RunFiles, found: list[Pairwise], names: Names, depth: Depth
) -> list[dict[str, Any]]:
    """Return one section a pair of models, grouped by the first judge's verdicts."""
    shown: list[dict[str, Any]] = []
    for one in found:
        verdicts = _verdicts(files, one)
        judges = list(as_dict(one.asked.get("judges")))
        results = one.of(judges[0])[: depth.tasks] if judges else []
        chosen = [(entry, _chosen(entry, judges[0], verdicts, depth)) for entry in results]
        wanted = {name for _, groups in chosen for _, ids in groups for name in ids}
        lines = _answers(files, one, wanted)
        shown += [
            _section(entry, groups, verdicts, lines, names, depth)
            for entry, groups in chosen
            if any(ids for _, ids in groups)
        ]
    return shown


def _verdicts(files: RunFiles, one: Pairwise) -> Verdicts:
    judges = as_dict(one.asked.get("judges"))
    tasks = {str(task) for entry in as_list(one.data.get("results")) for task in entry["tasks"]}
    found: Verdicts = defaultdict(lambda: defaultdict(dict))
    for line in files.lines(one.step, "samples.jsonl"):
        judge, task = str(line.get("model")), str(line.get("task"))
        if judge in judges and task in tasks:
            credit = finite(as_dict(line.get("measures")).get("first"))
            found[judge][task][str(line.get("id"))] = credit
    return found


def _answers(files: RunFiles, one: Pairwise, wanted: set[str]) -> Lines:
    found: Lines = {name: {} for name in wanted}
    for line in files.lines(one.step, "samples.jsonl") if wanted else ():
        if line.get("task") == "answers" and line.get("id") in wanted:
            found[str(line["id"])][str(line.get("model"))] = line
    return found


def credits(entry: dict[str, Any], judge: str, verdicts: Verdicts) -> dict[str, tuple[float, ...]]:
    """Return the first-named model's credit on each sample, shown first and shown second.

    A sample on which one of the two verdicts is unknown is left out.
    """
    one, two = (verdicts[judge][str(task)] for task in entry["tasks"])
    both = {name: (one[name], two.get(name)) for name in one}
    return {
        name: (first, 1 - second)
        for name, (first, second) in both.items()
        if first is not None and second is not None
    }


def _chosen(
    entry: dict[str, Any], judge: str, verdicts: Verdicts, depth: Depth
) -> list[tuple[str, list[str]]]:
    """Return headings and ids, in an order that no answer has a hand in."""
    known = credits(entry, judge, verdicts)
    won: list[str] = []
    lost: list[str] = []
    turned: list[str] = []
    tied: list[str] = []
    for name in sorted(known, key=blind):
        first, second = known[name]
        if (first - 0.5) * (second - 0.5) < 0:
            turned.append(name)
        else:
            (won if first + second > 1 else lost if first + second < 1 else tied).append(name)
    groups = (
        (f"{judge} prefers {entry.get('after')}", won),
        (f"{judge} prefers {entry.get('before')}", lost),
        (f"{judge} turned round with the order", turned),
        ("A tie", tied),
    )
    return [(title, ids[: depth.each]) for title, ids in groups if ids and depth.each]


def _section(
    entry: dict[str, Any],
    groups: list[tuple[str, list[str]]],
    verdicts: Verdicts,
    lines: Lines,
    names: Names,
    depth: Depth,
) -> dict[str, Any]:
    pair = (str(entry.get("after")), str(entry.get("before")))
    title = f"{pair[0]} over {pair[1]}"
    said = {judge: credits(entry, judge, verdicts) for judge in verdicts}
    return {
        "id": names.ids("samples", title),
        "title": title,
        "measure": None,
        "groups": [
            (head, [_sample(name, pair, said, lines[name], depth) for name in ids])
            for head, ids in groups
        ],
        "shown": sum(len(ids) for _, ids in groups),
        "total": max((len(known) for known in said.values()), default=0),
    }


def _sample(
    name: str,
    pair: tuple[str, str],
    said: dict[str, dict[str, tuple[float, ...]]],
    by_model: dict[str, dict[str, Any]],
    depth: Depth,
) -> dict[str, Any]:
    after, before = pair
    line = next(iter(by_model.values()), {})
    texts = {
        model: marked(by_model, before, model, depth.letters)
        for model in (before, after)
        if model in by_model
    }
    answers = [
        {"model": model, "role": "", "value": "", "parts": parts} for model, parts in texts.items()
    ]
    told = {judge: preferred(known[name], pair) for judge, known in said.items() if name in known}
    return {
        "id": name,
        "headline": " · ".join(f"{judge}: {what}" for judge, what in told.items()),
        "input": clip(text_of(line.get("input")), depth.letters),
        "target": clip(text_of(line.get("target")), depth.letters),
        "answers": answers,
        "spoken": any(answer["parts"] for answer in answers),
    }


def preferred(credit: tuple[float, ...], pair: tuple[str, str]) -> str:
    """Say what a judge's two verdicts on a pair come to.

    >>> preferred((1.0, 1.0), ("a", "b")), preferred((1.0, 0.0), ("a", "b"))
    ('a', 'turned round')
    """
    first, second = credit
    if (first - 0.5) * (second - 0.5) < 0:
        return "turned round"
    total = first + second
    return pair[0] if total > 1 else pair[1] if total < 1 else "tie"
