"""Small models that answer by a function, so that every choice and mark is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from togi.evaluate.personas.bandit import Games, Rules
from togi.lm.base import Generated, Sampling, Scored
from togi.rows.types import Prompt

Logprob = Callable[[str, str], float]


@dataclass
class Knowing:
    """Scores by `logprob(text, continuation)`, writes by `answer(text, seed, draw)`."""

    logprob: Logprob = lambda text, end: -1.0
    answer: Callable[[str, int, int], str] = lambda text, seed, draw: "1"
    name: str = "knowing"
    fingerprint: str = "k0"
    fail_after: int = 1_000_000
    scored: list[tuple[str, str]] = field(default_factory=list)
    written: list[tuple[str, int]] = field(default_factory=list)
    requests: int = 0

    def _asked(self, n: int) -> None:
        if len(self.scored) + len(self.written) + n > self.fail_after:
            raise ConnectionError("the model went away")
        self.requests += 1

    def score(self, contexts: Sequence[Prompt], continuations: Sequence[str]) -> list[Scored]:
        self._asked(len(contexts))
        texts = [text_of(context) for context in contexts]
        self.scored += zip(texts, continuations, strict=True)
        return [
            Scored((1,), np.array([self.logprob(text, end)], dtype=np.float64), False)
            for text, end in zip(texts, continuations, strict=True)
        ]

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Generated]]:
        self._asked(len(prompts))
        texts = [text_of(prompt) for prompt in prompts]
        self.written += [(text, sampling.n) for text in texts]
        empty = np.zeros(0, dtype=np.float32)
        return [
            [
                Generated(self.answer(text, sampling.seed, draw), (), empty, "stop")
                for draw in range(sampling.n)
            ]
            for text in texts
        ]


def text_of(prompt: Prompt) -> str:
    """A prompt as one text; a conversation's turns stand under each other."""
    return prompt if isinstance(prompt, str) else "\n".join(turn.content for turn in prompt)


def wobbling(text: str, end: str) -> float:
    """A log-probability that hangs on every letter, and is no coin toss."""
    seen = sum((place + 1) * ord(letter) for place, letter in enumerate(text + end))
    return -3.0 + 2.0 * float(np.sin(seen * 0.37))


def of_games(games: Games, *places: int) -> Games:
    """Some games of many."""
    some = list(places)
    return Games(games.rules, games.means[some], games.pays[some], games.uniforms[some])


def fixed(pays: list[list[tuple[float, float]]], means: list[tuple[float, float]]) -> Games:
    """Games with these payments and means; each choice takes machine 1 where it is likelier."""
    table = np.array(pays, dtype=np.float64)
    rules = Rules(trials=table.shape[1])
    return Games(rules, np.array(means, dtype=np.float64), table, np.full(table.shape[:2], 0.5))


def quiet(_: str) -> None:
    """Say nothing."""
