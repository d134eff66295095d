"""Selection over shards: index, fit, weigh, find the k largest keys, write, tell.

The answer is that of `togi.data.selection.choose` on the same documents: the same keys, so the
same picks, for any cut into shards, any engine and any number of workers. Memory holds a few
shards' buffers and nothing that grows with the pool but one small result a shard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from togi.data.blocks import whole_file
from togi.data.explain import spread
from togi.data.importance import Fit, fit
from togi.data.options import Options, check_targets, quotas, seed_of
from togi.data.shards.cut import Shard, Source, cut, shard_bytes
from togi.data.shards.engines import ENGINES, Engine, Run, check_engine
from togi.data.shards.indexing import IndexJob, Totals, index_shard
from togi.data.shards.kept import key_of
from togi.data.shards.pace import Pace
from togi.data.shards.reading import Reading
from togi.data.shards.taking import take
from togi.data.shards.weighing import Weighed, WeighJob, weigh_shard
from togi.data.shards.writing import Shape, WriteJob, Written, write_shard
from togi.errors import UsageError

SAMPLED = 1 << 21  # documents whose hashes are compared at most, 16 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """Who selects, where, and what is kept.

    Attributes:
        work: folder of everything that is kept between the stages.
        index: folder in which the pool's index stays for other selections; in `work` by default.
        engine: "threads" or "ray".
        workers: 0 takes all cores.
        shard: bytes of a shard; 0 fits them to the pool.
        on_bad: "error" stops at the first line or file that cannot be used, "skip" counts them.
        reread: read texts twice instead of keeping their n-grams (two bytes each) on disk.
        shape: of what is written.
        short: also list the ids of rows that are too short.
        say: takes lines on the progress.
    """

    work: Path
    index: Path | None = None
    engine: Engine = "threads"
    workers: int = 0
    shard: int = 0
    on_bad: str = "error"
    reread: bool = False
    shape: Shape = "lines"
    short: bool = False
    say: Callable[[str], None] = field(default=lambda line: None)

    def __post_init__(self) -> None:
        check_engine(self.engine)
        if self.on_bad not in ("error", "skip"):
            raise UsageError(f"on_bad cannot be {self.on_bad!r}", expected="error or skip")
        if self.shard < 0:
            raise UsageError("a shard cannot have less than no bytes", found=str(self.shard))


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """Files of documents, and how they are read.

    Attributes:
        dropped: rows that were left out when sources were turned into lines, by reason.
        left_out: files with a line for each of these.
    """

    sources: Sequence[Source]
    reading: Reading
    dropped: Mapping[str, int] = field(default_factory=dict[str, int])
    left_out: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Indexes:
    """The indexed shards of some documents.

    Attributes:
        jobs: that indexed them, in order.
        totals: over all of them.
        sizes: documents of each shard.
        left_out: files with a line for each row that is in no shard.
    """

    jobs: list[IndexJob]
    totals: Totals
    sizes: list[int]
    left_out: Sequence[Path] = ()

    @property
    def firsts(self) -> list[int]:
        """Number of each shard's first document among all."""
        return np.concatenate([[0], np.cumsum(self.sizes[:-1])]).astype(int).tolist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """What was picked, shard by shard, and what is told from it.

    Attributes:
        pool: the indexed pool.
        targets: the indexed targets.
        fits: one for each separate target.
        effective: effective sample size of the weights for each of them.
        allowed: documents that might be picked.
        counts: int64[m], n-grams of the picked documents in each bucket.
        lengths: words -> picked documents with so many.
        written: what each shard gave besides, in their order.
        parts: the files of picked documents.
        sampled: hashes were compared where hash & sampled == 0.
    """

    pool: Indexes
    targets: list[Indexes]
    fits: tuple[Fit, ...]
    effective: tuple[float, ...]
    allowed: int
    counts: np.ndarray
    lengths: Counter[int]
    written: list[Written]
    parts: list[Path]
    sampled: int


def select_shards(
    pool: Documents, targets: Sequence[Documents], k: int, options: Options, how: How
) -> Picked:
    """Pick k documents of the pool for one target or several; write them in parts.

    Each stage keeps what it did of a shard, so the same call goes on after a stop, and a call with
    another target or k reads no text again where `how.index` is kept.

    Raises:
        DataError: documents that cannot be read, or a side without text.
        SurroundingsError: the disk is full, or the engine does not start.
        UsageError: a setting makes no sense.
    """
    check_targets(len(targets), options)
    if not pool.sources:
        raise UsageError("a pool is wanted", hint="name the files to choose from")
    with ENGINES[how.engine](how.workers) as run:
        wanted = [_index(run, one, options, how, f"target {n}") for n, one in enumerate(targets, 1)]
        groups = _groups(wanted, options)
        quotas(k, [group.ngrams for group in groups], options)  # refused before the pool is read
        indexed = _index(run, pool, options, how, "pool")
        fits = tuple(fit(indexed.totals.counts, g.counts, options.smoothing) for g in groups)
        jobs, weighed = _weigh(run, indexed, fits, options, how)
        shares = quotas(k, [group.ngrams for group in groups], options)
        taken, effective = take(run, jobs, weighed, shares)
        sampled = _sample_mask(max(one.totals.documents for one in (indexed, *wanted)))
        parts = _write(run, indexed, jobs, taken, sampled, options, how)
    return Picked(
        pool=indexed, targets=wanted, fits=fits, effective=effective,
        allowed=sum(one.allowed for one in weighed), counts=parts.counts, lengths=parts.lengths,
        written=parts.written,
        parts=[part for part, one in zip(parts.paths, parts.written, strict=True) if one.documents],
        sampled=sampled,
    )  # fmt: skip


def _index(run: Run, documents: Documents, options: Options, how: How, what: str) -> Indexes:
    """Index all shards of some documents; only the pool's n-grams are kept."""
    features, spill = options.features, what == "pool" and not (how.reread or options.random)
    size = shard_bytes(documents.sources, how.shard)
    root = how.index if how.index is not None and what == "pool" else how.work
    name = key_of(what.split()[0], features.key, documents.reading, how.on_bad, size)[:16]
    shards = cut(documents.sources, size)
    names = f"{name}-{key_of([s.path for s in documents.sources])[:8]}"
    shared: dict[str, Any] = {
        "folder": str(root / "index" / names), "reading": documents.reading, "features": features,
        "on_bad": how.on_bad, "spill": spill,
    }  # fmt: skip
    jobs, totals, sizes = [IndexJob(shard=shard, **shared) for shard in shards], Totals(), []
    with Pace(f"{what} read", [_bytes(shard) for shard in shards], how.say) as pace:
        for job, one in zip(jobs, run(index_shard, jobs), strict=True):
            totals.add(job.shard, one)
            sizes.append(one.documents)
            pace.done(one.fresh)
    totals.dropped.update(documents.dropped)
    return Indexes(jobs, totals, sizes, documents.left_out)


def _bytes(shard: Shard) -> int:
    return min(shard.last - shard.first, shard.source.size)


def _groups(wanted: list[Indexes], options: Options) -> list[Totals]:
    """Return the separate targets, or all of them together."""
    totals = [one.totals for one in wanted]
    if options.separate_targets or not totals:
        return totals
    together = Totals()
    for one in totals:
        together.join(one)
    return [together]


def _weigh(
    run: Run, pool: Indexes, fits: tuple[Fit, ...], options: Options, how: How
) -> tuple[list[WeighJob], list[Weighed]]:
    """Weigh all shards for all targets."""
    path, key = "", ""
    if not options.random:
        ratios = np.stack([one.log_ratio for one in fits])
        key = key_of(ratios)
        path = str(how.work / f"ratios-{key[:16]}.npy")
        with whole_file(Path(path)) as file:
            np.save(file, ratios, allow_pickle=False)
    count = 1 if options.random else len(fits)
    jobs = [
        WeighJob(
            index=index, folder=str(how.work / "keys"), ratios=path, ratios_key=key, first=first,
            seeds=tuple(seed_of(t, options) for t in range(count)), noise=not options.top_k,
            normalise=options.length_normalise, least=options.min_tokens,
        )
        for index, first in zip(pool.jobs, pool.firsts, strict=True)
    ]  # fmt: skip
    with Pace("pool weighed", pool.sizes, how.say, unit="documents") as pace:
        weighed = [pace.through(one) for one in run(weigh_shard, jobs)]
    return jobs, weighed


@dataclass(slots=True)
class Parts:
    """The written parts, and sums over what they hold: only little is kept of each."""

    paths: list[Path]
    counts: np.ndarray
    lengths: Counter[int] = field(default_factory=Counter[int])
    written: list[Written] = field(default_factory=list[Written])

    def add(self, one: Written) -> None:
        """Add the next part."""
        self.counts += one.counts
        self.lengths.update(dict(zip(*one.lengths.tolist(), strict=True)))
        none = np.empty(0, np.int64)
        self.written.append(replace(one, counts=none, lengths=none))


def _sample_mask(documents: int) -> int:
    """Return the mask of hashes that are compared, so that there are at most `SAMPLED` or so."""
    return (1 << max(0, (documents - 1).bit_length() - SAMPLED.bit_length() + 1)) - 1


def _write(
    run: Run, pool: Indexes, jobs: list[WeighJob], taken: list[int], sampled: int,
    options: Options, how: How,
) -> Parts:  # fmt: skip
    """Write the picks of all shards, and look at a sample of documents on the way."""
    looked = _by_shard(spread(pool.totals.documents), pool.sizes)
    shown = _by_shard(spread(sum(taken)), taken)
    writes = [
        WriteJob(
            index=job.index, folder=job.folder, out=str(how.work / "parts"), shape=how.shape,
            pool=looked[n], picked=shown[n], sampled=sampled,
            least=options.min_tokens if how.short else 0,
        )
        for n, job in enumerate(jobs)
    ]  # fmt: skip
    parts = Parts([write.part for write in writes], np.zeros(options.buckets, np.int64))
    with Pace("picked documents written", taken, how.say, unit="documents") as pace:
        for one in run(write_shard, writes):
            parts.add(pace.through(one))
    return parts


def _by_shard(places: list[int], sizes: list[int]) -> list[tuple[int, ...]]:
    """Split ascending places among all into numbers within each shard.

    >>> _by_shard([0, 2, 3], [2, 0, 2])
    [(0,), (), (0, 1)]
    """
    ends = np.cumsum(sizes)
    bounds = np.searchsorted(places, np.concatenate([[0], ends])).tolist()
    starts = (ends - np.asarray(sizes)).tolist()
    return [
        tuple(place - start for place in places[a:b])
        for start, a, b in zip(starts, bounds[:-1], bounds[1:], strict=True)
    ]
