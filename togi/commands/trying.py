"""`togi evaluate try` and `--try`: a few rows of a task, each question and answer shown."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from togi.commands.single import Asked, Judged, scores_of, short_name, with_judge
from togi.run import run
from togi.voice import Voice


def try_task(asked: Asked, spec: str, base: str, seed: int, *, offline: bool) -> None:
    """Judge a model on a few rows in a temporary folder, and print each line of it."""
    judged = Judged(base)
    judged.add(short_name(spec), spec)
    recipe = with_judge("try", asked, judged, [], seed).recipe([])
    with tempfile.TemporaryDirectory(prefix="togi-try-") as place:
        folder = Path(place)
        run(recipe, folder, voice=Voice("quiet", StringIO()), offline=offline)
        (lines,) = folder.glob("steps/judge-*/samples.jsonl")
        for line in lines.read_text(encoding="utf-8").splitlines():
            print(_shown(json.loads(line)))
        print("---", *(line for line, _ in scores_of(folder)), sep="\n")


def _shown(sample: dict[str, Any]) -> str:
    """Return one judged sample for a person's eyes."""
    asked = sample.get("input")
    if isinstance(asked, list):
        asked = "\n".join(f"{turn.get('role')}: {turn.get('content')}" for turn in asked)
    measures = ", ".join(f"{name} {value}" for name, value in sample.get("measures", {}).items())
    return (
        f"--- {sample['id']}\nasked:    {asked}\nexpected: {sample.get('target')}\n"
        f"answered: {sample.get('answer')}\n{_how(sample.get('detail') or {})}measured: {measures}"
    )


def _how(detail: Mapping[str, Any]) -> str:
    r"""Say what a parser read in the answers, or how their programs ended.

    >>> _how({"read": [{"letter": "", "rule": ""}]}), _how({"ran": [{"how": "passed", "told": ""}]})
    ('read:     nothing\n', 'ran:      passed\n')
    """
    lines = ""
    for key in ("read", "ran"):
        parts = [": ".join(str(v) for v in one.values() if v) for one in detail.get(key, [])]
        lines += f"{key + ':':10}{'; '.join(part or 'nothing' for part in parts)}\n" * bool(parts)
    return lines
