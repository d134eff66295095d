"""Sources that are no files of lines, kept as lines: hub streams, tables, Python functions.

They are read twice or more, and a network is no place to read from twice. Rows go into parts of a
fixed size; a part takes its name, which holds its number of rows, when it is whole, so a stream
that broke off goes on behind the last part.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import orjson

from togi.data.blocks import whole_file
from togi.data.shards.kept import key_of
from togi.rows.read import OnBad, RowStream, read_rows
from togi.rows.types import Dropped, Row
from togi.rows.write import line_of

PART = 64 << 20  # bytes
LEFT_OUT = "left_out.lines"  # no part's name
NAME = re.compile(r"(\d+)-(\d+)\.jsonl")


class Spool:
    """Turns sources into files of togi's rows; call it with a source's name.

    Args:
        folder: of the parts.
        on_bad: what to do about rows that cannot be used.
        offline: no network may be used.
        say: takes lines for the user.

    Attributes:
        dropped: rows left out, by reason.
        left_out: files with a line for each of them.
    """

    def __init__(
        self,
        folder: Path,
        *,
        on_bad: OnBad = "error",
        offline: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.folder, self.offline, self.say = folder, offline, say
        self.on_bad: OnBad = on_bad
        self.dropped: Counter[str] = Counter()
        self.left_out: list[Path] = []

    def __call__(self, source: str) -> list[Path]:
        """Return the files of a source's rows, reading it where that is not done yet.

        Raises:
            DataError, SurroundingsError: as `togi.rows.read.read_rows`.
        """
        stamp = ""
        with suppress(OSError):
            status = Path(source).stat()
            stamp = f"{status.st_size}-{status.st_mtime_ns}"
        folder = self.folder / key_of(source, stamp, self.on_bad)[:16]
        done = folder / "done.json"
        if not done.exists():
            dropped = self._read(source, folder)
            with whole_file(done) as file:
                file.write(json.dumps({"source": source, "dropped": dropped}).encode())
        self.dropped.update(json.loads(done.read_bytes())["dropped"])
        self.left_out.append(folder / LEFT_OUT)
        return [path for path, _ in _parts(folder)]

    def _read(self, source: str, folder: Path) -> dict[str, int]:
        stream = read_rows(source, on_bad=self.on_bad, offline=self.offline)
        before = list(_parts(folder))
        number = len(before)
        if before:
            self.say(f"{source}: going on behind {sum(n for _, n in before):,} rows")
        with whole_file(folder / LEFT_OUT) as file:
            rows = islice(_rows(stream, source, file), sum(count for _, count in before), None)
            while count := _write(rows, folder, number):
                number += 1
                self.say(f"{source}: part {number}, {count:,} rows kept")
        return dict(stream.dropped)


def _rows(stream: RowStream, source: str, left_out: BinaryIO) -> Iterator[Row]:
    """Yield the rows, and write a line for each that is left out."""
    for event in stream.events():
        if isinstance(event, Dropped):
            told = {"source": source, "id": event.id, "reason": event.reason}
            left_out.write(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))
        else:
            yield event


def _parts(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield the whole parts in order, each with its number of rows."""
    found = {}
    for path in folder.glob("*.jsonl") if folder.is_dir() else []:
        if match := NAME.fullmatch(path.name):
            found[int(match[1])] = path, int(match[2])
    for number in range(len(found)):
        if number not in found:
            return
        yield found[number]


def _write(rows: Iterator[Row], folder: Path, number: int) -> int:
    """Write a part; return its rows, 0 where none was left."""
    count = size = 0
    draft = folder / f"{number:05d}.draft"
    with whole_file(draft) as file:
        for row in rows:
            line = line_of(row)
            file.write(line)
            count, size = count + 1, size + len(line)
            if size >= PART:
                break
    if count:
        draft.replace(folder / f"{number:05d}-{count}.jsonl")
    else:
        draft.unlink()
    return count
