"""Questions that come one by one from many threads, answered together in batches."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from togi.lm.base import Generated, Sampling
from togi.stats.rng import derive


@dataclass(slots=True)
class Waiting:
    """One question and, later, its answers or what went wrong."""

    prompt: tuple[int, ...]
    sampling: Sampling
    answers: list[Generated] | None = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Together:
    """Answers questions that wait at the same time in one batch.

    Each caller has a thread of its own. The first one answers all that is waiting; meanwhile
    others gather, and the next of them answers these. An equal question is the next draw.

    Args:
        answer: (prompts, sampling) -> answers, as `togi.lm.generate.generate`.
    """

    def __init__(
        self, answer: Callable[[Sequence[tuple[int, ...]], Sampling], list[list[Generated]]]
    ) -> None:
        self.answer = answer
        self._waiting: list[Waiting] = []
        self._asked: Counter[Any] = Counter()
        self._list, self._engine = threading.Lock(), threading.Lock()

    def __call__(self, prompt: tuple[int, ...], sampling: Sampling) -> list[Generated]:
        """Return `sampling.n` answers to a prompt of token ids."""
        with self._list:
            one = Waiting(prompt, self._next(prompt, sampling))
            self._waiting.append(one)
        with self._engine:
            if not one.done.is_set():
                self._answer_all()
        if one.error is not None:
            raise one.error
        assert one.answers is not None  # noqa: S101 - done without an error
        return one.answers

    def _next(self, prompt: tuple[int, ...], sampling: Sampling) -> Sampling:
        number = self._asked[prompt, sampling]
        self._asked[prompt, sampling] += 1
        if sampling.temperature == 0 or number == 0:
            return sampling
        return replace(sampling, seed=derive(sampling.seed, "again", number) >> 1)

    def _answer_all(self) -> None:
        with self._list:
            all_, self._waiting = self._waiting, []
        for sampling in dict.fromkeys(one.sampling for one in all_):
            ours = [one for one in all_ if one.sampling == sampling]
            try:
                drawn = self.answer([one.prompt for one in ours], sampling)
                for one, answers in zip(ours, drawn, strict=True):
                    one.answers = answers
            except Exception as error:  # noqa: BLE001 - it belongs to those who asked
                for one in ours:
                    one.error = error
            for one in ours:
                one.done.set()
