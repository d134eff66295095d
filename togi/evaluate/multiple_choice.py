"""Multiple choice by likelihood: no answer is parsed, each choice is scored after the question."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from togi.evaluate.asking import Answer, Asking, Measure, Question, TaskKind
from togi.evaluate.likelihoods import BRIER, brier, check_apart
from togi.evaluate.prompts import after, with_shots
from togi.lm.base import Scored
from togi.rows.types import Message, Prompt, Sample

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def choice_unfit(asking: Asking, sample: Sample) -> str:
    """Say why a sample is no question with choices, "" where it is one."""
    if not 2 <= len(sample.choices) <= len(LETTERS):
        return f"it has {len(sample.choices)} choices; 2 to {len(LETTERS)} are needed"
    if not all(sample.choices) or len(set(sample.choices)) < len(sample.choices):
        return "its choices are empty or alike"
    if not isinstance(sample.target, int) or not 0 <= sample.target < len(sample.choices):
        return f"its target {sample.target!r} is no index into its {len(sample.choices)} choices"
    return ""


def listed(sample: Sample) -> Prompt:
    """Return the question with its choices below it, each behind its letter."""
    lines = [f"{letter}. {text}" for letter, text in zip(LETTERS, sample.choices, strict=False)]
    block = "\n" + "\n".join(lines)
    if isinstance(sample.input, str):
        return f"{sample.input}{block}\nAnswer:"
    *head, last = sample.input
    return (*head, Message(last.role, last.content + block))


def _choice_prompt(asking: Asking, sample: Sample) -> tuple[Prompt, tuple[str, ...]]:
    prompt, choices = sample.input, sample.choices
    if asking.render == "letters":
        prompt, choices = listed(sample), tuple(LETTERS[: len(choices)])
    return prompt, tuple(after(prompt, choice) for choice in choices)


def choice_ask(asking: Asking, shots: Sequence[Sample], sample: Sample) -> Question:
    """Ask a question with its choices, as texts or as letters, after solved ones."""
    solved: list[tuple[Prompt, str]] = []
    for shot in shots:
        asked, endings = _choice_prompt(asking, shot)
        solved.append((asked, endings[int(shot.target)]))
    prompt, endings = _choice_prompt(asking, sample)
    return Question(with_shots(solved, prompt), endings)


def _share_of_best(values: np.ndarray, right: int) -> float:
    """Return 1 where `right` is best alone, 1/k where it shares the place with k - 1 others."""
    if np.isnan(values).any():
        return math.nan
    best = values == values.max()
    return float(best[right] / best.sum())


def _choice_read(asking: Asking, sample: Sample, replies: Sequence[Scored]) -> Answer:
    _, names = _choice_prompt(asking, sample)
    check_apart(sample, names, replies)
    totals = np.array([reply.total for reply in replies])
    sizes = np.array([len(choice.encode()) for choice in sample.choices])
    right = int(sample.target)
    with np.errstate(invalid="ignore"):  # two impossible choices have no margin: NaN
        margin = float(totals[right] - np.delete(totals, right).max())
        a_byte = totals / sizes
        margin_normalised = float(a_byte[right] - np.delete(a_byte, right).max())
    probability, score = brier(totals.tolist(), right)
    numbers = {
        "correct": _share_of_best(totals, right),
        "correct_normalised": _share_of_best(a_byte, right),
        "margin": margin,
        "margin_normalised": margin_normalised,
        "brier": score,
        "probability": probability,
    }
    # An answer is read from the likelihoods; where they are undefined there is none.
    picked = "" if np.isnan(totals).any() else sample.choices[int(totals.argmax())]
    return Answer(picked, numbers, {"logprobs": [float(total) for total in totals]})


CHOICE_MEASURES = (
    Measure(
        name="accuracy",
        unit="share",
        higher_is_better=True,
        definition="share of questions whose right choice is the most probable one; ties are split",
        over="correct",
        thresholded=True,
        partner="brier",
        span=1.0,
    ),
    Measure(
        name="accuracy_normalised",
        unit="share",
        higher_is_better=True,
        definition="the same by log-probability per UTF-8 byte of the choice's text",
        over="correct_normalised",
        thresholded=True,
        partner="margin_normalised",
        span=1.0,
    ),
    Measure(
        name="margin",
        unit="nats",
        higher_is_better=True,
        definition="mean log-probability of the right choice minus that of the best wrong one",
        over="margin",
    ),
    Measure(
        name="margin_normalised",
        unit="nats a byte",
        higher_is_better=True,
        definition="the same margin by log-probability per UTF-8 byte",
        over="margin_normalised",
        compared=False,
    ),
    *BRIER,
)

MULTIPLE_CHOICE = TaskKind(
    definition="whether the model finds the right choice the most probable one",
    uses=("render",),
    measures=lambda _: CHOICE_MEASURES,
    unfit=choice_unfit,
    ask=choice_ask,
    read=_choice_read,
    version=2,
)
