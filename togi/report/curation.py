"""Curated rows: the funnel of rules that they came through, their topics, and near-duplicates."""

from __future__ import annotations

from typing import Any

from togi.report import numbers as show
from togi.report.files import RunFiles, StepFiles, as_dict, as_list
from togi.report.judged import spoken
from togi.report.numbers import finite
from togi.report.tables import Table, table

MOST_TOPICS = 40
MOST_CLUSTERS = 8
COVERAGES = {"picked": "this pick", "random": "a random pick", "difference": "difference"}


def curated(files: RunFiles) -> list[Table]:
    """Return the tables of each step that curated rows; none where no step did."""
    tables: list[Table | None] = []
    for step in files.steps:
        told = files.json(step, "curation.json")
        if told:
            tables += [_funnel(step, told), _topics(step, told), _style(step, told)]
            tables += [_coverage(step, told), _doubles(step, told)]
    return [found for found in tables if found is not None and found.rows]


def _funnel(step: StepFiles, told: dict[str, Any]) -> Table:
    stages = [as_dict(stage) for stage in as_list(told.get("funnel"))]
    rows = [
        (
            spoken(str(stage.get("stage", ""))),
            show.number(stage.get("in")),
            show.number(stage.get("dropped")),
            "; ".join(as_dict(stage.get("reasons"))) or "–",
            show.number(stage.get("out")),
        )
        for stage in stages
    ]
    total = finite(stages[0].get("in")) if stages else None
    return table(
        f"{step.name}: what each rule let through",
        ("rule", "came", "left out", "because", "stayed"),
        rows,
        text=(0, 3),
        bars=[(finite(stage.get("out")) or 0) / (total or 1) for stage in stages],
    )


def _topics(step: StepFiles, told: dict[str, Any]) -> Table:
    topics = [as_dict(topic) for topic in as_list(told.get("topics"))]
    rows = [
        (topic.get("topic") or "no topic", show.number(topic.get("eligible")),
         show.number(topic.get("picked")))
        for topic in topics[:MOST_TOPICS]
    ]  # fmt: skip
    more = len(topics) - MOST_TOPICS
    caption = f"{step.name}: rows by topic" + (f" ({more} further topics)" if more > 0 else "")
    return table(caption, ("topic", "eligible", "picked"), rows if len(topics) > 1 else [])


def _style(step: StepFiles, told: dict[str, Any]) -> Table:
    style = as_dict(told.get("style"))
    sides = [as_dict(style.get(side)) for side in ("eligible", "picked")]
    rows = [
        (
            mark,
            *(
                show.share(finite(side.get(mark)) or 0, finite(side.get("n")) or 0)
                for side in sides
            ),
        )
        for mark in sides[0]
        if mark != "n"
    ]
    caption = f"{step.name}: answers with such marks of style"
    return table(caption, ("answers with", "eligible", "picked"), rows)


def _coverage(step: StepFiles, told: dict[str, Any]) -> Table:
    found = as_dict(told.get("coverage"))
    known = [(label, as_dict(found[key])) for key, label in COVERAGES.items() if key in found]
    rows = [
        (label, show.mean(one), show.interval(one), show.number(one.get("n")))
        for label, one in known
    ]
    caption = f"{step.name}: similarity of candidates not picked to the nearest picked row"
    return table(caption, ("pick", "mean", "95 % interval", "candidates"), rows)


def _doubles(step: StepFiles, told: dict[str, Any]) -> Table:
    doubles = as_dict(told.get("near_duplicates"))
    clusters = [as_dict(one) for one in as_list(doubles.get("examples"))]
    rows = []
    for cluster in clusters[:MOST_CLUSTERS]:
        near = [as_dict(one) for one in as_list(cluster.get("dropped"))]
        names = ", ".join(
            f"{one.get('id', '')} ({show.number(one.get('similarity'), 2)})" for one in near[:3]
        )
        more = f" and {len(near) - 3} more" if len(near) > 3 else ""
        rows.append((str(cluster.get("kept", "")), names + more))
    caption = f"{step.name}: near-duplicates, with their similarity"
    return table(caption, ("kept", "left out"), rows, text=(0, 1))
