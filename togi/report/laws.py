"""Scaling laws and the law of repeated data: one part of the page for each study of a run."""

from __future__ import annotations

from typing import Any

from togi.report import laws_repeated, laws_scaling
from togi.report.files import RunFiles, as_list
from togi.report.glossary import Names

PARTS = {"scaling": laws_scaling.part, "repeated": laws_repeated.part}
"""A study's file without its ending, and what shows it."""


def sections(files: RunFiles, names: Names) -> list[dict[str, Any]]:
    """Return one part for each study, in the order of the steps."""
    found = []
    for step in files.steps:
        for kind, build in PARTS.items():
            about = files.json(step, f"{kind}.json")
            if about:
                head = {"id": names.ids(kind, step.name), "name": step.name}
                told = [str(line) for line in as_list(about.get("warnings"))]
                found.append({**head, "warnings": told, **build(about, step.name, names)})
    return found


def is_study(use: str) -> bool:
    """Say whether a step of this kind makes a study and nothing else.

    >>> is_study("data.scaling"), is_study("data.dsir")
    (True, False)
    """
    theme, _, kind = use.partition(".")
    return theme == "data" and kind in PARTS
