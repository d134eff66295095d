"""The reference's loss of each token: computed once, kept on disk under its content.

The file's name is a digest of the items' ids and of the reference's weights, so that a resumed run
takes the very same numbers, other proxies over the same items find them, and no other data does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.data.doremi import DomainItem, runs_of
from togi.lm.forward import answer_scores
from togi.train.digest import model_digest
from togi.train.files import told

LOSSES = "nats"


def with_losses(
    model: Any, items: Sequence[DomainItem], folder: Path, *, budget: int = 4096
) -> list[DomainItem]:
    """Fill in each item's `reference`, in nats a token, from the folder or from the model.

    Raises:
        SurroundingsError: the disk is full or the folder cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    file = folder / f"losses-{_key(model, items)}.safetensors"
    ends = np.cumsum([item.trained_tokens for item in items])
    flat = None
    if file.exists():
        try:
            flat = load_file(file)[LOSSES]
        except (SafetensorError, OSError, KeyError):  # damaged: computed and written again
            flat = None
    if flat is None or flat.shape != (ends[-1],):
        flat = token_losses(model, items, budget=budget)
        _save(file, flat)
    parts = np.split(flat, ends[:-1])
    return [replace(item, reference=part) for item, part in zip(items, parts, strict=True)]


def token_losses(
    model: Any, items: Sequence[DomainItem], *, budget: int = 4096
) -> NDArray[np.float32]:
    """Return the loss in nats of each trained token, items end to end."""
    import torch

    parts = [np.empty(0, dtype=np.float32)]
    with torch.no_grad():
        for part in runs_of(items, budget):
            scores = answer_scores(model, [item.request for item in part])
            parts.append(-scores.tokens.logprobs.float().cpu().numpy())
    return np.concatenate(parts)


def _key(model: Any, items: Sequence[DomainItem]) -> str:
    digest = hashlib.blake2b(model_digest(model).encode(), digest_size=12)
    for item in items:
        ids = np.asarray([item.request.start, *item.request.ids], dtype=np.int64)
        digest.update(ids.tobytes())
    return digest.hexdigest()


def _save(file: Path, flat: NDArray[np.float32]) -> None:
    import os

    from safetensors.numpy import save_file

    with told(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            save_file({LOSSES: flat}, draft)
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
