"""Open any model, with an adapter on top where one is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from togi.errors import UsageError
from togi.lm.base import LanguageModel
from togi.lm.local import LocalModel, folder_digest


def open_tuned(
    spec: str,
    *,
    adapter: Path | None = None,
    dtype: str = "auto",
    offline: bool = False,
    trainable: bool = False,
    say: Callable[[str], None] = print,
) -> LanguageModel:
    """Open a model by catalogue name, hub id, folder or endpoint, and put an adapter on it.

    Args:
        spec: as `togi.lm.open.open_model` takes it.
        adapter: a LoRA adapter's folder in PEFT's layout.
        dtype: "auto", "bfloat16" or "float32"; local models only.
        offline: refuse to fetch anything.
        trainable: leave the adapter's weights open for training.
        say: told what is done.

    Raises:
        UsageError: an adapter for an endpoint, whose weights are out of reach.
    """
    from togi.lm.open import open_model

    model = open_model(spec, dtype=dtype, offline=offline, say=say)
    if adapter is None:
        return model
    if not isinstance(model, LocalModel):
        raise UsageError(
            "an adapter cannot be put on an endpoint",
            where=spec,
            found=str(adapter),
            hint="load the adapter into the server and name its model, or use local weights",
        )
    from togi.align.lora import load_adapter

    load_adapter(model.model, adapter, trainable=trainable)
    model.digest += "+" + folder_digest(adapter)
    return model


def open_local(
    spec: str,
    *,
    adapter: Path | None = None,
    dtype: str = "auto",
    offline: bool = False,
    say: Callable[[str], None] = print,
) -> LocalModel:
    """Open a local model for training; the adapter, if any, goes on being trained.

    Raises:
        UsageError: the model is an endpoint, which can be judged but not trained.
    """
    model = open_tuned(spec, adapter=adapter, dtype=dtype, offline=offline, trainable=True, say=say)
    if not isinstance(model, LocalModel):
        raise UsageError(
            "an endpoint can be judged but not trained",
            where="model",
            found=spec,
            expected="a catalogue name, a hub id or a local folder",
        )
    return model
