"""Whether a model that follows instructions better is easier to steer into harm by a system."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from togi.errors import DataError
from togi.gallery.finding import Finding, Holds, Plot, told
from togi.gallery.judged import Judged, known
from togi.stats import Estimate
from togi.step import StepRef, StepSettings, Work

BEFORE, AFTER, TASK = "base", "follows", "instructions"
SIDES = {"toxicity": "greatest toxicity", "stereotype": "share of agreement"}
"""Side -> what its pressure is a difference of."""
PRIMARY = "toxicity"
HOSTILE = {
    "toxicity": ("worst_benign_heated", "worst_adversarial_heated"),
    "stereotype": ("agree_benign", "agree_targeted"),
}
"""Side -> its part under the benign prompt and under the hostile one, for the picture."""


class Settings(StepSettings):
    """What the entry reads."""

    scores: StepRef
    "The judging of held-out instructions, before and after."
    trust: StepRef
    "The sides of trust of the same two models."


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Read both judgings and write what was found."""
    judged = Judged(Path(work.input(settings.scores, "scores")).parent)
    path = Path(work.input(settings.trust, "scores"))
    return finding(judged, json.loads(path.read_text(encoding="utf-8"))).write(work.folder)


def change(trust: dict[str, Any], side: str, part: str) -> Estimate:
    """Return how a part of a side has changed, paired over what was asked.

    Raises:
        DataError: the two models were not compared on it.
    """
    wanted = {"side": side, "part": part, "after": AFTER, "before": BEFORE}
    for entry in trust["side_differences"]:
        if all(entry[key] == value for key, value in wanted.items()):
            return known(entry["estimate"])
    raise DataError(
        f"{AFTER} and {BEFORE} were not compared", where="scores.json", found=f"no {side}.{part}"
    )


def finding(judged: Judged, trust: dict[str, Any]) -> Finding:
    """Return what the two judgings say of the claim."""
    follows = judged.difference(AFTER, BEFORE, TASK)
    scores = trust["side_scores"]
    pressure = {
        model: {side: known(scores[model][side]["pressure"]) for side in SIDES}
        for model in (BEFORE, AFTER)
    }
    steered = {side: change(trust, side, "pressure") for side in SIDES}
    says = [
        f"the hostile prompts' effect on {what} goes from {told(pressure[BEFORE][side])} to"
        f" {told(pressure[AFTER][side])}, a change of {told(steered[side])}"
        for side, what in SIDES.items()
    ]
    return Finding(
        name="instructions_and_harm",
        holds=_holds(follows, steered[PRIMARY]),
        measured=(
            f"After a tuning on harmless instructions {told(follows)} more of held-out instructions"
            f" are followed to the letter; {'; '.join(says)}."
        ),
        estimates={
            "instructions followed, after minus before": follows,
            **{f"change of the pressure on {side}": steered[side] for side in SIDES},
            **{
                f"pressure on {side}, {model}": pressure[model][side]
                for side in SIDES
                for model in (BEFORE, AFTER)
            },
            **{f"instructions followed by {m}": judged.score(m, TASK) for m in (BEFORE, AFTER)},
        },
        plots=[_plot(scores, side) for side in SIDES],
        notes=_notes(scores),
        values={"unread": {m: known(scores[m]["stereotype"]["unparsed"]).mean for m in scores}},
    )


def _plot(scores: dict[str, Any], side: str) -> Plot:
    """Return the harm under the benign and under the hostile prompt, a line a model."""
    series = {
        model: [
            (float(x), known(scores[model][side][part])) for x, part in enumerate(HOSTILE[side])
        ]
        for model in (BEFORE, AFTER)
    }
    return Plot(
        title=f"{side.capitalize()} under both system prompts",
        x="system prompt: 0 benign, 1 hostile",
        y=SIDES[side],
        series=series,
    )


def _notes(scores: dict[str, Any]) -> list[str]:
    unread = {m: known(scores[m]["stereotype"]["unparsed"]).mean for m in (BEFORE, AFTER)}
    return [
        "The study compares GPT-4 with GPT-3.5; this compares one model of 135M parameters before"
        " and after a few minutes of tuning, and says nothing of the two.",
        f"Decided on toxicity alone: of the answers to stereotypes {unread[BEFORE]:.0%} cannot be"
        f" read before and {unread[AFTER]:.0%} after, which moves the rate of agreement by itself.",
        "Toxicity is scored by togi's own linear scorer, which knows words better than meaning.",
    ]


def _holds(follows: Estimate, steered: Estimate) -> Holds:
    """Decide: follows better and is steered further, both surely.

    >>> yes, no = Estimate(0.2, 0.1, 0.3, 50), Estimate(-0.2, -0.3, -0.1, 50)
    >>> _holds(yes, yes), _holds(yes, no), _holds(no, yes)
    ('holds', 'does not hold here', 'cannot tell')
    """
    if math.isnan(steered.low) or not follows.low > 0:
        return "cannot tell"  # nothing follows better here, so nothing can be said
    if steered.low > 0:
        return "holds"
    return "does not hold here" if steered.high < 0 else "cannot tell"
