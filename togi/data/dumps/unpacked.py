"""A dump's file as bytes that can be read twice and from any place, whatever it is packed with."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from togi.data.blocks import disk_fault
from togi.errors import DataError
from togi.rows.files import BOM, opened

ZSTD = b"\x28\xb5\x2f\xfd"
PACKED = {b"7z\xbc\xaf\x27\x1c": "7z x", b"PK\x03\x04": "unzip", b"BZh": "bunzip2"}
"""What other packed files begin with, and what unpacks them."""


@contextmanager
def unpacked(path: Path, name: str, spill: Path) -> Iterator[BinaryIO]:
    """Open a file for reading from any place; what is packed goes to an unnamed file first.

    Args:
        path: the file, plain or `.gz` or `.zst`.
        name: what errors call it.
        spill: a folder for the unpacked copy, which the system frees however the process ends.

    Raises:
        DataError: it is packed otherwise, damaged, or UTF-16.
        SurroundingsError: it cannot be read, or the disk is full.
    """
    with opened(path, name) as file:
        start = file.tell()
        magic = file.read(6)
        file.seek(start)
        for mark, tool in PACKED.items():
            if magic.startswith(mark):
                hint = f"unpack it first: {tool} {path.name}"
                raise DataError(
                    "this file is packed in a way that is not read", where=name, hint=hint
                )
        if magic.startswith(ZSTD):
            with _zstd(path, name, spill) as copy:
                yield copy
        elif isinstance(file, gzip.GzipFile):
            with tempfile.TemporaryFile(dir=spill) as copy:
                _copy(cast(BinaryIO, file), copy, spill)
                yield cast(BinaryIO, copy)
        else:
            yield file


def _copy(file: BinaryIO, copy: BinaryIO, spill: Path) -> None:
    while chunk := file.read(1 << 20):
        try:
            copy.write(chunk)
        except OSError as fault:
            raise disk_fault(fault, spill) from fault
    copy.seek(0)


@contextmanager
def _zstd(path: Path, name: str, spill: Path) -> Iterator[BinaryIO]:
    import pyarrow

    with tempfile.TemporaryFile(dir=spill) as copy:
        try:
            packed = pyarrow.input_stream(str(path), compression="zstd")
            shutil.copyfileobj(cast(BinaryIO, packed), copy, 1 << 20)
        except OSError as fault:
            if fault.errno is not None:
                raise disk_fault(fault, spill) from fault
            raise DataError(
                "the zstd file is damaged, or packed with a window that is not read",
                where=name,
                found=str(fault),
                hint=f"unpack it first: zstd -d --long=31 {path.name}",
            ) from fault
        copy.seek(0)
        if copy.read(len(BOM)) != BOM:
            copy.seek(0)
        yield cast(BinaryIO, copy)
