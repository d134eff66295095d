"""Data read and data picked: what rose and what fell against the pool, with the control beside."""

from __future__ import annotations

import json
from typing import Any

from togi.report import numbers as show
from togi.report.files import RunFiles, StepFiles, as_dict, as_list
from togi.report.glossary import Names
from togi.report.judged import spoken
from togi.report.numbers import finite
from togi.report.tables import Table, table

MOST_NGRAMS = 15
MOST_LETTERS = 600
PER = 10_000
"""n-grams of which the picked and the pool's ones are counted."""
FIGURES = (
    "method", "n_raw", "n_target", "k", "filtered", "seed", "effective_sample_size", "kl_reduction",
)  # fmt: skip


def read(files: RunFiles) -> dict[str, Any]:
    """Return what each reading step understood and how many rows it gave, with an example."""
    rows, examples = [], []
    for step in files.steps:
        about = files.json(step, "rows.json")
        if not about:
            continue
        rows.append((step.name, show.told(about.get("understood")), show.number(about.get("n"))))
        for example in as_list(about.get("examples"))[:1]:
            text = json.dumps(example, indent=1, ensure_ascii=False).replace("\\n", "\n")
            examples.append((step.name, clip(text, MOST_LETTERS)))
    columns = ("step", "understood as", "rows")
    return {"table": table("What was read", columns, rows, text=(0, 1)), "examples": examples}


def clip(text: str, most: int) -> str:
    """Return at most `most` letters, saying how many more there were.

    >>> clip("abcdef", 4)
    'abcd … (2 more characters)'
    """
    if len(text) <= most:
        return text
    return f"{text[:most]} … ({len(text) - most:,} more characters)"


def picked(files: RunFiles, names: Names) -> dict[str, Any]:
    """Return the picks side by side, and for each what rose and what fell."""
    every = [(step, files.json(step, "selection.json")) for step in files.steps]
    picks = [(step, pick) for step, pick in every if pick]
    strongest = max((_strength(pick) for _, pick in picks), default=0.0)
    return {
        "figures": _figures(picks, names) if picks else None,
        "lengths": _lengths(picks, names) if picks else None,
        "options": [
            (step.name, _options(step, pick))
            for step, pick in picks
            if as_dict(pick.get("options"))
        ],
        "moved": [part for step, pick in picks for part in _moved(step, pick, names, strongest)],
    }


def _options(step: StepFiles, pick: dict[str, Any]) -> Table:
    rows = [(spoken(key), show.told(value)) for key, value in as_dict(pick["options"]).items()]
    return table(f"{step.name}: how it picked", ("setting", "value"), rows, text=(0, 1))


def _figures(picks: list[tuple[StepFiles, dict[str, Any]]], names: Names) -> Table:
    known = [key for key in FIGURES if any(key in pick for _, pick in picks)]
    further = dict.fromkeys(
        key for _, pick in picks for key, value in pick.items()
        if key not in FIGURES and finite(value) is not None
    )  # fmt: skip
    rows = [
        (names(key), *(show.told(pick[key]) if key in pick else "–" for _, pick in picks))
        for key in (*known, *further)
    ]
    heads = ("figure", *(step.name for step, _ in picks))
    return table("The picks side by side", heads, rows)


def _lengths(picks: list[tuple[StepFiles, dict[str, Any]]], names: Names) -> Table | None:
    rows: dict[str, tuple[str, ...]] = {}
    for step, pick in picks:
        lengths = as_dict(pick.get("lengths"))
        for group in ("pool", "target", "picked"):
            stats = as_dict(lengths.get(group))
            label = f"picked by {step.name}" if group == "picked" else group
            if stats:
                rows[label] = tuple(show.number(stats.get(key)) for key in ("mean", "median"))
    if not rows:
        return None
    names("median")
    body = [(label, *cells) for label, cells in rows.items()]
    return table("Length of the rows, in words", ("rows", "mean", "median"), body)


def _scaled(share: Any) -> float | None:
    real = finite(share)
    return None if real is None else real * PER


def _strength(pick: dict[str, Any]) -> float:
    """Return the largest log ratio, so that the bars of all picks share one scale."""
    entries = (as_dict(e) for key in ("rising", "falling") for e in as_list(pick.get(key)))
    return max((abs(finite(entry.get("log_ratio")) or 0) for entry in entries), default=0.0)


def _moved(step: StepFiles, pick: dict[str, Any], names: Names, strongest: float) -> list[Table]:
    tables = []
    for key, verb in (("rising", "more"), ("falling", "less")):
        found = [as_dict(entry) for entry in as_list(pick.get(key))][:MOST_NGRAMS]
        if not found:
            continue
        ratios = [finite(entry.get("log_ratio")) for entry in found]
        rows = [
            (
                str(entry.get("ngram", "")),
                *(show.number(_scaled(entry.get(key)), 1) for key in ("picked", "pool")),
                show.number(entry.get("log_ratio"), 2, sign=True),
            )
            for entry in found
        ]
        for name in ("picked", "pool", "log_ratio"):
            names(name)
        tables.append(
            table(
                f"{step.name}: {verb} frequent than in the pool, per {PER:,}",
                ("n-gram", "picked", "pool", "log ratio"),
                rows,
                bars=(abs(ratio or 0) / (strongest or 1) for ratio in ratios),
                code=True,
            )
        )
    return tables
