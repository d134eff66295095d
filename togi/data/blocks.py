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


class Damaged(DataError):
    """A file that cannot be read, or not to its end."""


def open_lines(path: Path | str) -> BinaryIO:
    """Open a file for reading bytes; gzip and zstd are unpacked.

    Raises:
        Damaged: the file is absent, is a folder or cannot be read.
    """
    try:
        return open_packed(Path(path))
    except OSError as fault:
        raise Damaged(
            "this file cannot be read",
            where=str(path),
            found=(fault.strerror or str(fault)).lower(),
            expected="a readable file with one document a line (.jsonl or .txt, also .gz, .zst)",
        ) from fault


def read_some(file: BinaryIO, path: Path | str, size: int) -> bytes:
    """Read at most `size` bytes, none at the end.

    Raises:
        Damaged: the file is damaged or became unreadable.
    """
    try:
        return file.read(size)
    except (OSError, *DAMAGE) as fault:
        raise Damaged(
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
