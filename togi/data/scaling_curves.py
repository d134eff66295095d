"""What the report draws of a scaling study: splits, profiles, residuals, the floor's likelihood."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from togi.data.isoflop import IsoFlop, Profile
from togi.data.law_numbers import told
from togi.data.scaling import loss, points_of
from togi.data.scaling_fit import CHI2, likelihood_ratio, profile, residuals
from togi.data.scaling_optimal import Fitted, split
from togi.data.scaling_runs import FLOPS_PER

MOST_POINTS = 1500  # of a scatter that is kept for the report
CURVE = 25
FLOORS = 41  # values of E in its profile


def curves(
    found: Fitted, profiles: IsoFlop, budgets: Sequence[float], level: float
) -> dict[str, Any]:
    """Return the study's curves as plain numbers."""
    runs = found.runs
    kept = np.linspace(0, len(runs) - 1, min(len(runs), MOST_POINTS)).round().astype(int)
    away = residuals(points_of(runs), found.fit.form, found.theta)
    return {
        "residuals": np.stack([runs.flops[kept], away[kept]], axis=1),
        "allocation": allocation(
            found, float(runs.flops.min()), max(*budgets, found.largest), level
        ),
        "profiles": [_profile(found, one) for one in profiles.profiles],
        "floor": floor_profile(found),
    }


def allocation(found: Fitted, low: float, high: float, level: float = 0.95) -> list[dict[str, Any]]:
    """Return the best split along compute."""
    splits = [split(found, float(flops), level=level) for flops in np.geomspace(low, high, CURVE)]
    return [
        {"flops": one.flops, "params": told(one.params), "ratio": told(one.ratio)} for one in splits
    ]


def _profile(found: Fitted, one: Profile) -> dict[str, Any]:
    """Return one profile: its runs, its parabola and the fitted law at its budget."""
    runs = found.runs.take(np.array(one.which, dtype=int))
    if not len(runs):
        return {"flops": one.flops, "best": None, "points": [], "law": [], "parabola": []}
    along = np.linspace(np.log(runs.params.min()), np.log(runs.params.max()), CURVE)
    size = np.exp(along)
    law = loss(found.theta, size, one.flops / FLOPS_PER / size)
    parabola = one.floor + one.curve * (along - one.best) ** 2
    return {
        "flops": one.flops,
        "best": math.exp(one.best),
        "points": np.stack([runs.params, runs.loss], axis=1),
        "law": np.stack([size, law], axis=1),
        "parabola": np.stack([size, parabola], axis=1),
    }


def floor_profile(found: Fitted) -> dict[str, Any]:
    """Return how much worse the law fits where E is held: its profile likelihood.

    Each value comes with the likelihood ratio statistic; above 3.84 it is outside the 95 %
    interval.
    """
    points, form = points_of(found.runs), found.fit.form
    best = residuals(points, form, found.theta)
    middle, drawn = float(np.exp(found.theta[2])), np.exp(found.draws[:, 2])
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, [0.01, 0.99]) if len(drawn) else (middle, middle)
    span = 1.5 * max(high - middle, middle - low, 0.01 * middle)
    values = np.linspace(max(middle - span, 0.02 * middle), middle + span, FLOORS)
    held = residuals(points, form, profile(points, found.fit, 2, np.log(values)))
    told_each = [
        (value, likelihood_ratio(off, best)) for value, off in zip(values, held, strict=True)
    ]
    return {"values": told_each, "limit": CHI2}
