"""LIMA's published rules: which answers are worth learning from, and why the others are not.

Source: Zhou et al. 2023, "LIMA: less is more for alignment" (arXiv 2305.11206), section 2. A rule
is a pure function of an entry and the limits; it returns "" or the reason why the entry is left
out. Reasons hold nothing of the entry itself, so that they can be counted.

Deviations: a score may be a percentile of its site; "self-contained in the title" is two rules, of
which the literal one (`title_only`: no body at all) is off unless asked for; quotations, code and
formulas do not count as the writer's own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from togi.data.speech import in_first_person, leans_on_others
from togi.rows.types import Example

QUESTION_WORDS = re.compile(
    r"(?:how|what|why|when|where|which|who|whom|whose|can|could|is|are|was|were|do|does|did|"
    r"should|would|will|has|have|had|may|must|am|wie|was|warum|wieso|weshalb|wann|wo|wohin|woher|"
    r"welche[rsmn]?|wer|wen|wem|wessen|kann|können|ist|sind|soll|sollte|darf|muss|gibt|hat)\b",
    re.IGNORECASE,
)
POINTING = re.compile(
    r"\b(?:this|these|those|following|above|below|diese[rsmn]?|folgende[rsmn]?|obige[rsmn]?)\b",
    re.IGNORECASE,
)
LEAST_TITLE = 4  # words
REMOVED = frozenset(["[removed]", "[deleted]"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A prompt and an answer that may be picked, with what the rules look at besides.

    Attributes:
        row: what is written if it is picked.
        title: of the forum question; None where there is none.
        body: of the forum question, cleaned; None where there is none.
        score: votes for the answer; None where they are not known.
        question_score: votes for the question, by which the best come first; None where there
            is none, and then the answer's.
        place: the site whose scores it can be compared with.
        topic: what it is about; "" where that is not known.
    """

    row: Example
    title: str | None = None
    body: str | None = None
    score: float | None = None
    question_score: float | None = None
    place: str = ""
    topic: str = ""


class Left(NamedTuple):
    """An entry that was left out before its text was looked at, or that could not be read."""

    id: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The numbers of the rules; the defaults are the paper's."""

    score: float | None = 10
    "Least score; None asks for no score."
    percentile: float | None = None
    "Least score as a percentile of the entry's site, instead; `floors` holds what it comes to."
    floors: Mapping[str, float] = field(default_factory=dict[str, float])
    "Least score by site; one that is not named has seen to it while it was read."
    least: int = 1200
    "Fewest characters of an answer, after cleaning."
    most: int = 4096
    "Most characters of an answer, after cleaning."
    body: int = 0
    "Most characters of a question's body, for `title_only`."
    language: str = "en"
    "Whose words for the first person are looked for: a key of `FIRST_PERSON`."


Rule: TypeAlias = Callable[[Entry, Limits], str]


def score(entry: Entry, limits: Limits) -> str:
    """Leave out an answer with too few votes, or, where votes are asked for, with unknown ones."""
    if limits.percentile is None and limits.score is None:
        return ""
    if entry.score is None:
        return "its score is not known"
    floor = limits.floors.get(entry.place) if limits.percentile is not None else limits.score
    return low_score(limits) if floor is not None and entry.score < floor else ""


def low_score(limits: Limits) -> str:
    """Return the reason of `score`."""
    if limits.percentile is not None:
        return f"score below percentile {limits.percentile:g} of its site"
    return f"score below {limits.score:g}"


def length(entry: Entry, limits: Limits) -> str:
    """Leave out an answer that is too short or too long."""
    size = len(entry.row.response.strip())
    if size < limits.least:
        return too_short(limits)
    return f"longer than {limits.most:,} characters" if size > limits.most else ""


def too_short(limits: Limits) -> str:
    """Return the reason of `length` for a short answer."""
    return f"shorter than {limits.least:,} characters"


def prompt(entry: Entry, _: Limits) -> str:
    """Leave out an entry that asks nothing."""
    asked = entry.row.prompt
    last = asked if isinstance(asked, str) else asked[-1].content if asked else ""
    return "" if last.strip() else "empty prompt"


def response(entry: Entry, _: Limits) -> str:
    """Leave out an entry that answers nothing."""
    return "" if entry.row.response.strip() else "empty answer"


def removed(entry: Entry, _: Limits) -> str:
    """Leave out what its writer or a moderator took away."""
    asked = (entry.title or "").strip(), (entry.body or "").strip()
    texts = {entry.row.response.strip(), *asked}
    return "removed by its writer or a moderator" if texts & REMOVED else ""


def first_person(entry: Entry, limits: Limits) -> str:
    """Leave out an answer that speaks of its writer."""
    found = in_first_person(entry.row.response, limits.language)
    return "written in the first person" if found else ""


def other_answers(entry: Entry, limits: Limits) -> str:
    """Leave out an answer that leans on its surroundings: other answers, comments, the site."""
    found = leans_on_others(entry.row.response, limits.language)
    return "refers to other answers or to the site" if found else ""


def title_alone(entry: Entry, _: Limits) -> str:
    """Leave out a question whose title does not read as a whole question."""
    if entry.title is None:
        return ""
    title = entry.title.strip()
    asks = title.endswith("?") or QUESTION_WORDS.match(title)
    whole = len(title.split()) >= LEAST_TITLE and not POINTING.search(title)
    return "" if asks and whole else "its title is no whole question"


def title_only(entry: Entry, limits: Limits) -> str:
    """Leave out a question that says more than its title: the strictest rule by far."""
    if entry.body is None or len(entry.body.strip()) <= limits.body:
        return ""
    return "its question has a body" if not limits.body else "its question has a long body"


RULES: dict[str, Rule] = {
    "score": score,
    "length": length,
    "prompt": prompt,
    "response": response,
    "removed": removed,
    "title_alone": title_alone,
    "title_only": title_only,
    "first_person": first_person,
    "other_answers": other_answers,
}
"""Every rule, in the order in which they are applied; an entry is counted under the first."""

WHOLE = ("prompt", "response")
PUBLISHED: dict[str, tuple[str, ...]] = {
    "stack_exchange": ("score", "length", *WHOLE, "title_alone", "first_person", "other_answers"),
    "wikihow": WHOLE,
    "reddit": (*WHOLE, "removed"),
    "natural_instructions": WHOLE,
    "rows": (*WHOLE, "first_person", "other_answers"),
}
"""The rules that hold for each kind of source, unless some are switched on or off.

A score is asked for wherever a least one is given.
"""

LEAST_SCORE: dict[str, float] = {"stack_exchange": 10}
"""The least score by kind of source; the others have none unless it is given."""


def failed(entry: Entry, rules: Sequence[str], limits: Limits) -> list[tuple[str, str]]:
    """Return (rule, reason) of each of these rules that leaves the entry out, in order.

    >>> entry = Entry(row=Example(id="a", prompt="Why?", response="I see."))
    >>> failed(entry, ["length", "first_person"], Limits(least=10))
    [('length', 'shorter than 10 characters'), ('first_person', 'written in the first person')]
    """
    checked = ((rule, RULES[rule](entry, limits)) for rule in rules)
    return [(rule, reason) for rule, reason in checked if reason]


def floor_at(scores: Mapping[float, int], percentile: float) -> float:
    """Return the smallest score that at least that share of all scores do not exceed.

    Args:
        scores: score -> how many have it.
        percentile: 0 to 100.

    >>> floor_at({1: 90, 5: 9, 70: 1}, 90), floor_at({1: 90, 5: 9, 70: 1}, 95)
    (1, 5)
    """
    need = percentile / 100 * sum(scores.values())
    total = 0
    for value in sorted(scores):
        total += scores[value]
        if total >= need:
            return value
    return float("inf")
