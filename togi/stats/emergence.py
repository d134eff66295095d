"""Emergence: how sharp a series of scores is, and whether sampling noise alone would make it so.

Source: Schaeffer, Miranda and Koyejo 2023, "Are Emergent Abilities of Large Language Models a
Mirage?", arXiv 2304.15004; the score is BIG-bench's breakthroughness.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError, UsageError
from togi.stats.rng import stream

Floats = NDArray[np.float64]

DRAWS = 2000
LEVEL = 0.95


def emergence_score(scores: Sequence[float]) -> float:
    """Return sign · (max − min) / √median of squared steps, of scores in order of scale.

    The sign is negative where the smallest score comes after the greatest. A straight line through
    m scores has m − 1. A flat series has 0; one whose steps are mostly 0 has infinity, which is to
    be counted apart from the numbers.

    Raises:
        DataError: fewer than three scores, or one that is unknown.

    >>> emergence_score([0, 1, 2, 3, 4]), emergence_score([0, 0, 0, 0, 1])
    (4.0, inf)
    >>> round(emergence_score([0.0, 0.1, 0.2, 0.9]), 1), emergence_score([1, 1, 1])
    (9.0, 0.0)
    """
    return _score(scores, np.median)


def linearity_score(scores: Sequence[float]) -> float:
    """Return the same over the root mean square of the steps: m − 1 for a straight line again.

    >>> round(linearity_score([0.0, 0.1, 0.2, 0.9]), 2)
    2.18
    """
    return _score(scores, np.mean)


def _score(scores: Sequence[float], middle: object) -> float:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) < 3 or not np.isfinite(values).all():
        raise DataError(
            "a series needs three known scores or more", where="emergence", found=str(list(scores))
        )
    return float(_of_rows(values[None], mean=middle is np.mean)[0])


def _of_rows(rows: Floats, *, mean: bool = False) -> Floats:
    """Return the score of each row of (series, models)."""
    squares = np.diff(rows, axis=1) ** 2
    step = np.sqrt(squares.mean(1) if mean else np.median(squares, axis=1))
    size = rows.max(1) - rows.min(1)
    sign = np.where(rows.argmax(1) >= rows.argmin(1), 1.0, -1.0)
    # Steps that differ by rounding alone are none.
    step = np.where(step <= 1e-12 * np.maximum(1.0, np.abs(rows).max(1)), 0.0, step)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = sign * size / step
    return np.where(size == 0, 0.0, found)


def largest_step(scores: Sequence[float]) -> float:
    """Return which share of a series' range its largest step makes, in the range's direction.

    A straight line through m scores has 1 / (m − 1), a single jump 1; NaN for a flat series. Unlike
    the emergence score it does not depend on how small the small steps are.

    >>> largest_step([0, 1, 2, 3, 4]), largest_step([0.5, 0.5, 0.0, 0.0])
    (0.25, 1.0)
    """
    values = np.asarray(scores, dtype=np.float64)
    size = float(values.max() - values.min())
    if size == 0:
        return math.nan
    sign = 1.0 if values.argmax() >= values.argmin() else -1.0
    return float(min(1.0, (sign * np.diff(values)).max() / size))


@dataclass(frozen=True, slots=True)
class Sharpness:
    """How sharp a series is beside straight lines of the same ends and the same noise.

    Attributes:
        score: `emergence_score`.
        limit: the score that straight lines stay below in 95 of 100 noisy draws.
        infinite: share of those draws whose score is infinite.
    """

    score: float
    limit: float
    infinite: float

    @property
    def sharp(self) -> bool:
        """Whether the series is sharper than noise makes a straight line look."""
        return abs(self.score) > self.limit


def sharpness(
    scores: Sequence[float],
    errors: Sequence[float],
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> Sharpness:
    """Return a series' emergence score beside its null distribution.

    The null is a straight line from the first score to the last whose points scatter normally with
    the given standard errors, independently. Models that are judged on the same items scatter
    together, which the null ignores: it is then too wide, so that too little is called sharp.

    Args:
        scores: in order of scale.
        errors: the standard error of each score.
        draws: how many noisy lines.
        level: the share of them below the limit.
        seed: of the draws.

    Raises:
        DataError: fewer than three scores, unknown ones, or errors that do not match.

    >>> sharpness([0.0, 0.0, 0.02, 0.9, 1.0], [0.01] * 5).sharp
    True
    >>> sharpness([0.0, 0.25, 0.5, 0.75, 1.0], [0.01] * 5).sharp
    False
    """
    values, noise = np.asarray(scores, np.float64), np.asarray(errors, np.float64)
    if noise.shape != values.shape or not np.isfinite(noise).all() or (noise < 0).any():
        raise DataError("each score needs its standard error", where="emergence")
    score = emergence_score(scores)
    line: Floats = values[0] + (values[-1] - values[0]) * np.arange(len(values)) / (len(values) - 1)
    drawn: Floats = line + stream(seed, "emergence").standard_normal((draws, len(values))) * noise
    null = np.abs(_of_rows(drawn))
    limit = float(np.quantile(null, level, method="higher"))
    return Sharpness(score, limit, float(np.isinf(null).mean()))


def resolution(n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the smallest step of a share of n items, and what may hide behind 0 of n.

    The second is the one-sided exact bound 1 − (1 − level)^(1/n), about 3 / n: an ability of less
    may well show no success at all (Clopper and Pearson 1934).

    >>> [round(value, 4) for value in resolution(100)]
    [0.01, 0.0295]
    """
    if n < 1:
        return math.nan, math.nan
    return 1 / n, 1 - (1 - level) ** (1 / n)


def items_to_see(share: float, level: float = LEVEL) -> float:
    """Return how many items make a first success likely where each succeeds with this chance.

    ln(1 − level) / ln(1 − share), about 3 / share.

    >>> round(items_to_see(0.9 ** 50))
    580
    """
    if not 0 <= share <= 1:
        raise UsageError(f"a share lies in 0 to 1, got {share}", where="items_to_see")
    if share in (0.0, 1.0):
        return math.inf if share == 0 else 1.0
    return math.log(1 - level) / math.log1p(-share)


def exact_from_tokens(p: float, length: float) -> float:
    """Return the chance that all of `length` tokens are right where each is with chance p.

    The tokens count as independent, which they are not: carried digits and rare names fail
    together, and then more answers are right than this says (see `effective_length`).

    >>> exact_from_tokens(0.5, 3)
    0.125
    """
    return float(p**length)


def edits_from_tokens(p: float, length: float) -> float:
    """Return the expected wrong tokens of an answer, L (1 − p): linear where p^L is not.

    >>> edits_from_tokens(0.75, 4)
    1.0
    """
    return length * (1 - p)


def effective_length(exact: float, p: float) -> float:
    """Return the number of independent tokens that would give this share of exact answers.

    log(exact) / log(p); NaN where either says nothing.

    >>> effective_length(0.25, 0.5)
    2.0
    """
    if not 0 < exact <= 1 or not 0 < p < 1:
        return math.nan
    return math.log(exact) / math.log(p) + 0.0


def fit_cross_entropy(scales: Sequence[float], losses: Sequence[float]) -> tuple[float, float]:
    """Fit L(N) = (N / c)^α, a line of log L over log N, and return (c, α); α is below 0.

    Raises:
        DataError: fewer than two scales, or numbers that are not above 0.

    >>> c, a = fit_cross_entropy([1e6, 1e7, 1e8], [(n / 1e3) ** -0.2 for n in (1e6, 1e7, 1e8)])
    >>> round(c), round(a, 6)
    (1000, -0.2)
    """
    x, y = np.asarray(scales, np.float64), np.asarray(losses, np.float64)
    good = x.shape == y.shape and len(set(x.tolist())) >= 2 and (x > 0).all() and (y > 0).all()
    if not good:
        raise DataError(
            "a power law needs two scales or more, and losses above 0", where="fit_cross_entropy"
        )
    slope, height = np.polyfit(np.log(x), np.log(y), 1)
    if slope == 0:
        raise DataError("the loss does not change with scale", where="fit_cross_entropy")
    return float(math.exp(-height / slope)), float(slope)
