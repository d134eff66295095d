"""Adapter folders in PEFT's layout, written and read: safetensors and JSON, never a pickle.

``adapter_config.json`` and ``adapter_model.safetensors`` are what PEFT, vLLM and the llama.cpp
converters read; ``togi.json`` beside them says which base the adapter was trained on.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from togi.align.lora_base import FILE, AdapterBase, adapter_base, base_digest, describe_base
from togi.align.lora_base import check_base as refuse_other
from togi.align.lora_layer import LoraLinear, lora_layers, sides
from togi.align.lora_plan import Lora, Placement, by_pattern, check, place
from togi.errors import DataError, UsageError, nearest
from togi.train.files import new_folder

__all__ = ["AdapterBase", "adapter_base", "base_digest", "load_adapter", "save_adapter"]

PREFIX = "base_model.model."
_KEY = re.compile(r"(?P<path>.+)\.lora_(?P<side>[AB])(\.default)?\.weight")
# Anything set here changes what the adapter computes, and is not LoRA as it stands in this file.
REFUSED = (
    "use_dora", "modules_to_save", "lora_bias", "layer_replication", "trainable_token_indices",
    "target_parameters", "alora_invocation_tokens", "use_qalora", "use_bdlora", "arrow_config",
    "kasa_config", "velora_config", "monteclora_config", "megatron_config", "loftq_config",
    "corda_config", "lora_ga_config",
)  # fmt: skip
HARMLESS_INITS = (True, False, None, "gaussian", "orthogonal", "eva")  # they leave the base alone


def save_adapter(model: nn.Module, folder: Path, base_name: str) -> None:
    """Write the model's adapters as a folder that PEFT loads; an older folder is replaced whole.

    Args:
        base_name: the base model as a user names it, or its folder.

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
    tensors = {}
    for path, layer in layers.items():
        for side, weight in (("A", layer.lora_A), ("B", layer.lora_B)):
            if not weight.isfinite().all():
                raise DataError("the adapter holds values that are not finite", where=path)
            tensors[f"{PREFIX}{path}.lora_{side}.weight"] = weight.detach().cpu().contiguous()
    with new_folder(Path(folder)) as fresh:
        save_file(tensors, fresh / "adapter_model.safetensors", metadata={"format": "pt"})
        _write(fresh / "adapter_config.json", peft_config(model, layers, base_name))
        _write(fresh / FILE, describe_base(model, layers, base_name))


def _write(file: Path, values: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def peft_config(
    model: nn.Module, layers: Mapping[str, LoraLinear], base_name: str
) -> dict[str, Any]:
    """Return adapter_config.json for these layers."""
    rank = Counter(layer.rank for layer in layers.values()).most_common(1)[0][0]
    alpha = Counter(layer.alpha for layer in layers.values()).most_common(1)[0][0]
    one = next(iter(layers.values()))
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
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
        "use_dora": False,
        "modules_to_save": None,
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
    """Put a saved adapter, ours or PEFT's, on the model.

    The file's own keys say which layers have an adapter, so name lists, regular expressions and
    layer ranges of the config all come out as they were trained.

    Args:
        trainable: train on from there; otherwise everything is frozen.
        check_base: refuse a base whose weights are not those it was trained on (only folders
            with a togi.json tell).

    Returns:
        The paths of the adapted layers.

    Raises:
        DataError: for a missing, damaged or pickled file, a feature that is not plain LoRA, a
            layer that the model lacks, or shapes that do not fit.
        UsageError: for another base, or a model that has adapters already.
    """
    folder = Path(folder)
    config = _config(folder)
    pairs = _pairs(folder)
    if check_base:
        refuse_other(model, folder)
    settings = _settings(config, folder)
    modules = dict(model.named_modules())
    for path in pairs:
        if path not in modules:
            raise DataError(
                "the model has no such layer", where=path, expected=_near(path, modules)
            )
    placements = []
    for path in (path for path in modules if path in pairs):  # in the model's order
        pair = pairs[path]
        rank = pair["A"].shape[0]
        told = int(by_pattern(path, settings.rank_pattern, settings.rank))
        if rank != told:
            found, want = f"rank {rank}", f"rank {told} by {folder / 'adapter_config.json'}"
            raise DataError("rank and config disagree", where=path, found=found, expected=want)
        alpha = by_pattern(path, settings.alpha_pattern, settings.alpha)
        placements.append(Placement(path, rank, alpha))
    check(model, placements)
    _check_shapes(modules, pairs)
    paths = place(model, placements, settings, seed=0)
    with torch.no_grad():
        for path, layer in lora_layers(model).items():
            layer.lora_A.copy_(pairs[path]["A"])
            layer.lora_B.copy_(pairs[path]["B"])
            layer.lora_A.requires_grad_(trainable)
            layer.lora_B.requires_grad_(trainable)
    return paths


def _near(path: str, modules: Mapping[str, nn.Module]) -> str:
    close = nearest(path, modules)
    return close if close.startswith("did you mean") else "a layer of this model"


def _config(folder: Path) -> dict[str, Any]:
    file = folder / "adapter_config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        hint = "give the folder that holds adapter_config.json and adapter_model.safetensors"
        raise DataError("not an adapter folder", where=str(folder), hint=hint) from error
    except ValueError as error:
        raise DataError("not valid JSON", where=str(file), found=str(error)) from error
    kind = config.get("peft_type")
    if kind != "LORA":
        raise DataError("not a LoRA adapter", where=str(file), found=str(kind), expected="LORA")
    refused = [name for name in REFUSED if config.get(name)]
    if config.get("bias", "none") != "none":
        refused.append("bias")
    if config.get("init_lora_weights", True) not in HARMLESS_INITS:
        refused.append(f"init_lora_weights={config['init_lora_weights']} (it changes the base)")
    if refused:
        hint = "convert it to plain LoRA with PEFT, or merge it there and open the merged model"
        raise DataError(
            "the adapter is more than plain LoRA", where=str(file), found=", ".join(refused),
            hint=hint,
        )  # fmt: skip
    return config


def _settings(config: Mapping[str, Any], folder: Path) -> Lora:
    try:
        return Lora(
            rank=config.get("r", 8),
            alpha=config.get("lora_alpha", 8),
            dropout=config.get("lora_dropout", 0.0),
            rslora=bool(config.get("use_rslora")),
            rank_pattern=config.get("rank_pattern") or {},
            alpha_pattern=config.get("alpha_pattern") or {},
        )
    except (UsageError, TypeError) as error:
        where = str(folder / "adapter_config.json")
        raise DataError("unusable values", where=where, found=str(error)) from error


def _pairs(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    file = folder / "adapter_model.safetensors"
    if not file.exists() and (folder / "adapter_model.bin").exists():
        raise DataError(
            "pickled weights are not opened, they can run code",
            where=str(folder / "adapter_model.bin"),
            expected=file.name,
            hint="save the adapter again with safe_serialization=True",
        )
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise DataError("cannot be read", where=str(file), found=str(error)) from error
    pairs: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key.removeprefix(PREFIX))
        if match is None:
            expected = f"{PREFIX}<layer>.lora_A.weight or .lora_B.weight"
            raise DataError("unknown weights", where=str(file), found=key, expected=expected)
        pairs.setdefault(match["path"], {})[match["side"]] = tensor
    for path, pair in pairs.items():
        if len(pair) != 2:
            raise DataError("one of lora_A and lora_B is missing", where=f"{file}: {path}")
    if not pairs:
        raise DataError("the adapter is empty", where=str(file))
    return pairs


def _check_shapes(
    modules: Mapping[str, nn.Module], pairs: Mapping[str, Mapping[str, torch.Tensor]]
) -> None:
    for path, pair in pairs.items():
        wide, narrow = sides(modules[path])
        rank = pair["A"].shape[0]
        want = ((rank, narrow), (wide, rank))
        found = (tuple(pair["A"].shape), tuple(pair["B"].shape))
        if found != want:
            told = (f"A {f[0]}, B {f[1]}" for f in (found, want))
            found_text, want_text = told
            raise DataError("shapes do not fit", where=path, found=found_text, expected=want_text)
