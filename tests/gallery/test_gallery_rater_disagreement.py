"""The gallery's entry on raters: it holds where people differ, and not where they only guess."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from togi.errors import SurroundingsError
from togi.evaluate.disagreement.table import Ratings, build
from togi.gallery import ENTRIES
from togi.gallery.rater_disagreement import NAME, Settings, finding, repeated, run
from togi.stats.rng import stream
from togi.step import Work

QUICK = {"permutations": 200, "splits": 10}


def crowd(shares: np.ndarray, raters: int = 30, seed: int = 0) -> Ratings:
    """Ratings drawn from each item's share of "yes"; two groups that mean nothing."""
    drawn = stream(seed, "crowd").random((len(shares), raters)) < shares[:, None]
    item, rater = (place.ravel() for place in np.indices(drawn.shape))
    groups = {"side": tuple("ab"[r % 2] for r in range(raters)), "one": ("x",) * raters}
    return build(
        tuple(map(str, range(len(shares)))), tuple(map(str, range(raters))), ("no", "yes"),
        (item, rater, drawn.ravel().astype(int)), {"groups": groups},
    )  # fmt: skip


def test_it_holds_where_items_divide_people():
    shares = stream(1, "shares").random(120)
    found = finding(crowd(shares), **QUICK)
    assert found.holds == "holds"
    loss, divided, repeats, contested, alpha = found.estimates.values()
    assert 0 < loss.low < divided.mean
    assert repeats.mean > 0.6
    assert contested.n == loss.n == alpha.n == 120
    (side,) = found.values["axes"]  # an axis of one group is nothing to compare
    assert side["axis"] == "side"
    assert side["p"] > 0.02
    assert "side" in found.measured


def test_disagreement_that_is_noise_does_not_repeat():
    found = finding(crowd(np.full(120, 0.5)), **QUICK)
    assert found.holds == "does not hold here"  # shares of half are noise, a vote has less of it
    guesses = [repeated(crowd(np.full(120, 0.5), seed=seed), seed).mean for seed in range(20)]
    assert np.mean(guesses) == pytest.approx(0, abs=0.08)


def test_a_vote_loses_nothing_where_all_agree():
    found = finding(crowd((np.arange(60) % 2).astype(float)), **QUICK)
    assert found.holds != "holds"
    assert found.estimates["lost by the vote, nats a rating"].mean == pytest.approx(0, abs=5e-3)


def test_pictures_tell_votes_from_their_majority():
    plot, cost = finding(crowd(stream(1, "shares").random(200)), **QUICK).plots
    points = plot.series["all votes of the half"]
    assert len(points) == 10
    for x, y in points:
        assert y.mean == pytest.approx(x, abs=0.15)  # type: ignore[union-attr]
    assert [x for x, _ in plot.series["its majority alone"]] == [0.0, 0.5, 0.5, 1.0]
    assert cost.series["items"][0][1].mean > cost.series["items"][-1][1].mean  # type: ignore[union-attr]


def test_the_step_writes_its_finding_from_any_table(tmp_path: Path):
    shares = stream(2, "shares").random(40)
    table = crowd(shares, raters=12)
    path = tmp_path / "t.csv"
    rows = [
        f"{table.items[i]},{table.raters[r]},{table.labels[k]}"
        for i, r, k in zip(table.item, table.rater, table.label, strict=True)
    ]
    path.write_text("\n".join(["item,rater,label", *rows]))
    work = Work(folder=tmp_path, seed=0, name="x", model="", say=lambda _: None)
    outputs = run(Settings(source=str(path), **QUICK), work)
    written = json.loads((tmp_path / outputs["finding"]).read_text())
    assert written["claim"] == ENTRIES[NAME].claim
    assert written["holds"] == outputs["holds"]
    assert all(entry["n"] for entry in written["estimates"].values())
    again = finding(table, **QUICK)
    first = written["estimates"]["Krippendorff's α"]["mean"]
    assert first == pytest.approx(again.estimates["Krippendorff's α"].mean)


def test_offline_without_the_data_says_how_to_get_it(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TOGI_CACHE", str(tmp_path))
    work = Work(folder=tmp_path, seed=0, name="x", model="", offline=True)
    with pytest.raises(SurroundingsError, match=r"run once with a network, or put the file"):
        run(Settings(), work)
