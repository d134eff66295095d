"""The model card: what a tuned model is, what it learnt from, how it was judged, what is unknown.

Written from `report.json` alone, in Markdown with the head that model hubs read.
"""

from __future__ import annotations

import re
from typing import Any

from togi.report import numbers as show
from togi.report.files import as_dict, as_list
from togi.report.judged import direction, spoken
from togi.report.numbers import finite
from togi.report.verdict import says, with_interval

MOST_MEASURES = 60


def card(told: dict[str, Any]) -> str:
    """Return the card of a run that tuned a model; "" where it tuned none.

    Args:
        told: from `togi.report.beside.whole`.
    """
    steps = [as_dict(step) for step in as_list(told.get("steps"))]
    trained = [step for step in steps if step.get("training")]
    if not trained:
        return ""
    parts = [
        _head(told, trained),
        f"# {_plain(told.get('name'))}",
        _what(told, trained),
        "## Data\n\n" + _data(steps),
        "## Training\n\n" + _training(trained),
        "## Judged\n\n" + _judged(told, steps),
        "## Known harms and limits\n\n" + _limits(told, steps),
        "## How to make it again\n\n" + _again(told),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _plain(value: Any) -> str:
    r"""Return a text in one line in which no letter makes a table, a tag or a heading.

    >>> _plain("a|b\n# <i>c")
    'a\\|b # &lt;i&gt;c'
    """
    text = " ".join(show.told(value).split())
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def _yaml(value: Any) -> str:
    return '"' + re.sub(r'["\\<>\x00-\x1f]', " ", str(value)) + '"'


def _head(told: dict[str, Any], trained: list[dict[str, Any]]) -> str:
    methods = dict.fromkeys(str(step["training"].get("objective") or "") for step in trained)
    tags = ["togi", *(method for method in methods if method)]
    lines = [
        "---",
        f"base_model: {_yaml(told.get('model'))}",
        "tags:",
        *(f"- {_yaml(tag)}" for tag in tags),
        "---",
    ]
    return "\n".join(lines)


def _what(told: dict[str, Any], trained: list[dict[str, Any]]) -> str:
    steps = ", then ".join(f"`{_plain(step.get('use'))}`" for step in trained)
    verdict = as_dict(told.get("verdict"))
    lines = [f"`{_plain(told.get('model'))}`, tuned by {steps} with togi {_plain(told['togi'])}."]
    if verdict.get("sentence"):
        lines.append(f"**Verdict.** {_plain(verdict['sentence'])}")
    else:
        lines.append("**No verdict was passed on it.**")
    lines.append(
        "The licence is that of the base model and of the data together; this run does not know it."
    )
    return "\n\n".join(lines)


def _data(steps: list[dict[str, Any]]) -> str:
    rows = []
    for step in steps:
        if not str(step.get("use")).startswith(("rows.", "data.")):
            continue
        settings = as_dict(step.get("settings"))
        source = settings.get("source") or settings.get("rows") or ""
        counted = as_dict(step.get("rows"))
        picked = as_dict(step.get("selection"))
        n = counted.get("n") or picked.get("k") or as_dict(step.get("curation")).get("k")
        rows.append((step.get("name"), step.get("use"), source, show.told(n) if n else "not told",
                     str(step.get("hash"))[:12]))  # fmt: skip
    return _table(("step", "what was done", "source", "rows", "hash"), rows) or "None is told."


def _training(trained: list[dict[str, Any]]) -> str:
    rows = []
    for step in trained:
        about = as_dict(step.get("training"))
        rows.append(
            (
                step.get("name"),
                about.get("objective"),
                *(_number(about.get(key)) for key in ("rows", "steps", "tokens")),
                show.duration(about.get("seconds")),
                f"{_number(about.get('trained_parameters'))} of"
                f" {_number(about.get('total_parameters'))}",
            )
        )
    head = ("step", "objective", "rows", "steps", "tokens", "time", "parameters trained")
    return _table(head, rows) + "\n\nThe energy was not measured."


def _number(value: Any) -> str:
    return "not told" if finite(value) is None else show.number(value)


def _judged(told: dict[str, Any], steps: list[dict[str, Any]]) -> str:
    rows, differences = [], []
    for step in steps:
        data = as_dict(step.get("judged"))
        for model, tasks in as_dict(data.get("scores")).items():
            for task, measures in as_dict(tasks).items():
                about = as_dict(as_dict(data.get("tasks")).get(task))
                name = str(about.get("primary_measure") or next(iter(as_dict(measures)), ""))
                found = as_dict(as_dict(measures).get(name))
                up = about.get("higher_is_better")
                up = up if isinstance(up, bool) else None
                rows.append((spoken(task), spoken(name), direction(up), model,
                             with_interval(found)))  # fmt: skip
        differences += [as_dict(entry) for entry in as_list(data.get("differences"))]
    if not rows:
        return "It was not judged."
    head = ("task", "measure", "", "model", "mean (95 % interval, n)")
    text = _table(head, rows[:MOST_MEASURES])
    apart = [
        (f"{one.get('after')} − {one.get('before')}", f"{spoken(one.get('measure'))} of"
         f" {spoken(one.get('task'))}", with_interval(as_dict(one.get("estimate")), sign=True),
         show.p_value(one.get("p_adjusted")), show.number(one.get("minimum_detectable")),
         says(one))
        for one in differences[:MOST_MEASURES]
    ]  # fmt: skip
    if apart:
        columns = ("paired", "measure", "difference", "adjusted p", "smallest told", "says")
        text += "\n\n" + _table(columns, apart)
    return text


def _limits(told: dict[str, Any], steps: list[dict[str, Any]]) -> str:
    lines = []
    for entry in as_list(as_dict(told.get("verdict")).get("guards")):
        guard = as_dict(entry)
        change = with_interval(as_dict(guard.get("estimate")), sign=True)
        margin = show.number(guard.get("margin"))
        lines.append(f"{spoken(guard.get('task'))}: {guard.get('status')}, {change}, of which"
                     f" {margin} may be lost.")  # fmt: skip
    for step in steps:
        for entry in as_list(as_dict(step.get("judged")).get("differences")):
            one = as_dict(entry)
            if one.get("better") is False:
                lines.append(
                    f"{one.get('after')} is worse than {one.get('before')} in"
                    f" {spoken(one.get('measure'))} of {spoken(one.get('task'))}:"
                    f" {with_interval(as_dict(one.get('estimate')), sign=True)}."
                )
    lines += [str(note) for note in as_list(as_dict(told.get("verdict")).get("unlike"))]
    lines.append(
        "Whatever is not in the tables above was not looked at: toxicity, bias, privacy and facts"
        " among them, unless they stand there."
    )
    return "\n".join(f"- {_plain(line)}" for line in dict.fromkeys(lines))


def _again(told: dict[str, Any]) -> str:
    versions = ", ".join(
        f"{name} {value}" for name, value in as_dict(told.get("versions")).items() if value
    )
    return (
        f"`togi run` with the recipe that stands in the run's `run.json`; seed"
        f" {_plain(told.get('seed'))}, togi {_plain(told.get('togi'))}"
        f"{f', {_plain(versions)}' if versions else ''}."
        " All numbers with their intervals are in `report.json` and `report.csv`, the samples in"
        " each judging step's `samples.jsonl`, and the page is `report.html`."
    )


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    if not rows:
        return ""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_plain(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)
