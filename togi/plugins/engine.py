"""Opening togi's local engine for another program, and saying what it does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from togi.errors import UsageError

if TYPE_CHECKING:
    from togi.lm.local import LocalModel


def open_engine(
    spec: str, adapter: str | None, dtype: str, device: str | None, offline: bool
) -> LocalModel:
    """Open a model for another program, on the device that was asked for.

    Raises:
        UsageError: it is an endpoint; the other program has clients of its own for these.
    """
    from togi.align.tuned import open_tuned
    from togi.lm.local import LocalModel

    folder = None if adapter is None else Path(adapter).expanduser()
    model = open_tuned(spec, adapter=folder, dtype=dtype, offline=offline, say=tell)
    if not isinstance(model, LocalModel):
        raise UsageError(
            "this plug-in needs a local model",
            where=spec,
            hint="for an endpoint take the other program's own client",
        )
    _place(model.model, device)
    return model


def _place(model: Any, device: str | None) -> None:
    """Move the weights where they were asked for; lm-eval asks for cuda where nobody says."""
    import torch

    if device is None:
        return
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        tell(f"there is no {device} here; the model stays on {model.device}")
        return
    model.to(device)


def tell(line: str) -> None:
    """Say a line beside the other program's own output."""
    print(line, file=sys.stderr)  # noqa: T201 - results go to the standard output
