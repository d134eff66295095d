"""What a training run will cost, from two measured steps; the weights stay as they are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from togi.train.config import TrainConfig
from togi.train.judging import kept_random
from togi.train.loop import memory_mb, weigh
from togi.train.objective import Objective
from togi.train.packing import step_rows
from togi.train.update import accumulate, memory_told, trained

MOMENTS = 2  # AdamW keeps two numbers of the weight's own size for each weight


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
) -> Forecast:
    """Run the forward and backward passes of one ordinary and of the heaviest step, and scale.

    The time is scaled by tokens from the ordinary step, the memory is the process's after the
    heaviest one plus the optimiser's. Gradients are thrown away and no weight is changed.

    Raises:
        DataError: where `train` would: no items, an item without weight, a loss not finite.
        SurroundingsError: when the heaviest step does not fit into memory.
    """
    weigh(objective, items)
    weights, rows, total = trained(model), len(items), config.total_items(len(items))
    steps = config.total_steps(rows)
    costs = [objective.cost(item) for item in items]
    takes = [
        step_rows(step, batch=config.batch, rows=rows, total=total, seed=config.seed)
        for step in range(steps)
    ]
    heaviest = sorted(range(rows), key=lambda row: -costs[row])[: config.batch]
    mode = model.training
    try:
        model.train()
        with kept_random(), memory_told(config.micro_tokens):
            accumulate(model, objective, [items[row] for row in heaviest], config.micro_tokens)
            held = memory_mb()
            began = time.perf_counter()
            accumulate(model, objective, [items[row] for row in takes[0]], config.micro_tokens)
            seconds = time.perf_counter() - began
    finally:
        model.train(mode)
        for weight in weights:
            weight.grad = None
    tokens = sum(costs[row] for take in takes for row in take)
    moments = MOMENTS * sum(weight.numel() * weight.element_size() for weight in weights)
    return Forecast(
        steps=steps,
        tokens=tokens,
        seconds=seconds * tokens / max(1, sum(costs[row] for row in takes[0])),
        memory_mb=held + moments / 1e6,
    )
