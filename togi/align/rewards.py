"""Where rewards come from: a reward model, a judge behind an endpoint, or any function.

A source is called with the prompts and the answers of one step and returns one number for each.
`SIMPLE` are rewards without any model, for trying things out and for tests.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from togi.align.user_function import UserFunction
from togi.errors import DataError, UsageError, nearest
from togi.lm.base import LanguageModel, Sampling
from togi.rows.types import Message, Prompt

MARKS = 10
QUESTION = (
    "Rate the answer to the request from 0 (useless) to 10 (could not be better). "
    "Reply with the number only."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One drawn answer to be rewarded: its prompt, its text and token ids, and the row's metadata.

    `ids` begin with the prompt's `start` ids.
    """

    id: str
    prompt: Prompt
    text: str
    ids: tuple[int, ...]
    start: int
    metadata: dict[str, Any]


class RewardSource(Protocol):
    """Rewards answers; `name` tells which source it is, for the identity of a run."""

    name: str

    def __call__(self, model: Any, answers: Sequence[Answer]) -> list[float]:
        """Return one reward for each answer; `model` is the policy, on whose trunk it may run."""
        ...


def brevity(answer: Answer) -> float:
    """Return minus the hundreds of letters: shorter is better."""
    return -len(answer.text) / 100


def valid_json(answer: Answer) -> float:
    """Return 1 where the answer is one JSON value, else 0."""
    try:
        json.loads(answer.text)
    except ValueError:
        return 0.0
    return 1.0


def unlike_letters(answer: Answer) -> float:
    """Return the share of distinct words: repetition is worse."""
    words = answer.text.lower().split()
    return len(set(words)) / len(words) if words else 0.0


def sentence(answer: Answer) -> float:
    """Return the share of three rules that one plain sentence meets; see `SENTENCE`."""
    text = answer.text.strip()
    return sum(rule(text) for rule in SENTENCE.values()) / len(SENTENCE)


SENTENCE: dict[str, Callable[[str], bool]] = {
    "begins with a capital": lambda text: text[:1].isupper(),
    "stands on one line": lambda text: bool(text) and "\n" not in text,
    "ends in a full stop": lambda text: text.endswith("."),
}
"""What `sentence` counts."""

SIMPLE: dict[str, Callable[[Answer], float]] = {
    "brevity": brevity,
    "json": valid_json,
    "sentence": sentence,
    "variety": unlike_letters,
}


class SimpleReward:
    """One of `SIMPLE` by its name."""

    def __init__(self, name: str) -> None:
        if name not in SIMPLE:
            raise UsageError(
                "no such reward", where="reward", found=name,
                expected=nearest(name, SIMPLE), hint="or file.py:function, or openai:URL#model",
            )  # fmt: skip
        self.name, self._function = name, SIMPLE[name]

    def __call__(self, model: Any, answers: Sequence[Answer]) -> list[float]:
        """Return each answer's reward."""
        return [self._function(answer) for answer in answers]


class FunctionReward:
    """A user's function, in a process of its own; see `togi.align.user_function`."""

    def __init__(self, spec: str, *, seconds: float) -> None:
        self.name, self._function = spec, UserFunction(spec, seconds=seconds)

    def __call__(self, model: Any, answers: Sequence[Answer]) -> list[float]:
        """Return each answer's reward."""
        rows = [
            {"id": a.id, "prompt": plain(a.prompt), "response": a.text, "row": a.metadata}
            for a in answers
        ]
        return self._function(rows)

    def close(self) -> None:
        """End the function's process."""
        self._function.close()


class JudgeReward:
    """A language model that is asked for marks from 0 to 10; the reward is marks / 10.

    A reply without a number is asked again with another seed, and then is an error: a reward that
    is made up would be learnt from.
    """

    def __init__(self, judge: LanguageModel, *, question: str = QUESTION, tries: int = 3) -> None:
        self.name, self._judge, self._question, self._tries = judge.name, judge, question, tries

    def __call__(self, model: Any, answers: Sequence[Answer]) -> list[float]:
        """Return each answer's reward.

        Raises:
            DataError: a reply without a number, whatever the seed.
        """
        found: dict[int, float] = {}
        reply = ""
        for attempt in range(self._tries):
            open_ = [i for i in range(len(answers)) if i not in found]
            prompts = [self._ask(answers[i]) for i in open_]
            sampling = Sampling(max_tokens=16, temperature=0 if attempt == 0 else 1, seed=attempt)
            for i, drawn in zip(open_, self._judge.generate(prompts, sampling), strict=True):
                reply = drawn[0].text
                marks = read_marks(reply)
                if not math.isnan(marks):
                    found[i] = marks / MARKS
            if len(found) == len(answers):
                return [found[i] for i in range(len(answers))]
        raise DataError(
            "the judge gives no marks", where=self.name, found=reply[:80],
            expected=f"a number from 0 to {MARKS}", hint="change the question or the judge",
        )  # fmt: skip

    def _ask(self, answer: Answer) -> tuple[Message, ...]:
        asked = f"{self._question}\n\nRequest:\n{plain_text(answer.prompt)}\n\nAnswer:\n"
        return (Message("user", asked + answer.text),)


def read_marks(reply: str) -> float:
    """Return the first number of a reply if it lies in 0 to 10, NaN otherwise.

    >>> read_marks("I give it 7.5."), read_marks("none")
    (7.5, nan)
    """
    match = re.search(r"\d+(?:\.\d+)?", reply)
    marks = float(match[0]) if match else math.nan
    return marks if marks <= MARKS else math.nan


def plain(prompt: Prompt) -> Any:
    """Return a prompt as JSON has it: a text, or a list of {role, content}."""
    if isinstance(prompt, str):
        return prompt
    return [{"role": turn.role, "content": turn.content} for turn in prompt]


def plain_text(prompt: Prompt) -> str:
    """Return a prompt as one text; a conversation's turns stand one below the other."""
    if isinstance(prompt, str):
        return prompt
    return "\n".join(f"{turn.role}: {turn.content}" for turn in prompt)


def checked(source: RewardSource, answers: Sequence[Answer], found: Sequence[float]) -> list[float]:
    """Return the rewards if there is a finite one for each answer.

    Raises:
        DataError: names the first row whose reward is not finite.
    """
    if len(found) != len(answers):
        raise DataError(
            "not one reward for each answer", where=source.name, found=str(len(found)),
            expected=str(len(answers)),
        )  # fmt: skip
    for answer, value in zip(answers, found, strict=True):
        if not math.isfinite(value):
            raise DataError(
                "the reward is not a finite number", where=f"{source.name}, row {answer.id}",
                found=str(value), hint="the last checkpoint is kept; mend the reward and go on",
            )  # fmt: skip
    return list(found)
