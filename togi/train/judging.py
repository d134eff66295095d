"""Judging inside the training: every N steps, on its own time budget, without touching the run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from togi.errors import UsageError, nearest
from togi.train.config import TrainConfig


@contextmanager
def kept_random() -> Iterator[None]:
    """Put torch's random states back as they were, on the CPU and on each GPU."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices):
        yield


Judge = Callable[[Any, int], Mapping[str, float]]


class Judging:
    """Calls the judge when it is due and remembers the best step.

    `state` is plain and goes into checkpoints. The judge sees the model in eval mode without
    gradients, and the random state it leaves behind is put back, so that a run trains to the
    same weights with and without it.
    """

    def __init__(
        self, judge: Judge | None, config: TrainConfig, steps: int, say: Callable[[str], None]
    ) -> None:
        if config.best is not None and judge is None:
            raise UsageError("`best` needs a judge", where="train.best", found=config.best)
        self._judge, self._config, self._steps, self._say = judge, config, steps, say
        self._told = False
        self.state: dict[str, Any] = {
            "spent": 0.0, "longest": 0.0, "best_step": None, "best_value": None,
        }  # fmt: skip

    @property
    def best_step(self) -> int | None:
        """The step with the best judged measure so far; None before the first."""
        return self.state["best_step"]

    def due(self, step: int) -> bool:
        """Whether to judge after that step, the budget considered."""
        every = self._config.judge_every
        if self._judge is None or not every or (step % every and step != self._steps):
            return False
        if self.state["spent"] + self.state["longest"] <= self._config.judge_seconds:
            return True
        if not self._told:
            self._told = True
            self._say(
                f"judging took {self.state['spent']:.0f} s of its {self._config.judge_seconds:.0f}"
                " s, so the rest of it is skipped (judge_seconds)"
            )
        return False

    def __call__(self, model: torch.nn.Module, step: int) -> dict[str, float]:
        """Judge; returns the measures under their logged names."""
        assert self._judge is not None  # noqa: S101 - `due` said so
        began, mode = time.perf_counter(), model.training
        model.eval()
        try:
            with torch.no_grad(), kept_random():
                measures = {k: float(v) for k, v in self._judge(model, step).items()}
        finally:
            model.train(mode)
        took = time.perf_counter() - began
        self.state["spent"] += took
        self.state["longest"] = max(self.state["longest"], took)
        if self._config.best is not None:
            self._compare(self._config.best, measures, step)
        return {f"judge/{name}": value for name, value in measures.items()}

    def _compare(self, name: str, measures: Mapping[str, float], step: int) -> None:
        if name not in measures:
            raise UsageError(
                "the judge returns no such measure",
                where="train.best",
                found=repr(name),
                expected=nearest(name, measures),
            )
        value, best = measures[name], self.state["best_value"]
        if not math.isfinite(value):
            self._say(f"step {step}: {name} is {value}, so it cannot be the best")
            return
        sign = 1 if self._config.best_is == "highest" else -1
        if best is None or sign * value > sign * best:
            self.state["best_step"], self.state["best_value"] = step, value
