"""The recipe's step `evaluate.changes` on a tiny saved model with real adapters."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from saved_toys import llama, quiet, save

from togi.align.settings import DpoSettings, SftSettings
from togi.align.steps import run_train
from togi.errors import RecipeError, UsageError
from togi.evaluate.ledger import read_lines
from togi.evaluate.steps_changes import ChangesSettings, run_changes, trainings
from togi.lm.local import load_local
from togi.recipe import parse_recipe
from togi.rows.types import Document, Example, Message, Preference
from togi.rows.write import write_rows
from togi.run import STEPS, run
from togi.step import Work
from togi.voice import Voice

TRAIN = {"lr": 0.02, "batch": 4, "dtype": "float32", "lora": {"rank": 4}, "rows": "data"}


def ask(i: int) -> tuple[Message, ...]:
    return (Message("user", f"What is number {i}?"),)


ROWS = [Example(id=f"e{i}", prompt=ask(i), response=f"It is {i}.") for i in range(10)]
PAIRS = [
    Preference(id=f"p{i}", prompt=ask(i), chosen=f"It is {i}.", rejected="No no") for i in range(8)
]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A model, rows, and two trainings of it, the second from the first's adapter."""
    folder = tmp_path_factory.mktemp("changes")
    save(llama(max_position_embeddings=512), folder / "model")
    write_rows(folder / "rows.jsonl", ROWS)
    write_rows(folder / "pairs.jsonl", PAIRS)
    for name in ("sft", "dpo", "still"):
        (folder / f"{name}-0a").mkdir()
    first = work(folder, "sft-0a", data={"rows": str(folder / "rows.jsonl")})
    run_train(SftSettings(steps=12, **TRAIN), first)
    run_train(
        SftSettings(steps=1, **{**TRAIN, "lr": 1e-30}), replace(first, folder=folder / "still-0a")
    )
    start = {"adapter": str(folder / "sft-0a" / "adapter")}
    second = work(folder, "dpo-0a", data={"rows": str(folder / "pairs.jsonl")}, sft=start)
    settings = DpoSettings(steps=2, start="sft", **TRAIN)
    run_train(settings, second)
    mark = {"settings": settings.model_dump(mode="json"), "inputs": second.inputs}
    (folder / "dpo-0a" / "step.json").write_text(json.dumps(mark))
    return folder


def work(place: Path, name: str, *, model: str = "", say=quiet, **inputs) -> Work:
    return Work(
        folder=place / name, seed=3, name=name, model=model or str(place / "model"),
        inputs=inputs, say=say, offline=True,
    )  # fmt: skip


def inputs(place: Path, rows: str = "rows.jsonl") -> dict:
    tuned = {n: {"adapter": str(place / f"{n}-0a" / "adapter")} for n in ("sft", "dpo", "still")}
    return {"data": {"rows": str(place / rows)}, **tuned}


def settings(*tuned: str, **more) -> ChangesSettings:
    models = {"base": {"dtype": "float32"}}
    models |= {name: {"adapter": name, "dtype": "float32"} for name in tuned}
    whole = {"models": models, "rows": "data", "max_tokens": 12, "guard_limit": 6, **more}
    return ChangesSettings.model_validate(whole)


@pytest.fixture(scope="module")
def found(place: Path) -> dict:
    here = work(place, "changes-0a", **inputs(place))
    outputs = run_changes(settings("sft", "dpo", "still"), here)
    assert outputs["changes"] == "changes.json"
    return json.loads((here.folder / "changes.json").read_text())


def test_methods_are_compared_by_divergence_quality_guards_and_cost(found: dict):
    assert found["models"] == ["base", "sft", "dpo", "still"]
    for name in ("sft", "dpo"):
        kl = found["kl"][name]
        assert kl["unknown"] == ""
        assert kl["kl_answer_k3"]["mean"] > 0.05
        assert kl["kl_answer"]["n"] == 10
        assert found["quality"]["differences"][name]["high"] < 0  # fewer bits for the responses
    assert found["quality"]["task"] == "responses"
    judged = {(entry["task"], entry["measure"]) for entry in found["differences"]}
    assert {
        ("general_text", "bits_per_byte"),
        ("choices", "accuracy"),
        ("answers", "ended"),
    } <= judged
    assert found["asked"] == {"prompts": 10, "answers to each": 1, "max_tokens": 12, "cluster": ""}


def test_an_adapter_that_changes_nothing_has_no_divergence_at_all(found: dict):
    still = found["kl"]["still"]
    assert [still[name]["mean"] for name in ("kl_answer", "kl_token_k3")] == [0, 0]
    changed = [d for d in found["differences"] if d["after"] == "still"]
    assert {entry["estimate"]["mean"] for entry in changed} <= {0, None}


def test_the_cost_counts_the_trainings_that_a_model_started_from(place: Path, found: dict):
    told = {n: json.loads((place / f"{n}-0a/train.json").read_text()) for n in ("sft", "dpo")}
    cost = found["costs"]["dpo"]
    assert cost["trainings"] == ["sft", "dpo"]
    assert cost["tokens"] == told["sft"]["tokens"] + told["dpo"]["tokens"]
    assert cost["seconds"] == pytest.approx(told["sft"]["seconds"] + told["dpo"]["seconds"])
    assert cost["memory_mb"] > 0
    assert found["costs"]["sft"]["trained_parameters"] == told["sft"]["trained_parameters"]
    assert "base" not in found["costs"]


def test_the_lines_are_those_of_the_models_own_forward(place: Path, found: dict):
    """By hand: each drawn answer's tokens scored by the base's own transformers forward."""
    import torch

    model = load_local(place / "model", dtype="float32", say=quiet)
    lines = read_lines(place / "changes-0a" / "samples.jsonl")[0]
    answers = {x["id"]: x for x in lines if (x["model"], x["task"]) == ("sft", "answers")}
    scored = [
        x for x in lines if x["task"] == "likelihood of what sft says" and x["model"] == "base"
    ]
    assert len(scored) == 10
    for line in scored[:4]:
        turns = tuple(Message(t["role"], t["content"]) for t in line["input"])
        prompt, drawn = model.renderer.prompt_ids(turns), answers[line["id"]]["detail"]["ids"][0]
        model.model.set_attn_implementation("eager")
        with torch.no_grad():
            logits = model.model(torch.tensor([[*prompt, *drawn]])).logits[0].double()
        table = logits.log_softmax(-1)[len(prompt) - 1 : -1]
        expected = [float(table[place, token]) for place, token in enumerate(drawn)]
        np.testing.assert_allclose(line["detail"]["logprobs"][0], expected, atol=1e-4)


def test_a_finished_step_says_the_same_again(place: Path, found: dict):
    here = work(place, "changes-0a", **inputs(place))
    before = (here.folder / "changes.json").read_bytes()
    said: list[str] = []
    run_changes(settings("sft", "dpo", "still"), replace(here, say=said.append))
    assert (here.folder / "changes.json").read_bytes() == before
    assert not [line for line in said if "model" in line]  # none was opened


def test_without_responses_or_guards_there_is_no_quality(place: Path):
    rows = [Document(id="d", text="x")]
    rows += [Example(id=f"e{i}", prompt=ask(i), response="") for i in range(3)]
    write_rows(place / "asked.jsonl", rows)
    (place / "changes-0b").mkdir(exist_ok=True)
    here = work(place, "changes-0b", **inputs(place, "asked.jsonl"))
    outputs = run_changes(settings("sft", guards=[], training={"sft": ["sft", "dpo"]}), here)
    told = json.loads((here.folder / "changes.json").read_text())
    assert told["quality"] is None
    assert list(told["tasks"]) == ["answers"]
    assert told["costs"]["sft"]["trainings"] == ["sft", "dpo"]
    assert "1 rows left out: it has no prompt" in outputs["notes"][0]


def test_settings_that_make_no_sense_are_refused(place: Path):
    with pytest.raises(UsageError, match=r"no model is called 'stf'.*did you mean 'sft'"):
        settings("sft", training={"stf": ["sft"]})
    with pytest.raises(UsageError, match="give both 'scores' and 'primary'"):
        settings("sft", primary="docs")
    served = {"models": {"base": "base", "far": "openai:http://localhost:9/v1#m"}}
    whole = settings("sft").model_dump(exclude_unset=True) | served
    here = work(place, "changes-0c", **inputs(place))
    with pytest.raises(UsageError, match=r"guards need log-probabilities.*`guards: \[\]` leaves"):
        run_changes(ChangesSettings.model_validate(whole), here)
    with pytest.raises(RecipeError, match="step 'data' is no training"):
        trainings("sft", settings("sft", training={"sft": ["data"]}), here)


def test_a_recipe_compares_methods_with_a_judgings_measure(place: Path, tmp_path: Path):
    recipe = f"""
name: methods
model: {place / "model"}
steps:
- {{name: data, use: rows.read, source: {place / "rows.jsonl"}}}
- {{name: sft, use: align.sft, rows: data, steps: 2, batch: 4, dtype: float32, lr: 0.02}}
- name: judge
  use: evaluate.judge
  models: {{base: base, sft: sft}}
  tasks: [{{name: held, kind: bits_per_byte, rows: data}}]
- name: changes
  use: evaluate.changes
  models: {{base: base, sft: sft}}
  rows: data
  max_tokens: 6
  guards: []
  scores: judge
  primary: held
"""
    outcome = run(
        parse_recipe(recipe, STEPS), tmp_path, voice=Voice("quiet", StringIO()), offline=True
    )
    told = json.loads(next(tmp_path.glob("steps/changes-*/changes.json")).read_text())
    scores = json.loads(next(tmp_path.glob("steps/judge-*/scores.json")).read_text())
    assert told["quality"]["differences"]["sft"] == scores["differences"][0]["estimate"]
    assert told["costs"]["sft"]["trainings"] == ["sft"]
    assert told["costs"]["sft"]["tokens"] > 0
    assert outcome.report is not None
