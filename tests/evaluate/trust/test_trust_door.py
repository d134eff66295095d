"""`togi evaluate trust`: what it asks of a recipe, whole on a tiny model, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import saved_toys

from togi.cli import main
from togi.commands import trust
from togi.commands.runs import RunFlags


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def togi(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["togi", "evaluate", "trust", *words])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return togi


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("models")
    one, two = (
        saved_toys.save(saved_toys.llama(seed=seed, max_position_embeddings=2048), folder / name)
        for seed, name in enumerate(("one", "two"))
    )
    return str(one), str(two)


def test_flags_become_settings(
    call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):  # fmt: skip
    caught: list[dict[str, Any]] = []

    def catch(recipe: Any, flags: RunFlags) -> int:
        caught.append(recipe.as_dict())
        return 0

    monkeypatch.setattr(trust, "run_in_folder", catch)
    code, _, err = call(
        "--full", str(tmp_path), "--sides", "privacy,fairness", "--sides", "toxicity",
        "--system", "adversarial", "--limit", "7", "--after", "own/model",
        "--model", "openai:http://localhost:1/v1#big", "--seed", "3", "draws=4", "turns=user",
    )  # fmt: skip
    assert (code, err) == (0, "")
    step = caught[0]["steps"][-1]
    assert step["use"] == "evaluate.trust"
    assert step["sides"] == ["privacy", "fairness", "toxicity"]
    assert step["conditions"] == ["adversarial"]
    assert (step["data"], step["limit"], step["draws"], step["turns"]) == (
        str(tmp_path), 7, 4, "user",
    )  # fmt: skip
    assert step["models"]["base"]["model"] == "openai:http://localhost:1/v1#big"
    assert step["models"]["model"]["model"] == "own/model"
    assert caught[0]["seed"] == 3


def test_whole_on_two_tiny_models(call: Any, models: tuple[str, str], tmp_path: Path):
    words = ("--mini", "--sides", "stereotype,fairness", "--limit", "3", "--offline", "draws=2",
             "max_tokens=4", "--model", models[0], "--after", models[1],
             "--out", str(tmp_path / "run"))  # fmt: skip
    code, out, err = call(*words)
    assert code == 0, err
    lines = out.splitlines()
    assert any(line.startswith("base  Stereotype bias: ") for line in lines)
    assert any(line.startswith("two − base  Fairness: ") for line in lines)
    assert "not readable" in out
    assert "Somebody says" not in out + err  # no prompt and no answer on the screen
    folder = next((tmp_path / "run" / "steps").glob("trust-*"))
    told = json.loads((folder / "scores.json").read_text())
    assert told["models"] == ["base", "two"]
    assert told["comparisons"] == [["two", "base"]]
    page = (tmp_path / "run" / "report.html").read_text()
    assert '<section id="trust" class="first">' in page
    before = (folder / "samples.jsonl").read_bytes()
    code, _, err = call(*words)  # all is there already
    assert code == 0
    assert (folder / "samples.jsonl").read_bytes() == before


def test_scores_as_json_lines(call: Any, models: tuple[str, str], tmp_path: Path):
    code, out, err = call(
        "--mini", "--sides", "stereotype", "--limit", "2", "--offline", "draws=1", "max_tokens=2",
        "--model", models[0], "--out", str(tmp_path / "run"), "--json",
    )  # fmt: skip
    assert code == 0, err
    events = [json.loads(line) for line in out.splitlines()]
    found = next(e for e in events if e.get("side") == "stereotype")
    assert found["score"]["n"] == 2
    assert {"refused", "unparsed"} <= set(found)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "say whether the mini suite or the published data are asked"),
        (("--mini", "--full", "hub"), "give either --mini or --full"),
        (("--mini", "--system", "evil"), "no system prompts are called 'evil'"),
        (("--mini", "--sides", "privcy"), "'privcy'"),
        (("--full", "/no/such/folder"), "no such folder of published data"),
        (("--mini", "scorer=loud"), "no scorer of toxicity is called 'loud'"),
        (("--mini", "draws=0"), "draws"),
        (("--mini", "turns=side"), "turns"),
    ],
)
def test_wrong_input_is_said_in_one_line(call: Any, tmp_path: Path, words: Any, says: str):
    code, _, err = call(*words, "--offline", "--out", str(tmp_path / "run"))
    assert code == 2
    assert says in err
    assert "Traceback" not in err


def test_the_hub_cannot_be_asked_offline(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    code, _, err = call("--full", "hub", "--offline", "--out", str(tmp_path / "run"))
    assert code != 0
    assert "hub:AI-Secure/DecodingTrust" in err
    assert "clone the repository" in err
