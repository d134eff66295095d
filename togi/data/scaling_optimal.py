"""The best split of a compute budget under a fitted law, with intervals.

Everything is a function of the law's parameters, evaluated at the fit and at each bootstrap refit;
the interval is the draws' percentiles. Far beyond the runs the law's form is itself in doubt: there
the interval also covers what the law with α = β says, fitted to the same runs and resamples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from togi.data.law_numbers import estimate, told
from togi.data.scaling import (
    FORMS,
    flops_for,
    loss,
    optimum,
    optimum_with_use,
    points_of,
    untie,
)
from togi.data.scaling_checks import FAR, groups_of, refuse
from togi.data.scaling_fit import DELTA, KEEP, Fit, bootstrap, fit
from togi.data.scaling_runs import FLOPS_PER, Runs
from togi.data.solve import Floats
from togi.errors import UsageError
from togi.stats.estimate import Estimate

DRAWS = 400


@dataclass(frozen=True, slots=True)
class Fitted:
    """A law fitted to runs: the free one and the one with α = β, each with its refits.

    Attributes:
        runs: what was fitted; empty where only its refits are known.
        fit: the free law.
        draws: (s, 5) its refits to resamples; NaN rows where a resample cannot tell it.
        tied: the law with α = β.
        tied_draws: (s, 5) its refits to the same resamples.
        n: independent runs.
        largest: FLOPs of the dearest run, from which on the law is extrapolated.
    """

    runs: Runs
    fit: Fit
    draws: Floats
    tied: Fit
    tied_draws: Floats
    n: int
    largest: float

    @property
    def theta(self) -> Floats:
        """The free law's parameters."""
        return self.fit.theta


def fit_runs(
    runs: Runs, *, delta: float = DELTA, draws: int = DRAWS, seed: int = 0, keep: int = KEEP
) -> Fitted:
    """Fit Chinchilla's law to runs, with bootstrap refits of it and of the law with α = β.

    Raises:
        DataError: the runs cannot tell the law at all.
    """
    refuse(runs)
    points, groups = points_of(runs), groups_of(runs)
    free = fit(points, delta=delta, keep=keep)
    bound = fit(points, FORMS["tied"], delta=delta, keep=keep)
    return Fitted(
        runs,
        free,
        bootstrap(points, free, draws, seed, groups),
        bound,
        untie(bootstrap(points, bound, draws, seed, groups)),
        len(runs) if groups is None else int(groups.max()) + 1,
        float(runs.flops.max()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How to spend a budget.

    Attributes:
        flops: the budget, 6 N D; with `read`, what the model of the loss below would cost at best.
        params: N.
        tokens: D.
        ratio: D / N.
        loss: predicted.
        beyond: decades of compute beyond the largest run; negative within the runs.
        widened: whether the intervals also cover the law with α = β.
        read: tokens that the model will read in use; 0 where only training counts.
        total: training and use together, in FLOPs.
    """

    flops: float
    params: Estimate
    tokens: Estimate
    ratio: Estimate
    loss: Estimate
    beyond: float
    widened: bool
    read: float
    total: Estimate

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        numbers = {"flops": self.flops, "beyond": self.beyond, "read": self.read}
        parts = ("params", "tokens", "ratio", "loss", "total")
        estimates = {name: told(getattr(self, name)) for name in parts}
        return {**numbers, "widened": self.widened, **estimates}


def quantities(theta: Floats, flops: float, read: float = 0.0) -> dict[str, Floats]:
    """Return N, D, D/N, loss and all FLOPs of the best split, for one law or for many.

    >>> from togi.data.scaling import law_of
    >>> found = quantities(law_of(477.83, 2143.4, 1.8172, 0.34731, 0.36717), 5.76e23)
    >>> round(float(found["ratio"]), 1)
    17.9
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        n, d = optimum_with_use(theta, flops, read) if read else optimum(theta, flops)
        predicted = loss(theta, n, d)
        total = FLOPS_PER * n * d + 2 * n * read
    return {"params": n, "tokens": d, "ratio": d / n, "loss": predicted, "total": total}


def split(found: Fitted, flops: float, *, read: float = 0.0, level: float = 0.95) -> Split:
    """Return the best split of a budget, with intervals.

    Args:
        found: the fitted law.
        flops: the budget.
        read: tokens that the model will read in use. Then the loss is that of the compute-optimal
            model at `flops`, and training and use together are made as cheap as can be.
        level: of the intervals.

    Raises:
        UsageError: a budget that is not above 0.
    """
    if not (math.isfinite(flops) and flops > 0):
        raise UsageError("a budget must be a number of FLOPs above 0", found=f"{flops:g}")
    beyond = math.log10(flops / found.largest)
    widened = beyond > FAR
    value = quantities(found.theta, flops, read)
    draws = quantities(found.draws, flops, read)
    other = quantities(found.tied_draws, flops, read) if widened else {}
    parts = {
        name: hull(
            estimate(float(value[name]), draws[name], found.n, level),
            estimate(float(value[name]), other[name], found.n, level) if widened else None,
        )
        for name in value
    }
    return Split(flops=flops, beyond=beyond, widened=widened, read=read, **parts)


def hull(one: Estimate, other: Estimate | None) -> Estimate:
    """Return an estimate whose interval covers both.

    >>> hull(Estimate(2.0, 1.0, 3.0, 9), Estimate(2.0, 1.5, 4.0, 9))
    Estimate(mean=2.0, low=1.0, high=4.0, n=9, level=0.95)
    """
    if other is None:
        return one
    low, high = min(one.low, other.low), max(one.high, other.high)
    if math.isnan(one.low) or math.isnan(other.low):
        low = high = math.nan
    return Estimate(one.mean, low, high, one.n, one.level)


def predict(found: Fitted, params: float, tokens: float, level: float = 0.95) -> Estimate:
    """Return the loss that the law predicts for a run; the run's own noise comes on top."""
    value = float(loss(found.theta, params, tokens))
    return estimate(value, loss(found.draws, params, tokens), found.n, level)


def compute_saved(found: Fitted, flops: float, params: float, level: float = 0.95) -> Estimate:
    """Return which share of a budget the best size would need for the loss of another size.

    1 is the best size itself; 0.8 means that a fifth of the compute is wasted on a wrong size.
    """

    def share(theta: Floats) -> Floats:
        tokens = flops / FLOPS_PER / params
        with np.errstate(invalid="ignore", over="ignore"):
            above = loss(theta, params, tokens) - np.exp(theta[..., 2])
            return flops_for(theta, above) / flops

    return estimate(float(share(found.theta)), share(found.draws), found.n, level)
