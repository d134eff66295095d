"""Thresholded measures on the page: the continuous one beside, the resolution, the flags."""

from __future__ import annotations

import html
import json
from pathlib import Path

import numpy as np
import pytest

from togi.evaluate.asking import Asking
from togi.evaluate.judge import judge
from togi.evaluate.tasks import Task
from togi.lm.base import Generated, Scored
from togi.report.files import read_run
from togi.report.glossary import UNKNOWN
from togi.report.judged import judged
from togi.report.mirage import flags
from togi.report.page import build
from togi.rows.types import Sample


class Sums:
    """Writes sums with so many of its three digits right."""

    def __init__(self, name: str, right: int) -> None:
        self.name = self.fingerprint = name
        self.right = right

    def generate(self, prompts, sampling):
        empty = np.zeros(0, dtype=np.float32)
        said = (str(prompt).split()[1] for prompt in prompts)
        k, wrong = self.right, {"1": "2", "2": "3", "3": "1"}
        return [
            [Generated(w[:k] + "".join(wrong[d] for d in w[k:]), (), empty, "stop")] for w in said
        ]

    def score(self, contexts, continuations):
        p = [
            0.3 + 0.2 * self.right - 0.002 * (int(text[2]) - 2) * self.right
            for text in continuations
        ]
        return [Scored((1, 2, 3), np.full(3, np.log(one), np.float32), False) for one in p]


def made(folder: Path, likelihood: bool = False, series: tuple[str, ...] = ()) -> Path:
    samples = tuple(
        Sample(id=f"s{a}{b}{c}", input=f"Say {a}{b}{c}", target=f"{a}{b}{c}")
        for a in (1, 2, 3) for b in (1, 2, 3) for c in (1, 2, 3)
    )  # fmt: skip
    task = Task(
        name="digits", kind="exact_match", samples=samples, asking=Asking(likelihood=likelihood)
    )
    models = {name: Sums(name, n) for name, n in (("one", 1), ("two", 2), ("three", 3))}
    pairs = [("two", "one"), ("three", "two")]
    judge(models, [task], folder / "steps/judge-0", comparisons=pairs, series=series,
          say=lambda _: None)  # fmt: skip
    step = {"name": "judge", "use": "evaluate.judge", "hash": "0", "folder": "steps/judge-0",
            "status": "done"}  # fmt: skip
    (folder / "run.json").write_text(
        json.dumps({"name": "toy", "status": "done", "steps": [step]}), encoding="utf-8"
    )
    return folder


def test_the_continuous_measure_stands_beside_with_the_resolution(tmp_path: Path):
    text = html.unescape(build(made(tmp_path)).read_text(encoding="utf-8"))
    assert UNKNOWN not in text
    assert "Right or wrong, beside how nearly" in text
    assert "digits, exact: it moves in steps of 0.037" in text
    assert "none right may hide 0.105" in text
    assert "A jump is flagged where" in text


def test_a_jump_of_the_measure_is_flagged_at_its_task(tmp_path: Path):
    """From two to three right digits exact match goes from 0 to 1 and similarity by a third."""
    folder = made(tmp_path)
    text = html.unescape(build(folder).read_text(encoding="utf-8"))
    assert text.count('class="callout">⚑') == len(flags(judged(read_run(folder)))) == 0
    (found,) = (
        one
        for one in json.loads((folder / "steps/judge-0/scores.json").read_text())["mirage"]["jumps"]
        if one["after"] == "three"
    )
    assert found["change"]["mean"] == 1
    assert found["partner_change"]["mean"] == pytest.approx(1 / 3)  # exactly three times: no flag
    found["flagged"] = True
    scores = folder / "steps/judge-0/scores.json"
    whole = json.loads(scores.read_text())
    whole["mirage"]["jumps"] = [found]
    scores.write_text(json.dumps(whole))
    said = "three against two: exact rose by 1 of its scale, similarity by 0.33 of its own."
    assert flags(judged(read_run(folder))) == [f"digits: {said}"]
    assert f"⚑ {said}" in html.unescape(build(folder).read_text(encoding="utf-8"))


def test_tokens_and_series_are_said(tmp_path: Path):
    folder = made(tmp_path, likelihood=True, series=("one", "two", "three"))
    (said, *_) = flags(judged(read_run(folder)))
    assert said.startswith("digits: three against two: exact rose by 1 of its scale, token")
    assert said.endswith("A token of 0.9 gives 0.73 over 3 tokens were they independent.")
    text = html.unescape(build(folder).read_text(encoding="utf-8"))
    assert "⚑ three against two" in text
    assert "one to three: exact" in text


def test_without_a_continuous_measure_it_says_so_and_old_scores_are_shown(tmp_path: Path):
    folder = made(tmp_path)
    scores = folder / "steps/judge-0/scores.json"
    whole = json.loads(scores.read_text())
    whole["mirage"]["measures"][0]["partner"] = None
    scores.write_text(json.dumps(whole))
    assert "not asked for" in build(folder).read_text(encoding="utf-8")
    del whole["mirage"]
    scores.write_text(json.dumps(whole))
    text = build(folder).read_text(encoding="utf-8")
    assert "beside how nearly" not in text
