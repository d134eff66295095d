"""One update: who changes the weights, and how gradients of micro-batches add up to the step's.

An `Updater` is one axis of training: the gradient's (`GradientUpdater`, with any optimiser of
`togi.train.optimizers`) or a gradient-free one (`togi.align.mezo`). The loop knows only this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch

from togi.errors import DataError, SurroundingsError, UsageError
from togi.train.config import TrainConfig
from togi.train.objective import Objective
from togi.train.optimizers import make_optimizer, moments_of, restore_moments
from togi.train.packing import pack

NAMED = 8  # rows an error message lists at most
GRADIENT_HINT = "unmerge or switch on the adapter before training"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What one update saw: the mean loss, the gradient's norm before clipping, the measures.

    `tokens` are those put through the model, each pass counted.
    """

    loss: float
    grad_norm: float
    measures: dict[str, float]
    micro_batches: int
    tokens: int


class Updater(Protocol):
    """Who changes the weights, and what of it a checkpoint must hold."""

    weights: Sequence[torch.nn.Parameter]

    def update(self, objective: Objective[Any], items: Sequence[Any], *, lr: float) -> Update:
        """Make one update of the weights on these items."""
        ...

    def moments(self) -> dict[str, torch.Tensor]:
        """Return what it remembers between updates, by name; empty where that is nothing."""
        ...

    def restore(self, moments: Mapping[str, torch.Tensor]) -> None:
        """Put back what `moments` returned."""
        ...

    def binding(self) -> dict[str, Any]:
        """Return its settings that shape the weights, beside those of `TrainConfig`."""
        ...

    def rewind(self, step: int) -> None:
        """Forget what was written of updates after that step (a resumed run makes them again)."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


MakeUpdater = Callable[[torch.nn.Module, Path], Updater]
"""Makes an updater for a model whose run lies in a folder."""


def merged(updates: Sequence[Update]) -> Update:
    """Return several updates of one step as one: means of what was seen, sums of the work.

    >>> one = Update(loss=1.0, grad_norm=2.0, measures={"a": 1.0}, micro_batches=1, tokens=5)
    >>> two = Update(loss=3.0, grad_norm=4.0, measures={"a": 5.0}, micro_batches=2, tokens=5)
    >>> merged([one, two])
    Update(loss=2.0, grad_norm=3.0, measures={'a': 3.0}, micro_batches=3, tokens=10)
    """
    if len(updates) == 1:
        return updates[0]
    known: dict[str, list[float]] = {}
    for name, value in (pair for one in updates for pair in one.measures.items()):
        known.setdefault(name, []).append(value)
    return Update(
        loss=sum(one.loss for one in updates) / len(updates),
        grad_norm=sum(one.grad_norm for one in updates) / len(updates),
        measures={name: sum(values) / len(values) for name, values in known.items()},
        micro_batches=sum(one.micro_batches for one in updates),
        tokens=sum(one.tokens for one in updates),
    )


def trained(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Return the parameters that training changes, for an updater that follows gradients.

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
            hint = getattr(objective, "gradient_hint", GRADIENT_HINT)
            raise UsageError("the loss does not depend on a trained weight", hint=hint)
        value = float(loss.detach())
        if not math.isfinite(value):
            not_finite(f"the loss is {value}", [row_name(items[i], i) for i in part])
        (loss / total).backward()
        summed += value
        for name, (part_sum, weight) in measured.items():
            before, counted = measures.get(name, (0.0, 0.0))
            measures[name] = (before + part_sum, counted + weight)
    means = {name: s / w if w else math.nan for name, (s, w) in measures.items()}
    return summed / total, means, len(parts)


class GradientUpdater:
    """Back-propagation, clipping, and an optimiser of `togi.train.optimizers`.

    Raises:
        UsageError: nothing is trained, weights too narrow, or an optimiser that is not there.
    """

    def __init__(self, model: torch.nn.Module, config: TrainConfig, folder: Path) -> None:
        self.model, self.config = model, config
        self.weights: Sequence[torch.nn.Parameter] = trained(model)
        self.optimizer = make_optimizer(self.weights, config, folder)

    def update(self, objective: Objective[Any], items: Sequence[Any], *, lr: float) -> Update:
        """Make one update of the trained weights on these items.

        Raises:
            DataError: when the loss or the gradient is not finite; the weights are as before.
            SurroundingsError: when memory runs out.
        """
        micro, clip = self.config.micro_tokens, self.config.clip or math.inf
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        with memory_told(micro):
            loss, measures, parts = accumulate(self.model, objective, items, micro)
        norm = float(torch.nn.utils.clip_grad_norm_(self.weights, clip))
        if not math.isfinite(norm):
            names = [row_name(item, i) for i, item in enumerate(items)]
            not_finite(f"the gradient's norm is {norm}", names)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        tokens = sum(objective.cost(item) for item in items)
        return Update(
            loss=loss, grad_norm=norm, measures=measures, micro_batches=parts, tokens=tokens
        )

    def moments(self) -> dict[str, torch.Tensor]:
        """Return the optimiser's moments by weight and name."""
        return moments_of(self.model, self.optimizer)

    def restore(self, moments: Mapping[str, torch.Tensor]) -> None:
        """Put moments back exactly as they were."""
        restore_moments(self.model, self.optimizer, moments)

    def binding(self) -> dict[str, Any]:
        """Return nothing more: all of it stands in `TrainConfig`."""
        return {}

    def rewind(self, step: int) -> None:
        """Do nothing: nothing is written by the update."""

    def close(self) -> None:
        """Do nothing: nothing is open."""


def not_finite(problem: str, rows: Sequence[str]) -> NoReturn:
    """Raise the error of a step that cannot be made, with the rows it was made on."""
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
