"""The two laws in the gallery: what is found, when it holds, and that the tables give the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from togi.data import repeated_presets, scaling_presets
from togi.data.scaling_runs import read_runs
from togi.gallery import ENTRIES, repeated_data, scaling_laws
from togi.gallery.finding import Finding
from togi.report.page import build
from togi.stats.estimate import Estimate
from togi.step import Work

PUBLISHED = Path(__file__).parents[2] / ".." / "shared" / "data"
published = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the published data are not beside the repository"
)


def found(name: str, **settings: str) -> Finding:
    module = {"scaling_laws": scaling_laws, "repeated_data": repeated_data}[name]
    assert module.Settings(**settings).model_dump() == {"source": "", **settings}
    return module.finding(
        scaling_presets.kept() if name == "scaling_laws" else repeated_presets.kept()
    )


def test_chinchilla_s_proportion_holds_and_its_printed_constants_do_not():
    one = found("scaling_laws")
    assert one.holds == "holds"
    power = one.estimates["exponent of parameters in compute"]
    assert power.low < 0.5 < power.high
    assert "0.514 (0.482 to 0.559)" in one.measured
    assert "17.9" in one.measured
    printed = one.values["printed_ratios"]
    assert [round(value) for value in printed.values()] == [93, 59]
    assert one.values["lost"]["in the paper's source"] == 84.0


def test_four_epochs_hold_and_the_valley_is_told():
    one = found("repeated_data")
    assert one.holds == "holds"
    assert "0.59 % (0.42 to 0.88)" in one.measured
    four = one.estimates["worth of a token at 4 epochs, whole law"]
    fixed = one.estimates["worth of a token at 4 epochs, the paper's law held fixed"]
    assert fixed.high - fixed.low > 4 * (four.high - four.low)
    assert "to no decay at all is inside the 95 % likelihood interval" in one.notes[0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.45, 0.55, "holds"), (0.45, 0.65, "cannot tell"), (0.65, 0.7, "does not hold here"),
     (0.1, 0.2, "does not hold here"), (float("nan"), float("nan"), "cannot tell")],
)  # fmt: skip
def test_equal_proportion_by_its_interval(low: float, high: float, expected: str):
    assert scaling_laws._holds(Estimate(0.5, low, high, 9)) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.004, 0.009, "holds"), (0.004, 0.02, "cannot tell"), (0.02, 0.03, "does not hold here"),
     (float("nan"), float("nan"), "cannot tell")],
)  # fmt: skip
def test_negligible_by_its_interval(low: float, high: float, expected: str):
    assert repeated_data._holds(Estimate(0.01, low, high, 9)) == expected


@published
def test_the_shipped_record_of_chinchilla_is_that_of_the_public_table():
    source = PUBLISHED / "scaling_laws" / "svg_extracted_data.csv"
    entry = scaling_presets.record(read_runs(str(source), drop_highest=5))
    fresh, kept = scaling_laws.finding(entry), scaling_laws.finding(scaling_presets.kept())
    for label, one in kept.estimates.items():
        other = fresh.estimates[label]
        assert (one.mean, one.low, one.high) == pytest.approx(
            (other.mean, other.low, other.high), rel=2e-3
        )


@pytest.mark.parametrize("name", ["scaling_laws", "repeated_data"])
def test_the_step_writes_a_finding_that_the_page_shows(name: str, tmp_path: Path):
    module = {"scaling_laws": scaling_laws, "repeated_data": repeated_data}[name]
    place = tmp_path / "steps" / f"{name}-000000000000"
    place.mkdir(parents=True)
    work = Work(folder=place, seed=0, name=name, model="", say=lambda _: None)
    outputs = module.run(module.Settings(), work)
    assert outputs["holds"] == "holds"
    told = json.loads((place / "finding.json").read_text(encoding="utf-8"))
    assert told["claim"] == ENTRIES[name].claim
    mark = {"name": name, "use": f"gallery.{name}", "hash": "0" * 40}
    (place / "step.json").write_text(json.dumps(mark), encoding="utf-8")
    page = build(tmp_path).read_text(encoding="utf-8")
    for plot in told["plots"]:
        assert plot["title"] in page
    assert page.count('class="plot chart"') == len(told["plots"])
    assert page.count('class="band"') >= 1
