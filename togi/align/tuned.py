"""Open any model, with an adapter on top where one is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from togi.errors import UsageError
from togi.lm.base import LanguageModel
from togi.lm.local import LocalModel, folder_digest
from togi.lm.open import ENDPOINT

if TYPE_CHECKING:
    from togi.align.nf4_model import Nf4


def open_tuned(
    spec: str,
    *,
    adapter: Path | None = None,
    dtype: str = "auto",
    offline: bool = False,
    trainable: bool = False,
    nf4: Nf4 | None = None,
    say: Callable[[str], None] = print,
) -> LanguageModel:
    """Open a model by catalogue name, hub id, folder or endpoint, and put an adapter on it.

    An adapter that was trained on a packed base (QLoRA) gets that base packed the same way, so
    that it answers as it was trained.

    Args:
        spec: as `togi.lm.open.open_model` takes it.
        adapter: an adapter's folder in PEFT's layout: LoRA, DoRA or a prefix.
        dtype: "auto", "bfloat16" or "float32"; local models only.
        offline: refuse to fetch anything.
        trainable: leave the adapter's weights open for training.
        nf4: hold the linear layers in four bits; a folder that is packed already always is so.
        say: told what is done.

    Raises:
        UsageError: an adapter for an endpoint, or four bits, whose weights are out of reach.
    """
    if nf4 is None and (packing := packing_of(adapter)) and not spec.startswith(ENDPOINT):
        from togi.align.nf4_model import Nf4

        nf4 = Nf4(**packing)
    model = _open(spec, dtype, offline, nf4, say)
    if adapter is None:
        return model
    if not isinstance(model, LocalModel):
        raise UsageError(
            "an adapter cannot be put on an endpoint",
            where=spec,
            found=str(adapter),
            hint="load the adapter into the server and name its model, or use local weights",
        )
    put_adapter(model, adapter, trainable=trainable)
    return model


def put_adapter(model: LocalModel, adapter: Path, *, trainable: bool = False) -> None:
    """Put a saved adapter on an open model, whatever its kind."""
    if kind_of(adapter) == "PREFIX_TUNING":
        from togi.align.prefix import load_prefix

        load_prefix(model.model, adapter, trainable=trainable)
    else:
        from togi.align.lora import load_adapter

        load_adapter(model.model, adapter, trainable=trainable)
    model.digest += "+" + folder_digest(adapter)


def kind_of(adapter: Path) -> str:
    """Return an adapter's kind as PEFT names it, "" where its config does not tell."""
    return str(_json(adapter / "adapter_config.json").get("peft_type", ""))


def packing_of(adapter: Path | None) -> dict[str, Any]:
    """Return how the base was packed while an adapter was trained; empty for a plain base."""
    from togi.align.lora_base import adapter_base

    base = None if adapter is None else adapter_base(adapter)
    packing = (base and base.packing) or {}
    return {key: value for key, value in packing.items() if key != "kind"}


def _json(file: Path) -> dict[str, object]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # whoever reads it for its own sake says what is wrong
    return found if isinstance(found, dict) else {}


def merge_in(model: LocalModel) -> None:
    """Fold a LoRA adapter into the weights for good; the layers are ordinary ones again.

    A base in four bits is restored first: merged weights are never quantised anew.
    """
    from togi.align.lora import merge, unload
    from togi.align.nf4_layer import packed_layers
    from togi.align.nf4_model import unpack

    if any(packed_layers(model.model)):
        unpack(model.model)
    merge(model.model, keep=False)
    unload(model.model)
    model.digest += "+merged"


def _open(
    spec: str, dtype: str, offline: bool, nf4: Nf4 | None, say: Callable[[str], None]
) -> LanguageModel:
    from togi.lm.open import open_model

    if spec.startswith(ENDPOINT):
        if nf4 is not None:
            hint = "use local weights, or have the server quantise them"
            raise UsageError("an endpoint cannot be put in four bits", where=spec, hint=hint)
        return open_model(spec, dtype=dtype, offline=offline, say=say)
    from togi.lm.catalogue import resolve

    folder = resolve(spec, offline=offline, say=say)
    from togi.align.nf4_files import is_packed_folder

    if nf4 is None and not is_packed_folder(folder):
        from togi.lm.local import load_local

        return load_local(folder, name=spec, dtype=dtype, say=say)
    from togi.align.nf4_open import open_nf4

    return open_nf4(folder, nf4, name=spec, dtype=dtype, say=say)


def open_local(
    spec: str,
    *,
    adapter: Path | None = None,
    dtype: str = "auto",
    offline: bool = False,
    nf4: Nf4 | None = None,
    say: Callable[[str], None] = print,
) -> LocalModel:
    """Open a local model for training; the adapter, if any, goes on being trained.

    Raises:
        UsageError: the model is an endpoint, which can be judged but not trained.
    """
    model = open_tuned(
        spec, adapter=adapter, dtype=dtype, offline=offline, trainable=True, nf4=nf4, say=say
    )
    if not isinstance(model, LocalModel):
        raise UsageError(
            "an endpoint can be judged but not trained",
            where="model",
            found=spec,
            expected="a catalogue name, a hub id or a local folder",
        )
    return model
