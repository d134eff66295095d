"""What a model in four bits takes in memory: counted by parts, or forecast before it is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from togi.align.lora_layer import sides
from togi.align.lora_plan import Lora, plan
from togi.align.nf4 import packed_bytes
from togi.align.nf4_layer import packed_layers

MOMENTS = 2  # AdamW's, in the trained weights' own type; the gradient is a third


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a model's parts take, in bytes.

    Attributes:
        packed: how many weights are in four bits.
        codes: their codes.
        absmax: the codes' scales.
        nested: the scales' own scales and means.
        embeddings: input embedding and output head.
        other: norms, biases, layers that were left.
        adapters: the trained low-rank weights.
        training: their gradients and AdamW's two moments; activations come on top.
    """

    packed: int
    codes: int
    absmax: int
    nested: int
    embeddings: int
    other: int
    adapters: int
    training: int

    @property
    def base(self) -> int:
        """Bytes of the frozen weights."""
        return self.codes + self.absmax + self.nested + self.embeddings + self.other

    @property
    def total(self) -> int:
        """Bytes of all parts."""
        return self.base + self.adapters + self.training

    @property
    def bits_per_parameter(self) -> float:
        """True bits of a packed weight, scales and partial blocks included."""
        whole = self.codes + self.absmax + self.nested
        return 8 * whole / self.packed if self.packed else math.nan


def memory(model: nn.Module) -> Memory:
    """Count what a model holds, part by part; activations and buffers of positions are left out."""
    layers = [layer.quantised for _, layer in packed_layers(model)]
    nested = [t.nbytes for q in layers for t in (q.nested, q.offset) if t is not None]
    ends = _ends(model)
    adapters = sum(w.nbytes for n, w in model.named_parameters() if ".lora_" in n)
    trained = [w.nbytes for w in model.parameters() if w.requires_grad]
    named = {id(w): w.nbytes for n, w in model.named_parameters() if ".lora_" not in n}
    return Memory(
        packed=sum(q.n for q in layers),
        codes=sum(q.codes.nbytes for q in layers),
        absmax=sum(q.absmax.nbytes for q in layers),
        nested=sum(nested),
        embeddings=sum(size for key, size in named.items() if key in ends),
        other=sum(size for key, size in named.items() if key not in ends),
        adapters=adapters,
        training=(1 + MOMENTS) * sum(trained),
    )


def _ends(model: nn.Module) -> set[int]:
    """Return the ids of the parameters of the input embedding and of the output head."""
    found = set()
    for ask in ("get_input_embeddings", "get_output_embeddings"):
        named = getattr(model, ask, None)
        module: Any = named() if callable(named) else None
        found |= set() if module is None else {id(w) for w in module.parameters()}
    return found


def forecast(
    skeleton: nn.Module,
    paths: Sequence[str],
    *,
    dtype: torch.dtype = torch.bfloat16,
    blocksize: int = 64,
    double: bool = True,
    lora: Lora | None = None,
) -> Memory:
    """Say what `memory` will count, before a weight is read; `nf4_open.skeleton` makes the model.

    Args:
        skeleton: the dense model; its weights may lie on the meta device.
        paths: the layers to pack, as `nf4_model.packable` finds them.
        dtype: of the weights that are not packed.
        lora: the adapters to come, trained in float32.
    """
    layers = {path: skeleton.get_submodule(path) for path in paths}
    counts = [math.prod(sides(layer)) for layer in layers.values()]
    parts = [packed_bytes(n, blocksize, double) for n in counts]
    inside = {id(layer.weight) for layer in layers.values()}
    sizes = {id(w): w.numel() * dtype.itemsize for w in skeleton.parameters()}
    ends = _ends(skeleton)
    placed = plan(skeleton, lora) if lora else []
    low = sum(4 * p.rank * sum(sides(skeleton.get_submodule(p.path))) for p in placed)
    return Memory(
        packed=sum(counts),
        codes=sum(part[0] for part in parts),
        absmax=sum(part[1] for part in parts),
        nested=sum(part[2] for part in parts),
        embeddings=sum(size for key, size in sizes.items() if key in ends),
        other=sum(size for key, size in sizes.items() if key not in ends | inside),
        adapters=low,
        training=(1 + MOMENTS) * low,
    )
