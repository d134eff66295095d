"""Reading adapter folders, ours or PEFT's: safetensors and JSON, never a pickle."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from togi.align.lora_base import HEADS
from togi.align.lora_base import check_base as refuse_other
from togi.align.lora_layer import LoraLinear, is_linear, sides
from togi.align.lora_plan import Lora, Placement, by_pattern
from togi.errors import DataError, UsageError, nearest

PREFIX = "base_model.model."
_KEY = re.compile(r"(?P<path>.+)\.lora_(?P<side>[AB])(\.default)?\.weight")
_LENGTH = re.compile(r"(?P<path>.+)\.lora_magnitude_vector(\.default)?(\.weight)?")
# Anything set here changes what the adapter computes, and is not LoRA as it stands in this file.
REFUSED = (
    "lora_bias", "layer_replication", "trainable_token_indices",
    "target_parameters", "alora_invocation_tokens", "use_qalora", "use_bdlora", "arrow_config",
    "kasa_config", "velora_config", "monteclora_config", "megatron_config", "loftq_config",
    "corda_config", "lora_ga_config",
)  # fmt: skip
HARMLESS_INITS = (True, False, None, "gaussian", "orthogonal", "eva")  # they leave the base alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """An adapter as it was read and checked against a model.

    Attributes:
        settings: what its config says.
        placements: the adapted layers, in the model's order.
        pairs: path -> A, B and, with DoRA, M, the rows' lengths.
        heads: whole modules saved beside it, by name: `score` -> weight [1, width].
    """

    settings: Lora
    placements: tuple[Placement, ...]
    pairs: dict[str, dict[str, torch.Tensor]]
    heads: dict[str, torch.Tensor]


def read_adapter(model: nn.Module, folder: Path, *, check_base: bool = True) -> Adapter:
    """Read an adapter's folder and check that it fits the model.

    The file's own keys say which layers have an adapter, so name lists, regular expressions and
    layer ranges of the config all come out as they were trained.

    Args:
        check_base: refuse a base whose weights are not those it was trained on (only folders
            with a togi.json tell).

    Raises:
        DataError: for a missing, damaged or pickled file, a feature that is not plain LoRA, a
            layer that the model lacks, or shapes that do not fit.
        UsageError: for another base.
    """
    config = _config(folder)
    pairs, heads = _tensors(folder, dora=bool(config.get("use_dora")))
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
        rank = pairs[path]["A"].shape[0]
        wanted = int(by_pattern(path, settings.rank_pattern, settings.rank))
        if rank != wanted:
            found, want = f"rank {rank}", f"rank {wanted} by {folder / 'adapter_config.json'}"
            raise DataError("rank and config disagree", where=path, found=found, expected=want)
        alpha = by_pattern(path, settings.alpha_pattern, settings.alpha)
        placements.append(Placement(path, rank, alpha))
    _check_shapes(modules, pairs)
    return Adapter(settings=settings, placements=tuple(placements), pairs=pairs, heads=heads)


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
    whole = sorted(set(config.get("modules_to_save") or ()) - set(HEADS))
    refused += [f"modules_to_save {name}" for name in whole]
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
            dora=bool(config.get("use_dora")),
            rank_pattern=config.get("rank_pattern") or {},
            alpha_pattern=config.get("alpha_pattern") or {},
        )
    except (UsageError, TypeError) as error:
        where = str(folder / "adapter_config.json")
        raise DataError("unusable values", where=where, found=str(error)) from error


def _tensors(
    folder: Path, *, dora: bool
) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    """Return the low-rank weights by path and side, and the heads by name."""
    file = folder / "adapter_model.safetensors"
    pairs: dict[str, dict[str, torch.Tensor]] = {}
    heads: dict[str, torch.Tensor] = {}
    for key, tensor in _loaded(folder).items():
        bare = key.removeprefix(PREFIX)
        match, length = _KEY.fullmatch(bare), _LENGTH.fullmatch(bare)
        head = bare.removesuffix(".weight").removesuffix(".modules_to_save.default")
        if match is not None:
            pairs.setdefault(match["path"], {})[match["side"]] = tensor
        elif length is not None and dora:
            pairs.setdefault(length["path"], {})["M"] = tensor
        elif head in HEADS:
            heads[head] = tensor
        else:
            expected = f"{PREFIX}<layer>.lora_A.weight or .lora_B.weight"
            raise DataError("unknown weights", where=str(file), found=key, expected=expected)
    for path, pair in pairs.items():
        if not {"A", "B"} <= set(pair):
            raise DataError("one of lora_A and lora_B is missing", where=f"{file}: {path}")
        if dora and "M" not in pair:
            raise DataError("the magnitude of a DoRA layer is missing", where=f"{file}: {path}")
    if not pairs:
        raise DataError("the adapter is empty", where=str(file))
    return pairs, heads


def _loaded(folder: Path) -> dict[str, torch.Tensor]:
    file = folder / "adapter_model.safetensors"
    if not file.exists() and (folder / "adapter_model.bin").exists():
        raise DataError(
            "pickled weights are not opened, they can run code",
            where=str(folder / "adapter_model.bin"),
            expected=file.name,
            hint="save the adapter again with safe_serialization=True",
        )
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise DataError("cannot be read", where=str(file), found=str(error)) from error


def _check_shapes(
    modules: Mapping[str, nn.Module], pairs: Mapping[str, Mapping[str, torch.Tensor]]
) -> None:
    for path, pair in pairs.items():
        module = modules[path]
        if not isinstance(module, LoraLinear) and not is_linear(module):
            continue  # `check` says so
        wide, narrow = sides(module)
        rank = pair["A"].shape[0]
        want = ((rank, narrow), (wide, rank))
        found = (tuple(pair["A"].shape), tuple(pair["B"].shape))
        if found != want:
            told = (f"A {f[0]}, B {f[1]}" for f in (found, want))
            found_text, want_text = told
            raise DataError("shapes do not fit", where=path, found=found_text, expected=want_text)
