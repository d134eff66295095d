"""Where the numbers come from: what was dropped, the recipe, steps, versions, the machine."""

from __future__ import annotations

from collections import Counter
from typing import Any

from togi.report import numbers as show
from togi.report.files import RunFiles, StepFiles, as_dict
from togi.report.glossary import Names
from togi.report.numbers import finite
from togi.report.selection import clip
from togi.report.tables import Table, table

MOST_REASONS = 60
MOST_LETTERS = 60_000
MOST_NOTES = 40
KNOWN = (
    "rows.json",
    "selection.json",
    "curation.json",
    "metrics.jsonl",
    "train.json",
    "scores.json",
    "verdict.json",
    "rank.json",
    "raters.json",
    "compare.json",
    "leakage.json",
    "changes.json",
    "scaling.json",
    "repeated.json",
)
"""Files that some other part of the page shows; a finished step with none of them is shown here."""


def dropped(files: RunFiles, names: Names) -> Table:
    """Return the rows left out, by step and reason."""
    rows = []
    for step in files.steps:
        counts, kept = _counts(files, step)
        total = sum(counts.values()) + kept
        for reason, count in counts.most_common(MOST_REASONS):
            share = show.share(count, total) if kept else "–"
            rows.append((step.name, reason, show.number(count), share))
        further = counts.most_common()[MOST_REASONS:]
        if further:
            rest = show.number(sum(count for _, count in further))
            rows.append((step.name, f"{len(further)} further reasons", rest, "–"))
    if rows:
        names("dropped")
    columns = ("step", "reason", "rows", "share of the step's rows")
    return table("Rows left out, by reason", columns, rows, text=(0, 1))


def _counts(files: RunFiles, step: StepFiles) -> tuple[Counter[str], int]:
    """Return a step's drops by reason and its kept rows, 0 where they are not known."""
    for name, size in (("rows.json", "n"), ("train.json", "rows"), ("curation.json", "k")):
        about = files.json(step, name)
        told = as_dict(about.get("dropped")) or as_dict(as_dict(about.get("notes")).get("dropped"))
        if counts := _whole(told):
            return counts, int(finite(about.get(size)) or 0)
    about = files.json(step, "selection.json")
    unread = _whole(as_dict(about.get("dropped")))
    target = _whole(as_dict(about.get("dropped_target")))
    counts = unread + Counter({f"{why} (target)": n for why, n in target.items()})
    lines = files.lines(step, "dropped.jsonl")
    counts += Counter(str(line.get("reason") or "no reason given") for line in lines)
    pool = int(finite(about.get("n_raw")) or 0)
    return counts, max(0, pool - sum(counts.values()))


def _whole(told: dict[str, Any]) -> Counter[str]:
    return Counter({str(why): int(n) for why, value in told.items() if (n := finite(value))})


def recipe(files: RunFiles) -> dict[str, str]:
    """Return the recipe resolved, as YAML, and as it was written."""
    import yaml

    resolved = as_dict(files.run.get("recipe"))
    text = yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True, width=88)
    return {
        "resolved": clip(text, MOST_LETTERS) if resolved else "",
        "written": clip(str(files.run.get("recipe_text") or ""), MOST_LETTERS),
    }


def steps(files: RunFiles) -> Table:
    """Return every step with its state, time and hash."""
    rows = [
        (step.name, step.use or "–", step.status, show.duration(step.seconds), step.hash[:12])
        for step in files.steps
    ]
    columns = ("step", "use", "status", "time", "hash")
    return table("Steps", columns, rows, text=(0, 1, 2, 4))


def notes(files: RunFiles) -> list[tuple[str, list[str]]]:
    """Return what the steps noted down."""
    return [
        (step.name, [clip(note, 2000) for note in step.notes[:MOST_NOTES]])
        for step in files.steps
        if step.notes
    ]


def surroundings(files: RunFiles) -> list[Table]:
    """Return run, versions and machine as tables."""
    run = files.run
    plain = {
        "name": run.get("name"),
        "status": run.get("status"),
        "model": run.get("model"),
        "seed": None if run.get("seed") is None else str(run.get("seed")),
        "started": run.get("started"),
        "finished": run.get("finished"),
    }
    versions = {"togi": run.get("togi"), **as_dict(run.get("versions"))}
    groups = (
        ("Run", plain),
        ("Versions", versions),
        ("Machine", flat(as_dict(run.get("machine")))),
    )
    return [
        table(title, ("what", "value"), rows, text=(0, 1))
        for title, values in groups
        if (rows := [(key, show.told(value)) for key, value in values.items() if value is not None])
    ]


def flat(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Return a nested dict with dotted names.

    >>> flat({"cpu": {"cores": 2}})
    {'cpu.cores': 2}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{above}.{key}" if above else str(key)
        found |= flat(value, name) if isinstance(value, dict) else {name: value}
    return found


def other_steps(files: RunFiles) -> list[dict[str, Any]]:
    """Return finished steps of which no other part of the page tells: outputs and settings."""
    found = []
    for step in files.steps:
        if any((step.folder / name).exists() for name in KNOWN):
            continue
        parts = (("Outputs", flat(step.outputs)), ("Settings", flat(step.settings)))
        tables = [
            table(f"{step.name}: {title.lower()}", ("name", "value"), _rows(values), text=(0, 1))
            for title, values in parts
            if values
        ]
        if tables:
            found.append({"name": step.name, "use": step.use or "unknown kind", "tables": tables})
    return found


def _rows(values: dict[str, Any]) -> list[tuple[str, str]]:
    return [(key, clip(show.told(value), 400)) for key, value in list(values.items())[:80]]
