"""Bradley–Terry: the strengths of several models, from which of two answers was preferred.

P(i beats j) = 1 / (1 + exp(sⱼ − sᵢ)): a model's strength s is a log-odds, known up to a common
constant, so strengths are told relative to the first model. A tie counts half a win for each.

Sources: Bradley & Terry 1952; Ford 1957 (when the maximum of the likelihood is finite).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError
from togi.stats.arrays import Floats, Labels
from togi.stats.estimate import Estimate
from togi.stats.resampled import drawn_estimate, redrawn, unit_sums

STEPS = 100
CLOSE = 1e-10


def finite_strengths(wins: Floats) -> NDArray[np.bool_]:
    """Say whether the likelihood has a finite maximum: each model beat each, if by way of others.

    Args:
        wins: (..., k, k) how often i (row) beat j (column).

    >>> bool(finite_strengths(np.array([[0.0, 3.0], [0.0, 0.0]])))
    False
    """
    size = wins.shape[-1]
    reach = (wins > 0) | np.eye(size, dtype=bool)
    for _ in range(max(1, math.ceil(math.log2(size)))):
        reach = (reach.astype(np.float64) @ reach.astype(np.float64)) > 0
    return np.asarray(reach.all(axis=(-1, -2)))


def _log_likelihood(strengths: Floats, wins: Floats) -> Floats:
    """Return the (...,) log-likelihood of the strengths."""
    gap = strengths[..., :, None] - strengths[..., None, :]
    return -(wins * np.logaddexp(0.0, -gap)).sum(axis=(-1, -2))


def _newton_step(strengths: Floats, wins: Floats) -> Floats:
    """Return Newton's step of all strengths but the first."""
    met = wins + np.swapaxes(wins, -1, -2)
    gap = strengths[..., :, None] - strengths[..., None, :]
    chance = 1 / (1 + np.exp(-gap))
    gradient = (wins - met * chance).sum(axis=-1)
    weight = met * chance * (1 - chance)
    curvature = weight.sum(axis=-1)[..., None] * np.eye(wins.shape[-1]) - weight
    free: Floats = curvature[..., 1:, 1:]
    pull: Floats = gradient[..., 1:, None]
    step: Floats = np.linalg.inv(free) @ pull  # a few models: the matrix is tiny
    return step[..., 0]


def bradley_terry(wins: Floats) -> Floats:
    """Return the strengths that make the outcomes most probable.

    Newton's method with halved steps; the log-likelihood is concave, so its maximum is the only
    one.

    Args:
        wins: (..., k, k) how often model i (row) beat model j (column), a tie half for each; the
            diagonal does not count.

    Returns:
        (..., k) strengths in nats of odds, the first 0; NaN where no finite maximum exists, as
        when a model won or lost all of its comparisons, or was never compared with some others.

    Raises:
        DataError: a negative count, or not a square.

    Three wins to one are odds of three:

    >>> bradley_terry(np.array([[0.0, 1.0], [3.0, 0.0]])).round(4).tolist()
    [0.0, 1.0986]
    """
    if wins.ndim < 2 or wins.shape[-1] != wins.shape[-2] or (wins < 0).any():
        raise DataError("wins must be a square of counts", where="bradley_terry")
    shape, size = wins.shape[:-1], wins.shape[-1]
    wins = np.where(np.eye(size, dtype=bool), 0.0, wins).reshape(-1, size, size)
    found = np.full((len(wins), size), math.nan)
    fit = finite_strengths(wins)
    found[fit] = _climb(wins[fit])
    return found.reshape(shape)


def _climb(wins: Floats) -> Floats:
    """Climb to the maxima of a batch of counts that have one."""
    strengths = np.zeros(wins.shape[:-1])
    height = _log_likelihood(strengths, wins)
    for _ in range(STEPS):
        step = np.zeros_like(strengths)
        step[:, 1:] = _newton_step(strengths, wins)
        for _ in range(60):  # an overshooting step is halved, in its own row of the batch only
            reached = _log_likelihood(strengths + step, wins)
            short = reached < height - 1e-12 * np.abs(height)
            if not short.any():
                break
            step[short] /= 2
        strengths += step
        height = _log_likelihood(strengths, wins)
        if np.abs(step).max(initial=0.0) < CLOSE:
            break
    return strengths


def wins_of(sums: Floats, pairs: Sequence[tuple[int, int]], size: int) -> Floats:
    """Put summed credits into squares of wins.

    Args:
        sums: (..., 2 · pairs) for each pair the first's credit, then the second's.
        pairs: which two models each pair compared.
        size: how many models there are.

    >>> wins_of(np.array([3.0, 1.0]), [(1, 0)], 2).tolist()
    [[0.0, 1.0], [3.0, 0.0]]
    """
    wins = np.zeros((*sums.shape[:-1], size, size))
    for place, (one, two) in enumerate(pairs):
        wins[..., one, two] += sums[..., 2 * place]
        wins[..., two, one] += sums[..., 2 * place + 1]
    return wins


def strengths(
    credits: Floats,
    pairs: Sequence[tuple[int, int]],
    size: int,
    *,
    clusters: Labels | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> list[Estimate]:
    """Return each model's strength relative to the first, with bootstrap intervals over prompts.

    Args:
        credits: (prompts, pairs) credit of each pair's first model on each prompt: 1 won, .5
            tie, 0 lost, NaN unknown.
        pairs: (first, second) of each column, as numbers of models.
        size: how many models there are.
        clusters: (prompts,) labels of prompts that belong together; resampled whole.
        level: of the intervals.
        draws: resamples.
        seed: the same seed and credits give the same intervals, in whatever order they come.

    Returns:
        The estimates of models 1 to size − 1; the first is 0 by definition. All is NaN where no
        finite maximum exists, and the bounds where it exists in too few resamples.

    >>> found = strengths(np.array([[1.0], [1.0], [0.0], [1.0]]), [(1, 0)], 2)
    >>> round(found[0].mean, 4), found[0].n
    (1.0986, 4)
    """
    known = ~np.isnan(credits)
    columns = np.stack([np.where(known, credits, 0.0), np.where(known, 1 - credits, 0.0)], axis=-1)
    some = known.any(axis=1)
    labels = None if clusters is None else np.asarray(list(clusters), dtype=object)[some]
    units = unit_sums(columns.reshape(len(credits), -1)[some], labels)
    found = bradley_terry(wins_of(units.sum(axis=0), pairs, size))
    if len(units) < 2:
        nan = math.nan
        return [Estimate(float(one), nan, nan, len(units), level) for one in found[1:]]
    drawn = bradley_terry(wins_of(redrawn(units, draws, seed), pairs, size))
    return [
        drawn_estimate(float(found[place]), drawn[:, place], len(units), level)
        for place in range(1, size)
    ]
