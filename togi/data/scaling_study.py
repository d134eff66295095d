"""A whole study of scaling runs, as plain values: laws, budgets, profiles, next runs, warnings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from togi.data.isoflop import IsoFlop, isoflop
from togi.data.law_numbers import clean, estimate, told
from togi.data.scaling import FORMS, exponents, kaplan_optimum, points_of
from togi.data.scaling_checks import FAR, condition, groups_of, warnings_of
from togi.data.scaling_curves import allocation, curves
from togi.data.scaling_fit import DELTA, Fit, bootstrap, cross_validate, fit
from togi.data.scaling_optimal import DRAWS, Fitted, fit_runs, quantities, split
from togi.data.scaling_plan import propose
from togi.data.scaling_presets import chinchilla
from togi.data.scaling_runs import Runs
from togi.data.solve import Floats
from togi.stats.paired import paired_difference

HUGE = 600.0  # the logarithm of a constant that a resample left without bounds
SMALLEST = 1e18  # FLOPs from which on the published law is drawn
CAPS = (0.1, 1.0, 10.0)  # costs of a proposed run, over what it may cost, that are compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of the runs.

    Attributes:
        budgets: FLOPs whose best split is wanted; the dearest run's, and ten times it, by default.
        isoflop: FLOPs of the profiles; found from the runs by default.
        read: tokens that the model will read in use.
        draws: bootstrap resamples.
        level: of the intervals.
        delta: of the Huber loss.
        next_runs: how many runs to propose.
        next_flops: what a proposed run may cost; the dearest run's FLOPs by default.
        seed: of the draws.
    """

    budgets: Sequence[float] = ()
    isoflop: Sequence[float] = ()
    read: float = 0.0
    draws: int = DRAWS
    level: float = 0.95
    delta: float = DELTA
    next_runs: int = 3
    next_flops: float | None = None
    seed: int = 0


def study(runs: Runs | None, asked: Question) -> dict[str, Any]:
    """Fit the laws to the runs and answer; what is returned is ready for JSON.

    Without runs Chinchilla's law answers, as refitted to its public runs.

    Raises:
        DataError: the runs cannot tell the law at all.
        UsageError: a budget, level or number of draws that makes no sense.
    """
    if runs is None:
        return _published(asked)
    found = fit_runs(runs, delta=asked.delta, draws=asked.draws, seed=asked.seed)
    largest = float(runs.flops.max())
    budgets = [float(b) for b in asked.budgets] or [largest, 10 * largest]
    profiles = isoflop(runs, asked.isoflop, draws=asked.draws, seed=asked.seed, level=asked.level)
    kaplan = _kaplan(found, asked)
    aim = budgets[-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.log(quantities(found.draws, aim)["ratio"])
    return clean(
        {
            "runs": _runs(runs, found),
            "law": _law(found, asked),
            "forms": _forms(found, kaplan[0], asked),
            "budgets": [_budget(found, profiles, kaplan, flops, asked) for flops in budgets],
            "isoflop": _isoflop(runs, profiles),
            "next": _next(found, aim, asked),
            "warnings": [
                *warnings_of(runs, found.fit, found.draws, ratio),
                *_far(budgets, largest),
                *_unseen(profiles),
            ],
            "notes": list(runs.notes),
            "curves": curves(found, profiles, budgets, asked.level),
        }
    )


def _published(asked: Question) -> dict[str, Any]:
    """Split the budgets by the law that comes with togi."""
    found, budgets = chinchilla(), [float(b) for b in asked.budgets]
    told_each = [_split(found, flops, asked) for flops in budgets]
    return clean(
        {
            "runs": {"n": found.n, "independent": found.n},
            "law": _law(found, asked),
            "budgets": told_each,
            "warnings": _far(budgets, found.largest),
            "notes": ["Chinchilla's law, refitted to the 240 public runs behind its figure 4"],
            "curves": {"allocation": allocation(found, min(*budgets, SMALLEST), max(budgets))},
        }
    )


def _runs(runs: Runs, found: Fitted) -> dict[str, Any]:
    columns = {name: getattr(runs, name) for name in ("params", "tokens", "flops", "loss")}
    spans = {name: [column.min(), column.max()] for name, column in columns.items()}
    return {"n": len(runs), "independent": found.n, **spans}


def _law(found: Fitted, asked: Question) -> dict[str, Any]:
    """Return the law's constants with intervals, and how sound the fit is."""
    theta, draws, one = found.theta, np.minimum(found.draws, HUGE), found.fit
    columns = {
        "A": (np.exp(theta[0]), np.exp(draws[:, 0])),
        "B": (np.exp(theta[1]), np.exp(draws[:, 1])),
        "E": (np.exp(theta[2]), np.exp(draws[:, 2])),
        "alpha": (theta[3], draws[:, 3]),
        "beta": (theta[4], draws[:, 4]),
        "exponent": (exponents(theta), exponents(draws)),
    }
    return {
        "constants": {
            name: told(estimate(float(value), many, found.n, asked.level))
            for name, (value, many) in columns.items()
        },
        "theta": theta,
        "covariance": np.cov(draws[~np.isnan(draws).any(axis=1)].T),
        "objective": one.objective,
        "delta": one.delta,
        "starts": one.starts,
        "polished": one.polished,
        "agree": one.agree,
        "condition": condition(points_of(found.runs), one) if len(found.runs) else None,
        "draws": asked.draws,
    }


def _kaplan(found: Fitted, asked: Question) -> tuple[Fit, Floats]:
    points = points_of(found.runs)
    one = fit(points, FORMS["kaplan"], delta=asked.delta)
    return one, bootstrap(points, one, asked.draws, asked.seed, groups_of(found.runs))


def _forms(found: Fitted, kaplan: Fit, asked: Question) -> list[dict[str, Any]]:
    """Judge the forms by how far off they are on runs that they were not fitted to, paired."""
    points, groups = points_of(found.runs), groups_of(found.runs)
    fits = (found.fit, found.tied, kaplan)
    away = [cross_validate(points, one, seed=asked.seed, groups=groups) for one in fits]
    changes = [
        paired_difference(off, away[0], clusters=groups, level=asked.level, seed=asked.seed)
        for off in away
    ]
    return [
        {
            "form": one.form.name,
            "parameters": len(one.theta),
            "objective": one.objective,
            "theta": one.theta,
            "error": off.mean(),
            "against_chinchilla": told(change.estimate),
        }
        for one, off, change in zip(fits, away, changes, strict=True)
    ]


def _split(found: Fitted, flops: float, asked: Question) -> dict[str, Any]:
    told_split = split(found, flops, level=asked.level).as_dict()
    if asked.read:
        plain = quantities(found.theta, flops)["params"]
        used = split(found, flops, read=asked.read, level=asked.level).as_dict()
        dear = {"total_if_training_optimal": flops + 2 * plain * asked.read}
        told_split["with_use"] = used | dear
    return told_split


def _budget(
    found: Fitted, profiles: IsoFlop, kaplan: tuple[Fit, Floats], flops: float, asked: Question
) -> dict[str, Any]:
    one, draws = kaplan
    best = float(kaplan_optimum(one.theta, flops)[0])
    return _split(found, flops, asked) | {
        "isoflop": told(profiles.best(flops, asked.level)),
        "kaplan": told(estimate(best, kaplan_optimum(draws, flops)[0], found.n, asked.level)),
    }


def _isoflop(runs: Runs, profiles: IsoFlop) -> dict[str, Any]:
    placed = {place for one in profiles.profiles for place in one.which}
    return {
        "profiles": [
            {
                "flops": one.flops,
                "n": len(one.which),
                "params": math.exp(one.best),
                "loss": one.floor,
                "left_out": one.why,
            }
            for one in profiles.profiles
        ],
        "exponent": told(profiles.exponent),
        "counted": len(profiles.counted),
        "in_no_profile": len(runs) - len(placed),
    }


def _next(found: Fitted, aim: float, asked: Question) -> dict[str, Any]:
    most = asked.next_flops or found.largest
    return {
        "budget": aim,
        "most": most,
        "proposals": [
            one.as_dict() for one in propose(found, aim, count=asked.next_runs, most=most)
        ],
        "first_by_cost": [
            one.as_dict() | {"most": cap * most}
            for cap in CAPS
            for one in propose(found, aim, count=1, most=cap * most)
        ],
    }


def _far(budgets: Sequence[float], largest: float) -> list[str]:
    decades = math.log10(max(budgets) / largest)
    if decades <= FAR:
        return []
    return [
        f"{max(budgets):.3g} FLOPs lie {decades:.1f} decades beyond the dearest run: the intervals"
        " there also cover the law with α = β, and no interval covers a law of another form"
    ]


def _unseen(profiles: IsoFlop) -> list[str]:
    left = [one for one in profiles.profiles if one.why]
    told_each = [f"profile at {one.flops:.3g} FLOPs left out: {one.why}" for one in left]
    if math.isnan(profiles.exponent.mean):
        told_each.append(
            f"{len(profiles.counted)} IsoFLOP profile(s) count, which draw no line (three do):"
            f" that check of the law is missing"
        )
    return told_each
