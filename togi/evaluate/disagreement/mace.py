"""MACE: which raters know and which guess, learnt from their agreement alone.

Source: Hovy, Berg-Kirkpatrick, Vaswani & Hovy 2013, "Learning whom to trust with MACE". A rater
either knows an item's true label and says it (with the probability *competence*), or draws a
label by a habit of his own. Fitted by variational Bayes with the reference's priors: Beta(.5, .5)
on competence, Dirichlet(10, …) on habits.

Where raters disagree because people differ, there is no hidden truth and low competence means
"often in the minority"; read it beside the groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError, UsageError
from togi.stats.rng import stream

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

KNOWS = 0.5
"Prior ratings of knowing, and of guessing, for each rater."
HABIT = 10.0
"Prior ratings of each label in a guess: habits are smooth."


@dataclass(frozen=True, slots=True)
class Mace:
    """What was learnt.

    Attributes:
        truth: (items, labels) probability that a label is the true one.
        competence: (raters,) how probably a rater knows. Under variational Bayes it is the
            geometric mean exp E[ln θ], as in the reference: a little below the mean.
        log_likelihood: of all ratings, in nats.
        rounds: rounds of the best start.
    """

    truth: Floats
    competence: Floats
    log_likelihood: float
    rounds: int


@dataclass(frozen=True, slots=True)
class _Crowd:
    item: Codes
    rater: Codes
    label: Codes
    items: int
    raters: int
    labels: int


@dataclass(frozen=True, slots=True)
class _Expected:
    """An E step: the truth, and how many ratings each rater knew, guessed, and guessed so."""

    truth: Floats
    known: Floats
    habits: Floats
    log_likelihood: float


def mace(
    item: Codes,
    rater: Codes,
    label: Codes,
    labels: int,
    *,
    rounds: int = 500,
    starts: int = 4,
    close: float = 1e-7,
    seed: int = 0,
) -> Mace:
    """Fit MACE by variational Bayes from several starts and keep the most likely one.

    Args:
        item: (n,) the item of each rating, as a place 0, 1, …
        rater: (n,) its rater.
        label: (n,) its label.
        labels: how many labels there are.
        rounds: most rounds from one start; the reference stops after 50.
        starts: the first one is even (everyone knows half the time); the others are drawn.
        close: a start ends where the log-likelihood moves by less than this share.
        seed: of the drawn starts.

    Raises:
        DataError: no ratings, or columns of different length.
        UsageError: no round or no start.

    Two raters who agree outvote a third, and are trusted more:

    >>> item, rater = np.repeat(np.arange(6), 3), np.tile(np.arange(3), 6)
    >>> label = np.array([0, 0, 1, 1, 1, 0] * 3)
    >>> found = mace(item, rater, label, 2)
    >>> found.truth.argmax(axis=1).tolist(), bool(found.competence[0] > found.competence[2])
    ([0, 1, 0, 1, 0, 1], True)
    """
    if not len(item) == len(rater) == len(label) or not len(item):
        raise DataError("MACE wants one item, rater and label for each rating")
    if rounds < 1 or starts < 1:
        raise UsageError(f"MACE wants at least one round and one start, got {rounds} and {starts}")
    crowd = _Crowd(item, rater, label, int(item.max()) + 1, int(rater.max()) + 1, labels)
    found = (_fit(crowd, _start(crowd, number, seed), rounds, close) for number in range(starts))
    return max(found, key=lambda one: one.log_likelihood)


def _start(crowd: _Crowd, number: int, seed: int) -> tuple[Floats, Floats]:
    """Return (raters, 2) knowing and guessing, and (raters, labels) habits, of one start."""
    rng = stream(seed, "mace", number)
    noise = 0.5 if number else 0.0
    knowing = 1 + noise * rng.random((crowd.raters, 2))
    habits = 1 + noise * rng.random((crowd.raters, crowd.labels))
    return knowing / knowing.sum(axis=1, keepdims=True), habits / habits.sum(axis=1, keepdims=True)


def _fit(crowd: _Crowd, start: tuple[Floats, Floats], rounds: int, close: float) -> Mace:
    knowing, habits = start
    now, before, done = _expect(crowd, knowing, habits), math.inf, 0
    while done < rounds and not abs(now.log_likelihood - before) < close * abs(before):
        before, done = now.log_likelihood, done + 1
        knowing, habits = _maximise(now.known, KNOWS), _maximise(now.habits, HABIT)
        now = _expect(crowd, knowing, habits)
    return Mace(now.truth, knowing[:, 0], now.log_likelihood, done)


def _expect(crowd: _Crowd, knowing: Floats, habits: Floats) -> _Expected:
    """Return what is expected of the hidden truth and of knowing, given the parameters."""
    item, rater, label = crowd.item, crowd.rater, crowd.label
    guess = knowing[rater, 1] * habits[rater, label]
    place = np.arange(len(item))
    chance = np.repeat(guess[:, None], crowd.labels, axis=1)
    chance[place, label] += knowing[rater, 0]
    logs = np.stack([np.bincount(item, one, crowd.items) for one in np.log(chance).T], axis=1)
    top = logs.max(axis=1, keepdims=True)
    total = top[:, 0] + np.log(np.exp(logs - top).sum(axis=1))
    truth = np.exp(logs - total[:, None])
    # a rating was known with the share that knowing has in the chance of its own label
    known = truth[item, label] * knowing[rater, 0] / chance[place, label]
    guessed = 1 - known
    cells = crowd.raters * crowd.labels
    used = np.bincount(rater * crowd.labels + label, guessed, cells)
    counts = np.stack([np.bincount(rater, part, crowd.raters) for part in (known, guessed)], axis=1)
    even = crowd.items * np.log(crowd.labels)  # all labels are equally probable beforehand
    return _Expected(
        truth,
        counts.astype(np.float64),
        used.reshape(crowd.raters, -1).astype(np.float64),
        float(total.sum() - even),
    )


def _maximise(counts: Floats, prior: float) -> Floats:
    """Return exp E[ln θ] of each row's Dirichlet posterior (Johnson 2007, eq. 8)."""
    from scipy.special import digamma

    whole = counts + prior
    return np.exp(digamma(whole) - digamma(whole.sum(axis=1, keepdims=True)))
