"""The command line: every help page, quick start-up, exit codes, one message for each mistake."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from run_toys import KINDS

from togi import __version__
from togi.cli import app, main
from togi.commands import judging, single
from togi.commands.chat import Chat, _asked
from togi.commands.entry import guarded
from togi.commands.runs import OneOff, RunFlags
from togi.errors import DataError, GateNotPassed, RecipeError, SurroundingsError, UsageError
from togi.lm.base import Generated, Sampling
from togi.run import Outcome

HEAVY = {"torch", "transformers", "numpy", "pydantic", "rich", "yaml", "pyarrow", "matplotlib"}


def togi(
    *words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """Run the program in this process: exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["togi", *words])
    with pytest.raises(SystemExit) as left:
        main()
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *words: togi(*words, monkeypatch=monkeypatch, capsys=capsys)


def pages(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from pages(child, (*path, name))


PAGES = list(pages(typer.main.get_command(app)))


def test_the_tree_of_commands_is_the_designs():
    top = {path[0] for path in PAGES if path}
    assert top == {
        "run", "data", "align", "evaluate", "gallery", "recipes", "report", "fetch", "doctor",
        "chat",
    }  # fmt: skip


@pytest.mark.parametrize("path", PAGES, ids=" ".join)
def test_every_help_page_renders(path: tuple[str, ...], call: Any):
    code, out, err = call(*path, "--help")
    assert code == 0
    assert err == ""
    assert f"Usage: {' '.join(['togi', *path])}" in out
    assert all(len(line) <= 100 for line in out.splitlines())


def test_a_steps_help_is_its_settings_help(call: Any):
    _, out, _ = call("align", "sft", "--help")
    assert "lr (number or null)" in out
    assert "Rows in one update. [8]" in out


def test_help_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['togi', '--help']\n"
        "from togi.cli import main\n"
        "try: main()\n"
        f"except SystemExit: print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    best = float("inf")
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.stderr.strip() == "[]"
    # The processor's time, as a test machine may be busy with other things; budget 0.2 s.
    assert best < 0.2


def test_version(call: Any):
    assert call("--version") == (0, f"togi {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["rnu"], 2, "No such command 'rnu'"),
        (["run"], 2, "Missing argument"),
        (["run", "quikstart"], 2, "did you mean 'quickstart'?"),
        (["run", "quickstart", "steps.sft-dsir.lrr=1"], 2, "did you mean 'lr'?"),
        (["run", "quickstart", "--json", "--quiet"], 2, "give either --json or --quiet"),
        (["data", "read", "none.jsonl"], 4, "none.jsonl"),
        (["align", "sft", "none.jsonl", "lr"], 2, "not of the form key=value"),
        (["align", "sft", "none.jsonl", "lrr=1"], 2, "override 'steps.sft.lrr=1'"),
        (["evaluate", "compare", "a", "--kind", "exact_match", "--after", "b", "--guard", "x"], 2,
         "NAME=MARGIN"),
        (["recipes", "show", "none"], 2, "own-data, quickstart"),
        (["report", "none"], 4, "no run to report on"),
        (["chat", "no-such-model", "--once", "x", "--offline"], 2, "no-such-model"),
    ],
)  # fmt: skip
def test_a_users_mistake_is_one_message_and_a_code(
    words: list[str], code: int, told: str, call: Any, tmp_path: Path, monkeypatch: Any
):
    monkeypatch.chdir(tmp_path)
    found, _, err = call(*words)
    assert told in err
    assert found == code
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (RecipeError("x"), 2),
        (GateNotPassed("x"), 3),
        (DataError("x"), 4),
        (SurroundingsError("x"), 5),
        (KeyboardInterrupt(), 130),
        (KeyError("ours"), 1),
    ],
)
def test_every_error_has_its_exit_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
):
    def work() -> None:
        raise error

    for debug in (False, True):
        with pytest.raises(SystemExit) as left:
            guarded(work, debug=debug)
        assert left.value.code == code
        err = capsys.readouterr().err
        assert ("Traceback" in err) == (debug and not isinstance(error, KeyboardInterrupt))
        assert err.splitlines()[-1].startswith("togi: ")
        assert ("--debug" in err) == (code == 1 and not debug)


def test_debug_may_stand_anywhere(call: Any):
    code, _, err = call("recipes", "show", "none", "--debug")
    assert code == 2
    assert "Traceback" in err


def test_recipes_are_listed_shown_copied_and_described(call: Any, tmp_path: Path):
    _, listed, _ = call("recipes", "list")
    assert [line.split()[0] for line in listed.splitlines()] == [
        "lima", "own-data", "quickstart", "raters",
    ]  # fmt: skip
    _, shown, _ = call("recipes", "show", "quickstart")
    target = tmp_path / "mine.yaml"
    assert call("recipes", "copy", "quickstart", str(target))[1].strip() == str(target)
    assert target.read_text() == shown
    code, _, err = call("recipes", "copy", "quickstart", str(target))
    assert (code, "is there already" in err) == (2, True)
    _, schema, _ = call("recipes", "schema")
    titles = [one["title"] for one in json.loads(schema)["properties"]["steps"]["items"]["oneOf"]]
    assert "align.dpo" in titles


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Catch the recipes that commands would run, instead of running them."""
    caught: list[dict[str, Any]] = []

    def catch(recipe: Any, flags: RunFlags) -> int:
        caught.append(recipe.as_dict())
        return 3

    for module in (single, judging):
        monkeypatch.setattr(module, "run_in_folder", catch)
    return caught


def test_a_command_of_one_step_is_a_recipe(call: Any, ran: list[dict[str, Any]]):
    code, _, _ = call("align", "dpo", "pairs.jsonl", "lr=1e-4", "lora.rank=2", "--seed", "7")
    assert code == 3
    rows, dpo, changes = ran[0]["steps"]
    assert (changes["use"], list(changes["models"])) == ("evaluate.changes", ["base", "dpo"])
    assert (ran[0]["name"], ran[0]["seed"], ran[0]["model"]) == ("dpo", 7, "smollm2-135m")
    assert rows["source"] == "pairs.jsonl"
    assert (dpo["rows"], dpo["lr"], dpo["lora"]["rank"]) == ("rows", 1e-4, 2)


def test_raters_take_a_table_and_settings(call: Any, ran: list[dict[str, Any]]):
    call(
        "evaluate", "raters", "t.csv", "columns.label=verdict", "cross=[[sex, age]]", "--seed", "2"
    )
    (step,) = ran[0]["steps"]
    assert (step["use"], step["source"]) == ("evaluate.raters", "t.csv")
    assert (step["columns"], step["cross"]) == ({"label": "verdict"}, [["sex", "age"]])
    code, _, err = call("evaluate", "raters", "t.csv", "permutation=5")
    assert (code, "did you mean 'permutations'" in err) == (2, True)


def test_dsir_takes_two_sources(call: Any, ran: list[dict[str, Any]]):
    call("data", "dsir", "raw.jsonl", "target.jsonl", "k=5")
    assert [step.get("source") for step in ran[0]["steps"]] == ["raw.jsonl", "target.jsonl", None]
    assert ran[0]["steps"][2]["k"] == 5


def test_compare_ends_in_a_verdict(call: Any, ran: list[dict[str, Any]], tmp_path: Path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    call(
        "evaluate", "compare", "rows.jsonl", "--kind", "bits_per_byte", "--after", str(adapter),
        "--guard", "choices=0.1", "--cluster", "module",
    )  # fmt: skip
    steps = {step["name"]: step for step in ran[0]["steps"]}
    assert steps["adapter-1"]["source"] == str(adapter)
    assert steps["judge"]["models"]["after"]["adapter"] == "adapter-1"
    assert steps["judge"]["models"]["before"]["adapter"] is None
    assert steps["judge"]["tasks"][0]["cluster"] == "module"
    assert steps["verdict"]["guards"] == {"choices": 0.1}


def test_judge_names_models_shortly(call: Any, ran: list[dict[str, Any]]):
    call(
        "evaluate", "judge", "rows.jsonl", "--kind", "exact_match",
        "--judge", "openai:http://localhost:1/v1#small", "--judge", "base",
    )  # fmt: skip
    assert list(ran[0]["steps"][-1]["models"]) == ["small", "base"]
    code, _, err = call(
        "evaluate", "judge", "r", "--kind", "exact_match", "--judge", "a/x", "--judge", "b/x"
    )
    assert (code, "same name" in err) == (2, True)


def test_a_gate_that_is_not_passed_is_exit_code_3(
    call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    from togi.commands import runs

    recipe = tmp_path / "toy.yaml"
    recipe.write_text(
        "steps:\n- {name: pool, use: toy.make}\n- {name: total, use: toy.sum, rows: pool}\n"
        "- {name: verdict, use: evaluate.verdict, total: total}\n"
    )
    monkeypatch.setattr(runs, "STEPS", KINDS)
    real = runs.run
    monkeypatch.setattr(runs, "run", lambda *a, **k: real(*a, **k, kinds=KINDS))
    monkeypatch.chdir(tmp_path)
    assert call("run", "toy.yaml")[0] == 0
    code, out, _ = call("run", "toy.yaml", "steps.verdict.least=99", "--quiet")
    assert code == 3
    assert "REJECT" in out.upper()
    assert (tmp_path / "runs" / "toy" / "run.json").is_file()
    _, again, _ = call("report", "toy")
    assert "REJECT" in again.upper()


def test_data_read_says_what_it_understood(call: Any, tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "ab", "completion": "c"}\n{"prompt": "abcd", "completion": "c"}\n')
    code, out, _ = call("data", "read", str(path), "--show", "1")
    assert code == 0
    assert "rows: 2 Example" in out
    assert "characters of prompt: 2 to 4, median 2" in out
    assert out.count('"response"') == 1


class Parrot:
    name, fingerprint = "parrot", "0"

    def generate(self, prompts: Any, sampling: Sampling) -> list[list[Generated]]:
        return [[Generated(f"heard {len(prompts[0])}", (), None, "stop")]]  # type: ignore[arg-type]


def test_a_chat_remembers_its_turns():
    chat = Chat(system="be brief")
    assert chat.answer(Parrot(), "one") == "heard 2"  # type: ignore[arg-type]
    assert chat.answer(Parrot(), "two") == "heard 4"  # type: ignore[arg-type]
    assert [turn.role for turn in chat.turns] == ["user", "assistant", "user", "assistant"]


def test_a_chat_ends_with_an_empty_line_or_the_input():
    lines = iter(["a", "b", "", "c"])
    assert list(_asked(False, lambda prompt: next(lines))) == ["a", "b"]

    def ended(prompt: str) -> str:
        raise EOFError

    assert list(_asked(False, ended)) == []


def test_a_pipe_that_closes_is_no_error():
    word = f"{sys.executable} -m togi recipes schema | head -1"
    done = subprocess.run(
        word, shell=True, capture_output=True, text=True, env={**os.environ}, check=True
    )
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_one_offs_are_checked_like_recipes():
    whole = OneOff(name="x", sources={"rows": "a"}, steps=[{"name": "s", "use": "align.sft"}])
    with pytest.raises(RecipeError, match=r"command line, step 's': missing key 'rows'"):
        whole.recipe([])


def test_an_outcome_without_a_verdict_is_passed(tmp_path: Path):
    assert Outcome(folder=tmp_path, report=None, verdict=None).passed
    assert not Outcome(folder=tmp_path, report=None, verdict={"decision": "cannot tell"}).passed
