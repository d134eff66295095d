"""The kinds of tasks: how each asks and how it scores one answer."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from togi.evaluate.answers import ANSWER, LIKELIHOOD
from togi.evaluate.asking import Answer, Asking, Measure, Question, TaskKind, target_text
from togi.evaluate.checks import CHECKS
from togi.evaluate.choice_generation import CHOICE_BY_GENERATION
from togi.evaluate.code import CODE
from togi.evaluate.distribution import DISTRIBUTION
from togi.evaluate.functions import FUNCTION
from togi.evaluate.matching import EXACT_MATCH, generate_ask, mean_over_draws, reference_unfit
from togi.evaluate.multiple_choice import MULTIPLE_CHOICE
from togi.evaluate.prompts import with_shots
from togi.evaluate.trust.sides import TRUST_KINDS
from togi.evaluate.verdicts import VERDICT_KINDS
from togi.lm.base import Generated, Scored
from togi.rows.types import Sample


def _scored_bytes(text: str, scored: Scored) -> Answer:
    numbers = {
        "nats": -scored.total,
        "bytes": float(len(text.encode())),
        "tokens": float(len(scored.token_ids)),
        "greedy": float(scored.greedy),
        "words": float(max(1, len(text.split()))),
    }
    return Answer("", numbers)


def _bits_per_byte(definition: str) -> Measure:
    return Measure(
        name="bits_per_byte",
        unit="bits per byte",
        higher_is_better=False,
        definition=definition,
        over="nats",
        per="bytes",
        scale=1 / math.log(2),
    )


# --- bits_per_byte: the reference answer, given its prompt --------------------------------------


def _perplexity(per: str, definition: str) -> Measure:
    return Measure(
        name=f"{per.removesuffix('s')}_perplexity",
        unit="perplexity",
        higher_is_better=False,
        definition=definition,
        over="nats",
        per=per,
        compared=False,
        exponent=True,
    )


PERPLEXITIES = (
    _perplexity("tokens", "e^(nats / tokens): depends on the tokenizer, so only on models of one"),
    _perplexity("words", "e^(nats / words), words parted by white space: any two models compare"),
    _perplexity("bytes", "e^(nats / bytes), the bits per byte as a power"),
)
"""Not tested apart: they are the same nats as the bits per byte, seen otherwise."""


def _reference_ask(asking: Asking, shots: Sequence[Sample], sample: Sample) -> Question:
    solved = [(shot.input, target_text(shot)) for shot in shots]
    return Question(with_shots(solved, sample.input), (target_text(sample),))


def _reference_read(asking: Asking, sample: Sample, replies: Sequence[Scored]) -> Answer:
    return _scored_bytes(target_text(sample), replies[0])


# --- text_bits_per_byte: a document, given its first words --------------------------------------


def split_words(text: str, words: int) -> tuple[str, str]:
    """Split a text after its first words; the rest keeps the space before it.

    >>> split_words("one two three", 2), split_words("one two", 0)
    (('one two', ' three'), ('', 'one two'))
    """
    found = re.match(r"\s*\S+" + r"\s+\S+" * (words - 1), text) if words else None
    cut = found.end() if found else 0
    return (text[:cut], text[cut:]) if words == 0 or found else (text, "")


def _text_unfit(asking: Asking, sample: Sample) -> str:
    if sample.input:
        return "it has a prompt; judge it with bits_per_byte"
    rest = split_words(target_text(sample), asking.context_words)[1]
    return "" if rest.strip() else f"it has no more than {asking.context_words} words"


def _text_ask(asking: Asking, shots: Sequence[Sample], sample: Sample) -> Question:
    context, rest = split_words(target_text(sample), asking.context_words)
    return Question(with_shots([("", target_text(shot)) for shot in shots], context), (rest,))


def _text_read(asking: Asking, sample: Sample, replies: Sequence[Scored]) -> Answer:
    return _scored_bytes(split_words(target_text(sample), asking.context_words)[1], replies[0])


# --- kinds that generate ------------------------------------------------------------------------


def _check_read(asking: Asking, sample: Sample, replies: Sequence[Generated]) -> Answer:
    rows = []
    for reply in replies:
        rules = CHECKS[asking.check].apply(reply.text, reply.finish)
        met = {rule: float(value) for rule, value in rules.items()}
        share = sum(met.values()) / len(met)
        rows.append({"score": share, "all_met": float(all(rules.values())), **met})
    return mean_over_draws(replies, rows)


def _check_measures(asking: Asking) -> tuple[Measure, ...]:
    check = CHECKS[asking.check]

    def share(name: str, definition: str, **more: Any) -> Measure:
        return Measure(
            name=name,
            unit="share",
            higher_is_better=True,
            definition=definition,
            over=name,
            span=1.0,
            **more,
        )

    beside = {"thresholded": True, "partner": "score"}
    rules = (
        share(name, definition, compared=False, **beside)
        for name, definition in check.rules.items()
    )
    return (
        share("score", check.definition),
        share("all_met", "share of answers that meet all of the rules", **beside),
        *rules,
    )


def _always_fit(asking: Asking, sample: Sample) -> str:
    return ""


TASK_KINDS: dict[str, TaskKind] = {
    "bits_per_byte": TaskKind(
        definition="how many bits the model needs for the reference answer, given its prompt",
        uses=(),
        measures=lambda _: (
            _bits_per_byte(
                "bits of all reference answers (end of turn included) over their UTF-8 bytes"
            ),
            *PERPLEXITIES,
        ),
        unfit=reference_unfit,
        ask=_reference_ask,
        read=_reference_read,
        version=2,
    ),
    "text_bits_per_byte": TaskKind(
        definition="how many bits the model needs for a text, given its first words",
        uses=("context_words",),
        measures=lambda _: (
            _bits_per_byte("bits of all texts after their first words over their UTF-8 bytes"),
            *PERPLEXITIES,
        ),
        unfit=_text_unfit,
        ask=_text_ask,
        read=_text_read,
        version=2,
    ),
    "multiple_choice": MULTIPLE_CHOICE,
    "distribution": DISTRIBUTION,
    "generate_and_check": TaskKind(
        definition="whether the model's own answer meets the rules of a named check",
        uses=("check", "sampling"),
        measures=_check_measures,
        unfit=_always_fit,
        ask=generate_ask,
        read=_check_read,
    ),
    "exact_match": EXACT_MATCH,
    "choice_by_generation": CHOICE_BY_GENERATION,
    "code": CODE,
    "function": FUNCTION,
    "answer": ANSWER,
    "likelihood": LIKELIHOOD,
    **VERDICT_KINDS,
    **TRUST_KINDS,
}
"""Kind of task -> how it asks and reads."""
