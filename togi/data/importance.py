"""Importance resampling as pure functions of counts and log weights.

Source: Xie, Santurkar, Ma, Liang 2023, "Data Selection for Language Models via Importance
Resampling" (arXiv 2302.03169), section 3; Gumbel top-k: Kool et al. 2019 (arXiv 1903.06059).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from togi.errors import DataError, UsageError
from togi.stats.rng import derive

FLOOR = 1e-8  # the reference's: an unseen bucket weighs as this share
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX1, MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class Fit:
    """Two bags of hashed n-grams.

    Attributes:
        raw: q, each bucket's share of the pool's n-grams, float64[m].
        target: p, of the target's, smoothed, float64[m].
    """

    raw: np.ndarray
    target: np.ndarray

    @property
    def log_ratio(self) -> np.ndarray:
        """What one n-gram of each bucket adds to a document's log weight, in nats."""
        return np.log(self.target + FLOOR) - np.log(self.raw + FLOOR)


def fit(raw_counts: np.ndarray, target_counts: np.ndarray, smoothing: float = 0.0) -> Fit:
    """Fit both bags: p = (target counts + smoothing) / sum, q = raw counts / sum.

    Args:
        raw_counts: n-grams of the pool in each bucket, [m].
        target_counts: of the target, [m].
        smoothing: pseudo-count of every target bucket; above 0 it tames small targets.

    Raises:
        DataError: a side has no n-grams at all.

    >>> both = fit(np.array([1, 3]), np.array([3, 1]))
    >>> both.target.tolist(), np.round(both.log_ratio, 4).tolist()
    ([0.75, 0.25], [1.0986, -1.0986])
    """
    if smoothing < 0:
        raise UsageError("smoothing cannot be negative", found=str(smoothing), expected="0 or more")
    for name, counts in (("raw pool", raw_counts), ("target", target_counts)):
        if not counts.sum():
            raise DataError(f"the {name} has no words", expected="documents with text")
    target = target_counts + float(smoothing)
    return Fit(raw_counts / raw_counts.sum(), target / target.sum())


def weights(counts: np.ndarray, log_ratio: np.ndarray) -> np.ndarray:
    """Log importance weights, in nats, of documents given as bucket counts [N, m]: [N].

    The index sums the same over each document's n-grams without ever building the counts.

    >>> weights(np.array([[2, 0], [1, 1]]), np.array([0.5, -1.0])).tolist()
    [1.0, -0.5]
    """
    return counts @ log_ratio


def gumbel(seed: int, count: int, first: int = 0) -> np.ndarray:
    """Return standard Gumbel noise of documents first .. first + count - 1: float64[count].

    Document i's noise is -log(-log u), where u is the splitmix64 hash of the seed's stream
    "gumbel" and i, so it depends on neither threads nor the number of documents.
    """
    index = np.arange(first + 1, first + count + 1, dtype=np.uint64)
    state = np.uint64(derive(seed, "gumbel")) + index * GOLDEN
    state = (state ^ (state >> np.uint64(30))) * MIX1
    state = (state ^ (state >> np.uint64(27))) * MIX2
    state ^= state >> np.uint64(31)
    uniform = ((state >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return -np.log(-np.log(uniform))


def gumbel_top_k(
    log_weights: np.ndarray,
    k: int,
    *,
    seed: int = 0,
    allowed: np.ndarray | None = None,
    noise: bool = True,
) -> np.ndarray:
    """Sample k documents without replacement in proportion to their weights.

    The k largest of log w + Gumbel noise are such a sample (Plackett-Luce). Ties go to the
    earlier document.

    Args:
        log_weights: [N], in nats.
        k: how many; at least 0. More than are allowed gives all that are.
        seed: of the noise.
        allowed: bool [N], which documents may be picked; all by default.
        noise: False picks the k largest weights instead.

    Returns:
        Their indices, ascending.

    >>> gumbel_top_k(np.array([0.0, 5.0, 1.0]), 2, noise=False).tolist()
    [1, 2]
    """
    if k < 0:
        raise UsageError("k cannot be negative", found=str(k), expected="0 or more")
    candidates = np.arange(len(log_weights)) if allowed is None else np.flatnonzero(allowed)
    if k >= len(candidates):
        return candidates
    if k == 0:
        return candidates[:0]
    keys = log_weights[candidates]
    if noise:
        keys = keys + gumbel(seed, len(log_weights))[candidates]
    least = np.partition(keys, len(keys) - k)[len(keys) - k]
    above = keys > least
    ties = np.flatnonzero(keys == least)[: k - int(above.sum())]
    above[ties] = True
    return candidates[above]


def effective_sample_size(log_weights: np.ndarray) -> float:
    """(sum w)^2 / sum w^2: how many equally weighted documents the weights are worth.

    NaN without documents. Source: Kish 1965.

    >>> effective_sample_size(np.zeros(4)), effective_sample_size(np.array([0.0, -1000.0]))
    (4.0, 1.0)
    """
    if not len(log_weights):
        return float("nan")
    scaled = np.exp(log_weights - log_weights.max())
    return float(scaled.sum() ** 2 / (scaled**2).sum())


def divergence(target: np.ndarray, other: np.ndarray) -> float:
    """KL(target || other) of two bags [m], in nats; shares below 1e-8 count as that."""
    return float(target @ (np.log(target + FLOOR) - np.log(other + FLOOR)))


def kl_reduction(target: np.ndarray, raw: np.ndarray, picked: np.ndarray) -> float:
    """How much nearer the picked bag is to the target than the pool's is, in nats.

    KL(target || raw) - KL(target || picked), on the shares of hashed n-grams (section 5 of the
    paper, where it goes with downstream accuracy at r = 0.82). NaN if nothing was picked.

    >>> kl_reduction(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([1.0, 0.0])) > 0.69
    True
    """
    if not picked.sum():
        return float("nan")
    return divergence(target, raw) - divergence(target, picked)
