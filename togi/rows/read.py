"""The one door to rows: any source and any shape, sniffed and said, streamed, faults worded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

from togi.errors import DataError, UsageError, nearest
from togi.rows.folders import open_local
from togi.rows.hub import open_hub
from togi.rows.raw import BadRecord, BadRow, Opened, Record
from togi.rows.shapes import KINDS, Mapped, Reading, sniff
from togi.rows.source import open_python
from togi.rows.turns import as_turns
from togi.rows.types import Document, Dropped, Row, Sample

SNIFFED = 20  # good rows whose shape is looked at
LOOKED = 200  # records that are searched for them

OnBad = Literal["error", "skip"]


class RowStream:
    """Rows of one source; each iteration reads it again from its start, in bounded memory.

    Attributes:
        dropped: how many rows were left out, by reason; filled while iterating.
        read: how many rows were yielded, filled while iterating.
    """

    def __init__(
        self, name: str, understood: str, events: Callable[[], Iterator[Row | Dropped]]
    ) -> None:
        self.name = name
        self._understood, self._events = understood, events
        self.dropped: Counter[str] = Counter()
        self.read = 0

    @property
    def understood(self) -> str:
        """What was understood of the source, with the rows read so far."""
        rows = f"{self.read} row{'' if self.read == 1 else 's'} read so far"
        lost = f", {self.dropped.total()} left out" if self.dropped else ""
        return f"{self._understood}, {rows}{lost}"

    def events(self) -> Iterator[Row | Dropped]:
        """Yield the rows together with what was left out, in the source's order.

        Raises:
            DataError: a bad row (with `on_bad="error"`), or not one good row.
        """
        self.dropped.clear()
        self.read = 0
        for event in self._events():
            if isinstance(event, Dropped):
                self.dropped[event.reason] += 1
            else:
                self.read += 1
            yield event
        if not self.read:
            reasons = ", ".join(f"{reason} ({n})" for reason, n in self.dropped.most_common(5))
            raise DataError(
                "no row is left",
                where=self.name,
                found=reasons or "an empty source",
                expected="at least one row",
            )

    def __iter__(self) -> Iterator[Row]:
        return (event for event in self.events() if not isinstance(event, Dropped))


def _sniffed(opened: Opened, kind: str, columns: Mapped) -> Reading:
    """Look at the first records; a source without a good one is refused here."""
    values: list[object] = []
    first_bad: BadRecord | None = None
    for record in islice(opened.read(), LOOKED):
        if isinstance(record, Record):
            values.append(record.value)
            if len(values) == SNIFFED:
                break
        else:
            first_bad = first_bad or record
    if not values and first_bad is None:
        raise DataError("the data set is empty", where=opened.name, expected="at least one row")
    if not values and first_bad is not None:
        raise first_bad.fault.at(first_bad.where)
    return sniff(values, kind=kind, columns=columns, where=opened.name)


def _as_chat(row: Row) -> Row:
    """Make the user's turn of a prompt that is plain text."""
    if isinstance(row, Document):
        return row
    if isinstance(row, Sample):
        return replace(row, input=as_turns(row.input))
    return replace(row, prompt=as_turns(row.prompt))


def _events(opened: Opened, reading: Reading, on_bad: OnBad, chat: bool) -> Iterator[Row | Dropped]:
    for record in opened.read():
        try:
            if isinstance(record, BadRecord):
                raise record.fault
            row = reading.row(record.value, record.id)
            yield _as_chat(row) if chat else row
        except BadRow as fault:
            if on_bad == "error":
                raise fault.at(record.where, reading.expected()) from None
            yield Dropped(record.id, fault.problem)


def _limited(
    events: Callable[[], Iterator[Row | Dropped]], limit: int
) -> Callable[[], Iterator[Row | Dropped]]:
    """Stop after `limit` rows; what is left out does not count."""

    def first() -> Iterator[Row | Dropped]:
        left = limit
        for event in events():
            yield event
            left -= not isinstance(event, Dropped)
            if not left:
                return

    return first


def read_rows(
    source: str | Path,
    *,
    kind: str = "auto",
    columns: Mapped | None = None,
    on_bad: OnBad = "error",
    limit: int | None = None,
    chat: bool = False,
    offline: bool = False,
) -> RowStream:
    """Open a source of rows, say what was understood, and stream it.

    Args:
        source: a file (jsonl, json, csv, tsv, parquet or text, each also .gz or .zst), a folder of
            such files, `hub:owner/name[:config][@split]`, or Python functions with docstrings from
            `python:stdlib`, `python:installed` or `python:<folder>`.
        kind: the shape, where sniffing it from the first rows would be wrong; one of `KINDS`.
        columns: togi's field -> the file's column, where their names differ; a list of columns
            for the choices of a question; `{"id": None}` numbers the rows.
        on_bad: "error" raises at the first bad row, "skip" counts it in `.dropped`.
        limit: at most so many rows.
        chat: a prompt that is plain text becomes the user's turn of a conversation.
        offline: no network may be used.

    Raises:
        DataError: the source is missing, empty, damaged or of no known shape; a row is bad.
        SurroundingsError: a package or the network is missing, or the system forbids reading.
        UsageError: an argument is none of those named above.
    """
    text = str(source)
    if kind not in KINDS:
        raise UsageError(f"kind '{kind}' is not known", where=text, hint=nearest(kind, KINDS))
    if on_bad not in ("error", "skip"):
        raise UsageError(f"on_bad must be error or skip, got {on_bad!r}", where=text)
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1, got {limit}", where=text)
    if text.startswith("python:"):
        understood, events = open_python(text)
        name = text
    else:
        hub = text.startswith("hub:")
        opened = open_hub(text, offline=offline) if hub else open_local(text, lines=kind == "lines")
        reading = _sniffed(opened, kind, columns or {})
        name = opened.name
        understood = "; ".join([f"{name}: {opened.format}, {reading.label}", *opened.notes])
        events = partial(_events, opened, reading, on_bad, chat)
    return RowStream(name, understood, events if limit is None else _limited(events, limit))
