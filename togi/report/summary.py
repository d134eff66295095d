"""The few plain lines that end a run in the terminal."""

from __future__ import annotations

from pathlib import Path

from togi.report import numbers as show
from togi.report.files import as_dict, as_list, read_run
from togi.report.judged import judged, spoken
from togi.report.judged import verdict as verdict_of
from togi.report.numbers import finite
from togi.report.verdict import DECISIONS, NO_VERDICT, facts, says, sentence, with_interval

MOST_GUARDS = 5
MOST_REASONS = 3


def summary(run_folder: Path) -> str:
    """Return the verdict in at most 25 plain lines: decision, primary measure, guards, the page.

    Raises:
        DataError: the folder holds no run.
    """
    files = read_run(run_folder)
    told, scores = verdict_of(files), judged(files)
    decision = str(told.get("decision") or "")
    lines = [
        f"Verdict: {DECISIONS.get(decision, decision or NO_VERDICT).upper()}",
        f"  {_line(sentence(files, told, decision))}",
    ]
    figures = facts(told, scores)
    if figures:
        width = max(len(label) for label, _ in figures)
        lines += ["", *(f"  {label:<{width}}  {_line(text)}" for label, text in figures)]
    lines += _guards(told)
    more = finite(told.get("collect_more"))
    why = [f"  Collect about {show.number(more)} more samples to tell."] if more else []
    if decision != "accept":
        reasons = [f"  - {_line(reason)}" for reason in as_list(told.get("reasons"))]
        why += _first(reasons, MOST_REASONS)
    lines += ["", *why] if why else []
    return "\n".join([*lines, "", f"Report: {run_folder / 'report.html'}"])


def _guards(told: dict[str, object]) -> list[str]:
    entries = [entry for entry in as_list(told.get("guards")) if isinstance(entry, dict)]
    lines = []
    for entry in entries:
        change = with_interval(as_dict(entry.get("estimate")), sign=True)
        margin = show.number(entry.get("margin"))
        task = _line(spoken(entry.get("task", "?")))
        lines.append(f"  {says(entry):<10} {task}: {change}, margin {margin}")
    return ["", "  Guards", *_first(lines, MOST_GUARDS)] if lines else []


def _first(lines: list[str], most: int) -> list[str]:
    """Return the first lines and, where some are left out, how many.

    >>> _first(["a", "b", "c"], 1)
    ['a', '  … and 2 more']
    """
    return lines if len(lines) <= most else [*lines[:most], f"  … and {len(lines) - most} more"]


def _line(text: object) -> str:
    """Return a text in one line and without control letters, which a terminal would obey."""
    return " ".join(
        "".join(letter if letter.isprintable() else " " for letter in str(text)).split()
    )
