"""Intervals of a probit's weights from resamples of whole clusters, many fitted at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from togi.stats.arrays import Floats, Labels, check_draws
from togi.stats.estimate import Estimate
from togi.stats.probit import Rows, fit, maximise, rows_of
from togi.stats.resampled import drawn_estimate
from togi.stats.rng import stream

CELLS = 1 << 20
"Rows times resamples held at once."


def bootstrap_counts(units: int, draws: int, seed: int) -> Floats:
    """Return how often each cluster stands in each resample, (draws, units)."""
    rng = stream(seed, "stats", "bootstrap")
    picks = rng.integers(0, units, size=(check_draws(draws), units))
    picks += np.arange(draws)[:, None] * units
    return np.bincount(picks.ravel(), minlength=draws * units).reshape(draws, units).astype(float)


def bootstrap_weights(rows: Rows, counts: Floats, start: Floats) -> Floats:
    """Return the weights of each resample of whole clusters, (draws, k); NaN where undefined.

    Args:
        rows: of the regression.
        counts: (draws, units) from `bootstrap_counts`; two sets of rows over the same clusters
            with the same counts are resampled alike, so that their differences are paired.
        start: (k,) the weights of all rows.
    """
    out = np.full((len(counts), rows.x.shape[1]), np.nan)
    if not np.isfinite(start).all():
        return out
    many = max(1, CELLS // max(1, len(rows.y)))
    for begin in range(0, len(counts), many):
        part = slice(begin, begin + many)
        times = counts[part][:, rows.codes].T
        weights, known = maximise(rows, times, np.tile(start[:, None], times.shape[1]))
        out[part] = np.where(known, weights, np.nan).T
    return out


def probit_bootstrap(
    x: Floats,
    y: NDArray[np.bool_],
    *,
    clusters: Labels | None = None,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> list[Estimate]:
    """Return the weights of a probit with intervals from resamples of whole clusters.

    Arguments are those of `probit`; `n` of each estimate counts clusters. A resample in which
    some weight grows without end counts as being beyond both bounds.

    >>> x = np.ones((40, 1))
    >>> (found,) = probit_bootstrap(x, np.arange(40) % 4 > 0)
    >>> round(found.mean, 4), found.low < 0.6745 < found.high, found.n
    (0.6745, True, 40)
    """
    rows = rows_of(x, y, clusters)
    whole = fit(rows)
    drawn = bootstrap_weights(
        rows, bootstrap_counts(max(1, rows.units), draws, seed), whole.weights
    )
    return [
        drawn_estimate(float(value), drawn[:, place], rows.units, level)
        for place, value in enumerate(whole.weights)
    ]
