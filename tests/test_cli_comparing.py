"""`togi evaluate pairwise` and `changes`: what they ask of a recipe, and whole on a tiny model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import saved_toys

from togi.cli import main
from togi.commands import comparing
from togi.commands.runs import RunFlags


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
def ran(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Catch the recipes that commands would run, instead of running them."""
    caught: list[dict[str, Any]] = []

    def catch(recipe: Any, flags: RunFlags) -> int:
        caught.append(recipe.as_dict())
        return 0

    monkeypatch.setattr(comparing, "run_in_folder", catch)
    return caught


def adapter(folder: Path) -> str:
    """Make something that looks like an adapter's folder."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    return str(folder)


def test_pairs_are_told_over_the_base_and_adapters_become_steps(
    call: Any, ran: list[dict[str, Any]], tmp_path: Path
):
    sft = adapter(tmp_path / "steps" / "sft-0123456789ab" / "adapter")
    judge = adapter(tmp_path / "critic")
    code, _, err = call(
        "evaluate", "pairwise", "rows.jsonl", "--a", sft, "--also", "own/model", "--judge",
        "shorter", "--judge", "mine.py:kinder", "--judge", judge, "--judge", "own/judge",
        "--limit", "7", "--out", str(tmp_path / "run"), "sampling.max_tokens=9",
    )  # fmt: skip
    assert (code, err) == (0, "")
    steps = {step["name"]: step for step in ran[0]["steps"]}
    pairwise = steps["pairwise"]
    assert list(pairwise["models"]) == ["base", "sft", "model"]
    assert pairwise["models"]["sft"]["adapter"] == "adapter-1"
    assert (steps["adapter-1"]["source"], steps["adapter-2"]["source"]) == (sft, judge)
    assert list(pairwise["judges"]) == ["shorter", "kinder", "critic", "judge"]
    assert pairwise["judges"]["kinder"]["rule"] == "mine.py:kinder"
    assert pairwise["judges"]["critic"]["adapter"] == "adapter-2"
    assert pairwise["judges"]["judge"]["model"] == "own/judge"
    assert (pairwise["limit"], pairwise["sampling"]["max_tokens"]) == (7, 9)


def test_changes_take_the_base_first(call: Any, ran: list[dict[str, Any]], tmp_path: Path):
    one, two = (adapter(tmp_path / name / "adapter") for name in ("sft", "dpo"))
    call(
        "evaluate", "changes", "rows.jsonl", "--after", one, "--after", two, "--cluster", "module",
        "--out", str(tmp_path / "run"), "guards=[]",
    )  # fmt: skip
    changes = ran[0]["steps"][-1]
    assert list(changes["models"]) == ["base", "sft", "dpo"]
    assert (changes["cluster"], changes["guards"], changes["limit"]) == ("module", [], 32)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["pairwise", "r.jsonl", "--a", "own/m"], 2, "Missing option '--judge'"),
        (["pairwise", "r.jsonl", "--judge", "shorter"], 2, "Missing option '--a'"),
        (["changes", "r.jsonl"], 2, "Missing option '--after'"),
        (["pairwise", "none.jsonl", "--a", "own/m", "--judge", "shorter"], 4, "none.jsonl"),
        (["pairwise", "r.jsonl", "--a", "own/m", "--judge", "none.py:f"], 2, "there is no such"),
        (["changes", "r.jsonl", "--after", "own/m", "gaurds=[]"], 2, "did you mean 'guards'"),
    ],
)
def test_a_mistake_is_one_message(
    words: list[str], code: int, told: str, call: Any, tmp_path: Path, monkeypatch: Any
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.jsonl").write_text('{"prompt": "Say 1", "completion": "1"}\n')
    found, _, err = call("evaluate", *words)
    assert told in err
    assert found == code
    assert "Traceback" not in err


def test_both_run_whole_and_say_what_they_found(
    call: Any, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        model = saved_toys.llama(seed=seed, max_position_embeddings=512)
        saved_toys.save(model, tmp_path / f"m{seed}")
    rows = [
        {"messages": [{"role": "user", "content": f"What is {n}?"},
                      {"role": "assistant", "content": f"It is {n}."}]}
        for n in range(6)
    ]  # fmt: skip
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    capsys.readouterr()  # what saving the models said
    base = ("--model", str(tmp_path / "m0"), "--offline", "--quiet")
    other = str(tmp_path / "m1")
    code, out, err = call(
        "evaluate", "pairwise", "r.jsonl", "--a", other, "--judge", "longer", "--judge", other,
        *base, "sampling.max_tokens=6",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "longer: m1 over base  win rate 0." in out
    assert "m1: m1 over base  win rate 0." in out
    assert out.count("position bias") == 2
    code, out, err = call(
        "evaluate", "changes", "r.jsonl", "--after", other, *base,
        "max_tokens=6", "guard_limit=4",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "m1  KL from base, nats an answer: " in out
    assert "m1  responses bits_per_byte: " in out
    assert "m1  choices accuracy: " in out
    page = Path("runs/changes/report.html").read_text(encoding="utf-8")
    assert "What changed against the base" in page
