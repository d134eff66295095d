"""Parity with the packages krippendorff and crowdtruth: the same numbers to 1e-12."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("krippendorff")

import krippendorff

from togi.evaluate.disagreement.crowdtruth import crowdtruth
from togi.stats.alpha import LEVELS
from togi.stats.alpha import krippendorff as ours

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mend


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("missing", [0.0, 0.4, 0.8])
def test_alpha_equals_the_package(level, missing):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = np.sort(rng.choice(np.arange(1, 20), 5, replace=False)).astype(float)
        data = values[rng.integers(0, 5, (6, 30))]
        data[rng.random(data.shape) < missing] = np.nan
        counts = np.stack([(data == value).sum(axis=0) for value in values], axis=1)
        theirs = krippendorff.alpha(
            reliability_data=data, value_domain=values, level_of_measurement=level
        )
        assert ours(counts, level, values) == pytest.approx(theirs, abs=1e-12)


def test_alpha_equals_the_package_at_the_size_of_dices():
    data = np.random.default_rng(0).integers(0, 2, (104, 350)).astype(float)
    counts = np.stack([(data == value).sum(axis=0) for value in (0, 1)], axis=1)
    theirs = krippendorff.alpha(reliability_data=data, level_of_measurement="nominal")
    assert ours(counts) == pytest.approx(theirs, abs=1e-14)


def table(path: Path, multiple: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Write judgements of 12 units by 7 of 9 workers; return them as arrays too."""
    rng = np.random.default_rng(1)
    rows, item, rater, chosen = [], [], [], []
    for unit in range(12):
        for worker in rng.permutation(9)[:7]:
            one = np.zeros(4)
            picks = rng.choice(4, size=int(rng.integers(1, 4)) if multiple else 1, replace=False)
            one[picks] = 1
            rows.append([f"u{unit:02}", f"w{worker}", ",".join(f"l{k}" for k in sorted(picks))])
            item.append(unit)
            rater.append(worker)
            chosen.append(one)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["_unit_id", "_worker_id", "_id", "_started_at", "_created_at", "_channel",
                      "_country", "_region", "_city", "_ip", "in_col", "out_col"])  # fmt: skip
        for number, (unit, worker, labels) in enumerate(rows):
            when = "7/12/2014 08:20:58", "7/12/2014 08:21:04"
            out.writerow([unit, worker, number, *when, *["NA"] * 6, labels])
    return np.array(item), np.array(rater), np.array(chosen)


@pytest.mark.parametrize("multiple", [False, True])
def test_crowdtruth_equals_the_package(tmp_path: Path, multiple: bool):
    package = pytest.importorskip("crowdtruth")
    from crowdtruth.configuration import DefaultConfig

    class Config(DefaultConfig):
        inputColumns: ClassVar = ["in_col"]  # noqa: N815
        outputColumns: ClassVar = ["out_col"]  # noqa: N815
        open_ended_task = False
        annotation_separator = ","
        annotation_vector: ClassVar = [f"l{k}" for k in range(4)]

    path = tmp_path / "t.csv"
    item, rater, chosen = table(path, multiple)
    data, config = package.load(file=str(path), config=Config())
    theirs = package.run(data, config)
    found = crowdtruth(item, rater, chosen)
    units = theirs["units"].loc[[f"u{u:02}" for u in range(12)]]
    assert np.abs(found.last.items - units["uqs"].to_numpy(float)).max() < 1e-12
    assert np.abs(found.first.items - units["uqs_initial"].to_numpy(float)).max() < 1e-12
    workers = theirs["workers"].loc[[f"w{w}" for w in range(9)]]
    for name, mine in (
        ("wqs", found.last.raters), ("wwa", found.last.with_others), ("wsa", found.last.with_crowd),
    ):  # fmt: skip
        assert np.abs(mine - workers[name].to_numpy(float)).max() < 1e-12, name
    labels = theirs["annotations"]["aqs"].loc[[f"l{k}" for k in range(4)]]
    assert np.abs(found.last.labels - labels.to_numpy(float)).max() < 1e-12
    scores = units["unit_annotation_score"]
    for unit in range(12):
        for k in range(4):
            theirs_score = scores.iloc[unit][f"l{k}"]
            assert found.scores[unit, k] == pytest.approx(theirs_score, abs=1e-12)
