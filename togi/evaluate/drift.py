"""How far a tuned model has moved from its base: KL divergence from the answers it draws itself.

KL(tuned ‖ base) is the mean, over answers drawn from the tuned model at temperature 1, of
log p_tuned − log p_base. The chain rule splits an answer's into its tokens', so a second
estimator can be summed token by token; both are unbiased, and only the second is never negative.

Sources: Schulman 2020, "Approximating KL divergence" (k1 and k3); Stiennon et al. 2020 (KL from
the reference as the price of a reward).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from togi.errors import DataError
from togi.evaluate.ledger import Line
from togi.stats import Estimate, bootstrap_ratio
from togi.stats.arrays import Floats


@dataclass(frozen=True, slots=True)
class Drift:
    """What one answer says of the divergence, in nats.

    Attributes:
        k1: log-probability under the tuned model minus that under the base; may be negative.
        k3: Σ r − 1 − log r over the tokens, r = p_base / p_tuned; never negative.
        tokens: how many tokens it has.
    """

    k1: float
    k3: float
    tokens: int


def drift(tuned: Sequence[float | None], base: Sequence[float | None]) -> Drift:
    """Compare the log-probabilities of one answer's tokens under both models.

    Args:
        tuned: (tokens,) of the model that drew it, in nats; None where it is not finite.
        base: (tokens,) of the other model.

    Returns:
        The two estimates; NaN where a log-probability is not finite, as where the base holds a
        token for impossible: the divergence is infinite then, and no mean can hold it.

    Raises:
        DataError: different numbers of tokens.

    A token of probability ½ that the base gives ¼: r = ½, k1 = ln 2, k3 = ½ − 1 + ln 2:

    >>> found = drift([math.log(0.5)], [math.log(0.25)])
    >>> round(found.k1, 4), round(found.k3, 4)
    (0.6931, 0.1931)
    """
    if len(tuned) != len(base):
        raise DataError(
            "an answer has other tokens under the base",
            where="KL divergence",
            found=f"{len(tuned)} and {len(base)} tokens",
        )
    one, two = (
        np.array([math.nan if v is None else v for v in side], dtype=np.float64)
        for side in (tuned, base)
    )
    gap = one - two
    with np.errstate(over="ignore"):
        bounded = float((np.expm1(-gap) + gap).sum())
    if not (np.isfinite(gap).all() and math.isfinite(bounded)):
        return Drift(math.nan, math.nan, len(gap))
    return Drift(float(gap.sum()), max(0.0, bounded), len(gap))


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """KL(tuned ‖ base) in nats, an answer and a token; k1 is unbiased, k3 too and not negative."""

    answer: Estimate
    token: Estimate
    answer_k3: Estimate
    token_k3: Estimate


def divergence(
    tuned: Sequence[Line], base: Sequence[Line], *, level: float = 0.95, seed: int = 0
) -> Divergence:
    """Estimate the divergence from the likelihood lines of both models on the same answers.

    A prompt (or a cluster of them) is a unit; several draws of one prompt are averaged first.

    Args:
        tuned: lines of the task `likelihood`, of the model that drew the answers.
        base: the other model's lines of the same task.
        level: of the intervals.
        seed: of the bootstrap.

    Raises:
        DataError: the two hold different samples.
    """
    sides = [sorted(lines, key=lambda line: line["id"]) for lines in (tuned, base)]
    if [line["id"] for line in sides[0]] != [line["id"] for line in sides[1]]:
        raise DataError("the two models scored different samples", where="KL divergence")
    k1, k3, tokens = _per_prompt(sides[0], sides[1])
    labels = [line["cluster"] for line in sides[0]]
    kept = {"clusters": labels if any(labels) else None, "level": level, "seed": seed}
    each = np.ones(len(k1))  # a mean as a ratio: divergences of 0 are no proportion
    return Divergence(
        answer=bootstrap_ratio(k1, each, **kept),
        token=bootstrap_ratio(k1, tokens, **kept),
        answer_k3=bootstrap_ratio(k3, each, **kept),
        token_k3=bootstrap_ratio(k3, tokens, **kept),
    )


def unknown_divergence(level: float = 0.95) -> Divergence:
    """Return a divergence of which nothing is known.

    >>> unknown_divergence().answer.known
    False
    """
    nothing = Estimate(math.nan, math.nan, math.nan, 0, level)
    return Divergence(answer=nothing, token=nothing, answer_k3=nothing, token_k3=nothing)


def _per_prompt(tuned: Sequence[Line], base: Sequence[Line]) -> tuple[Floats, Floats, Floats]:
    rows = []
    for one, two in zip(tuned, base, strict=True):
        pairs = zip(one["detail"]["logprobs"], two["detail"]["logprobs"], strict=True)
        drifts = [drift(*pair) for pair in pairs]
        rows.append(np.mean([(d.k1, d.k3, d.tokens) for d in drifts], axis=0))
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 3)
    return table[:, 0], table[:, 1], table[:, 2]
