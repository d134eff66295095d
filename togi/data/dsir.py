"""DSIR: pick from a raw pool the documents whose hashed n-grams are like the target's.

Every document weighs the product, over its n-grams, of p(n-gram in target) / q(n-gram in pool);
k documents are drawn in proportion to the weights, without replacement. Source and claims: Xie et
al. 2023 (arXiv 2302.03169); the same hashes, words and weights as its package `data-selection`.
Deviations: the pool's bag is fitted on all of the pool (theirs: on at most 10^9 n-grams from
its start); the noise is a hash of seed and document, so a pick depends on neither machine, threads
nor file order inside them; k is clamped to what may be picked.

>>> pool = ["the cat sat on the mat", "stocks fell on tuesday", "a cat and a dog"]
>>> picked = select(pool, ["my cat likes the mat"], k=1, min_tokens=1, top_k=True, workers=1)
>>> picked.indices.tolist()
[0]
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from togi.data.features import Features, Hash
from togi.data.featuriser import Featuriser
from togi.data.importance import (
    Fit,
    effective_sample_size,
    fit,
    gumbel_top_k,
    kl_reduction,
    weights,
)
from togi.data.index import index_texts
from togi.data.options import Options
from togi.data.own_features import hash_bucket
from togi.data.selection import Selection, choose
from togi.errors import DataError, UsageError

__all__ = [
    "Fit",
    "Options",
    "Selection",
    "effective_sample_size",
    "fit",
    "gumbel_top_k",
    "hash_bucket",
    "kl_reduction",
    "ngram_counts",
    "select",
    "select_files",
    "weights",
]

HOW = ("engine", "shard", "reread", "index", "say")
"Options of `select_files` that say who selects, not what is picked."


def ngram_counts(text: str, *, order: int = 2, buckets: int = 10_000, hash: Hash = "exact"):
    """Count the text's hashed n-grams in each bucket: int64[buckets].

    >>> counts = ngram_counts("Alice went to the store")
    >>> int(counts.sum()), int(counts[6720]), int(counts[114])
    (9, 1, 1)
    """
    featuriser = Featuriser(Features(order=order, buckets=buckets, hash=hash))
    featuriser.texts([text])
    return featuriser.counts


def select(raw: Sequence[str], target: Sequence[str], k: int, **options: Any) -> Selection:
    """Pick k of the raw texts.

    Args:
        raw: the pool.
        target: texts of the kind that is wanted.
        k: how many; more than may be picked gives all that may, with a note.
        options: fields of `Options`.

    Raises:
        DataError: a side has no text.
        UsageError: a setting makes no sense.
    """
    chosen = Options(**options)
    features, threads = chosen.features, chosen.threads
    wanted = index_texts(target, features, workers=threads)
    spill = Path(tempfile.gettempdir())
    with index_texts(raw, features, workers=threads, spill=spill) as pool:
        return choose(pool, [wanted], k, chosen, lambda places: [raw[i] for i in places])


def select_files(
    raw: Sequence[Path | str],
    target: Sequence[Path | str],
    k: int,
    out: Path,
    *,
    field: str = "text",
    target_field: str | None = None,
    on_bad: Literal["error", "skip"] = "error",
    **options: Any,
) -> Selection:
    """Pick k documents of the raw files into `out`: lines byte for byte and in input order.

    Reads lines of JSON (`.jsonl`) or of plain text (`.txt`), also `.gz` and `.zst`, Parquet (whose
    rows become lines of JSON), folders and patterns of these, and through `togi.rows` whatever
    else holds rows. Beside `out` it writes `<out's stem>.selection.json` (the report),
    `<stem>.parameters.npz` (p, q and the settings), `<stem>.card.md` (the data card) and, with
    `on_bad="skip"`, `<stem>.dropped.jsonl` (where each line lay that is no document, why). Files
    appear whole or not at all; until then work lies in `.<stem>.work`, where the same call goes on
    after a stop. What comes back holds 12 bytes a document and 8 for each target; for pools that
    are too large for that there is `togi.data.shards.select.select_shards`.

    Args:
        raw: the pool's files, in order.
        target: files of the kind of text that is wanted; each is a target.
        k: how many documents to pick.
        out: the file to write.
        field: name of the text's field in the pool, and in the target unless told otherwise.
        target_field: its name in the target.
        on_bad: "error" stops at the first line that cannot be used, "skip" counts them.
        options: fields of `Options`, and of `togi.data.shards.select.How` (`engine`, `shard`,
            `reread`, `index`, `say`).

    Raises:
        DataError: files or lines that cannot be read, or a side without text.
        SurroundingsError: the disk is full.
        UsageError: a setting makes no sense.
    """
    from togi.data.shards.report import report, write_dropped, write_report
    from togi.data.shards.select import How, select_shards
    from togi.data.shards.sources import Wanted, unchanged
    from togi.data.shards.writing import gather

    out, own = Path(out), {name: options.pop(name) for name in HOW if name in options}
    chosen = Options(**options)
    work = out.with_name(f".{out.stem}.work")
    how = How(work=work, workers=chosen.workers, on_bad=on_bad, **own)
    if not raw or not target:
        raise UsageError("raw files and target files are wanted", hint="name at least one of each")
    wanted = Wanted(how, field=field, target_field=target_field or field)
    pool, targets = wanted.pool(raw), [wanted.target([one]) for one in target]
    for source in (*pool.sources, *(one for group in targets for one in group.sources)):
        if Path(source.path).resolve() == out.resolve():
            raise UsageError("the output would replace an input", where=str(out))
    picked = select_shards(pool, targets, k, chosen, how)
    if not unchanged(pool.sources):
        raise DataError("the raw files changed while they were read", hint="run it again")
    told = report(picked, k, chosen, wanted.lost)
    write_report(out.parent, f"{out.stem}.", told, picked)
    if on_bad == "skip":
        write_dropped(
            out.with_name(f"{out.stem}.dropped.jsonl"), picked, how, least=chosen.min_tokens
        )
    selection = _as_selection(picked, told, how.work)
    gather(picked.parts, out)
    shutil.rmtree(how.work)
    return selection


def _as_selection(picked: Any, told: dict[str, Any], work: Path) -> Selection:
    """Gather what was kept of the shards into arrays."""
    from togi.data.shards.kept import Kept
    from togi.data.shards.weighing import taken_of

    words, marks = [np.empty(0, np.int32)], [np.empty(0, np.uint8)]
    columns = [[np.empty(0)] for _ in range(len(picked.effective))]
    for job in picked.pool.jobs:
        number = job.shard.number
        words += [records["words"] for _, records in Kept(job.folder, number).documents()]
        marks.append(taken_of(work / "keys", number))
        for t, column in enumerate(columns):
            column += [some for _, some in Kept(work / "keys", number).numbers(f"weights.{t}")]
    whole = [np.concatenate(column) for column in columns]
    return Selection(
        indices=np.flatnonzero(np.concatenate(marks)),
        log_weights=whole[0] if len(whole) == 1 else np.stack(whole, axis=1),
        words=np.concatenate(words),
        fits=picked.fits,
        report=told,
    )
