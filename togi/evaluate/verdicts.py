"""A verdict on two answers: how a judge is asked, and how its reply is read.

Three kinds of tasks. `verdict_by_likelihood` scores the letters A, B and C after the question,
so that nothing has to be parsed; `verdict_by_text` lets the judge write and reads its verdict by
stated rules, which leave unknown what they cannot read; `verdict_by_rule` is no model's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from togi.evaluate.asking import Answer, Asking, Measure, Question, TaskKind
from togi.evaluate.prompts import after
from togi.lm.base import Generated, Scored
from togi.rows.types import Message, Prompt, Sample

CREDITS = {"A": 1.0, "B": 0.0, "C": 0.5}
"""Verdict letter -> credit of the answer that was shown first; C is a tie."""

CRITERION = "Which answer is more helpful, correct and clear?"
"""What "better" means where nobody says it otherwise."""


def conversation_text(prompt: Prompt) -> str:
    r"""Return a prompt as one text; the turns of a longer conversation carry their role.

    >>> conversation_text((Message("user", "Hi"),))
    'Hi'
    >>> conversation_text((Message("system", "Be brief."), Message("user", "Hi")))
    'system: Be brief.\n\nuser: Hi'
    """
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1:
        return prompt[0].content
    return "\n\n".join(f"{turn.role}: {turn.content}" for turn in prompt)


def verdict_prompt(
    prompt: Prompt, answers: tuple[str, str], *, criterion: str, ties: bool, chat: bool
) -> Prompt:
    """Return what a judge is asked: the request, both answers, and how to reply.

    Args:
        prompt: what was asked.
        answers: the answer shown first, and the one shown second.
        criterion: what better means.
        ties: whether "C", neither is better, may be said.
        chat: as a conversation; else as plain text that the verdict continues.

    >>> text = verdict_prompt("Hi", ("Hello", "No"), criterion="Which?", ties=True, chat=False)
    >>> text.splitlines()[0], text.splitlines()[-1]
    ('Two answers to the same request are to be compared. Which?', 'Verdict:')
    """
    tie = ", C if neither is better" if ties else ""
    text = (
        f"Two answers to the same request are to be compared. {criterion}\n\n"
        f"<request>\n{conversation_text(prompt)}\n</request>\n\n"
        f"<answer A>\n{answers[0]}\n</answer A>\n\n"
        f"<answer B>\n{answers[1]}\n</answer B>\n\n"
        f"Reply with one letter: A if answer A is better, B if answer B is better{tie}."
    )
    return (Message("user", text),) if chat else text + "\nVerdict:"


def letters(ties: bool) -> tuple[str, ...]:
    """Return the letters that a verdict may be.

    >>> letters(False)
    ('A', 'B')
    """
    return ("A", "B", "C") if ties else ("A", "B")


# --- by likelihood --------------------------------------------------------------------------------


def _letters_unfit(asking: Asking, sample: Sample) -> str:
    good = sample.choices in (letters(True), letters(False))
    return "" if good else "its choices are no verdict letters"


def _likelihood_ask(asking: Asking, shots: Sequence[Sample], sample: Sample) -> Question:
    return Question(sample.input, tuple(after(sample.input, one) for one in sample.choices))


def credit_of(logprobs: Sequence[float], names: Sequence[str]) -> tuple[float, float]:
    """Return the credit of the first answer: of the likeliest letter, and as an expectation.

    Where several letters are likeliest, their credits are averaged.

    >>> credit_of([math.log(0.5), math.log(0.25), math.log(0.25)], "ABC")
    (1.0, 0.625)
    >>> credit_of([-1.0, -1.0], "AB")
    (0.5, 0.5)
    """
    values = np.array(logprobs, dtype=np.float64)
    if np.isnan(values).any() or not np.isfinite(values.max()):
        return math.nan, math.nan
    credits = np.array([CREDITS[name] for name in names])
    weights = np.exp(values - values.max())
    best = values == values.max()
    return float(credits[best].mean()), float(weights @ credits / weights.sum())


def _letter_logprob(reply: Scored, plain: bool) -> float:
    """Leave out what ends the judge's turn after the letter: it is no part of the verdict."""
    size = len(reply.logprobs) if plain else max(1, len(reply.logprobs) - 1)
    return float(reply.logprobs[:size].sum(dtype=np.float64))


def _likelihood_read(asking: Asking, sample: Sample, replies: Sequence[Scored]) -> Answer:
    totals = [_letter_logprob(reply, isinstance(sample.input, str)) for reply in replies]
    first, graded = credit_of(totals, sample.choices)
    letter = "" if math.isnan(first) else sample.choices[int(np.argmax(totals))]
    return Answer(letter, {"first": first, "graded": graded}, {"logprobs": totals})


# --- by text --------------------------------------------------------------------------------------

_MARKED = re.compile(r"\[\[\s*(A|B|C|tie)\s*\]\]", re.IGNORECASE)
_NAMED = re.compile(  # "the answer is A good one" names no letter
    r"\b(?i:verdict|answer|choice|winner|reply)\s*(?i:is|:)\s*[\W_]{0,3}"
    r"(A(?!\s+[a-z])|B|C|(?i:tie))\b"
)
_OPENING = re.compile(r"^[\W_]*([ABC])[\W_]*(?:$|[.:,)\n])")


def parse_verdict(text: str, ties: bool = True) -> str:
    """Return the verdict letter that a reply states; "" where it states none, or two.

    Read are, the first that occurs: [[A]]; the reply as a whole ("A", "**B**.", "tie"); a
    letter that is named ("the verdict is B", "Answer: C"); a letter that opens the reply and
    is set off from what follows ("A. Because …"). Nothing is guessed from other words.

    >>> [parse_verdict(t) for t in ("[[B]]", "**A**.", "Verdict: tie", "B. It is clear.")]
    ['B', 'A', 'C', 'B']
    >>> [parse_verdict(t) for t in ("A good answer", "[[A]] or [[B]]", "Both are fine.")]
    ['', '', '']
    """
    marked = {_letter(found) for found in _MARKED.findall(text)}
    bare = text.strip().strip("*_`\"'()[]<>. \n")
    named = {_letter(found) for found in _NAMED.findall(text)}
    if marked:
        found = marked
    elif bare.upper() in ("A", "B", "C", "TIE"):
        found = {_letter(bare)}
    elif named:
        found = named
    else:
        opening = _OPENING.match(text.strip())
        found = {opening[1]} if opening else set[str]()
    letter = found.pop() if len(found) == 1 else ""
    return letter if letter in letters(ties) else ""


def _letter(word: str) -> str:
    return "C" if word.lower() == "tie" else word.upper()


def _text_ask(asking: Asking, shots: Sequence[Sample], sample: Sample) -> Question:
    return Question(sample.input)


def _text_read(asking: Asking, sample: Sample, replies: Sequence[Generated]) -> Answer:
    text = replies[0].text.encode("utf-8", "replace").decode()
    letter = parse_verdict(text, ties="C" in sample.choices)
    first = CREDITS[letter] if letter else math.nan
    return Answer(text, {"first": first, "parsed": float(bool(letter))}, {"verdict": letter})


# --- by rule --------------------------------------------------------------------------------------


def _pair_unfit(asking: Asking, sample: Sample) -> str:
    return "" if len(sample.choices) == 2 else "its choices are not the two answers"


def _rule_read(asking: Asking, sample: Sample, replies: Sequence[float]) -> Answer:
    names = {1.0: "A", 0.0: "B", 0.5: "C"}
    return Answer(names.get(replies[0], ""), {"first": replies[0]})


def _share(name: str, definition: str) -> Measure:
    return Measure(
        name=name,
        unit="share",
        higher_is_better=True,
        definition=definition,
        over=name,
    )


VERDICT_KINDS = {
    "verdict_by_likelihood": TaskKind(
        definition="which of two answers a judge prefers, by the likelihood of the verdict letters",
        uses=(),
        measures=lambda _: (
            _share("first", "mean credit of the answer shown first; .5 is a fair judge"),
            _share("graded", "the same, weighted by the letters' probabilities"),
        ),
        unfit=_letters_unfit,
        ask=_likelihood_ask,
        read=_likelihood_read,
    ),
    "verdict_by_text": TaskKind(
        definition="which of two answers a judge prefers, by the verdict that it writes",
        uses=("sampling",),
        measures=lambda _: (_share("parsed", "share of verdicts that could be read"),),
        unfit=_letters_unfit,
        ask=_text_ask,
        read=_text_read,
    ),
    "verdict_by_rule": TaskKind(
        definition="which of two answers a rule prefers",
        uses=(),
        measures=lambda _: (_share("first", "mean credit of the answer shown first"),),
        unfit=_pair_unfit,
        ask=_text_ask,
        read=_rule_read,
    ),
}
"""Name -> how a judge is asked and its verdict read."""
