"""Writing so that a kill at any moment leaves the old file or the new one, never half of one."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from togi.errors import SurroundingsError

_SAID = {
    errno.ENOSPC: ("the disk is full", "free some space and run the same command again"),
    errno.EDQUOT: ("the disk quota is used up", "free some space and run the same command again"),
    errno.EROFS: ("the folder cannot be written", "choose another folder"),
    errno.EACCES: ("the folder may not be written", "choose another folder or change its rights"),
}


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn a full disk or missing rights into a `SurroundingsError` that names the path."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = error.errno if isinstance(error, OSError) else _errno(error)
        if number not in _SAID:
            raise
        problem, hint = _SAID[number]
        raise SurroundingsError(problem, where=str(path), hint=hint) from error


def _errno(error: SafetensorError) -> int | None:
    """Find the system's error number in the words that safetensors wraps it in."""
    match = re.search(r"os error (\d+)", str(error))
    return int(match[1]) if match else None


def sync(path: Path) -> None:
    """Have the system write a file or a folder's list of names to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one move: the old content stays until the new one is on the disk."""
    whole = path.with_name(f".{path.name}.{os.getpid()}")
    with told(path):
        try:
            whole.write_text(text, encoding="utf-8")
            sync(whole)
            os.replace(whole, path)
        finally:
            whole.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `path` in one move when the block ends well.

    When the block raises, nothing is left behind. An older folder of that name is replaced; it
    is moved aside first, so there is a moment without either, but never with half of one.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    aside = path.with_name(f".{path.name}.{os.getpid()}.old")
    shutil.rmtree(fresh, ignore_errors=True)
    with told(path):
        try:
            fresh.mkdir(parents=True)
            yield fresh
            for file in fresh.iterdir():
                file.chmod(fresh.stat().st_mode & 0o666)  # safetensors' own files are private
                sync(file)
            sync(fresh)
            _swap(fresh, path, aside)
            sync(path.parent)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.rmtree(aside, ignore_errors=True)


def _swap(fresh: Path, path: Path, aside: Path) -> None:
    if path.exists():
        os.replace(path, aside)
    try:
        os.replace(fresh, path)
    except OSError:
        if aside.exists():
            os.replace(aside, path)
        raise
