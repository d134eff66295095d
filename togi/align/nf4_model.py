"""A whole model in four bits: which layers, and there and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from togi.align.lora_base import KEPT, base_digest
from togi.align.lora_layer import LoraLinear, is_conv1d, lora_layers
from togi.align.lora_plan import heads
from togi.align.nf4 import BLOCKSIZES, relative_error
from togi.align.nf4_backends import BACKENDS, choose
from togi.align.nf4_layer import Nf4Linear, packed_layers
from togi.align.nf4_memory import memory
from togi.errors import UsageError, nearest

WORST = 3  # layers named where their errors were measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Nf4:
    """How a base is packed; wrong values raise `UsageError` when it is built."""

    blocksize: int = 64
    "Values that share a scale: a power of two from 32 to 4096."
    double: bool = True
    "Whether the scales are quantised too, to eight bits."
    skip: Sequence[str] = ()
    "Layers that stay as they are: paths, their last names or their beginnings."
    dequantiser: str = "auto"
    "How weights are restored: torch, compiled, numba, bitsandbytes, or auto for the fastest."

    def __post_init__(self) -> None:
        if self.blocksize not in BLOCKSIZES:
            sizes = ", ".join(map(str, BLOCKSIZES))
            raise UsageError(
                "not a block size", where="nf4.blocksize", found=str(self.blocksize),
                expected=f"one of {sizes}",
            )  # fmt: skip
        if self.dequantiser not in (ways := ["auto", *BACKENDS]):
            raise UsageError(
                "no such way to restore weights", where="nf4.dequantiser",
                found=self.dequantiser, expected=nearest(self.dequantiser, ways),
            )  # fmt: skip


def packable(model: nn.Module, skip: Sequence[str] = ()) -> tuple[list[str], dict[str, str]]:
    """Return the paths of the linear layers to pack, and those that are left, with the reason.

    The output head runs in pieces of the vocabulary, and a tied one is an embedding: both stay.

    Args:
        skip: paths, last names or beginnings of paths of layers that shall stay.

    Raises:
        UsageError: when a name in `skip` means nothing, or no layer can be packed.
    """
    head, tied = heads(model), _tied(model)
    kept: dict[str, str] = {}
    paths = []
    used = set()
    for path, module in model.named_modules():
        if not (type(module) is nn.Linear or is_conv1d(module)):
            continue
        asked = [name for name in skip if _means(name, path)]
        used |= set(asked)
        if id(module.weight) in tied:
            kept[path] = "tied to an embedding" if path in head else "tied"
        elif path in head:
            kept[path] = "the output head"
        elif asked:
            kept[path] = "as asked"
        else:
            paths.append(path)
    for name in skip:
        if name not in used:
            names = {path.rsplit(".", 1)[-1] for path in [*paths, *kept]}
            raise UsageError(
                "no layer has that name", where="nf4: skip", found=name,
                expected=nearest(name, names),
            )  # fmt: skip
    if not paths:
        raise UsageError("the model has no linear layers to pack", where="nf4")
    return paths, kept


def _means(name: str, path: str) -> bool:
    return path == name or path.endswith(f".{name}") or path.startswith(f"{name}.")


def _tied(model: nn.Module) -> set[int]:
    seen: set[int] = set()
    named = model.named_parameters(remove_duplicate=False)
    return {id(w) for _, w in named if id(w) in seen or seen.add(id(w))}


def pack(
    model: nn.Module,
    settings: Nf4 | None = None,
    *,
    kind: str = "nf4",
    measure: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, float]:
    """Put every linear layer but the output head in four bits, in place, and freeze the model.

    Args:
        settings: block size, double quantisation, what shall stay.
        kind: a codebook of `nf4_codebooks.CODEBOOKS`.
        measure: compare each layer with what it was.
        say: told what was packed and what was left, and why.

    Returns:
        The layers' mean squared errors over the variance of their weights; NaN unless measured.

    Raises:
        UsageError: for a model with adapters, or one that is packed already.
        DataError: when a weight is not finite (names the layer); the layers before it are packed.
    """
    settings = settings or Nf4()
    if lora_layers(model, all_slots=True):
        raise UsageError("a model with adapters cannot be packed", hint="pack the base first")
    if any(packed_layers(model)):
        raise UsageError("the model is in four bits already")
    paths, kept = packable(model, settings.skip)
    setattr(model, KEPT, base_digest(model))
    errors = {}
    for path in paths:
        layer = model.get_submodule(path)
        packed = Nf4Linear.of(
            layer, blocksize=settings.blocksize, double=settings.double, kind=kind, name=path
        )
        errors[path] = error_of(layer, packed) if measure else math.nan
        model.set_submodule(path, packed)
    model.requires_grad_(False)
    _, one = next(packed_layers(model))
    choose(settings.dequantiser, one.codes.device, dtype=one.dtype, say=say)
    say(words(model, kept, errors))
    return errors


def error_of(layer: nn.Module, packed: Nf4Linear) -> float:
    """Return a packed layer's mean squared error over the variance of the dense one's weights."""
    weight: Tensor = layer.weight  # pyright: ignore
    return relative_error(weight.t() if packed.conv1d else weight, packed.quantised)


def words(
    model: nn.Module, kept: Mapping[str, str], errors: Mapping[str, float] | None = None
) -> str:
    """Say what was packed, in how many bits, what was left and why, and the worst layers."""
    found = memory(model)
    count = len(list(packed_layers(model)))
    said = f"nf4: {count} layers, {found.packed / 1e6:.1f} million weights of"
    said += f" {found.bits_per_parameter:.3f} bits each"
    if kept:
        said += "; left as they were: " + ", ".join(f"{p} ({why})" for p, why in kept.items())
    known = {path: e for path, e in (errors or {}).items() if not math.isnan(e)}
    worst = sorted(known, key=lambda path: -known[path])[:WORST]
    if worst:
        said += "; largest errors: " + ", ".join(f"{path} {known[path]:.4f}" for path in worst)
    return said


def unpack(model: nn.Module, dtype: torch.dtype | None = None) -> list[str]:
    """Put dense layers back, with the weights that the codes stand for; adapters stay on.

    The result is another base than the one that was packed, and has another digest.

    Args:
        dtype: of the weights; by default the one that the layers compute in.

    Returns:
        The paths of the layers.
    """
    paths = []
    for path, layer in list(packed_layers(model)):
        weight = _restored(layer, dtype)
        above, _, name = path.rpartition(".")
        parent = model.get_submodule(above)
        if isinstance(parent, LoraLinear):
            parent.weight, parent.transposed = weight, layer.conv1d
            parent.packed = None
        else:
            setattr(parent, name, _dense(layer, weight))
        paths.append(path.removesuffix(".packed"))
    if hasattr(model, KEPT):
        delattr(model, KEPT)
    return paths


@torch.no_grad()
def _restored(layer: Nf4Linear, dtype: torch.dtype | None) -> nn.Parameter:
    """Return the weights as the dense layer stores them."""
    before, layer.dtype = layer.dtype, dtype or layer.dtype
    matrix = layer.matrix()
    layer.dtype = before
    return nn.Parameter(matrix.t().contiguous() if layer.conv1d else matrix, requires_grad=False)


def _dense(layer: Nf4Linear, weight: nn.Parameter) -> nn.Module:
    dense: Any
    if layer.conv1d:
        from transformers.pytorch_utils import Conv1D

        with torch.device("meta"):
            dense = Conv1D(layer.out_features, layer.in_features)
    else:
        dense = nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
    bias = layer.bias
    dense.weight = weight
    dense.bias = None if bias is None else nn.Parameter(bias.to(weight.dtype), requires_grad=False)
    return dense.train(layer.training)
