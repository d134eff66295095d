"""The recipe's steps: rows in, picked rows out, and a control that plays by the same rules."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from pydantic import ValidationError

from togi.data.steps import DsirSettings, RandomSettings, run_dsir, run_random
from togi.errors import RecipeError
from togi.rows.read import read_rows
from togi.rows.types import Document, Example, Message, Preference
from togi.rows.write import write_rows
from togi.step import Work

GOOD = ["salt", "soup", "stir", "bake", "bread"]
OTHER = ["court", "party", "damages", "contract", "held"]


def example(number: int, words: list[str], length: int) -> Example:
    draw = random.Random(number)
    prompt = (Message("system", "Be brief."), Message("user", f"Tell me of it, {number}."))
    return Example(
        id=f"row-{number}", prompt=prompt, response=" ".join(draw.choices(words, k=length))
    )


@pytest.fixture
def work(tmp_path: Path) -> Work:
    pool = [example(n, GOOD if n % 3 == 0 else OTHER, 30 if n % 5 else 4) for n in range(300)]
    target = [example(n, GOOD, 30) for n in range(1000, 1050)]
    inputs = {}
    for name, rows in (("pool", pool), ("target", target)):
        write_rows(tmp_path / f"{name}.jsonl", rows)
        inputs[name] = {"rows": str(tmp_path / f"{name}.jsonl")}
    folder = tmp_path / "step"
    folder.mkdir()
    return Work(folder=folder, seed=7, name="pick", model="none", inputs=inputs, say=said.append)


said: list[str] = []
SETTINGS = {"rows": "pool", "k": 40, "min_tokens": 10, "features": "{response}"}


def report(work: Work) -> dict:
    return json.loads((work.folder / "selection.json").read_text())


def test_dsir_picks_rows_like_the_target_and_keeps_them_as_they_were(work: Work) -> None:
    outputs = run_dsir(DsirSettings(target="target", **SETTINGS), work)
    assert outputs == {
        "rows": "rows.jsonl", "selection": "selection.json", "dropped": "dropped.jsonl", "n": 40,
        "card": "card.md",
    }  # fmt: skip
    rows = list(read_rows(work.folder / "rows.jsonl"))
    pool = {row.id: row for row in read_rows(work.inputs["pool"]["rows"])}
    assert all(pool[row.id] == row for row in rows)
    assert all(set(row.response.split()) <= set(GOOD) for row in rows)
    places = [int(row.id.split("-")[1]) for row in rows]
    assert places == sorted(places)
    told = report(work)
    assert (told["method"], told["k"], told["n_raw"], told["n_target"]) == ("dsir", 40, 300, 50)
    assert told["kl_reduction"] > 0.5
    assert told["seed"] == 7
    assert told["rising"]
    assert told["falling"]


def test_rows_that_are_too_short_are_listed_with_their_reason(work: Work) -> None:
    run_dsir(DsirSettings(target="target", **SETTINGS), work)
    lines = [json.loads(line) for line in (work.folder / "dropped.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"row-{n}" for n in range(0, 300, 5)]
    assert {line["reason"] for line in lines} == {"fewer than 10 words"}
    assert report(work)["filtered"] == 60


def test_the_control_has_the_same_filter_and_no_preference(work: Work) -> None:
    run_random(RandomSettings(target="target", **{**SETTINGS, "k": 120}), work)
    rows = list(read_rows(work.folder / "rows.jsonl"))
    assert all(len(row.response.split()) == 30 for row in rows)
    like = sum(set(row.response.split()) <= set(GOOD) for row in rows)
    assert 22 <= like <= 58  # a third of 120; five standard deviations to either side
    told = report(work)
    assert told["method"] == "random"
    assert told["effective_sample_size"] == pytest.approx(240)
    assert abs(told["kl_reduction"]) < 0.1
    assert (work.folder / "dropped.jsonl").read_text().count("\n") == 60


def test_the_control_needs_no_target(work: Work) -> None:
    run_random(RandomSettings(**SETTINGS), work)
    assert report(work)["kl_reduction"] is None
    assert report(work)["n_target"] == 0


def test_same_seed_same_rows_and_another_step_s_name_draws_others(work: Work) -> None:
    picks = []
    for name in ("pick", "pick", "other"):
        run_random(RandomSettings(**SETTINGS), Work(
            folder=work.folder, seed=7, name=name, model="none", inputs=work.inputs
        ))  # fmt: skip
        picks.append((work.folder / "rows.jsonl").read_bytes())
    assert picks[0] == picks[1] != picks[2]


def test_wanting_more_than_there_are_is_said(work: Work) -> None:
    said.clear()
    outputs = run_dsir(DsirSettings(target="target", **{**SETTINGS, "k": 999}), work)
    assert outputs["n"] == 240
    assert any("only 240 of 300" in line for line in said)


def test_a_field_that_rows_do_not_have_is_told(work: Work) -> None:
    with pytest.raises(RecipeError) as caught:
        run_dsir(DsirSettings(target="target", **{**SETTINGS, "features": "{respons}"}), work)
    assert caught.value.expected == "did you mean 'response'?"
    assert "pick" in caught.value.where


@pytest.mark.parametrize("wrong", [{"k": -1}, {"hash": "md5"}, {"order": 0}, {"smothing": 1}])
def test_wrong_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        DsirSettings(**{"rows": "a", "target": "b", "k": 1, **wrong})


def test_other_kinds_of_rows_have_their_own_text(work: Work, tmp_path: Path) -> None:
    for rows in (
        [Document(id="1", text="soup soup"), Document(id="2", text="court court court")],
        [Preference(id="1", prompt="soup", chosen="soup", rejected="court court court"),
         Preference(id="2", prompt="a", chosen="court court", rejected="soup")],
    ):  # fmt: skip
        write_rows(tmp_path / "pool.jsonl", rows)
        settings = {**SETTINGS, "k": 1, "min_tokens": 2, "features": None}
        run_dsir(DsirSettings(target="target", smoothing=1.0, **settings), work)
        assert [row.id for row in read_rows(work.folder / "rows.jsonl")] == ["1"]
        assert report(work)["lengths"]["pool"]["mean"] == 2.5


def test_metadata_can_be_a_feature(work: Work, tmp_path: Path) -> None:
    rows = [
        Document(id=str(n), text="x", metadata={"title": t}) for n, t in enumerate(GOOD + OTHER)
    ]
    write_rows(tmp_path / "pool.jsonl", rows)
    settings = {**SETTINGS, "k": 5, "min_tokens": 1, "features": "{title}"}
    write_rows(tmp_path / "target.jsonl", rows[:5])
    run_dsir(DsirSettings(target="target", top_k=True, **settings), work)
    assert [row.id for row in read_rows(work.folder / "rows.jsonl")] == list("01234")
