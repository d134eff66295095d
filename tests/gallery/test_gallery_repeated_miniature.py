"""The miniature of repeated data: pieces, equal bytes, a whole run, its verdict."""

from __future__ import annotations

import json

import numpy as np
import pytest

from togi.errors import DataError
from togi.gallery import repeated_miniature
from togi.gallery.repeated_miniature import EPOCHS, Settings, cut, excess, run, trained
from togi.stats import Estimate
from togi.step import Work


@pytest.fixture
def code(monkeypatch):
    """Made-up code, enough for one epoch of 64 steps."""
    texts = ["".join(f"x{i * j % 97} = {i} + {j}\n" for j in range(200)) for i in range(40)]
    monkeypatch.setattr(repeated_miniature, "SOURCES", {"code": lambda: iter(texts)})


def test_a_small_run_leaves_a_finding(code, tmp_path):
    work = Work(folder=tmp_path, seed=0, name="m", model="", say=lambda line: None)
    run(Settings(seeds=2, steps=64, width=16), work)
    found = json.loads((tmp_path / "finding.json").read_text())
    assert sorted(found["values"]["bits"], key=int) == [str(n) for n in EPOCHS]
    for epochs in EPOCHS:  # the same steps and bytes, of fewer and fewer pieces
        told = json.loads((tmp_path / f"{epochs}-0" / "train.json").read_text())
        assert (told["steps"], told["rows"]) == (64, 64 * 12 // epochs)
    assert len({tuple(values) for values in found["values"]["bits"].values()}) == len(EPOCHS)


def test_too_little_text_is_said(code, tmp_path):
    learnt, held_out = cut(seed=0)
    with pytest.raises(DataError, match="too little text"):
        trained(Settings(steps=10_000), learnt, held_out, seed=0, folder=tmp_path, say=print)


def test_the_excess_is_the_mean_logarithm_of_the_seeds_ratios():
    bits = {1: np.array([2.0, 4.0]), 4: np.array([2.2, 4.4])}
    assert excess(bits, 4).mean == pytest.approx(np.log(1.1))


@pytest.mark.parametrize(
    ("low", "high", "holds"),
    [(0.0, 0.005, "holds"), (0.0, 0.02, "cannot tell"), (0.02, 0.03, "does not hold here")],
)
def test_the_verdict_is_that_of_the_interval(low, high, holds):
    assert repeated_miniature._holds(Estimate(0.01, low, high, 3)) == holds
