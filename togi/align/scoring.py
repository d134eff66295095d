"""Reward models in use: opened by themselves, or as a side adapter on a policy's trunk."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from togi.align.opening import Start
from togi.align.reward import HEAD, ScoreHead, put_head, score_all
from togi.align.rewards import Answer
from togi.errors import DataError
from togi.rows.types import Prompt

SIDE = "reward"
SCALE = "reward.json"
"""Mean and deviation of the rewards of the rows it was trained on."""


def write_scale(folder: Path, rewards: Tensor) -> dict[str, float]:
    """Write the mean and deviation by which rewards are brought to 0 and 1."""
    deviation = float(rewards.std(unbiased=False)) if len(rewards) > 1 else 1.0
    told = {"mean": float(rewards.mean()), "deviation": deviation or 1.0}
    (folder / SCALE).write_text(json.dumps(told) + "\n", encoding="utf-8")
    return told


def read_scale(folder: Path) -> tuple[float, float]:
    """Return mean and deviation; (0, 1) for a reward model that has none, such as a foreign one."""
    try:
        told = json.loads((folder / SCALE).read_text(encoding="utf-8"))
        return float(told["mean"]), float(told["deviation"])
    except FileNotFoundError:
        return 0.0, 1.0
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("cannot be read", where=str(folder / SCALE), found=str(error)) from error


class RewardModel:
    """A reward model of its own: scores answers to prompts, brought to mean 0 and deviation 1."""

    def __init__(self, model: Any, *, name: str, scale: tuple[float, float] = (0.0, 1.0)) -> None:
        self.model, self.name = model, name
        self.mean, self.deviation = scale

    def scores(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float]:
        """Return one reward for each response."""
        render = self.model.renderer
        ids = [
            (*render.prompt_ids(p), *render.answer_ids(p, r))
            for p, r in zip(prompts, responses, strict=True)
        ]
        found = score_all(self.model.model, ids)
        return ((found - self.mean) / self.deviation).tolist()

    def __call__(self, model: Any, answers: Sequence[Answer]) -> list[float]:
        """Score answers that a policy has drawn, as text (its tokens may be others)."""
        return self.scores([a.prompt for a in answers], [a.text for a in answers])


class TrunkReward:
    """A reward model whose adapter lies beside the policy's on the same trunk.

    Nothing of the base is copied, and the policy's own token ids are scored.
    """

    def __init__(self, model: Any, folder: Path, *, name: str, scale: tuple[float, float]) -> None:
        from togi.align.adapters import add_side
        from togi.align.lora_read import read_adapter

        weight = read_adapter(model, folder).heads.get(HEAD)
        if weight is None:
            raise DataError(
                "the adapter has no reward head", where=str(folder), expected=f"{HEAD}.weight",
                hint="train one with `use: align.reward`",
            )  # fmt: skip
        add_side(model, SIDE, folder)
        device = next(model.parameters()).device
        self.name, self._head = (
            name,
            ScoreHead(weight.shape[1], device=device).requires_grad_(False),
        )
        with torch.no_grad():
            self._head.weight.copy_(weight)
        self.mean, self.deviation = scale

    @torch.no_grad()
    def __call__(self, model: Any, answers: Sequence[Answer]) -> list[float]:
        """Return one reward for each answer."""
        from togi.align.adapters import using

        with using(model, SIDE):
            found = score_all(model, [a.ids for a in answers], head=self._head)
        return ((found - self.mean) / self.deviation).tolist()


def open_reward(
    start: Start, *, name: str, dtype: str = "auto", offline: bool = False,
    say: Callable[[str], None] = print,
) -> RewardModel:  # fmt: skip
    """Open the model that a reward step left: an adapter with its head, or a whole folder.

    Raises:
        DataError: there is no reward head.
    """
    from togi.align.tuned import open_local
    from togi.align.whole import read_head

    model = open_local(start.model, adapter=start.adapter, dtype=dtype, offline=offline, say=say)
    model.model.requires_grad_(False).eval()
    folder = start.adapter or Path(start.whole or start.model)
    if not hasattr(model.model, HEAD):
        weight = read_head(folder) if folder.is_dir() else None
        if weight is None:
            raise DataError(
                "the model has no reward head", where=str(folder), expected=f"{HEAD}.weight",
                hint="train one with `use: align.reward`",
            )  # fmt: skip
        put_head(model.model, HEAD, weight)
    return RewardModel(model, name=name, scale=read_scale(folder))
