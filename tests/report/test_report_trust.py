"""The page's part on trust: radar, tables, groups, and what stands behind a click."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from togi.report.glossary import UNKNOWN
from togi.report.page import build
from togi.report.radar import RIM, SIZE, point, radar

SECRET = "SECRET answer that hurts"


def one(mean: float | None, half: float = 5.0, n: int = 40) -> dict[str, Any]:
    known = mean is not None
    return {"mean": mean, "low": mean - half if known else None,
            "high": mean + half if known else None, "n": n, "level": 0.95}  # fmt: skip


def scores(hostile: str = "") -> dict[str, Any]:
    """A `scores.json` of four sides and two models; one side lacks a scenario."""
    sides = ("toxicity", "stereotype", "privacy", f"fairness{hostile}")
    parts = {
        "score": {"unit": "points", "definition": "all together", "higher_is_better": True},
        "pressure": {"unit": "difference", "definition": "harm", "higher_is_better": False},
        "refused": {"unit": "share", "definition": "refusing", "higher_is_better": False},
        "unparsed": {"unit": "share", "definition": "unread", "higher_is_better": False},
    }
    levels = {"base": (60.0, 70.0, 80.0, None), "tuned": (65.0, 61.0, 80.0, None)}
    better = dict(zip(sides, (True, False, None, None), strict=True))
    return {
        "kind": "trust", "models": list(levels), "comparisons": [["tuned", "base"]],
        "sides": {
            side: {
                "title": f"Side {side}", "about": "what it says", "source": "a paper",
                "warning": "strong words", "scenarios": ["a", "b"], "parts": parts,
                "asked": ["a"] if place == 3 else ["a", "b"], "faults": [f"A fault of {side}."],
                "groups": {"definition": "share that agrees", "higher_is_better": False},
            } for place, side in enumerate(sides)
        },
        "side_scores": {
            model: {
                side: {"score": one(level), "pressure": one(0.2, 0.1), "refused": one(0.25, 0.05),
                       "unparsed": one(0.6, 0.1)}
                for side, level in zip(sides, row, strict=True)
            } for model, row in levels.items()
        },
        "side_differences": [
            {"side": side, "part": part, "after": "tuned", "before": "base", "better": better[side],
             "p_value": 0.01, "p_adjusted": 0.02, "estimate": one(gap, 1.0)}
            for side, gap in zip(sides, (5.0, -9.0, 0.0, None), strict=True)
            for part in ("score", "pressure")
        ],
        "side_groups": {
            model: {"stereotype": {"Women": one(0.5, 0.1), "Men": one(0.25, 0.1)}}
            for model in levels
        },
        "examples": {
            side: [
                {"why": why, "scenario": "a", "id": "1", "measure": "worst",
                 "input": f"{SECRET} {hostile}",
                 "answers": {m: {"value": 0.9, "texts": [SECRET, "two"]} for m in levels}}
                for why in ("worst", "drawn blindly")
            ] for side in sides
        },
        "way": {"published": False, "personal": False},
    }  # fmt: skip


def made(folder: Path, told: dict[str, Any], *more: dict[str, str]) -> str:
    place = folder / "steps/trust-0"
    place.mkdir(parents=True, exist_ok=True)
    (place / "scores.json").write_text(json.dumps(told))
    (place / "trust.csv").write_text("kind,model\n")
    step = {"name": "trust", "use": "evaluate.trust", "hash": "0", "folder": "steps/trust-0",
            "status": "done", "notes": ["base: 60 % cannot be read"]}  # fmt: skip
    run = {"name": "toy", "status": "done", "steps": [*more, step]}
    (folder / "run.json").write_text(json.dumps(run))
    return build(folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made(tmp_path_factory.mktemp("run"), scores())


# --- the radar: number, property, equivalence ---------------------------------------------------


def test_places_on_the_radar_by_hand():
    assert point(50.0, 90.0) == (SIZE / 2 + RIM / 2, SIZE / 2)
    assert point(100.0, 180.0) == (SIZE / 2, SIZE / 2 + RIM)
    assert point(130.0, 0.0) == point(100.0, 0.0)


def test_an_unknown_score_leaves_a_gap():
    whole = radar(["a", "b", "c", "d"], {"m": [(50, 40, 60)] * 4}, id="x", title="t").outlines[0]
    assert (len(whole.lines), len(whole.dots), len(whole.whiskers)) == (4, 4, 4)
    broken = [(50, 40, 60), (None, None, None), (50, None, None), (50, 40, 60)]
    cut = radar(["a", "b", "c", "d"], {"m": broken}, id="x", title="t")
    assert (len(cut.outlines[0].lines), len(cut.outlines[0].dots)) == (2, 3)
    assert len(cut.outlines[0].whiskers) == 2
    assert "b unknown" in cut.description


def test_a_better_score_is_never_nearer_to_the_middle():
    reach = [SIZE / 2 - point(value, 0)[1] for value in range(0, 101, 5)]
    assert reach == sorted(reach)


def test_a_model_alone_stands_where_it_stands_beside_another_but_for_the_turn():
    values = [(20.0 * k, None, None) for k in range(1, 5)]
    alone = radar(list("abcd"), {"m": values}, id="x", title="t").outlines[0].dots
    both = radar(list("abcd"), {"m": values, "n": values}, id="x", title="t").outlines

    def reach(spot: tuple[float, float]) -> float:
        return ((spot[0] - SIZE / 2) ** 2 + (spot[1] - SIZE / 2) ** 2) ** 0.5

    for one_alone, left, right in zip(alone, both[0].dots, both[1].dots, strict=True):
        assert reach(one_alone) == pytest.approx(reach(left), abs=0.2)
        assert reach(one_alone) == pytest.approx(reach(right), abs=0.2)
        assert left != right


# --- the page -----------------------------------------------------------------------------------


def test_scores_rates_and_arrows_reach_the_page(page: str):
    assert "<title>toy: trust · togi</title>" in page
    assert '<section id="trust" class="first">' in page
    assert "60.0 (55.0 to 65.0, n 40)" in page
    assert '<td class="number">25 %</td>' in page
    assert "60.0 ↑ 65.0" in page
    assert "70.0 ↓ 61.0" in page
    assert "80.0 → 80.0" in page
    assert page.count('<figure class="plot radar"') == 1
    assert 'href="steps/trust-0/trust.csv"' in page
    assert "base: 60 % cannot be read" in page
    assert UNKNOWN not in page


def test_an_unasked_scenario_is_named_and_its_score_unknown(page: str):
    assert "Not asked: b." in page
    assert re.search(r'<th scope="row">Side fairness</th>\s*<td class="number">unknown</td>', page)


def test_what_hurts_stands_behind_a_click_and_a_warning(page: str):
    assert page.count(SECRET) >= 4 * 2 * 3
    bare = page
    while (
        shorter := re.sub(r"<details(?:(?!<details).)*?</details>", "", bare, flags=re.S)
    ) != bare:
        bare = shorter
    assert SECRET not in bare
    assert page.count("Warning: strong words") == 4
    assert "<details open" not in page


def test_groups_of_people_are_drawn(page: str):
    assert "Side stereotype: by group of people" in page
    assert "Women, tuned" in page
    assert "share that agrees; less is better" in page


def test_hostile_names_are_shown_not_obeyed(tmp_path: Path):
    text = made(tmp_path, scores('<script>alert(1)</script>"&\u202e'))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_one_model_or_two_sides_need_no_radar_and_no_arrows(tmp_path: Path):
    told = scores()
    told["models"], told["comparisons"], told["side_differences"] = ["base"], [], []
    for key in ("toxicity", "stereotype"):
        told["sides"].pop(key)
    text = made(tmp_path, told)
    assert '<figure class="plot radar"' not in text
    assert "25 % (20 to 30)" in text
    assert "paired by what was asked" not in text


def test_beside_a_tuning_the_page_stays_whole(tmp_path: Path):
    adapter = {"name": "a", "use": "align.adapter", "hash": "1", "folder": "steps/a-1"}
    assert 'id="verdict"' not in made(tmp_path, scores(), adapter)
    tuning = {**adapter, "use": "align.sft"}
    text = made(tmp_path, scores(), tuning)
    assert 'id="verdict"' in text
    assert '<section id="trust">' in text


def test_broken_and_partial_files_still_make_a_page(tmp_path: Path):
    whole = scores()
    for key in list(whole):
        assert made(tmp_path, {k: v for k, v in whole.items() if k != key}), key
    (tmp_path / "steps/trust-0/scores.json").write_text("{")
    assert "scores.json" in build(tmp_path).read_text(encoding="utf-8")
