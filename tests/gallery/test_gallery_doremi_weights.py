"""The entry on DoReMi's weights: its text is there, its run is whole, its verdict follows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from togi.data.mixture_trial import Trial
from togi.gallery import doremi_weights
from togi.gallery.doremi_weights import SOURCES, Settings, gathered, run
from togi.step import Work

NAMES = tuple(sorted(SOURCES))


@pytest.fixture
def letters(monkeypatch):
    """Six domains of a letter each, instead of what is installed."""
    made = {
        name: lambda letter=letter: iter([letter * 40 + str(i) for i in range(12)])
        for name, letter in zip(NAMES, "abcdef", strict=True)
    }
    monkeypatch.setattr(doremi_weights, "SOURCES", made)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("licences", "readmes", "headers")])
def test_each_source_of_the_interpreter_has_text(name):
    assert len(next(SOURCES[name]())) > 80


def test_domains_have_their_natural_shares_within_limits(letters):
    domains = gathered(10_000, seed=0)
    assert domains.names == NAMES
    assert max(domains.sizes) - min(domains.sizes) < 0.02


def test_a_small_run_leaves_a_finding(letters, tmp_path):
    said: list[str] = []
    work = Work(folder=tmp_path, seed=0, name="doremi_weights", model="", say=said.append)
    out = run(Settings(seeds=2, steps=2, width=16), work)
    found = json.loads((tmp_path / "finding.json").read_text())
    assert out["holds"] == found["holds"]
    assert f"weight of {NAMES[0]}" in found["estimates"]
    weights = [found["estimates"][f"weight of {name}"]["mean"] for name in NAMES]
    assert sum(weights) == pytest.approx(1)
    assert sum("trial, seed" in line for line in said) == 6
    assert [len(plot["series"]) for plot in found["plots"]] == [3, 6]


@pytest.mark.parametrize(
    ("gain", "holds"), [(0.1, "holds"), (-0.1, "does not hold here"), (0.0, "cannot tell")]
)
def test_the_verdict_is_that_of_both_intervals(gain, holds):
    draw = np.random.default_rng(0)
    noise = 0.01 * draw.standard_normal((6, 3))
    bits = {
        "doremi": 3 - gain + noise,
        "uniform": 3 + 0.01 * draw.standard_normal((6, 3)),
        "proportional": 3 + 0.01 * draw.standard_normal((6, 3)),
    }
    tried = Trial(("a", "b", "c"), bits)
    worst, average = (
        {rival: of("doremi", rival) for rival in ("uniform", "proportional")}
        for of in (tried.worst_gain, tried.average_gain)
    )
    assert doremi_weights._holds(worst, average) == holds
