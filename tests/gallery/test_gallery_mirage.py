"""The miniature of emergence: what is measured, when the claim holds, and a small run whole."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from togi.errors import UsageError
from togi.gallery import mirage
from togi.gallery.mirage import Settings, finding, learned, run
from togi.report.page import build
from togi.stats import Estimate
from togi.step import Work

SMALL = Settings(widths=[2, 4, 8], people=50, length=3, steps=60, seeds=1)


def drawn(p: list[float], *, n: int = 2000, length: int = 5) -> dict[str, np.ndarray]:
    """Answers whose digits are right with chance p, independently."""
    right = np.random.default_rng(0).random((len(p), n, length)) < np.array(p)[:, None, None]
    return {
        "exact": right.all(2).astype(float),
        "similarity": right.mean(2),
        "probability": np.repeat(np.array(p)[:, None], n, 1),
    }


def test_smooth_digits_make_a_jump_of_exact_match():
    found = finding([1, 2, 3, 4, 5], drawn([0.2, 0.4, 0.6, 0.8, 1.0]), Settings())
    assert found.holds == "holds"
    exact = found.estimates["largest step of exact match, share of its rise"]
    assert exact.low < 1 - 0.8**5 < exact.high  # the last step of p^5, from 0.33 to 1
    near = found.estimates["largest step of 1 − edit distance, share of its rise"]
    assert near.mean == pytest.approx(0.25, abs=0.04)
    assert found.values["effective_length"] == pytest.approx(5, rel=0.1)
    assert "independent digits, not 5" in found.notes[1]


def test_digits_that_jump_themselves_do_not_hold():
    found = finding([1, 2, 3, 4, 5], drawn([0.1, 0.1, 0.12, 0.98, 1.0]), Settings())
    assert found.holds == "does not hold here"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.2, 0.3, "holds"), (0.05, 0.3, "cannot tell"), (-0.1, 0.05, "does not hold here"),
     (math.nan, math.nan, "cannot tell")],
)  # fmt: skip
def test_the_claim_by_its_intervals(low: float, high: float, expected: str):
    assert mirage._holds([Estimate(0.2, low, high, 9)] * 2) == expected


def test_teacher_forced_and_written_digits_agree():
    """An answer is written right where each right digit is the first choice after those before."""
    import torch

    seed = 3
    _, book = learned(8, SMALL, seed)
    again = learned(8, SMALL, seed)[1]
    assert all((book[name] == again[name]).all() for name in book)
    numbers = mirage.stream(seed, "numbers").integers(0, 10, (SMALL.people, SMALL.length))
    ids = torch.cat([10 + torch.arange(SMALL.people)[:, None], torch.from_numpy(numbers)], 1)
    model = mirage._model(8, SMALL, seed)
    logits, chances = mirage._chances(model, ids)
    forced = (logits.argmax(-1).numpy() == numbers).all(1)
    written = np.array(mirage._answers(model, ids[:, :1], SMALL.length)) == numbers
    assert (forced == written.all(1)).all()
    assert chances.shape == (SMALL.people, SMALL.length)
    assert ((book["similarity"] == 1) == (book["exact"] == 1)).all()


def test_a_small_run_is_whole_and_a_wider_model_knows_more(tmp_path: Path):
    (tmp_path / "steps/mirage-0").mkdir(parents=True)
    work = Work(
        folder=tmp_path / "steps/mirage-0", seed=0, name="mirage", model="", say=lambda _: None
    )
    assert run(SMALL, work)["finding"] == "finding.json"
    told = json.loads((work.folder / "finding.json").read_text())
    assert told["values"]["similarity"][-1] > told["values"]["similarity"][0]
    assert told["values"]["parameters"] == sorted(told["values"]["parameters"])
    step = {"name": "mirage", "use": "gallery.mirage", "hash": "0", "folder": "steps/mirage-0",
            "status": "done"}  # fmt: skip
    whole = {"name": "mirage", "status": "done", "steps": [step]}
    (tmp_path / "run.json").write_text(json.dumps(whole))
    text = build(tmp_path).read_text(encoding="utf-8")
    assert "Emergence as a mirage of the metric" in text
    assert "One and the same answers, by three measures" in text


def test_widths_must_grow(tmp_path: Path):
    work = Work(folder=tmp_path, seed=0, name="mirage", model="")
    with pytest.raises(UsageError, match=r"widths must grow.*\[8, 4, 2\]"):
        run(Settings(widths=[8, 4, 2]), work)
