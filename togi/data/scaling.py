"""Scaling laws: loss as a function of parameters and tokens, and the best split of compute.

Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models" (arXiv 2203.15556): the
loss of a finished run with N parameters and D tokens is L(N, D) = E + A/N^α + B/D^β, and with
C = 6 N D FLOPs to spend the best N and D grow as powers of C. Kaplan et al. 2020 (arXiv
2001.08361): L(N, D) = ((Nc/N)^(αN/αD) + Dc/D)^αD, without a floor.

A law's parameters stand in one array, last axis (a, b, e, α, β) with a = ln A, b = ln B,
e = ln E: all five are of order one to ten, and A, B, E stay positive. Arrays of parameters, as a
bootstrap gives them, pass through every function here.

Reading order: this file (the laws) → `scaling_fit` → `scaling_optimal` → `scaling_plan`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, TypeAlias

import numpy as np

from togi.data.scaling_runs import FLOPS_PER, Runs
from togi.data.solve import Floats, bisect

FAR = 600.0  # exponents are cut here, where a start is absurd, so that nothing overflows


class Points(NamedTuple):
    """Runs as a fit sees them: natural logarithms, (r,) each."""

    n: Floats
    d: Floats
    y: Floats
    u: Floats


def points_of(runs: Runs) -> Points:
    """Return the logarithms of parameters, tokens, loss and unique tokens."""
    columns = (runs.params, runs.tokens, runs.loss, runs.unique)
    return Points(*(np.log(column) for column in columns))


def law_of(A: float, B: float, E: float, alpha: float, beta: float) -> Floats:
    """Return a law's parameters from its constants as papers print them.

    >>> law_of(406.4, 410.7, 1.69, 0.34, 0.28).round(3).tolist()
    [6.007, 6.018, 0.525, 0.34, 0.28]
    """
    return np.array([np.log(A), np.log(B), np.log(E), alpha, beta])


def log_loss(theta: Floats, n: Floats, d: Floats) -> Floats:
    """Return ln L at logarithms of parameters and tokens; (…, 5) meets (…) by broadcasting."""
    a, b, e, alpha, beta = np.moveaxis(np.asarray(theta), -1, 0)
    return np.logaddexp(np.logaddexp(a - alpha * n, b - beta * d), e)


def loss(theta: Floats, params: Floats | float, tokens: Floats | float) -> Floats:
    """Return the loss, in the unit that the law was fitted in (nats a token).

    >>> chinchilla_printed = law_of(406.4, 410.7, 1.69, 0.34, 0.28)
    >>> round(float(loss(chinchilla_printed, 70e9, 1.4e12)), 4)  # 1.69 + 0.0834 + 0.1632
    1.9366
    """
    return np.exp(log_loss(theta, np.log(params), np.log(tokens)))


def exponents(theta: Floats) -> Floats:
    """Return a in N* ∝ C^a, which is β/(α+β); D* ∝ C^(1−a)."""
    return theta[..., 4] / (theta[..., 3] + theta[..., 4])


def log_ratio(theta: Floats) -> Floats:
    """Return ln G, with G = (αA/βB)^(1/(α+β)) (Hoffmann 2022, eq. 4); NaN for a law that rises."""
    a, b, _, alpha, beta = np.moveaxis(np.asarray(theta), -1, 0)
    sound = (alpha > 0) & (beta > 0)
    one = np.ones_like(alpha)
    odds = np.log(np.where(sound, alpha, one)) - np.log(np.where(sound, beta, one))
    return np.where(sound, (odds + a - b) / np.where(sound, alpha + beta, one), np.nan)


def optimum(theta: Floats, flops: Floats | float) -> tuple[Floats, Floats]:
    """Return the parameters and tokens with the least loss at 6 N D = `flops`.

    N* = G (C/6)^(β/(α+β)), D* = (C/6)^(α/(α+β)) / G; NaN where α or β is not above 0.

    >>> epoch = law_of(482.01, 2085.43, 1.8172, 0.3478, 0.3658)
    >>> n, d = optimum(epoch, 5.76e23)
    >>> f"{n:.3g} parameters, {d / n:.1f} tokens for each"
    '7.22e+10 parameters, 18.4 tokens for each'
    """
    work = np.log(np.asarray(flops) / FLOPS_PER)
    size = log_ratio(theta) + exponents(theta) * work
    size = np.where(np.abs(size) < FAR, size, np.nan)  # a law without one of its terms has no best
    return np.exp(size), np.exp(work - size)


def flops_for(theta: Floats, reducible: Floats | float) -> Floats:
    """Return the least compute that brings the loss down to E + `reducible`.

    C = 6 (l / (A/G^α + B G^β))^(−(α+β)/(αβ)), the inverse of the loss at the optimum.

    >>> epoch = law_of(482.01, 2085.43, 1.8172, 0.3478, 0.3658)
    >>> n, d = optimum(epoch, 1e21)
    >>> f"{float(flops_for(epoch, loss(epoch, n, d) - 1.8172)):.4g}"
    '1e+21'
    """
    a, b, _, alpha, beta = np.moveaxis(np.asarray(theta), -1, 0)
    g = log_ratio(theta)
    whole = np.logaddexp(a - alpha * g, b + beta * g)
    power = -(alpha + beta) / (alpha * beta)
    return FLOPS_PER * np.exp(power * (np.log(reducible) - whole))


def optimum_with_use(theta: Floats, flops: Floats | float, read: float) -> tuple[Floats, Floats]:
    """Return N and D that cost least in all, when the model will also read `read` tokens in use.

    The loss is that of the compute-optimal model at `flops`; what is minimised is training plus
    use, 6 N D + 2 N · `read`. With D(N) from the law, the derivative by ln N is zero where
    6 D (1 − αA/N^α / βB/D^β) + 2 · read = 0: one rising function, found by bisection.

    >>> epoch = law_of(482.01, 2085.43, 1.8172, 0.3478, 0.3658)
    >>> n, d = optimum_with_use(epoch, 5.76e23, read=1e13)
    >>> f"{n:.2e} {d:.2e}"  # against 7.2e10 and 1.3e12 where only training counts
    '3.41e+10 3.73e+12'
    """
    a, b, e, alpha, beta = np.moveaxis(np.atleast_2d(theta), -1, 0)
    best, tokens = (np.atleast_1d(side) for side in optimum(np.atleast_2d(theta), flops))
    above = loss(np.atleast_2d(theta), best, tokens) - np.exp(e)

    def tokens_at(n: Floats) -> Floats:
        left = np.log(np.maximum(above - np.exp(a - alpha * n), 1e-300))
        return np.minimum((b - left) / beta, FAR)

    def slope(n: Floats) -> Floats:
        d = tokens_at(n)
        balance = alpha * np.exp(a - alpha * n) / (beta * np.exp(b - beta * d))
        return FLOPS_PER * np.exp(d) * (1 - balance) + 2 * read

    least = (a - np.log(above)) / alpha  # here the whole reducible loss is the model's
    n = bisect(slope, least, np.log(best))
    shape = np.shape(optimum(theta, flops)[0])
    return np.exp(n).reshape(shape), np.exp(tokens_at(n)).reshape(shape)


def kaplan_log_loss(theta: Floats, n: Floats, d: Floats) -> Floats:
    """Return ln L of Kaplan's law, its parameters (ln Nc, ln Dc, ln αN, ln αD) (their eq. 1.5)."""
    size, data, ln_n, ln_d = np.moveaxis(np.asarray(theta), -1, 0)
    return np.exp(ln_d) * np.logaddexp(np.exp(ln_n - ln_d) * (size - n), data - d)


def kaplan_optimum(theta: Floats, flops: Floats | float) -> tuple[Floats, Floats]:
    """Return the best split under Kaplan's joint law: s (Nc/N)^s = Dc/D, with s = αN/αD.

    >>> printed = np.log([6.4e13, 1.8e13, 0.076, 0.103])
    >>> n, d = kaplan_optimum(printed, 5.76e23)
    >>> f"{n:.2e} {d:.2e}"
    '2.42e+11 3.97e+11'
    """
    size, data, ln_n, ln_d = np.moveaxis(np.asarray(theta), -1, 0)
    s = np.exp(ln_n - ln_d)
    work = np.log(np.asarray(flops) / FLOPS_PER)
    n = (np.log(s) + s * size + work - data) / (1 + s)
    return np.exp(n), np.exp(work - n)


# --- as forms that can be fitted: values and their derivatives, over many parameter sets ----------

Pull: TypeAlias = Callable[[Floats], Floats]
"""Derivatives of some sum by each predicted ln L, (s, r) -> its gradient by the parameters."""


def chinchilla(theta: Floats, points: Points) -> tuple[Floats, Pull]:
    """Return ln L of (s, 5) laws at r points, (s, r), and the way back to gradients."""
    a, b, e, alpha, beta = theta.T[:, :, None]
    size, data = np.exp(_cut(a - e - alpha * points.n)), np.exp(_cut(b - e - beta * points.d))
    whole = 1 + size + data

    def pull(by: Floats) -> Floats:
        rest = by / whole
        by_size, by_data = rest * size, rest * data
        parts = (
            by_size.sum(axis=1),
            by_data.sum(axis=1),
            rest.sum(axis=1),
            -(by_size @ points.n),
            -(by_data @ points.d),
        )
        return np.stack(parts, axis=1)

    return e + np.log(whole), pull


def _cut(exponents: Floats) -> Floats:
    return np.minimum(exponents, FAR) if exponents.max(initial=0) > FAR else exponents


def tied(theta: Floats, points: Points) -> tuple[Floats, Pull]:
    """Return the same with α = β: (s, 4) parameters (a, b, e, α)."""
    predicted, back = chinchilla(untie(theta), points)

    def pull(by: Floats) -> Floats:
        gradient = back(by)
        return np.concatenate([gradient[:, :3], gradient[:, 3:].sum(1, keepdims=True)], axis=1)

    return predicted, pull


def untie(theta: Floats) -> Floats:
    """Return the five parameters of a law whose exponents are one.

    >>> untie(np.array([6.0, 7.0, 0.6, 0.35])).tolist()
    [6.0, 7.0, 0.6, 0.35, 0.35]
    """
    return np.concatenate([theta, theta[..., 3:]], axis=-1)


def kaplan(theta: Floats, points: Points) -> tuple[Floats, Pull]:
    """Return ln L of (s, 4) of Kaplan's laws at r points, and the way back to gradients."""
    size, data, ln_n, ln_d = theta.T[:, :, None]
    alpha_n, alpha_d, s = np.exp(ln_n), np.exp(ln_d), np.exp(ln_n - ln_d)
    by_size, by_data = s * (size - points.n), data - points.d
    whole = np.logaddexp(by_size, by_data)
    share = np.exp(by_size - whole)

    def pull(by: Floats) -> Floats:
        grown = by * alpha_d * share * by_size
        parts = (
            by * alpha_n * share,
            by * alpha_d * (1 - share),
            grown,
            by * alpha_d * whole - grown,
        )
        return np.stack([part.sum(1) for part in parts], axis=1)

    return alpha_d * whole, pull


@dataclass(frozen=True, slots=True)
class Form:
    """A law that can be fitted.

    Attributes:
        name: as people call it.
        parameters: their names, in the order in which they stand.
        evaluate: gives ln L and the way back to gradients.
        starts: (s, p) where a fit begins, from the points.
        slopes: for each parameter that is an exponent, the parameter and column that it shifts:
            the fit centres them, as a and α are all but one parameter far from ln N = 0.
    """

    name: str
    parameters: tuple[str, ...]
    evaluate: Callable[[Floats, Points], tuple[Floats, Pull]]
    starts: Callable[[Points], Floats]
    slopes: tuple[tuple[int, int, str], ...] = ()


def chinchilla_starts(points: Points) -> Floats:
    """Return 1,225 starts: exponents, and the shares of E and of N's part in a middling loss.

    The shares make them the same whatever N, D and the loss are counted in. (The paper's grid of
    4,500 starts in a, b and e presumes nats, parameters and tokens.)
    """
    powers, shares = (0.05, 0.15, 0.3, 0.5, 0.8, 1.3, 2.0), (0.05, 0.3, 0.5, 0.7, 0.9)
    rows = np.array(list(product(powers, powers, shares, shares)))
    alpha, beta, floor, part = rows.T
    middle = float(points.y.mean())
    a = middle + np.log((1 - floor) * part) + alpha * points.n.mean()
    b = middle + np.log((1 - floor) * (1 - part)) + beta * points.d.mean()
    return np.stack([a, b, middle + np.log(floor), alpha, beta], axis=1)


def _tied_starts(points: Points) -> Floats:
    starts = chinchilla_starts(points)
    return starts[starts[:, 3] == starts[:, 4], :4]


def _kaplan_starts(points: Points) -> Floats:
    powers, shares = (0.02, 0.05, 0.1, 0.2, 0.4), (0.05, 0.3, 0.5, 0.7, 0.95)
    alpha_n, alpha_d, part = np.array(list(product(powers, powers, shares))).T
    whole = points.y.mean() / alpha_d
    size = (whole + np.log(part)) * alpha_d / alpha_n + points.n.mean()
    data = whole + np.log(1 - part) + points.d.mean()
    return np.stack([size, data, np.log(alpha_n), np.log(alpha_d)], axis=1)


FORMS = {
    "chinchilla": Form("chinchilla", ("a", "b", "e", "alpha", "beta"), chinchilla,
                       chinchilla_starts, ((3, 0, "n"), (4, 1, "d"))),
    "tied": Form("tied", ("a", "b", "e", "alpha"), tied,
                 _tied_starts, ((3, 0, "n"), (3, 1, "d"))),
    "kaplan": Form("kaplan", ("size", "data", "ln_n", "ln_d"), kaplan, _kaplan_starts),
}  # fmt: skip
"The laws by name; `tied` is Chinchilla's with α = β, as Muennighoff et al. 2023 use it."
