"""Up to four epochs are nearly as good as new data: the claim on the paper's own public runs.

Three answers of rising assumption: repeated against fresh runs of equal size and tokens, without a
law; the law with all its constants fitted to the runs; and the paper's own fit, whose law of fresh
data is held fixed and which lies on the floor of a flat valley.
Without `source` the refits that come with togi speak; with it they are made anew from the table.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from togi.data.law_numbers import estimate
from togi.data.repeated import ENDLESS, worth
from togi.data.repeated_plan import Known
from togi.data.repeated_presets import kept, known_from, record
from togi.data.scaling_fit import CHI2
from togi.data.scaling_runs import read_runs
from togi.gallery.finding import Finding, Holds, Plot, told
from togi.stats.estimate import Estimate
from togi.step import StepSettings, Work

EPOCHS = 4
NEGLIGIBLE = 0.01  # of the loss
SHOWN = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
HIGHEST = 15.0  # of the statistic that is drawn


class Settings(StepSettings):
    """What the entry reads."""

    source: str = ""
    """A table of the paper's 182 public runs with params, tokens, unique_tokens and val_loss
    (from `utils/parametric_fit.ipynb` of huggingface/datablations on GitHub); empty takes the
    refits that come with togi."""


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Refit the laws and write what was found."""
    if settings.source:
        entries = {one["name"]: one for one in record(read_runs(settings.source), seed=work.seed)}
    else:
        entries = kept()
    return finding(entries, refitted=bool(settings.source)).write(work.folder)


def finding(entries: dict[str, Any], *, refitted: bool = False) -> Finding:
    """Return what the records of the refits say of the claim."""
    paper, whole = (known_from(entries[name]) for name in ("c4", "whole"))
    measured = {(one["from"], one["to"]): one for one in entries["c4"]["measured"]}
    near = _excess(measured[3.0, 5.0])
    late = _excess(measured[16.0, 50.0])
    four, fixed = _worth(whole, EPOCHS), _worth(paper, EPOCHS)
    valley = [(r, s) for r, s in entries["c4"]["valley"] if r is not None and s <= CHI2]
    endless = entries["c4"]["valley"][-1][1] <= CHI2
    widest = f"{valley[0][0]:.2g} to " + ("no decay at all" if endless else f"{valley[-1][0]:.2g}")
    decay = estimate(float(whole.decay.tokens), np.asarray(whole.decay_draws.tokens), whole.n)
    return Finding(
        name="repeated_data",
        holds=_holds(near),
        measured=(
            f"In {measured[3.0, 5.0]['pairs']} pairs of runs of equal size and tokens, three to"
            f" five epochs end {_percent(near)} above fresh data, sixteen to fifty"
            f" {_percent(late)}. By the law fitted to all runs a token of four epochs is worth"
            f" {told(four)} of a fresh one."
        ),
        estimates={
            "loss at 3 to 5 epochs over fresh data, logarithm": near,
            "worth of a token at 4 epochs, whole law": four,
            "worth of a token at 4 epochs, the paper's law held fixed": fixed,
        },
        plots=[_worth_plot(paper, whole), _valley_plot(entries["c4"]["valley"])],
        notes=[
            f"The paper's R* of 15.4 repeats is one point of a flat valley: with its law of fresh"
            f" data held fixed, anything from {widest} is inside the 95 % likelihood interval.",
            f"Fitted together with the law of fresh data, R* is {told(decay)} repeats, and runs of"
            " sizes left out are predicted with half the error; excess parameters then show no"
            " decay of their own.",
            "No law of this form can show that losses rise again with many epochs, as they do in"
            " nine families of these runs, the earliest after 15 epochs.",
            "The runs are single seeds on C4; intervals resample whole model sizes.",
            ""
            if refitted
            else "From the refits that come with togi; --set source=FILE makes them anew.",
        ],
        values={"pairs": {f"{a:g} to {b:g}": one["pairs"] for (a, b), one in measured.items()}},
    )


def _holds(near: Estimate) -> Holds:
    """Nearly as good: the whole interval of the excess loss is below one per cent."""
    if near.high < NEGLIGIBLE:
        return "holds"
    return "does not hold here" if near.low > NEGLIGIBLE else "cannot tell"


def _excess(one: dict[str, Any]) -> Estimate:
    ratio = one["ratio"]
    mean, low, high = (math.nan if ratio[k] is None else ratio[k] for k in ("mean", "low", "high"))
    return Estimate(mean, low, high, int(ratio["n"]))


def _percent(found: Estimate) -> str:
    """Say a logarithm of a ratio near 1 in per cent.

    >>> _percent(Estimate(0.0059, 0.0042, 0.0088, 9))
    '0.59 % (0.42 to 0.88)'
    """
    return f"{100 * found.mean:.2f} % ({100 * found.low:.2f} to {100 * found.high:.2f})"


def _worth(known: Known, epochs: float) -> Estimate:
    draws = np.asarray(worth(epochs, known.decay_draws.tokens))
    return estimate(float(worth(epochs, known.decay.tokens)), draws, known.n)


def _worth_plot(paper: Known, whole: Known) -> Plot:
    return Plot(
        title="What a token is worth against a fresh one", x="epochs", y="worth",
        series={
            "whole law": [(float(k), _worth(whole, k)) for k in SHOWN],
            "paper's law held fixed": [(float(k), _worth(paper, k)) for k in SHOWN],
        },
        log_x=True,
    )  # fmt: skip


def _valley_plot(valley: list[list[float | None]]) -> Plot:
    drawn = [(r, s) for r, s in valley if r is not None and s is not None and s < HIGHEST]
    ends = [drawn[0][0], min(drawn[-1][0], ENDLESS)]
    return Plot(
        title="The flat valley", x="R*, in repeats", y="likelihood ratio statistic",
        series={"profile": drawn, "95 % limit": [(r, CHI2) for r in ends]},
        log_x=True,
    )  # fmt: skip
