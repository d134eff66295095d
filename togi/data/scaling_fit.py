"""Fitting a scaling law: Huber loss on ln L, many starts, bootstrap, profiles, cross-validation.

The objective is Hoffmann et al. 2022's approach 3: the sum over runs of Huber_δ(ln L̂ − ln L) with
δ = 1e-3, which is all but a sum of absolute differences. The sum matters: their mean of 240 terms
is so small that a minimiser's usual tolerance stops it near its start (Besiroglu et al. 2024, arXiv
2404.10102). Here a step counts as stalled only below a relative decrease of 1e-13.

Gradients are the forms' own. Starts and resamples are rows of one batch (`solve.minimise`), so
that 200 refits cost about as much as two dozen done one by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from togi.data.scaling import FORMS, Form, Points
from togi.data.solve import Floats, Objective, Rows, minimise
from togi.stats.arrays import Labels, check_draws
from togi.stats.rng import stream

DELTA = 1e-3  # the paper's; residuals of ln L are some ten times as large
KEEP = 64  # starts that are polished, the best of all that were looked at
ALIKE = 1e-6  # minima this near to the best one are the best one
LEAST_DISTINCT = 3  # sizes, and token counts, that a resample must hold
BLOCK = 256
STRIDE = 0.3  # of the whitened coordinates: about what a resample moves the fit by
OPEN = 1e-3
CHI2 = 3.841  # 95 % point of χ² with one degree of freedom: the limit of a profile


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted law.

    Attributes:
        form: which.
        theta: (p,) its parameters.
        objective: the Huber sum at them.
        delta: of the Huber loss.
        n: runs.
        starts: how many starts were looked at.
        polished: how many of them were followed to a minimum.
        agree: how many of these came to this minimum.
    """

    form: Form
    theta: Floats
    objective: float
    delta: float
    n: int
    starts: int
    polished: int
    agree: int


def huber(residual: Floats, delta: float) -> tuple[Floats, Floats]:
    """Return the Huber loss of residuals and its slope: r²/2 within δ, δ(|r| − δ/2) beyond.

    >>> value, slope = huber(np.array([0.5, -3.0]), 1.0)
    >>> value.tolist(), slope.tolist()
    ([0.125, 2.5], [0.5, -1.0])
    """
    slope = np.clip(residual, -delta, delta)
    return slope * (residual - slope / 2), slope


def centring(form: Form, points: Points) -> Floats:
    """Return the (p, p) matrix from centred parameters to the law's: a = a_c + α · mean(ln N).

    Far from ln N = 0 the law hardly tells a from α; about the middle of the runs it does, and the
    search's condition number falls by orders of magnitude. The law stays the same.
    """
    matrix = np.eye(len(form.parameters))
    for power, level, column in form.slopes:
        matrix[level, power] = getattr(points, column).mean()
    return matrix


def objective_of(
    form: Form,
    points: Points,
    delta: float = DELTA,
    weights: Floats | None = None,
    held: tuple[int, ...] = (),
    matrix: Floats | None = None,
) -> tuple[Objective, Floats]:
    """Return the Huber sum as a function of centred parameters, and the centring matrix.

    Args:
        form: the law.
        points: the runs.
        delta: of the Huber loss.
        weights: (s, r) how often each run counts, for each row of the batch; else once.
        held: parameters that do not move.
        matrix: from the search's coordinates to the law's, where other ones are better.
    """
    if matrix is None:
        matrix = centring(form, points)

    def objective(theta: Floats, rows: Rows) -> tuple[Floats, Floats]:
        predicted, pull = form.evaluate(theta @ matrix.T, points)
        away = predicted - points.y
        slope = np.clip(away, -delta, delta)
        away -= slope / 2
        if weights is not None:
            slope *= weights if len(weights) == 1 else weights[rows]
        gradient = pull(slope) @ matrix
        gradient[:, list(held)] = 0
        return np.einsum("sr,sr->s", slope, away), gradient

    return objective, matrix


def fit(
    points: Points, form: Form = FORMS["chinchilla"], *, delta: float = DELTA, keep: int = KEEP
) -> Fit:
    """Fit a law from many starts.

    Args:
        points: the runs; `scaling_checks.refuse` says beforehand whether they can bear a fit.
        form: the law.
        delta: of the Huber loss.
        keep: how many of the starts are followed; all are looked at.

    Returns:
        The best minimum found at which loss falls with N and D; the best of all where none does.

    >>> from togi.data.scaling import law_of, loss, points_of
    >>> from togi.data.scaling_runs import runs_of
    >>> N, D = (side.ravel() for side in np.meshgrid([1e7, 1e8, 1e9], [1e9, 1e10, 1e11]))
    >>> truth = law_of(482.01, 2085.43, 1.8172, 0.3478, 0.3658)
    >>> found = fit(points_of(runs_of(N, D, loss(truth, N, D))))
    >>> np.abs(found.theta - truth).max() < 1e-4
    np.True_
    """
    starts = form.starts(points)
    values = np.concatenate(
        [
            huber(residuals(points, form, block), delta)[0].sum(axis=1)
            for block in np.array_split(starts, math.ceil(len(starts) / BLOCK))
        ]
    )
    kept = starts[np.argsort(values, kind="stable")[:keep]]
    objective, matrix = objective_of(form, points, delta)
    found = minimise(objective, np.linalg.solve(matrix, kept.T).T)
    powers = [power for power, _, _ in form.slopes]
    falls = (found.theta[:, powers] > 0).all(axis=1)
    # An exponent far below 0 can bend the law to one run; it counts only where nothing else fits.
    best = int(np.argmin(np.where(falls | ~falls.any(), found.value, np.inf)))
    lowest = float(found.value[best])
    agree = int((np.abs(found.value - lowest) <= ALIKE * lowest + 1e-18).sum())
    theta = matrix @ found.theta[best]
    return Fit(form, theta, lowest, delta, len(points.y), len(starts), len(found.value), agree)


def whitening(points: Points, form: Form, theta: Floats) -> Floats:
    """Return coordinates in which, about a fit, all directions are alike: J M has equal columns.

    Refits start at the fit, and in these coordinates take half the steps. A direction that the
    runs leave open is stretched by no more than a thousandth of the best known one allows.
    """
    matrix = centring(form, points)
    _, sizes, turned = np.linalg.svd(jacobian(points, form, theta) @ matrix, full_matrices=False)
    return matrix @ (turned.T * (STRIDE / np.maximum(sizes, OPEN * sizes[0])))


def refit(points: Points, found: Fit, weights: Floats) -> Floats:
    """Fit again from the fit, with each row of (s, r) weights; return (s, p) parameters."""
    matrix = whitening(points, found.form, found.theta)
    objective, _ = objective_of(found.form, points, found.delta, weights, matrix=matrix)
    start = np.linalg.solve(matrix, found.theta)
    return minimise(objective, np.repeat(start[None], len(weights), axis=0)).theta @ matrix.T


def resamples(groups: Labels, draws: int, seed: int) -> Floats:
    """Return how often each run counts in each resample: whole groups drawn with replacement.

    >>> resamples(["a", "a", "b"], 100, seed=0).sum(axis=1).min() >= 2  # b twice, or a in it
    np.True_
    """
    labels, member = np.unique(np.asarray(groups), return_inverse=True)
    k = len(labels)
    rng = stream(seed, "data.scaling", "bootstrap")
    return rng.multinomial(k, np.full(k, 1 / k), size=check_draws(draws))[:, member].astype(float)


def bootstrap(
    points: Points, found: Fit, draws: int, seed: int, groups: Labels | None = None
) -> Floats:
    """Return (draws, p) parameters refitted to resamples of the runs.

    A resample with fewer than three sizes or token counts cannot tell the law; its row is NaN.

    Args:
        points: the runs.
        found: the fit, from which each refit starts.
        draws: how many resamples.
        seed: of the draws.
        groups: (r,) labels of runs that belong together (checkpoints of one run); drawn whole.
    """
    weights = resamples(np.arange(found.n) if groups is None else groups, draws, seed)
    theta = refit(points, found, weights)
    theta[~(_distinct(points.n, weights) & _distinct(points.d, weights))] = np.nan
    return theta


def _distinct(column: Floats, weights: Floats) -> np.ndarray:
    """Say which resamples hold enough distinct values of a column."""
    labels = np.unique(column.round(3), return_inverse=True)[1]
    member = np.eye(labels.max() + 1)[labels]
    return ((weights @ member) > 0).sum(axis=1) >= LEAST_DISTINCT


def residuals(points: Points, form: Form, theta: Floats) -> Floats:
    """Return ln L̂ − ln L of each run; for (s, p) parameters, (s, r)."""
    table = np.atleast_2d(theta)
    found = form.evaluate(table, points)[0] - points.y
    return found if np.ndim(theta) == 2 else found[0]


def jacobian(points: Points, form: Form, theta: Floats) -> Floats:
    """Return (r, p) derivatives of ln L̂ by the law's parameters."""
    _, pull = form.evaluate(theta[None], points)
    unit = np.eye(len(points.y))
    cuts = range(0, len(unit), BLOCK)
    return np.concatenate([pull(unit[start : start + BLOCK]) for start in cuts])


def likelihood_ratio(residual: Floats, best: Floats) -> float:
    """Return twice the gain in log-likelihood of the residuals `best`, under a Laplace law.

    With its scale at its own best the log-likelihood is −n (ln(2 · mean|r|) + 1), so the
    statistic is 2 n ln(mean|r| / mean|r*|): χ² with as many degrees of freedom as parameters were
    held (Besiroglu et al. 2024, section 3.3, whose Huber density is this one in the limit).

    >>> round(likelihood_ratio(np.array([0.2, -0.2]), np.array([0.1, -0.1])), 4)  # 4 ln 2
    2.7726
    """
    return 2 * len(best) * math.log(float(np.abs(residual).mean() / np.abs(best).mean()))


def profile(points: Points, found: Fit, index: int, values: Floats) -> Floats:
    """Return the (k, p) best parameters where one of them is held at each of k values."""
    form = found.form
    objective, matrix = objective_of(form, points, found.delta, held=(index,))
    starts = np.repeat(np.linalg.solve(matrix, found.theta)[None], len(values), axis=0)
    starts[:, index] = values
    return minimise(objective, starts).theta @ matrix.T


def folds_of(groups: Labels, folds: int, seed: int) -> np.ndarray:
    """Return each run's fold; groups stay whole, and there are no more folds than groups.

    >>> sorted(set(folds_of(["a", "a", "b", "c"], 10, seed=0).tolist()))
    [0, 1, 2]
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    order = stream(seed, "data.scaling", "folds").permutation(len(names)) % min(folds, len(names))
    return order[member]


def cross_validate(
    points: Points, found: Fit, *, folds: int = 10, seed: int = 0, groups: Labels | None = None
) -> Floats:
    """Return each run's |ln L̂ − ln L| under a law fitted without its fold."""
    fold = folds_of(np.arange(found.n) if groups is None else groups, folds, seed)
    weights = (fold[None, :] != np.arange(fold.max() + 1)[:, None]).astype(float)
    theta = refit(points, found, weights)
    away = np.abs(residuals(points, found.form, theta))
    return away[fold, np.arange(found.n)]
