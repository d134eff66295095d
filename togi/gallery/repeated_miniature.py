"""Four epochs against new text, with a small model from scratch: `repeated_data` in miniature.

All models see the same number of bytes of the standard library's code; what differs is how many of
them are new. A seed has its own beginning weights and its own text, the same for all epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from togi.align.sft import Sft
from togi.data.doremi import DomainItem
from togi.data.mixture_trial import held_out_bits
from togi.data.proxy import BYTES, Shape, by_bytes, new_proxy, pieces
from togi.errors import DataError
from togi.gallery.doremi_weights import SOURCES
from togi.gallery.finding import Finding, Holds, Plot, told
from togi.lm.forward import Request
from togi.stats import Estimate, derive, paired_difference, stream
from togi.step import StepSettings, Work
from togi.train.config import TrainConfig
from togi.train.loop import train

EPOCHS = (1, 4, 16, 64)
BATCH, CONTEXT = 12, 96  # pieces of a step; bytes of a piece
JUDGED = 600  # held-out pieces
HELD_OUT = 0.1  # of the files' parts
NEGLIGIBLE = 0.01  # of the loss

Bits = Mapping[int, NDArray[np.float64]]
"""Epochs -> held-out bits per byte [seeds]."""


class Settings(StepSettings):
    """How much is trained."""

    seeds: int = Field(default=3, ge=2)
    "Models for each number of epochs."
    steps: int = Field(default=640, ge=64)
    "Updates of each of them; new text for all of them must be there."
    width: int = Field(default=64, ge=8)
    "Their width, with one layer."


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train, judge, and write what was found."""
    learnt, held_out = cut(seed=work.seed)
    bits = trained(settings, learnt, held_out, seed=work.seed, folder=work.folder, say=work.say)
    return finding(bits, settings).write(work.folder)


def cut(*, seed: int) -> tuple[list[DomainItem], list[DomainItem]]:
    """Return pieces of the standard library's code, to learn from and to judge by."""
    texts = list(SOURCES["code"]())
    order = stream(seed, "repeated").permutation(len(texts)).tolist()
    apart = max(1, round(HELD_OUT * len(texts)))
    none = np.empty(0, dtype=np.float32)
    sides = [
        [
            DomainItem(f"code#{i}", Request(ids, 1), 0, size, none)
            for i, (ids, size) in enumerate(
                pieces([texts[t] for t in side], by_bytes, first=BYTES, context=CONTEXT)
            )
        ]
        for side in (order[apart:], order[:apart])
    ]
    return sides[0], sides[1][:JUDGED]


def trained(
    settings: Settings,
    learnt: list[DomainItem],
    held_out: list[DomainItem],
    *,
    seed: int,
    folder: Path,
    say: Callable[[str], None],
) -> Bits:
    """Train a model for each number of epochs and seed; a stopped training goes on.

    Raises:
        DataError: fewer pieces than the updates need new ones.
    """
    whole = settings.steps * BATCH
    if whole > len(learnt):
        raise DataError(
            "too little text for one epoch of so many steps", where="repeated_miniature",
            found=f"{len(learnt)} pieces", expected=f"{whole}", hint="lower steps",
        )  # fmt: skip
    shape = Shape(width=settings.width, layers=1, context=CONTEXT)
    bits: dict[int, list[float]] = {epochs: [] for epochs in EPOCHS}
    for number in range(settings.seeds):
        own = derive(seed, "repeated", number) >> 1
        order = stream(own, "text").permutation(len(learnt)).tolist()
        config = TrainConfig(
            steps=settings.steps, batch=BATCH, micro_tokens=4096, lr=1e-2, warmup=0.06,
            betas=(0.9, 0.99), weight_decay=0.01, seed=own, save_every=200, keep=1,
        )  # fmt: skip
        for epochs in EPOCHS:
            items = [learnt[place] for place in order[: whole // epochs]]
            model = new_proxy(shape, seed=own)
            train(model, Sft(), items, config, folder / f"{epochs}-{number}", say=lambda line: None)
            found = float(held_out_bits(model, held_out, 1, budget=4096)[0])
            bits[epochs].append(found)
            say(f"seed {number + 1}, {epochs} epochs: {found:.3f} held-out bits per byte")
    return {epochs: np.array(values) for epochs, values in bits.items()}


def excess(bits: Bits, epochs: int) -> Estimate:
    """Return the logarithm of the loss over that of new text, seed by seed."""
    pair = (np.log(bits[epochs]).tolist(), np.log(bits[1]).tolist())
    return paired_difference(*pair).estimate


def finding(bits: Bits, settings: Settings) -> Finding:
    """Return what the models say of the claim."""
    above = {epochs: excess(bits, epochs) for epochs in EPOCHS[1:]}
    said = ", ".join(f"{told(above[epochs])} at {epochs}" for epochs in EPOCHS[1:])
    return Finding(
        name="repeated_miniature",
        holds=_holds(above[4]),
        measured=f"Logarithm of the held-out loss over that of new text, by epochs: {said}.",
        estimates={f"at {n} epochs over new text, logarithm": above[n] for n in EPOCHS[1:]},
        plots=[
            Plot(
                title="Loss over that of new text, by epochs over the same bytes in all",
                x="epochs", y="logarithm of the ratio",
                series={"excess": [(1.0, 0.0), *((float(n), above[n]) for n in EPOCHS[1:])]},
                log_x=True,
            )
        ],
        notes=[
            f"One layer of width {settings.width} from scratch over bytes of Python code,"
            f" {settings.steps * BATCH * CONTEXT:,} bytes in all; the paper's models have 10"
            " million to 9 billion weights and read up to 900 billion tokens.",
            f"Intervals are over {settings.seeds} seeds; `repeated_data` has the paper's own runs.",
        ],
        values={"bits": {str(n): values.tolist() for n, values in bits.items()}},
    )  # fmt: skip


def _holds(near: Estimate) -> Holds:
    """Negligible: the whole interval of the excess loss is below one per cent."""
    if near.high < NEGLIGIBLE:
        return "holds"
    return "does not hold here" if near.low > NEGLIGIBLE else "cannot tell"
