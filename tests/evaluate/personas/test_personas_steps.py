"""`evaluate.personas` as a recipe's step and as a command: files, refusals, always the same."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from saved_toys import llama, quiet, save

from togi.cli import main
from togi.commands import personas as command
from togi.commands.runs import RunFlags
from togi.errors import DataError, RecipeError, UsageError
from togi.evaluate.personas.steps import PersonasSettings, probes_of, reads_of, run_personas
from togi.recipe import load_recipe, parse_recipe
from togi.rows.types import Document, Sample
from togi.rows.write import write_rows
from togi.run import STEPS
from togi.step import Work

SMALL: dict[str, Any] = {
    "bandit": {"games": 5, "trials": 3, "people": ["none", "7-year-old", "20-year-old"],
               "player_games": 30},
    "exam": {"limit": 6, "each": 1, "people": ["genders"]},
    "descriptions": {"limit": 4, "max_tokens": 12, "people": ["none"]},
    "resamples": 100,
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("models") / "m"
    return str(save(llama(max_position_embeddings=1024), folder))


def work_in(folder: Path, model: str, **inputs: Any) -> Work:
    folder.mkdir(parents=True, exist_ok=True)
    return Work(
        folder=folder, seed=3, name="personas", model=model, inputs=inputs, say=quiet, offline=True
    )


def asked(folder: Path, model: str, **settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the step; its outputs and what `personas.json` holds."""
    whole = PersonasSettings.model_validate({**SMALL, **settings})
    outputs = run_personas(whole, work_in(folder, model))
    return outputs, json.loads((folder / "personas.json").read_text())


@pytest.fixture(scope="module")
def done(model, tmp_path_factory) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    folder = tmp_path_factory.mktemp("done")
    return folder, *asked(folder, model)


# --- files ----------------------------------------------------------------------------------------


def test_files_and_outputs(done):
    folder, outputs, told = done
    names = set(STEPS["evaluate.personas"].outputs)
    assert names <= set(outputs)
    assert all((folder / outputs[name]).is_file() for name in names)
    assert set(told) >= {"asked", "models", "bandit", "exam", "descriptions", "told", "notes"}
    assert outputs["notes"][-len(told["told"]):] == told["told"]  # fmt: skip
    assert told["models"]["base"]["fingerprint"]


def test_every_effect_is_told_with_interval_and_n(done):
    folder, _, told = done
    with (folder / "effects.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    everything = [
        one for probe in ("bandit", "exam", "descriptions") for one in told[probe]["effects"]
    ]
    assert len(lines) == len(everything)
    for line, one in zip(lines, everything, strict=True):
        assert line["after"] == one["after"]
        assert int(line["n"]) == one["estimate"]["n"]
        assert line["detected"] in ("True", "False", "")
    assert any("not detected" in line or "no difference" in line for line in told["told"])


def test_the_tables_hold_what_was_asked(done):
    folder, _, told = done
    with (folder / "bandit.csv").open(encoding="utf-8") as file:
        choices = list(csv.DictReader(file))
    assert len(choices) == 3 * 5 * 3
    mean = sum(float(one["reward"]) for one in choices if one["persona"] == "none") / 15
    assert told["bandit"]["results"]["base"]["none"]["reward"]["mean"] == pytest.approx(mean)
    assert set(told["bandit"]["players"]) == {"thompson", "ucb", "greedy", "random"}
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert {line["task"] for line in lines} == {
        "bandit", "exam", "descriptions", "descriptions read",
    }  # fmt: skip
    texts = json.loads((folder / "descriptions.json").read_text())
    assert {len(things) for things in texts["base"].values()} == {4}


def test_asked_again_nothing_is_asked_and_nothing_changes(done, model, tmp_path):
    folder, _, told = done
    said: list[str] = []
    again = dataclasses.replace(work_in(folder, model), say=said.append)
    run_personas(PersonasSettings.model_validate(SMALL), again)
    assert json.loads((folder / "personas.json").read_text()) == told
    assert "base · bandit: 0 choices asked (45 were there)" in said
    assert not any("model " in line and "cpu" in line for line in said)  # it was not opened
    _, fresh = asked(tmp_path, model)
    assert fresh == told


def test_a_probe_can_be_left_out(model, tmp_path):
    outputs, told = asked(tmp_path, model, exam=None, descriptions=None)
    assert "exam" not in told
    assert "descriptions" not in outputs
    assert not (tmp_path / "exam.csv").exists()


def test_two_models_are_compared(model, tmp_path):
    other = str(save(llama(seed=5, max_position_embeddings=1024), tmp_path / "other"))
    _, told = asked(
        tmp_path / "run", model, exam=None, descriptions=None,
        models={"base": "base", "other": {"model": other, "dtype": "float32"}},
    )  # fmt: skip
    (one,) = [e for e in told["bandit"]["effects"] if not e["model"]]
    assert (one["after"], one["before"], one["measure"]) == ("other", "base", "reward")
    assert any(line.startswith("bandit: base, reward, 7-year-old") for line in told["told"])


def test_rows_of_ones_own(model, tmp_path):
    questions = [
        Sample(id=str(k), input="?", target=0, choices=("a", "b"),
               metadata={"subject": ["virology", "philosophy"][k % 2]})
        for k in range(4)
    ]  # fmt: skip
    write_rows(tmp_path / "q.jsonl", questions)
    write_rows(tmp_path / "t.jsonl", [Document(id=str(k), text=f"thing{k}") for k in range(4)])
    work = work_in(
        tmp_path / "run", model, q={"rows": str(tmp_path / "q.jsonl")},
        t={"rows": str(tmp_path / "t.jsonl")},
    )  # fmt: skip
    whole = {
        **SMALL, "bandit": None, "exam": {"rows": "q"},
        "descriptions": {"rows": "t", "max_tokens": 6},
    }  # fmt: skip
    outputs = run_personas(PersonasSettings.model_validate(whole), work)
    told = json.loads((work.folder / "personas.json").read_text())
    assert told["exam"]["tasks"] == {"virology": "other", "philosophy": "humanities"}
    assert (
        "exam: no domain has two tasks, so no other expert of a domain sits it" in outputs["notes"]
    )
    assert told["descriptions"]["groups"] == ["things"]


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bandit": None, "exam": None, "descriptions": None}, "nothing is asked"),
        ({"wording": "Be someone."}, r"a wording must have \{persona\} in it, once"),
        ({"place": "system"}, "plain text has no system turn"),
        ({"bandit": {"people": []}}, "no persona is given"),
        ({"bandit": {"people": ["agse"]}}, "did you mean 'ages'"),
        ({"exam": {"people": ["none"]}}, "the persona 'none' stands twice"),
        ({"descriptions": {"people": ["nonsens"]}}, "did you mean 'nonsense'"),
        ({"models": {}}, "models"),
        ({"bandit": {"games": 0}}, r"bandit\.games"),
        ({"bandit": {"trials": 1}}, r"bandit\.trials"),
        ({"bandit": {"gmaes": 3}}, "gmaes"),
        ({"bandit": {"players": ["thomson"]}}, r"bandit\.players"),
        ({"alpha": 1.5}, "alpha"),
        ({"resamples": 5}, "resamples"),
        ({"reads": "loud"}, "reads"),
    ],
)
def test_a_recipe_with_a_fault_is_refused_before_it_runs(settings, message):
    step = {"name": "p", "use": "evaluate.personas", **settings}
    recipe = {"name": "r", "model": "m", "steps": [step]}
    with pytest.raises((UsageError, RecipeError), match=message):
        parse_recipe(json.dumps(recipe), STEPS)


def test_faults_in_rows_show_before_a_model_is_opened(tmp_path):
    write_rows(tmp_path / "t.jsonl", [Document(id="a", text="owl")])
    work = work_in(tmp_path / "run", "no-such-model", t={"rows": str(tmp_path / "t.jsonl")})
    settings = {**SMALL, "descriptions": {"rows": "t"}}
    with pytest.raises(DataError, match="too few things to be told from each other"):
        run_personas(PersonasSettings.model_validate(settings), work)


def test_choices_are_written_where_a_model_is_an_endpoint(tmp_path):
    work = work_in(tmp_path, "openai:http://localhost:1#m")
    settings = PersonasSettings.model_validate({**SMALL, "exam": None, "descriptions": None})
    assert reads_of("auto", settings.models, work) == "text"
    assert reads_of("likelihood", settings.models, work) == "likelihood"
    assert reads_of("auto", settings.models, work_in(tmp_path, "m")) == "likelihood"
    probes = probes_of(settings, work, [])
    assert probes.bandit is not None
    assert probes.bandit.reads == "text"


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def call(monkeypatch, capsys):
    def togi(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["togi", *words])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return togi


@pytest.fixture
def ran(monkeypatch) -> list[dict[str, Any]]:
    """Catch the recipe that the command would run."""
    caught: list[dict[str, Any]] = []

    def catch(recipe: Any, flags: RunFlags) -> int:
        caught.append(recipe.as_dict())
        return 0

    monkeypatch.setattr(command, "run_in_folder", catch)
    return caught


def test_the_command_makes_a_recipe(call, ran, tmp_path):
    adapter = tmp_path / "steps" / "sft-0123456789ab" / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    code, _, err = call(
        "evaluate", "personas", "--judge", "base", "--judge", str(adapter), "--exam", "q.jsonl",
        "--things", "t.jsonl", "--out", str(tmp_path / "run"), "bandit.games=9", "exam.limit=4",
        "descriptions.group=kind",
    )  # fmt: skip
    assert (code, err) == (0, "")
    (step,) = [one for one in ran[0]["steps"] if one["use"] == "evaluate.personas"]
    assert list(step["models"]) == ["base", "sft"]
    assert step["bandit"]["games"] == 9
    assert (step["exam"]["rows"], step["exam"]["limit"]) == ("questions", 4)
    assert (step["descriptions"]["rows"], step["descriptions"]["group"]) == ("things", "kind")


def test_the_command_runs_whole_and_makes_its_page(call, model, tmp_path):
    words = ["evaluate", "personas", "--model", model, "--out", str(tmp_path / "run"), "--offline"]
    small = ["bandit.games=3", "bandit.trials=2", "bandit.player_games=20", "resamples=100",
             "exam=null", "descriptions=null"]  # fmt: skip
    code, out, err = call(*words, *small)
    assert (code, err) == (0, "")
    assert "not detected" in out or "no difference" in out
    assert 'id="personas"' in (tmp_path / "run" / "report.html").read_text()
    code, out, _ = call(*words, *small)
    assert "done before, nothing changed" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bandit.people=[agse]"], "did you mean 'ages'"),
        (["wording=hello"], "a wording must have {persona} in it, once"),
        (["bandit=null", "exam=null", "descriptions=null"], "nothing is asked"),
        (["bandit.gmaes=3"], "gmaes"),
    ],
)
def test_wrong_words_are_told_without_a_trace(call, model, tmp_path, words, message):
    code, out, err = call(
        "evaluate", "personas", "--model", model, "--out", str(tmp_path / "run"), *words
    )
    assert code == 2
    assert message in (out + err)
    assert "Traceback" not in out + err


def test_the_recipe_can_be_written_in_yaml(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: r\nmodel: m\nsteps:\n  - name: p\n    use: evaluate.personas\n"
        "    bandit: {people: [none, {text: nurse, kind: gender}, {text: toddler, age: 2}]}\n"
    )
    recipe = load_recipe(path, STEPS, [])
    assert recipe.steps[0].use == "evaluate.personas"
