"""Several adapters on one model: the trained one, and frozen ones that take turns in its place.

One trunk serves as policy, reference and reward model: the policy's adapter is trained, the
others lie beside it in the same layers and are switched on for a moment. A side adapter costs its
own small matrices; nothing of the base is copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from togi.align.lora_layer import LoraLinear, Low, lora_layers
from togi.errors import UsageError, nearest

BASE = "base"
"""The side adapter that is none: the model without any."""


def keep_side(model: nn.Module, name: str) -> None:
    """Keep a frozen copy of the adapter as it stands now, under that name."""
    layers = lora_layers(model)
    if not layers:
        raise UsageError("the model has no LoRA adapters to keep", where=name)
    for layer in layers.values():
        low = layer.low()
        length = None if low.magnitude is None else low.magnitude.detach().clone()
        layer.sides[name] = Low(low.a.clone(), low.b.clone(), low.scale, length)


def add_side(model: Any, name: str, folder: Path) -> None:
    """Put a saved adapter beside the trained one, frozen; layers without any get a slot.

    Raises:
        DataError, UsageError: as `togi.align.lora_files.load_adapter`.
    """
    from togi.align.lora_read import read_adapter

    found = read_adapter(model, folder)
    slots = lora_layers(model, all_slots=True)
    for placement in found.placements:
        layer = slots.get(placement.path)
        if layer is None:
            base = model.get_submodule(placement.path)
            layer = LoraLinear(base, rank=0, alpha=1.0).train(base.training)
            parent, _, leaf = placement.path.rpartition(".")
            setattr(model.get_submodule(parent), leaf, layer)
        pair = found.pairs[placement.path]
        place, dtype = layer.lora_A.device, layer.dtype
        length = pair.get("M")
        layer.sides[name] = Low(
            pair["A"].to(place, dtype),
            pair["B"].to(place, dtype),
            found.settings.scale(placement.rank, placement.alpha),
            None if length is None else length.to(place, torch.float32),
        )


@contextmanager
def using(model: nn.Module, name: str) -> Iterator[None]:
    """Let a side adapter stand in the trained one's place inside the block (`base` for none).

    Raises:
        UsageError: no side adapter has that name.
    """
    layers = list(lora_layers(model, all_slots=True).values())
    known = {side for layer in layers for side in layer.sides}
    if name != BASE and name not in known:
        raise UsageError(f"no adapter is called '{name}'", hint=nearest(name, known or {BASE}))
    before = [layer.using for layer in layers]
    try:
        for layer in layers:
            layer.using = name
        yield
    finally:
        for layer, was in zip(layers, before, strict=True):
            layer.using = was
