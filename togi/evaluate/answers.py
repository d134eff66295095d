"""Answers that a model gives freely: how long, whether ended, what they begin with, how likely.

Two kinds of tasks. `answer` has a model answer each prompt; nothing is right or wrong about it,
the answers are compared later (`evaluate.pairwise`, `evaluate.changes`). `likelihood` asks a
model how probable it finds given answers, token by token, whoever drew them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from togi.evaluate.asking import Answer, Asking, Measure, Question, TaskKind
from togi.lm.base import Generated, Scored
from togi.lm.echo import UNKNOWN_TOKEN
from togi.rows.types import Sample

REFUSALS = (
    "i'm sorry", "i am sorry", "sorry,", "i apologize", "i apologise",
    "my apologies", "i can't", "i cannot", "i can not", "i'm unable", "i am unable",
    "i'm not able", "i am not able", "i won't", "i will not", "as an ai", "as a language model",
    "i'm just an ai", "i am just an ai", "unfortunately, i",
)  # fmt: skip
"""Openings of answers that read like a refusal, in lower case with straight apostrophes."""


def refusal_like(text: str) -> bool:
    """Say whether an answer opens like a refusal.

    It looks at the first words only, and knows English ones only: it cannot tell whether a
    refusal was due, and it misses one that begins otherwise.

    >>> refusal_like("**I’m sorry**, but no."), refusal_like("Sorry is a word.")
    (True, False)
    >>> refusal_like("I can note it.")
    False
    """
    plain = re.sub(r"^[\W_]+|[*_`]", "", text.replace("’", "'")).lower()
    rests = (plain[len(one) :] for one in REFUSALS if plain.startswith(one))
    return any(not rest[:1].isalnum() for rest in rests)


def distinct(words: Sequence[str], n: int) -> float:
    """Return the share of a text's runs of n words that are different; NaN where it has none.

    Source: Li et al. 2016, distinct-n, taken within one answer.

    >>> distinct("a b a b".split(), 2)
    0.6666666666666666
    """
    runs = [tuple(words[place : place + n]) for place in range(len(words) - n + 1)]
    return len(set(runs)) / len(runs) if runs else math.nan


def _numbers(reply: Generated) -> dict[str, float]:
    words = reply.text.split()
    return {
        "words": float(len(words)),
        "characters": float(len(reply.text)),
        "ended": float(reply.finish == "stop"),
        "refusal_like": float(refusal_like(reply.text)),
        "distinct_1": distinct(words, 1),
        "distinct_2": distinct(words, 2),
    }


def _answer_measures(asking: Asking) -> tuple[Measure, ...]:
    def measure(name: str, unit: str, better: bool, definition: str) -> Measure:
        return Measure(
            name=name, unit=unit, higher_is_better=better, definition=definition, over=name
        )

    return (
        measure("words", "words", True, "mean words of an answer; neither more nor fewer is good"),
        measure("ended", "share", True, "share of answers that the model ended by itself"),
        measure(
            "refusal_like",
            "share",
            False,
            f"share of answers that open with one of {len(REFUSALS)} English phrases such as "
            "“I’m sorry” or “I cannot”; whether a refusal was due it does not know",
        ),
        measure("distinct_1", "share", True, "mean share of an answer's words that are different"),
        measure(
            "distinct_2",
            "share",
            True,
            "mean share of an answer's pairs of neighbouring words that are different; low where "
            "it repeats itself, and lower in longer texts",
        ),
    )


def _answer_unfit(asking: Asking, sample: Sample) -> str:
    return "" if sample.input else "it has no prompt"


def _answer_ask(asking: Asking, shots: Sequence[Sample], sample: Sample) -> Question:
    return Question(sample.input)


def _answer_read(asking: Asking, sample: Sample, replies: Sequence[Generated]) -> Answer:
    rows = [_numbers(reply) for reply in replies]
    # An endpoint may send half of a surrogate pair, which no UTF-8 file can hold.
    answers = [reply.text.encode("utf-8", "replace").decode() for reply in replies]
    detail: dict[str, Any] = {"finish": [reply.finish for reply in replies]}
    if len(replies) > 1:
        detail["answers"] = answers
    if all(reply.token_ids and UNKNOWN_TOKEN not in reply.token_ids for reply in replies):
        detail["ids"] = [list(reply.token_ids) for reply in replies]
    return Answer(answers[0], {name: _mean(rows, name) for name in rows[0]}, detail)


def _mean(rows: Sequence[dict[str, float]], name: str) -> float:
    known = [row[name] for row in rows if not math.isnan(row[name])]
    return float(np.mean(known)) if known else math.nan


# --- likelihood: given answers, by their token ids ------------------------------------------------


def likelihood_sample(sample: Sample, answers: Sequence[Sequence[int]]) -> Sample:
    """Return the question how probable these answers are, their token ids written as choices.

    >>> likelihood_sample(Sample(id="1", input="?", target=""), [[7, 2]]).choices
    ('7 2',)
    """
    texts = tuple(" ".join(map(str, ids)) for ids in answers)
    return Sample(
        id=sample.id, input=sample.input, target="", choices=texts, metadata=sample.metadata
    )


def _likelihood_unfit(asking: Asking, sample: Sample) -> str:
    good = sample.choices and all(re.fullmatch(r"\d+( \d+)*", text) for text in sample.choices)
    return "" if good else "it has no answers given as token ids"


def _likelihood_ask(asking: Asking, shots: Sequence[Sample], sample: Sample) -> Question:
    return Question(sample.input, ids=tuple(tuple(map(int, c.split())) for c in sample.choices))


def _likelihood_read(asking: Asking, sample: Sample, replies: Sequence[Scored]) -> Answer:
    numbers = {
        "nats": -float(np.mean([reply.total for reply in replies])),
        "tokens": float(np.mean([len(reply.token_ids) for reply in replies])),
    }
    # shortest decimal of each float32: read back as float32 it is the same number
    logprobs = [[float(str(value)) for value in reply.logprobs] for reply in replies]
    return Answer("", numbers, {"logprobs": logprobs})


ANSWER = TaskKind(
    definition="what the model answers by itself; described, not scored",
    uses=("sampling",),
    measures=_answer_measures,
    unfit=_answer_unfit,
    ask=_answer_ask,
    read=_answer_read,
)

LIKELIHOOD = TaskKind(
    definition="how probable the model finds given answers, token by token",
    uses=(),
    measures=lambda _: (
        Measure(
            name="nats_per_token",
            unit="nats",
            higher_is_better=False,
            definition="negative log-probability of all answers over their tokens",
            over="nats",
            per="tokens",
        ),
    ),
    unfit=_likelihood_unfit,
    ask=_likelihood_ask,
    read=_likelihood_read,
)
