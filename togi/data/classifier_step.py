"""`data.classifier`: pick rows by a classifier between the target and the pool, beside DSIR."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from pydantic import Field

from togi.data.render import Renderer
from togi.rows.types import Dropped, Row
from togi.stats.rng import derive
from togi.step import StepRef, StepSettings, Work


class ClassifierSettings(StepSettings):
    """Pick the k rows that a classifier takes most surely for the target's (a quality filter)."""

    rows: StepRef
    "The pool; it is held in memory."
    target: StepRef
    "Rows of the kind that is wanted."
    k: int = Field(ge=0)
    "How many rows to pick; more than may be picked gives all that may, with a note."
    features: str | None = None
    "The text that is looked at, such as `{response}`; by default the prompt and the answer."
    min_tokens: int = Field(default=100, ge=0)
    "Rows with fewer words in that text are never picked."
    l2: float = Field(default=1e-4, gt=0)
    "Penalty on the squared weights of the logistic regression."
    noise: float | None = Field(default=None, gt=0)
    "Shape of GPT-3's noisy threshold, 9 there; empty takes the k best scores."


def run_classifier(settings: ClassifierSettings, work: Work) -> dict[str, Any]:
    """Pick rows by their scores; outputs `rows`, `selection`, `dropped` and `n`."""
    from togi.data import classifier
    from togi.rows.write import write_dropped, write_rows
    from togi.train.files import write_text

    render, seed = Renderer(settings.features, work.name), derive(work.seed, work.name)
    pool = list(_rows(work, settings.rows))
    target = [render(row) for row in _rows(work, settings.target)]
    work.say(f"{work.name}: {len(pool):,} rows against {len(target):,} of the target")
    judged = classifier.judge([render(row) for row in pool], target, seed=seed, l2=settings.l2)
    keys, noise = judged.scores, settings.noise
    if noise is not None:
        keys = classifier.noisy(keys, noise, seed)
    allowed = judged.words >= settings.min_tokens
    picked = classifier.best(keys, settings.k, allowed)
    short = np.flatnonzero(~allowed).tolist()
    write_rows(work.folder / "rows.jsonl", (pool[i] for i in picked.tolist()))
    reason = f"fewer than {settings.min_tokens} words"
    write_dropped(
        work.folder / "dropped.jsonl", (Dropped(pool[i].id, reason, pool[i]) for i in short)
    )
    told = {
        "method": "classifier", "n_raw": len(pool), "n_target": len(target), "k": len(picked),
        "filtered": len(short), "seed": work.seed, "auc": judged.auc,
        "least_picked": float(keys[picked].min()) if len(picked) else None,
    }  # fmt: skip
    notes = [f"a row of the target scores higher than one of the pool in {judged.auc:.1%} of pairs"]
    if settings.k > len(picked):
        notes.append(
            f"{settings.k} rows were wanted, but only {len(picked)} of {len(pool)} have at least"
            f" {settings.min_tokens} words: all of them were picked"
        )
    write_text(work.folder / "selection.json", _json({**told, "notes": notes}))
    for note in notes:
        work.say(f"{work.name}: {note}")
    return {
        "rows": "rows.jsonl", "selection": "selection.json", "dropped": "dropped.jsonl",
        "n": len(picked),
    }  # fmt: skip


def _json(told: dict[str, Any]) -> str:
    return json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _rows(work: Work, ref: str) -> Iterable[Row]:
    from togi.rows.read import read_rows

    return read_rows(work.input(ref, "rows"), kind="native")
