"""Folders of packed weights as bitsandbytes writes them: transformers reads ours, and we its.

Beside `weight` (the codes) stand `weight.absmax`, the two codebooks, the scales of the scales, and
the small facts as JSON in a tensor of bytes.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from togi.align.lora_base import FILE, KEPT
from togi.align.lora_layer import is_conv1d, lora_layers
from togi.align.nf4 import NESTED, Quantised
from togi.align.nf4_codebooks import dynamic_map, levels
from togi.align.nf4_layer import Nf4Linear, packed_layers
from togi.errors import DataError, UsageError
from togi.lm.local import LocalModel
from togi.lm.shards import Shards
from togi.train.files import new_folder

KINDS = ("nf4", "fp4")
STATE = "quant_state.bitsandbytes__"
NEAR = 1e-6  # how far a file's codebook may lie from ours: the last bit of float32
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """What a folder's config.json says of its packed weights."""

    kind: str
    double: bool


def packing_of(config: Any, where: str) -> Packing | None:
    """Return how a folder's weights are packed by its config; None where they are not.

    Raises:
        UsageError: when they are quantised in another way than bitsandbytes' four bits.
    """
    told = getattr(config, "quantization_config", None)
    if told is None:
        return None
    told = told if isinstance(told, dict) else told.to_dict()
    if not told.get("load_in_4bit") or told.get("bnb_4bit_quant_storage", "uint8") != "uint8":
        raise UsageError(
            "the folder's weights are quantised in another way than four bits of bitsandbytes",
            where=where,
            found=str(told.get("quant_method")),
            hint="give the folder of the model before it was quantised",
        )
    kind, double = told.get("bnb_4bit_quant_type", "fp4"), told.get("bnb_4bit_use_double_quant")
    return Packing(kind=kind, double=bool(double))


def is_packed_folder(folder: Path) -> bool:
    """Whether a folder's config.json says that its weights are in bitsandbytes' four bits."""
    try:
        told = json.loads((folder / "config.json").read_text("utf-8"))["quantization_config"]
        return bool(told.get("load_in_4bit"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def layer_tensors(path: str, layer: Nf4Linear) -> dict[str, Tensor]:
    """Return a packed layer's tensors under bitsandbytes' names."""
    packed, name = layer.quantised.to(CPU), f"{path}.weight"
    facts: dict[str, Any] = {
        "quant_type": packed.kind,
        "blocksize": packed.blocksize,
        "dtype": str(layer.dtype).removeprefix("torch."),
        "shape": list(packed.shape),
    }
    tensors = {
        name: packed.codes,
        f"{name}.absmax": packed.absmax,
        f"{name}.quant_map": levels(packed.kind, CPU).clone(),
    }
    if packed.nested is not None and packed.offset is not None:
        tensors[f"{name}.nested_absmax"] = packed.nested
        tensors[f"{name}.nested_quant_map"] = dynamic_map(CPU).clone()
        facts |= {"nested_blocksize": NESTED, "nested_dtype": "float32"}
        facts |= {"nested_offset": packed.offset.item()}
    raw = json.dumps(facts).encode()
    tensors[f"{name}.{STATE}{packed.kind}"] = torch.tensor(list(raw), dtype=torch.uint8)
    return tensors


def companions(shards: Shards) -> set[str]:
    """Return the names that only say how another tensor, a layer's codes, is to be read."""
    parts = (name.rpartition(".weight.") for name in shards.entries)
    return {"".join(part) for part in parts if f"{part[0]}.weight" in shards.entries and part[0]}


def read_packed(shards: Shards, name: str, shape: tuple[int, int]) -> Quantised:
    """Read the packed weights that lie in a file as `name`.

    Args:
        shape: [out, in], as the model wants it.

    Raises:
        DataError: when parts are missing, contradict each other, or use other codebooks.
    """
    where = f"{shards.entries[name].file}: {name}"
    kind = next((kind for kind in KINDS if f"{name}.{STATE}{kind}" in shards.entries), None)
    if kind is None or f"{name}.absmax" not in shards.entries:
        expected = f"{name}.absmax and {name}.{STATE}nf4"
        raise DataError("the scales of packed weights are missing", where=where, expected=expected)
    try:
        facts = json.loads(bytes(shards.read(f"{name}.{STATE}{kind}").tolist()))
        blocksize, told = int(facts["blocksize"]), tuple(facts["shape"])
        double = f"{name}.nested_absmax" in shards.entries
        offset = torch.tensor(float(facts["nested_offset"])) if double else None
        same = facts.get("nested_blocksize", NESTED) == NESTED
    except (ValueError, KeyError, TypeError) as error:
        problem = "the facts of packed weights cannot be read"
        raise DataError(problem, where=where, found=str(error)) from error
    packed = Quantised(
        codes=shards.read(name), absmax=shards.read(f"{name}.absmax"),
        nested=shards.read(f"{name}.nested_absmax") if double else None, offset=offset,
        shape=shape, blocksize=blocksize, kind=kind,
    )  # fmt: skip
    _check(packed, told, same, where)
    _check_maps(shards, name, packed, where)
    return replace(packed, codes=packed.codes.view(-1, 1))


def _check(packed: Quantised, told: tuple[int, ...], same: bool, where: str) -> None:
    blocks = -(packed.n // -packed.blocksize)
    scales = torch.uint8 if packed.double else torch.float32
    faults = [
        (told != packed.shape, f"shape {told}", f"{packed.shape}"),
        (packed.codes.dtype != torch.uint8, f"codes in {packed.codes.dtype}", "uint8"),
        (packed.codes.numel() != (packed.n + 1) // 2, f"{packed.codes.numel()} bytes of codes",
         str((packed.n + 1) // 2)),
        (packed.absmax.numel() != blocks, f"{packed.absmax.numel()} scales", f"{blocks}"),
        (packed.absmax.dtype != scales, f"scales in {packed.absmax.dtype}", str(scales)),
        (not same, "scales nested in other blocks", f"blocks of {NESTED}"),
    ]  # fmt: skip
    for wrong, found, expected in faults:
        if wrong:
            raise DataError(
                "packed weights do not fit", where=where, found=found, expected=expected
            )


def _check_maps(shards: Shards, name: str, packed: Quantised, where: str) -> None:
    ours = {"quant_map": levels(packed.kind, CPU)}
    if packed.double:
        ours["nested_quant_map"] = dynamic_map(CPU)
    for part, table in ours.items():
        if f"{name}.{part}" in shards.entries:
            theirs = shards.read(f"{name}.{part}")
            if theirs.shape != table.shape or (theirs - table).abs().max() > NEAR:
                raise DataError("the file uses another codebook", where=f"{where}.{part}")


def save_nf4(model: LocalModel, folder: Path) -> None:
    """Write a packed base as a folder that transformers, with bitsandbytes, and `open_nf4` read.

    Raises:
        UsageError: when the model is not packed, or has adapters (they are saved by themselves).
        SurroundingsError: when the disk is full or may not be written.
    """
    module: nn.Module = model.model
    layers = dict(packed_layers(module))
    if not layers:
        raise UsageError("the model is not in four bits", where=model.name, hint="pack it first")
    if lora_layers(module, all_slots=True):
        hint = "save the adapter with save_adapter, unload it, and save the base"
        raise UsageError("the model has adapters", where=model.name, hint=hint)
    tensors: dict[str, Tensor] = {}
    for path, layer in layers.items():
        tensors |= layer_tensors(path, layer)
    tied = {n for n, _ in module.named_parameters(remove_duplicate=False)}
    tied -= {n for n, _ in module.named_parameters()}
    for name, tensor in module.state_dict().items():
        path, _, leaf = name.rpartition(".")
        if name not in tied and (path not in layers or leaf == "bias"):
            tensors[name] = tensor.cpu().contiguous()
    with new_folder(Path(folder)) as fresh:
        save_file(tensors, fresh / "model.safetensors", metadata={"format": "pt"})
        _config(model, next(iter(layers.values()))).save_pretrained(fresh)
        if (ends := getattr(module, "generation_config", None)) is not None:
            ends.save_pretrained(fresh)
        model.tokenizer.save_pretrained(fresh)
        kept = {"unpacked_digest": getattr(module, KEPT, "")}
        (fresh / FILE).write_text(json.dumps(kept) + "\n", encoding="utf-8")


def _config(model: LocalModel, layer: Nf4Linear) -> Any:
    left = [
        path
        for path, module in model.model.named_modules()
        if type(module) is nn.Linear or is_conv1d(module)
    ]
    config = copy.deepcopy(model.model.config)
    config.quantization_config = {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": layer.kind,
        "bnb_4bit_use_double_quant": layer.nested is not None,
        "bnb_4bit_compute_dtype": str(layer.dtype).removeprefix("torch."),
        "bnb_4bit_quant_storage": "uint8",
        "llm_int8_skip_modules": left,
        "quant_method": "bitsandbytes",
    }
    return config


def kept_digest(folder: Path) -> str:
    """Return the digest of the base before it was packed, where the folder tells it, else ""."""
    try:
        return str(json.loads((folder / FILE).read_text("utf-8"))["unpacked_digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
