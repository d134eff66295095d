"""LoRA against full fine-tuning: what is learnt of the task, and what is forgotten of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from togi.gallery.finding import Finding, Holds, Plot, told
from togi.gallery.judged import Judged, negated
from togi.stats import Estimate
from togi.step import StepRef, StepSettings, Work

LORA = ("lora-8", "lora-64")
FULL = ("full-2e-5", "full-1e-4")
LEARNT, FORGOTTEN = "docstrings", "general_text"


class Settings(StepSettings):
    """What the entry reads."""

    scores: StepRef
    "The judging of the base, two adapters and two full tunings."


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Read the judging and write what was found."""
    judged = Judged(Path(work.input(settings.scores, "scores")).parent)
    return finding(judged).write(work.folder)


def finding(judged: Judged) -> Finding:
    """Return what the judging says of the claim, each method at its better setting."""
    names = (*LORA, *FULL)
    learnt = {name: negated(judged.difference(name, "base", LEARNT)) for name in names}
    forgotten = {name: judged.difference(name, "base", FORGOTTEN) for name in names}
    lora, full = (max(of, key=lambda name: learnt[name].mean) for of in (LORA, FULL))
    more_learnt = negated(judged.difference(full, lora, LEARNT))
    more_forgotten = judged.difference(full, lora, FORGOTTEN)
    return Finding(
        name="lora_forgets_less",
        holds=_holds(more_learnt, more_forgotten),
        measured=(
            f"Where each learns most ({full}, {lora}), full fine-tuning learns {told(more_learnt)}"
            f" bits per byte more than LoRA and forgets {told(more_forgotten)} more;"
            f" LoRA learns {told(learnt[lora])} and forgets {told(forgotten[lora])}."
        ),
        estimates={
            "full learns more than LoRA, bits per byte": more_learnt,
            "full forgets more than LoRA, bits per byte": more_forgotten,
            **{f"learnt by {name}, bits per byte": learnt[name] for name in names},
            **{f"forgotten by {name}, bits per byte": forgotten[name] for name in names},
        },
        plots=[
            Plot(
                title="What is learnt against what is forgotten", kind="scatter",
                x="learnt, bits per byte", y="forgotten, bits per byte",
                series={name: [(learnt[name].mean, forgotten[name])] for name in names},
            )
        ],
        notes=[
            "The paper's tunings see up to 20 billion tokens; these see 60 steps of 8 rows. The"
            " two learning rates of full fine-tuning bracket what suits it here.",
        ],
        values={"full": full, "lora": lora},
    )  # fmt: skip


def _holds(learnt: Estimate, forgotten: Estimate) -> Holds:
    """LoRA learns less and forgets less where both differences are surely above zero."""
    if learnt.low > 0 and forgotten.low > 0:
        return "holds"
    return "does not hold here" if min(learnt.high, forgotten.high) < 0 else "cannot tell"
