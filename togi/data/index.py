"""The hashed n-grams of a corpus: read once, kept on disk, gathered for any target.

The index holds one integer for each n-gram (two bytes for up to 65,536 buckets) in an unnamed
temporary file and 20 bytes for each document in memory, so neither the corpus nor its counts have
to fit. Everything is in input order and the same for any number of threads and any block size.
"""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from togi.data.blocks import disk_fault, in_order, read_blocks
from togi.data.features import Features, Part
from togi.data.featuriser import Featuriser
from togi.data.lines import Bad
from togi.data.letters import letters
from togi.data.native import kernels
from togi.errors import DataError

NGRAMS_AT_A_TIME = 1 << 20  # read back from disk by one thread
TEXTS_AT_A_TIME = 1000
PLAIN_TEXT = (".txt", ".text")


class _Block(NamedTuple):
    """Lines of a file, or texts in memory, that one thread turns into a `Part`."""

    origin: int
    offset: int
    content: Any


@dataclass(slots=True)
class NgramIndex:
    """The n-grams of all documents, in input order; close it (`with`) to free the disk.

    Attributes:
        features: what was counted.
        counts: int64[m], n-grams in each bucket over all documents.
        words: int32[N], words of each document.
        starts: int64[N], where its line starts in its file, in bytes.
        sizes: int64[N], bytes of its line.
        origins: N's split over the files: documents of each.
        dropped: lines that are no document, by reason.
        workers: threads.
    """

    features: Features
    counts: np.ndarray
    words: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    origins: list[int]
    dropped: Counter[str]
    workers: int
    _spill: BinaryIO | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

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
        name = "gather16" if self.features.index_type is np.uint16 else "gather32"
        ratio = np.ascontiguousarray(log_ratio, dtype=np.float64)

        def gather(chunk: tuple[slice, np.ndarray, np.ndarray]) -> None:
            documents, indices, ngrams = chunk
            kernels()(name, indices, ngrams, len(ngrams), ratio, sums[documents])

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
            raise RuntimeError("this index keeps only counts: give index_files a spill folder")
        ngrams = self.features.ngrams(self.words)
        ends = np.cumsum(ngrams)
        width, first = np.dtype(self.features.index_type).itemsize, 0
        while first < len(self):
            begin = int(ends[first] - ngrams[first])
            last = int(np.searchsorted(ends, begin + NGRAMS_AT_A_TIME, side="right"))
            last = max(last, first + 1)
            total = int(ends[last - 1]) - begin
            self._spill.seek(begin * width)
            data = self._spill.read(total * width)
            indices = np.frombuffer(data, dtype=self.features.index_type)
            yield slice(first, last), indices, ngrams[first:last]
            first = last


def merged(targets: Sequence[NgramIndex]) -> NgramIndex:
    """Several indexes as one without its n-grams: counts, words and what was dropped."""
    first = targets[0]
    return NgramIndex(
        first.features,
        sum((target.counts for target in targets), np.zeros_like(first.counts)),
        np.concatenate([target.words for target in targets]),
        np.concatenate([target.starts for target in targets]),
        np.concatenate([target.sizes for target in targets]),
        [n for target in targets for n in target.origins],
        sum((target.dropped for target in targets), Counter[str]()),
        first.workers,
    )


def index_files(
    paths: Sequence[Path],
    features: Features,
    *,
    field: str,
    on_bad: str = "error",
    workers: int = 1,
    spill: Path | None = None,
) -> NgramIndex:
    """Index lines of JSON (or of plain text: `.txt`), each a document.

    Args:
        paths: the files, in order; `.gz` is decompressed.
        features: what to count.
        field: the name of the text's field.
        on_bad: "error" stops at the first line that cannot be used, "skip" counts them.
        workers: threads.
        spill: folder for the temporary file; without one only the counts are kept.

    Raises:
        DataError: a file or, with on_bad="error", a line cannot be read.
        SurroundingsError: the disk is full.
    """

    def blocks() -> Iterator[_Block]:
        for origin, path in enumerate(paths):
            for offset, block in read_blocks(path):
                yield _Block(origin, offset, block)

    def featurise(featuriser: Featuriser, block: _Block) -> Part:
        if Path(paths[block.origin].name.removesuffix(".gz")).suffix in PLAIN_TEXT:
            return featuriser.plain_lines(block.content)
        return featuriser.lines(block.content, field)

    def refuse(origin: int, line: int, bad: Bad) -> None:
        if on_bad == "error":
            raise DataError(
                bad.reason,
                where=f"{paths[origin]} line {line}",
                found=bad.found,
                expected=f'one JSON object a line with its text in "{field}"',
                hint="name the field, or leave such lines out with on_bad: skip",
            )

    builder = _Builder(features, len(paths), refuse, workers)
    return builder.build(blocks(), featurise, spill)


def index_texts(
    texts: Iterable[str], features: Features, *, workers: int = 1, spill: Path | None = None
) -> NgramIndex:
    """Index texts in memory or from an iterator; see `index_files`."""

    def blocks() -> Iterator[_Block]:
        batch: list[str] = []
        for text in texts:
            batch.append(text)
            if len(batch) == TEXTS_AT_A_TIME:
                yield _Block(0, 0, batch)
                batch = []
        if batch:
            yield _Block(0, 0, batch)

    builder = _Builder(features, 1, lambda *_: None, workers)
    return builder.build(blocks(), lambda featuriser, b: featuriser.texts(b.content), spill)


class _Builder:
    """Runs blocks through threads and lays the parts end to end."""

    def __init__(
        self,
        features: Features,
        files: int,
        refuse: Callable[[int, int, Bad], None],
        workers: int,
    ) -> None:
        self.features, self.refuse, self.workers = features, refuse, workers
        self.local = threading.local()
        self.featurisers: list[Featuriser] = []
        self.words = [np.empty(0, np.int32)]
        self.starts, self.sizes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        self.origins, self.lines = [0] * files, [0] * files
        self.dropped: Counter[str] = Counter()

    def featuriser(self) -> Featuriser:
        mine = getattr(self.local, "featuriser", None)
        if mine is None:
            mine = self.local.featuriser = Featuriser(self.features)
            self.featurisers.append(mine)
        return mine

    def build(
        self,
        blocks: Iterator[_Block],
        featurise: Callable[[Featuriser, _Block], Part],
        spill: Path | None,
    ) -> NgramIndex:
        kernels()  # both are made once, before threads ask for them
        letters(self.features.words)
        file = None if spill is None else _temporary(spill)

        def work(block: _Block) -> tuple[_Block, Part]:
            return block, featurise(self.featuriser(), block)

        try:
            for block, part in in_order(work, blocks, self.workers):
                self.add(block, part)
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
        return self.index(file)

    def add(self, block: _Block, part: Part) -> None:
        """Take a part's documents, and count or refuse its bad lines."""
        for bad in part.bad:
            self.refuse(block.origin, self.lines[block.origin] + bad.line + 1, bad)
            self.dropped[bad.reason] += 1
        if part.blank:
            self.dropped["blank line"] += part.blank
        self.lines[block.origin] += part.lines
        self.origins[block.origin] += len(part.words)
        self.words.append(part.words)
        self.starts.append(part.starts + block.offset)
        self.sizes.append(part.sizes)

    def index(self, spill: BinaryIO | None) -> NgramIndex:
        counts = sum(
            (f.counts for f in self.featurisers), np.zeros(self.features.buckets, np.int64)
        )

        return NgramIndex(
            self.features,
            counts,
            np.concatenate(self.words),
            np.concatenate(self.starts),
            np.concatenate(self.sizes),
            self.origins,
            self.dropped,
            self.workers,
            spill,
        )


def _temporary(folder: Path) -> BinaryIO:
    """Open an unnamed file in the folder: the system frees it however the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder)  # type: ignore[return-value]
    except OSError as fault:
        raise disk_fault(fault, folder) from fault
