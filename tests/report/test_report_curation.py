"""The tables of a curation: the funnel by hand, and files that are not what they should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from togi.report import page
from togi.report.curation import MOST_TOPICS, curated
from togi.report.files import RunFiles, read_run

STAGES = [
    {
        "stage": "score",
        "in": 2000,
        "dropped": 1500,
        "out": 500,
        "reasons": {"score below 10": 1500},
    },
    {"stage": "title_only", "in": 500, "dropped": 0, "out": 500, "reasons": {}},
    {"stage": "length", "in": 500, "dropped": 90, "out": 410, "reasons": {"short": 80, "long": 10}},
]
ESTIMATE = {"mean": 0.31, "low": 0.3, "high": 0.32, "n": 400, "level": 0.95}
TOLD: dict[str, Any] = {
    "k": 100,
    "funnel": STAGES,
    "dropped": {"score below 10": 1500, "short": 80, "long": 10},
    "topics": [{"topic": "a<b>", "eligible": 300, "picked": 60}, {"topic": "", "eligible": 1}],
    "style": {"eligible": {"n": 400, "list": 100}, "picked": {"n": 100, "list": 50}},
    "coverage": {"picked": ESTIMATE, "random": ESTIMATE, "difference": {**ESTIMATE, "low": None}},
    "near_duplicates": {
        "examples": [
            {
                "kept": "x/1",
                "dropped": [{"id": f"x/{n}", "similarity": 0.8125} for n in range(2, 7)],
            }
        ]
    },
}


def run_with(folder: Path, told: Any) -> RunFiles:
    step = folder / "steps" / "lima-0123456789ab"
    step.mkdir(parents=True)
    (step / "curation.json").write_text(json.dumps(told))
    mark = {
        "name": "lima",
        "use": "data.lima",
        "status": "done",
        "folder": "steps/lima-0123456789ab",
    }
    (folder / "run.json").write_text(json.dumps({"name": "r", "steps": [mark]}))
    return read_run(folder)


def test_the_funnel_by_hand(tmp_path: Path) -> None:
    funnel, topics, style, coverage, doubles = curated(run_with(tmp_path, TOLD))
    assert funnel.rows == (
        ("score", "2,000", "1,500", "score below 10", "500"),
        ("title only", "500", "0", "–", "500"),
        ("length", "500", "90", "short; long", "410"),
    )
    assert funnel.bars == (0.25, 0.25, 0.205)
    assert topics.rows[0] == ("a<b>", "300", "60")
    assert topics.rows[1][0] == "no topic"
    assert style.rows == (("list", "25.0 %", "50.0 %"),)
    assert coverage.rows[0] == ("this pick", "0.310", "0.300 to 0.320", "400")
    assert coverage.rows[2][2] == "n too small"
    assert doubles.rows == (("x/1", "x/2 (0.81), x/3 (0.81), x/4 (0.81) and 2 more"),)


def test_the_page_shows_it_and_counts_what_was_left_out(tmp_path: Path) -> None:
    run_with(tmp_path, TOLD)
    text = page.build(tmp_path).read_text(encoding="utf-8")
    assert "lima: what each rule let through" in text
    assert "a&lt;b&gt;" in text
    assert "a<b>" not in text
    assert text.count("score below 10") >= 2  # in the funnel, and among all that was left out
    assert "No data has been read or picked yet." not in text


def test_many_topics_are_cut_and_counted(tmp_path: Path) -> None:
    topics = [{"topic": f"t{n}", "eligible": n, "picked": 1} for n in range(MOST_TOPICS + 5)]
    (table,) = curated(run_with(tmp_path, {"topics": topics}))
    assert len(table.rows) == MOST_TOPICS
    assert table.caption.endswith("(5 further topics)")


@pytest.mark.parametrize(
    "told",
    [
        {}, {"funnel": 3}, {"funnel": [None, 4, {"stage": None}]}, {"topics": [[], {}]},
        {"style": {"eligible": {"list": "x"}, "picked": 3}}, {"coverage": [1]},
        {"near_duplicates": {"examples": [{"kept": 1, "dropped": [1, [2], "x"]}]}}, [], "a", None,
    ],
)  # fmt: skip
def test_a_file_of_another_shape_breaks_nothing(told: Any, tmp_path: Path) -> None:
    curated(run_with(tmp_path, told))
    assert page.build(tmp_path).is_file()
