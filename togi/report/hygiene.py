"""What cleaning found: languages, lengths, personal data, near-duplicates, overlap with judging."""

from __future__ import annotations

from typing import Any

from togi.report import numbers as show
from togi.report.files import RunFiles, as_dict, as_list
from togi.report.tables import Table, table

ACTIONS = {"count": "counted only", "mask": "masked", "drop": "their rows dropped"}


def sections(files: RunFiles) -> list[dict[str, Any]]:
    """Return one section for each cleaning step of the run."""
    found = []
    for step in files.steps:
        told = files.json(step, "hygiene.json")
        if told:
            found.append({"title": f"What {step.name} found", "tables": _tables(told)})
    return [one for one in found if one["tables"]]


def _tables(told: dict[str, Any]) -> list[Table]:
    every = (_lengths(told), _languages(told), *_personal(told), *_near(told), *_overlap(told))
    return [one for one in every if one is not None and one.rows]


def _lengths(told: dict[str, Any]) -> Table | None:
    lengths = as_dict(told.get("lengths"))
    if not lengths:
        return None
    heads = tuple(str(name) for name in lengths)
    cells = tuple(show.number(value) for value in lengths.values())
    head = ("texts before cleaning", *heads)
    return table("Length in words", head, [("of documents or answers", *cells)])


def _languages(told: dict[str, Any]) -> Table:
    counts = as_dict(told.get("languages"))
    total = sum(show.finite(n) or 0 for n in counts.values())
    rows = [
        (code, show.number(n), show.share(show.finite(n) or 0, total)) for code, n in counts.items()
    ]
    return table("Languages, as a hint", ("language", "rows", "share"), rows)


def _personal(told: dict[str, Any]) -> tuple[Table, Table]:
    found = as_dict(told.get("pii"))
    action = ACTIONS.get(str(found.get("action")), "")
    counts = {kind: as_dict(one) for kind, one in as_dict(found.get("counts")).items()}
    rows = [
        (kind, show.told(one.get("hints")), show.told(one.get("rows")))
        for kind, one in counts.items()
    ]
    examples = [as_dict(one) for one in as_list(found.get("examples"))]
    struck = [(one.get("kind"), one.get("id"), one.get("text")) for one in examples]
    return (
        table(f"Hints at personal data, {action}", ("kind", "hints", "rows"), rows),
        table(
            "Examples, letters and digits of the hints struck out",
            ("kind", "row", "text"),
            struck,
            text=(0, 1, 2),
        ),
    )


def _near(told: dict[str, Any]) -> tuple[Table, Table]:
    near = as_dict(told.get("near"))
    facts = [
        ("least share of runs in common", show.told(near.get("threshold"))),
        ("words of a run", show.told(near.get("words"))),
        ("rows that stay and had near ones", show.told(near.get("clusters"))),
        ("rows dropped", show.told(near.get("dropped"))),
    ]
    examples = [as_dict(one) for one in as_list(near.get("examples"))]
    rows = [
        (
            show.number(one.get("similarity"), 2),
            *(
                f"{one.get(key)}: {text}"
                for key, text in zip(("kept", "dropped"), texts, strict=True)
            ),
        )
        for one in examples
        if len(texts := as_list(one.get("texts"))) == 2
    ]
    return (
        table("Near-duplicates", ("", "value"), facts if near else []),
        table("Near-duplicates: examples", ("similarity", "kept", "dropped"), rows, text=(1, 2)),
    )


def _overlap(told: dict[str, Any]) -> tuple[Table, Table]:
    found = as_dict(told.get("overlap"))
    reasons = as_dict(found.get("reasons"))
    rows = [(why, show.told(n)) for why, n in reasons.items()]
    hit, size = found.get("hit"), found.get("held_out")
    if found:
        rows.append((f"held-out rows concerned, of {show.told(size)}", show.told(hit)))
    return (
        table("Overlap with held-out rows", ("", "rows"), rows),
        overlaps("Overlap: examples", found.get("examples"), ("id", "held_out")),
    )


def overlaps(title: str, examples: Any, ids: tuple[str, str]) -> Table:
    """Return a table of overlapping pairs, and the words that both hold."""
    rows = [
        (*(one.get(key) for key in ids), one.get("reason"), one.get("shared"))
        for one in map(as_dict, as_list(examples))
    ]
    heads = tuple(key.replace("_", "-") for key in ids)
    return table(title, (*heads, "why", "words in common"), rows, text=(0, 1, 2, 3))
