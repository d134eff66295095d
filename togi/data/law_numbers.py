"""Quantities of a fitted law: estimates from refits, and plain values for JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from togi.data.solve import Floats
from togi.stats.arrays import check_level
from togi.stats.estimate import Estimate

LEAST_SHARE = 0.9  # of the resamples must identify the law before they give an interval


def estimate(value: float, draws: Floats, n: int, level: float = 0.95) -> Estimate:
    """Return a quantity of the law with its percentile interval.

    Args:
        value: the quantity under the fit.
        draws: under each resample's refit; NaN where that could not be told.
        n: independent runs.
        level: of the interval.

    Returns:
        The estimate. Its bounds are NaN where more than a tenth of the draws are, and infinite
        where the draws run off.

    >>> estimate(2.0, np.arange(101.0), n=9, level=0.9)
    Estimate(mean=2.0, low=5.0, high=95.0, n=9, level=0.9)
    """
    known = draws[~np.isnan(draws)]
    if len(known) < LEAST_SHARE * len(draws) or not len(known):
        return Estimate(float(value), math.nan, math.nan, n, level)
    tail = (1 - check_level(level)) / 2 + 1e-9  # so that 0.05 of 100 steps is 5, not 4.99…
    low = np.quantile(known, tail, method="lower")  # outwards, and no arithmetic with infinities
    high = np.quantile(known, 1 - tail, method="higher")
    return Estimate(float(value), float(low), float(high), n, level)


def told(estimated: Estimate) -> dict[str, Any]:
    """Return an estimate for JSON; `open` says where its bound is infinite and not unknown.

    >>> told(Estimate(15.0, 5.0, math.inf, 9))["open"], told(Estimate(15.0, 5.0, 9.0, 9))["open"]
    (['high'], [])
    """
    sides = {name: getattr(estimated, name) for name in ("mean", "low", "high")}
    return estimated.as_dict() | {"open": [name for name, v in sides.items() if math.isinf(v)]}


def clean(value: Any) -> Any:
    """Return values for JSON: arrays as lists, and None for what is not a finite number.

    >>> clean({"a": np.array([1.0, np.nan]), "b": (math.inf, 2)})
    {'a': [1.0, None], 'b': [None, 2]}
    """
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [clean(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
