"""Repeated data: what an epoch is worth, and how to split compute when fresh tokens run out.

Muennighoff et al. 2023, "Scaling Data-Constrained Language Models" (arXiv 2305.16264, NeurIPS
2023): D tokens, of which U are distinct, count as D' = U + U R* (1 − exp(−R/R*)) with R = D/U − 1
repeats; each further repeat is worth exp(−R/R*) of a fresh token. Parameters beyond what U tokens
can use, N_opt(U), fade in the same way. The loss is Chinchilla's at N' and D'.

Claim: up to four epochs are nearly as good as fresh data. R* is the e-fold of a repeat's worth,
not a number of epochs to train for; and how well the published runs tell it is shown by
`repeated_fit`: they allow anything from about 5 upwards.

Reading order: this file (the law) → `repeated_fit` → `repeated_plan`; `runout` stands by itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from togi.data.scaling import Form, Points, Pull, chinchilla, chinchilla_starts, optimum
from togi.data.scaling_runs import FLOPS_PER
from togi.data.solve import Floats, bisect

ENDLESS = 1e15  # a decay this slow is none: repeats stay as good as fresh tokens
SLOWEST = float(np.log(ENDLESS))
MANY = 20.0  # epochs, and
EXCESS = 5.0  # times N_opt(U), from which on the loss was seen to rise with epochs


class Decay(NamedTuple):
    """How fast repeats lose their worth: R_D* of tokens and R_N* of excess parameters."""

    tokens: Floats | float
    params: Floats | float


PUBLISHED = Decay(15.387756, 5.309743)
C4_LAW = np.array([6.255414, 7.3049974, 0.6254804, 0.3526596, 0.3526596])
"The paper's law of C4, (a, b, e, α, β), in nats a token of GPT-2's tokenizer."


def effective(unique: Floats | float, total: Floats | float, decay: Floats | float) -> Floats:
    """Return how many fresh tokens (or useful parameters) `total` are worth.

    Args:
        unique: those that count in full.
        total: all of them; at or below `unique` nothing is repeated.
        decay: R*; infinite where repeats are as good as new.

    >>> float(effective(1.0, 1.0, 15.4)), round(float(effective(1.0, 4.0, np.inf)), 9)
    (1.0, 4.0)
    >>> round(float(effective(1.0, 4.0, 15.387756) / 4), 3)  # four epochs
    0.931
    """
    slow = np.minimum(decay, ENDLESS)
    repeats = np.maximum(np.asarray(total) / unique - 1, 0)
    counted = np.minimum(unique, total)
    return counted * (1 - slow * np.expm1(-repeats / slow))


def worth(epochs: Floats | float, decay: Floats | float) -> Floats:
    """Return D'/D, the worth of a token of such a training against a fresh one.

    >>> [round(float(worth(k, 15.387756)), 3) for k in (1, 2, 4, 8, 16, 40, 100)]
    [1.0, 0.984, 0.931, 0.828, 0.661, 0.379, 0.164]
    """
    return effective(1.0, np.maximum(epochs, 1.0), decay) / np.maximum(epochs, 1.0)


def next_epoch(epochs: Floats | float, decay: Floats | float) -> Floats:
    """Return what the next epoch's tokens are worth, after so many epochs: exp(−(k − 1)/R*) on.

    It is the derivative of D' by D where the next epoch begins.

    >>> round(float(next_epoch(1 + 15.387756, 15.387756)), 4)  # 1/e
    0.3679
    """
    return np.exp(-(np.maximum(epochs, 1.0) - 1) / decay)


def useful_params(theta: Floats, unique: Floats | float) -> Floats:
    """Return N_opt(U): the size for which U tokens are the compute-optimal amount.

    N_opt = (αA/βB · U^β)^(1/α).

    >>> f"{float(useful_params(C4_LAW, 25e9)):.4g}"
    '1.275e+09'
    """
    a, b, _, alpha, beta = np.moveaxis(np.asarray(theta), -1, 0)
    odds = np.log(alpha) + a - np.log(beta) - b
    return np.exp((odds + beta * np.log(unique)) / alpha)


def repeated_loss(
    theta: Floats,
    decay: Decay,
    params: Floats | float,
    tokens: Floats | float,
    unique: Floats | float,
) -> Floats:
    """Return the loss of N parameters on D tokens of which U are distinct.

    >>> round(float(repeated_loss(C4_LAW, PUBLISHED, 6.34e9, 242e9, 25e9)), 10)
    2.225644089
    """
    a, b, e, alpha, beta = np.moveaxis(np.asarray(theta), -1, 0)
    n = np.log(effective(useful_params(theta, unique), params, decay.params))
    d = np.log(effective(unique, tokens, decay.tokens))
    return np.exp(np.logaddexp(np.logaddexp(a - alpha * n, b - beta * d), e))


def best_split(theta: Floats, decay: Decay, flops: float, unique: float) -> tuple[Floats, Floats]:
    """Return the parameters and tokens with the least loss at a budget and so many unique tokens.

    Where the compute-optimal tokens are no more than U, nothing is repeated and Chinchilla's split
    holds. Else the optimum lies at D > U, where the gains of a share more parameters and a share
    more tokens are equal: αA N'^(−α−1) e^(−R_N/R_N*) N = βB D'^(−β−1) e^(−R_D/R_D*) D. Along
    6 N D = C the left side falls with N and the right side rises, so one bisection finds it, where
    the authors searched a grid.

    >>> n, d = best_split(C4_LAW, PUBLISHED, 1e22, 25e9)
    >>> f"{float(n):.5g} {float(d / 25e9):.4f}", round(
    ...     float(repeated_loss(C4_LAW, PUBLISHED, n, d, 25e9)), 10)
    ('7.0262e+09 9.4884', 2.2221292749)
    """
    shape = np.broadcast_shapes(np.shape(theta)[:-1], np.shape(decay.tokens))
    a, b, _, alpha, beta = np.moveaxis(np.broadcast_to(theta, (*shape, 5)).reshape(-1, 5), -1, 0)
    r_d, r_n = (np.broadcast_to(np.minimum(r, ENDLESS), shape).ravel() for r in decay)
    fresh_n, fresh_d = (np.atleast_1d(np.broadcast_to(v, shape).ravel())
                        for v in optimum(theta, flops))  # fmt: skip
    useful = np.broadcast_to(useful_params(theta, unique), shape).ravel()
    work = np.log(flops / FLOPS_PER)

    def balance(n: Floats) -> Floats:
        size, data = np.exp(n), np.exp(work - n)
        more = np.maximum(size / useful - 1, 0), np.maximum(data / unique - 1, 0)
        counted = effective(useful, size, r_n), effective(unique, data, r_d)
        by_size = np.log(alpha) + a - (alpha + 1) * np.log(counted[0]) - more[0] / r_n + n
        by_data = np.log(beta) + b - (beta + 1) * np.log(counted[1]) - more[1] / r_d + work - n
        return by_data - by_size

    high = np.full_like(useful, work - np.log(unique))
    n = np.where(fresh_d <= unique, np.log(fresh_n), bisect(balance, high - 25, high))
    return np.exp(n).reshape(shape), np.exp(work - n).reshape(shape)


def may_rise(theta: Floats, params: float, tokens: float, unique: float) -> bool:
    """Say whether a plan lies where measured losses rise with epochs, which the law cannot show.

    D' never falls, so the law's loss never rises; the runs' does: 146 M parameters on 100 M tokens
    came to 3.72 after 59 epochs and to 3.90 after 1740.

    >>> may_rise(C4_LAW, 1.465e8, 1.74e11, 1e8), may_rise(C4_LAW, 2.8e9, 55e9, 14e9)
    (True, False)
    """
    return tokens > MANY * unique and params > EXCESS * float(useful_params(theta, unique))


# --- as forms that can be fitted -----------------------------------------------------------------


def _faded(repeats: Floats, decay: Floats) -> tuple[Floats, Floats]:
    """Return ln of what (s, r) repeats come to, ln(1 + r(1 − e^(−R/r))), and its slope by ln r."""
    rate = repeats / decay
    lost = -np.expm1(-rate)
    whole = 1 + decay * lost
    return np.log(whole), decay * (lost - rate * np.exp(-rate)) / whole


def decays(base: Floats) -> Form:
    """Return the form whose two parameters, ln R_D* and ln R_N*, are fitted to a law held fixed.

    Args:
        base: the law (a, b, e, α, β) of data without repeats.
    """

    def evaluate(theta: Floats, points: Points) -> tuple[Floats, Pull]:
        a, b, e, alpha, beta = base
        useful = np.minimum(np.log(useful_params(base, np.exp(points.u))), points.n)
        slow = np.exp(np.minimum(theta, SLOWEST))
        grown_n, by_rn = _faded(np.expm1(points.n - useful), slow[:, 1:])
        grown_d, by_rd = _faded(np.maximum(np.expm1(points.d - points.u), 0), slow[:, :1])
        size = a - alpha * (useful + grown_n)
        data = b - beta * (points.u + grown_d)
        whole = np.logaddexp(np.logaddexp(size, data), e)

        def pull(by: Floats) -> Floats:
            to_d = -beta * (by * np.exp(data - whole) * by_rd).sum(axis=1)
            to_n = -alpha * (by * np.exp(size - whole) * by_rn).sum(axis=1)
            return np.stack([to_d, to_n], axis=1)

        return whole, pull

    def starts(points: Points) -> Floats:
        del points
        sides = np.meshgrid(np.log(np.geomspace(1, 1000, 12)), np.log(np.geomspace(0.1, 100, 12)))
        return np.stack([side.ravel() for side in sides], axis=1)

    return Form("decays", ("ln_rd", "ln_rn"), evaluate, starts)


@np.errstate(invalid="ignore", divide="ignore", over="ignore")  # a start may have α below 0
def _whole(theta: Floats, points: Points) -> tuple[Floats, Pull]:
    """Return ln L of the whole law, parameters (a, b, e, α, β, ln R_D*, ln R_N*)."""
    a, b, _, alpha, beta, ln_rd, ln_rn = theta.T[:, :, None]
    odds = np.log(alpha) + a - np.log(beta) - b
    useful = (odds + beta * points.u) / alpha
    free = useful < points.n
    least = np.where(free, useful, points.n)
    more = np.expm1(points.n - least)
    slow_n, slow_d = np.exp(np.minimum(ln_rn, SLOWEST)), np.exp(np.minimum(ln_rd, SLOWEST))
    grown_n, by_rn = _faded(more, slow_n)
    grown_d, by_rd = _faded(np.maximum(np.expm1(points.d - points.u), 0), slow_d)
    seen = Points(least + grown_n, points.u + grown_d, points.y, points.u)
    predicted, _ = chinchilla(theta[:, :5], seen)
    size = np.exp(a - alpha * seen.n - predicted)
    data = np.exp(b - beta * seen.d - predicted)
    # N' by N_opt at fixed N: 1 less the share that the repeats' growth takes back
    by_useful = np.where(free, 1 - (1 + more) * np.exp(-more / slow_n - grown_n), 0)

    @np.errstate(invalid="ignore", divide="ignore", over="ignore")
    def pull(by: Floats) -> Floats:
        to_size, to_data = by * size, by * data
        to_useful = -alpha * to_size * by_useful
        parts = (
            to_size + to_useful / alpha,
            to_data - to_useful / alpha,
            by * (1 - size - data),
            -to_size * seen.n + to_useful * (1 / alpha - useful) / alpha,
            -to_data * seen.d + to_useful * (points.u - 1 / beta) / alpha,
            -beta * to_data * by_rd,
            -alpha * to_size * by_rn,
        )
        return np.stack([part.sum(axis=1) for part in parts], axis=1)

    return predicted, pull


def _whole_starts(points: Points) -> Floats:
    laws = chinchilla_starts(points)[::5]
    pairs = np.log([[3.0, 1.0], [15.0, 5.0], [100.0, 2.0]])
    return np.concatenate([np.concatenate([laws, np.repeat(pair[None], len(laws), 0)], axis=1)
                           for pair in pairs])  # fmt: skip


WHOLE = Form(
    "whole",
    ("a", "b", "e", "alpha", "beta", "ln_rd", "ln_rn"),
    _whole,
    _whole_starts,
    ((3, 0, "n"), (4, 1, "d")),
)
"All seven parameters from one set of runs, fresh and repeated."
