"""Reading a shard once: one record a document, its n-grams, and what was counted of all of them.

The task is a function of a frozen job to a small result, so that any engine can carry it out; what
is large lies in the shard's files (`kept`). Doing it twice leaves the same files.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from togi.data.blocks import Damaged, in_order
from togi.data.features import Features, Part
from togi.data.featuriser import Featuriser
from togi.data.letters import letters
from togi.data.native import kernels
from togi.data.shards.cut import Shard
from togi.data.shards.kept import DOCUMENT, Kept, key_of
from togi.data.shards.reading import Block, Reading, blocks, part_of, refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexJob:
    """Read a shard and keep what is needed of it.

    Attributes:
        folder: of all shards' files.
        spill: whether to keep the n-grams.
        threads: at work inside this shard.
    """

    folder: str
    shard: Shard
    reading: Reading
    features: Features
    on_bad: str
    spill: bool
    threads: int = 1

    @property
    def key(self) -> str:
        """What the shard's index depends on."""
        return key_of(self.shard, self.reading, self.features.key, self.on_bad)


@dataclass(frozen=True, slots=True)
class Indexed:
    """What was counted of a shard.

    Attributes:
        documents: how many.
        ngrams: of all of them.
        counts: int64[m], n-grams in each bucket.
        lengths: int64[2, different lengths], words and how many documents have so many.
        dropped: lines that are no document, by reason.
        damage: why the file could not be read to its end, "" if it was.
        fresh: whether it was read now rather than found on disk.
    """

    documents: int
    ngrams: int
    counts: np.ndarray
    lengths: np.ndarray
    dropped: Counter[str]
    damage: str = ""
    fresh: bool = True


def index_shard(job: IndexJob) -> Indexed:
    """Index a shard, or find what was kept of it.

    Raises:
        DataError: a line cannot be used, or the file is damaged (with on_bad "error").
        SurroundingsError: the disk is full.
    """
    kept = Kept(job.folder, job.shard.number)
    found = kept.marked("index", job.key)
    if found is not None and (not job.spill or kept.path("ngrams").exists()):
        told, arrays = found
        return Indexed(
            told["documents"], told["ngrams"], arrays["counts"], arrays["lengths"],
            Counter(told["dropped"]), told["damage"], fresh=False,
        )  # fmt: skip
    kernels()  # both are made once, before threads ask for them
    letters(job.features.words)
    reader = _Reader(job)
    kinds = ["documents", "unusable", *(["ngrams"] if job.spill else [])]
    with kept.writing(*kinds) as files:
        for part in reader.parts():
            files[0].write(records_of(part).data)
            files[1].writelines(reader.unusable(part))
            if job.spill:
                files[2].write(part.indices.data)
    result = reader.result()
    told = {
        "documents": result.documents, "ngrams": result.ngrams,
        "dropped": dict(result.dropped), "damage": result.damage,
    }  # fmt: skip
    kept.mark("index", job.key, told, counts=result.counts, lengths=result.lengths)
    return result


def records_of(part: Part) -> np.ndarray:
    """Return a part's documents as they are kept."""
    records = np.empty(len(part.words), DOCUMENT)
    columns = {"start": part.starts, "print": part.prints, "size": part.sizes}
    for name, column in {**columns, "words": part.words, "ngrams": part.ngrams}.items():
        records[name] = column
    return records


class _Reader:
    """Featurises a shard's blocks, in threads where it has them, and adds up what it saw."""

    def __init__(self, job: IndexJob) -> None:
        self.job, self.local = job, threading.local()
        self.featurisers: list[Featuriser] = []
        self.documents = self.ngrams = 0
        self.words = [np.empty(0, np.int32)]
        self.dropped: Counter[str] = Counter()
        self.damage = ""

    def _part(self, block: Block) -> Part:
        mine = getattr(self.local, "featuriser", None)
        if mine is None:
            mine = self.local.featuriser = Featuriser(self.job.features)
            self.featurisers.append(mine)
        return part_of(mine, self.job.shard, block, self.job.reading)

    def parts(self) -> Iterator[Part]:
        """Yield the features of block after block."""
        given = self._blocks()
        for part in in_order(self._part, given, self.job.threads):
            self.documents += len(part.words)
            self.ngrams += int(part.ngrams.sum())
            self.words.append(part.words)
            if part.blank:
                self.dropped["blank line"] += part.blank
            yield part

    def _blocks(self) -> Iterator[Block]:
        try:
            yield from blocks(self.job.shard, self.job.reading)
        except Damaged as fault:
            if self.job.on_bad == "error":
                raise
            self.damage = fault.found or fault.problem

    def unusable(self, part: Part) -> Iterator[bytes]:
        """Yield a line for each line of the input that cannot be used, and count it."""
        for bad in part.bad:
            if self.job.on_bad == "error":
                raise refusal(self.job.shard, bad, self.job.reading)
            self.dropped[bad.reason] += 1
            told = {"source": self.job.shard.source.path, "at": bad.start, "reason": bad.reason}
            yield orjson.dumps({**told, "found": bad.found}, option=orjson.OPT_APPEND_NEWLINE)

    def result(self) -> Indexed:
        """Return what was seen."""
        counts = np.zeros(self.job.features.buckets, np.int64)
        for featuriser in self.featurisers:
            counts += featuriser.counts
        words = np.unique(np.concatenate(self.words), return_counts=True)
        lengths = np.stack(words).astype(np.int64)
        return Indexed(self.documents, self.ngrams, counts, lengths, self.dropped, self.damage)


@dataclass(slots=True)
class Totals:
    """Sums over shards, taken in their order."""

    documents: int = 0
    ngrams: int = 0
    counts: Any = field(default_factory=lambda: np.zeros(1, np.int64))
    lengths: Counter[int] = field(default_factory=Counter[int])
    dropped: Counter[str] = field(default_factory=Counter[str])
    damaged: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def add(self, shard: Shard, one: Indexed) -> None:
        """Add a shard."""
        self.documents += one.documents
        self.ngrams += one.ngrams
        self.counts = self.counts + one.counts
        self.lengths.update(dict(zip(*one.lengths.tolist(), strict=True)))
        self.dropped.update(one.dropped)
        if one.damage:
            self.damaged.append((shard.source.path, one.damage))

    def join(self, other: Totals) -> None:
        """Add what was counted of other documents."""
        self.documents += other.documents
        self.ngrams += other.ngrams
        self.counts = self.counts + other.counts
        self.lengths.update(other.lengths)
        self.dropped.update(other.dropped)
        self.damaged += other.damaged
