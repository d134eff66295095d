"""What probabilities say beside right or wrong: Brier's score, and the target's likelihood."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from togi.errors import DataError
from togi.evaluate.asking import Asking, Measure, target_text
from togi.evaluate.prompts import after
from togi.lm.base import Scored
from togi.lm.echo import UNKNOWN_TOKEN
from togi.rows.types import Prompt, Sample


def brier(logprobs: Sequence[float], right: int) -> tuple[float, float]:
    """Return the right choice's probability among the choices, and Brier's score.

    The score is Σ (p − y)², 0 where all is put on the right choice and 2 where all is put on one
    wrong choice (Brier 1950, over all classes).

    >>> brier([math.log(0.5), math.log(0.25), math.log(0.25)], 0)
    (0.5, 0.375)
    """
    values = np.array(logprobs, dtype=np.float64)
    if np.isnan(values).any() or not np.isfinite(values.max()):
        return math.nan, math.nan
    p = np.exp(values - values.max())
    p /= p.sum()
    wanted = np.arange(len(p)) == right
    return float(p[right]), float(((p - wanted) ** 2).sum())


BRIER = (
    Measure(
        name="brier",
        unit="squared share",
        higher_is_better=False,
        definition="Σ (p − y)² over the choices' probabilities, 0 to 2: it moves wherever they do",
        over="brier",
        span=2.0,
    ),
    Measure(
        name="probability",
        unit="share",
        higher_is_better=True,
        definition="mean probability of the right choice among the choices",
        over="probability",
        span=1.0,
    ),
)


def check_apart(sample: Sample, names: Sequence[str], replies: Sequence[Scored]) -> None:
    """Refuse choices that the tokenizer cannot tell apart.

    Raises:
        DataError: two of them are the same token ids, so they have one and the same probability.
    """
    seen: dict[tuple[tuple[int, ...], bytes], str] = {}
    for name, reply in zip(names, replies, strict=True):
        spelt = (reply.token_ids, reply.logprobs.tobytes())
        if spelt in seen and UNKNOWN_TOKEN not in reply.token_ids:
            raise DataError(
                "the tokenizer spells two choices with the same tokens",
                where=f"sample {sample.id!r}",
                found=f"{seen[spelt]!r} and {name!r}",
                hint="choose texts that differ in its vocabulary, or judge by generation",
            )
        seen[spelt] = name


def target_continuation(asking: Asking, sample: Sample) -> tuple[str, ...]:
    """Return the target as what follows the prompt, where it shall be scored beside an answer."""
    return (after(sample.input, target_text(sample)),) if asking.likelihood else ()


def without_end(reply: Scored, prompt: Prompt) -> Scored:
    """Leave out what ends the assistant's turn after a conversation: it is no part of the text."""
    if isinstance(prompt, str) or len(reply.logprobs) < 2:
        return reply
    return Scored(reply.token_ids[:-1], reply.logprobs[:-1], reply.greedy)


def target_numbers(sample: Sample, scored: Sequence[Scored]) -> dict[str, float]:
    """Return the numbers of a scored target: nats, tokens, and the geometric mean of the tokens'.

    Where nothing was scored there are none.
    """
    if not scored:
        return {}
    reply = without_end(scored[0], sample.input)
    nats, tokens = -reply.total, float(len(reply.logprobs))
    return {
        "target_nats": nats,
        "target_tokens": tokens,
        "token_probability": math.exp(-nats / tokens),
    }


def target_measures(asking: Asking) -> tuple[Measure, ...]:
    """Return the measures of a scored target, none where it is not scored."""
    if not asking.likelihood:
        return ()
    return (
        Measure(
            name="token_probability",
            unit="share",
            higher_is_better=True,
            definition="mean over samples of the target's probability a token, e^(−nats / tokens)",
            over="token_probability",
            span=1.0,
        ),
        Measure(
            name="target_nats_per_token",
            unit="nats",
            higher_is_better=False,
            definition="negative log-probability of all targets over their tokens",
            over="target_nats",
            per="target_tokens",
        ),
    )
