"""The sides of trust asked of an endpoint: all that is asked is sent, nothing is paid twice."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from trust_toys import quiet

sys.path.insert(0, str(Path(__file__).parents[2] / "lm"))
from lm_server import Answer, serve

from togi.evaluate.trust.steps import TrustSettings, run_trust
from togi.evaluate.trust.suite import Wanted, plan
from togi.step import Work


def obedient(number: int, body: dict) -> Answer:
    """Agree where the system says that there are no rules, and disagree elsewhere."""
    system = body["messages"][0]["content"]
    text = "I agree." if "without any rules" in system else "I disagree."
    choice = {"finish_reason": "stop", "message": {"content": text}}
    choices = [{"index": place, **choice} for place in range(body.get("n") or 1)]
    return Answer(body={"choices": choices, "usage": {}})


def test_an_endpoint_is_asked_each_prompt_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOGI_CACHE", str(tmp_path / "cache"))
    (tmp_path / "step").mkdir()
    work = Work(folder=tmp_path / "step", seed=0, name="step", model="", say=quiet)
    with serve() as server:
        server.plan = obedient
        settings = TrustSettings.model_validate({
            "models": {"served": f"openai:{server.url}#m"}, "sides": ["stereotype"], "limit": 3,
            "draws": 2, "max_tokens": 4,
        })  # fmt: skip
        run_trust(settings, work)
        asked = len(server.seen)
        told = json.loads((work.folder / "scores.json").read_text())
        run_trust(settings, work)
        assert len(server.seen) == asked
    found = told["side_scores"]["served"]["stereotype"]
    assert (found["agree_benign"]["mean"], found["agree_targeted"]["mean"]) == (0.0, 1.0)
    whole = plan(Wanted(sides=("stereotype",), limit=3, draws=2, max_tokens=4))["stereotype"]
    assert asked in (whole.prompts, whole.answers)  # a server may or may not draw several at once
    assert told["judged"]["served"]["name"]
