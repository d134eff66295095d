"""Writing rows: jsonl that `read_rows` reads back as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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


@contextmanager
def _writing(path: Path) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Yield a function that writes one record a line; the file appears only when it is whole."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:

            def write(row_id: str, record: dict[str, Any]) -> None:
                file.write(_line(row_id, record))

            yield write
        part.replace(path)
    except OSError as error:
        raise SurroundingsError(
            "the rows cannot be written", where=path.name, found=error.strerror or str(error)
        ) from error
    finally:
        part.unlink(missing_ok=True)


def write_rows(path: Path | str, rows: Iterable[Row]) -> int:
    """Write rows as jsonl and return their number; the file appears only when it is whole.

    Keys are the row's fields; a conversation is a list of {role, content}. Metadata should hold
    JSON values: a tuple becomes a list, bytes only their length.

    Raises:
        DataError: a row holds what JSON cannot (a lone surrogate, an object).
        SurroundingsError: the disk is full or the folder cannot be written.
    """
    count = 0
    with _writing(Path(path)) as write:
        for row in rows:
            write(row.id, to_record(row))
            count += 1
    return count


def _dropped(one: Dropped) -> dict[str, Any]:
    record: dict[str, Any] = {"id": one.id, "reason": one.reason}
    return record if one.row is None else {**record, "row": to_record(one.row)}


def write_dropped(path: Path | str, dropped: Iterable[Dropped]) -> int:
    """Write what was left out and return the number.

    A line holds `id`, `reason`, and the whole `row` where it is known.
    """
    count = 0
    with _writing(Path(path)) as write:
        for one in dropped:
            write(one.id, _dropped(one))
            count += 1
    return count


def write_kept(
    path: Path | str, dropped: Path | str, events: Iterable[Row | Dropped]
) -> tuple[int, Counter[str]]:
    """Write, in one pass, the rows that stay to one file and those left out to another.

    Returns:
        The number of rows that stay, and how many were left out for each reason.

    Raises:
        DataError, SurroundingsError: as `write_rows`; neither file appears then.
    """
    count, reasons = 0, Counter[str]()
    with _writing(Path(dropped)) as write_out, _writing(Path(path)) as write:
        for event in events:
            if isinstance(event, Dropped):
                write_out(event.id, _dropped(event))
                reasons[event.reason] += 1
            else:
                write(event.id, to_record(event))
                count += 1
    return count, reasons
