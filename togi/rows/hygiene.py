"""Clean hands: no row twice in a pool, and nothing of the held-out rows in it.

Overlap by shared runs of words follows Brown et al. 2020 (appendix C): 13 words in a row that
also stand in held-out text. As there, runs that many held-out rows share (a licence, an
instruction) are no sign of leakage and are left out of the comparison.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from togi.errors import DataError
from togi.rows.runs import RunIndex
from togi.rows.types import Document, Dropped, Example, Feedback, Preference, Prompt, Ranking, Row

RUN = 13  # words
FUZZY_RUN = 8  # words
LEAST = 20  # characters of a text whose equality means something; "yes" does not
COMMON = 0.05  # share of held-out rows from which on a run of words is common to them
FENCE = re.compile(r"(`{3,})[^\n`]*\n(.*?)\n\1", re.DOTALL)
EXAMPLES = 5  # of each reason
SHOWN = 120  # characters of a shared text that an example shows

R = TypeVar("R", bound=Row)
Event: TypeAlias = Row | Dropped


def _question(prompt: Prompt) -> str:
    """Return what a prompt asks about: its fenced code where there is some, else its last turn."""
    text = prompt if isinstance(prompt, str) else prompt[-1].content if prompt else ""
    fenced = FENCE.findall(text)
    return "\n".join(code for _, code in fenced) if fenced else text


def parts(row: Row) -> tuple[str, ...]:
    r"""Return the texts by which a row is compared: its question first, then its answers.

    >>> from togi.rows.types import Message
    >>> ask = Message("user", "What does it do?\n```python\ndef f(): pass\n```")
    >>> parts(Example(id="a", prompt=(ask,), response="Nothing."))
    ('def f(): pass', 'Nothing.')
    """
    if isinstance(row, Document):
        return (row.text,)
    if isinstance(row, Example | Feedback):
        return (_question(row.prompt), row.response)
    if isinstance(row, Preference):
        return (_question(row.prompt), row.chosen, row.rejected)
    if isinstance(row, Ranking):
        return (_question(row.prompt), *row.responses)
    target = row.target if isinstance(row.target, str) else row.choices[row.target]
    return (_question(row.input), target, *row.choices)


def normalised(text: str) -> str:
    r"""Return a text in lower case with single spaces.

    >>> normalised("Return\n   X. ")
    'return x.'
    """
    return " ".join(text.lower().split())


def _digest(*texts: str) -> bytes:
    joined = "\x1f".join(normalised(text) for text in texts)
    return hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=12).digest()


@dataclass(frozen=True, slots=True)
class Match:
    """An overlap of a row with one held-out row.

    Attributes:
        held_out: the held-out row's id.
        reason: how they overlap; of the same kind the same words, so that they can be counted.
        shared: words that both hold.
    """

    held_out: str
    reason: str
    shared: str


SAME_QUESTION = "its question or source stands in held-out rows"
SAME_ANSWER = "its answer stands in held-out rows"


class HeldOut:
    """What must not stand in the pool: an index of the held-out rows.

    Args:
        rows: the held-out rows.
        run: so many equal words in a row are an overlap.
        least: a question or answer of fewer characters is not compared as a whole.
        common: a run in more than this share of the rows (and more than one) is not compared.
        fuzzy: so large a share of the runs of `fuzzy_run` words of a held-out question or answer
            in one text are an overlap too; None asks for no such thing.
        fuzzy_run: words (Chowdhery et al. 2022 took 8 and a share of 0.7).

    Raises:
        DataError: a share outside (0, 1].
    """

    def __init__(
        self,
        rows: Iterable[Row],
        *,
        run: int = RUN,
        least: int = LEAST,
        common: float = COMMON,
        fuzzy: float | None = None,
        fuzzy_run: int = FUZZY_RUN,
    ) -> None:
        if fuzzy is not None and not 0 < fuzzy <= 1:
            raise DataError(f"fuzzy must lie in (0, 1], got {fuzzy:g}", hint="0.7 is usual")
        self.least, self.fuzzy = least, fuzzy
        self.ids: list[str] = []
        self.questions: dict[bytes, list[int]] = {}
        self.answers: dict[bytes, list[int]] = {}
        self.exact, self.near = RunIndex(run), RunIndex(fuzzy_run)
        for row in rows:
            number = len(self.ids)
            self.ids.append(row.id)
            question, *answers = parts(row)
            self._note(self.questions, [question], number)
            self._note(self.answers, answers, number)
            for text in (question, *answers):
                self.exact.add(text, number)
                if fuzzy is not None:
                    self.near.add(text, number)
        most = max(1.0, common * len(self.ids))
        self.exact.close(most)
        self.near.close(most)
        self.of_runs = f"shares {run} words in a row with held-out rows"
        self.of_fuzzy = f"holds most of a held-out text, in runs of {fuzzy_run} words"

    def _whole(self, texts: Iterable[str]) -> list[bytes]:
        return [_digest(text) for text in texts if len(normalised(text)) >= self.least]

    def _note(self, index: dict[bytes, list[int]], texts: Iterable[str], number: int) -> None:
        for digest in self._whole(texts):
            known = index.setdefault(digest, [])
            if not known or known[-1] != number:
                known.append(number)

    def overlap(self, row: Row) -> str:
        """Return why a row overlaps with the held-out rows, "" if it does not."""
        return next((match.reason for match in self.matches(row)), "")

    def matches(self, row: Row) -> Iterator[Match]:
        """Yield the overlaps of a row, the plainest kind first; one held-out row may come twice."""
        question, *answers = parts(row)
        for index, texts, reason in (
            (self.questions, [question], SAME_QUESTION),
            (self.answers, answers, SAME_ANSWER),
        ):
            for digest, text in zip(self._whole(texts), self._long(texts), strict=True):
                for number in index.get(digest, ()):
                    yield Match(self.ids[number], reason, shortened(text))
        for text in (question, *answers):
            for number, words in self.exact.shared(text):
                yield Match(self.ids[number], self.of_runs, words)
        if self.fuzzy is not None:
            for text in (question, *answers):
                for number, words in self.near.contained(text, self.fuzzy):
                    yield Match(self.ids[number], self.of_fuzzy, words)

    def _long(self, texts: Iterable[str]) -> list[str]:
        return [text for text in texts if len(normalised(text)) >= self.least]


def shortened(text: str) -> str:
    """Return the beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"


class Duplicates:
    """Drops rows whose texts were there before, but for case and white space."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def __call__(self, events: Iterable[Event]) -> Iterator[Event]:
        """Pass the first of equal rows on, and what was dropped before."""
        for event in events:
            if not isinstance(event, Dropped):
                digest = _digest(*parts(event))
                if digest in self._seen:
                    yield Dropped(event.id, "duplicate of another row", event)
                    continue
                self._seen.add(digest)
            yield event


class Overlap:
    """Drops rows that overlap with held-out ones, and keeps count and examples.

    Attributes:
        index: the held-out rows.
        reasons: how many rows were dropped for each reason.
        hit: ids of the held-out rows that some row overlapped with.
        examples: (row's id, match), a few of each reason.
    """

    def __init__(self, index: HeldOut) -> None:
        self.index = index
        self.reasons: Counter[str] = Counter()
        self.hit: set[str] = set()
        self.examples: list[tuple[str, Match]] = []

    def __call__(self, events: Iterable[Event]) -> Iterator[Event]:
        """Pass rows without overlap on, and what was dropped before."""
        for event in events:
            found = [] if isinstance(event, Dropped) else list(self.index.matches(event))
            if not found:
                yield event
                continue
            self.hit.update(match.held_out for match in found)
            reason = found[0].reason
            if self.reasons[reason] < EXAMPLES:
                self.examples.append((event.id, found[0]))
            self.reasons[reason] += 1
            yield Dropped(event.id, reason, event)


def exact_duplicates(rows: Iterable[R]) -> tuple[list[R], list[Dropped]]:
    """Keep the first of rows whose texts are the same but for case and white space.

    >>> rows = [Document(id="a", text="Hello  world"), Document(id="b", text="hello world")]
    >>> kept, dropped = exact_duplicates(rows)
    >>> [row.id for row in kept], [(d.id, d.reason) for d in dropped]
    (['a'], [('b', 'duplicate of another row')])
    """
    return _parted(Duplicates()(rows))


def _parted(events: Iterable[Any]) -> tuple[list[Any], list[Dropped]]:
    kept, dropped = [], []
    for event in events:
        (dropped if isinstance(event, Dropped) else kept).append(event)
    return kept, dropped


def clean_pool(
    pool: Iterable[R],
    held_out: Iterable[Row],
    *,
    run: int = RUN,
    least: int = LEAST,
    common: float = COMMON,
) -> tuple[list[R], list[Dropped]]:
    """Drop from a pool its duplicates and whatever overlaps with held-out rows.

    Args:
        pool: rows to choose from.
        held_out: rows to judge on; none means that only duplicates are dropped.
        run: so many equal words in a row are an overlap (Brown et al. 2020: 13).
        least: a question or answer of fewer characters is not compared as a whole.
        common: a run of words in more than this share of the held-out rows is not compared.

    Returns:
        The rows that stay, in the pool's order, and those dropped with their reasons.
    """
    index = HeldOut(held_out, run=run, least=least, common=common)
    return _parted(Overlap(index)(Duplicates()(pool)))
