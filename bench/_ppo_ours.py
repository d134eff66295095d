"""togi's PPO in its bench: `python bench/_ppo_ours.py ppo job.json result.json`."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def quiet(_: str) -> None:
    """Say nothing while the clock runs."""


def _plan(local: Any, job: dict[str, Any]) -> Any:
    """Return how a round is played: answers of a fixed length, a reward model on the trunk."""
    from togi.align.adapters import keep_side, using
    from togi.align.reward import add_head
    from togi.align.rollout import Draw, Round
    from togi.align.scoring import TrunkReward
    from togi.lm.base import Sampling

    reward = TrunkReward(local.model, Path(job["judge"]), name="bench", scale=(0.0, 1.0))
    add_head(local.model, name="value_head", zero=True)
    keep_side(local.model, "reference")

    @contextmanager
    def reference(policy: Any) -> Any:
        with using(policy, "reference"):
            yield policy

    drawing = Sampling(max_tokens=job["new"], temperature=1.0)
    draw = Draw(local.tokenizer, drawing, frozenset(), longest=local.longest)
    return Round(draw=draw, reward=reward, reference=reference)


def ppo(job: dict[str, Any]) -> dict[str, Any]:
    """Play rounds: draw, score, and learn in several passes."""
    from togi.align.lora import load_adapter
    from togi.align.ppo import Ppo, PpoItem, PpoSettings
    from togi.align.rewards import Answer
    from togi.lm.local import load_local
    from togi.rows.types import Message
    from togi.train.config import TrainConfig
    from togi.train.loop import train

    local = load_local(Path(job["model"]), dtype=job.get("dtype", "auto"), say=quiet)
    load_adapter(local.model, Path(job["adapter"]), trainable=True)
    plan = _plan(local, job)
    settings = PpoSettings(beta=job["beta"], passes=job["passes"], minibatches=1)
    tell = local.tokenizer
    items = [
        PpoItem(str(i), (Message(role="user", content=text),), tuple(tell(text)["input_ids"]))
        for i, text in enumerate(job["prompts"])
    ]
    config = TrainConfig(
        steps=job["rounds"], batch=len(items), lr=job["lr"], schedule="linear", clip=1.0, seed=0,
        save_every=0,
    )  # fmt: skip
    fixed = [
        Answer(id=str(i), prompt="", text="", ids=tuple(ids), start=1, metadata={})
        for i, ids in enumerate(job["fixed"])
    ]
    scores = [float(score) for score in plan.reward(local.model, fixed)]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        train(local.model, Ppo(settings, plan, seed=0), items, config, Path(folder), say=quiet)
        took = time.perf_counter() - began
    return {"seconds": took, "work": len(items) * job["rounds"], "answers": scores}


if __name__ == "__main__":
    job_file, result_file = sys.argv[2:4]
    Path(result_file).write_text(json.dumps(ppo(json.loads(Path(job_file).read_text()))))
