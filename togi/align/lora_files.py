"""Adapter folders in PEFT's layout, written and read: safetensors and JSON, never a pickle.

``adapter_config.json`` and ``adapter_model.safetensors`` are what PEFT, vLLM and the llama.cpp
converters read; ``togi.json`` beside them says which base the adapter was trained on.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from togi.align.lora_base import FILE, base_digest, describe_base
from togi.align.lora_layer import LoraLinear, lora_layers
from togi.align.lora_plan import check, place
from togi.align.lora_read import HEADS, PREFIX, read_adapter
from togi.errors import DataError, UsageError
from togi.train.files import new_folder

__all__ = ["base_digest", "load_adapter", "save_adapter"]


def save_adapter(model: nn.Module, folder: Path, base_name: str) -> None:
    """Write the model's adapters as a folder that PEFT loads; an older folder is replaced whole.

    A reward model's head is saved beside them, as PEFT saves whole modules.

    Args:
        base_name: the base model as a user names it, or its folder.
        told: more plain values for togi.json, such as how the base was packed.

    Raises:
        UsageError: when there are no adapters, or they are merged.
        DataError: when an adapter holds values that are not finite.
        SurroundingsError: when the disk is full or may not be written.
    """
    layers = lora_layers(model)
    if not layers:
        raise UsageError("the model has no LoRA adapters to save")
    if any(layer.merged for layer in layers.values()):
        raise UsageError("merged adapters cannot be saved", hint="unmerge the model first")
    heads = [name for name in HEADS if isinstance(getattr(model, name, None), nn.Module)]
    tensors = {}
    for path, weight in _weights(model, layers, heads):
        if not weight.isfinite().all():
            raise DataError("the adapter holds values that are not finite", where=path)
        tensors[f"{PREFIX}{path}"] = weight.detach().cpu().contiguous()
    with new_folder(Path(folder)) as fresh:
        save_file(tensors, fresh / "adapter_model.safetensors", metadata={"format": "pt"})
        _write(fresh / "adapter_config.json", peft_config(model, layers, base_name, heads))
        _write(fresh / FILE, describe_base(model, layers, base_name))


def _weights(
    model: nn.Module, layers: Mapping[str, LoraLinear], heads: Sequence[str]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield what is saved under the names that PEFT gives it."""
    for path, layer in layers.items():
        yield f"{path}.lora_A.weight", layer.lora_A
        yield f"{path}.lora_B.weight", layer.lora_B
        if layer.lora_magnitude is not None:
            yield f"{path}.lora_magnitude_vector", layer.lora_magnitude
    for name in heads:
        yield f"{name}.weight", model.get_parameter(f"{name}.weight")


def _write(file: Path, values: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def peft_config(
    model: nn.Module, layers: Mapping[str, LoraLinear], base_name: str, heads: Sequence[str] = ()
) -> dict[str, Any]:
    """Return adapter_config.json for these layers."""
    rank = Counter(layer.rank for layer in layers.values()).most_common(1)[0][0]
    alpha = Counter(layer.alpha for layer in layers.values()).most_common(1)[0][0]
    one = next(iter(layers.values()))
    return {
        "peft_type": "LORA",
        "task_type": "SEQ_CLS" if heads else "CAUSAL_LM",
        "base_model_name_or_path": base_name,
        "r": rank,
        "lora_alpha": _plain(alpha),
        "lora_dropout": one.dropout,
        "target_modules": target_names(model, layers),
        "rank_pattern": {f"^{re.escape(p)}": m.rank for p, m in layers.items() if m.rank != rank},
        "alpha_pattern": {
            f"^{re.escape(p)}": _plain(m.alpha) for p, m in layers.items() if m.alpha != alpha
        },
        "use_rslora": one.rslora,
        "fan_in_fan_out": all(map(_stands_for_conv1d, layers.values())),
        "bias": "none",
        "init_lora_weights": True,
        "inference_mode": True,
        "use_dora": one.lora_magnitude is not None,
        "modules_to_save": list(heads) or None,
        "exclude_modules": None,
        "layers_to_transform": None,
        "layers_pattern": None,
    }


def _stands_for_conv1d(layer: LoraLinear) -> bool:
    return layer.transposed or bool(getattr(layer.packed, "conv1d", False))


def _plain(alpha: float) -> float:
    return int(alpha) if alpha == int(alpha) else alpha


def target_names(model: nn.Module, layers: Mapping[str, LoraLinear]) -> list[str]:
    """Return the last parts of the paths where they mean exactly these layers, else the paths."""
    names = {path.rsplit(".", 1)[-1] for path in layers}
    meant = {path for path, _ in model.named_modules() if path.rsplit(".", 1)[-1] in names}
    return sorted(names) if meant == set(layers) else sorted(layers)


def load_adapter(
    model: nn.Module, folder: Path, trainable: bool = False, *, check_base: bool = True
) -> list[str]:
    """Put a saved adapter, ours or PEFT's, on the model; see `togi.align.lora_read.read_adapter`.

    Args:
        trainable: train on from there; otherwise everything is frozen.
        check_base: refuse a base whose weights are not those it was trained on.

    Returns:
        The paths of the adapted layers.

    Raises:
        DataError: what `read_adapter` raises.
        UsageError: for another base, or a model that has adapters already.
    """
    found = read_adapter(model, Path(folder), check_base=check_base)
    check(model, found.placements)
    paths = place(model, found.placements, found.settings, seed=0)
    with torch.no_grad():
        for path, layer in lora_layers(model).items():
            pair = found.pairs[path]
            for weight, side in (
                (layer.lora_A, "A"), (layer.lora_B, "B"), (layer.lora_magnitude, "M"),
            ):  # fmt: skip
                if weight is not None:
                    weight.copy_(pair[side])
                    weight.requires_grad_(trainable)
    from togi.align.reward import put_head

    for name, weight in found.heads.items():
        put_head(model, name, weight, trainable=trainable)
    return paths
