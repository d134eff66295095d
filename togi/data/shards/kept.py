"""What is kept on disk of a shard: one record a document, its n-grams, its keys, and done marks.

A file takes its name only when it is whole, and a mark is written last, under the key of
everything that it depends on: so a killed worker's shard is done again, a finished one never, and
what other settings left is not taken for this run's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from togi.data.blocks import whole_file

DOCUMENT = np.dtype(
    [("start", "<i8"), ("print", "<u8"), ("size", "<i4"), ("words", "<i4"), ("ngrams", "<i4")]
)
"""Of a document: place in its file, hash of its features, bytes of its line, words, features."""
DOCUMENTS_AT_A_TIME = 1 << 16
NGRAMS_AT_A_TIME = 1 << 20


def key_of(*parts: object) -> str:
    """Return a digest of what something depends on.

    >>> key_of("a", 1) == key_of("a", 1), key_of("a", 1) == key_of("a", 2)
    (True, False)
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode()
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()


class Kept:
    """The files of one shard in a folder.

    Args:
        folder: of all shards.
        number: of the shard.
    """

    def __init__(self, folder: Path | str, number: int) -> None:
        self.folder, self.number = Path(folder), number

    def path(self, kind: str) -> Path:
        """Return the place of a file; a thousand shards share a folder."""
        return self.folder / f"{self.number // 1000:04d}" / f"{self.number % 1000:03d}.{kind}"

    def mark(self, stage: str, key: str, told: dict[str, Any], **arrays: np.ndarray) -> None:
        """Say that a stage is done, and what it found."""
        text = np.frombuffer(json.dumps({"key": key, **told}).encode(), np.uint8)
        every: dict[str, Any] = {"told": text, **arrays}
        with whole_file(self.path(f"{stage}.npz")) as file:
            np.savez(file, **every)

    def marked(self, stage: str, key: str) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """Return what a stage found; None where it is not done, or was done with another key."""
        try:
            with np.load(self.path(f"{stage}.npz"), allow_pickle=False) as file:
                told = json.loads(file["told"].tobytes())
                if told.pop("key") != key:
                    return None
                return told, {name: file[name] for name in file.files if name != "told"}
        except (OSError, ValueError, KeyError, EOFError):
            return None

    @contextmanager
    def writing(self, *kinds: str) -> Iterator[list[BinaryIO]]:
        """Open files that appear together, when all is written.

        Raises:
            SurroundingsError: the disk is full or the folder cannot be written.
        """
        with _all(*(whole_file(self.path(kind)) for kind in kinds)) as files:
            yield files

    def documents(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (number within the shard, records), some thousand at a time."""
        first = 0
        with self.path("documents").open("rb") as file:
            while len(some := _read(file, DOCUMENT, DOCUMENTS_AT_A_TIME)):
                yield first, some
                first += len(some)

    def numbers(self, kind: str, type_: Any = np.float64) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (number of the first document, a number for each), some thousand at a time."""
        first = 0
        with self.path(kind).open("rb") as file:
            while len(some := _read(file, np.dtype(type_), DOCUMENTS_AT_A_TIME)):
                yield first, some
                first += len(some)

    def ngrams(self, type_: Any) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield (number of the first document, features of each, all their buckets)."""
        with self.path("ngrams").open("rb") as file:
            for first, records in self.documents():
                sizes = records["ngrams"].astype(np.int64)
                for start, end in pieces(sizes, NGRAMS_AT_A_TIME):
                    part = sizes[start:end]
                    yield first + start, part, _read(file, np.dtype(type_), int(part.sum()))

    def remove(self, *kinds: str) -> None:
        """Remove files that are no longer needed."""
        for kind in kinds:
            self.path(kind).unlink(missing_ok=True)


def pieces(sizes: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of consecutive pieces of at most `most` together; a larger one is alone.

    >>> list(pieces(np.array([2, 2, 9, 1]), 4))
    [(0, 2), (2, 3), (3, 4)]
    """
    ends, start = np.cumsum(sizes), 0
    while start < len(sizes):
        before = int(ends[start] - sizes[start])
        end = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield start, end
        start = end


def _read(file: BinaryIO, type_: np.dtype, count: int) -> np.ndarray:
    data = file.read(count * type_.itemsize)
    return np.frombuffer(data, dtype=type_)


@contextmanager
def _all(*managers: Any) -> Iterator[list[Any]]:
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield [stack.enter_context(one) for one in managers]
