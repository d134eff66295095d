"""Weighing an indexed shard's documents, ranking their keys, and marking those that are taken.

Each task is a function of one frozen job to a small result; see `indexing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from togi.data.blocks import Damaged, in_order
from togi.data.features import Features
from togi.data.featuriser import Featuriser
from togi.data.importance import gumbel
from togi.data.native import kernels
from togi.data.shards.indexing import IndexJob
from togi.data.shards.kept import Kept, key_of
from togi.data.shards.reading import blocks, part_of
from togi.data.shards.threshold import Digits, histogram, ordered

SCALE = 2.0**62  # sums of weights are kept as integers of this fraction, so that none is rounded


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighJob:
    """Weigh an indexed shard's documents for each target, and draw their keys.

    Attributes:
        index: the job that indexed it, which reads the texts again where n-grams were not kept.
        folder: of all shards' weights and keys.
        ratios: file of log_ratio, float64[targets, m]; "" for equal weights.
        first: number of the shard's first document among all.
        seeds: of the noise, one for each target.
        noise: whether there is any.
        normalise: divide log weights by the number of n-grams.
        least: words that a document must have to be picked.
    """

    index: IndexJob
    folder: str
    ratios: str
    ratios_key: str
    first: int
    seeds: tuple[int, ...]
    noise: bool
    normalise: bool
    least: int
    threads: int = 1

    @property
    def key(self) -> str:
        """What the keys depend on."""
        own = (self.first, self.seeds, self.noise, self.normalise, self.least)
        return key_of(self.index.key, self.ratios_key, own)


@dataclass(frozen=True, slots=True)
class Weighed:
    """Greatest log weight of a shard's documents that may be picked, for each target; and how many.

    Without any it is minus infinity.
    """

    peaks: tuple[float, ...]
    allowed: int


def weigh_shard(job: WeighJob) -> Weighed:
    """Weigh a shard's documents, or find the keys that were kept."""
    index, kept = (Kept(at, job.index.shard.number) for at in (job.index.folder, job.folder))
    found = kept.marked("weigh", job.key)
    if found is not None:
        return Weighed(tuple(found[0]["peaks"]), found[0]["allowed"])
    targets = range(len(job.seeds))
    with kept.writing(*(f"weights.{t}" for t in targets)) as files:
        for sums in _sums(job, index):
            for file, column in zip(files, sums, strict=True):
                file.write(column.data)
    every = [_draw(job, t, index, kept) for t in targets]
    peaks, allowed = tuple(peak for peak, _ in every), every[0][1]
    kept.mark("weigh", job.key, {"peaks": peaks, "allowed": allowed})
    return Weighed(peaks, allowed)


def _draw(job: WeighJob, target: int, index: Kept, kept: Kept) -> tuple[float, int]:
    """Write the keys for a target: log weight and noise, NaN where a document may not be picked.

    Returns:
        The greatest log weight of those that may, and how many there are.
    """
    peak, allowed = -np.inf, 0
    with kept.writing(f"keys.{target}") as (file,):
        pairs = zip(index.documents(), kept.numbers(f"weights.{target}"), strict=True)
        for (first, records), (_, column) in pairs:
            may = records["words"] >= job.least
            allowed += int(may.sum())
            peak = max(peak, float(column[may].max(initial=-np.inf)))
            seed = job.seeds[target]
            noise = gumbel(seed, len(column), job.first + first) if job.noise else 0.0
            file.write(np.where(may, column + noise, np.nan).data)
    return peak, allowed


def _sums(job: WeighJob, index: Kept) -> Iterator[list[np.ndarray]]:
    """Yield the log weights for each target, some documents at a time."""
    if not job.ratios:
        for _, records in index.documents():
            yield [np.zeros(len(records)) for _ in job.seeds]
        return
    ratios = _ratios(job.ratios, job.ratios_key)

    def weigh(ngrams: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
        columns = [gathered(job.index.features, *ngrams, ratio) for ratio in ratios]
        return [c / np.maximum(ngrams[0], 1) for c in columns] if job.normalise else columns

    yield from in_order(weigh, _ngrams(job, index), job.threads)


def _ngrams(job: WeighJob, index: Kept) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (n-grams of each document, all their buckets): kept ones, or read again."""
    features = job.index.features
    if job.index.spill:
        for _, sizes, indices in index.ngrams(features.index_type):
            yield sizes, indices
        return
    featuriser = Featuriser(features, counted=False)
    shard, reading = job.index.shard, job.index.reading
    try:
        for block in blocks(shard, reading):
            part = part_of(featuriser, shard, block, reading)
            yield part.ngrams, part.indices
    except Damaged:
        if job.index.on_bad == "error":
            raise


@lru_cache(maxsize=2)
def _ratios(path: str, key: str) -> np.ndarray:
    """Load what each n-gram adds to a log weight, once in a process."""
    return np.load(path, allow_pickle=False)


def gathered(
    features: Features, sizes: np.ndarray, indices: np.ndarray, ratio: np.ndarray
) -> np.ndarray:
    """Sum ratio[b] over each document's buckets b: float64[documents]."""
    sums = np.empty(len(sizes))
    name = "gather16" if features.index_type is np.uint16 else "gather32"
    kernels()(name, indices, np.ascontiguousarray(sizes), len(sizes), ratio, sums)
    return sums


@dataclass(frozen=True, slots=True, kw_only=True)
class RankJob:
    """Look at a shard's keys for one target.

    Attributes:
        digits: which of the keys' bits are counted.
        peak: with it, the weights' sums are taken too, scaled by exp(-peak).
    """

    folder: str
    number: int
    target: int
    digits: Digits
    peak: float | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """How many keys have which next digit, and the sums of w and of w squared, times SCALE."""

    counts: np.ndarray
    sums: tuple[int, int] = (0, 0)


def rank_shard(job: RankJob) -> Ranked:
    """Count the next digit of the keys of documents that are still to be picked."""
    kept = Kept(job.folder, job.number)
    counts, sums = np.zeros(1 << 16, np.int64), [0, 0]
    for keys, taken, weights in _keys(kept, job.target, job.peak is not None):
        left = ~np.isnan(keys)
        counts += histogram(ordered(keys[left & (taken == 0)]), job.digits)
        if job.peak is not None:
            scaled = np.exp(weights[left] - job.peak)
            sums = [total + _exact(part) for total, part in zip(sums, (scaled, scaled**2),
                                                                strict=True)]  # fmt: skip
    return Ranked(counts, (sums[0], sums[1]))


def _exact(values: np.ndarray) -> int:
    """Return the sum of values of at most 1 as an integer, times SCALE: no order matters."""
    whole = (values * SCALE).astype(np.uint64)
    high, low = whole >> np.uint64(32), whole & np.uint64(0xFFFFFFFF)
    return (int(high.sum()) << 32) + int(low.sum())


def _keys(
    kept: Kept, target: int, weighed: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield keys, who has taken the document (0: nobody), and log weights where they are wanted."""
    weights = kept.numbers(f"weights.{target}") if weighed else None
    taken = kept.numbers("taken", np.uint8) if target else None
    for _, keys in kept.numbers(f"keys.{target}"):
        yield (
            keys,
            next(taken)[1] if taken else np.zeros(len(keys), np.uint8),
            next(weights)[1] if weights else np.empty(0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeJob:
    """Mark a shard's documents that a target takes.

    Attributes:
        least: keys with greater leading digits are taken.
        equal: of those with the same leading digits, the first so many are.
    """

    folder: str
    number: int
    target: int
    least: Digits
    equal: int


def take_shard(job: TakeJob) -> int:
    """Mark them in the file "taken" (target + 1, 0 for nobody) and return how many there are."""
    kept, equal, count = Kept(job.folder, job.number), job.equal, 0
    marks = [np.empty(0, np.uint8)]
    for keys, taken, _ in _keys(kept, job.target):
        left = ~np.isnan(keys) & (taken == 0)
        leading = job.least.leading(ordered(np.where(left, keys, 0.0)))
        picked = left & (leading > job.least.prefix)
        same = np.flatnonzero(left & (leading == job.least.prefix))[:equal]
        equal -= len(same)
        picked[same] = True
        count += int(picked.sum())
        marks.append(np.where(picked, job.target + 1, taken).astype(np.uint8))
    with kept.writing("taken") as (file,):
        file.write(np.concatenate(marks).data)
    return count


def taken_of(folder: Path | str, number: int) -> np.ndarray:
    """Return who took each document of a shard: uint8[documents], 0 for nobody."""
    parts = [marks for _, marks in Kept(folder, number).numbers("taken", np.uint8)]
    return np.concatenate([np.empty(0, np.uint8), *parts])
