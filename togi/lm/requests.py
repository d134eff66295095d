"""Single requests: what a reply cache stores and what an endpoint is asked, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, runtime_checkable

from togi.lm.base import Generated, Sampling, Scored
from togi.rows.types import Prompt


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Score one continuation after its context."""

    context: Prompt
    continuation: str


@dataclass(frozen=True, slots=True)
class DrawRequest:
    """Draw one answer; the sampling's `n` is 1 and its seed is the draw's own."""

    prompt: Prompt
    sampling: Sampling


Request: TypeAlias = ScoreRequest | DrawRequest
Reply: TypeAlias = Scored | Generated


@runtime_checkable
class Streams(Protocol):
    """A model that answers single requests and hands each reply over as soon as it is there."""

    def stream(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (index of the request, reply) in any order; an error comes after the replies."""
        ...


def draws(prompt: Prompt, sampling: Sampling) -> list[DrawRequest]:
    """Split `sampling.n` draws into requests of their own: draw d has the seed plus d.

    Greedy draws do not depend on a seed, so they are one and the same request.

    >>> [d.sampling.seed for d in draws("a", Sampling(n=3, seed=5))]
    [5, 6, 7]
    >>> len(set(draws("a", Sampling(n=3, seed=5, temperature=0))))
    1
    """
    greedy = sampling.temperature == 0
    seeds = (0 if greedy else sampling.seed + draw for draw in range(sampling.n))
    return [DrawRequest(prompt, replace(sampling, n=1, seed=seed)) for seed in seeds]
