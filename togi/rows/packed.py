"""Packed files as bytes: gzip and Zstandard, known by their first bytes, whatever their name."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
SUFFIXES = (".gz", ".zst", ".zstd")
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
"What reading a damaged or cut packed file raises."
SKIPPED = 1 << 20  # bytes read at once on the way to a place further on


def packing_of(path: Path) -> str:
    """Return "gzip", "zstd", or "" for a plain file.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        first = file.read(4)
    if first.startswith(GZIP):
        return "gzip"
    return "zstd" if first == ZSTD else ""


def without_suffix(name: str) -> str:
    """Return a file's name without the ending of its packing.

    >>> without_suffix("pile.jsonl.zst"), without_suffix("notes.txt")
    ('pile.jsonl', 'notes.txt')
    """
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def open_packed(path: Path) -> BinaryIO:
    """Open a file for reading the bytes in it, unpacked; seeking forward reads what lies between.

    Raises:
        OSError: the file cannot be read; reading may raise one of `DAMAGE`.
    """
    packing = packing_of(path)
    if packing == "gzip":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if packing == "zstd":
        return io.BufferedReader(_Zstd(path), SKIPPED)
    return path.open("rb", buffering=0)


def mended(path: Path, damage: BaseException) -> str:
    """Say what to do about a file whose reading raised one of `DAMAGE`."""
    if "memory" in str(damage):  # a window beyond 128 MiB, as `zstd --long=31` makes
        return f"unpack it first: zstd -d --long=31 {path.name}"
    return "fetch or write the file again"


class _Zstd(io.RawIOBase):
    """The bytes in a Zstandard file of one frame or several, unpacked by Arrow."""

    def __init__(self, path: Path) -> None:
        self.path, self.place = path, 0
        self._stream: Any = self._opened()

    def _opened(self) -> Any:
        import pyarrow

        return pyarrow.CompressedInputStream(pyarrow.OSFile(str(self.path)), "zstd")

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that places can be given."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer.

        Raises:
            EOFError: the file is damaged or cut off.
        """
        try:
            data = self._stream.read(len(buffer))
        except OSError as error:
            if error.errno is not None:
                raise
            raise EOFError(str(error)) from error
        buffer[: len(data)] = data
        self.place += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place counted from the start; going back unpacks from the start again."""
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("places are counted from the start")
        if offset < self.place:
            self._stream.close()
            self._stream, self.place = self._opened(), 0
        while self.place < offset:
            scratch = bytearray(min(SKIPPED, offset - self.place))
            if not self.readinto(scratch):
                break
        return self.place

    def tell(self) -> int:
        """Return the place counted from the start."""
        return self.place

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._stream.close()
        super().close()
