"""An item's whole distribution of labels: shares, entropy, disagreement, soft labels, contested.

All functions take counts[i, k], how many raters gave item i the label k, and answer item by item.
An item without a rating has NaN everywhere: unknown is not zero.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.errors import UsageError
from togi.stats.alpha import checked_counts

Counts = NDArray[Any]
Floats = NDArray[np.float64]

CONTESTED_BELOW = 2 / 3
"A plurality of less than two in three raters is a contested item."


def shares(counts: Counts, prior: float = 0.0) -> Floats:
    """Return soft labels: the share of each label among an item's ratings.

    Args:
        counts: (items, labels).
        prior: ratings of each label that are added beforehand (a symmetric Dirichlet prior);
            0 gives plain shares, 1 / labels one rating spread evenly.

    Raises:
        UsageError: a prior below 0.

    >>> shares(np.array([[3, 1], [0, 0]])).tolist()
    [[0.75, 0.25], [nan, nan]]
    >>> shares(np.array([[3, 1]]), prior=0.5).tolist()
    [[0.7, 0.3]]
    """
    if prior < 0:
        raise UsageError(f"prior must be at least 0, got {prior}", where="soft labels")
    table = checked_counts(counts) + prior
    total = table.sum(axis=1, keepdims=True)
    return np.where(total > 0, table / np.where(total > 0, total, 1.0), math.nan)


def entropy(p: Floats) -> Floats:
    """Return Shannon's entropy of each distribution, in nats; 0 · ln 0 is 0.

    >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]])).round(4).tolist()
    [0.6931, 0.0]
    """
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=-1) + 0.0


def corrected_entropy(counts: Counts) -> Floats:
    """Return the entropy in nats, with Miller and Madow's correction for few ratings.

    Shares of n ratings look more certain than they are, by (labels seen − 1) / 2n on average.
    At most ln(labels). Source: Miller 1955.

    >>> corrected_entropy(np.array([[1, 1], [500, 500]])).round(4).tolist()
    [0.6931, 0.6931]
    >>> corrected_entropy(np.array([[3, 1]])).round(4).tolist()
    [0.6873]
    """
    table = checked_counts(counts)
    n, seen = table.sum(axis=1), (table > 0).sum(axis=1)
    raised = entropy(shares(table)) + (seen - 1) / (2 * np.where(n > 0, n, 1.0))
    return np.minimum(raised, math.log(table.shape[1]))


def pairwise_disagreement(counts: Counts) -> Floats:
    """Return the chance that two different raters of an item disagree; NaN below two.

    Unlike 1 − Σ p² it does not depend on how many raters there are (it is unbiased).

    >>> pairwise_disagreement(np.array([[2, 2], [4, 0], [1, 0]])).round(4).tolist()
    [0.6667, 0.0, nan]
    """
    table = checked_counts(counts)
    n = table.sum(axis=1)
    pairs = n * (n - 1)
    alike = (table * (table - 1)).sum(axis=1)
    return np.where(pairs > 0, 1 - alike / np.where(pairs > 0, pairs, 1.0), math.nan)


def plurality(counts: Counts) -> Floats:
    """Return (items, labels): 1 for the most frequent label, 1/t for each of t tied ones.

    >>> plurality(np.array([[3, 1], [2, 2], [0, 0]])).tolist()
    [[1.0, 0.0], [0.5, 0.5], [nan, nan]]
    """
    table = checked_counts(counts)
    best = (table == table.max(axis=1, keepdims=True)).astype(np.float64)
    best[table.sum(axis=1) == 0] = math.nan
    return best / best.sum(axis=1, keepdims=True)


def lead(counts: Counts, prior: float = 1.0) -> Floats:
    """Return how sure it is that the leading label is ahead of the second one, .5 to 1.

    The posterior probability that, of all raters who give one of the two, more than half give
    the first; it is a Beta's upper tail, since any two shares of a Dirichlet are Beta.

    Args:
        counts: (items, labels).
        prior: ratings of each label added beforehand; 1 is the uniform prior.

    Three to none: 1 − .5⁴

    >>> lead(np.array([[3, 0, 0], [2, 2, 0]])).tolist()
    [0.9375, 0.5]
    """
    from scipy import special

    table = np.sort(checked_counts(counts), axis=1)
    first, second = table[:, -1] + prior, table[:, -2] + prior
    known = table.sum(axis=1) > 0
    return np.where(known, special.betainc(second, first, 0.5), math.nan)


def share_interval(
    counts: Counts, label: int, *, prior: float = 1.0, level: float = 0.95
) -> Floats:
    """Return (items, 2): the credible interval of one label's share among all raters.

    >>> share_interval(np.array([[0, 0], [50, 50]]), 1).round(3).tolist()
    [[0.025, 0.975], [0.404, 0.596]]
    """
    from scipy import special

    table = checked_counts(counts)
    mine = table[:, label] + prior
    others = table.sum(axis=1) - table[:, label] + prior * (table.shape[1] - 1)
    tail = (1 - level) / 2
    ends = [special.betaincinv(mine, others, p) for p in (tail, 1 - tail)]
    return np.column_stack(ends)


def contested(counts: Counts, below: float = CONTESTED_BELOW) -> NDArray[np.bool_]:
    """Return which items have no clear majority: the leading label's share is below `below`.

    Raises:
        UsageError: a bound outside 0 … 1.

    >>> contested(np.array([[3, 1], [3, 2], [0, 0]])).tolist()
    [False, True, False]
    """
    if not 0 < below <= 1:
        raise UsageError(f"contested_below must lie between 0 and 1, got {below}")
    most = shares(counts).max(axis=1)
    return most < below - 1e-12  # two of three are not below 2/3; an unrated item is neither
