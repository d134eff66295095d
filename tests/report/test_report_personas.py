"""The page's part on personas: what `evaluate.personas` writes is what stands there, escaped."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from saved_toys import llama, quiet, save

from togi.evaluate.personas.steps import PersonasSettings, run_personas
from togi.report.glossary import UNKNOWN
from togi.report.page import build
from togi.report.personas import sides, value
from togi.report.personas_bandit import people_table
from togi.report.verdict import with_interval
from togi.step import Work

HOSTILE = '<img src=x onerror="alert(1)">'
SMALL: dict[str, Any] = {
    "bandit": {"games": 6, "trials": 3, "people": ["none", "7-year-old", "20-year-old", HOSTILE],
               "player_games": 30},
    "exam": {"limit": 5, "each": 1},
    "descriptions": {"limit": 4, "max_tokens": 8, "people": ["none"]},
    "resamples": 100,
}  # fmt: skip


def made(folder: Path, model: str, **settings: Any) -> tuple[str, dict[str, Any]]:
    """A run of one step; its page and its numbers."""
    place = folder / "steps/personas-0"
    place.mkdir(parents=True)
    work = Work(folder=place, seed=0, name="personas", model=model, say=quiet, offline=True)
    run_personas(PersonasSettings.model_validate({**SMALL, **settings}), work)
    return page_of(folder), json.loads((place / "personas.json").read_text())


def page_of(folder: Path) -> str:
    step = {"name": "personas", "use": "evaluate.personas", "hash": "0",
            "folder": "steps/personas-0", "status": "done"}  # fmt: skip
    (folder / "run.json").write_text(json.dumps({"name": "toy", "status": "done", "steps": [step]}))
    return build(folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("model") / "m"
    return str(save(llama(max_position_embeddings=1024), folder))


@pytest.fixture(scope="module")
def page(model, tmp_path_factory) -> tuple[str, dict[str, Any]]:
    return made(tmp_path_factory.mktemp("run"), model)


def test_personas_alone_come_without_a_verdict(page):
    text, _ = page
    assert '<section id="personas" class="first">' in text
    assert 'id="verdict"' not in text
    assert UNKNOWN not in text
    for title in ("Two-armed bandit", "Exam", "Descriptions"):
        assert f"<h4>{title}</h4>" in text


def test_every_effect_stands_there_with_its_interval(page):
    text, told = page
    plain = text.replace("&#43;", "+")
    for probe in ("bandit", "exam", "descriptions"):
        for one in told[probe]["effects"]:
            assert value(one) in plain, one
    assert "would have been seen" in text
    assert text.count(">not detected<") > 3


def test_numbers_of_personas_and_known_players_stand_there(page):
    text, told = page
    for one in told["bandit"]["results"]["base"].values():
        assert with_interval(one["reward"]) in text
    for player in told["bandit"]["players"].values():
        assert with_interval(player["weights"]["V/TU"]) in text
    assert "Simulated players, 30 games" in text
    for relation in told["exam"]["results"]["base"]["relations"].values():
        assert with_interval(relation["nats"]) in text


def test_a_persona_is_no_markup(page):
    text, _ = page
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text


def test_words_of_the_page_are_in_its_glossary(page):
    text, _ = page
    for word in ("outside expert", "own expert", "nats", "not detected", "V/TU", "regret"):
        assert re.search(rf"<dt[^>]*>\s*(?:<code>)?{re.escape(word)}", text), word


def test_what_is_left_out_is_not_shown(model, tmp_path):
    text, _ = made(tmp_path, model, exam=None, descriptions=None)
    assert "<h4>Two-armed bandit</h4>" in text
    assert "<h4>Exam</h4>" not in text


def test_a_damaged_or_empty_file_leaves_no_hole(tmp_path):
    (tmp_path / "steps/personas-0").mkdir(parents=True)
    for content in ("{}", "[1]", '{"bandit": {"results": 3}}', '{"exam": null, "asked": 7}'):
        (tmp_path / "steps/personas-0/personas.json").write_text(content)
        assert "<h1" in page_of(tmp_path)


def test_sides_and_values_in_words():
    one = {"model": "m", "after": "10 years of age", "before": ""}
    assert sides(one, model=False) == "each 10 years of age"
    known = {"mean": 0.5, "low": 0.25, "high": 0.75, "n": 9}
    assert value({"estimate": known, "sd": 1.0}) == "+0.50 (+0.25 to +0.75, n 9)"


def test_one_model_needs_no_column():
    rows = [("2-year-old", "base", "1"), ("none", "base", "2")]
    found = people_table("t", ("who", "model", "x"), rows)
    assert found.head == ("who", "x")
    assert found.rows[0] == ("2‑year‑old", "1")  # hyphens that do not break
    both = people_table("t", ("who", "model", "x"), [*rows, ("none", "other", "3")])
    assert both.head == ("who", "model", "x")
    assert both.numeric == frozenset({2})
