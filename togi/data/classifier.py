r"""A classifier as a filter: documents that a logistic regression takes for the target's.

The usual quality filter beside DSIR: Brown et al. 2020 (arXiv 2005.14165, appendix A) score web
documents by a classifier between curated text and the rest, and keep what scores high, or what
passes a noisy threshold. Features are counts of hashed n-grams, each document's scaled to length
one. Deviations: every document is scored by a classifier that has not learnt from it (two folds),
which the paper does not say of its own.

>>> pool = ["salt the soup", "the court held", "bake the bread", "damages under the contract"] * 9
>>> judged = judge(pool, ["stir the soup with salt", "bake bread"] * 9, seed=0)
>>> sorted({pool[i] for i in best(judged.scores, 18)})
['bake the bread', 'salt the soup']
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from togi.data.features import Features
from togi.data.featuriser import Featuriser
from togi.errors import DataError
from togi.stats.rng import stream

FEATURES = Features(order=2, buckets=1 << 17)
FOLDS = 2
AT_A_TIME = 1024  # texts
ROUNDS = 200  # of L-BFGS at most
LEAST = 2 * FOLDS  # texts of either side


def matrix(texts: Sequence[str], features: Features = FEATURES) -> tuple[Any, np.ndarray]:
    """Return hashed n-gram counts, each text's of length one, and the words of each.

    Returns:
        A sparse matrix float32[texts, buckets], and int32[texts].

    >>> found, words = matrix(["a a b"])
    >>> (found.data**2).round(3).tolist().count(0.143), words.tolist()  # a: 2, aa, ab, b: 1
    (0, [3])
    """
    from scipy import sparse

    featuriser = Featuriser(features, counted=False)
    parts, words = [sparse.csr_matrix((0, features.buckets), dtype=np.float32)], []
    for start in range(0, len(texts), AT_A_TIME):
        part = featuriser.texts(texts[start : start + AT_A_TIME])
        bounds = np.concatenate([[0], np.cumsum(part.ngrams)])
        data = np.ones(len(part.indices), np.float32)
        shape = (len(part.words), features.buckets)
        some = sparse.csr_matrix((data, part.indices.astype(np.int64), bounds), shape=shape)
        some.sum_duplicates()
        length = np.sqrt(np.asarray(some.multiply(some).sum(axis=1)).ravel())
        parts.append(sparse.diags_array(1 / np.maximum(length, 1e-12)).astype(np.float32) @ some)
        words.append(part.words)
    return sparse.vstack(parts, format="csr"), np.concatenate([np.empty(0, np.int32), *words])


def fit_logistic(x: Any, y: np.ndarray, l2: float) -> np.ndarray:
    """Fit a logistic regression, both classes weighing the same; the last weight is the intercept.

    Minimises the weighted mean of log(1 + exp(-s z)), s = +1 or -1 by the class and z = w x + b,
    plus l2 / 2 times the squared length of w.

    Args:
        x: sparse float[n, m].
        y: bool[n], true for the target's.
        l2: penalty.
    """
    from scipy.optimize import minimize

    sign = np.where(y, 1.0, -1.0)
    weight = np.where(y, 0.5 / y.sum(), 0.5 / (~y).sum())

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (x @ w[:-1] + w[-1])
        slope = -sign * weight * np.exp(-np.logaddexp(0, margin))
        value = weight @ np.logaddexp(0, -margin) + l2 / 2 * (w[:-1] @ w[:-1])
        return float(value), np.append(x.T @ slope + l2 * w[:-1], slope.sum())

    start = np.zeros(x.shape[1] + 1)
    return minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": ROUNDS}).x


@dataclass(frozen=True, slots=True)
class Judged:
    """What the classifiers say.

    Attributes:
        scores: float64[pool], the logit of belonging to the target, by the fold that has not
            learnt the document.
        target: float64[target], the same.
        words: int32[pool].
    """

    scores: np.ndarray
    target: np.ndarray
    words: np.ndarray

    @property
    def auc(self) -> float:
        """Probability that a target's text scores higher than one of the pool; ties count half."""
        from scipy.stats import rankdata

        ranks, n = rankdata(np.concatenate([self.target, self.scores])), len(self.target)
        return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * len(self.scores)))


def judge(
    pool: Sequence[str], target: Sequence[str], *, seed: int, l2: float = 1e-4,
    features: Features = FEATURES,
) -> Judged:  # fmt: skip
    """Score a pool's texts by classifiers that tell the target's from the pool's.

    Raises:
        DataError: a side has too few texts for two folds.
    """
    for name, side in (("pool", pool), ("target", target)):
        if len(side) < LEAST:
            raise DataError(
                f"the {name} is too small to learn from", found=f"{len(side)} texts",
                expected=f"at least {LEAST}",
            )  # fmt: skip
    (x, words), (wanted, _) = matrix(pool, features), matrix(target, features)
    scores, found = np.empty(len(pool)), np.empty(len(target))
    folds = [_folds(side, seed, name) for side, name in ((scores, "pool"), (found, "target"))]
    for fold in range(FOLDS):
        learnt = [one != fold for one in folds]
        both, y = _stacked(x[learnt[0]], wanted[learnt[1]])
        w = fit_logistic(both, y, l2)
        for out, given, of in ((scores, x, learnt[0]), (found, wanted, learnt[1])):
            out[~of] = given[~of] @ w[:-1] + w[-1]
    return Judged(scores, found, words)


def _folds(side: np.ndarray, seed: int, name: str) -> np.ndarray:
    """Return the fold of each text, as many in each, in random order."""
    return stream(seed, "folds", name).permutation(np.arange(len(side)) % FOLDS)


def _stacked(pool: Any, target: Any) -> tuple[Any, np.ndarray]:
    from scipy import sparse

    y = np.append(np.zeros(pool.shape[0], bool), np.ones(target.shape[0], bool))
    return sparse.vstack([pool, target], format="csr"), y


def noisy(scores: np.ndarray, alpha: float, seed: int) -> np.ndarray:
    """Return keys by which the best are those that pass GPT-3's noisy threshold most easily.

    A document passes where a draw of Lomax's distribution of shape alpha (9 in the paper) exceeds
    1 - score, with the score in 0 to 1; the key is the excess.

    >>> keys = noisy(np.array([20.0, -20.0] * 500), 9.0, seed=0)
    >>> bool((keys[::2] > 0).all()), bool((keys[1::2] > 0).mean() < 0.02)
    (True, True)
    """
    share = np.exp(-np.logaddexp(0, -scores))
    return stream(seed, "lomax").pareto(alpha, len(scores)) - (1 - share)


def best(keys: np.ndarray, k: int, allowed: np.ndarray | None = None) -> np.ndarray:
    """Return the places of the k greatest keys, ascending; the earlier of equal ones.

    >>> best(np.array([1.0, 3.0, 3.0, 2.0]), 2, np.array([True, True, False, True])).tolist()
    [1, 3]
    """
    places = np.arange(len(keys)) if allowed is None else np.flatnonzero(allowed)
    return np.sort(places[np.argsort(-keys[places], kind="stable")[:k]])
