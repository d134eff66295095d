"""Which base an adapter belongs to: a digest of its weights, and whether it was in four bits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from togi.align.lora_layer import LoraLinear
from togi.errors import DataError, UsageError
from togi.train.digest import digest_of, model_digest, packed_digest

FILE = "togi.json"
LOW = (".lora_A", ".lora_B", ".lora_magnitude")
"""How the names of an adapter's weights on a model end."""
HEADS = ("score",)
"""Modules that may be saved whole beside the low-rank weights: a reward model's head."""
_ADDED = tuple(f"{name}." for name in (*HEADS, "value_head", "soft_prefix"))
KEPT = "unpacked_digest"  # an attribute of a model in four bits: what its base's digest was before


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterBase:
    """What an adapter's folder tells of the base it was trained on.

    Attributes:
        name: the base as its user named it.
        digest: of the base's weights before they were packed.
        packing: kind, blocksize and double, where the base was packed; None where it was not.
    """

    name: str
    digest: str
    packing: dict[str, Any] | None = None


def base_digest(model: nn.Module) -> str:
    """Return a digest of the base's weights, the same with and without (unmerged) adapters.

    A base that was packed keeps the digest of what it was, so that an adapter fits both; one that
    came packed and tells no such digest is known by its codes.
    """
    if kept := getattr(model, KEPT, ""):
        return kept
    plain = model_digest(model, skip=lambda name: name.endswith(LOW) or name.startswith(_ADDED))
    packed = packed_digest(model)
    return digest_of({"": plain.encode(), "packed": packed.encode()}) if packed else plain


def describe_base(model: nn.Module, layers: Mapping[str, LoraLinear], name: str) -> dict[str, Any]:
    """Return what `togi.json` says of the base."""
    told: dict[str, Any] = {"base": name, "base_digest": base_digest(model)}
    packings = (getattr(layer.packed, "packing", None) for layer in layers.values())
    packing = next((found for found in packings if found), None)
    return told | ({"base_packing": packing} if packing else {})


def adapter_base(folder: Path) -> AdapterBase | None:
    """Read which base an adapter belongs to; None where the folder, as PEFT's do, does not tell.

    Raises:
        DataError: when the file cannot be read.
    """
    file = Path(folder) / FILE
    if not file.exists():
        return None
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        packing = told.get("base_packing")
        if packing is not None:
            packing = {key: packing[key] for key in ("kind", "blocksize", "double")}
        return AdapterBase(name=told["base"], digest=told["base_digest"], packing=packing)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError("cannot be read", where=str(file), found=str(error)) from error


def check_base(model: nn.Module, folder: Path) -> None:
    """Refuse a base that is not the adapter's.

    Raises:
        UsageError: when the folder tells, and the weights are others.
    """
    base = adapter_base(folder)  # without one, shapes are all there is to compare
    if base is not None and base.digest != base_digest(model):
        raise UsageError(
            "the adapter was trained on other weights than this model's",
            where=str(folder),
            expected=f"{base.name} ({base.digest})",
            hint="open that base, or load with check_base=False if you know better",
        )
