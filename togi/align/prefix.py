"""Prefix tuning: trained keys and values that stand before every text (Li and Liang 2021).

The base stays frozen; each layer gets the keys and values of a few positions that no token has.
They start as those of real tokens, which the layers know how to read. In the token tree they are
the stem of every pack, so training, judging and drawing need nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from togi.align.lora_read import PREFIX
from togi.align.reward import HEAD, put_head
from togi.errors import DataError, UsageError
from togi.stats.rng import stream
from togi.train.files import new_folder

WEIGHT = "prompt_embeddings"
HEAD_KEY = f"{PREFIX}{HEAD}.weight"


class Prefix(nn.Module):
    """Keys and values of `positions` positions in all layers, as one weight.

    Attributes:
        weight: [positions, layers * 2 * heads_kv * width], laid out as PEFT lays it: for each
            position and layer its keys, then its values.
    """

    def __init__(
        self, positions: int, *, layers: int, heads: int, width: int, dtype: torch.dtype,
        device: torch.device,
    ) -> None:  # fmt: skip
        super().__init__()
        self.ids = tuple(range(-1, -1 - positions, -1))
        self.shape, self.computed = (layers, 2, heads, width), dtype
        wide = torch.promote_types(dtype, torch.float32)
        start = torch.zeros(positions, layers * 2 * heads * width, dtype=wide, device=device)
        self.weight = nn.Parameter(start)
        self._copies: list[Tensor] = []

    def stem(self) -> dict[int, tuple[Tensor, Tensor]]:
        """Return keys and values a layer, each [heads_kv, positions, width].

        While shifted copies are set, theirs stand one behind the other.
        """
        sides = [
            copy.to(self.computed).view(len(copy), *self.shape)
            for copy in self._copies or [self.weight]
        ]
        both = torch.cat(sides)
        return {
            layer: (both[:, layer, 0].transpose(0, 1), both[:, layer, 1].transpose(0, 1))
            for layer in range(self.shape[0])
        }

    @contextmanager
    def shifted(self, copies: Sequence[Tensor]) -> Iterator[None]:
        """Let these weights stand in its place inside the block."""
        before, self._copies = self._copies, list(copies)
        try:
            yield
        finally:
            self._copies = before


def sizes(model: Any) -> dict[str, int]:
    """Return layers, key and value heads, and their width, from the model's configuration."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    return {
        "layers": config.num_hidden_layers,
        "heads": getattr(config, "num_key_value_heads", None) or heads,
        "width": getattr(config, "head_dim", None) or config.hidden_size // heads,
    }


def add_prefix(model: Any, positions: int = 5, *, seed: int = 0) -> Prefix:
    """Freeze the model and put a prefix on it, started from the states of random tokens.

    Raises:
        UsageError: fewer than one position, or a model that has a prefix or adapters already.
    """
    from togi.align.lora_layer import lora_layers

    if positions < 1:
        raise UsageError("a prefix has at least 1 position", where="prefix", found=str(positions))
    if getattr(model, "soft_prefix", None) is not None or lora_layers(model):
        raise UsageError("the model already has an adapter", where="prefix", hint="open it anew")
    model.requires_grad_(False)
    prefix = _empty(model, positions)
    size = model.config.get_text_config().vocab_size
    ids = tuple(int(i) for i in stream(seed, "prefix").integers(0, size, positions))
    kept = _keys_values(model, ids)
    with torch.no_grad():
        view = prefix.weight.view(positions, *prefix.shape)
        for layer, (k, v) in kept.items():
            view[:, layer, 0].copy_(k.transpose(0, 1))
            view[:, layer, 1].copy_(v.transpose(0, 1))
    model.soft_prefix = prefix
    return prefix


def _empty(model: Any, positions: int) -> Prefix:
    device = next(model.parameters()).device
    return Prefix(positions, **sizes(model), dtype=model.dtype, device=device)


@torch.no_grad()
def _keys_values(model: Any, ids: tuple[int, ...]) -> dict[int, tuple[Tensor, Tensor]]:
    from togi.lm import attention
    from togi.lm.forward import hidden_states
    from togi.lm.tree import build

    packed = attention.pack(build([ids]), next(model.parameters()).device, keep=True)
    hidden_states(model, packed)
    return packed.kept


def save_prefix(model: Any, folder: Path, base_name: str) -> None:
    """Write the prefix as a folder that PEFT loads.

    Raises:
        UsageError: there is none.
        DataError: it holds values that are not finite.
    """
    from togi.align.lora_base import base_digest

    prefix: Prefix | None = getattr(model, "soft_prefix", None)
    if prefix is None:
        raise UsageError("the model has no prefix to save")
    if not prefix.weight.isfinite().all():
        raise DataError("the prefix holds values that are not finite", where=str(folder))
    layers, _, heads, width = prefix.shape
    config = {
        "peft_type": "PREFIX_TUNING", "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_name, "num_virtual_tokens": len(prefix.ids),
        "token_dim": heads * width, "num_attention_heads": heads, "num_layers": layers,
        "num_transformer_submodules": 1, "prefix_projection": False,
        "encoder_hidden_size": heads * width, "inference_mode": True,
    }  # fmt: skip
    about = {"base": base_name, "base_digest": base_digest(model)}
    tensors = {WEIGHT: prefix.weight.detach().cpu().contiguous()}
    head = getattr(model, HEAD, None)
    if head is not None:
        tensors[HEAD_KEY] = head.weight.detach().cpu().contiguous()
    with new_folder(Path(folder)) as fresh:
        save_file(tensors, fresh / "adapter_model.safetensors", metadata={"format": "pt"})
        (fresh / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
        (fresh / "togi.json").write_text(json.dumps(about, indent=2) + "\n")


def load_prefix(model: Any, folder: Path, *, trainable: bool = False) -> Prefix:
    """Put a saved prefix, ours or PEFT's, on the model.

    Raises:
        DataError: a file is missing, damaged, or does not fit the model.
    """
    file = Path(folder) / "adapter_model.safetensors"
    try:
        tensors = load_file(file)
        weight = tensors[WEIGHT]
    except (OSError, SafetensorError, KeyError) as error:
        raise DataError("cannot be read", where=str(file), found=str(error)) from error
    model.requires_grad_(False)
    prefix = _empty(model, len(weight))
    if weight.shape != prefix.weight.shape:
        raise DataError(
            "the prefix does not fit this model", where=str(file),
            found=str(tuple(weight.shape)), expected=str(tuple(prefix.weight.shape)),
        )  # fmt: skip
    with torch.no_grad():
        prefix.weight.copy_(weight)
    prefix.requires_grad_(trainable)
    model.soft_prefix = prefix
    if HEAD_KEY in tensors:
        put_head(model, HEAD, tensors[HEAD_KEY], trainable=trainable)
    return prefix
