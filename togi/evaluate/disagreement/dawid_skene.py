"""Dawid and Skene: each rater's confusion of true and given labels, learnt without a truth.

Source: Dawid & Skene 1979, "Maximum likelihood estimation of observer error-rates using the EM
algorithm". Started from the votes' shares. As with MACE, "truth" is what the crowd would settle
on; where people rightly differ it does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError
from togi.evaluate.disagreement.soft import shares

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """What was learnt.

    Attributes:
        truth: (items, labels) probability that a label is the true one.
        confusion: (raters, labels, labels) [r, true, given]; each row adds up to 1.
        frequent: (labels,) how frequent each true label is.
        log_likelihood: of all ratings, in nats.
        rounds: rounds of EM.
    """

    truth: Floats
    confusion: Floats
    frequent: Floats
    log_likelihood: float
    rounds: int


def dawid_skene(
    item: Codes,
    rater: Codes,
    label: Codes,
    labels: int,
    *,
    smoothing: float = 0.01,
    rounds: int = 500,
    close: float = 1e-7,
) -> DawidSkene:
    """Fit Dawid and Skene's model by EM.

    Args:
        item: (n,) the item of each rating, as a place 0, 1, …
        rater: (n,) its rater.
        label: (n,) its label.
        labels: how many labels there are.
        smoothing: ratings added to each cell of a rater's table, so that a label which he has
            not given yet is not impossible.
        rounds: most rounds.
        close: it ends where the log-likelihood moves by less than this share.

    Raises:
        DataError: no ratings, or columns of different length.

    A rater who always says the opposite is as useful as one who is right:

    >>> item, rater = np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4)
    >>> found = dawid_skene(item, rater, np.array([0, 0, 1, 1, 1, 0] * 2), 2)
    >>> found.truth.argmax(axis=1).tolist(), found.confusion[2].round(1).tolist()
    ([0, 1, 0, 1], [[0.0, 1.0], [1.0, 0.0]])
    """
    if not len(item) == len(rater) == len(label) or not len(item):
        raise DataError("Dawid–Skene wants one item, rater and label for each rating")
    items, raters = int(item.max()) + 1, int(rater.max()) + 1
    counts = np.zeros((items, labels))
    np.add.at(counts, (item, label), 1)
    truth = shares(counts)
    confusion, frequent = np.zeros((raters, labels, labels)), np.zeros(labels)
    before, now, done = -np.inf, 0.0, 0
    while done < rounds and not abs(now - before) < close * abs(now):
        before, done = now, done + 1
        met = np.full((raters, labels, labels), smoothing)
        np.add.at(met.transpose(0, 2, 1), (rater, label), truth[item])
        confusion = met / met.sum(axis=2, keepdims=True)
        frequent = (truth.sum(axis=0) + smoothing) / (items + smoothing * labels)
        logs = np.tile(np.log(frequent), (items, 1))
        np.add.at(logs, item, np.log(confusion[rater, :, label]))
        top = logs.max(axis=1, keepdims=True)
        total = top[:, 0] + np.log(np.exp(logs - top).sum(axis=1))
        truth = np.exp(logs - total[:, None])
        now = float(total.sum())
    return DawidSkene(truth, confusion, frequent, now, done)
