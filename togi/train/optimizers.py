"""Optimisers that follow the gradient: AdamW, in three ways of keeping its moments.

AdamW (Loshchilov and Hutter 2019) keeps two numbers for each trained one. `adamw` keeps them in
float32 beside the weights; `paged_adamw` keeps the same numbers in a file that is mapped into
memory, so that the system may move them out while they are not needed; `adamw_8bit` keeps them in
eight bits each by bitsandbytes. Paging changes no result, eight bits change the last digits.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from togi.errors import SurroundingsError, UsageError, nearest
from togi.train.config import TrainConfig

Groups = list[dict[str, Any]]


def _adamw(groups: Groups, config: TrainConfig, folder: Path) -> torch.optim.Optimizer:
    weights = [weight for group in groups for weight in group["params"]]
    fused = all(weight.device.type in ("cpu", "cuda") for weight in weights)
    return torch.optim.AdamW(
        groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=fused or None
    )


def _adamw_8bit(groups: Groups, config: TrainConfig, folder: Path) -> torch.optim.Optimizer:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise SurroundingsError(
            "adamw_8bit keeps its moments by bitsandbytes, which is not installed",
            where="train.optimizer",
            hint='pip install "togi[quant]", or use adamw or paged_adamw',
        )
    import bitsandbytes

    return bitsandbytes.optim.AdamW8bit(groups, lr=config.lr, betas=config.betas, eps=config.eps)


def _paged_adamw(groups: Groups, config: TrainConfig, folder: Path) -> torch.optim.Optimizer:
    optimizer = _adamw(groups, config, folder)
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    if any(weight.device.type != "cpu" for weight in weights):
        raise UsageError(
            "paged_adamw maps a file into the processor's memory",
            where="train.optimizer",
            found=str(weights[0].device),
            hint="use adamw_8bit or adamw on this device",
        )
    pages = iter(_mapped([weight for weight in weights for _ in range(2)], folder))
    for weight in weights:
        optimizer.state[weight] = {
            "step": torch.tensor(0.0), "exp_avg": next(pages), "exp_avg_sq": next(pages),
        }  # fmt: skip
    return optimizer


def _mapped(like: Sequence[torch.Tensor], folder: Path) -> list[torch.Tensor]:
    """Return zeros shaped like these, in one unnamed file of the folder that dies with us."""
    import numpy as np

    sizes = [weight.numel() * weight.element_size() for weight in like]
    with tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(max(1, sum(sizes)))
        pages = torch.from_numpy(np.memmap(file, dtype=np.uint8, mode="r+"))
    parts = pages[: sum(sizes)].split(sizes)
    return [part.view(w.dtype).view(w.shape) for part, w in zip(parts, like, strict=True)]


OPTIMIZERS: dict[str, Callable[[Groups, TrainConfig, Path], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "adamw_8bit": _adamw_8bit,
    "paged_adamw": _paged_adamw,
}


def make_optimizer(
    weights: Sequence[torch.nn.Parameter], config: TrainConfig, folder: Path
) -> torch.optim.Optimizer:
    """Return the config's optimiser over these weights; only matrices decay.

    Args:
        folder: where moments that are paged out may lie.

    Raises:
        UsageError: no such optimiser, or not on the weights' device.
        SurroundingsError: it needs a package that is not installed.
    """
    if config.optimizer not in OPTIMIZERS:
        raise UsageError(
            "unknown optimiser",
            where="train.optimizer",
            found=repr(config.optimizer),
            expected=nearest(config.optimizer, OPTIMIZERS),
        )
    matrices = [weight for weight in weights if weight.ndim >= 2]
    vectors = [weight for weight in weights if weight.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return OPTIMIZERS[config.optimizer]([g for g in groups if g["params"]], config, folder)


def moments_of(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the live moments of a model's trained weights, named weight/moment."""
    return {
        f"{name}/{moment}": torch.as_tensor(value)
        for name, weight in model.named_parameters()
        if weight.requires_grad
        for moment, value in optimizer.state.get(weight, {}).items()
    }


def restore_moments(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, moments: Mapping[str, torch.Tensor]
) -> None:
    """Put moments back exactly as they were; those that live in pages stay there."""
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    for key, value in moments.items():
        name, moment = key.rsplit("/", 1)
        state = optimizer.state[weights[name]]
        there = state.get(moment)
        if isinstance(there, torch.Tensor) and there.shape == value.shape:
            there.copy_(value)
        elif value.ndim or value.is_floating_point():
            state[moment] = value.to(weights[name].device, copy=True)
        else:  # bitsandbytes counts its steps in a plain number
            state[moment] = int(value)
