"""Planning with repeated data: epochs' worth, the best split, a given plan, and mixtures.

Every quantity is a function of the law and the decays, evaluated at their best values and at each
refit; where the law has no refits (printed constants alone), intervals are unknown and not zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from togi.data.law_numbers import estimate, told
from togi.data.repeated import (
    ENDLESS,
    EXCESS,
    MANY,
    Decay,
    best_split,
    effective,
    may_rise,
    next_epoch,
    repeated_loss,
    useful_params,
    worth,
)
from togi.data.scaling import loss, optimum
from togi.data.scaling_runs import FLOPS_PER
from togi.data.solve import Floats
from togi.errors import UsageError

EPOCHS = (1, 2, 3, 4, 5, 8, 12, 16, 24, 40, 64, 100)
SMALL = 1e15  # FLOPs below which no law was fitted


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of repeats: a law, decays, and refits of both.

    Attributes:
        theta: (5,) the law of fresh data.
        decay: R_D* and R_N*.
        theta_draws: (s, 5) refits, or the law itself where it was held fixed.
        decay_draws: (s,) refits of either decay; the decays themselves where there are none.
        n: independent runs (or groups of them) behind the refits; 0 where there are none.
        level: of the intervals.
    """

    theta: Floats
    decay: Decay
    theta_draws: Floats
    decay_draws: Decay
    n: int
    level: float = 0.95

    def told(self, value: Floats | float, draws: Floats) -> dict[str, Any]:
        """Return a quantity with its interval, for JSON; without refits its bounds are unknown."""
        many = np.atleast_1d(draws) if self.n else np.full(1, np.nan)
        return told(estimate(float(value), many, self.n, self.level))


def known_of(
    theta: Floats,
    decay: Decay,
    decay_draws: Decay | None = None,
    theta_draws: Floats | None = None,
    *,
    n: int = 0,
    level: float = 0.95,
) -> Known:
    """Return what is known, with unknown intervals where there are no refits."""
    alone = Decay(np.array([decay.tokens]), np.array([decay.params]))
    draws = alone if decay_draws is None else decay_draws
    laws = theta if theta_draws is None else theta_draws
    return Known(theta, decay, laws, draws, n, level)


def decays_told(known: Known) -> dict[str, Any]:
    """Return R_D* and R_N* with intervals; an infinite one is no decay."""

    def ended(value: Floats | float) -> Floats:
        return np.where(np.asarray(value) >= ENDLESS, np.inf, value)

    return {
        "tokens": known.told(ended(known.decay.tokens), ended(known.decay_draws.tokens)),
        "params": known.told(ended(known.decay.params), ended(known.decay_draws.params)),
    }


def worths(known: Known) -> list[dict[str, Any]]:
    """Return, for numbers of epochs, what a token of the training and the next epoch are worth."""
    rate, drawn = known.decay.tokens, np.asarray(known.decay_draws.tokens)
    return [
        {
            "epochs": k,
            "worth": known.told(worth(k, rate), worth(k, drawn)),
            "next": known.told(next_epoch(k, rate), next_epoch(k, drawn)),
        }
        for k in EPOCHS
    ]


def plan(known: Known, flops: float, unique: float) -> dict[str, Any]:
    """Return the best split of a budget over parameters and epochs of so many unique tokens.

    Beside it stand the split that fresh data without end would allow, what twice the unique tokens
    would be worth, and the loss that no compute can go below.

    Raises:
        UsageError: a budget or number of tokens that is not above 0.
    """
    _positive(flops=flops, unique_tokens=unique)
    best = best_split(known.theta, known.decay, flops, unique)
    drawn = best_split(known.theta_draws, known.decay_draws, flops, unique)
    parts = _measures(known.theta, known.decay, best, unique)
    many = _measures(known.theta_draws, known.decay_draws, drawn, unique)
    fresh_n, fresh_d = optimum(known.theta, flops)
    fresh = float(loss(known.theta, fresh_n, fresh_d))
    floor = _floor(known.theta, known.decay, unique)
    doubled, doubled_draws = (
        repeated_loss(theta, decay, *best_split(theta, decay, flops, 2 * unique), 2 * unique)
        for theta, decay in (
            (known.theta, known.decay),
            (known.theta_draws, known.decay_draws),
        )
    )
    return {
        "flops": flops,
        "unique_tokens": unique,
        **{name: known.told(value, many[name]) for name, value in parts.items()},
        "fresh": {"params": float(fresh_n), "tokens": float(fresh_d), "loss": fresh},
        "twice_unique_gains": known.told(parts["loss"] - doubled, many["loss"] - doubled_draws),
        "limit": known.told(floor, _floor(known.theta_draws, known.decay_draws, unique)),
        "warnings": _warnings(known, float(best[0]), float(best[1]), unique, flops),
    }


def given(known: Known, params: float, tokens: float, unique: float) -> dict[str, Any]:
    """Return what the law says of a plan: its loss, and what it loses against fresh data.

    Raises:
        UsageError: numbers not above 0, or more unique tokens than tokens.
    """
    _positive(params=params, tokens=tokens, unique_tokens=unique)
    if unique > tokens * (1 + 1e-9):
        raise UsageError(
            "more unique tokens than tokens to train on",
            found=f"{unique:.6g} unique of {tokens:.6g}",
            hint="a plan that does not even see all of its tokens repeats nothing",
        )
    parts = _measures(known.theta, known.decay, (params, tokens), unique)
    many = _measures(known.theta_draws, known.decay_draws, (params, tokens), unique)
    fresh = loss(known.theta, params, tokens)
    fresh_draws = loss(known.theta_draws, params, tokens)
    flops = FLOPS_PER * params * tokens
    return {
        "flops": flops,
        "unique_tokens": unique,
        **{name: known.told(value, many[name]) for name, value in parts.items()},
        "above_fresh": known.told(parts["loss"] - fresh, many["loss"] - fresh_draws),
        "warnings": _warnings(known, params, tokens, unique, flops),
    }


def _measures(
    theta: Floats, decay: Decay, split: tuple[Floats | float, Floats | float], unique: float
) -> dict[str, Floats]:
    """Return what a split comes to; one value, or one for each refit."""
    params, tokens = (np.asarray(side, dtype=float) for side in split)
    epochs = np.maximum(tokens / unique, 1.0)
    counted = effective(unique, tokens, decay.tokens)
    return {
        "params": params,
        "tokens": tokens,
        "epochs": epochs,
        "loss": repeated_loss(theta, decay, params, tokens, unique),
        "effective_tokens": counted,
        "worth": counted / tokens,
        "next_epoch": next_epoch(epochs, decay.tokens),
        "params_per_useful": params / useful_params(theta, unique),
    }


def _floor(theta: Floats, decay: Decay, unique: float) -> Floats:
    """Return the loss at endless parameters and epochs: N' and D' have limits (1 + R*) times."""
    least = np.asarray(np.minimum(decay.params, ENDLESS)), np.minimum(decay.tokens, ENDLESS)
    n = np.log(useful_params(theta, unique)) + np.log1p(least[0])
    d = np.log(unique) + np.log1p(least[1])
    a, b, e, alpha, beta = np.moveaxis(np.asarray(theta), -1, 0)
    return np.exp(e) + np.exp(a - alpha * n) + np.exp(b - beta * d)


def _warnings(known: Known, params: float, tokens: float, unique: float, flops: float) -> list[str]:
    found = []
    if may_rise(known.theta, params, tokens, unique):
        useful = float(useful_params(known.theta, unique))
        found.append(
            f"{tokens / unique:.3g} epochs with {params / useful:.3g} times the parameters that the"
            f" unique tokens can use: beyond {MANY:g} epochs and {EXCESS:g} times, measured losses"
            " rise with further epochs, which this law cannot show; watch the held-out loss and"
            " stop at its lowest"
        )
    if flops < SMALL:
        found.append(f"{flops:.3g} FLOPs are below all runs that such laws were fitted to")
    return found


def mixture(known: Known, tokens: float, domains: Mapping[str, tuple[float, float]]) -> list[dict]:
    """Return each domain's epochs and what its tokens are worth, for a mixture of sources.

    Args:
        known: the law of repeats, taken to hold in each domain.
        tokens: of the whole training.
        domains: name -> (unique tokens, share of the training).

    Raises:
        UsageError: no domain, or shares that are negative or do not sum to 1.

    >>> from togi.data.repeated import C4_LAW, PUBLISHED
    >>> known = known_of(C4_LAW, PUBLISHED)
    >>> web, code = mixture(known, 1e11, {"web": (8e10, 0.8), "code": (2e9, 0.2)})
    >>> web["epochs"], code["epochs"], round(code["worth"]["mean"], 3)
    (1.0, 10.0, 0.781)
    """
    shares = sum(share for _, share in domains.values())
    if not domains or abs(shares - 1) > 1e-6 or min(s for _, s in domains.values()) < 0:
        raise UsageError(
            "the domains' shares must be at least 0 and sum to 1", found=f"a sum of {shares:g}"
        )
    told_each = []
    for name, (unique, share) in domains.items():
        _positive(**{f"unique tokens of {name}": unique})
        seen = share * tokens
        epochs = max(seen / unique, 1.0)
        told_each.append(
            {
                "domain": name,
                "share": share,
                "tokens": seen,
                "unique_tokens": unique,
                "epochs": epochs,
                "worth": known.told(
                    worth(epochs, known.decay.tokens), worth(epochs, known.decay_draws.tokens)
                ),
            }
        )
    return told_each


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise UsageError(
                f"{name.replace('_', ' ')} must be a number above 0", found=f"{value:g}"
            )
