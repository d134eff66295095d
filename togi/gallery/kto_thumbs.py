"""KTO, which only knows thumbs up and down, against DPO, which knows pairs: the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from togi.gallery.finding import Finding, Holds, Plot, told
from togi.gallery.judged import Judged, negated
from togi.stats import Estimate
from togi.step import StepRef, StepSettings, Work

FORMAT, LIKELIHOOD = "format", "docstrings"
MARGIN = 0.03
"""How much less of the rules KTO may meet and still count as equal."""


class Settings(StepSettings):
    """What the entry reads."""

    scores: StepRef
    "The judging of base, sft, dpo and kto."


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Read the judging and write what was found."""
    judged = Judged(Path(work.input(settings.scores, "scores")).parent)
    return finding(judged).write(work.folder)


def finding(judged: Judged) -> Finding:
    """Return what the judging says of the claim."""
    against = judged.difference("kto", "dpo", FORMAT)
    likelier = negated(judged.difference("kto", "dpo", LIKELIHOOD))
    gains = {name: judged.difference(name, "sft", FORMAT) for name in ("dpo", "kto")}
    names = ("base", "sft", "dpo", "kto")
    scores = {name: judged.score(name, FORMAT) for name in names}
    bits = {name: judged.score(name, LIKELIHOOD) for name in names}
    return Finding(
        name="kto_thumbs",
        holds=_holds(against),
        measured=(
            f"Of the docstring rules KTO's answers meet {told(against)} more than DPO's (KTO"
            f" {told(gains['kto'])} and DPO {told(gains['dpo'])} more than before); real docstrings"
            f" cost KTO {told(likelier)} bits per byte less than DPO."
        ),
        estimates={
            "rules met, KTO minus DPO": against,
            "rules met, KTO minus SFT": gains["kto"],
            "rules met, DPO minus SFT": gains["dpo"],
            "bits per byte, DPO minus KTO": likelier,
            **{f"rules met by {name}": scores[name] for name in names},
            **{f"bits per byte of {name}": bits[name] for name in names},
        },
        plots=[
            Plot(
                title="Form of the answers and likelihood of real ones", kind="scatter",
                x="bits per byte of real docstrings", y="share of the rules met",
                series={name: [(bits[name].mean, scores[name])] for name in names},
            )
        ],
        notes=[
            f"Equal means no more than {MARGIN:g} of the rules below DPO, by the whole interval."
            " The paper compares models of 1 to 30 billion parameters by a judge's win rate.",
        ],
    )  # fmt: skip


def _holds(against: Estimate) -> Holds:
    """KTO matches or exceeds DPO where it is surely less than the margin below it."""
    if against.low > -MARGIN:
        return "holds"
    return "does not hold here" if against.high < -MARGIN else "cannot tell"
