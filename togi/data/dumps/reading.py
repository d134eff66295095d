"""How a source of questions and answers is read: what all kinds of forums share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from togi.data.dumps.threads import Lost, Thread, Threads
from togi.data.lima import Entry, Left, Limits, floor_at, low_score
from togi.rows.raw import BadRow, short
from togi.stats.rng import derive

Asking: TypeAlias = Literal["random", "title", "body", "both"]
Naming: TypeAlias = Callable[[int], str]
REASONS = {
    "top_answer": "not the best answer of its question",
    "question": "its question is not there",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a source is read.

    Attributes:
        rules: names of the rules that hold; score and length are looked at before any text.
        limits: their numbers.
        asking: what becomes the prompt where a question has a title and a body.
        seed: of what is drawn.
        on_bad: "error" stops at a post that cannot be read, "skip" counts it.
        spill: a folder for what must be unpacked.
        site: the site's domain, where the path does not say it.
    """

    rules: frozenset[str]
    limits: Limits = field(default_factory=Limits)
    asking: Asking = "random"
    seed: int = 0
    on_bad: str = "error"
    spill: Path = Path()
    site: str = ""

    def fixed_floor(self) -> float:
        """Return the least score that is known before reading."""
        limits = self.limits
        holds = "score" in self.rules and limits.percentile is None and limits.score is not None
        return limits.score if holds and limits.score is not None else -float("inf")

    def refuse_or_count(self, fault: BadRow, where: str, row_id: str, expected: str = "") -> Left:
        """Return what is counted for an unreadable row, with `on_bad="skip"`.

        Raises:
            DataError: with `on_bad="error"`.
        """
        if self.on_bad == "error":
            raise fault.at(where, expected) from None
        return Left(row_id, "readable", fault.problem)

    def prompt(self, row_id: str, title: str, body: str) -> str:
        """Return what is asked; "random" draws title or body by the seed and the row's id."""
        asking = self.asking
        if asking == "random":
            asking = ("title", "body")[derive(self.seed, "prompt", row_id) % 2]
        if asking == "both":
            return f"{title}\n\n{body}".strip()
        return title if asking == "title" else body


class Source(Protocol):
    """A source of entries.

    Attributes:
        seen: counts what was read, by what it is.
        floors: least scores by site, where they are percentiles and known.
    """

    seen: Counter[str]
    floors: dict[str, float]

    def entries(self) -> Iterator[Entry | Left]:
        """Yield what may be picked, and what is left out already."""
        ...


def threads_of(
    threads: Threads, reading: Reading, floors: dict[str, float], site: str, name: Naming
) -> Iterator[Thread | Left]:
    """Yield the wanted threads, and why other answers are in none.

    A least score that is a percentile is known only here, when all scores are; it is noted in
    `floors` under the site. `name` makes a row's id of an answer's key.
    """
    floor, limits = -float("inf"), reading.limits
    if "score" in reading.rules and limits.percentile is not None:
        floor = floors[site] = floor_at(threads.counts(), limits.percentile)
    for found in threads.joined(floor):
        if isinstance(found, Lost):
            reason = REASONS.get(found.rule) or low_score(limits)
            yield Left(name(found.key), found.rule, reason)
        else:
            yield found


def text_of(record: Any, name: str) -> str:
    """Return a text of a record.

    Raises:
        BadRow: it is not there, or no text.
    """
    value = record.get(name) if isinstance(record, dict) else None
    if not isinstance(value, str):
        found = ", ".join(map(str, record)) if isinstance(record, dict) else short(record)
        raise BadRow(f"there is no text '{name}'", found=short(value) if value else found)
    return value


def known(**facts: Any) -> dict[str, Any]:
    """Return the facts that are known.

    >>> known(title="a", score=0, url=None, topic="")
    {'title': 'a', 'score': 0}
    """
    return {name: value for name, value in facts.items() if value is not None and value != ""}
