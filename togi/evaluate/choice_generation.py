"""Multiple choice by generation: the model writes, and the letter that it names is read.

With `likelihood: true` the letters are scored after the same question as well, so that reading and
likelihood stand side by side on the same answers; a model that ranks the letters well but does not
write one shows here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from togi.evaluate.asking import Answer, Asking, Measure, Question, Replies, TaskKind, parted
from togi.evaluate.likelihoods import BRIER, brier, check_apart, without_end
from togi.evaluate.matching import mean_over_draws
from togi.evaluate.multiple_choice import LETTERS, choice_unfit, listed
from togi.evaluate.prompts import after, with_shots
from togi.parse.named import parser_of
from togi.rows.types import Sample

PARSER = "letter"


def _letters(sample: Sample) -> tuple[str, ...]:
    prompt = listed(sample)
    return tuple(after(prompt, letter) for letter in LETTERS[: len(sample.choices)])


def _ask(asking: Asking, shots: Sequence[Sample], sample: Sample) -> Question:
    solved = [(listed(shot), _letters(shot)[int(shot.target)]) for shot in shots]
    beside = _letters(sample) if asking.likelihood else ()
    return Question(with_shots(solved, listed(sample)), beside)


def _read(asking: Asking, sample: Sample, replies: Replies) -> Answer:
    drawn, scored = parted(replies)
    right, parser = int(sample.target), parser_of(asking.parse or PARSER)
    rows, read = [], []
    for reply in drawn:
        found = parser.read(reply.text, sample.choices)
        letter = "" if found is None else found.value.upper()
        known = letter in tuple(LETTERS[: len(sample.choices)])
        read.append({"letter": letter if known else "", "rule": found.rule if found else ""})
        rows.append({"correct": float(letter == LETTERS[right]), "unparsable": float(not known)})
    answer = mean_over_draws(drawn, rows)
    numbers, detail = dict(answer.measures), {**answer.detail, "read": read}
    if scored:
        check_apart(sample, _letters(sample), scored)
        totals = [without_end(reply, sample.input).total for reply in scored]
        best = np.array(totals) == np.max(totals)
        probability, score = brier(totals, right)
        numbers |= {
            "correct_likelihood": float(best[right] / best.sum()) if probability == probability
            else np.nan,
            "brier": score,
            "probability": probability,
        }  # fmt: skip
        detail["logprobs"] = totals
    return Answer(answer.text, numbers, detail)


def _measures(asking: Asking) -> tuple[Measure, ...]:
    how = parser_of(asking.parse or PARSER).definition
    partner = "brier" if asking.likelihood else ""

    def share(name: str, over: str, better: bool, definition: str, **more: object) -> Measure:
        return Measure(
            name=name, unit="share", higher_is_better=better, definition=definition, over=over,
            span=1.0, **more,  # type: ignore[arg-type]
        )  # fmt: skip

    written = share(
        "accuracy_generated", "correct", True,
        f"share of answers that name the right choice ({how}); unreadable ones count as wrong",
        thresholded=True, partner=partner,
    )  # fmt: skip
    unread = share(
        "unparsable", "unparsable", False,
        "share of answers that name no choice, or more than one", compared=False,
    )  # fmt: skip
    if not asking.likelihood:
        return (written, unread)
    likely = share(
        "accuracy", "correct_likelihood", True,
        "share of questions whose right letter is the most probable one; ties are split",
        thresholded=True, partner="brier",
    )  # fmt: skip
    return (written, likely, *BRIER, unread)


CHOICE_BY_GENERATION = TaskKind(
    definition="whether the choice that the model names in its own words is the right one",
    uses=("sampling", "parse", "likelihood"),
    measures=_measures,
    unfit=choice_unfit,
    ask=_ask,
    read=_read,
)
