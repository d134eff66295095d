"""What a training run is told, checked once it is built, and what it tells when it is done."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from togi.errors import UsageError, nearest
from togi.train.schedule import SCHEDULES

# These may change between a stop and its resume: they do not touch the weights.
FREE = ("save_every", "keep", "judge_every", "judge_seconds", "best", "best_is", "log_every")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of the one loop; wrong values raise `UsageError` when it is built.

    >>> TrainConfig(steps=40, lr=2e-4).total_steps(1000), TrainConfig(epochs=2).total_steps(1000)
    (40, 250)
    """

    steps: int | None = None
    "Updates to make; give this or `epochs` (neither means one epoch)."
    epochs: float | None = None
    "Passes over the items, fractions allowed; the last step may be smaller than `batch`."
    batch: int = 8
    "Items in one step, whatever their length."
    micro_tokens: int = 1024
    "Tokens that go through the model at once; a longer item goes alone. Only memory and speed."
    lr: float = 2e-4
    "Highest learning rate."
    schedule: str = "cosine"
    "How the learning rate falls after warm-up: constant, linear or cosine (both to zero)."
    warmup: float = 0.0
    "Steps of linear warm-up; below 1 it is a share of all steps."
    clip: float = 1.0
    "Largest global norm of the gradient; 0 switches clipping off."
    weight_decay: float = 0.0
    "Decoupled decay of matrices; vectors (norms, biases) are not decayed."
    optimizer: str = "adamw"
    "A key of `togi.train.optimizers.OPTIMIZERS`: how AdamW keeps its moments."
    betas: tuple[float, float] = (0.9, 0.999)
    "AdamW's decay rates of the first and second moment."
    eps: float = 1e-8
    "AdamW's guard against division by zero."
    seed: int = 0
    "Seed of the items' order and of dropout."
    save_every: int = 50
    "Steps between checkpoints; the last step is always saved. 0: only the last."
    keep: int = 2
    "Newest checkpoints to keep, besides the best one."
    judge_every: int = 0
    "Steps between judgings (also before the first and after the last step); 0: never."
    judge_seconds: float = math.inf
    "Seconds that all judgings together may take; what does not fit is skipped, and said."
    best: str | None = None
    "A judged measure; the model ends with the weights that were best by it."
    best_is: Literal["lowest", "highest"] = "lowest"
    "Which end of that measure is good."
    log_every: int = 1
    "Steps between lines of metrics.jsonl."

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise UsageError(
                "unknown schedule",
                where="train.schedule",
                found=repr(self.schedule),
                expected=nearest(self.schedule, SCHEDULES),
            )
        checks = [
            (self.steps is None or self.epochs is None, "steps", "either steps or epochs"),
            (self.steps is None or self.steps >= 1, "steps", "at least 1"),
            (self.epochs is None or 0 < self.epochs < math.inf, "epochs", "more than 0"),
            (self.batch >= 1, "batch", "at least 1"),
            (self.micro_tokens >= 1, "micro_tokens", "at least 1"),
            (0 < self.lr < math.inf, "lr", "more than 0"),
            (0 <= self.warmup < math.inf, "warmup", "at least 0"),
            (
                self.warmup < 1 or self.warmup == int(self.warmup),
                "warmup",
                "a share or whole steps",
            ),
            (0 <= self.clip < math.inf, "clip", "at least 0"),
            (0 <= self.weight_decay < math.inf, "weight_decay", "at least 0"),
            (all(0 <= beta < 1 for beta in self.betas), "betas", "two numbers in [0, 1)"),
            (self.eps > 0, "eps", "more than 0"),
            (self.save_every >= 0, "save_every", "at least 0"),
            (self.keep >= 1, "keep", "at least 1"),
            (self.judge_every >= 0, "judge_every", "at least 0"),
            (self.judge_seconds > 0, "judge_seconds", "more than 0"),
            (self.best is None or self.judge_every > 0, "judge_every", "at least 1 with `best`"),
            (self.best_is in ("lowest", "highest"), "best_is", "lowest or highest"),
            (self.log_every >= 1, "log_every", "at least 1"),
        ]
        for good, name, expected in checks:
            if not good:
                found = repr(getattr(self, name))
                problem = f"{name} is out of range"
                raise UsageError(problem, where=f"train.{name}", found=found, expected=expected)

    def total_items(self, rows: int) -> int:
        """Return the items that all steps take together, repeats counted."""
        if self.steps is not None:
            return self.steps * self.batch
        return max(1, round((1.0 if self.epochs is None else self.epochs) * rows))

    def total_steps(self, rows: int) -> int:
        """Return the updates to make over that many rows."""
        return math.ceil(self.total_items(rows) / self.batch)

    def binding(self) -> dict[str, Any]:
        """Return the settings that shape the weights: a resumed run must have the same."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["betas"] = list(self.betas)
        return {name: value for name, value in values.items() if name not in FREE}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSummary:
    """What a finished training run did.

    Attributes:
        tokens: tokens put through the model, all steps together.
        seconds: wall-clock seconds, all sittings together, judging included.
        final_loss: mean logged loss of the last tenth of the steps (at least one).
        best_step: the step whose weights the model holds when `best` was asked, else None.
        best_value: the judged measure there.
        resumed_from: the step this sitting began at; 0 when it began afresh.
        micro_batches: how many times the model was run, this sitting.
    """

    objective: str
    steps: int
    rows: int
    trained_parameters: int
    total_parameters: int
    tokens: int
    seconds: float
    final_loss: float
    best_step: int | None = None
    best_value: float | None = None
    resumed_from: int = 0
    micro_batches: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for train.json; the notes stand beside the rest."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**plain.pop("notes"), **plain}
