"""Small models and tasks whose every number is known."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from togi.evaluate.asking import Asking
from togi.evaluate.tasks import Task
from togi.lm.base import Generated, Sampling, Scored
from togi.rows.types import Prompt, Sample


@dataclass
class Scripted:
    """A model whose log-probabilities come from a function of (context, continuation)."""

    logprob: Callable[[Prompt, str], float]
    name: str = "scripted"
    fingerprint: str = "f0"
    fail_after: int = 1_000_000
    asked: list[str] = field(default_factory=list)

    def score(self, contexts: Sequence[Prompt], continuations: Sequence[str]) -> list[Scored]:
        if len(self.asked) + len(contexts) > self.fail_after:
            raise ConnectionError("the model went away")
        self.asked += continuations
        return [
            Scored(
                (zlib.crc32(t.encode()),), np.array([self.logprob(c, t)], dtype=np.float32), False
            )
            for c, t in zip(contexts, continuations, strict=True)
        ]

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Generated]]:
        raise AssertionError("this model only scores")


@dataclass
class Saying:
    """A model that answers each prompt with a function of it."""

    answer: Callable[[Prompt], str]
    name: str = "saying"
    fingerprint: str = "s0"
    finish: str = "stop"

    def score(self, contexts: Sequence[Prompt], continuations: Sequence[str]) -> list[Scored]:
        raise AssertionError("this model only generates")

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Generated]]:
        draws = range(sampling.n)
        empty = np.zeros(0, dtype=np.float32)
        return [
            [Generated(self.answer(p), (), empty, self.finish) for _ in draws]  # type: ignore[arg-type]
            for p in prompts
        ]


def per_byte(bits: float, spread: float = 0.0) -> Callable[[Prompt, str], float]:
    """Spend about so many bits on each byte; `spread` varies them from text to text."""

    def logprob(context: Prompt, text: str) -> float:
        size = len(text.encode())
        wobble = np.sin(sum(text.encode()) * 1.7)
        return -size * np.log(2) * (bits + spread * float(wobble))

    return logprob


def texts(n: int, prefix: str = "text", **metadata: str) -> tuple[Sample, ...]:
    return tuple(
        Sample(
            id=f"{prefix}-{i:03}",
            input=f"{prefix} {i}:",
            target=f" answer number {i * i}",
            metadata={**metadata, "half": "even" if i % 2 == 0 else "odd", "ten": str(i // 10)},
        )
        for i in range(n)
    )


def docs(n: int = 40, name: str = "docs", cluster: str = "") -> Task:
    return Task(name=name, kind="bits_per_byte", samples=texts(n, name), cluster=cluster)


def choices(n: int = 60, name: str = "choices") -> Task:
    samples = tuple(
        Sample(
            id=f"{name}-{i}",
            input=f"{name} question {i}:",
            target=i % 3,
            choices=tuple("right" if j == i % 3 else f"wrong{j}" for j in range(3)),
        )
        for i in range(n)
    )
    return Task(name=name, kind="multiple_choice", samples=samples, asking=Asking())


def quiet(_: str) -> None:
    """Say nothing."""
