"""What opening a model takes: device and dtype, faults in words, a check that the family fits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from togi.errors import SurroundingsError, UsageError
from togi.lm import attention
from togi.lm.forward import Request, answer_scores

ELSEWHERE = "serve it behind an OpenAI-compatible endpoint and judge that"


def ready(
    name: str, dtype: str, device: str, say: Callable[[str], None]
) -> tuple[torch.device, torch.dtype]:
    """Make the process ready to open a model, and say where and in what it will compute."""
    from transformers.utils import logging

    from togi.lm.levers import apply_levers

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    apply_levers(say)
    attention.register()
    place = _device(device)
    kind, reason = _dtype(dtype, place)
    say(f"model {name}: {place}, {str(kind).removeprefix('torch.')} ({reason})")
    return place, kind


@contextlib.contextmanager
def loading(folder: Path, name: str) -> Iterator[None]:
    """Word what transformers raises when a folder cannot be loaded."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError) as error:
        if attention.NAME in str(error):
            raise SurroundingsError(
                "this model family does not use transformers' attention registry, so togi cannot "
                "pack for it",
                where=name,
                hint=ELSEWHERE,
            ) from error
        raise SurroundingsError(
            "the model could not be loaded",
            where=str(folder),
            found=(str(error).splitlines() or [type(error).__name__])[0],
            hint="a folder with config.json, safetensors weights and a tokenizer is needed",
        ) from error


def _device(device: str) -> torch.device:
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _dtype(dtype: str, device: torch.device) -> tuple[torch.dtype, str]:
    from togi.lm.levers import bfloat16_pays

    named = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}
    if dtype in named:
        return named[dtype], "as asked"
    if dtype != "auto":
        raise UsageError(
            f"dtype must be auto, bfloat16, float32 or float64, got {dtype!r}", where="model"
        )
    if device.type == "cpu":
        fast = bfloat16_pays()
        return (
            (torch.bfloat16, "the faster format on this processor")
            if fast
            else (torch.float32, "bfloat16 is not faster on this processor")
        )
    return torch.bfloat16, "native on this device"


def probe(model: Any, name: str) -> None:
    """Check that tree, head and the family's own forward agree, before anything depends on it.

    The two sequences part halfway, so that a part of the family which looks at neighbouring rows
    instead of ancestors (a convolution, a recurrence, positions counted by row) shows as well.
    """
    size = model.config.get_text_config().vocab_size
    endings = ((7, 19, 2), (23, 5, 8))
    sequences = [tuple(i % size for i in (11, 7, 301, 45, *ending)) for ending in endings]
    try:
        scores = answer_scores(model, [Request(ids, 1) for ids in sequences])
        theirs = torch.cat([_own_logprobs(model, ids) for ids in sequences])
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise SurroundingsError(  # what foreign code raises at an input it does not foresee
            "this model family does not run through togi's token tree",
            where=name,
            found=f"{type(error).__name__}: {error}".splitlines()[0],
            hint=ELSEWHERE,
        ) from error
    gap = (scores.tokens.logprobs.double() - theirs).abs().max().item()
    limit = 0.25 if model.dtype in (torch.bfloat16, torch.float16) else 1e-2
    if not gap <= limit:
        raise SurroundingsError(
            "this model family gives other answers through togi's token tree than on its own",
            where=name,
            found=f"log-probabilities that differ by {gap:.3g}",
            expected=f"at most {limit}",
            hint=f"its head or layers have a part that togi does not know; {ELSEWHERE}",
        )


@torch.no_grad()
def _own_logprobs(model: Any, ids: tuple[int, ...]) -> torch.Tensor:
    """Return the log-probabilities of ids[1:] by the family's own forward and head."""
    model.set_attn_implementation("eager")
    try:
        given = torch.tensor([ids], device=model.device)
        logprobs = model(given, use_cache=False).logits[0].double().log_softmax(-1)
        return logprobs[:-1].gather(1, given[0, 1:, None])[:, 0]
    finally:
        model.set_attn_implementation(attention.NAME)
