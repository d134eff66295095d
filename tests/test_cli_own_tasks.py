"""A user's own tasks: a YAML file or one function, tried on a few rows, judged, and bad input."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import saved_toys

from togi.cli import main
from togi.commands.judging import Asked
from togi.commands.own_tasks import asked_of, read_task
from togi.errors import RecipeError, UsageError

OWN = Path(__file__).parent / "evaluate" / "own_score.py"
ROWS = [{"prompt": f"the number of users is {i}", "response": f"{i * i}"} for i in range(8)]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def togi(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["togi", *words])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return togi


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    shutil.copy(OWN, folder / "score.py")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return str(saved_toys.save(saved_toys.llama(), folder))


def written(place: Path, text: str) -> str:
    path = place / "squares.yaml"
    path.write_text(text)
    return str(path)


EXACT = "rows: rows.jsonl\nkind: exact_match\nparse: number\nsampling: {max_tokens: 4}\n"


# --- what is understood -------------------------------------------------------------------------


def test_a_file_names_itself_and_finds_its_rows_beside_it(place: Path):
    asked = asked_of(written(place, EXACT))
    assert asked.sources == {"rows": f"{place}/rows.jsonl"}
    assert asked.task() == {
        "name": "squares", "kind": "exact_match", "parse": "number",
        "sampling": {"max_tokens": 4}, "rows": "rows",
    }  # fmt: skip


def test_flags_go_before_the_file(place: Path):
    path = written(place, EXACT + "limit: 7\ncluster: topic\nname: own\n")
    task = asked_of(path, rows="other.jsonl", limit=3).task()
    assert (task["name"], task["limit"], task["cluster"]) == ("own", 3, "topic")
    assert asked_of(path, rows="other.jsonl").rows == "other.jsonl"


def test_a_guard_needs_no_rows(place: Path):
    asked = asked_of(written(place, "guard: choices\n"))
    assert (asked.sources, asked.task()) == ({}, {"name": "squares", "guard": "choices"})


def test_a_function_is_a_task_a_kind_and_a_key(place: Path):
    spec = f"{place}/score.py:overlap"
    direct = asked_of(spec, rows="rows.jsonl")
    assert direct == asked_of("rows.jsonl", spec)
    assert direct.task() == {
        "name": "rows", "function": spec, "kind": "function", "rows": "rows"
    }  # fmt: skip
    inside = read_task(
        Path(written(place, "rows: rows.jsonl\nkind: function\nfunction: score.py:overlap\n"))
    )
    assert inside["function"] == spec


def test_rows_and_a_kind_are_what_they_were():
    assert asked_of("rows.jsonl", "bits_per_byte") == Asked(rows="rows.jsonl", kind="bits_per_byte")


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kinf: exact_match\n", "line 1, step 'squares': unknown key 'kinf'.*did you mean 'kind'"),
        ("rows: r\nkind: exact\n", "line 2, step 'squares': 'kind' does not fit"),
        ("rows: r\nkind: exact_match\nsampling: {n: 0}\n", "line 3.*'sampling.n' does not fit"),
        ("rows: r\n", "missing key 'kind'"),
        ("rows: [1]\nkind: exact_match\n", "line 1: 'rows' names a file or another source"),
        ("rows: r\nguard: choices\n", "give either 'rows' or 'guard'"),
        ("- 1\n", "a task is a mapping. Found: a list"),
        ("rows: 'a\n", "not YAML"),
        ("", "a task is a mapping. Found: nothing"),
    ],
)
def test_a_file_that_makes_no_sense_is_told_with_its_line(place: Path, text: str, words: str):
    with pytest.raises(RecipeError, match=words):
        asked_of(written(place, text))


def test_what_lacks_or_stands_twice_is_told(place: Path, call: Any):
    for given, words in [
        (("nothing.yaml",), "nothing.yaml: no such file"),
        (("mine.py:score",), "a function needs rows to score. Next: give --rows"),
        (("rows.jsonl",), "how an answer is scored is not said"),
        (("",), "no task is named"),
        ((written(place, EXACT), "exact_match"), "the task's file says its kind itself"),
        ((written(place, "kind: exact_match\n"),), "the task has no rows"),
    ]:
        with pytest.raises(UsageError, match=words):
            asked_of(*given)
    code, _, err = call("evaluate", "--limit", "3")
    assert code == 2
    assert "no task is named" in err
    assert "Traceback" not in err


def test_faults_in_the_settings_are_told_before_a_model_is_opened(place: Path, call: Any):
    for text, words in [
        (EXACT.replace("number", "nubmer"), "did you mean 'number'"),
        (EXACT + "render: letters\n", "'render' means nothing to exact_match"),
        ("rows: rows.jsonl\nkind: code\n", "has no 'test'"),
        ("rows: rows.jsonl\nkind: function\nfunction: none.py:f\n", "no such file"),
        ("rows: rows.jsonl\nkind: choice_by_generation\n", "0 choices; 2 to 26 are needed"),
    ]:
        code, out, err = call("evaluate", "--try", written(place, text), "--model", "no/model")
        assert code in (2, 4), err
        assert words in err
        assert out == ""


# --- whole --------------------------------------------------------------------------------------


def test_a_task_s_file_is_tried_on_five_rows(place: Path, model: str, call: Any):
    code, out, err = call("evaluate", "--try", written(place, EXACT), "--model", model)
    assert (code, err) == (0, "")
    assert out.count("asked:") == 5
    assert "expected: 0" in out
    assert out.count("read:     ") == 5
    assert "squares exact: " in out
    assert "squares similarity: " in out
    assert not (Path("runs") / "try").exists()


def test_a_function_is_tried_on_rows(place: Path, model: str, call: Any):
    spec, rows = f"{place}/score.py:short", str(place / "rows.jsonl")
    code, out, _ = call("evaluate", "--try", spec, "--rows", rows, "--limit", "2", "--model", model)
    assert code == 0
    assert out.count("measured: score ") == 2
    broken = f"{place}/score.py:broken"
    code, _, err = call("evaluate", "--try", broken, "--rows", rows, "--model", model)
    assert code == 4
    assert "score.py:broken, row " in err
    assert "the function failed" in err


def test_a_task_s_file_is_judged_whole(place: Path, model: str, call: Any, tmp_path: Path):
    out = tmp_path / "run"
    task = written(place, EXACT)
    code, said, _ = call("evaluate", "judge", task, "--model", model, "--out", str(out), "-q")
    assert code == 0
    assert "squares exact: " in said
    (scores,) = out.glob("steps/judge-*/scores.json")
    found = json.loads(scores.read_text())
    assert found["tasks"]["squares"]["n"] == 8
    assert found["tasks"]["squares"]["card"]["asked"]["parse"] == "number"
    assert found["mirage"]["measures"][0]["partner"] == "similarity"


def test_a_recipe_judges_all_kinds_of_answers_over_a_series(place: Path, tmp_path: Path):
    """Three models in order; the sandbox, the parsers and the function through one recipe step."""
    from togi.evaluate.steps import JudgeSettings, run_judge
    from togi.step import Work

    models = {
        f"m{seed}": {
            "model": str(saved_toys.save(saved_toys.llama(seed=seed), tmp_path / f"m{seed}")),
            "dtype": "float32",
        }
        for seed in range(3)
    }
    asked = [
        {"name": "exact", "kind": "exact_match", "likelihood": True},
        {"name": "own", "kind": "function", "function": f"{place}/score.py:short"},
    ]
    tasks = [{**one, "rows": "data", "sampling": {"max_tokens": 3}} for one in asked]
    (tmp_path / "step").mkdir()
    work = Work(
        folder=tmp_path / "step", seed=0, name="judge", model="", say=lambda _: None, offline=True,
        inputs={"data": {"rows": str(place / "rows.jsonl")}},
    )  # fmt: skip
    settings = {"models": models, "tasks": tasks, "series": list(models)}
    run_judge(JudgeSettings.model_validate(settings), work)
    found = json.loads((work.folder / "scores.json").read_text())
    assert found["series"] == list(models)
    (series,) = found["mirage"]["series"]
    assert (series["task"], series["measure"], series["partner"]) == (
        "exact", "exact", "token_probability",
    )  # fmt: skip
    assert found["scores"]["m0"]["own"]["score"]["n"] == 8
