"""What repeated runs show without any law: excess loss over fresh runs, and where loss rose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from togi.data.repeated_fit import FRESH
from togi.data.scaling_runs import Runs
from togi.data.solve import Floats
from togi.stats.bootstrap import bootstrap_mean
from togi.stats.estimate import Estimate

BANDS = ((1.5, 3.0), (3.0, 5.0), (5.0, 8.0), (8.0, 16.0), (16.0, 50.0))
"""Epochs between which measured excess losses are gathered."""
RISE = 0.01  # a loss this share above a family's lowest has risen


def r_squared(runs: Runs, predicted: Floats) -> float:
    """Return the share of the loss's variance that predictions explain.

    >>> from togi.data.scaling_runs import runs_of
    >>> three = runs_of([1, 2, 3], [1, 2, 3], [4.0, 3.0, 2.0])
    >>> r_squared(three, np.array([4.0, 3.0, 2.0])), r_squared(three, np.full(3, 3.0))
    (1.0, 0.0)
    """
    off = ((runs.loss - predicted) ** 2).sum()
    return float(1 - off / ((runs.loss - runs.loss.mean()) ** 2).sum())


@dataclass(frozen=True, slots=True)
class Rise:
    """Runs of one size on the same unique tokens whose loss rose with further epochs."""

    params: float
    unique: float
    epochs: float
    lowest: float
    later_epochs: float
    later: float


def rises(runs: Runs) -> list[Rise]:
    """Find where loss rose with epochs: the regime that the law cannot show.

    >>> from togi.data.scaling_runs import runs_of
    >>> [found] = rises(runs_of([1e8] * 3, [1e9, 1e10, 1e11], [3.9, 3.7, 3.9], [1e9] * 3))
    >>> found.epochs, found.later_epochs
    (10.0, 100.0)
    """
    found = []
    for params, unique in sorted(set(zip(runs.params.tolist(), runs.unique.tolist(), strict=True))):
        family = np.flatnonzero((runs.params == params) & (runs.unique == unique))
        family = family[np.argsort(runs.tokens[family], kind="stable")]
        low = family[np.argmin(runs.loss[family])]
        after = family[runs.tokens[family] > runs.tokens[low]]
        if not len(after):
            continue
        worst = after[np.argmax(runs.loss[after])]
        if runs.loss[worst] > (1 + RISE) * runs.loss[low]:
            epochs = runs.tokens / runs.unique
            found.append(
                Rise(params, unique, float(epochs[low]), float(runs.loss[low]),
                     float(epochs[worst]), float(runs.loss[worst]))
            )  # fmt: skip
    return found


@dataclass(frozen=True, slots=True)
class Excess:
    """Loss of repeated runs over that of fresh runs of the same size and tokens, measured.

    `ratio` is the mean of the ratio's logarithm, minus nothing: 0.006 is 0.6 % more loss.
    """

    ratio: Estimate
    pairs: int


def measured_excess(runs: Runs, low: float, high: float, seed: int = 0) -> Excess:
    """Compare runs of `low` to `high` epochs with fresh runs of equal params and tokens, paired.

    No law is presumed. Pairs of one model size are resampled together; several fresh runs of a
    kind (seeds) are averaged.
    """
    epochs = runs.tokens / runs.unique
    gaps, sizes = [], []
    for place in np.flatnonzero((epochs >= low) & (epochs <= high)):
        same = (runs.params == runs.params[place]) & (runs.tokens == runs.tokens[place])
        fresh = runs.loss[same & (epochs <= FRESH)]
        if len(fresh):
            gaps.append(math.log(runs.loss[place] / fresh.mean()))
            sizes.append(float(runs.params[place]))
    if not gaps:
        return Excess(Estimate(math.nan, math.nan, math.nan, 0), 0)
    return Excess(bootstrap_mean(gaps, clusters=sizes, seed=seed), len(gaps))
