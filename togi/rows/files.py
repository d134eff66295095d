"""Single files, line by line in bounded memory: jsonl, csv and text, plain, .gz or .zst."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

import orjson

from togi.errors import DataError, SurroundingsError
from togi.rows.packed import DAMAGE, SUFFIXES, mended, open_packed, packing_of
from togi.rows.raw import BadRecord, BadRow, Record, Records, short

MAX_LINE = 64 * 1024 * 1024  # bytes of one line or item; longer ones are a wrong format
MAX_FIELD = 16 * 1024 * 1024  # characters of one csv field; a quote never closed stops here
BOM = b"\xef\xbb\xbf"
WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")

FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
TEXTS = frozenset(
    f".{name}"
    for name in (
        *("txt", "text", "md", "rst", "tex", "html", "htm", "xml", "css", "sql", "toml", "ini"),
        *("cfg", "yaml", "yml", "py", "pyi", "js", "ts", "c", "h", "cc", "cpp", "hpp", "java"),
        *("go", "rs", "rb", "sh", "r", "jl", "lua", "pl"),
    )
)


def format_of(path: Path) -> str:
    """Return the format that a file's name promises, `.gz` or `.zst` aside; "" is none of ours.

    >>> format_of(Path("a/pairs.jsonl.gz")), format_of(Path("notes.md")), format_of(Path("x.zip"))
    ('jsonl', 'text', '')
    """
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in SUFFIXES:
        suffixes.pop()
    last = suffixes[-1] if suffixes else ""
    return FORMATS.get(last) or ("text" if last in TEXTS else "")


@contextmanager
def opened(path: Path, name: str) -> Iterator[BinaryIO]:
    """Open a file for reading bytes, unpacked, past its byte-order mark; faults are worded here.

    Raises:
        DataError: the gzip or zst is damaged, or the text is UTF-16.
        SurroundingsError: the system does not let us read.
    """
    try:
        with open_packed(path) as raw, BufferedReader(raw) as file:  # type: ignore[arg-type]
            start = file.peek(len(BOM))[: len(BOM)]
            if start[:2] in WIDE_BOMS:
                raise DataError(
                    "the text is UTF-16", where=name, expected="UTF-8", hint="save it as UTF-8"
                )
            if start == BOM:
                file.read(len(BOM))
            yield file
    except DAMAGE as error:
        raise DataError(
            f"the {packing_of(path)} is damaged or cut off",
            where=name,
            found=str(error),
            hint=mended(path, error),
        ) from error
    except OSError as error:
        raise SurroundingsError(
            "the file cannot be read", where=name, found=error.strerror or str(error)
        ) from error


def lines(file: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield numbered lines without their line ends.

    Raises:
        DataError: a line is longer than 64 MiB.
    """
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise DataError(
                "the line is longer than 64 MiB",
                where=f"{name} line {number}",
                hint="a jsonl file has one row on each line",
            )
        yield number, line.rstrip(b"\r\n")


def decoded(line: bytes) -> str:
    r"""Decode UTF-8, or say which byte is not.

    >>> decoded(b"caf\xe9")
    Traceback (most recent call last):
    togi.rows.raw.BadRow: not UTF-8
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRow(
            "not UTF-8",
            found=f"byte 0x{line[error.start]:02x} at column {error.start + 1}",
            expected="UTF-8",
            hint="save the file as UTF-8",
        ) from error


def parsed(line: bytes | str) -> object:
    """Read one JSON value strictly: UTF-8, no NaN, no lone surrogates."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if isinstance(line, bytes):
            decoded(line)
        raise BadRow(
            "not valid JSON",
            found=f"{short(line.strip())} ({error.msg} at column {error.colno})",
            expected="one JSON object",
        ) from error


def read_jsonl(path: Path, name: str) -> Records:
    """Yield one record a line; blank lines are passed over."""
    with opened(path, name) as file:
        for number, line in lines(file, name):
            if not line or line.isspace():
                continue
            where, row_id = f"{name} line {number}", f"{name}:{number}"
            try:
                yield Record(where, row_id, parsed(line))
            except BadRow as fault:
                yield BadRecord(where, row_id, fault)


def read_lines(path: Path, name: str) -> Records:
    """Yield each line of a text file that is not blank as a text of its own."""
    with opened(path, name) as file:
        for number, line in lines(file, name):
            if not line or line.isspace():
                continue
            where, row_id = f"{name} line {number}", f"{name}:{number}"
            try:
                yield Record(where, row_id, {"text": decoded(line)})
            except BadRow as fault:
                yield BadRecord(where, row_id, fault)


def read_text(path: Path, name: str) -> Records:
    """Yield a whole text file as one record, its line ends made line feeds."""
    with opened(path, name) as file:
        content = file.read(MAX_LINE + 1)
        try:
            if len(content) > MAX_LINE:
                raise BadRow(
                    "the text is longer than 64 MiB", hint="`kind: lines` reads it by line"
                )
            text = decoded(content).replace("\r\n", "\n").replace("\r", "\n")
            yield Record(name, name, {"text": text, "metadata": {"file": name}})
        except BadRow as fault:
            yield BadRecord(name, name, fault)


class _TextLines:
    """Decoded lines for the csv parser; one that is not UTF-8 raises and the next can be read."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.numbered = lines(file, name)
        self.number = 0

    def __iter__(self) -> _TextLines:
        return self

    def __next__(self) -> str:
        self.number, line = next(self.numbered)
        return decoded(line) + "\n"


def _delimiter(header: str) -> str:
    """Return which of , ; tab | the header uses most.

    >>> _delimiter("prompt;chosen;rejected, maybe")
    ';'
    """
    return max(",;\t|", key=header.count)


def _csv_header(path: Path, name: str) -> tuple[list[str], str]:
    """Return the column names, none for an empty file, and the delimiter."""
    with opened(path, name) as file:
        text = _TextLines(file, name)
        try:
            first = next((line for line in text if line.strip()), "")
            delimiter = _delimiter(first)
            header = next(csv.reader([first], delimiter=delimiter, strict=True), [])
        except (BadRow, csv.Error) as error:
            raise DataError(
                "the header line cannot be read",
                where=f"{name} line {text.number}",
                found=getattr(error, "found", "") or str(error),
                expected="column names, for example prompt,response",
            ) from error
    names = [column.strip() for column in header]
    if len(names) > 1 and not names[0] and "index" not in names:
        names[0] = "index"  # pandas writes its row numbers without a name
    twice = [column for column in names if names.count(column) > 1]
    if twice or not all(names):
        raise DataError(
            "a column stands twice" if twice else "a column has no name",
            where=f"{name} line {text.number}",
            found=short(", ".join(names), 200),
            expected="a first line of distinct column names",
        )
    return names, delimiter


def _csv_row(columns: list[str], values: list[str]) -> dict[str, str]:
    if len(values) != len(columns):
        raise BadRow(
            "the row does not have as many fields as the header",
            found=f"{len(values)} fields",
            expected=f"{len(columns)}: {short(', '.join(columns), 200)}",
            hint='a text that holds commas, quotes or line ends stands in "..."',
        )
    return dict(zip(columns, values, strict=True))


def read_csv(path: Path, name: str) -> Records:
    """Yield one record for each csv row; every value is text, the header names the columns."""
    columns, delimiter = _csv_header(path, name)
    csv.field_size_limit(MAX_FIELD)  # the module's own limit, 128 KiB, is less than many a text
    with opened(path, name) as file:
        text = _TextLines(file, name)
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        header_seen = False
        while True:
            start = text.number + 1
            where, row_id = f"{name} line {start}", f"{name}:{start}"
            try:
                values = next(rows)
                if not values or (len(values) == 1 and values[0].isspace()):
                    continue
                if header_seen:
                    yield Record(where, row_id, _csv_row(columns, values))
                header_seen = True
            except StopIteration:
                return
            except csv.Error as error:
                fault = BadRow("not valid csv", found=str(error), hint='write a quote inside as ""')
                yield BadRecord(where, row_id, fault)
            except BadRow as fault:
                yield BadRecord(where, row_id, fault)
