"""What a language model is to togi: two verbs, `score` and `generate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from togi.errors import UsageError
from togi.rows.types import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to draw answers. `temperature` 0 is greedy; `top_p` 1 and `top_k` 0 switch off.

    `seed` belongs to the request: an answer depends on (prompt, seed, number of the draw) and
    never on what else stands in the batch.
    """

    max_tokens: int = 128
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()
    n: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        checks = [
            (self.max_tokens >= 1, f"max_tokens must be at least 1, got {self.max_tokens}"),
            (self.temperature >= 0, f"temperature must be at least 0, got {self.temperature}"),
            (0 < self.top_p <= 1, f"top_p must lie in (0, 1], got {self.top_p}"),
            (self.top_k >= 0, f"top_k must be at least 0, got {self.top_k}"),
            (self.n >= 1, f"n must be at least 1, got {self.n}"),
        ]
        for good, problem in checks:
            if not good:
                raise UsageError(problem, where="sampling")


@dataclass(frozen=True, slots=True)
class Scored:
    """Log-probabilities (natural log) of a continuation's tokens, given its context.

    `greedy` is True where each token was the model's most probable one.
    """

    token_ids: tuple[int, ...]
    logprobs: NDArray[np.float32]
    greedy: bool

    @property
    def total(self) -> float:
        """Log-probability of the whole continuation, in nats."""
        return float(self.logprobs.sum(dtype=np.float64))


@dataclass(frozen=True, slots=True)
class Generated:
    """One sampled answer. `finish` is "stop" (end of turn or a stop string) or "length"."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: NDArray[np.float32]
    finish: Literal["stop", "length"]


@runtime_checkable
class LanguageModel(Protocol):
    """A model behind two verbs: the local engine, an endpoint, or a small exact one for tests."""

    @property
    def name(self) -> str:
        """The name a user knows it by."""
        ...

    @property
    def fingerprint(self) -> str:
        """A digest that changes whenever an answer could: weights, adapter, dtype, template."""
        ...

    def score(self, contexts: Sequence[Prompt], continuations: Sequence[str]) -> list[Scored]:
        """Score each continuation after its context; the result is in the order asked.

        After a conversation the continuation is the assistant's whole turn and its end-of-turn
        token is scored too; after plain text it is exactly the text that follows.
        """
        ...

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Generated]]:
        """Draw `sampling.n` answers for each prompt, in the order asked."""
        ...
