"""A dump's file as bytes that can be read twice and from any place, whatever it is packed with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from togi.data.blocks import disk_fault
from togi.errors import DataError
from togi.rows.files import opened
from togi.rows.packed import packing_of

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
        if not packing_of(path):
            yield file
            return
        with tempfile.TemporaryFile(dir=spill) as copy:
            _copy(file, copy, spill)
            yield cast(BinaryIO, copy)


def _copy(file: BinaryIO, copy: BinaryIO, spill: Path) -> None:
    while chunk := file.read(1 << 20):
        try:
            copy.write(chunk)
        except OSError as fault:
            raise disk_fault(fault, spill) from fault
    copy.seek(0)
