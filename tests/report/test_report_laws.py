"""Laws on the page: charts by hand, both studies shown whole, files that are cut or odd."""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from togi.data.repeated import PUBLISHED, repeated_loss
from togi.data.repeated_study import Wanted
from togi.data.repeated_study import study as study_repeated
from togi.data.scaling import law_of, loss
from togi.data.scaling_runs import runs_of
from togi.data.scaling_study import Question
from togi.data.scaling_study import study as study_scaling
from togi.report.chart import Series, chart, power, scale_of
from togi.report.numbers import amount, spread
from togi.report.page import build

TRUTH = law_of(482.01, 2085.43, 1.8172, 0.3478, 0.3658)


@pytest.fixture(scope="module")
def studies() -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(0)
    n, d = (
        side.ravel() for side in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5))
    )
    fresh = runs_of(n, d, loss(TRUTH, n, d) * np.exp(0.003 * rng.standard_normal(25)))
    n, u, k = (side.ravel() for side in np.meshgrid([1e7, 1e8, 1e9], [1e8, 1e9], [1, 4, 10, 40]))
    y = repeated_loss(TRUTH, PUBLISHED, n, u * k, u) * np.exp(0.003 * rng.standard_normal(24))
    asked = Wanted(
        law="whole", unique=1e9, flops=1e20, params=1e8, tokens=1e10, together="run", draws=100,
        domains={"web": (1e9, 0.8), "code": (1e8, 0.2)},
    )  # fmt: skip
    return {
        "scaling": study_scaling(fresh, Question(draws=100, budgets=[1e21], read=1e11)),
        "repeated": study_repeated(runs_of(n, u * k, y, u), asked),
    }


def run_with(folder: Path, found: dict[str, Any]) -> Path:
    for name, about in found.items():
        place = folder / "steps" / f"{name}-000000000000"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.json").write_text(json.dumps(about), encoding="utf-8")
        mark = {"name": name, "use": f"data.{name}", "hash": "0" * 40}
        (place / "step.json").write_text(json.dumps(mark), encoding="utf-8")
    return folder


# --- charts ---------------------------------------------------------------------------------------


def drawn(*series: Series, **settings: Any) -> Any:
    given = {"id": "c", "title": "t", "labels": ("x", "y"), "readings": ""} | settings
    return chart(series, **given)


def test_points_stand_where_they_must():
    """The ends lie 4 % of the span inside of the frame: 4/108 = 3.7 % of its width."""
    found = drawn(
        Series("", "points", [(1.0, 0.0), (10.0, 5.0), (100.0, 10.0)]), logs=(True, False)
    )
    assert found.series[0].dots == ((3.7, 96.3), (50.0, 50.0), (96.3, 3.7))


def test_an_undefined_value_leaves_a_gap():
    found = drawn(
        Series("a", "line", [(0, 0.0), (1, 1.0), (2, None), (3, 3.0), (4, 4.0), (5, None)])
    )
    assert [len(part.split()) for part in found.series[0].parts] == [2, 2]
    assert [one.name for one in found.legend] == ["a"]


def test_a_band_reaches_to_the_frame_where_it_is_open_and_stops_where_it_is_unknown():
    rows = [(0.0, 1.0, 2.0), (1.0, 1.0, None), (2.0, None, None), (3.0, 1.0, 2.0), (4.0, None, 2.0)]
    first, second = drawn(Series("", "band", rows)).series[0].parts
    top = [float(pair.split(",")[1]) for pair in first.split()][1]
    foot = [float(pair.split(",")[1]) for pair in second.split()][2]
    assert (top, foot) == (0.0, 100.0)


def test_ticks_are_round_and_within_the_frame():
    for values, log in (
        ([2.0, 3.4], True),
        ([1e18, 1e22], True),
        ([-0.05, 0.02], False),
        ([7.0], True),
    ):
        scale = scale_of(values, log=log)
        assert 2 <= len(scale.ticks) <= 7
        assert all(0 <= place <= 100 for place, _ in scale.ticks)
        assert scale.low < min(values) <= max(values) < scale.high


def test_numbers_as_they_are_shown():
    assert [power(v) for v in (1e18, 3e-5, 200.0)] == ["10¹⁸", "3·10⁻⁵", "200"]
    assert [amount(v) for v in (999_600, 1e6, 0.5, math.nan)] == ["1M", "1M", "0.5", "unknown"]
    assert spread({"mean": 1.0, "low": 1.0, "high": 1.0}) == "1"
    assert spread({"mean": None, "low": None, "high": None, "open": ["mean"]}) == (
        "no limit (interval unknown)"
    )


# --- the page -------------------------------------------------------------------------------------


def test_both_studies_are_shown(tmp_path: Path, studies: dict[str, Any]):
    page = build(run_with(tmp_path, studies)).read_text(encoding="utf-8")
    for told in (
        "IsoFLOP profiles: loss over size at equal compute", "Best parameters over compute",
        "How far each run lies from the law", "How well the floor E is known",
        "The best split of a budget, with intervals", "with 100B tokens read in use",
        "The flat valley: how little the runs tell of R*", "What a token is worth",
        "10M parameters on 100M unique tokens", "The mixture", "The plan that was given",
        "Measured, without any law: repeated against fresh runs",
    ):  # fmt: skip
        assert told in page, told
    assert "No data has been read or picked yet" not in page
    assert "steps/" not in re.sub(r"<code>.*?</code>", "", page)  # not listed as an unknown step


def test_every_figure_is_told_in_words_and_has_an_id_of_its_own(tmp_path: Path, studies: Any):
    page = build(run_with(tmp_path, studies)).read_text(encoding="utf-8")
    figures = re.findall(r'<figure class="plot chart" id="([^"]+)">(.*?)</figure>', page, re.S)
    assert len({name for name, _ in figures}) == len(figures) >= 9
    for name, text in figures:
        words = re.search(r"<desc[^>]*>(.*?)</desc>", text, re.S)
        assert words, name
        assert len(words[1]) > 20, name
        assert "nan" not in text, name


def test_intervals_stand_beside_every_split(tmp_path: Path, studies: dict[str, Any]):
    page = build(run_with(tmp_path, studies)).read_text(encoding="utf-8")
    best = studies["scaling"]["budgets"][0]
    for key, show in (("params", amount), ("tokens", amount)):
        assert spread(best[key], show) in page


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a study, only the first two of long lists."""
    found = [above] if above else []
    items: list[Any] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))[:2]
    for key, item in items:
        found += paths(item, (*above, key))
    return found


@pytest.mark.parametrize("kind", ["scaling", "repeated"])
def test_a_study_with_any_part_missing_or_odd_still_makes_a_page(
    kind: str, tmp_path: Path, studies: dict[str, Any]
):
    from togi.report.files import read_run
    from togi.report.glossary import Names
    from togi.report.laws import PARTS
    from togi.report.tables import Ids

    assert read_run(run_with(tmp_path, studies)).steps
    places = paths(studies[kind])
    assert len(places) > 200
    about = copy.deepcopy(studies[kind])
    for place in places:
        holder: Any = about
        for key in place[:-1]:
            holder = holder[key]
        right = holder[place[-1]]
        for odd in (None, "x", [], {}, 3, [[1.0]]):
            holder[place[-1]] = odd
            PARTS[kind](about, "step", Names(Ids()))
        holder[place[-1]] = right
