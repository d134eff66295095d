"""Screens that rows pass one by one: length, language, hints at personal data.

A screen takes a stream of rows and of what was dropped before it, drops rows for a counted reason,
and keeps the facts that the report shows. Nothing is held but counts and a few examples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal

from togi.errors import UsageError
from togi.rows import pii
from togi.rows.hygiene import EXAMPLES, Event
from togi.rows.language import UNKNOWN, Languages
from togi.rows.runs import WORDS
from togi.rows.texts import answers, texts, with_texts
from togi.rows.types import Dropped, Row

ANY = "any"


class Lengths:
    """Drops rows whose text, or one of whose answers, is too short or too long, in words.

    Args:
        least: fewest words.
        most: most words; None sets no bound.
    """

    def __init__(self, least: int = 0, most: int | None = None) -> None:
        if most is not None and most < least:
            raise UsageError(f"min_words is {least}, max_words only {most}")
        self.least, self.most = least, most
        self.words: Counter[int] = Counter()

    def _reason(self, row: Row) -> str:
        for text in answers(row):
            words = len(WORDS.findall(text))
            self.words[words] += 1
            if words < self.least:
                return f"fewer than {self.least:,} words"
            if self.most is not None and words > self.most:
                return f"more than {self.most:,} words"
        return ""

    def __call__(self, events: Iterable[Event]) -> Iterator[Event]:
        """Pass rows of the right length on, and what was dropped before."""
        for event in events:
            if not isinstance(event, Dropped) and (reason := self._reason(event)):
                yield Dropped(event.id, reason, event)
            else:
                yield event

    def facts(self) -> dict[str, Any]:
        """Return quantiles of the texts' lengths before the screen, in words."""
        total, seen, found = self.words.total(), 0, {}
        marks = [("shortest", 0.0), ("quarter", 0.25), ("median", 0.5), ("three quarters", 0.75)]
        marks.append(("longest", 1.0))
        for words in sorted(self.words):
            seen += self.words[words]
            while marks and seen >= marks[0][1] * total:
                found[marks.pop(0)[0]] = words
        return found


class Tongues:
    """Counts the rows' languages, and drops those in another one than is wanted.

    A row whose language cannot be told stays.

    Args:
        wanted: codes such as en; `any` keeps all and only counts.
        model: tells languages.
    """

    def __init__(self, wanted: Collection[str], model: Languages) -> None:
        self.wanted, self.model = frozenset(wanted), model
        model.check(sorted(self.wanted - {ANY}))
        self.languages: Counter[str] = Counter()

    def __call__(self, events: Iterable[Event]) -> Iterator[Event]:
        """Pass rows in a wanted language on, and what was dropped before."""
        for event in events:
            if not isinstance(event, Dropped):
                code = self.model.of("\n".join(texts(event)))
                self.languages[code] += 1
                if ANY not in self.wanted and code not in (*self.wanted, UNKNOWN):
                    yield Dropped(event.id, f"in another language: {code}", event)
                    continue
            yield event

    def facts(self) -> dict[str, int]:
        """Return how many rows were in each language."""
        return dict(self.languages.most_common())


class Personal:
    """Counts hints at personal data, and masks them or drops their rows if that is asked.

    Args:
        action: "count" changes nothing, "mask" puts a hint's kind in its place, "drop" drops the
            row.
        kinds: of hints, see `togi.rows.pii.KINDS`.
    """

    def __init__(
        self, action: Literal["count", "mask", "drop"], kinds: Collection[str] = tuple(pii.KINDS)
    ) -> None:
        self.action, self.kinds = action, tuple(pii.chosen(kinds))
        self.hints: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()
        self.examples: list[dict[str, str]] = []

    def _look(self, row: Row) -> list[str]:
        """Count the hints of a row, and return their kinds."""
        found: Counter[str] = Counter()
        for text in texts(row):
            hints = pii.find(text, self.kinds)
            for hint in hints:
                if self.hints[hint.kind] + found[hint.kind] < EXAMPLES:
                    struck = pii.shown(text, hint, hints)
                    self.examples.append({"id": row.id, "kind": hint.kind, "text": struck})
                found[hint.kind] += 1
        self.hints += found
        self.rows.update(found.keys())
        return [kind for kind in self.kinds if found[kind]]

    def __call__(self, events: Iterable[Event]) -> Iterator[Event]:
        """Pass rows on, masked where that is asked, and what was dropped before."""
        for event in events:
            kinds = [] if isinstance(event, Dropped) else self._look(event)
            if not kinds or isinstance(event, Dropped) or self.action == "count":
                yield event
            elif self.action == "mask":
                yield with_texts(event, lambda text: pii.masked(text, self.kinds))
            else:
                yield Dropped(event.id, f"hints at personal data: {', '.join(kinds)}", event)

    def facts(self) -> dict[str, Any]:
        """Return hints and rows by kind, and examples with all hints struck out."""
        counts = {
            kind: {"hints": self.hints[kind], "rows": self.rows[kind]}
            for kind in self.kinds
            if self.hints[kind]
        }
        return {"action": self.action, "counts": counts, "examples": self.examples}
