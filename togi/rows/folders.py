"""Local sources: a file by its name's ending, or a folder of files of one format or of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from togi.errors import DataError, SurroundingsError, nearest
from togi.rows.containers import READERS
from togi.rows.files import FORMATS, format_of
from togi.rows.raw import Opened, Records

PREFERRED = ("parquet", "jsonl", "csv", "json")  # where a folder holds several, as the hub's do


def _missing(path: Path, source: str) -> DataError:
    try:
        beside = [p.name for p in path.parent.iterdir() if not p.name.startswith(".")]
    except OSError:
        beside = []
    return DataError(
        "no such file or folder",
        where=source,
        hint=nearest(path.name, beside) if 0 < len(beside) < 20 else "check the path",
    )


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder in a fixed order, hidden ones left out."""
    for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).parts):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if not hidden and path.is_file():
            yield path


def _chain(paths: list[Path], folder: Path, how: str) -> Records:
    for path in paths:
        yield from READERS[how](path, path.relative_to(folder).as_posix())


def _open_folder(folder: Path, source: str, lines: bool) -> Opened:
    by_format: dict[str, list[Path]] = {}
    for path in _files(folder):
        by_format.setdefault(format_of(path), []).append(path)
    others = Counter({name or "unknown": len(paths) for name, paths in by_format.items()})
    chosen = next((name for name in (*PREFERRED, "text") if name in by_format), None)
    if chosen is None:
        raise DataError(
            "the folder holds no file that can be read",
            where=source,
            found=f"{others['unknown']} files" if others["unknown"] else "no files",
            expected=", ".join([*FORMATS, ".txt, .md, .py, ..."]),
        )
    paths = by_format[chosen]
    del others[chosen]
    notes = tuple(f"{count} {name} files are left out" for name, count in sorted(others.items()))
    how = "lines" if lines and chosen == "text" else chosen
    what = f"{len(paths)} {chosen} file{'s' if len(paths) > 1 else ''}"
    return Opened(source, what, partial(_chain, paths, folder, how), notes)


def open_local(source: str, *, lines: bool = False) -> Opened:
    """Open a file or a folder.

    Args:
        source: a path as the user wrote it; `~` is his home.
        lines: read each line of a text file as a row of its own.

    Raises:
        DataError: it is not there, or of no format that we read.
        SurroundingsError: the system does not let us look.
    """
    try:
        path = Path(source).expanduser()
        if path.is_dir():
            return _open_folder(path, source, lines)
        if not path.is_file():
            raise _missing(path, source)
    except (OSError, RuntimeError, ValueError) as error:
        raise SurroundingsError(
            "the source cannot be opened", where=source, found=str(error)
        ) from (error)
    kind = "lines" if lines and format_of(path) == "text" else format_of(path)
    if not kind:
        raise DataError(
            "the file's format is not known",
            where=source,
            found=path.suffix or "no suffix",
            expected=", ".join([*FORMATS, ".txt"]) + "; each may end in .gz or .zst",
        )
    return Opened(path.name, kind, partial(READERS[kind], path, path.name))
