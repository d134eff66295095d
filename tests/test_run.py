"""Runs: content-addressed steps, continuing, faults that lose nothing, locks, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import run_toys

from togi.errors import DataError, RecipeError, Stopped, SurroundingsError, TogiError, UsageError
from togi.recipe import Recipe, StepKind, load_recipe
from togi.run import STEPS, Outcome, run
from togi.run_folder import locked, plain, write_json
from togi.run_plan import path_digest, plan
from togi.run_step import placed
from togi.voice import Voice

TOY = """
seed: 1
steps:
  - {name: pool, use: toy.make}
  - {name: other, use: toy.make, n: 5}
  - {name: total, use: toy.sum, rows: pool}
  - {name: verdict, use: evaluate.verdict, total: total}
"""


@pytest.fixture(autouse=True)
def _fresh():
    run_toys.CALLS.clear()


def recipe_of(tmp_path: Path, text: str = TOY, *overrides: str) -> Recipe:
    path = tmp_path / "toy.yaml"
    path.write_text(text)
    return load_recipe(path, run_toys.KINDS, overrides)


def go(tmp_path: Path, *overrides: str, text: str = TOY, **options: Any) -> Outcome:
    options.setdefault("voice", Voice("quiet", StringIO()))
    recipe = recipe_of(tmp_path, text, *overrides)
    return run(recipe, tmp_path / "run", kinds=run_toys.KINDS, **options)


def record(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "run" / "run.json").read_text())


def steps(tmp_path: Path) -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in record(tmp_path)["steps"]}


def test_a_run_leaves_its_files_and_its_verdict(tmp_path: Path):
    outcome = go(tmp_path)
    assert outcome.passed
    whole = record(tmp_path)
    assert whole["status"] == "done"
    assert whole["verdict"]["decision"] == "accept"
    assert whole["recipe"]["steps"][0] == {
        "name": "pool", "use": "toy.make", "n": 3, "source": "", "limit": None,
    }  # fmt: skip
    assert whole["recipe_text"] == TOY
    assert {"torch", "python", "togi"} <= set(whole["versions"])
    total = steps(tmp_path)["total"]
    assert total["outputs"] == {"total": 4, "nothing": None}  # 0 + 1 + 2 and the seed
    assert total["notes"] == ["summed"]
    mark = json.loads((tmp_path / "run" / total["folder"] / "step.json").read_text())
    assert mark["inputs"]["pool"]["rows"].endswith("rows.jsonl")
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_verdict_other_than_accept_is_not_passed(tmp_path: Path):
    assert not go(tmp_path, "steps.verdict.least=99").passed


def test_running_again_does_nothing_again(tmp_path: Path):
    go(tmp_path)
    before = record(tmp_path)
    run_toys.CALLS.clear()
    go(tmp_path)
    assert run_toys.CALLS == []
    assert record(tmp_path)["steps"] == before["steps"]


@pytest.mark.parametrize(
    ("override", "redone"),
    [
        ("steps.pool.n=4", ["pool", "total", "verdict"]),
        ("steps.other.n=6", ["other"]),
        ("steps.verdict.least=1", ["verdict"]),
        ("model=another", ["total", "verdict"]),
        ("seed=2", ["pool", "other", "total", "verdict"]),
    ],
)
def test_only_what_changed_is_redone(tmp_path: Path, override: str, redone: list[str]):
    go(tmp_path)
    run_toys.CALLS.clear()
    go(tmp_path, override)
    assert tuple(run_toys.CALLS) == tuple(redone)
    run_toys.CALLS.clear()
    go(tmp_path)  # going back is free
    assert run_toys.CALLS == []


def test_a_source_file_counts_by_its_content(tmp_path: Path):
    source = tmp_path / "numbers.txt"
    source.write_text("1 2")
    go(tmp_path, f"steps.pool.source={source}")
    run_toys.CALLS.clear()
    os.utime(source, (1, 1))
    go(tmp_path, f"steps.pool.source={source}")
    assert run_toys.CALLS == []
    source.write_text("1 3")
    go(tmp_path, f"steps.pool.source={source}")
    assert run_toys.CALLS == ["pool", "total", "verdict"]


def test_a_kind_of_a_new_version_is_redone(tmp_path: Path):
    go(tmp_path)
    old = run_toys.KINDS["toy.sum"]
    kinds = {**run_toys.KINDS, "toy.sum": old._replace(version=old.version + 1)}
    changed = {
        item.step.name: item.why for item in plan(recipe_of(tmp_path), tmp_path / "run", kinds)
    }
    assert changed == {
        "pool": "nothing changed",
        "other": "nothing changed",
        "total": "changed since it was last run",
        "verdict": "changed since it was last run",
    }


def test_a_lost_output_and_a_broken_mark_are_made_again(tmp_path: Path):
    go(tmp_path)
    run_toys.CALLS.clear()
    (tmp_path / "run" / steps(tmp_path)["pool"]["folder"] / "rows.jsonl").unlink()
    (tmp_path / "run" / steps(tmp_path)["other"]["folder"] / "step.json").write_text("{")
    go(tmp_path)
    assert run_toys.CALLS == ["pool", "other"]


def test_force_redoes_a_step_and_what_depends_on_it(tmp_path: Path):
    go(tmp_path)
    run_toys.CALLS.clear()
    go(tmp_path, force=["total"])
    assert run_toys.CALLS == ["total", "verdict"]
    with pytest.raises(UsageError, match="did you mean 'total'"):
        go(tmp_path, force=["totl"])


@pytest.mark.parametrize(
    ("fault", "error", "words", "status"),
    [
        ("data", DataError, ["step 'total', rows.jsonl line 2: no good row"], "failed"),
        ("disk", SurroundingsError, ["step 'total', x.bin: No space left", "make room"], "failed"),
        ("memory", SurroundingsError, ["step 'total': out of memory", "micro_tokens"], "failed"),
        ("stop", Stopped, ["step 'total': stopped", "same command again"], "stopped"),
        ("ours", KeyError, ["a mistake of ours"], "failed"),
    ],
)
def test_a_fault_keeps_the_rest_and_is_told(
    tmp_path: Path, fault: str, error: type[BaseException], words: list[str], status: str
):
    with pytest.raises(error) as caught:
        go(tmp_path, f"steps.total.fault={fault}")
    for word in words:
        assert word in str(caught.value)
    if isinstance(caught.value, TogiError):
        assert caught.value.code == {"data": 4, "disk": 5, "memory": 5, "stop": 130}[fault]
    assert record(tmp_path)["status"] == status
    assert [step["status"] for step in steps(tmp_path).values()] == [
        "done",
        "done",
        status,
        "waiting",
    ]
    run_toys.CALLS.clear()
    with pytest.raises(error):
        go(tmp_path, f"steps.total.fault={fault}")
    assert run_toys.CALLS == ["total"]  # the steps before it are kept


def test_two_runs_in_one_folder_refuse(tmp_path: Path):
    with locked(tmp_path / "run"), pytest.raises(UsageError, match=f"process {os.getpid()}"):
        go(tmp_path)
    assert go(tmp_path).passed


def test_json_lines_and_quiet(tmp_path: Path):
    out = StringIO()
    go(tmp_path, voice=Voice("json", out))
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [event["event"] for event in events if event.get("step") == "total"] == ["begin", "end"]
    assert events[-1]["event"] == "done"
    assert events[-1]["verdict"] == "accept"
    quiet = StringIO()
    go(tmp_path, voice=Voice("quiet", quiet))
    assert "report.html" in quiet.getvalue()
    assert "pool" not in quiet.getvalue()


SLOW = """
steps:
  - {name: pool, use: toy.make}
  - {name: slow, use: toy.slow, rows: pool, seconds: 0.2, steps: 8}
"""


def started(tmp_path: Path) -> subprocess.Popen[str]:
    (tmp_path / "slow.yaml").write_text(SLOW)
    here = str(Path(__file__).parent)
    return subprocess.Popen(
        [sys.executable, f"{here}/run_toys.py", str(tmp_path / "slow.yaml"), str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": here},
    )


def wait_for_count(tmp_path: Path, least: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = list((tmp_path / "run").glob("steps/slow-*/count.txt"))
        if found and len(found[0].read_text().split()) >= least:
            return
        time.sleep(0.02)
    raise AssertionError("the step never began")


@pytest.mark.parametrize(
    ("number", "code", "status"),
    [
        (signal.SIGINT, 130, "stopped"),
        (signal.SIGTERM, 130, "stopped"),
        (signal.SIGKILL, -9, "running"),
    ],
)
def test_an_interrupted_step_goes_on_in_its_folder(
    tmp_path: Path, number: int, code: int, status: str
):
    first = started(tmp_path)
    wait_for_count(tmp_path, 2)
    first.send_signal(number)
    _, told = first.communicate(timeout=60)
    assert first.returncode == code, told
    assert record(tmp_path)["status"] == status
    if code == 130:
        assert "run the same command again to continue" in told
    second = started(tmp_path)
    said, told = second.communicate(timeout=60)
    assert second.returncode == 0, told
    assert "slow (toy.slow): was interrupted, continues" in said
    counted = next((tmp_path / "run").glob("steps/slow-*/count.txt")).read_text().split()
    assert counted == [str(n) for n in range(8)]  # each step once, none lost, none twice
    assert record(tmp_path)["status"] == "done"


def test_a_run_json_is_whole_or_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "run.json"
    write_json(path, {"a": 1})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}


def test_values_are_made_plain():
    assert plain({1: (float("inf"), Path("a"), True)}) == {"1": [None, "a", True]}


def test_a_folder_is_digested_by_its_files(tmp_path: Path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    first = path_digest(folder)
    (folder / ".hidden").write_text("x")
    assert path_digest(folder) == first
    (folder / "a.txt").rename(folder / "b.txt")
    assert path_digest(folder) != first


def test_places_are_said_once():
    assert placed("step 'a'", "step 'a', key b") == "step 'a', key b"
    assert placed("step 'a'", "") == "step 'a'"


def test_every_kind_can_be_imported_and_has_its_parts():
    from togi.recipe_refs import refs
    from togi.run_step import run_function

    for use, kind in STEPS.items():
        assert isinstance(kind, StepKind)
        assert kind.settings_class().model_json_schema()["properties"], use
        assert callable(run_function(kind)), use
        assert callable(refs)


def test_an_unknown_step_of_the_real_kinds_is_refused(tmp_path: Path):
    (tmp_path / "r.yaml").write_text("steps: [{name: a, use: align.stf}]")
    with pytest.raises(RecipeError, match=r"did you mean 'align\.sft'"):
        load_recipe(tmp_path / "r.yaml", STEPS)
