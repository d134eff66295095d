"""A model folder's tensors, one at a time, read from where they lie in its safetensors files.

The bytes are read, not mapped: pages of a mapped file count as the process's memory, and a model
that is to be small must not hold its files.   Source: the safetensors format's description.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import torch
from torch import Tensor

from togi.errors import DataError
from togi.lm.catalogue import weight_files

TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
PIECE = 1 << 24  # bytes read at a time where a tensor is converted on its way


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a tensor lies, and what it is."""

    file: Path
    start: int
    kind: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> torch.dtype | None:
        """Its type; None for one that is not known here."""
        return TYPES.get(self.kind)


class Shards(AbstractContextManager["Shards"]):
    """The tensors of all safetensors files of a folder, by name, in the order they lie in.

    Raises:
        UsageError: when a file is missing.
        DataError: when a file's header cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.entries: dict[str, Entry] = {}
        self._open: dict[Path, BinaryIO] = {}
        for file in weight_files(folder):
            self.entries |= dict(sorted(_entries(file), key=lambda found: found[1].start))

    def read(
        self, name: str, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Return a tensor, converted on its way if another type or device is asked for.

        Raises:
            DataError: for a type that is not known here, or a file that is cut short.
        """
        entry = self.entries[name]
        if entry.dtype is None:
            told = ", ".join(TYPES)
            raise DataError(
                "weights of this type cannot be read", where=f"{entry.file}: {name}",
                found=entry.kind, expected=f"one of {told}",
            )  # fmt: skip
        out = torch.empty(entry.shape, dtype=dtype or entry.dtype, device=device)
        flat = out.view(-1)
        if out.dtype == entry.dtype and out.device.type == "cpu":
            self._fill(entry, entry.start, flat)
            return out
        step = PIECE // entry.dtype.itemsize
        piece = torch.empty(min(step, len(flat)), dtype=entry.dtype)
        for begin in range(0, len(flat), step):
            part = piece[: len(flat) - begin]
            self._fill(entry, entry.start + begin * entry.dtype.itemsize, part)
            flat[begin : begin + len(part)] = part
        return out

    def _fill(self, entry: Entry, start: int, target: Tensor) -> None:
        if not target.numel():
            return
        if entry.file not in self._open:
            self._open[entry.file] = entry.file.open("rb", buffering=0)
        file = self._open[entry.file]
        file.seek(start)
        room = memoryview(target.view(torch.uint8).numpy())  # pyright: ignore
        while room:
            count = file.readinto(room)  # type: ignore[attr-defined]  # one call reads 2 GB at most
            if not count:
                raise DataError("the weight file is cut short", where=str(entry.file))
            room = room[count:]

    def close(self) -> None:
        """Close the files."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the files."""
        self.close()


def _entries(file: Path) -> Iterator[tuple[str, Entry]]:
    try:
        with file.open("rb") as source:
            length = int.from_bytes(source.read(8), "little")
            header: dict[str, Any] = json.loads(source.read(length))
        header.pop("__metadata__", None)
        for name, told in header.items():
            start = 8 + length + told["data_offsets"][0]
            yield name, Entry(file, start, told["dtype"], tuple(told["shape"]))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        problem = "the weight file's header is not safetensors"
        raise DataError(problem, where=str(file)) from error
