"""Rows that wait on disk, with what must be known to choose among them: some 70 bytes each.

So millions of rows may pass the rules without lying in memory.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import orjson

from togi.data.blocks import disk_fault
from togi.data.lima import Entry
from togi.rows.hygiene import normalised
from togi.rows.native import from_record
from togi.rows.types import Example, Prompt
from togi.rows.write import line_of
from togi.stats.rng import derive

STYLE: dict[str, re.Pattern[str]] = {
    "code block": re.compile(r"^[ >]*`{3}", re.MULTILINE),
    "list": re.compile(r"^[ >]*(?:[-*+]|\d+[.)]) ", re.MULTILINE),
    "quotation": re.compile(r"^[ ]*> ", re.MULTILINE),
    "several paragraphs": re.compile(r"\S\n\s*\n\s*\S"),
    "ends with a question": re.compile(r"\?\s*\Z"),
}
"""What is counted of the answers' style."""


def asked(prompt: Prompt) -> str:
    """Return a prompt as one text: a conversation's turns one below the other."""
    return prompt if isinstance(prompt, str) else "\n".join(turn.content for turn in prompt)


def style_of(response: str) -> list[str]:
    r"""Return which marks of style an answer has.

    >>> style_of("Two ways:\n\n- bake\n- fry")
    ['list', 'several paragraphs']
    """
    return [name for name, pattern in STYLE.items() if pattern.search(response)]


class Spool:
    """Rows in an unnamed file of a folder; close it (`with`) to free the disk.

    Attributes:
        topics: names of the topics, in the order in which they came.
        style: how many answers have each mark of style.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `with`
        except OSError as fault:
            raise disk_fault(fault, folder) from fault
        self.topics: dict[str, int] = {}
        self.style: Counter[str] = Counter()
        self._starts, self._end = array("q"), 0
        self._topic, self._words = array("i"), array("i")
        self._score, self._answer_score = array("d"), array("d")
        self._order, self._prompt = array("Q"), (array("Q"), array("Q"))
        self._number = array("q")

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, entry: Entry, number: int) -> None:
        """Put a row at the end; `number` is its place in the source."""
        row = entry.row
        line = line_of(row)
        try:
            self._file.write(line)
        except OSError as fault:
            raise disk_fault(fault, self.folder) from fault
        self._starts.append(self._end)
        self._end += len(line)
        self._topic.append(self.topics.setdefault(entry.topic, len(self.topics)))
        self._words.append(len(row.response.split()))
        scores = (entry.question_score, entry.score)
        known = [score for score in scores if score is not None] or [float("nan")]
        self._score.append(known[0])
        self._answer_score.append(known[-1])
        self._order.append(derive(self.seed, "order", row.id))
        text = normalised(asked(row.prompt)).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, digest_size=16).digest()
        for half, column in enumerate(self._prompt):
            column.append(int.from_bytes(digest[8 * half : 8 * half + 8], "little"))
        self._number.append(number)
        self.style.update(style_of(row.response))

    @property
    def topic(self) -> np.ndarray:
        """Each row's topic, as its place in `topics`: int32[n]."""
        return np.array(self._topic, dtype=np.int32)

    @property
    def words(self) -> np.ndarray:
        """Words of each answer: int32[n]."""
        return np.array(self._words, dtype=np.int32)

    @property
    def numbers(self) -> np.ndarray:
        """Each row's place in the source: int64[n]."""
        return np.array(self._number, dtype=np.int64)

    def by_score(self) -> np.ndarray:
        """Rows from the best to the worst: int64[n].

        The question's score counts, then the answer's; unknown ones come last, equals as drawn.
        """
        score, second = np.array(self._score), np.array(self._answer_score)
        return np.lexsort((np.array(self._order), -second, -score, np.isnan(score)))

    def as_drawn(self) -> np.ndarray:
        """Rows in an order that depends on nothing but the seed and their ids: int64[n]."""
        return np.argsort(np.array(self._order), kind="stable")

    def repeats(self) -> np.ndarray:
        """Mark rows whose prompt a better one has, whatever case and white space: bool[n]."""
        order = self.by_score()
        rank = np.empty(len(self), dtype=np.int64)
        rank[order] = np.arange(len(self))
        low, high = (np.array(column) for column in self._prompt)
        together = np.lexsort((rank, high, low))
        same = (low[together][1:] == low[together][:-1]) & (
            high[together][1:] == high[together][:-1]
        )
        marked = np.zeros(len(self), dtype=bool)
        marked[together[1:][same]] = True
        return marked

    def rows(self, places: Iterable[int]) -> Iterator[Example]:
        """Yield rows, read back from the disk."""
        for place in places:
            yield _row(self._line(place))

    def ids(self, places: Iterable[int]) -> Iterator[str]:
        """Yield the ids of rows."""
        for place in places:
            yield orjson.loads(self._line(place))["id"]

    def _line(self, place: int) -> bytes:
        start = self._starts[place]
        end = self._starts[place + 1] if place + 1 < len(self) else self._end
        self._file.seek(start)
        return self._file.read(end - start)


def _row(line: bytes) -> Example:
    row = from_record(orjson.loads(line))
    if not isinstance(row, Example):
        raise TypeError(f"a {type(row).__name__} was spooled")
    return row


class DroppedFile:
    """`dropped.jsonl`, written while rows are read; it takes its name when it is whole."""

    def __init__(self, path: Path) -> None:
        self.path, self.part = path, path.with_name(path.name + ".part")
        self.count = 0

    def __enter__(self) -> DroppedFile:
        try:
            self._file = self.part.open("wb")
        except OSError as fault:
            raise disk_fault(fault, self.path) from fault
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._file.close()
        if kind is None:
            self.part.replace(self.path)
        else:
            self.part.unlink(missing_ok=True)

    def add(self, row_id: str, reason: str) -> None:
        """Write one line."""
        line = orjson.dumps({"id": row_id, "reason": reason}, option=orjson.OPT_APPEND_NEWLINE)
        try:
            self._file.write(line)
        except OSError as fault:
            raise disk_fault(fault, self.path) from fault
        self.count += 1


def counted_style(responses: Sequence[str]) -> dict[str, int]:
    """Return how many answers have each mark of style."""
    found = Counter(mark for response in responses for mark in style_of(response))
    return {name: found[name] for name in STYLE}
