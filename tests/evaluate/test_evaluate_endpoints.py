"""Endpoints as models and as judges: written verdicts, nothing paid twice, no divergence."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from saved_toys import llama, quiet, save

sys.path.insert(0, str(Path(__file__).parents[1] / "lm"))
from lm_server import Answer, serve

from togi.errors import SurroundingsError
from togi.evaluate.steps_changes import ChangesSettings, run_changes
from togi.evaluate.steps_pairwise import PairwiseSettings, run_pairwise
from togi.rows.types import Example, Message
from togi.rows.write import write_rows
from togi.step import Work

ROWS = [
    Example(id=f"e{i}", prompt=(Message("user", f"What is {i}?"),), response=f"It is {i}.")
    for i in range(5)
]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save(llama(max_position_embeddings=512), tmp_path_factory.mktemp("m") / "tiny")


@pytest.fixture
def work(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    monkeypatch.setenv("TOGI_CACHE", str(tmp_path / "cache"))
    write_rows(tmp_path / "rows.jsonl", ROWS)
    (tmp_path / "step").mkdir()
    return Work(
        folder=tmp_path / "step", seed=1, name="step", model=str(model), say=quiet, offline=True,
        inputs={"data": {"rows": str(tmp_path / "rows.jsonl")}},
    )  # fmt: skip


def written(number: int, body: dict) -> Answer:
    """Prefer the answer shown first, or say something that is no verdict."""
    asked = body["messages"][-1]["content"]
    if not asked.startswith("Two answers"):
        return Answer()
    text = "Hard to say." if "What is 3?" in asked else "[[A]]"
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": text}}
    return Answer(body={"choices": [choice], "usage": {}})


def test_an_endpoint_writes_its_verdict_and_is_asked_once(work: Work):
    with serve() as server:
        server.plan = written
        spec = f"openai:{server.url}#judge"
        settings = PairwiseSettings.model_validate({
            "models": {"base": {"dtype": "float32"}, "served": spec}, "rows": "data",
            "judges": {"j": spec}, "sampling": {"max_tokens": 6},
        })  # fmt: skip
        run_pairwise(settings, work)
        asked = len(server.paid)
        assert asked == 5 + 2 * 5
        (work.folder / "samples.jsonl").unlink()
        run_pairwise(settings, work)  # every reply is in the cache
        assert len(server.paid) == asked
    (found,) = json.loads((work.folder / "scores.json").read_text())["results"]
    assert found["unparsed"]["mean"] == pytest.approx(1 / 5)
    assert (found["win_rate"]["mean"], found["position_bias"]["mean"]) == (0.5, 0.5)
    assert (found["n"], found["dropped"]) == (4, 1)


def test_an_endpoint_scores_letters_in_plain_text_only(work: Work):
    with serve() as server:
        spec = f"openai:{server.url}#judge"
        judge = {"model": spec, "reads": "likelihood", "prompt": "plain"}
        whole = {
            "models": {"one": spec, "two": spec},
            "rows": "data",
            "judges": {"j": judge},
            "sampling": {"max_tokens": 4},
        }
        run_pairwise(PairwiseSettings.model_validate(whole), work)
        (found,) = json.loads((work.folder / "scores.json").read_text())["results"]
        assert found["win_rate"]["mean"] == 0.5
        assert found["n"] == 5
        whole["judges"] = {"j": {**judge, "prompt": "chat"}}
        with pytest.raises(SurroundingsError, match="cannot score the answer of a conversation"):
            run_pairwise(PairwiseSettings.model_validate(whole), work)


def test_an_endpoints_changes_are_told_without_a_divergence(work: Work):
    with serve() as server:
        settings = ChangesSettings.model_validate({
            "models": {"base": {"dtype": "float32"}, "far": f"openai:{server.url}#m"},
            "rows": "data", "max_tokens": 6, "guards": [],
        })  # fmt: skip
        run_changes(settings, work)
    found = json.loads((work.folder / "changes.json").read_text())
    assert found["kl"]["far"]["kl_answer"]["mean"] is None
    assert "served by an endpoint" in found["kl"]["far"]["unknown"]
    words = [d for d in found["differences"] if d["measure"] == "words"]
    assert words[0]["estimate"]["n"] == 5
    assert found["quality"] is None
