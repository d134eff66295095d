"""`togi align compare` and what a one-off tuning says of its changes, on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import saved_toys

from togi.commands.align_compare import FILE, Plan, run_compare, trainings
from togi.commands.runs import RunFlags
from togi.commands.single import run_align
from togi.errors import UsageError
from togi.gallery import ENTRIES, recipe_of
from togi.recipe import load_recipe
from togi.run import STEPS
from togi.run_folder import read_json


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    saved_toys.save(saved_toys.llama(max_position_embeddings=1024), folder / "model")
    pairs = [
        {"prompt": f"Say {n}", "chosen": f"number {n} it is", "rejected": "no" * (1 + n % 3)}
        for n in range(30)
    ]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    return folder


def asked(place: Path, *methods: str, **changed) -> Plan:
    given = {"minutes": 0.01, "share": 0.3, "by": "prompt", "limit": 4, "seed": 0, **changed}
    return Plan(
        rows=str(place / "pairs.jsonl"), methods=methods, model=str(place / "model"), **given
    )


def test_methods_are_compared_under_one_budget_and_go_on(place: Path, tmp_path: Path, capsys):
    plan = asked(place, "sft", "dpo loss=ipo_mean lora.rank=2", "dpo", "ppo reward=brevity batch=4 "
                 "answer_tokens=4", "sft optimizer=mezo")  # fmt: skip
    flags = RunFlags(out=tmp_path / "run", offline=True, quiet=True)
    assert run_compare(plan, flags) == 0
    said = capsys.readouterr().out
    for name in ("sft", "dpo", "dpo-2", "ppo", "sft-2"):
        assert f"{name}: KL " in said
    told = read_json(tmp_path / "run" / FILE)
    assert told
    assert all(steps >= 1 for steps in told["steps"].values())
    (changes,) = (tmp_path / "run").glob("steps/changes-*/changes.json")
    costs = json.loads(changes.read_text())["costs"]
    assert set(costs) == {"sft", "dpo", "dpo-2", "ppo", "sft-2"}
    assert all(cost["tokens"] > 0 and cost["seconds"] > 0 for cost in costs.values())
    made = sorted(path.name for path in (tmp_path / "run" / "steps").iterdir())
    assert run_compare(plan, flags) == 0  # nothing is measured or trained again
    assert sorted(path.name for path in (tmp_path / "run" / "steps").iterdir()) == made
    assert read_json(tmp_path / "run" / FILE) == told


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("dpu", "no such method.*did you mean 'dpo'"),
        ("reward", "a reward model answers nothing"),
        ("dpo loss", "not of the form key=value"),
        ("dpo epochs=2", "'epochs' is set by the comparison"),
    ],
)
def test_wrong_methods_are_refused_before_any_work(place: Path, spec: str, words: str):
    with pytest.raises(UsageError, match=words):
        trainings([spec])


def test_a_tuning_of_its_own_says_what_it_changed(place: Path, tmp_path: Path):
    flags = RunFlags(out=tmp_path / "run", offline=True, quiet=True)
    run_align("kto", str(place / "pairs.jsonl"), ["steps=2"], str(place / "model"), 0, flags)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "What changed" in page
    flags = RunFlags(out=tmp_path / "bare", offline=True, quiet=True)
    run_align(
        "sft", str(place / "pairs.jsonl"), ["steps=2"], str(place / "model"), 0, flags,
        changes=False,
    )  # fmt: skip
    assert not list((tmp_path / "bare" / "steps").glob("changes-*"))


@pytest.mark.parametrize("name", [name for name in ENTRIES if recipe_of(name)])
def test_the_gallery_s_recipes_can_be_read_and_end_in_their_entry(name: str):
    recipe = load_recipe(recipe_of(name), STEPS)
    assert (recipe.name, recipe.steps[-1].use) == (name, f"gallery.{name}")
    assert ENTRIES[name].model
