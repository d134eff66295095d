"""JSON, CSV and the model card beside the page: complete, strict, and true to the run's files."""

from __future__ import annotations

import csv
import io
import json

import pytest

from togi.report.beside import HEAD, TOLD, as_csv, as_json, whole
from togi.report.card import card
from togi.report.files import read_run
from togi.report.page import build


def rows_of(folder) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "report.csv").read_text(encoding="utf-8"))))


@pytest.fixture
def folder(fake_run):
    place = fake_run(more=True)
    build(place)
    return place


def test_json_holds_each_steps_own_files_whole(folder):
    told = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert told["verdict"]["decision"]
    found = 0
    for step in told["steps"]:
        (place,) = folder.glob(f"steps/{step['name']}-*")
        for name, key in TOLD.items():
            if (place / name).exists():
                assert step[key] == json.loads((place / name).read_text())
                found += 1
    assert found >= 8


def test_csv_holds_every_score_and_every_difference_once(folder):
    (place,) = folder.glob("steps/judge-*")
    scores = json.loads((place / "scores.json").read_text())
    every = rows_of(folder)
    assert tuple(every[0]) == HEAD
    told = {(r["model"], r["task"], r["measure"]): r for r in every if r["kind"] == "score"}
    right = {
        (model, task, measure): value
        for model, tasks in scores["scores"].items()
        for task, measures in tasks.items()
        for measure, value in measures.items()
    }
    assert told.keys() == right.keys()
    for key, value in right.items():
        for end in ("mean", "low", "high"):
            assert float(told[key][end]) == pytest.approx(value[end])
        assert int(told[key]["n"]) == value["n"]
    apart = [r for r in every if r["kind"] == "difference" and r["step"] == "judge"]
    assert len(apart) == len(scores["differences"])
    assert {r["kind"] for r in every} >= {"score", "difference", "primary", "guard"}


def test_unknown_is_empty_and_null_never_zero():
    unknown = {"mean": float("nan"), "low": None, "high": None, "n": 1, "level": 0.95}
    judged = {"scores": {"m": {"t": {"a": unknown}}}}
    told = {"steps": [{"name": "j", "judged": judged}]}
    (row,) = csv.DictReader(io.StringIO(as_csv(told)))
    assert (row["mean"], row["low"], row["n"]) == ("", "", "1")
    assert json.loads(as_json(told))["steps"][0]["judged"]["scores"]["m"]["t"]["a"]["mean"] is None


def test_pairwise_rank_changes_raters_and_findings_have_rows():
    value = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 9, "level": 0.95}
    place = {"model": "m", "rank": 1, "rank_best": 1, "rank_worst": 2, "win_rate": value}
    told = {
        "steps": [
            {"name": "p", "judged": {"results": [
                {"judge": "j", "after": "a", "before": "b", "win_rate": value, "better": True,
                 "position_bias": value}],
                "strengths": [{"judge": "j", "model": "a", "over": "b", "strength": value}]}},
            {"name": "r", "ranking": {"all": {"places": [{**place, "strength": value}]}}},
            {"name": "c", "changes": {"kl": {"sft": {"kl_answer": value}}}},
            {"name": "d", "raters": {"agreement": {"alpha": value, "level": "nominal"}}},
            {"name": "f", "finding": {"estimates": {"lost": value}}},
        ]
    }  # fmt: skip
    found = {
        (r["step"], r["kind"], r["measure"]) for r in csv.DictReader(io.StringIO(as_csv(told)))
    }
    assert found == {
        ("p", "win rate", "win_rate"), ("p", "judge", "position_bias"),
        ("p", "strength", "strength"),
        ("r", "rank win_rate", "win_rate"), ("r", "rank strength", "strength"),
        ("c", "divergence", "sft.kl_answer"), ("d", "raters", "agreement.alpha"),
        ("f", "finding", "lost"),
    }  # fmt: skip


def test_the_card_is_written_from_the_json_alone(folder):
    told = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    text = (folder / "model-card.md").read_text(encoding="utf-8")
    assert text == card(told)
    for heading in ("Data", "Training", "Judged", "Known harms and limits", "How to make it again"):
        assert f"\n## {heading}\n" in text
    assert text.startswith('---\nbase_model: "')
    assert told["verdict"]["sentence"].split(":")[0] in text
    for guard in told["verdict"]["guards"]:
        assert f"- {guard['task']}: {guard['status']}" in text
    assert "921,600 of 135,436,608" in text
    assert "The energy was not measured." in text
    for mean in (
        s["docstrings"]["bits_per_byte"] for s in told["steps"][7]["judged"]["scores"].values()
    ):
        assert f"{mean['mean']:.3f}"[:4] in text


def test_a_run_that_tunes_nothing_has_no_card(fake_run):
    place = fake_run(leave=("sft-random", "sft-dsir", "dpo"))
    build(place)
    assert not (place / "model-card.md").exists()
    assert (place / "report.csv").exists()


def test_a_run_in_the_middle_says_that_no_verdict_was_passed(fake_run):
    place = fake_run(leave=("judge", "verdict"))
    build(place)
    text = (place / "model-card.md").read_text(encoding="utf-8")
    assert "No verdict was passed" in text
    assert "It was not judged." in text


def test_hostile_texts_break_neither_table_nor_cell():
    bad = "=cmd()|x\n# <script> \ud800"
    told = {
        "name": bad, "togi": "0", "model": bad, "seed": 0, "versions": {},
        "verdict": {"sentence": bad, "guards": []},
        "steps": [{"name": bad, "use": "align.sft", "training": {"objective": bad},
                   "judged": {"scores": {bad: {bad: {bad: {"mean": 1.0}}}}}}],
    }  # fmt: skip
    text = card(json.loads(as_json(told)))
    assert "<script>" not in text
    lines = [line for line in text.split("\n") if line.startswith("|") and "cmd" in line]
    for line in lines:
        assert line.replace("\\|", "").count("|") in (6, 8)
    for row in csv.DictReader(io.StringIO(as_csv(told))):
        assert row["model"].startswith("'=")


def test_whole_of_a_broken_run_names_the_fault(fake_run):
    place = fake_run()
    (scores,) = place.glob("steps/judge-*/scores.json")
    scores.write_text("{half")
    told = whole(read_run(place))
    assert any("scores.json" in problem for problem in told["problems"])
