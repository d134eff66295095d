"""One update: micro-batches whose gradients add up to those of the whole step, clip, AdamW."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from togi.errors import DataError, SurroundingsError, UsageError
from togi.train.config import TrainConfig
from togi.train.objective import Objective
from togi.train.packing import pack

NAMED = 8  # rows an error message lists at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What one update saw: the mean loss, the gradient's norm before clipping, the measures."""

    loss: float
    grad_norm: float
    measures: dict[str, float]
    micro_batches: int


def trained(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Return the parameters that training changes.

    Raises:
        UsageError: when there are none, or when one is kept in less than float32.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if not weights:
        hint = "add LoRA adapters, or let the weights be trained (requires_grad)"
        raise UsageError("the model has no weights to train", where="train", hint=hint)
    narrow = {str(w.dtype) for w in weights} - {"torch.float32", "torch.float64"}
    if narrow:
        raise UsageError(
            "trained weights must be float32: small updates vanish in fewer bits",
            where="train",
            found=", ".join(sorted(narrow)),
            hint="open the model with dtype float32, or train LoRA adapters on it",
        )
    return weights


def adamw(weights: Sequence[torch.nn.Parameter], config: TrainConfig) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov and Hutter 2019) over them; only matrices decay."""
    matrices = [weight for weight in weights if weight.ndim >= 2]
    vectors = [weight for weight in weights if weight.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = all(weight.device.type in ("cpu", "cuda") for weight in weights)
    return torch.optim.AdamW(
        groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=fused or None
    )


def row_name(item: Any, number: int) -> str:
    """Return what a message calls an item: its id, or its number from 1."""
    return str(getattr(item, "id", f"number {number + 1}"))


def accumulate(
    model: torch.nn.Module, objective: Objective[Any], items: Sequence[Any], micro_tokens: int
) -> tuple[float, dict[str, float], int]:
    """Add the gradient of the step's mean loss to the weights, one micro-batch at a time.

    The loss is sum(losses) / sum(weights) over all items, whatever the split.

    Returns:
        The mean loss, the measures (each sum over its weight), and the number of micro-batches.

    Raises:
        DataError: when a loss is not finite; names the rows of its micro-batch.
    """
    total = sum(objective.weight(item) for item in items)
    summed, measures = 0.0, {}
    parts = pack([objective.cost(item) for item in items], micro_tokens)
    for part in parts:
        micro = [items[i] for i in part]
        loss, measured = objective.loss(model, micro)
        if not loss.requires_grad:
            hint = "unmerge or switch on the adapter before training"
            raise UsageError("the loss does not depend on a trained weight", hint=hint)
        value = float(loss.detach())
        if not math.isfinite(value):
            _not_finite(f"the loss is {value}", [row_name(items[i], i) for i in part])
        (loss / total).backward()
        summed += value
        for name, (part_sum, weight) in measured.items():
            before, counted = measures.get(name, (0.0, 0.0))
            measures[name] = (before + part_sum, counted + weight)
    means = {name: s / w if w else math.nan for name, (s, w) in measures.items()}
    return summed / total, means, len(parts)


def update(
    model: torch.nn.Module,
    objective: Objective[Any],
    items: Sequence[Any],
    optimizer: torch.optim.Optimizer,
    *,
    lr: float,
    clip: float,
    micro_tokens: int,
) -> Update:
    """Make one update of the trained weights on these items.

    Raises:
        DataError: when the loss or the gradient is not finite; the weights are as before.
        SurroundingsError: when memory runs out.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    with memory_told(micro_tokens):
        loss, measures, parts = accumulate(model, objective, items, micro_tokens)
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    norm = float(torch.nn.utils.clip_grad_norm_(weights, clip if clip > 0 else math.inf))
    if not math.isfinite(norm):
        names = [row_name(item, i) for i, item in enumerate(items)]
        _not_finite(f"the gradient's norm is {norm}", names)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return Update(loss=loss, grad_norm=norm, measures=measures, micro_batches=parts)


def _not_finite(problem: str, rows: Sequence[str]) -> None:
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    raise DataError(problem, found=f"rows {', '.join(rows[:NAMED])}{more}", expected="a number")


@contextmanager
def memory_told(micro_tokens: int) -> Iterator[None]:
    """Turn a failed allocation into a `SurroundingsError` that says what to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        failed = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not failed and "allocate memory" not in str(error):
            raise
        raise SurroundingsError(
            "memory ran out in a training step",
            found=str(error).split("\n")[0],
            hint=f"lower micro_tokens (now {micro_tokens}); the result stays the same",
        ) from error
