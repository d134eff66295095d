"""Merge an adapter into its base as an ordinary model folder, and measure what that changed.

The update is added to the weights in float32 and rounded once. An adapter that was trained on a
base in four bits belongs to the values that those bits stand for, so it is merged into these and
the result stays dense: rounding the sum to four bits again would lose most of the update, and the
weights from before the packing are not those that it was trained on. All three are measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from togi.align.lora import adapter_off, load_adapter, lora_layers, refuse_not_finite, unload
from togi.align.lora_base import FILE, adapter_base, base_digest
from togi.align.nf4_files import is_packed_folder
from togi.align.nf4_layer import Nf4Linear, packed_layers
from togi.align.nf4_model import Nf4, pack, unpack
from togi.align.nf4_open import open_nf4
from togi.errors import DataError, UsageError
from togi.lm.base import Scored
from togi.lm.local import LocalModel, folder_digest, load_local
from togi.rows.types import Prompt
from togi.train.files import new_folder, write_text

Texts = Sequence[tuple[Prompt, str]]
Say = Callable[[str], None]
TEXTS: Texts = tuple(
    ("", text)
    for text in (
        "The bridge was closed in the morning because of the wind, and opened again at noon. "
        "Most of the lorries had taken the long way round by then.",
        "Water boils at a lower temperature in the mountains, so an egg takes longer to cook.",
        "def mean(values):\n    total = sum(values)\n    return total / len(values)\n",
        "Question: What is the capital of France?\nAnswer: The capital of France is Paris.",
        "She counted the coins twice: three of them were older than the house they were found in.",
        "To plant a tree, dig a hole twice as wide as the roots, set it level, and water it well.",
    )
)
"What drift is measured on where the user gives nothing: a page of prose, code and questions."

RIGHT = {False: "the dense base", True: "the dequantised base"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far log-probabilities of the same tokens moved, in nats: largest and mean distance."""

    max: float
    mean: float
    tokens: int

    def __str__(self) -> str:
        """Say it in one line.

        >>> print(Drift(max=0.25, mean=0.0125, tokens=300))
        max 0.25, mean 0.0125 nats over 300 tokens
        """
        return f"max {self.max:.2g}, mean {self.mean:.3g} nats over {self.tokens} tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What was written, and how far it is from the base with its adapter on.

    Attributes:
        folder: the new model.
        into: "the dense base" or "the dequantised base".
        dtype: of the saved weights.
        layers: how many had an update.
        effect: how far the adapter itself moves the base: a merge whose drift comes near this has
            lost it.
        saved: drift of what was saved, opened again.
        others: drift of the ways that were not taken, by name.
    """

    folder: Path
    into: str
    dtype: str
    layers: int
    effect: Drift
    saved: Drift
    others: dict[str, Drift]


def drift(before: Sequence[Scored], after: Sequence[Scored]) -> Drift:
    """Compare the scores of the same texts token by token."""
    pairs = zip(before, after, strict=True)
    gaps = np.concatenate([np.abs(a.logprobs - b.logprobs, dtype=np.float64) for a, b in pairs])
    return Drift(max=float(gaps.max()), mean=float(gaps.mean()), tokens=len(gaps))


@torch.no_grad()
def fold(model: nn.Module, dtype: torch.dtype) -> list[str]:
    """Turn a model with an adapter, on dense or packed weights, into an ordinary dense one.

    Each sum is made in float32 and rounded once to `dtype`; one layer at a time is held so wide.

    Returns:
        The paths of the layers that had an update.

    Raises:
        DataError: when the adapter, or a sum of it and the weights, is not finite.
    """
    layers = lora_layers(model)
    refuse_not_finite(layers)
    for path, layer in layers.items():
        wide = torch.promote_types(layer.dtype, torch.float32)
        transposed = layer.transposed
        if isinstance(layer.packed, Nf4Linear):
            layer.packed.dtype, transposed = wide, layer.packed.conv1d
        whole = layer.delta().add_(layer.matrix()).to(dtype)
        if not whole.isfinite().all():
            raise DataError("the merged weights are not finite", where=path, found=str(dtype))
        weight = whole.t().contiguous() if transposed else whole
        layer.packed = None
        layer.weight = nn.Parameter(weight, requires_grad=False)
        layer.transposed, layer.merged = transposed, True
    unload(model)
    unpack(model, dtype)
    model.to(dtype)
    return list(layers)


def merge_adapter(
    adapter: Path,
    base: Path,
    out: Path,
    *,
    name: str = "",
    dtype: str = "auto",
    texts: Texts = TEXTS,
    compare: bool = True,
    say: Say = print,
) -> Merged:
    """Merge an adapter into its base, save it as a model folder, open that, and measure the drift.

    Args:
        adapter: the adapter's folder, ours or PEFT's.
        base: the base model's folder, dense or packed.
        out: the new folder; it must not hold anything yet.
        name: the base as its user calls it.
        dtype: of the saved weights: "bfloat16", "float32", or "auto" for the base's own.
        texts: contexts and continuations that the drift is measured on.
        compare: measure also the merges that were not made.

    Raises:
        UsageError: an adapter of another base, or a folder that is in use.
        DataError: an adapter that is damaged, not finite, or changes nothing.
        SurroundingsError: when the disk is full, or the model cannot be opened.
    """
    _check_out(out, base, adapter)
    told = adapter_base(adapter)
    packing = told.packing if told else None
    own = _own_dtype(base)
    kind = own if dtype == "auto" else dtype
    settings = None
    if packing or is_packed_folder(base):
        given = packing or {}
        settings = Nf4(blocksize=given.get("blocksize", 64), double=given.get("double", True))
    model = _with_adapter(base, adapter, settings, kind, say)
    digest = base_digest(model.model)
    before = _scores(model, texts)
    with adapter_off(model.model):
        effect = drift(before, _scores(model, texts))
    if settings is None and own != kind:  # sum in the base's own type, round once
        model = _with_adapter(base, adapter, None, own, say)
    layers = fold(model.model, getattr(torch, kind))
    _save(model, out)
    del model
    saved = load_local(out, dtype=kind, say=_quiet)
    found = Merged(
        folder=out, into=RIGHT[settings is not None], dtype=kind, layers=len(layers), effect=effect,
        saved=drift(before, _scores(saved, texts)), others={},
    )  # fmt: skip
    if compare:
        found = replace(found, others=_others(saved, base, adapter, settings, before, texts))
    facts = {
        "merged": {
            "base": name or str(base), "base_digest": digest, "adapter": folder_digest(adapter),
            "packing": packing, "into": found.into, "drift": asdict(found.saved),
            "effect": asdict(effect),
        }
    }  # fmt: skip
    write_text(out / FILE, json.dumps(facts, indent=1) + "\n")
    return found


def _quiet(line: str) -> None:
    """Say nothing: what was said of the base holds for what was made of it."""


def _with_adapter(
    base: Path, adapter: Path, settings: Nf4 | None, kind: str, say: Say
) -> LocalModel:
    if settings is None:
        model = load_local(base, dtype=kind, say=say)
    else:
        model = open_nf4(base, settings, dtype=kind, say=say)
    load_adapter(model.model, adapter)
    if not any(layer.lora_B.any() for layer in lora_layers(model.model).values()):
        raise DataError(
            "the adapter changes nothing: all of its B are zero",
            where=str(adapter),
            hint="it was saved before it was trained",
        )
    return model


def _scores(model: LocalModel, texts: Texts) -> list[Scored]:
    contexts, continuations = zip(*texts, strict=True)
    return model.score(contexts, continuations)


def _others(
    saved: LocalModel,
    base: Path,
    adapter: Path,
    settings: Nf4 | None,
    before: Sequence[Scored],
    texts: Texts,
) -> dict[str, Drift]:
    """Measure the merges that were not made: into the other base, and rounded to four bits again.

    The saved model is packed in place for the last one.
    """
    kind = str(saved.model.dtype).removeprefix("torch.")
    found: dict[str, Drift] = {}
    if not is_packed_folder(base):
        other = Nf4() if settings is None else None
        model = _with_adapter(base, adapter, other, kind, _quiet)
        fold(model.model, saved.model.dtype)
        found[f"into {RIGHT[other is not None]}"] = drift(before, _scores(model, texts))
        del model
    pack(saved.model, settings or Nf4(), say=_quiet)
    found["quantised again"] = drift(before, _scores(saved, texts))
    return found


def _own_dtype(base: Path) -> str:
    """Return bfloat16 for a base that is stored so, else float32, which holds all others."""
    from transformers import AutoConfig

    from togi.lm.opening import loading

    with loading(base, base.name):
        config: Any = AutoConfig.from_pretrained(base, local_files_only=True)
    return "bfloat16" if config.dtype == torch.bfloat16 else "float32"


def _check_out(out: Path, base: Path, adapter: Path) -> None:
    if any(out.resolve() == path.resolve() for path in (base, adapter)):
        raise UsageError("a model cannot be merged into its own folder", where=str(out))
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        hint = "give another folder, or delete this one"
        raise UsageError("there is something in the folder already", where=str(out), hint=hint)


def _save(model: LocalModel, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    if any(packed_layers(model.model)):
        raise UsageError("layers are still in four bits", where=model.name)
    with new_folder(out) as fresh:
        model.model.save_pretrained(fresh)
        model.tokenizer.save_pretrained(fresh)
