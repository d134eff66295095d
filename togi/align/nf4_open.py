"""Open a model folder in four bits without ever holding it in sixteen.

The model is built without memory, its tensors are read one by one from where they lie, and linear
layers are quantised as they come. A family whose files name weights otherwise than its modules, or
that does something of its own when it is loaded, is loaded whole first and packed then.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from togi.align.lora_base import KEPT
from togi.align.lora_layer import is_conv1d, sides
from togi.align.lora_plan import Lora
from togi.align.nf4 import quantise
from togi.align.nf4_backends import choose
from togi.align.nf4_files import companions, kept_digest, packing_of, read_packed
from togi.align.nf4_layer import Nf4Linear
from togi.align.nf4_memory import Memory
from togi.align.nf4_memory import forecast as count
from togi.align.nf4_model import Nf4, pack, packable, words
from togi.errors import DataError
from togi.lm import attention
from togi.lm.local import LocalModel, finished
from togi.lm.opening import loading, ready
from togi.lm.shards import Shards
from togi.train.digest import digest_of, weight_piece

IGNORED = (r"rotary_emb\.inv_freq$", r"\.masked_bias$", r"\.attn\.bias$", r"position_ids$")
"Constants that old files hold among the weights."


class _Unfit(Exception):
    """Why a folder cannot be streamed."""


def open_nf4(
    folder: Path,
    settings: Nf4 | None = None,
    *,
    name: str = "",
    dtype: str = "auto",
    device: str = "auto",
    say: Callable[[str], None] = print,
) -> LocalModel:
    """Open a folder with its linear layers in NF4; the rest is as `load_local` has it.

    A folder whose weights are packed already, as bitsandbytes writes them, is read as it is.

    Args:
        folder: a transformers model folder.
        settings: how to pack.
        name: shown to the user; the folder's name by default.
        dtype: in which is computed: "bfloat16", "float32", or "auto" for what is fast here.
        device: "cpu", "cuda", "mps", or "auto".
        say: told what is done and why.

    Raises:
        DataError: weights that are not finite, or packed ones that do not fit (names them).
        UsageError: weights quantised in another way.
        SurroundingsError: where `load_local` raises it.
    """
    from transformers import AutoConfig

    name, settings = name or folder.name, settings or Nf4()
    place, kind = ready(name, dtype, device, say)
    choose(settings.dequantiser, place, dtype=kind, say=say)
    with loading(folder, name):
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    packing = packing_of(config, name)
    with loading(folder, name):
        model = skeleton(config, kind)
    try:
        with Shards(folder) as shards:
            left = _fill(model, shards, settings, place, packed=packing is not None)
    except _Unfit as reason:
        if packing is not None:
            raise DataError("packed weights do not fit", where=name, found=str(reason)) from reason
        say(f"nf4: {name} is loaded whole before it is packed: {reason}")
        model = _whole(folder, settings, name, place, kind, say)
    else:
        if packing is not None:
            say(f"nf4: {name} is packed already and read as it is")
            setattr(model, KEPT, kept_digest(folder))
        say(words(model, left))
    from transformers import GenerationConfig

    with contextlib.suppress(OSError):  # not every folder has one
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    mark = f"+nf4-{settings.blocksize}-{settings.double}-{'-'.join(settings.skip)}"
    return finished(model, folder, name, mark="" if packing is not None else mark)


def skeleton(config: Any, dtype: torch.dtype) -> Any:
    """Build a model from its config, without memory for its weights."""
    from transformers import AutoModelForCausalLM

    attention.register()
    if getattr(config, "quantization_config", None) is not None:
        del config.quantization_config
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(
            config, dtype=dtype, attn_implementation=attention.NAME
        )


def forecast(
    folder: Path,
    settings: Nf4 | None = None,
    *,
    dtype: torch.dtype = torch.bfloat16,
    lora: Lora | None = None,
) -> Memory:
    """Say from a folder's config alone what its model will take in four bits.

    Raises:
        SurroundingsError: when the config cannot be read, or the family is not known.
    """
    from transformers import AutoConfig

    settings = settings or Nf4()
    with loading(folder, folder.name):
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        model = skeleton(config, dtype)
    paths, _ = packable(model, settings.skip)
    return count(
        model, paths, dtype=dtype, blocksize=settings.blocksize, double=settings.double, lora=lora
    )


def _whole(
    folder: Path,
    settings: Nf4,
    name: str,
    place: torch.device,
    kind: torch.dtype,
    say: Callable[[str], None],
) -> Any:
    """Load a folder in its own type, pack it, and let the rest be in the type asked for."""
    from transformers import AutoModelForCausalLM

    with loading(folder, name):
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype="auto", attn_implementation=attention.NAME, local_files_only=True,
            use_safetensors=True,
        )  # fmt: skip
    model = model.to(place)
    pack(model, settings, say=say)
    return model.to(kind)


def _fill(
    model: Any, shards: Shards, settings: Nf4, place: torch.device, *, packed: bool
) -> dict[str, str]:
    """Give a skeleton its weights; returns the linear layers that stay dense, with the reason."""
    names = _names(model, shards)
    linear = {p for p, m in model.named_modules() if type(m) is nn.Linear or is_conv1d(m)}
    if packed:
        told = {
            t.removesuffix(".weight") for f, t in names.items() if f"{f}.absmax" in shards.entries
        }
        paths, left = told & linear, dict.fromkeys(sorted(linear - told), "dense in the folder")
    else:
        found, left = packable(model, settings.skip)
        paths = set(found)
    own = {name for name, _ in model.named_parameters()}  # tied ones once
    pieces: dict[str, bytes] = {}
    for file_name, target in names.items():
        path, _, leaf = target.rpartition(".")
        if leaf == "weight" and path in paths and packed:
            layer = model.get_submodule(path)
            weights = read_packed(shards, file_name, sides(layer)).to(place)
            model.set_submodule(path, _packed(layer, weights))
        elif leaf == "weight" and path in paths:
            raw = shards.read(file_name)
            pieces[target] = weight_piece(target, raw)
            layer = model.get_submodule(path)
            raw = raw.to(place)
            weights = quantise(
                raw.t() if is_conv1d(layer) else raw,
                blocksize=settings.blocksize, double=settings.double, name=path,
            )  # fmt: skip
            model.set_submodule(path, _packed(layer, weights))
        else:
            kept = _put(model, target, shards, file_name, place)
            if target in own:
                pieces[target] = weight_piece(target, kept)
    model.tie_weights()
    _remake(model, place)
    setattr(model, KEPT, digest_of(pieces))
    return left


def _names(model: Any, shards: Shards) -> dict[str, str]:
    """Return the model's name of each tensor of the files, in the order they lie in."""
    wanted = model.state_dict(keep_vars=True)
    beside, prefix = companions(shards), f"{model.base_model_prefix}."
    ignored = (*IGNORED, *(getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()))
    if getattr(model, "_keep_in_fp32_modules_strict", None):
        raise _Unfit("parts of it must stay in float32")
    names: dict[str, str] = {}
    for name, entry in shards.entries.items():
        target = name if name in wanted else prefix + name
        if name in beside:
            continue
        if target in wanted:
            names[name] = target
            packed = f"{name}.absmax" in shards.entries
            if not packed and entry.shape != tuple(wanted[target].shape):
                raise _Unfit(f"{name} has the shape {entry.shape}")
        elif not any(re.search(pattern, name) for pattern in ignored):
            raise _Unfit(f"no module is called as {name}")
    given = {id(wanted[target]) for target in names.values()}
    if len(given) < len(names):
        raise _Unfit("tied weights are stored twice")
    for target, tensor in wanted.items():
        if id(tensor) not in given:
            raise _Unfit(f"no file holds {target}")
    return names


def _packed(layer: nn.Module, weights: Any) -> Nf4Linear:
    dense: Any = layer
    return Nf4Linear(weights, dense.bias, dtype=dense.weight.dtype, conv1d=is_conv1d(layer))


def _put(model: Any, target: str, shards: Shards, name: str, place: torch.device) -> Tensor:
    """Read a tensor that stays as it is, in the type of the skeleton's."""
    path, _, leaf = target.rpartition(".")
    parent = model.get_submodule(path)
    before = getattr(parent, leaf)
    tensor = shards.read(name, dtype=before.dtype, device=place)
    if isinstance(before, nn.Parameter):
        tensor = nn.Parameter(tensor, requires_grad=False)
    tensor._is_hf_initialized = True  # pyright: ignore  # transformers must not draw it anew
    setattr(parent, leaf, tensor)
    return tensor


def _remake(model: Any, place: torch.device) -> None:
    """Make the buffers that no file holds, such as rotary frequencies, as the family makes them.

    Each is made twice from different contents: what differs then was not made at all.
    """
    from transformers import PreTrainedModel

    owners = {p: m for p, m in model.named_modules() if isinstance(m, PreTrainedModel)}
    for path, module in model.named_modules():
        inside = (p for p in owners if not p or path == p or path.startswith(f"{p}."))
        owner = owners[max(inside, key=len)]
        mine = {n: b for n, b in module.named_buffers(recurse=False) if b.is_meta}
        if any(w.is_meta for w in module.parameters(recurse=False)):
            raise _Unfit(f"{path} got no weights")
        made: list[dict[str, Tensor]] = []
        for fill in (0, 1) if mine else ():
            for name, buffer in mine.items():
                setattr(module, name, torch.full_like(buffer, fill, device=place))
            with torch.no_grad():
                owner._init_weights(module)
            made.append({name: getattr(module, name) for name in mine})
        for name in mine:
            if not torch.equal(made[0][name], made[1][name]):
                raise _Unfit(f"{path}.{name} is made in a way of its own")
        if any(isinstance(v, Tensor) and v.is_meta for v in vars(module).values()):
            raise _Unfit(f"{path} holds tensors of its own")
