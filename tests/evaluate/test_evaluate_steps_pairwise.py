"""The recipe's step `evaluate.pairwise` on tiny saved models: settings, judges, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from saved_toys import llama, quiet, save

from togi.errors import DataError, UsageError
from togi.evaluate.ledger import read_lines
from togi.evaluate.settings import ModelSettings
from togi.evaluate.steps import opener, tuned_parts
from togi.evaluate.steps_pairwise import PairwiseSettings, judge_of, run_pairwise
from togi.recipe import RecipeError, parse_recipe
from togi.rows.types import Document, Example, Feedback, Message
from togi.rows.write import write_rows
from togi.run import STEPS
from togi.run_plan import plan
from togi.step import Work


def ask(i: int) -> tuple[Message, ...]:
    return (Message("user", f"What is number {i}?"),)


ROWS = [Example(id=f"e{i}", prompt=ask(i), response=f"It is {i}.") for i in range(6)]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for seed in (0, 1):
        save(llama(seed=seed, max_position_embeddings=1024), folder / f"m{seed}")
    save(llama(seed=2, max_position_embeddings=1024), folder / "plain", template=None)
    return folder


@pytest.fixture
def work(models, tmp_path):
    def make(rows=ROWS, say=quiet, **inputs) -> Work:
        folder = tmp_path / "pairwise"
        folder.mkdir(exist_ok=True)
        write_rows(tmp_path / "rows.jsonl", rows)
        given = {"data": {"rows": str(tmp_path / "rows.jsonl")}, **inputs}
        return Work(
            folder=folder, seed=3, name="pairwise", model=str(models / "m0"), inputs=given,
            say=say, offline=True,
        )  # fmt: skip

    return make


def settings(models: Path, **more) -> PairwiseSettings:
    whole = {
        "models": {"base": "base", "other": {"model": str(models / "m1"), "dtype": "float32"}},
        "rows": "data",
        "judges": {"short": "shorter"},
        "sampling": {"max_tokens": 6},
    }
    return PairwiseSettings.model_validate({**whole, **more})


def test_a_language_model_and_a_rule_judge_local_models(models, work):
    judges = {
        "short": "shorter",
        "model": {"model": str(models / "m1"), "dtype": "float32"},
        "writer": {"model": str(models / "m1"), "reads": "text", "max_tokens": 3},
    }
    place = work()
    outputs = run_pairwise(settings(models, judges=judges), place)
    scores = json.loads((place.folder / outputs["scores"]).read_text())
    by_judge = {one["judge"]: one for one in scores["results"]}
    assert by_judge["short"]["n"] == by_judge["model"]["n"] == 6
    assert by_judge["writer"]["unparsed"]["n"] == 6
    assert scores["asked"]["judges"]["model"]["reads"] == "likelihood"
    lines = read_lines(place.folder / "samples.jsonl")[0]
    assert len(lines) == 2 * 6 + 3 * 2 * 6
    asked = next(line for line in lines if line["model"] == "model")
    assert "What is number" in asked["input"][0]["content"]
    again = (place.folder / "scores.json").read_bytes()
    run_pairwise(settings(models, judges=judges), place)
    assert (place.folder / "scores.json").read_bytes() == again


def test_the_verdicts_likelihood_is_the_letters_own(models, work):
    """By hand: the letter's token after the conversation, without the end of the turn."""
    place = work()
    judges = {"model": {"model": str(models / "m1"), "dtype": "float32"}}
    run_pairwise(settings(models, judges=judges), place)
    lines = read_lines(place.folder / "samples.jsonl")[0]
    line = next(line for line in lines if line["model"] == "model")
    judge = judge_of(settings(models, judges=judges).judges["model"], settings(models), place)
    model = judge.model.open()  # type: ignore[union-attr]
    prompt = tuple(Message(turn["role"], turn["content"]) for turn in line["input"])
    for letter, found in zip("ABC", line["detail"]["logprobs"], strict=True):
        (scored,) = model.score([prompt], [letter])
        assert len(scored.logprobs) == 2
        assert found == pytest.approx(float(scored.logprobs[0]), abs=1e-5)


def test_a_model_without_a_chat_template_is_asked_in_plain_text(models, work):
    judge = {"model": str(models / "plain")}
    with pytest.raises(DataError, match="no chat template"):
        run_pairwise(settings(models, judges={"j": judge}), work())
    run_pairwise(settings(models, judges={"j": {**judge, "prompt": "plain"}}), work())


def test_rows_without_a_prompt_are_counted_and_thumbs_are_asked(models, work):
    rows = [
        Document(id="d", text="no question"),
        Feedback(id="f", prompt=ask(1), response="no", desirable=False),
        *ROWS[:2],
    ]
    said: list[str] = []
    outputs = run_pairwise(settings(models), work(rows, said.append))
    assert outputs["notes"][0] == "task answers: 1 rows left out: it has no prompt (1)"
    assert outputs["notes"][0] in said
    with pytest.raises(DataError, match="too few rows can be judged"):
        run_pairwise(settings(models), work(rows[:1]))


def test_the_short_forms_of_judges(models, work):
    found = settings(models, judges={"a": "longer", "b": "x.py:f", "c": "base", "d": "own/hub"})
    assert [judge.rule for judge in found.judges.values()] == ["longer", "x.py:f", "", ""]
    assert found.judges["d"].model == "own/hub"
    served = settings(models, judges={"s": "openai:http://localhost:9/v1#m"})
    assert judge_of(served.judges["s"], served, work()).reads == "text"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"judges": {"j": {"rule": "shorter", "dtype": "float32"}}}, "'dtype' means nothing to a"),
        ({"comparisons": [["base", "othr"]]}, "no model is called 'othr'.*did you mean 'other'"),
        ({"sampling": {"n": 2}}, "one answer is compared for each prompt. Found: 2"),
    ],
)
def test_settings_that_make_no_sense_are_refused(models, change, told):
    with pytest.raises(UsageError, match=told):
        settings(models, **change)


def test_a_missing_judge_is_refused(models):
    with pytest.raises(ValidationError, match="judges"):
        settings(models, judges={})


def test_a_mistake_in_a_recipe_is_told_with_its_place():
    text = """
steps:
- {name: data, use: rows.read, source: a.jsonl}
- name: pairs
  use: evaluate.pairwise
  rows: data
  models: {base: base, tuned: nowhere}
  judges: {j: shorter}
"""
    with pytest.raises(RecipeError, match="nowhere"):
        parse_recipe(text, STEPS)


def test_a_users_changed_function_makes_the_step_run_again(tmp_path: Path):
    own = tmp_path / "mine.py"
    own.write_text("def f(prompt, first, second, target): return 1")
    text = f"""
steps:
- {{name: data, use: rows.read, source: {tmp_path / "a.jsonl"}}}
- name: pairs
  use: evaluate.pairwise
  rows: data
  models: {{base: base, other: own/model}}
  judges: {{j: "{own}:f"}}
"""
    digests = []
    for body in ("return 1", "return 0"):
        own.write_text(f"def f(prompt, first, second, target): {body}")
        digests.append(plan(parse_recipe(text, STEPS), tmp_path, STEPS)[-1].digest)
    assert digests[0] != digests[1]


# --- what a training step leaves is what is opened ------------------------------------------------


def test_a_whole_model_is_opened_and_an_adapter_goes_on_top(models, work):
    m0, m1 = str(models / "m0"), str(models / "m1")
    place = work(
        whole={"model": m1},
        both={"model": m1, "adapter": "/adapter"},
        lora={"adapter": "/lora"},
    )
    parts = {
        ref: tuned_parts(ModelSettings(adapter=ref), place)
        for ref in ("whole", "both", "lora", "both.model", "both.adapter")
    }
    assert parts == {
        "whole": (m1, None),
        "both": (m1, Path("/adapter")),
        "lora": (m0, Path("/lora")),
        "both.model": (m1, None),
        "both.adapter": (m0, Path("/adapter")),
    }
    with pytest.raises(RecipeError, match="step 'data' has no output 'adapter'"):
        tuned_parts(ModelSettings(adapter="data"), place)
    tuned = opener(ModelSettings(adapter="whole", dtype="float32"), place)
    assert (
        tuned.open().fingerprint
        == opener(ModelSettings(model=m1, dtype="float32"), place).open().fingerprint
    )  # type: ignore[comparison-overlap]
    assert tuned.identity != opener(ModelSettings(), place).identity
