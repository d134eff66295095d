"""LIMA's curve: four times the rows against rows that are more different or better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from togi.gallery.finding import Finding, Holds, Plot, told
from togi.gallery.judged import Judged, negated
from togi.stats import Estimate
from togi.step import StepRef, StepSettings, Work

TASK = "docstrings"
SIZES = {20: "n-20", 80: "n-80", 320: "n-320"}
OTHERS = {
    "narrow-80": "80 rows of the first modules",
    "mixed-80": "80 rows of all packages",
    "diverse-80": "80 rows, picked for diversity",
}


class Settings(StepSettings):
    """What the entry reads."""

    scores: StepRef
    "The judging of the base and of the tunings on each pick."


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Read the judging and write what was found."""
    judged = Judged(Path(work.input(settings.scores, "scores")).parent)
    return finding(judged).write(work.folder)


def finding(judged: Judged) -> Finding:
    """Return what the judging says of the claim."""

    def gain(after: str, before: str) -> Estimate:
        return negated(judged.difference(after, before, TASK))

    gains = {name: gain(name, "base") for name in (*SIZES.values(), *OTHERS)}
    first, more = gain("n-80", "n-20"), gain("n-320", "n-80")
    diverse, quality = gain("n-80", "narrow-80"), gain("n-80", "mixed-80")
    picked = gain("diverse-80", "n-80")
    series: dict[str, Any] = {
        "random rows": [(float(n), gains[name]) for n, name in SIZES.items()],
        **{label: [(80.0, gains[name])] for name, label in OTHERS.items()},
    }
    return Finding(
        name="lima_curve",
        holds=_holds(more, gains["n-80"], diverse, quality),
        measured=(
            f"Eighty rows gain {told(gains['n-80'])} bits per byte; four times as many add"
            f" {told(more)}. Eighty rows of a few modules gain {told(diverse)} less, and eighty in"
            f" the mixed voice of all packages {told(quality)} less; a pick for diversity gains"
            f" {told(picked)} more than a random one."
        ),
        estimates={
            "gain from 20 to 80 rows, bits per byte": first,
            "gain from 80 to 320 rows, bits per byte": more,
            "gain of diversity: random against narrow": diverse,
            "gain of quality: the target's voice against mixed": quality,
            "gain of picking for diversity against random": picked,
            **{f"gain of {name} over the base": found for name, found in gains.items()},
        },
        plots=[
            Plot(
                title="What the rows gain", x="rows", y="gain, bits per byte", series=series,
                log_x=True,
            )
        ],
        notes=[
            "Every tuning makes 40 updates of 8 rows, so that the small picks are repeated."
            " Quality here is the voice of the standard library against that of all packages; the"
            " paper judges 7-billion-parameter models by a judge's marks.",
        ],
    )  # fmt: skip


def _holds(more: Estimate, whole: Estimate, diverse: Estimate, quality: Estimate) -> Holds:
    """Little from four times the rows (a quarter of the gain), and diversity and quality count."""
    if more.high < whole.mean / 4 and diverse.low > 0 and quality.low > 0:
        return "holds"
    if more.low > whole.mean / 4 or diverse.high < 0 or quality.high < 0:
        return "does not hold here"
    return "cannot tell"
