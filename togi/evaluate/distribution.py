"""A model's choice probabilities against the distribution of people's answers, not a majority.

A sample's metadata holds `counts`, how many people gave each choice, or `distribution`, shares
that add up to 1. With counts the *human ceiling* stands beside each score: one half of the
people predicts the other half (`togi.evaluate.disagreement.ceiling`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError
from togi.evaluate.asking import Answer, Asking, Measure, TaskKind
from togi.evaluate.disagreement.ceiling import MEASURES, SPLITS, SUMS, half, scores
from togi.evaluate.disagreement.soft import plurality, shares
from togi.evaluate.multiple_choice import LETTERS, choice_ask
from togi.lm.base import Scored
from togi.rows.types import Sample
from togi.stats.rng import stream

Floats = NDArray[np.float64]

BESIDE = ("cross_entropy", "js", "agreement")
"Measures that people's own stand beside."


def people_of(sample: Sample) -> tuple[Floats, NDArray[np.int64] | None]:
    """Return the people's shares, and their counts where those are known.

    Raises:
        DataError: the metadata holds neither, or what does not fit the choices.

    >>> sample = Sample(id="1", input="?", target=0, choices=("a", "b"),
    ...                 metadata={"counts": [3, 1]})
    >>> people_of(sample)[0].tolist()
    [0.75, 0.25]
    """
    size = len(sample.choices)
    if "counts" in sample.metadata:
        counts = _numbers(sample.metadata["counts"], size, "counts")
        if (counts % 1 != 0).any() or not counts.sum():
            raise DataError("'counts' are no whole numbers of people, one or more")
        return shares(counts[None])[0], counts.astype(np.int64)
    if "distribution" not in sample.metadata:
        raise DataError("it has no 'counts' or 'distribution' in its metadata")
    found = _numbers(sample.metadata["distribution"], size, "distribution")
    if abs(float(found.sum()) - 1) > SUMS:
        raise DataError(f"its distribution adds up to {float(found.sum()):.6g}, not to 1")
    return found / found.sum(), None


def _numbers(values: Any, size: int, name: str) -> Floats:
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.full(1, np.nan)
    if found.shape != (size,) or not np.isfinite(found).all() or (found < 0).any():
        raise DataError(f"its '{name}' is not one number of at least 0 for each choice")
    return found


def _unfit(asking: Asking, sample: Sample) -> str:
    if not 2 <= len(sample.choices) <= len(LETTERS):
        return f"it has {len(sample.choices)} choices; 2 to {len(LETTERS)} are needed"
    if not all(sample.choices) or len(set(sample.choices)) < len(sample.choices):
        return "its choices are empty or alike"
    try:
        people_of(sample)
    except DataError as error:
        return error.problem
    return ""


def _ask(asking: Asking, shots: Sequence[Sample], sample: Sample) -> Any:
    for shot in shots:
        if not isinstance(shot.target, int):
            raise DataError("a solved example needs a choice's index as its target", where=shot.id)
    return choice_ask(asking, shots, sample)


def probabilities(totals: Floats) -> Floats:
    """Return the choices' probabilities: their likelihoods, normalised over the choices.

    >>> probabilities(np.log([0.1, 0.3])).round(2).tolist()
    [0.25, 0.75]
    """
    top = totals.max()
    if not math.isfinite(top):
        return np.full(len(totals), np.nan)
    weight = np.exp(totals - top)
    return weight / weight.sum()


def human_ceiling(
    counts: NDArray[np.int64], q: Floats, name: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Return how half of the people predict the other half, and how q predicts the same halves.

    The halves are drawn by the sample's name, so that every model meets the same ones. To a half
    one rating is added that is spread evenly, as a single sample knows nothing of the others.
    """
    many = np.tile(counts, (SPLITS, 1))
    first = half(many, stream(0, "distribution", name))
    target = shares(many - first)
    people = scores(target, shares(first, prior=1 / len(counts)))
    model = scores(target, np.broadcast_to(q, target.shape))
    return (
        {measure: float(values.mean()) for measure, values in people.items()},
        {measure: float(values.mean()) for measure, values in model.items()},
    )


def _read(asking: Asking, sample: Sample, replies: Sequence[Scored]) -> Answer:
    p, counts = people_of(sample)
    q = probabilities(np.array([reply.total for reply in replies], dtype=np.float64))
    numbers = {name: float(value) for name, value in scores(p, q).items()}
    vote = plurality((p if counts is None else counts)[None])[0]
    best = (q == q.max()) / max(1, (q == q.max()).sum())
    numbers["majority"] = float((vote * best).sum()) if np.isfinite(q).all() else math.nan
    people: dict[str, float] = {}
    model: dict[str, float] = {}
    if counts is not None and counts.sum() >= 2 and np.isfinite(q).all():
        people, model = human_ceiling(counts, q, sample.id)
    for name in BESIDE:
        numbers[f"human_{name}"] = people.get(name, math.nan)
        numbers[f"above_human_{name}"] = model.get(name, math.nan) - people.get(name, math.nan)
    picked = sample.choices[int(np.argmax(q))] if np.isfinite(q).all() else ""
    detail = {"choices": list(sample.choices), "probabilities": [float(value) for value in q]}
    return Answer(picked, numbers, {**detail, "people": [float(value) for value in p]})


def _measures(asking: Asking) -> tuple[Measure, ...]:
    own = tuple(
        Measure(
            name=name,
            unit=unit,
            higher_is_better=better,
            definition=text,
            over=name,
            span=1.0 if name == "js" else 0.0,
        )
        for name, (unit, better, text) in MEASURES.items()
    )
    majority = Measure(
        name="majority",
        unit="share",
        higher_is_better=True,
        definition="share of samples whose most probable choice is the people's; ties are split",
        over="majority",
        thresholded=True,
        partner="js",
        span=1.0,
    )
    beside: list[Measure] = []
    for name in BESIDE:
        unit, better, _ = MEASURES[name]
        beside += [
            Measure(
                name=f"human_{name}",
                unit=unit,
                higher_is_better=better,
                definition=f"{name} that one half of the people reaches against the other half",
                over=f"human_{name}",
                compared=False,
            ),
            Measure(
                name=f"above_human_{name}",
                unit=unit,
                higher_is_better=better,
                definition=f"the model's {name} minus the people's, against the same halves",
                over=f"above_human_{name}",
                compared=False,
            ),
        ]
    return (*own, majority, *beside)


DISTRIBUTION = TaskKind(
    definition="how near the model's choice probabilities are to the distribution of people's",
    uses=("render",),
    measures=_measures,
    unfit=_unfit,
    ask=_ask,
    read=_read,
)
