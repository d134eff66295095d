"""Files whose rows are not lines: a JSON array, read piece by piece, and Parquet."""

from __future__ import annotations

import codecs
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from togi.errors import DataError
from togi.rows.files import (
    MAX_LINE,
    lines,
    opened,
    parsed,
    read_csv,
    read_jsonl,
    read_lines,
    read_text,
)
from togi.rows.packed import packing_of
from togi.rows.raw import BadRecord, BadRow, Record, Records, short

CHUNK = 256 * 1024
BATCH = 256  # parquet rows that are held at once


class _Window:
    """A sliding view of a JSON text: values are taken from its start, more is read on demand."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file, self.name = file, name
        self.decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self.scanner = json.JSONDecoder()
        self.text, self.at, self.line, self.ended = "", 0, 1, False

    def wrong(self, found: str) -> DataError:
        """Return the error for a text that is not JSON from here on."""
        return DataError(
            "not valid JSON",
            where=f"{self.name} line {self.line}",
            found=found,
            expected="an array of objects",
            hint="one object on each line is the jsonl format; name the file so",
        )

    def more(self, size: int = CHUNK) -> None:
        """Drop what was taken and append at least `size` bytes."""
        data = self.file.read(size)
        try:
            fresh = self.decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise self.wrong(f"bytes that are not UTF-8 ({error.reason})") from error
        self.ended = not data
        self.text, self.at = self.text[self.at :] + fresh, 0

    def take(self, end: int) -> str:
        """Move on to `end` and return what lay before it."""
        taken = self.text[self.at : end]
        self.line += taken.count("\n")
        self.at = end
        return taken

    def peek(self) -> str:
        """Return the next character that is not white space, or "" at the end."""
        while True:
            rest = len(self.text)
            here = self.at
            while here < rest and self.text[here] in " \t\r\n":
                here += 1
            self.take(here)
            if here < rest or self.ended:
                return self.text[here : here + 1]
            self.more()

    def value(self) -> str:
        """Return the text of the next value, whole."""
        while True:
            try:
                _, end = self.scanner.raw_decode(self.text, self.at)
            except (ValueError, RecursionError) as error:
                held = len(self.text) - self.at
                if self.ended or held > MAX_LINE or isinstance(error, RecursionError):
                    what = getattr(error, "msg", "") or type(error).__name__
                    found = self.text[self.at : self.at + 80].strip()
                    raise self.wrong(f"{short(found)} ({what})") from error
                self.more(max(CHUNK, held))  # doubling keeps the work linear
                continue
            if end < len(self.text) or self.ended:  # else a number could go on in the next chunk
                return self.take(end)
            self.more()


def _items(window: _Window) -> Iterator[tuple[int, str]]:
    """Yield each element of the array that starts here: its line and its text."""
    window.take(window.at + 1)
    first = True
    while (mark := window.peek()) != "]":
        if not first:
            if mark != ",":
                raise window.wrong(f"{short(mark)} between two items" if mark else "the end")
            window.take(window.at + 1)
            window.peek()
        first = False
        line = window.line
        yield line, window.value()
    window.take(window.at + 1)


def _record(where: str, row_id: str, text: str) -> Record | BadRecord:
    try:
        return Record(where, row_id, parsed(text))
    except BadRow as fault:
        return BadRecord(where, row_id, fault)


def _is_jsonl(path: Path, name: str) -> bool:
    """Whether a file named .json holds one object a line, as many do."""
    with opened(path, name) as file:
        if not file.read(CHUNK).lstrip().startswith(b"{"):
            return False
    with opened(path, name) as file:
        full = (line for _, line in lines(file, name) if line.strip())
        first, second = next(full, b""), next(full, b"")
    try:
        return bool(second) and isinstance(parsed(first), dict)
    except BadRow:
        return False


def _wrapped(value: Any) -> list[Any] | None:
    """Return the rows inside ``{"data": [{...}, ...], ...}``, if just one key holds such a list."""
    if not isinstance(value, dict):
        return None
    lists = [v for v in value.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
    # A row may hold a list of objects too (messages); then its other keys are not a wrapper's.
    is_turn = bool(lists) and {"content", "value"} & set(lists[0][0])
    return lists[0] if len(lists) == 1 and not is_turn else None


def read_json(path: Path, name: str) -> Records:
    """Yield the objects of an array, of the one list inside an object, or of lines.

    The array is read piece by piece, so its length does not matter; an object is read whole.

    Raises:
        DataError: the text is not JSON from some line on.
    """
    if _is_jsonl(path, name):
        yield from read_jsonl(path, name)
        return
    with opened(path, name) as file:
        window = _Window(file, name)
        first = window.peek()
        if first == "[":
            for item, (line, text) in enumerate(_items(window), 1):
                yield _record(f"{name} item {item} (line {line})", f"{name}:{item}", text)
        elif first:
            whole = _record(name, f"{name}:1", window.value())
            inside = _wrapped(whole.value) if isinstance(whole, Record) else None
            if inside is None:
                yield whole
            for item, value in enumerate(inside or [], 1):
                yield Record(f"{name} item {item}", f"{name}:{item}", value)
        if rest := window.peek():
            raise window.wrong(f"{short(rest)} after the end of the JSON value")


@contextmanager
def _seekable(path: Path, name: str) -> Iterator[Path]:
    """Give the path itself, or of a packed file an unpacked copy that is removed afterwards."""
    with opened(path, name):  # words what is wrong with it
        packed = packing_of(path)
    if not packed:
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".parquet") as copy:
        with opened(path, name) as file:
            shutil.copyfileobj(file, copy)
        copy.flush()
        yield Path(copy.name)


def read_parquet(path: Path, name: str) -> Records:
    """Yield the rows of a Parquet file, a few hundred at a time.

    Raises:
        DataError: the file is no Parquet file, or is damaged.
    """
    import pyarrow
    import pyarrow.parquet

    with _seekable(path, name) as plain:
        try:
            number = 0
            with pyarrow.parquet.ParquetFile(plain) as file:
                for batch in file.iter_batches(batch_size=BATCH):
                    for value in batch.to_pylist():
                        number += 1
                        yield Record(f"{name} row {number}", f"{name}:{number}", value)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(
                "the Parquet file cannot be read",
                where=name,
                found=short(first, 200),
                hint="fetch or write the file again",
            ) from error


READERS: dict[str, Callable[[Path, str], Records]] = {
    "jsonl": read_jsonl,
    "json": read_json,
    "csv": read_csv,
    "parquet": read_parquet,
    "text": read_text,
    "lines": read_lines,
}
