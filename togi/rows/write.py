"""Writing rows: jsonl that `read_rows` reads back as it was."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from togi.errors import DataError, SurroundingsError
from togi.rows.native import to_record
from togi.rows.types import Dropped, Row


def _plain(value: Any) -> Any:
    """Return what stands in the file for a metadata value that JSON does not know."""
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if hasattr(value, "items"):
        return dict(value.items())
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _line(row_id: str, record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record, default=_plain, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError as error:
        raise DataError(
            "the row cannot be written as JSON", where=row_id, found=str(error)
        ) from error


def line_of(row: Row) -> bytes:
    """Return a row as the line that `write_rows` writes.

    Raises:
        DataError: it holds what JSON cannot.
    """
    return _line(row.id, to_record(row))


def _lines(path: Path, records: Iterable[tuple[str, dict[str, Any]]]) -> int:
    """Write one record a line to a file that appears only when it is whole."""
    part = path.with_name(path.name + ".part")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            for row_id, record in records:
                file.write(_line(row_id, record))
                count += 1
        part.replace(path)
    except OSError as error:
        raise SurroundingsError(
            "the rows cannot be written", where=path.name, found=error.strerror or str(error)
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return count


def write_rows(path: Path | str, rows: Iterable[Row]) -> int:
    """Write rows as jsonl and return their number; the file appears only when it is whole.

    Keys are the row's fields; a conversation is a list of {role, content}. Metadata should hold
    JSON values: a tuple becomes a list, bytes only their length.

    Raises:
        DataError: a row holds what JSON cannot (a lone surrogate, an object).
        SurroundingsError: the disk is full or the folder cannot be written.
    """
    return _lines(Path(path), ((row.id, to_record(row)) for row in rows))


def write_dropped(path: Path | str, dropped: Iterable[Dropped]) -> int:
    """Write what was left out, `{"id", "reason"}` a line, and return the number."""
    return _lines(Path(path), ((d.id, {"id": d.id, "reason": d.reason}) for d in dropped))
