"""DSIR against chance and against a classifier: as many rows of each, judged on a real target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from togi.gallery.finding import Finding, Holds, Plot, told
from togi.gallery.judged import Judged, negated
from togi.rows.read import read_rows
from togi.rows.types import Row
from togi.stats import Estimate
from togi.step import StepRef, StepSettings, Work

TASK = "docstrings"
WAYS = ("random", "classifier", "dsir")
FEATURES = "{response}"
BUCKETS = 1000  # of single words: a pick of some hundred rows fills no more of them
SMOOTHING = 1.0  # added to every bucket of the target and of a pick


class Settings(StepSettings):
    """What the entry reads."""

    scores: StepRef
    "The judging of the base and of a tuning on each pick, named as the picks below."
    pool: StepRef
    "The rows that were chosen from."
    target: StepRef
    "The rows that they should resemble."
    random: StepRef
    "The pick at random."
    classifier: StepRef
    "The pick by a classifier."
    dsir: StepRef
    "The pick by DSIR."


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Read the picks and the judging, and write what was found."""
    from togi.data.render import Renderer

    render = Renderer(FEATURES, work.name)

    def bag(ref: str) -> np.ndarray:
        return bag_of(read_rows(work.input(ref, "rows"), kind="native"), render)

    picks = {way: bag(getattr(settings, way)) for way in WAYS}
    reductions = reductions_of(bag(settings.pool), bag(settings.target), picks)
    judged = Judged(Path(work.input(settings.scores, "scores")).parent)
    return finding(judged, reductions).write(work.folder)


def bag_of(rows: Iterable[Row], render: Any) -> np.ndarray:
    """Count the hashed n-grams of rows: int64[buckets]."""
    from togi.data.features import Features
    from togi.data.featuriser import Featuriser

    featuriser = Featuriser(Features(order=1, buckets=BUCKETS))
    for row in rows:
        featuriser.texts([render(row)])
    return featuriser.counts


def reductions_of(
    pool: np.ndarray, target: np.ndarray, picks: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Return how much nearer than the pool each pick's bag is to the target's, in nats.

    >>> pool, target = np.array([50, 50]), np.array([99, 0])
    >>> reductions_of(pool, target, {"like": target, "unlike": np.array([0, 99])})["like"] > 0.6
    True
    """
    from togi.data.importance import fit, kl_reduction

    fitted = fit(pool, target, SMOOTHING)
    bags = {way: counts + SMOOTHING for way, counts in picks.items()}
    return {
        way: kl_reduction(fitted.target, fitted.raw, bag / bag.sum()) for way, bag in bags.items()
    }


def finding(judged: Judged, reductions: Mapping[str, float]) -> Finding:
    """Return what the judging says of the claim."""

    def gain(after: str, before: str) -> Estimate:
        return negated(judged.difference(after, before, TASK))

    gains = {way: gain(way, "base") for way in WAYS}
    chance, filtered = gain("dsir", "random"), gain("dsir", "classifier")
    return Finding(
        name="dsir_selects",
        holds=_holds(chance, filtered),
        measured=(
            f"With as many rows, those that DSIR picks gain {told(chance)} bits per byte of the"
            f" held-out target more than random ones, and {told(filtered)} more than those that a"
            f" classifier takes most surely for the target's. KL reductions, in nats:"
            f" random {reductions['random']:.2f}, classifier {reductions['classifier']:.2f},"
            f" DSIR {reductions['dsir']:.2f}."
        ),
        estimates={
            "gain of DSIR over random rows, bits per byte": chance,
            "gain of DSIR over a classifier, bits per byte": filtered,
            **{f"gain of {way} rows over the base, bits per byte": gains[way] for way in WAYS},
        },
        plots=[
            Plot(
                title="What the picks gain, by how near they come to the target", kind="scatter",
                x="KL reduction, nats", y="gain, bits per byte",
                series={way: [(reductions[way], gains[way])] for way in WAYS},
            )
        ],
        notes=[
            "The paper trains models from nothing on 51 million documents and judges them on GLUE;"
            " this tunes a small model on some hundred rows. The intervals are over the held-out"
            " modules for one pick each; another seed picks others.",
        ],
        values={"kl_reduction": dict(reductions)},
    )  # fmt: skip


def _holds(chance: Estimate, filtered: Estimate) -> Holds:
    """Better than either, surely."""
    if chance.low > 0 and filtered.low > 0:
        return "holds"
    return "does not hold here" if min(chance.high, filtered.high) < 0 else "cannot tell"
