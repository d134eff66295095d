"""The hashed n-grams of texts in memory or from an iterator, gathered for any target.

The index holds one integer for each n-gram (two bytes for up to 65,536 buckets) in an unnamed
temporary file and 8 bytes for each document in memory. Everything is in input order and the same
for any number of threads. For files of any size there is `togi.data.shards`.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from togi.data.blocks import disk_fault, in_order
from togi.data.features import Features, Part
from togi.data.featuriser import Featuriser
from togi.data.letters import letters
from togi.data.native import kernels
from togi.data.shards.kept import NGRAMS_AT_A_TIME, pieces
from togi.data.shards.weighing import gathered

TEXTS_AT_A_TIME = 1000


@dataclass(slots=True)
class NgramIndex:
    """The n-grams of all documents, in input order; close it (`with`) to free the disk.

    Attributes:
        features: what was counted.
        counts: int64[m], n-grams in each bucket over all documents.
        words: int32[N], words of each document.
        ngrams: int64[N], n-grams of each.
        workers: threads.
    """

    features: Features
    counts: np.ndarray
    words: np.ndarray
    ngrams: np.ndarray
    workers: int
    _spill: BinaryIO | None = None

    def __len__(self) -> int:
        return len(self.words)

    def __enter__(self) -> NgramIndex:
        return self

    def __exit__(self, *_: object) -> None:
        if self._spill is not None:
            self._spill.close()

    def log_weights(self, log_ratio: np.ndarray) -> np.ndarray:
        """Sum of log_ratio[b] over each document's buckets b: float64[N]."""
        sums = np.empty(len(self))
        ratio = np.ascontiguousarray(log_ratio, dtype=np.float64)

        def gather(chunk: tuple[slice, np.ndarray, np.ndarray]) -> None:
            documents, indices, ngrams = chunk
            sums[documents] = gathered(self.features, ngrams, indices, ratio)

        for _ in in_order(gather, self._chunks(), self.workers):
            pass
        return sums

    def counts_of(self, picked: np.ndarray) -> np.ndarray:
        """n-grams in each bucket over the documents with picked[d]: int64[m]."""
        name = "count_picked16" if self.features.index_type is np.uint16 else "count_picked32"
        counts, mask = np.zeros_like(self.counts), picked.astype(np.uint8)
        for documents, indices, ngrams in self._chunks():
            if mask[documents].any():
                kernels()(name, indices, ngrams, len(ngrams), mask[documents], counts)
        return counts

    def _chunks(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """(documents, their buckets, n-grams of each), about a million n-grams at a time."""
        if self._spill is None:
            raise RuntimeError("this index keeps only counts: give index_texts a spill folder")
        width = np.dtype(self.features.index_type).itemsize
        self._spill.seek(0)
        for start, end in pieces(self.ngrams, NGRAMS_AT_A_TIME):
            ngrams = self.ngrams[start:end]
            data = self._spill.read(int(ngrams.sum()) * width)
            yield slice(start, end), np.frombuffer(data, self.features.index_type), ngrams


def merged(targets: Sequence[NgramIndex]) -> NgramIndex:
    """Several indexes as one without its n-grams: counts and sizes of the documents."""
    first = targets[0]
    return NgramIndex(
        first.features,
        sum((target.counts for target in targets), np.zeros_like(first.counts)),
        np.concatenate([target.words for target in targets]),
        np.concatenate([target.ngrams for target in targets]),
        first.workers,
    )


def index_texts(
    texts: Iterable[str], features: Features, *, workers: int = 1, spill: Path | None = None
) -> NgramIndex:
    """Index texts, each a document.

    Args:
        texts: in any number.
        features: what to count.
        workers: threads.
        spill: folder for the temporary file; without one only the counts are kept.

    Raises:
        SurroundingsError: the disk is full.
    """
    kernels()  # both are made once, before threads ask for them
    letters(features.words)
    local, featurisers = threading.local(), list[Featuriser]()

    def featurise(batch: list[str]) -> Part:
        mine = getattr(local, "featuriser", None)
        if mine is None:
            mine = local.featuriser = Featuriser(features)
            featurisers.append(mine)
        return mine.texts(batch)

    words, ngrams = [np.empty(0, np.int32)], [np.empty(0, np.int64)]
    file = None if spill is None else _temporary(spill)
    try:
        for part in in_order(featurise, _batches(texts), workers):
            words.append(part.words)
            ngrams.append(part.ngrams)
            if file is not None:
                file.write(part.indices.data)
        if file is not None:
            file.flush()
    except BaseException as fault:
        if file is not None:
            file.close()
        if isinstance(fault, OSError) and spill is not None:
            raise disk_fault(fault, spill) from fault
        raise
    counts = sum((f.counts for f in featurisers), np.zeros(features.buckets, np.int64))
    return NgramIndex(
        features, counts, np.concatenate(words), np.concatenate(ngrams), workers, file
    )


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == TEXTS_AT_A_TIME:
            yield batch
            batch = []
    if batch:
        yield batch


def _temporary(folder: Path) -> BinaryIO:
    """Open an unnamed file in the folder: the system frees it however the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder)  # type: ignore[return-value]
    except OSError as fault:
        raise disk_fault(fault, folder) from fault
