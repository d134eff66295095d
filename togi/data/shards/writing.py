"""Writing what a shard's documents were picked, and looking at them once more on the way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import orjson

from togi.data.blocks import whole_file
from togi.data.explain import CHARACTERS
from togi.data.features import Features
from togi.data.featuriser import Featuriser
from togi.data.native import kernels
from togi.data.shards.cut import Shard
from togi.data.shards.indexing import IndexJob
from togi.data.shards.kept import DOCUMENT, Kept, key_of
from togi.data.shards.reading import documents, reader_of, row_id
from togi.data.shards.weighing import taken_of
from togi.rows.types import Document
from togi.rows.write import line_of

AT_A_TIME = 512  # texts that are counted together
Shape: TypeAlias = Literal["lines", "rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteJob:
    """Write the picked documents of a shard.

    Attributes:
        index: the job that indexed it.
        folder: where `taken` lies.
        out: of the parts.
        shape: "lines" as they stand in their files, or togi's "rows".
        pool: numbers within the shard of documents whose texts are wanted, ascending.
        picked: the same of picked ones, as their ranks among the shard's picks.
        sampled: hashes of documents are returned where hash & sampled == 0.
        least: with it, ids of rows with fewer words are written too.
    """

    index: IndexJob
    folder: str
    out: str
    shape: Shape
    pool: tuple[int, ...]
    picked: tuple[int, ...]
    sampled: int
    least: int = 0

    @property
    def part(self) -> Path:
        """The file of picked documents."""
        return Path(self.out) / f"{self.index.shard.number:05d}.jsonl"


@dataclass(frozen=True, slots=True)
class Written:
    """What was picked of a shard.

    Attributes:
        documents: how many.
        counts: int64[m], their n-grams in each bucket.
        lengths: int64[2, different lengths], words and how many have so many.
        picked_texts, pool_texts: the beginnings of those that were asked for.
        picked_prints, pool_prints: uint64, hashes of a sample of documents.
    """

    documents: int
    counts: np.ndarray
    lengths: np.ndarray
    picked_texts: list[str]
    pool_texts: list[str]
    picked_prints: np.ndarray
    pool_prints: np.ndarray


def write_shard(job: WriteJob) -> Written:
    """Write a shard's picked documents, or find that they were written."""
    index, kept = (Kept(at, job.index.shard.number) for at in (job.index.folder, job.folder))
    taken = taken_of(job.folder, job.index.shard.number)
    key = key_of(job.index.key, taken, job.shape, job.pool, job.picked, job.sampled, job.least)
    found = kept.marked("write", key)
    if found is not None and job.part.exists():
        told, arrays = found
        return Written(**{**told, **arrays})
    chosen = _chosen(job, index, taken)
    texts = _Texts(job, chosen)
    counts = np.zeros(job.index.features.buckets, np.int64)
    with whole_file(job.part) as file:
        for batch in _batched(texts.lines(), AT_A_TIME):
            file.writelines(line for line, _ in batch)
            if not job.index.spill:
                counts += _counted(job.index.features, [text for _, text in batch])
    if job.least:
        _write_short(job, index, kept)
    if job.index.spill:
        _count_picked(job.index.features, index, taken, counts)
    words = chosen.records["words"][chosen.ranks >= 0]
    arrays = {
        "counts": counts,
        "lengths": np.stack(np.unique(words, return_counts=True)).astype(np.int64),
        "picked_prints": chosen.picked_prints,
        "pool_prints": chosen.pool_prints,
    }
    told = {"documents": len(words), "picked_texts": texts.picked, "pool_texts": texts.pool}
    kept.mark("write", key, told, **arrays)
    return Written(**told, **arrays)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Documents of a shard that are read again, and hashes of a sample of all.

    Attributes:
        numbers: of the documents within the shard, ascending.
        records: theirs.
        ranks: of each among the shard's picks, -1 for one that is only looked at.
        picked_prints, pool_prints: of the sample.
    """

    numbers: np.ndarray
    records: np.ndarray
    ranks: np.ndarray
    picked_prints: np.ndarray
    pool_prints: np.ndarray


def _chosen(job: WriteJob, index: Kept, taken: np.ndarray) -> Chosen:
    """Find them, some thousand documents at a time."""
    wanted = taken > 0
    wanted[list(job.pool)] = True
    parts, prints = [np.empty(0, DOCUMENT)], ([_NO_PRINTS], [_NO_PRINTS])
    for first, records in index.documents():
        here = slice(first, first + len(records))
        parts.append(records[wanted[here]])
        sample = (records["print"] & np.uint64(job.sampled)) == 0
        prints[0].append(records["print"][sample & (taken[here] > 0)])
        prints[1].append(records["print"][sample])
    ranks = np.where(taken > 0, np.cumsum(taken > 0) - 1, -1)[wanted]
    every = [np.concatenate(some) for some in (parts, *prints)]
    return Chosen(np.flatnonzero(wanted), every[0], ranks, every[1], every[2])


_NO_PRINTS = np.empty(0, np.uint64)


class _Texts:
    """Reads picked and sampled documents again, in one pass over their file."""

    def __init__(self, job: WriteJob, chosen: Chosen) -> None:
        self.job, self.chosen = job, chosen
        self.picked: list[str] = []
        self.pool: list[str] = []

    def lines(self) -> Iterator[tuple[bytes, str]]:
        """Yield each picked document as a line and as its text, where that is needed."""
        job, chosen, shard = self.job, self.chosen, self.job.index.shard
        text_of, shaped = reader_of(shard, job.index.reading), shaper_of(job)
        sampled, ranked, counted = set(job.pool), set(job.picked), not job.index.spill
        places, sizes = (chosen.records[name].tolist() for name in ("start", "size"))
        pairs = zip(chosen.numbers.tolist(), chosen.ranks.tolist(), strict=True)
        found = documents(shard, places, sizes)
        for (number, rank), (place, line) in zip(pairs, found, strict=True):
            picked = rank >= 0
            shown = number in sampled or rank in ranked
            text = text_of(line) if shown or (counted and picked) else ""
            if number in sampled:
                self.pool.append(text[:CHARACTERS])
            if rank in ranked:
                self.picked.append(text[:CHARACTERS])
            if picked:
                yield shaped(place, line), text


def shaper_of(job: WriteJob) -> Callable[[int, bytes], bytes]:
    """Return what makes of a document's place and line the line that is written."""
    shard, reading = job.index.shard, job.index.reading
    if job.shape == "lines" or shard.source.form == "rows":
        return lambda place, line: line
    if shard.source.form == "text":
        text_of = reader_of(shard, reading)
        return lambda place, line: _row(shard, place, text_of(line), {})

    def from_record(place: int, line: bytes) -> bytes:
        record = json.loads(line)  # takes what the reading took: NaN, lone surrogates
        return _row(shard, place, str(record.pop(reading.field)), record)

    return from_record


def _row(shard: Shard, place: int, text: str, metadata: dict[str, Any]) -> bytes:
    """Return a document as one of togi's rows; its id is its file and its place there."""
    return line_of(
        Document(
            id=f"{shard.source.path}:{place}",
            text=text.encode("utf-8", "replace").decode(),
            metadata={**metadata, "source": shard.source.path},
        )
    )


def _batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    waiting = iter(items)
    while batch := list(islice(waiting, size)):
        yield batch


def _counted(features: Features, texts: Sequence[str]) -> np.ndarray:
    featuriser = Featuriser(features)
    featuriser.texts(texts)
    return featuriser.counts


def _count_picked(features: Features, index: Kept, taken: np.ndarray, counts: np.ndarray) -> None:
    """Add the kept n-grams of the picked documents to the counts."""
    name = "count_picked16" if features.index_type is np.uint16 else "count_picked32"
    for first, sizes, indices in index.ngrams(features.index_type):
        mask = np.ascontiguousarray(taken[first : first + len(sizes)])
        if mask.any():
            kernels()(name, indices, np.ascontiguousarray(sizes), len(sizes), mask, counts)


def _write_short(job: WriteJob, index: Kept, kept: Kept) -> None:
    """Write a line for each of togi's rows that has too few words to be picked."""
    reason = f"fewer than {job.least} words"
    with kept.writing("short") as (file,):
        for _, records in index.documents():
            short = records[records["words"] < job.least]
            places, sizes = (short[name].tolist() for name in ("start", "size"))
            for _, line in documents(job.index.shard, places, sizes):
                told = {"id": row_id(line), "reason": reason}
                file.write(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))


def gather(parts: Iterable[Path], out: Path, *, remove: bool = False) -> str:
    """Write parts one after the other into a file; return a digest of what it holds."""
    digest = hashlib.blake2b(digest_size=16)
    with whole_file(out) as file:
        for part in parts:
            with part.open("rb") as some:
                while chunk := some.read(1 << 20):
                    digest.update(chunk)
                    file.write(chunk)
    if remove:
        for part in parts:
            part.unlink()
    return digest.hexdigest()
