"""From sources to shards: files cut into byte ranges or row groups, in one fixed order."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from togi.data.blocks import Damaged, open_lines
from togi.errors import DataError, UsageError, nearest
from togi.rows.packed import packing_of, without_suffix

Form: TypeAlias = Literal["json", "text", "parquet", "rows"]
FORMS: dict[str, Form] = {
    ".jsonl": "json",
    ".ndjson": "json",
    ".txt": "text",
    ".text": "text",
    ".parquet": "parquet",
}
OTHERS = (".json", ".csv", ".tsv")
"Files whose rows are no lines; they are turned into lines first, as hub data sets are."
LEAST, MOST, PIECES = 32 << 20, 256 << 20, 64
"Bytes of a shard at least and at most, and how many there are of a pool in between."
END = 1 << 62


@dataclass(frozen=True, slots=True)
class Source:
    """A file of documents.

    Attributes:
        path: the file.
        form: "json" (a document a line, its text in a field), "text" (a line is a document),
            "parquet" (its text in a column), or "rows" (togi's own rows, a line each).
        packed: whether its bytes are packed, so that it can only be read from its start.
        size: bytes on disk.
        stamp: changes when the file does.
    """

    path: str
    form: Form
    packed: bool
    size: int
    stamp: str


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a source: lines that begin at bytes [first, last), or row groups [first, last)."""

    number: int
    source: Source
    first: int = 0
    last: int = END


Spool: TypeAlias = Callable[[str], Sequence[Path]]
"""Turns a source that is no file of lines into files of togi's rows."""


def source_of(path: Path, form: Form | None = None) -> Source:
    """Look at a file.

    Raises:
        DataError: it cannot be read, or its ending names no format.
    """
    with open_lines(path):  # says kindly what is wrong with a file that cannot be read
        status = path.stat()
    known = form or form_of(path)
    if known is None:
        raise DataError(
            "this format has no documents to pick",
            where=str(path),
            found=path.suffix or "no suffix",
            expected=", ".join([*FORMS, *OTHERS]) + "; lines also .gz or .zst",
        )
    if known == "parquet":
        from togi.data.shards.parquet import opened

        with opened(str(path)):
            pass
    packed = known != "parquet" and bool(packing_of(path))
    stamp = f"{status.st_size}-{status.st_mtime_ns}"
    return Source(str(path), known, packed, status.st_size, stamp)


def form_of(path: Path) -> Form | None:
    """Return what a file's name says it holds, None where it holds no documents line by line.

    >>> form_of(Path("a/00.jsonl.zst")), form_of(Path("a.parquet")), form_of(Path("a.csv"))
    ('json', 'parquet', None)
    """
    return FORMS.get(Path(without_suffix(path.name)).suffix.lower())


def sources_of(
    names: Sequence[str | Path], spool: Spool, lost: list[tuple[str, str]] | None = None
) -> list[Source]:
    """Find the files that sources name, in the order given and by name within one.

    Args:
        names: files, folders, patterns such as `pile/*.jsonl.zst`, or what `spool` takes:
            `hub:owner/name`, `python:stdlib`, and tables (.csv, .json).
        spool: makes lines of what has none.
        lost: takes (file, why) of those that cannot be read; without it they are an error.

    Raises:
        DataError: a source is missing, holds nothing, or is of no known format.
    """
    found: list[Source] = []
    for name in map(str, names):
        if name.startswith(("hub:", "python:")):
            found += [source_of(path, "rows") for path in spool(name)]
            continue
        for path in _paths(name):
            try:
                if Path(without_suffix(path.name)).suffix.lower() in OTHERS:
                    found += [source_of(part, "rows") for part in spool(str(path))]
                else:
                    found.append(source_of(path))
            except Damaged as fault:
                if lost is None:
                    raise
                lost.append((str(path), fault.found))
    twice = {one.path for one in found if sum(one.path == other.path for other in found) > 1}
    if twice:
        raise UsageError("a file is named twice", found=min(twice), hint="name each shard once")
    return found


def _paths(name: str) -> list[Path]:
    path = Path(name).expanduser()
    if path.is_dir():
        inside = sorted(p for p in path.rglob("*") if p.is_file() and not _hidden(p, path))
        files = [p for p in inside if form_of(p)]
        if not files:
            raise DataError(
                "the folder holds no file of documents",
                where=name,
                found=f"{len(inside)} files",
                expected=", ".join(FORMS) + "; also .gz or .zst",
            )
        return files
    if not path.exists() and glob.has_magic(name):
        matched = sorted(Path(one) for one in glob.glob(str(path), recursive=True))
        if not matched:
            raise DataError("no file matches this pattern", where=name, hint="check the path")
        return matched
    if not path.exists() and path.parent.is_dir():
        beside = [p.name for p in path.parent.iterdir()][:200]
        raise DataError(
            "no such file or folder", where=name, hint=nearest(path.name, beside) if beside else ""
        )
    return [path]


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def shard_bytes(sources: Sequence[Source], asked: int = 0) -> int:
    """Return how many bytes a shard has: the asked ones, or a 64th of all within bounds.

    >>> files = [Source("a", "json", False, 84_000_000, "")]
    >>> shard_bytes(files) == LEAST, shard_bytes(files * 20), shard_bytes(files, 7)
    (True, 33554432, 7)
    """
    total = sum(source.size for source in sources)
    return asked or min(max(total // PIECES, LEAST), MOST)


def cut(sources: Sequence[Source], size: int) -> list[Shard]:
    """Cut files into shards of about `size` bytes; packed ones stay whole.

    The cuts depend on the files and on `size` only, not on who works on them.
    """
    pieces = [(source, *bounds) for source in sources for bounds in _pieces(source, size)]
    return [Shard(number, *piece) for number, piece in enumerate(pieces)]


def _pieces(source: Source, size: int) -> Iterator[tuple[int, int]]:
    if source.form == "parquet":
        yield from _row_groups(source, size)
    elif source.packed or source.size <= size:
        yield 0, END
    else:
        for first in range(0, source.size, size):
            yield first, first + size


def _row_groups(source: Source, size: int) -> Iterator[tuple[int, int]]:
    """Yield row groups [first, last) of about `size` packed bytes together."""
    from togi.data.shards.parquet import opened

    with opened(source.path) as file:
        first, bytes_ = 0, 0
        for group in range(file.metadata.num_row_groups):
            bytes_ += file.metadata.row_group(group).total_byte_size
            if bytes_ >= size:
                yield first, group + 1
                first, bytes_ = group + 1, 0
        if bytes_:
            yield first, file.metadata.num_row_groups
