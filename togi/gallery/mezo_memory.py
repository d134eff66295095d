"""MeZO against AdamW on the same adapter: what is reached, and in how much memory.

Both learn from half of the everyday questions that ship with togi and are judged on the other
half, by how surprising the right endings are. The memory is that of the whole model's update, in
processes of its own: only scoring, a step of MeZO, a step of AdamW.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from togi.errors import SurroundingsError
from togi.gallery.finding import Finding, Holds, Plot, told
from togi.stats import Estimate, paired_difference
from togi.stats.resampled import drawn_estimate, redrawn, unit_sums
from togi.step import StepSettings, Work

WAYS = ("scoring", "mezo", "adamw")
NAMES = {"scoring": "scoring only", "mezo": "MeZO", "adamw": "AdamW"}
WITHIN = 1.1
"""MeZO's memory above scoring's that still counts as the same."""
DRAWS = 2000
REACHED = 0.8
"""Share of AdamW's gain that counts as reached."""


class Settings(StepSettings):
    """How long each learns."""

    mezo_steps: int = Field(default=600, ge=2)
    "Updates of MeZO, of 32 questions each."
    adamw_steps: int = Field(default=60, ge=2)
    "Updates of AdamW, of 16 questions each."
    mezo_lr: float = Field(default=1e-3, gt=0)
    "MeZO's learning rate."
    adamw_lr: float = Field(default=2e-4, gt=0)
    "AdamW's learning rate."


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train both ways, measure the memory, and write what was found."""
    from togi.gallery.mezo_runs import trained

    losses, curve = trained(settings, work)
    peaks = {way: peak_of(way, work) for way in WAYS}
    return finding(losses, curve, peaks, settings).write(work.folder)


def peak_of(way: str, work: Work) -> float:
    """Return the peak of resident memory, in MB, of a process that works one way.

    Raises:
        SurroundingsError: the process failed, with what it said.
    """
    folder = work.folder / f"memory-{way}"
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "togi.gallery.mezo_runs", way, work.model, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SurroundingsError(
            f"the process that measures '{way}' failed", where="mezo_memory",
            found=(done.stderr.strip().splitlines() or ["no word"])[-1],
        )  # fmt: skip
    peak = float(json.loads(Path(folder / "peak.json").read_text())["peak_mb"])
    work.say(f"{NAMES[way]}: {peak:.0f} MB")
    return peak


def finding(
    losses: Mapping[str, Sequence[float]],
    curve: Sequence[tuple[int, float]],
    peaks: Mapping[str, float],
    settings: Settings,
) -> Finding:
    """Return what was reached and what it took.

    Args:
        losses: nats of each held-out question's right ending: "base", "mezo", "adamw".
        curve: MeZO's (step, training loss).
        peaks: MB by way.
    """
    base = losses["base"]
    gains = {
        way: paired_difference(base, losses[way]).estimate for way in ("mezo", "adamw")
    }  # fmt: skip
    share = share_of(losses)
    memory = {way: peaks[way] / peaks["scoring"] for way in WAYS}
    return Finding(
        name="mezo_memory",
        holds=_holds(share, memory["mezo"]),
        measured=(
            f"MeZO lowers the surprise of right endings by {told(gains['mezo'])} nats, AdamW by"
            f" {told(gains['adamw'])}: a share of {told(share)}. On all weights a step of MeZO"
            f" peaks at {peaks['mezo']:.0f} MB, {memory['mezo']:.2f} times scoring; AdamW at"
            f" {peaks['adamw']:.0f} MB, {memory['adamw']:.2f} times."
        ),
        estimates={
            "nats that MeZO gains": gains["mezo"],
            "nats that AdamW gains": gains["adamw"],
            "MeZO's share of AdamW's gain": share,
        },
        plots=[
            Plot(
                title="What is gained, and in how much memory", kind="scatter",
                x="peak of resident memory, MB", y="nats gained on held-out questions",
                series={NAMES[w]: [(peaks[w], gains[w])] for w in ("mezo", "adamw")},
            ),
            Plot(
                title="MeZO's loss", kind="line", x="updates", y="training loss, nats a token",
                series={"MeZO": [(step, loss) for step, loss in curve]},
            ),
        ],
        notes=[
            f"An adapter of rank 8, {settings.mezo_steps} updates of MeZO against"
            f" {settings.adamw_steps} of AdamW. Reached means at least {REACHED:g} of AdamW's gain,"
            f" by the whole interval, in at most {WITHIN:g} times the memory of scoring.",
            "The paper tunes models of 350 million to 66 billion parameters for ten to a hundred"
            " thousand updates.",
        ],
        values={"peaks_mb": dict(peaks)},
    )  # fmt: skip


def share_of(losses: Mapping[str, Sequence[float]]) -> Estimate:
    """Return MeZO's gain over AdamW's, questions resampled; unknown where AdamW gains nothing.

    >>> share_of({"base": [3.0, 2.0], "mezo": [2.0, 2.0], "adamw": [2.0, 1.0]}).mean
    0.5
    """
    base = np.asarray(losses["base"])
    gains = unit_sums(
        np.column_stack([base - np.asarray(losses[way]) for way in ("mezo", "adamw")]), None
    )

    def ratio(sums: Any) -> Any:
        return np.where(sums[:, 1] > 0, sums[:, 0], np.nan) / sums[:, 1]

    whole = float(ratio(gains.sum(0, keepdims=True))[0])
    return drawn_estimate(whole, ratio(redrawn(gains, DRAWS, 0)), len(gains))


def _holds(share: Estimate, memory: float) -> Holds:
    if memory > WITHIN or share.high < REACHED:
        return "does not hold here"
    return "holds" if share.low >= REACHED and not math.isnan(share.low) else "cannot tell"
