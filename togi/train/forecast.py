"""What a training run will cost, from two measured steps; the weights stay as they are."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from togi.train.config import TrainConfig
from togi.train.judging import kept_random
from togi.train.loop import memory_mb, weigh
from togi.train.objective import Objective, updates_of
from togi.train.packing import step_rows
from togi.train.update import GradientUpdater, MakeUpdater, Updater, memory_told


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Attributes: steps; tokens of all steps; seconds of all steps; peak memory in 10^6 bytes."""

    steps: int
    tokens: int
    seconds: float
    memory_mb: float


def forecast(
    model: torch.nn.Module,
    objective: Objective[Any],
    items: Sequence[Any],
    config: TrainConfig,
    folder: Path | None = None,
    *,
    updater: MakeUpdater | None = None,
) -> Forecast:
    """Make the updates of the heaviest and of one ordinary step at a learning rate of zero.

    The time is scaled by tokens from the ordinary step, the memory is what the process holds
    after both. No weight is changed.

    Args:
        folder: where the updater may keep its pages; by default the system's place.

    Raises:
        DataError: where `train` would: no items, an item without weight, a loss not finite.
        SurroundingsError: when the heaviest step does not fit into memory.
    """
    weigh(objective, items)
    rows, total = len(items), config.total_items(len(items))
    steps = config.total_steps(rows)
    costs = [objective.cost(item) for item in items]
    takes = [
        step_rows(step, batch=config.batch, rows=rows, total=total, seed=config.seed)
        for step in range(steps)
    ]
    heaviest = sorted(range(rows), key=lambda row: -costs[row])[: config.batch]
    mode = model.training
    make = updater or (lambda module, place: GradientUpdater(module, config, place))
    with tempfile.TemporaryDirectory(dir=folder, prefix=".forecast-") as place:
        own = make(model, Path(place))
        try:
            model.train()
            with kept_random(), memory_told(config.micro_tokens):
                _step(own, objective, model, [items[row] for row in heaviest])
                held = memory_mb()
                began = time.perf_counter()
                _step(own, objective, model, [items[row] for row in takes[0]])
                seconds = time.perf_counter() - began
        finally:
            model.train(mode)
            for weight in own.weights:
                weight.grad = None
    tokens = sum(costs[row] for take in takes for row in take)
    return Forecast(
        steps=steps,
        tokens=tokens,
        seconds=seconds * tokens / max(1, sum(costs[row] for row in takes[0])),
        memory_mb=held,
    )


def _step(updater: Updater, objective: Any, model: torch.nn.Module, items: Sequence[Any]) -> None:
    for batch in updates_of(objective, model, items, 0):
        updater.update(objective, batch, lr=0.0)
