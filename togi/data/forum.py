"""Any source of questions and answers as entries: which kind it is, how it is read, what it holds.

Stack Exchange dumps, Reddit records, wikiHow and Super-NaturalInstructions have readers of their
own (`togi.data.dumps`); whatever else comes through `togi.rows.read`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias

from togi.data.dumps.articles import Articles, Tasks
from togi.data.dumps.reading import Reading, Source
from togi.data.dumps.reddit import Records
from togi.data.dumps.stackexchange import Dump, dumps_in
from togi.data.lima import Entry, Left, Limits, floor_at
from togi.errors import DataError, nearest
from togi.rows.containers import READERS
from togi.rows.files import format_of, opened
from togi.rows.packed import without_suffix
from togi.rows.raw import Record
from togi.rows.read import RowStream, read_rows
from togi.rows.types import Dropped, Example

Kind: TypeAlias = Literal["stack_exchange", "wikihow", "reddit", "natural_instructions", "rows"]
TOPIC_KEYS = ("topic", "category", "source", "subreddit", "site")
"""Metadata keys of rows that are taken for their topic, in this order, unless one is named."""
LOOKED = 5  # records of a file by which its kind is known
SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".json")


def kind_of(source: str) -> Kind:
    """Return what a source is, by its files' names and its first records; else "rows"."""
    if source.startswith(("hub:", "python:")):
        return "rows"
    path = Path(source).expanduser()
    if not path.exists():
        return "rows"  # its reader words the error
    if dumps_in(path):
        return "stack_exchange"
    first = next(iter(_files(path)), None)
    if first is None:
        return "rows"
    keys = _keys(first)
    if {"Definition", "Instances"} <= keys:
        return "natural_instructions"
    if "title" in keys and "text" in keys and {"headline", "category", "sectionLabel"} & keys:
        return "wikihow"
    if "subreddit" in keys and ({"title"} <= keys or {"body", "link_id"} <= keys):
        return "reddit"
    return "rows"


def _files(path: Path) -> list[Path]:
    """Return the files of a source that hold records, in a fixed order."""
    inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [p for p in inside if _bare(p).suffix.lower() in SUFFIXES and p.name[0] != "."]


def _bare(path: Path) -> Path:
    return path.with_name(without_suffix(path.name))


def _keys(path: Path) -> set[str]:
    """Return the keys of a file's first records, none where it cannot be read."""
    if path.suffix.lower() == ".zst":  # of our kinds only Pushshift packs so
        return {"subreddit", "title"}
    try:
        records = list(islice(READERS[format_of(path)](path, path.name), LOOKED))
    except DataError:
        return set()
    values = [r.value for r in records if isinstance(r, Record) and isinstance(r.value, dict)]
    keys = {str(key) for value in values for key in value}
    # A task file may be read as the list of its instances.
    return keys | ({"Definition", "Instances"} if _is_task(path, keys) else set())


def _is_task(path: Path, keys: set[str]) -> bool:
    if format_of(path) != "json" or not keys:
        return False
    if {"Definition", "Instances"} <= keys:
        return True
    with opened(path, path.name) as file:
        return b'"Definition"' in file.read(1 << 16) and {"input", "output"} <= keys


def topic_at(row: Example, key: str, named: bool) -> str:
    """Return a row's topic: what stands at a metadata key, of a list the first.

    Raises:
        DataError: the row has no such key though the user named it.
    """
    if named and key not in row.metadata:
        raise DataError(
            f"the row has no metadata '{key}' to balance by",
            where=row.id,
            found=", ".join(map(str, row.metadata)) or "no metadata",
            hint=nearest(key, map(str, row.metadata)) if row.metadata else "",
        )
    value = row.metadata.get(key, "")
    return str(next(iter(value), "") if isinstance(value, list | tuple) else value)


@dataclass(slots=True)
class Rows:
    """Rows of any instruction source as entries; scores and topics come from their metadata."""

    stream: RowStream
    score_key: str
    key: str
    named: bool
    limits: Limits
    seen: Counter[str]
    floors: dict[str, float]

    def entries(self) -> Iterator[Entry | Left]:
        """Yield an entry for each row of the stream, in its order.

        Raises:
            DataError: a row is no prompt with a response, or its score is no number.
        """
        for event in self.stream.events():
            if isinstance(event, Dropped):
                self.seen["unreadable rows"] += 1
                yield Left(event.id, "readable", event.reason)
                continue
            self.seen["rows"] += 1
            if not isinstance(event, Example):
                raise DataError(
                    f"a row is a {type(event).__name__}, which has no one response",
                    where=event.id,
                    expected="prompts with a response",
                )
            topic = topic_at(event, self.key, self.named) if self.key else ""
            yield Entry(row=event, score=self._score(event), place=topic, topic=topic)

    def _score(self, row: Example) -> float | None:
        value = row.metadata.get(self.score_key)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                value = None if not value.strip() else value
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(
                f"'{self.score_key}' is no number", where=row.id, found=repr(value)[:60]
            )
        return float(value)


def _rows(source: str, reading: Reading, score_key: str, topic: str, offline: bool) -> Rows:
    stream = read_rows(
        source, on_bad="skip" if reading.on_bad == "skip" else "error", offline=offline
    )
    first = [row for row in islice(stream, LOOKED) if isinstance(row, Example)]
    usual = [key for key in TOPIC_KEYS if first and all(key in row.metadata for row in first)]
    key = topic or next(iter(usual), "")
    rows = Rows(stream, score_key, key, bool(topic), reading.limits, Counter(), {})
    if reading.limits.percentile is not None and "score" in reading.rules:
        rows.floors = _floors(rows, reading.limits.percentile)
        rows.limits = replace(reading.limits, floors=rows.floors)
        rows.seen.clear()
    return rows


def _floors(rows: Rows, percentile: float) -> dict[str, float]:
    """Read all rows once for the scores of each topic."""
    scores: dict[str, Counter[float]] = {}
    for entry in rows.entries():
        if isinstance(entry, Entry) and entry.score is not None:
            scores.setdefault(entry.place, Counter())[entry.score] += 1
    return {place: floor_at(counts, percentile) for place, counts in scores.items()}


@dataclass(frozen=True, slots=True)
class Opened:
    """A source that is open: its kind, its parts in order, and the limits as far as they are known.

    Attributes:
        key: the metadata key of the topic; "" leaves it to the source's reader.
    """

    name: str
    kind: Kind
    parts: tuple[Source, ...]
    limits: Limits
    key: str = ""

    def entries(self) -> Iterator[Entry | Left]:
        """Yield the entries of all parts, and what is left out already."""
        for part in self.parts:
            for entry in part.entries():
                if self.key and isinstance(entry, Entry):
                    yield replace(entry, topic=topic_at(entry.row, self.key, named=True))
                else:
                    yield entry

    def attributed(self, rows: Sequence[Example]) -> list[Example]:
        """Return rows with the names of their writers, where a dump has them beside its posts."""
        named = list(rows)
        for part in self.parts:
            if isinstance(part, Dump):
                named = part.attributed(named)
        return named

    def seen(self) -> Counter[str]:
        """Return how much was read, by what it is."""
        return sum((part.seen for part in self.parts), Counter[str]())

    def floors(self) -> dict[str, float]:
        """Return the least scores by site, where they are percentiles."""
        return {site: floor for part in self.parts for site, floor in part.floors.items()}


def open_source(
    source: str,
    kind: Kind,
    reading: Reading,
    *,
    topic: str = "",
    score_key: str = "score",
    offline: bool = False,
) -> Opened:
    """Open a source of a kind.

    Args:
        source: a path, or for rows anything that `read_rows` takes.
        kind: what it is; see `kind_of`.
        reading: how it is read.
        topic: the metadata key that holds the topic; by default the site, subreddit or category,
            for a dump of one site its first tag.
        score_key: the metadata key of rows that holds their score.
        offline: no network may be used.

    Raises:
        DataError: it is not there, or holds nothing of its kind.
    """
    if kind == "rows":
        rows = _rows(source, reading, score_key, topic, offline)
        return Opened(rows.stream.name, kind, (rows,), rows.limits)
    path = Path(source).expanduser()
    paths = dumps_in(path) if kind == "stack_exchange" else _files(path)
    if not path.exists() or not paths:
        raise DataError(
            f"nothing of the kind {kind} lies here" if path.exists() else "no such file or folder",
            where=source,
            hint="name another kind, or check the path",
        )
    if kind == "stack_exchange":
        dumps = tuple(Dump(one, reading) for one in paths)
        one_site = len({dump.site for dump in dumps}) == 1
        return Opened(path.name, kind, dumps, reading.limits, topic or ("tags" if one_site else ""))
    readers: dict[str, Callable[[Sequence[Path], Reading], Source]] = {
        "wikihow": Articles,
        "reddit": Records,
        "natural_instructions": Tasks,
    }
    return Opened(path.name, kind, (readers[kind](paths, reading),), reading.limits, topic)
