"""A multiple-choice guard made by code: what a small language model knows of the everyday.

Each question is the beginning of a sentence with four ways to end it, so that a base model can
answer without a chat template. Everything is decided by digests of the words themselves: the
questions, their order and the places of the right answers are the same on every machine and
with every version of Python and numpy. `metadata` holds the category and the template; answers
within one template stand or fall together, so the template is the cluster of an interval.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence

from togi.evaluate.guards.words import CYCLES, ENDINGS, PAIRS, SUMS
from togi.rows.types import Sample
from togi.stats import derive

Question = tuple[str, str, Sequence[str]]
"""Beginning of the sentence, right ending, at least three wrong endings."""


def choice_samples() -> list[Sample]:
    """Return all questions, each with four choices; `target` is the index of the right one.

    >>> sample = choice_samples()[0]
    >>> sample.input, sample.choices[sample.target], sample.metadata["category"]
    ('The opposite of hot is', 'cold', 'opposites')
    """
    samples = []
    for category, template, questions in _templates():
        for number, (start, right, wrong) in enumerate(questions, 1):
            choices = _ordered([right, *_ordered(wrong, f"wrong {start}")[:3]], start)
            samples.append(
                Sample(
                    id=f"{category}-{template}-{number}",
                    input=start,
                    target=choices.index(right),
                    choices=tuple(choices),
                    metadata={"category": category, "template": f"{category}-{template}"},
                )
            )
    return samples


def _ordered(texts: Sequence[str], key: str) -> list[str]:
    # A generator's stream may change with the library's version; a digest cannot.
    return sorted(texts, key=lambda text: derive(0, "choices", key, text))


def _templates() -> Iterator[tuple[str, str, list[Question]]]:
    for category, templates in PAIRS.items():
        for name, (start, pairs) in templates.items():
            yield category, name, _from_pairs(start, pairs)
    for name, (start, sums) in SUMS.items():
        yield "arithmetic", name, _from_sums(start, sums)
    for name, (series, places) in CYCLES.items():
        yield "sequences", name, _from_series(series.split(), [int(p) for p in places.split()])
    for category, templates in ENDINGS.items():
        for name, lines in templates.items():
            yield category, name, _from_lines(lines)


def _from_pairs(start: str, text: str) -> list[Question]:
    pairs = [[half.replace("_", " ") for half in pair.split()] for pair in text.split(",")]
    answers = sorted({answer for _, answer in pairs})
    return [(start.format(a), b, [other for other in answers if other != b]) for a, b in pairs]


def _from_sums(start: str, text: str) -> list[Question]:
    signs = {"+": operator.add, "-": operator.sub, "*": operator.mul}
    questions = []
    for item in text.split():
        sign = next(mark for mark in signs if mark in item)
        a, b = (int(number) for number in item.split(sign))
        right = signs[sign](a, b)
        wrong = [str(right + step) for step in (-2, -1, 1, 2, 10) if right + step >= 0]
        questions.append((start.format(a, b), str(right), wrong))
    return questions


def _from_series(series: Sequence[str], places: Sequence[int]) -> list[Question]:
    def at(place: int) -> str:
        return series[place % len(series)]

    return [
        (", ".join(at(p + i) for i in range(3)) + ",", at(p + 3), [at(p + i) for i in (1, 4, 5)])
        for p in places
    ]


def _from_lines(text: str) -> list[Question]:
    questions = []
    for line in text.strip().splitlines():
        start, _, rest = line.strip().partition(" [")
        middle, _, end = rest.partition("]")
        right, *wrong = [choice + end for choice in middle.split(" | ")]
        questions.append((start, right, wrong))
    return questions
