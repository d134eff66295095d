"""Log-probabilities under a frozen reference: computed once, kept on disk under their content.

A file holds the sums of one list of requests. Its name is a digest of the requests' token ids and
of the reference's fingerprint (weights, adapter, dtype, template), so a resumed run uses the very
same numbers, another run over the same rows finds them, and other data or another model never do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.lm.forward import Request, stream_scores
from togi.train.files import told


def cached_sums(
    model: Any, requests: Sequence[Request], cache: Path, fingerprint: str, *, budget: int = 2048
) -> NDArray[np.float64]:
    """Return each request's summed log-probability [n] under the model as it stands now.

    Raises:
        SurroundingsError: the disk is full or the cache cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    file = cache / f"reference-{_key(requests, fingerprint)}.safetensors"
    if file.exists():
        try:
            found = load_file(file)["logps"]
            if found.shape == (len(requests),):
                return found
        except (SafetensorError, OSError, KeyError):  # damaged: computed and written again
            pass
    sums = reference_sums(model, requests, budget=budget)
    _save(file, sums)
    return sums


def reference_sums(
    model: Any, requests: Sequence[Request], *, budget: int = 2048
) -> NDArray[np.float64]:
    """Return each request's summed log-probability [n], in nats."""
    sums = np.zeros(len(requests))
    for pack, scores in stream_scores(model, requests, budget=budget):
        sums[pack] = scores.sums(len(pack)).double().cpu().numpy()
    return sums


def _key(requests: Sequence[Request], fingerprint: str) -> str:
    digest = hashlib.blake2b(fingerprint.encode(), digest_size=12)
    for request in requests:
        digest.update(np.asarray([request.start, *request.ids], dtype=np.int64).tobytes())
    return digest.hexdigest()


def _save(file: Path, sums: NDArray[np.float64]) -> None:
    import os

    from safetensors.numpy import save_file

    with told(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            save_file({"logps": sums}, draft)
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
