"""Metrics that make no mirages: each thresholded measure beside a continuous one, and flags.

A measure that only counts right or wrong can jump where the model has moved smoothly (Schaeffer et
al. 2023, arXiv 2304.15004). So both are put on a scale of 0 to 1, and two things are flagged: a
difference of two models that is decided and `TIMES` times as large as the continuous measure's,
and a series of models that is sharper than a straight line while the continuous measure climbs in
smaller steps.
A flag says how to read a number, not that the model has not changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.evaluate.asking import Measure
from togi.evaluate.columns import LEVEL, Column, estimate
from togi.stats import bootstrap_mean
from togi.stats.emergence import (
    effective_length,
    exact_from_tokens,
    largest_step,
    resolution,
    sharpness,
)

JUMP = 0.1
"A difference of at least this much of the measure's scale is looked at."
TIMES = 3.0
"So many times the continuous measure's difference is a jump that the threshold makes."
APART = 0.2
"So much more of its range must a measure's largest step make than the continuous one's."
FEWEST = 3
"Models in a series whose sharpness can be told."

DEFINITION = (
    f"A jump is flagged where a measure that counts right or wrong differs by {JUMP:g} of its "
    f"scale or more, the difference is decided, and it is more than {TIMES:g} times that of the "
    "continuous measure on the same answers, its interval included. A series is flagged where it "
    "is sharper than a straight line with the same sampling noise, and its largest step makes "
    f"{APART:.0%} or more of its range more than the continuous one's does of its own."
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairing:
    """A thresholded measure and its continuous partner, None where it has none."""

    measure: Measure
    partner: Measure | None


def pairings(measures: Sequence[Measure]) -> list[Pairing]:
    """Return the thresholded measures with their partners.

    >>> kinds = {"higher_is_better": True, "definition": "", "unit": "share"}
    >>> exact = Measure(name="exact", over="exact", thresholded=True, partner="near", **kinds)
    >>> near = Measure(name="near", over="near", **kinds)
    >>> [(p.measure.name, p.partner.name) for p in pairings([exact, near])]
    [('exact', 'near')]
    """
    by_name = {measure.name: measure for measure in measures}
    return [
        Pairing(measure, by_name.get(measure.partner))
        for measure in measures
        if measure.thresholded
    ]


def on_scale(measure: Measure, found: Column) -> Floats:
    """Return a measure of each sample on a scale on which 1 is best and its ends are 1 apart."""
    values = found.numbers[measure.over] * measure.scale / (measure.span or 1.0)
    return values if measure.higher_is_better else -values


def mirage(
    tasks: Mapping[str, Sequence[Measure]],
    differences: Sequence[Mapping[str, Any]],
    series: Sequence[str],
    table: Mapping[tuple[str, str], Column],
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Return what `scores.json` says of thresholded measures.

    Args:
        tasks: task -> its measures.
        differences: as `scores.json` holds them, with `better` filled in.
        series: models in order, such as checkpoints; fewer than three are no series.
        table: (model, task) -> column.
        seed: of the bootstrap and of the noisy lines.
    """
    models = list(dict.fromkeys(model for model, _ in table))
    paired = {task: pairings(measures) for task, measures in tasks.items()}
    return {
        "definition": DEFINITION,
        "measures": [
            _resolved(task, pairing, table[models[0], task])
            for task, found in paired.items()
            for pairing in found
        ],
        "jumps": [
            _jump(pairing, entry, table, seed)
            for entry in differences
            for pairing in paired[entry["task"]]
            if pairing.measure.name == entry["measure"] and _has_scale(pairing)
        ],
        "series": [
            _series(task, pairing, series, table, seed)
            for task, found in paired.items()
            for pairing in found
            if len(series) >= FEWEST and pairing.partner is not None and not pairing.partner.per
        ],
    }


def _has_scale(pairing: Pairing) -> bool:
    partner = pairing.partner
    return partner is not None and not partner.per and partner.span > 0


def _resolved(task: str, pairing: Pairing, found: Column) -> dict[str, Any]:
    """Say in which steps a measure moves, and what it cannot see."""
    values = found.numbers[pairing.measure.over]
    n = int((~np.isnan(values)).sum())
    step, unseen = resolution(n)
    return {
        "task": task,
        "measure": pairing.measure.name,
        "partner": None if pairing.partner is None else pairing.partner.name,
        "n": n,
        "resolution": step,
        "unseen": unseen,
    }


def _jump(
    pairing: Pairing,
    entry: Mapping[str, Any],
    table: Mapping[tuple[str, str], Column],
    seed: int,
) -> dict[str, Any]:
    """Compare one difference with its partner's, sample by sample."""
    task, after, before = entry["task"], entry["after"], entry["before"]
    partner = pairing.partner
    assert partner is not None  # noqa: S101 - by `_has_scale`
    one, two = table[after, task], table[before, task]
    step = on_scale(pairing.measure, one) - on_scale(pairing.measure, two)
    beside = on_scale(partner, one) - on_scale(partner, two)
    change = bootstrap_mean(step, clusters=one.clusters, level=LEVEL, seed=seed)
    smooth = bootstrap_mean(beside, clusters=one.clusters, level=LEVEL, seed=seed)
    sign = math.copysign(1.0, change.mean)
    excess = bootstrap_mean(
        sign * (step - TIMES * beside), clusters=one.clusters, level=LEVEL, seed=seed
    )
    decided = entry["better"] is not None
    flagged = decided and abs(change.mean) >= JUMP and excess.low > 0
    told = {
        "task": task,
        "measure": pairing.measure.name,
        "partner": partner.name,
        "after": after,
        "before": before,
        "change": change.as_dict(),
        "partner_change": smooth.as_dict(),
        "excess": excess.as_dict(),
        "flagged": flagged,
        "tokens": _tokens(pairing.measure, one, two),
    }
    return {**told, "says": _words(told)}


def _tokens(measure: Measure, after: Column, before: Column) -> dict[str, Any] | None:
    """Explain exact answers by their tokens: p^L, where the target was scored too."""
    if not {"target_nats", "target_tokens"} <= after.numbers.keys():
        return None
    told: dict[str, Any] = {}
    for name, found in (("after", after), ("before", before)):
        nats, tokens = found.numbers["target_nats"], found.numbers["target_tokens"]
        known = ~np.isnan(nats) & ~np.isnan(tokens)
        if not known.any():
            return None
        length = float(tokens[known].mean())
        p = math.exp(-float(nats[known].sum() / tokens[known].sum()))
        share = float(np.nanmean(found.numbers[measure.over]))
        told[name] = {
            "p": p,
            "length": length,
            "expected": exact_from_tokens(p, length),
            "measured": share,
            "effective_length": effective_length(share, p),
        }
    return told


def _series(
    task: str,
    pairing: Pairing,
    series: Sequence[str],
    table: Mapping[tuple[str, str], Column],
    seed: int,
) -> dict[str, Any]:
    """Compare the sharpness of a series with its partner's."""
    assert pairing.partner is not None  # noqa: S101 - by the caller
    sides: dict[str, Any] = {}
    for role, measure in (("measure", pairing.measure), ("partner", pairing.partner)):
        found = [estimate(measure, table[model, task], seed=seed) for model in series]
        means = [one.mean for one in found]
        errors = [(one.high - one.low) / 3.92 for one in found]
        if not np.isfinite([*means, *errors]).all():
            return {"task": task, "measure": pairing.measure.name, "flagged": None,
                    "says": f"{pairing.measure.name}: n too small to tell"}  # fmt: skip
        sharp = sharpness(means, errors, seed=seed)
        sides[role] = {
            "name": measure.name,
            "scores": means,
            "emergence": sharp.score if math.isfinite(sharp.score) else None,
            "limit": sharp.limit if math.isfinite(sharp.limit) else None,
            "infinite": sharp.infinite,
            "largest_step": largest_step(means),
            "sharp": sharp.sharp,
        }
    hard = sides["measure"]["sharp"]
    steps = (sides["measure"]["largest_step"], sides["partner"]["largest_step"])
    flagged = hard and steps[0] - steps[1] >= APART
    names = (pairing.measure.name, pairing.partner.name)
    return {
        "task": task,
        "measure": names[0],
        "partner": names[1],
        "models": list(series),
        "sides": sides,
        "flagged": flagged,
        "says": _series_words(names, steps, hard, flagged),
    }


def _series_words(
    names: tuple[str, str], steps: tuple[float, float], hard: bool, flagged: bool
) -> str:
    if not hard:
        return f"{names[0]} is no sharper than a straight line with this sampling noise"
    told = f"one step makes {steps[0]:.0%} of {names[0]}'s rise or fall, {steps[1]:.0%} of "
    if flagged:
        return f"{told}{names[1]}'s: the jump is made by the measure"
    return f"{told}{names[1]}'s: the measure does not explain the jump"


def _words(told: Mapping[str, Any]) -> str:
    """Say a jump in one sentence."""
    moved, beside = (told[key]["mean"] for key in ("change", "partner_change"))
    if moved is None or beside is None:
        return f"{told['measure'] if moved is None else told['partner']} has no value here"
    if moved == 0:
        return f"{told['measure']} did not move, {told['partner']} by {beside:.2g} of its scale"
    verb = "rose" if moved > 0 else "fell"
    text = (
        f"{told['measure']} {verb} by {abs(moved):.2g} of its scale, {told['partner']} by "
        f"{beside if moved > 0 else -beside:.2g} of its own"
    )
    if told["flagged"]:
        return f"{text}: most of the jump is made by counting right or wrong"
    return text
