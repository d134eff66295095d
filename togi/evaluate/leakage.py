"""Judged samples that stand in rows that were learnt from, and the scores with and without them.

Nothing is asked again: the scores are computed from the lines of a finished judging.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field

from togi.evaluate.columns import Column, columns, estimate
from togi.evaluate.ledger import Line
from togi.evaluate.scores import differences, measures_of, read_scores
from togi.rows.hygiene import COMMON, EXAMPLES, FUZZY_RUN, LEAST, RUN, HeldOut
from togi.rows.types import Message, Prompt, Row, Sample
from togi.step import StepRef, StepSettings, Work

SEPARATOR = "\x1f"
PAIR = ("task", "measure", "after", "before")


class LeakageSettings(StepSettings):
    """Tell which judged samples stand in the training rows, and the scores with and without."""

    scores: StepRef
    """The judging whose samples are looked for."""
    against: list[StepRef] = Field(min_length=1)
    """Steps whose rows were learnt from, such as `split.train`."""
    words: int = Field(default=RUN, ge=4)
    """So many equal words in a row are an overlap."""
    least: int = Field(default=LEAST, ge=1)
    """A question or answer of fewer characters is not compared as a whole."""
    common: float = Field(default=COMMON, ge=0, le=1)
    """A run of words in more than this share of the samples is not compared."""
    fuzzy: float | None = Field(default=0.7, gt=0, le=1)
    """So large a share of a sample's runs of `fuzzy_words` words in one row is an overlap too;
    empty looks for exact runs only."""
    fuzzy_words: int = Field(default=FUZZY_RUN, ge=3)
    """Words of a run for `fuzzy`."""


@dataclass
class Found:
    """What was found of one task.

    Attributes:
        samples: ids of the samples that overlap with some row.
        rows: how many rows overlap with some sample.
        reasons: why, counted by row.
        examples: a few pairs of each reason.
    """

    samples: set[str] = field(default_factory=set)
    rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)


def samples_of(lines: Iterable[Line]) -> list[Sample]:
    """Return each asked sample once; its id is the task's name and its own.

    >>> line = {"task": "t", "id": "1", "input": "2 + 2 =", "target": "4"}
    >>> samples_of([line, line])[0].target
    '4'
    """
    found: dict[tuple[str, str], Sample] = {}
    for line in lines:
        pair = (line["task"], line["id"])
        if pair not in found:
            found[pair] = Sample(
                id=SEPARATOR.join(pair), input=_prompt(line["input"]), target=str(line["target"])
            )
    return list(found.values())


def _prompt(asked: Any) -> Prompt:
    if isinstance(asked, list):
        return tuple(Message(turn["role"], turn["content"]) for turn in asked)
    return str(asked)


def overlapping(index: HeldOut, rows: Iterable[Row]) -> tuple[dict[str, Found], int]:
    """Go through rows once; return what was found by task, and how many rows there were."""
    found = {sample.split(SEPARATOR)[0]: Found() for sample in index.ids}
    total = 0
    for row in rows:
        total += 1
        told: set[str] = set()
        for match in index.matches(row):
            task, _, sample = match.held_out.partition(SEPARATOR)
            one = found[task]
            one.samples.add(sample)
            if task not in told:
                told.add(task)
                one.rows += 1
                if one.reasons[match.reason] < EXAMPLES:
                    one.examples.append(
                        {
                            "sample": sample,
                            "row": row.id,
                            "reason": match.reason,
                            "shared": match.shared,
                        }
                    )
                one.reasons[match.reason] += 1
    return found, total


def with_and_without(
    scores: Mapping[str, Any], lines: Sequence[Line], found: Mapping[str, Found]
) -> dict[str, Any]:
    """Score all samples, those without overlap, and those with it.

    Args:
        scores: a judging's `scores.json`.
        lines: its samples' lines.
        found: task -> the samples that overlap.

    Returns:
        `scores`: model -> task -> measure -> {all, without, overlapping}, each an estimate or
        null where no sample is left; `differences`: each pair's paired difference, the same way,
        of all samples and of those without overlap.
    """

    def overlaps(line: Line) -> bool:
        return line["id"] in found[line["task"]].samples

    parts = {
        "all": columns(lines),
        "without": columns([line for line in lines if not overlaps(line)]),
        "overlapping": columns([line for line in lines if overlaps(line)]),
    }
    tasks, seed = scores["tasks"], scores["seed"]
    told = {
        model: {
            task: {
                measure.name: {
                    part: _estimate(table.get((model, task)), measure, seed)
                    for part, table in parts.items()
                }
                for measure in measures_of(facts)
            }
            for task, facts in tasks.items()
        }
        for model in scores["models"]
    }
    return {"scores": told, "differences": _differences(scores, parts)}


def _estimate(column: Column | None, measure: Any, seed: int) -> dict[str, Any] | None:
    return None if column is None else estimate(measure, column, seed=seed).as_dict()


def _differences(
    scores: Mapping[str, Any], parts: Mapping[str, Mapping[tuple[str, str], Column]]
) -> list[dict[str, Any]]:
    pairs = [(after, before) for after, before in scores["comparisons"]]
    table: dict[tuple[str, ...], dict[str, Any]] = {}
    for part in ("all", "without"):
        left = {
            task: facts
            for task, facts in scores["tasks"].items()
            if all((model, task) in parts[part] for model in scores["models"])
        }
        for one in differences(left, pairs, parts[part], seed=scores["seed"]):
            head: dict[str, Any] = {name: one[name] for name in PAIR}
            kept = {name: one[name] for name in ("estimate", "p_adjusted", "better")}
            table.setdefault(tuple(head.values()), head)[part] = kept
    return [{**entry, "without": entry.get("without")} for entry in table.values()]


def run_leakage(settings: LeakageSettings, work: Work) -> dict[str, Any]:
    """Look for the samples in the rows; outputs `leakage` and the number of `overlapping` ones."""
    from togi.rows.read import read_rows

    folder = Path(work.input(settings.scores, "scores")).parent
    scores, lines = read_scores(folder)
    index = HeldOut(
        samples_of(lines),
        run=settings.words,
        least=settings.least,
        common=settings.common,
        fuzzy=settings.fuzzy,
        fuzzy_run=settings.fuzzy_words,
    )
    rows = (row for ref in settings.against for row in read_rows(work.input(ref, "rows")))
    found, total = overlapping(index, rows)
    sizes = Counter(sample.split(SEPARATOR)[0] for sample in index.ids)
    told = {
        "rows": total,
        "words": settings.words,
        "fuzzy": settings.fuzzy,
        "tasks": {
            task: {
                "n": sizes[task],
                "overlapping": len(one.samples),
                "rows": one.rows,
                "reasons": dict(one.reasons.most_common()),
                "examples": one.examples,
            }
            for task, one in found.items()
        },
        **with_and_without(scores, lines, found),
    }
    (work.folder / "leakage.json").write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    notes = [
        f"task {task}: {len(one.samples)} of {sizes[task]} samples stand in {one.rows} of "
        f"{total} training rows"
        for task, one in found.items()
    ]
    for note in notes:
        work.say(note)
    overall = sum(len(one.samples) for one in found.values())
    return {"leakage": "leakage.json", "overlapping": overall, "notes": notes}
