"""The documents of a shard: as blocks for the featuriser, and again by their places."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import orjson

from togi.data.blocks import BLOCK_BYTES, open_lines, read_some
from togi.data.features import Part
from togi.data.featuriser import Featuriser
from togi.data.lines import Bad, Decode, field_of, text_of
from togi.data.render import Renderer
from togi.data.shards.cut import Shard
from togi.data.shards.parquet import Column, columns, json_line, rows
from togi.errors import DataError
from togi.rows.files import BOM, MAX_LINE, WIDE_BOMS
from togi.rows.native import from_record
from togi.rows.raw import BadRow

TOO_LONG = "longer than 64 MiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How documents are read.

    Attributes:
        field: of the text, in lines of JSON; or the column's name in tables.
        features: of togi's rows, the text that is looked at, such as `{response}`.
        step: who reads, for errors.
    """

    field: str = "text"
    features: str | None = None
    step: str = "dsir"


class Block(NamedTuple):
    """Whole lines, or the texts of consecutive rows; where the first is in its file.

    `too_long` are the bytes of a line that is passed over.
    """

    start: int
    content: bytes | Column
    too_long: int = 0


def blocks(shard: Shard, reading: Reading, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """Yield the shard's documents, about `size` bytes at a time.

    Raises:
        DataError: the file cannot be read, is damaged, or has no such column.
    """
    source = shard.source
    if source.form == "parquet":
        for row, column in columns(source.path, reading.field, shard.first, shard.last):
            yield Block(row, column)
        return
    with open_lines(source.path) as file:
        start = _first_line(file, shard, size)
        yield from _lines(file, shard, start, size)


def _first_line(file: BinaryIO, shard: Shard, size: int) -> int:
    """Go to the first line that begins at or behind the shard's first byte; return its place."""
    if not shard.first:
        return _behind_mark(file, shard.source.path)
    place = shard.first - 1
    file.seek(place)
    while chunk := read_some(file, shard.source.path, size):
        end = chunk.find(b"\n")
        if end >= 0:
            file.seek(place + end + 1)
            return place + end + 1
        place += len(chunk)
    return place


def _behind_mark(file: BinaryIO, path: str) -> int:
    """Go past a byte-order mark; return its length."""
    mark = read_some(file, path, len(BOM))
    if mark[:2] in WIDE_BOMS:
        raise DataError("the text is UTF-16", where=path, expected="UTF-8", hint="save it as UTF-8")
    if mark == BOM:
        return len(BOM)
    file.seek(0)
    return 0


def _lines(file: BinaryIO, shard: Shard, start: int, size: int) -> Iterator[Block]:
    """Yield blocks of whole lines from `start` on, up to the last line that begins in the shard."""
    carry, skipped, path = bytearray(), 0, shard.source.path
    while start < shard.last:
        chunk = read_some(file, path, size)
        end = chunk.rfind(b"\n") + 1
        if skipped:  # inside a line that is too long
            first = chunk.find(b"\n") + 1
            skipped += first or len(chunk)
            if first or not chunk:
                yield Block(start, b"", skipped)
                start, skipped, carry = start + skipped, 0, bytearray(chunk[first:])
                if not chunk:
                    return
            continue
        if not end and chunk:
            carry += chunk
            if len(carry) > MAX_LINE:
                skipped, carry = len(carry), bytearray()
            continue
        block = b"".join((carry, chunk[:end])) if carry else chunk[:end]
        carry = bytearray(chunk[end:])
        last = _cut(block, start, shard.last)
        if last:
            yield Block(start, block[:last])
        start += len(block)
        if not chunk or last < len(block):
            return


def _cut(block: bytes, start: int, last: int) -> int:
    """Return how many bytes of the block are lines that begin before `last`."""
    if start + len(block) <= last:
        return len(block)
    end = block.find(b"\n", last - start - 1) + 1
    return end or len(block)


def part_of(featuriser: Featuriser, shard: Shard, block: Block, reading: Reading) -> Part:
    """Return the block's features; starts are places in the file, or numbers of rows."""
    if block.too_long:
        bad = Bad(0, TOO_LONG, f"{block.too_long:,} bytes")
        return _placed(featuriser.texts([])._replace(lines=1, bad=(bad,)), block.start)
    if isinstance(block.content, Column):
        part = _rows_of(featuriser, block.content, reading)
    else:
        part = _lines_of(featuriser, shard, block.content, reading)
    return _placed(part, block.start)


def _rows_of(featuriser: Featuriser, column: Column, reading: Reading) -> Part:
    """Return the features of a column's texts; starts are rows."""
    useful = ~(column.null | column.broken)
    bad = [Bad(n, f"{reading.field!r} is null", "null", n)
           for n in np.flatnonzero(column.null).tolist()]  # fmt: skip
    for n in np.flatnonzero(column.broken).tolist():
        start, end = column.spans[n, :2].tolist()
        bad.append(Bad(n, "not UTF-8", repr(column.data[start:end][:60]), n))
    part = featuriser.column(column.data, column.spans[useful])
    return part._replace(starts=np.flatnonzero(useful), lines=len(useful), bad=tuple(sorted(bad)))


def _lines_of(featuriser: Featuriser, shard: Shard, lines: bytes, reading: Reading) -> Part:
    if shard.source.form == "text":
        return featuriser.plain_lines(lines)
    if shard.source.form == "json":
        return featuriser.lines(lines, reading.field)
    decode = row_text(reading)
    if reading.features is None:  # of a document the scanner finds the text by itself
        return featuriser.lines(lines, "text", decode)
    return featuriser.plain_lines(lines, decode)


def _placed(part: Part, start: int) -> Part:
    bad = tuple(one._replace(start=one.start + start) for one in part.bad)
    return part._replace(starts=part.starts + start, bad=bad)


def row_text(reading: Reading) -> Decode:
    """Return what makes of a line with one of togi's rows the text that is looked at."""
    render = Renderer(reading.features, reading.step)

    def decode(line: bytes) -> str | Bad:
        try:
            return render(from_record(orjson.loads(line)))
        except orjson.JSONDecodeError as fault:
            return Bad(0, "not JSON", f"{fault} in {line[:60]!r}")
        except BadRow as fault:
            return Bad(0, fault.problem, fault.found)

    return decode


def line_number(shard: Shard, place: int) -> int:
    """Return the number, from 1, of the line that begins at this place of the shard's file."""
    number, seen = 1, 0
    with open_lines(shard.source.path) as file:
        while seen < place and (chunk := file.read(min(BLOCK_BYTES, place - seen))):
            number += chunk.count(b"\n")
            seen += len(chunk)
    return number


def refusal(shard: Shard, bad: Bad, reading: Reading) -> DataError:
    """Return the error to raise for a line or row that cannot be used."""
    source = shard.source
    if source.form == "parquet":
        where, expected = f"{source.path} row {bad.start + 1}", "text in every row"
    else:
        where = f"{source.path} line {line_number(shard, bad.start)}"
        expected = {
            "json": f'one JSON object a line with its text in "{reading.field}"',
            "rows": "togi's rows, one a line",
        }.get(source.form, "text in UTF-8")
    return DataError(
        bad.reason,
        where=where,
        found=bad.found,
        expected=expected,
        hint="name the field, or leave such lines out with on_bad: skip",
    )


def documents(
    shard: Shard, places: Sequence[int], sizes: Sequence[int]
) -> Iterator[tuple[int, bytes]]:
    """Yield (place, line) of documents of the shard, given in ascending order of their places.

    A line has its line feed (a last one gets it) and is as it stands in the file; a table's row
    is a line of JSON.
    """
    if not len(places):
        return
    if shard.source.form == "parquet":
        for number, row in rows(shard.source.path, shard.first, shard.last, places):
            yield number, json_line(row)
        return
    with open_lines(shard.source.path) as file:
        for place, size in zip(places, sizes, strict=True):
            file.seek(place)
            line = _exactly(file, size)
            yield place, line if line.endswith(b"\n") else line + b"\n"


def _exactly(file: BinaryIO, size: int) -> bytes:
    parts, left = [], size
    while left and (part := file.read(left)):
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def reader_of(shard: Shard, reading: Reading) -> Callable[[bytes], str]:
    """Return what makes of a line that `documents` yields its text, "" where it has none."""
    decoders: dict[str, Decode] = {
        "text": text_of,
        "json": partial(field_of, field=reading.field),
        "parquet": partial(field_of, field=reading.field),
        "rows": row_text(reading),
    }
    decode = decoders[shard.source.form]

    def text(line: bytes) -> str:
        found = decode(line)
        return "" if isinstance(found, Bad) else found

    return text


def row_id(line: bytes) -> str:
    """Return the id of one of togi's rows, given as its line."""
    with suppress(orjson.JSONDecodeError, TypeError, KeyError):
        record: Any = orjson.loads(line)
        return str(record["id"])
    return ""
