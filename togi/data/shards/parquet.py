"""Documents in a column of Parquet files: texts as bytes for the kernels, rows as lines of JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import orjson

from togi.data.blocks import Damaged
from togi.errors import DataError, nearest
from togi.rows.raw import short

BATCH = 1024  # rows that are held at once


class Column(NamedTuple):
    """Texts of consecutive rows: UTF-8, where each starts and ends, which are null, which broken.

    Broken ones are not UTF-8.
    """

    data: bytes
    spans: np.ndarray
    null: np.ndarray
    broken: np.ndarray


@contextmanager
def opened(path: str) -> Iterator[Any]:
    """Open a Parquet file.

    Raises:
        Damaged: it is none, or cannot be read to its end.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise Damaged(
            "the Parquet file cannot be read",
            where=path,
            found=short(first, 200),
            hint="fetch or write the file again",
        ) from error


def columns(path: str, field: str, first: int, last: int) -> Iterator[tuple[int, Column]]:
    """Yield (number of the first row, texts) of the row groups [first, last), batch by batch.

    Raises:
        DataError: there is no such column, it holds no text, or the file is damaged.
    """
    with opened(path) as file:
        groups = _groups(file, path, field, first, last)
        row = sum(file.metadata.row_group(g).num_rows for g in range(first))
        for batch in file.iter_batches(BATCH, row_groups=groups, columns=[field]):
            yield row, _column(batch.column(0), path, field)
            row += len(batch)


def _groups(file: Any, path: str, field: str, first: int, last: int) -> list[int]:
    names = file.schema_arrow.names
    if field not in names:
        raise DataError(
            f"no column {field!r}",
            where=path,
            found=", ".join(names),
            hint=f"{nearest(field, names)} Name the column that holds the text",
        )
    return list(range(first, min(last, file.metadata.num_row_groups)))


def _column(array: Any, path: str, field: str) -> Column:
    """Return a column's texts as they lie in Arrow's buffers."""
    import pyarrow

    if not _is_text(array.type):
        raise DataError(f"the column {field!r} holds no text", where=path, found=str(array.type))
    array = array.cast(pyarrow.large_string())
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    start, end = (int(ends[0]), int(ends[-1])) if len(ends) else (0, 0)
    text = b"" if data is None else data[start:end].to_pybytes()
    spans = np.zeros((len(array), 3), np.int64)
    spans[:, 0], spans[:, 1] = ends[:-1] - start, ends[1:] - start
    null = np.asarray(array.is_null().to_numpy(zero_copy_only=False), bool)
    return Column(text, spans, null, _broken(array, text, spans))


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return any(test(kind) for test in (types.is_string, types.is_large_string, types.is_null))


def _broken(array: Any, text: bytes, spans: np.ndarray) -> np.ndarray:
    """Mark texts that are not UTF-8: bool[rows]; all are looked at one by one only if one is."""
    import pyarrow

    broken = np.zeros(len(array), bool)
    try:
        array.validate(full=True)
    except pyarrow.ArrowInvalid:
        for row, (start, end, _) in enumerate(spans.tolist()):
            try:
                text[start:end].decode()
            except UnicodeDecodeError:
                broken[row] = True
    return broken


def rows(path: str, first: int, last: int, wanted: Sequence[int]) -> Iterator[tuple[int, dict]]:
    """Yield (number, row) of the wanted rows (ascending) of the row groups [first, last)."""
    with opened(path) as file:
        row = sum(file.metadata.row_group(g).num_rows for g in range(first))
        groups = range(first, min(last, file.metadata.num_row_groups))
        left = np.asarray(wanted, np.int64)
        for group in groups:
            size = file.metadata.row_group(group).num_rows
            inside = left[(left >= row) & (left < row + size)]
            if len(inside):
                yield from _picked(file, group, row, inside)
            row += size


def _picked(file: Any, group: int, row: int, wanted: np.ndarray) -> Iterator[tuple[int, dict]]:
    for batch in file.iter_batches(BATCH, row_groups=[group]):
        inside = wanted[(wanted >= row) & (wanted < row + len(batch))]
        if len(inside):
            taken = batch.take((inside - row).tolist())
            yield from zip(inside.tolist(), taken.to_pylist(), strict=True)
        row += len(batch)


def json_line(row: dict) -> bytes:
    r"""Return a row as a line of JSON.

    >>> json_line({"text": "a", "n": 1})
    b'{"text":"a","n":1}\n'
    """
    return orjson.dumps(row, default=_plain, option=orjson.OPT_APPEND_NEWLINE)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, Decimal) else repr(value)
