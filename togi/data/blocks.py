"""Files as blocks of whole lines, files that appear at once or not at all, and threads in order."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from togi.errors import DataError, SurroundingsError
from togi.rows.packed import DAMAGE, open_packed

BLOCK_BYTES = 1 << 19
T = TypeVar("T")
R = TypeVar("R")


def open_lines(path: Path) -> BinaryIO:
    """Open a file for reading bytes; gzip and zstd are unpacked.

    Raises:
        DataError: the file is absent, is a folder or cannot be read.
    """
    try:
        return open_packed(path)
    except OSError as fault:
        raise DataError(
            "this file cannot be read",
            where=str(path),
            found=(fault.strerror or str(fault)).lower(),
            expected="a readable file with one document a line (.jsonl or .txt, also .gz, .zst)",
        ) from fault


def read_blocks(path: Path, size: int = BLOCK_BYTES) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, block) of whole lines, about `size` bytes each; a long line makes one longer.

    Raises:
        DataError: the file cannot be read, or its compression is damaged.
    """
    offset, carry = 0, b""
    with open_lines(path) as file:
        while chunk := _read(file, path, size):
            if b"\n" not in chunk:
                chunk = _rest_of_line(file, path, chunk, size)
            cut = chunk.rfind(b"\n") + 1
            if cut:
                block, carry = carry + chunk[:cut], chunk[cut:]
                yield offset, block
                offset += len(block)
            else:  # the last line lacks its newline
                carry += chunk
    if carry:
        yield offset, carry


def _rest_of_line(file: BinaryIO, path: Path, start: bytes, size: int) -> bytes:
    parts = [start]
    while chunk := _read(file, path, size):
        parts.append(chunk)
        if b"\n" in chunk:
            break
    return b"".join(parts)


def _read(file: BinaryIO, path: Path, size: int) -> bytes:
    try:
        return file.read(size)
    except (OSError, *DAMAGE) as fault:
        raise DataError(
            "reading stopped in the middle of this file",
            where=str(path),
            found=str(fault),
            hint="fetch or unpack it again",
        ) from fault


def in_order(
    function: Callable[[T], R], items: Iterable[T], workers: int, ahead: int = 2
) -> Iterator[R]:
    """Yield function(item) in the items' order, computed by threads, few items ahead."""
    if workers == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="togi-data") as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= workers + ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def disk_fault(fault: OSError, where: Path) -> SurroundingsError:
    """Return the error to raise for a failed write."""
    full = fault.errno in (errno.ENOSPC, errno.EDQUOT)
    return SurroundingsError(
        "the disk is full" if full else "this place cannot be written",
        where=str(where),
        found=fault.strerror or str(fault),
        hint="free some space or choose another place; nothing was left half-written",
    )


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when all of it was written.

    Raises:
        SurroundingsError: the disk is full or the place cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            yield file
        os.replace(partial, path)
    except OSError as fault:
        raise disk_fault(fault, path) from fault
    finally:
        partial.unlink(missing_ok=True)


def cores() -> int:
    """Processor cores that this process may use."""
    affinity: Any = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1
