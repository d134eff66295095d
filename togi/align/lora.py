"""LoRA: low-rank adaptation of large language models (Hu et al. 2021, arXiv 2106.09685).

The base is frozen; each adapted layer learns s B A beside its weights. `add_lora` puts the
adapters in, `adapter_off` gives the base back for a moment, `merge` folds them into the weights,
`save_adapter` and `load_adapter` speak PEFT's file layout in both directions. The fused layer is
in `lora_layer.py`, the choice of layers in `lora_plan.py`, the files in `lora_files.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from togi.align.lora_files import load_adapter, save_adapter
from togi.align.lora_layer import LoraLinear, lora_layers
from togi.align.lora_plan import Lora, place, plan
from togi.errors import DataError, UsageError

__all__ = [
    "AdapterNorm",
    "Lora",
    "LoraLinear",
    "adapter_norms",
    "adapter_off",
    "add_lora",
    "load_adapter",
    "lora_layers",
    "merge",
    "save_adapter",
    "trained_parameters",
    "unload",
    "unmerge",
]


def add_lora(model: nn.Module, settings: Lora, *, seed: int = 0) -> list[str]:
    """Freeze the model and put adapters on the targeted layers, in place.

    B starts at zero, so the model's answers are exactly the base's until the first update.

    Returns:
        The paths of the adapted layers, in the model's order.

    Raises:
        UsageError: when a target matches nothing, is not linear, is the output head or tied,
            when the rank is too large, or when the model has adapters already.
    """
    return place(model, plan(model, settings), settings, seed=seed)


def trained_parameters(model: nn.Module) -> tuple[int, int]:
    """Return how many numbers are trained, and how many there are, the adapters included."""
    sizes = [(weight.numel(), weight.requires_grad) for weight in model.parameters()]
    return sum(n for n, trained in sizes if trained), sum(n for n, _ in sizes)


@contextmanager
def adapter_off(model: nn.Module) -> Iterator[None]:
    """Let the model be its base inside the block (not for several threads at once).

    Raises:
        UsageError: when the adapters are merged into the weights.
    """
    layers = list(lora_layers(model, all_slots=True).values())
    if any(layer.merged for layer in layers):
        raise UsageError("merged adapters cannot be switched off", hint="unmerge the model first")
    before = [layer.enabled for layer in layers]
    try:
        for layer in layers:
            layer.enabled = False
        yield
    finally:
        for layer, enabled in zip(layers, before, strict=True):
            layer.enabled = enabled


def merge(model: nn.Module, *, keep: bool = True) -> None:
    """Fold each update into its weights: W + s B A, summed in float32 and cast once.

    Args:
        keep: hold the weights as they were, so that `unmerge` can restore them bit by bit; this
            costs their memory again.

    Raises:
        UsageError: when there is nothing to merge, it is merged already, or the weights are
            packed in fewer bits, where a small update would be rounded away.
        DataError: when an update is not finite; no weight has been changed then.
    """
    layers = _layers(model, merged=False)
    for path, layer in layers.items():
        if layer.weight is None:
            raise UsageError(
                "an update cannot be merged into packed weights: rounding would lose it",
                where=path,
                found=type(layer.packed).__name__,
                hint="unpack the base first (togi.align.nf4_model.unpack), or `togi align merge`",
            )
    refuse_not_finite(layers)
    with torch.no_grad():
        for layer in layers.values():
            layer.kept = layer.matrix().detach().clone() if keep else None
            delta, W = layer.delta(), layer.matrix()
            W.copy_(delta.add_(W))
            layer.merged = True


def refuse_not_finite(layers: Mapping[str, LoraLinear]) -> None:
    """Raise `DataError` where an adapter holds NaN or infinity, naming the layer."""
    for path, layer in layers.items():
        if not (layer.lora_A.isfinite().all() and layer.lora_B.isfinite().all()):
            raise DataError("the adapter holds values that are not finite", where=path)


def unmerge(model: nn.Module) -> None:
    """Restore the weights that `merge` kept, bit by bit.

    Raises:
        UsageError: when nothing is merged, or the weights were not kept.
    """
    layers = _layers(model, merged=True)
    if any(layer.kept is None for layer in layers.values()):
        hint = "open the model again, or merge with keep=True"
        raise UsageError("the weights before merging were not kept", hint=hint)
    with torch.no_grad():
        for layer in layers.values():
            assert layer.kept is not None  # noqa: S101 - looked at above
            layer.matrix().copy_(layer.kept)
            layer.kept, layer.merged = None, False


def _layers(model: nn.Module, *, merged: bool) -> dict[str, LoraLinear]:
    layers = lora_layers(model)
    if not layers:
        raise UsageError("the model has no LoRA adapters", hint="add or load one first")
    if any(layer.merged != merged for layer in layers.values()):
        state = "not merged" if merged else "merged already"
        raise UsageError(f"the adapters are {state}")
    return layers


def unload(model: nn.Module) -> list[str]:
    """Put plain linear layers back, with the update where it was merged and without where not.

    After ``merge(model, keep=False)`` the model is an ordinary one that can be saved whole.

    Returns:
        The paths of the layers.
    """
    layers = lora_layers(model, all_slots=True)
    for path, layer in layers.items():
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, _plain(layer))
    return list(layers)


def _plain(layer: LoraLinear) -> nn.Module:
    if layer.packed is not None:
        return layer.packed
    if layer.transposed:
        from transformers.pytorch_utils import Conv1D

        with torch.device("meta"):  # its own draw must not touch the random state
            base = Conv1D(layer.out_features, layer.in_features)
    else:
        base = nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
    base.weight, base.bias = layer.weight, layer.bias  # pyright: ignore
    return base.train(layer.training)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterNorm:
    """How far one layer was moved.

    Attributes:
        update: Frobenius norm of s B A.
        base: Frobenius norm of the weights.
        effective_rank: exp of the entropy of s B A's normalised singular values (Roy and
            Vetterli 2007); 0 while the update is zero.
    """

    update: float
    base: float
    effective_rank: float

    @property
    def ratio(self) -> float:
        """Return the update's norm over the weights' norm."""
        return self.update / self.base if self.base else float("nan")


@torch.no_grad()
def adapter_norms(model: nn.Module) -> dict[str, AdapterNorm]:
    """Measure each adapter without forming B A: an adapter that does nothing has update 0."""
    return {path: _norm(layer) for path, layer in lora_layers(model).items()}


def _norm(layer: LoraLinear) -> AdapterNorm:
    base = layer.matrix() if layer.kept is None else layer.kept
    left = torch.linalg.qr(layer.lora_B.double()).R
    right = torch.linalg.qr(layer.lora_A.double().t()).R
    values = torch.linalg.svdvals(left @ right.t()) * layer.scale
    total = float(values.sum())
    shares = (values / total if total else values[:0]).clamp_min(1e-300)
    return AdapterNorm(
        update=float(values.norm()),
        base=float(base.double().norm()),
        effective_rank=float((-(shares * shares.log()).sum()).exp()) if total else 0.0,
    )
