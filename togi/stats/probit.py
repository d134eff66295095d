"""Probit regression: weights, their covariance, and its robust form for clusters of rows.

P(y = 1) = Φ(x · w). The log-likelihood is concave, so Newton's method finds its maximum; where a
weight can grow without end (the outcomes are separated) or columns say the same, there is no
finite answer and the reason is told instead. Rows are put in an order of their own first, so that
nothing depends on the order in which they came.

Sources: Amemiya 1981 (score and information of the probit), Liang & Zeger 1986 (the covariance
that is robust to clusters).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError
from togi.stats.arrays import Floats, Labels, same_length
from togi.stats.bounds import student_bounds
from togi.stats.estimate import Estimate
from togi.stats.special import log_normal_cdf
from togi.stats.units import cluster_codes

STEPS = 60
"Newton steps at most; six are usual."
HALVINGS = 30
"How often a step that goes too far is halved before it is left out."
CLOSE = 1e-10
"A step that raises the log-likelihood by a smaller share of a row's worth ends the search."
FLAT = 1e-6
"Information in some direction, per row and in units of the columns, that counts as none."


@dataclass(frozen=True, slots=True)
class Probit:
    """A fitted probit regression.

    Attributes:
        weights: (k,) NaN where there is no finite maximum.
        covariance: (k, k) inverse of the observed information.
        robust: (k, k) the same, robust to dependence within clusters; equal to rows' own
            where no clusters were given.
        loglik: maximum of the log-likelihood.
        n: rows.
        units: clusters.
        reason: why there are no weights; "" where there are.
    """

    weights: Floats
    covariance: Floats
    robust: Floats
    loglik: float
    n: int
    units: int
    reason: str = ""

    def errors(self) -> Floats:
        """Return the standard errors of the weights, not robust."""
        return np.sqrt(np.diagonal(self.covariance))

    def estimates(self, level: float = 0.95) -> list[Estimate]:
        """Return the weights with intervals robust to clusters: Student's t over the clusters."""
        found: list[Estimate] = []
        for value, variance in zip(self.weights, np.diagonal(self.robust), strict=True):
            low = high = math.nan
            if self.units > 1 and math.isfinite(variance):
                low, high = student_bounds(
                    1 - level,
                    value=float(value),
                    se=math.sqrt(float(variance)),
                    df=self.units - 1,
                )
            found.append(Estimate(float(value), low, high, self.units, level))
        return found


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a regression in an order of their own: columns, outcomes, cluster of each row."""

    x: Floats
    y: NDArray[np.bool_]
    codes: NDArray[np.intp]

    @property
    def units(self) -> int:
        """How many clusters there are."""
        return int(self.codes.max()) + 1 if len(self.codes) else 0


def rows_of(x: Floats, y: NDArray[np.bool_], clusters: Labels | None = None) -> Rows:
    """Check a regression's rows and put them in an order that is theirs alone.

    Clusters are numbered by the order of their labels where these are numbers, so that two sets
    of rows with the same labels are resampled alike.

    Raises:
        DataError: columns of different length, or values that are not finite.
    """
    same_length(x, y, "columns and outcomes")
    if x.ndim != 2 or not np.isfinite(x).all():
        raise DataError("the columns of a probit must be a table of finite numbers", where="probit")
    labels = np.arange(len(y)) if clusters is None else np.asarray(clusters)
    same_length(labels, y, "clusters and outcomes")
    numeric = labels.dtype.kind in "iu"
    codes = np.unique(labels, return_inverse=True)[1] if numeric else cluster_codes(labels)
    order = np.lexsort((y, *x.T, codes))
    return Rows(x[order], np.asarray(y[order], dtype=np.bool_), codes[order].astype(np.intp))


def parts(eta: Floats, y: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Return each row's log-likelihood, its derivative by η, and minus its second derivative.

    Args:
        eta: (n, ...) x · w.
        y: (n,) outcomes.

    At η = 0: ln ½, ±2φ(0), and 4φ(0)² = 2/π.

    >>> value, slope, bend = parts(np.zeros(1), np.array([True]))
    >>> value.round(4).tolist(), slope.round(4).tolist(), bend.round(4).tolist()
    ([-0.6931], [0.7979], [0.6366])
    """
    sign = np.where(y, 1.0, -1.0).reshape(-1, *[1] * (eta.ndim - 1))
    value = log_normal_cdf(sign * eta)
    slope = sign * np.exp(-0.5 * eta**2 - 0.5 * math.log(2 * math.pi) - value)
    return value, slope, slope * (slope + eta)


def probit(x: Floats, y: NDArray[np.bool_], *, clusters: Labels | None = None) -> Probit:
    """Fit P(y) = Φ(x · w) by maximum likelihood.

    Args:
        x: (n, k) columns; add one of ones for a constant.
        y: (n,) outcomes.
        clusters: (n,) labels of rows that belong together.

    Raises:
        DataError: columns of different length, or values that are not finite.

    With a constant alone w = Φ⁻¹(share of y): 3 of 4 give 0.6745.

    >>> found = probit(np.ones((4, 1)), np.array([True, True, True, False]))
    >>> round(float(found.weights[0]), 4), round(found.loglik, 4)
    (0.6745, -2.2493)
    """
    return fit(rows_of(x, y, clusters))


def fit(rows: Rows) -> Probit:
    """Fit rows that are checked and in order; see `probit`."""
    k, n = rows.x.shape[1], len(rows.y)
    none = np.full((k, k), np.nan)
    if not n:
        return Probit(none[0], none, none, math.nan, 0, 0, "there are no choices")
    weights, known = maximise(rows, np.ones((n, 1)), np.zeros((k, 1)))
    eta = rows.x @ weights[:, 0]
    value, slope, bend = parts(eta, rows.y)
    if not known[0]:
        reason = _why(rows)
        return Probit(none[0], none, none, math.nan, n, rows.units, reason)
    information = rows.x.T @ (rows.x * bend[:, None])
    inverse = np.asarray(np.linalg.inv(information), dtype=np.float64)
    sums = np.zeros((rows.units, k))
    np.add.at(sums, rows.codes, rows.x * slope[:, None])
    g = rows.units
    scale = g / (g - 1) * (n - 1) / (n - k) if g > 1 and n > k else math.nan
    robust = np.asarray(scale * inverse @ (sums.T @ sums) @ inverse, dtype=np.float64)
    return Probit(weights[:, 0], inverse, robust, float(value.sum()), n, g)


def _why(rows: Rows) -> str:
    """Say why there is no finite maximum."""
    if rows.y.all() or not rows.y.any():
        return "all choices are the same"
    sizes = np.sqrt((rows.x**2).sum(axis=0))
    if not sizes.all() or np.linalg.matrix_rank(rows.x / sizes) < rows.x.shape[1]:
        return "its columns say the same or nothing"
    return "the choices are separated: some weight grows without end"


def maximise(rows: Rows, times: Floats, start: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Maximise several weighted log-likelihoods of the same rows at once.

    Args:
        rows: n rows of k columns.
        times: (n, b) how often each row counts in each.
        start: (k, b) where to begin.

    Returns:
        (k, b) weights, and (b,) whether they are a finite maximum.
    """
    x, k = rows.x, rows.x.shape[1]
    weights = start.copy()
    squares = (x[:, :, None] * x[:, None, :]).reshape(len(x), k * k)
    sizes = np.sqrt((x**2).T @ times)  # (k, b)
    size = np.where(sizes > 0, sizes, 1.0).T
    value, slope, bend = parts(x @ weights, rows.y)
    best = (times * value).sum(axis=0)
    information = np.empty((weights.shape[1], k, k))
    settled = np.zeros(weights.shape[1], dtype=np.bool_)
    for _ in range(STEPS):
        information = (squares.T @ (times * bend)).T.reshape(-1, k, k)
        gradient = (x.T @ (times * slope)).T
        ridge = information + 1e-9 * np.eye(k) * (size**2)[:, :, None]
        solved = np.linalg.solve(ridge, gradient[:, :, None])[:, :, 0].T
        move = np.array(solved, dtype=np.float64)
        move[:, settled] = 0.0
        weights, now, (value, slope, bend) = _moved(rows, times, weights, move, best)
        settled |= now - best <= CLOSE
        best = now
        if settled.all():
            break
    scaled = information / (size[:, :, None] * size[:, None, :])
    finite = np.isfinite(scaled).all(axis=(1, 2))
    scaled[~finite] = 0.0
    bent = np.linalg.eigvalsh(scaled)[:, 0] > FLAT
    return weights, settled & finite & bent & (sizes > 0).all(axis=0)


def _moved(
    rows: Rows, times: Floats, weights: Floats, move: Floats, best: Floats
) -> tuple[Floats, Floats, tuple[Floats, Floats, Floats]]:
    """Return the weights after a step, halved where it goes too far, and what they give."""
    worse = np.ones(len(best), dtype=np.bool_)
    for _ in range(HALVINGS):
        found = parts(rows.x @ (weights + move), rows.y)
        now = (times * found[0]).sum(axis=0)
        worse = now < best - 1e-12 * np.abs(best)
        if not worse.any():
            return weights + move, now, found
        move[:, worse] /= 2
    move[:, worse] = 0.0
    found = parts(rows.x @ (weights + move), rows.y)
    return weights + move, (times * found[0]).sum(axis=0), found
