"""Exact match of a generated answer: read by a parser, and its edit distance beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from togi.evaluate.asking import Answer, Asking, Measure, Question, Replies, TaskKind, parted
from togi.evaluate.asking import target_text as target_of
from togi.evaluate.likelihoods import target_continuation, target_measures, target_numbers
from togi.evaluate.prompts import after, with_shots
from togi.lm.base import Generated
from togi.parse.named import parser_of
from togi.rows.types import Sample
from togi.stats.edits import similarity


def generate_ask(asking: Asking, shots: Sequence[Sample], sample: Sample) -> Question:
    """Ask for an answer after solved ones; where wanted, the target is scored besides."""
    solved = [(shot.input, after(shot.input, target_of(shot))) for shot in shots]
    return Question(with_shots(solved, sample.input), target_continuation(asking, sample))


def clean(text: str) -> str:
    """Return an answer's text without what no UTF-8 file can hold: halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode()


def mean_over_draws(replies: Sequence[Generated], rows: Sequence[dict[str, float]]) -> Answer:
    """Return the answer of several draws: the first one's text, each number's mean."""
    numbers = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    answers = [clean(reply.text) for reply in replies]
    detail: dict[str, object] = {"finish": [reply.finish for reply in replies]}
    if len(replies) > 1:
        detail["answers"] = answers
    return Answer(answers[0], numbers, detail)


def reference_unfit(asking: Asking, sample: Sample) -> str:
    """Say that a sample without a reference answer cannot be judged."""
    return "" if target_of(sample) else "its reference answer is empty"


def _read(asking: Asking, sample: Sample, replies: Replies) -> Answer:
    drawn, scored = parted(replies)
    target, parser = target_of(sample), parser_of(asking.parse or "text")
    rows, read = [], []
    for reply in drawn:
        found = parser.read(reply.text, sample.choices)
        value = None if found is None else clean(found.value)
        read.append({"value": value, "rule": "" if found is None else found.rule})
        rows.append(
            {
                "exact": float(parser.equal(reply.text, found, target)),
                "similarity": similarity("" if value is None else value, target),
                "unparsable": float(found is None),
            }
        )
    answer = mean_over_draws(drawn, rows)
    numbers = {**answer.measures, **target_numbers(sample, scored)}
    detail = {**answer.detail, "read": read} if asking.parse else answer.detail
    return Answer(answer.text, numbers, detail)


def _measures(asking: Asking) -> tuple[Measure, ...]:
    how = parser_of(asking.parse or "text").definition
    beside = target_measures(asking)
    exact = Measure(
        name="exact",
        unit="share",
        higher_is_better=True,
        definition=f"share of answers equal to the target, apart from case and white space: {how}",
        over="exact",
        thresholded=True,
        partner="token_probability" if beside else "similarity",
        span=1.0,
    )
    near = Measure(
        name="similarity",
        unit="share",
        higher_is_better=True,
        definition="1 minus the edit distance of answer and target, in words, digits and marks, "
        "over the longer one's length",
        over="similarity",
        span=1.0,
    )
    unread = Measure(
        name="unparsable",
        unit="share",
        higher_is_better=False,
        definition="share of answers in which the parser finds nothing; they count as wrong",
        over="unparsable",
        compared=False,
    )
    return (exact, near, *beside, unread) if asking.parse else (exact, near, *beside)


EXACT_MATCH = TaskKind(
    definition="whether the model's own answer is the expected one",
    uses=("sampling", "parse", "likelihood"),
    measures=_measures,
    unfit=reference_unfit,
    ask=generate_ask,
    read=_read,
    version=2,
)
