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

import hashlib
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from togi.data.blocks import open_lines, whole_file
from togi.data.features import Features, Hash
from togi.data.featuriser import Featuriser
from togi.data.lines import Bad, field_of, text_of
from togi.data.importance import (
    Fit,
    effective_sample_size,
    fit,
    gumbel_top_k,
    kl_reduction,
    weights,
)
from togi.data.index import NgramIndex, index_files, index_texts
from togi.data.selection import Options, Selection, choose
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

TABLES = (".parquet", ".csv", ".tsv", ".json", ".arrow", ".feather", ".zst", ".zip")


def hash_bucket(ngram: str, buckets: int = 10_000) -> int:
    """Return the exact hash's bucket of an n-gram whose words are joined by one space.

    >>> hash_bucket("alice"), hash_bucket("alice went")
    (6720, 114)
    """
    return int.from_bytes(hashlib.sha256(ngram.encode()).digest(), "big") % buckets


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
    raw: Sequence[Path],
    target: Sequence[Path],
    k: int,
    out: Path,
    *,
    field: str = "text",
    target_field: str | None = None,
    on_bad: str = "error",
    **options: Any,
) -> Selection:
    """Pick k lines of the raw files into `out`, byte for byte and in input order.

    Reads lines of JSON (`.jsonl`) or plain text (`.txt`), also `.gz`; the pool is read twice, so
    it cannot be a pipe. Beside `out` it writes `<out's stem>.selection.json` (the report) and
    `<stem>.parameters.npz` (p, q and the settings). Files appear whole or not at all.

    Args:
        raw: the pool's files, in order.
        target: files of the kind of text that is wanted.
        k: how many lines to pick.
        out: the file to write.
        field: name of the text's field in the pool, and in the target unless told otherwise.
        target_field: its name in the target.
        on_bad: "error" stops at the first line that cannot be used, "skip" counts them.
        options: fields of `Options`.

    Raises:
        DataError: files or lines that cannot be read, or a side without text.
        SurroundingsError: the disk is full.
        UsageError: a setting makes no sense.
    """
    chosen, pool_files = Options(**options), [Path(path) for path in raw]
    _check_files(pool_files, [Path(path) for path in target], Path(out), on_bad)
    shared: dict[str, Any] = {"on_bad": on_bad, "workers": chosen.threads}
    features, wanted_field = chosen.features, target_field or field
    wanted = [index_files([Path(path)], features, field=wanted_field, **shared) for path in target]
    before = [_state(path) for path in pool_files]
    with (
        index_files(pool_files, features, field=field, spill=Path(out).parent, **shared) as pool,
        _Lines(pool_files, pool) as lines,
    ):
        selection = choose(
            pool, wanted, k, chosen, lambda some: [lines.text(i, field) for i in some]
        )
        if [_state(path) for path in pool_files] != before:
            raise DataError("the raw files changed while they were read", hint="run it again")
        _write(selection, lines, Path(out))
    return selection


def _check_files(raw: list[Path], target: list[Path], out: Path, on_bad: str) -> None:
    if on_bad not in ("error", "skip"):
        raise UsageError(f"on_bad cannot be {on_bad!r}", expected="error or skip")
    if not raw or not target:
        raise UsageError("raw files and target files are wanted", hint="name at least one of each")
    for path in (*raw, *target):
        if Path(path.name.removesuffix(".gz")).suffix in TABLES:
            raise DataError(
                "this format has no lines to pick",
                where=str(path),
                expected=".jsonl or .txt, also .gz",
                hint="convert it, or select in a recipe (use: data.dsir), which reads tables",
            )
    if out.resolve() in {path.resolve() for path in (*raw, *target)}:
        raise UsageError("the output would replace an input", where=str(out))


def _state(path: Path) -> tuple[int, int]:
    with open_lines(path):  # says kindly what is wrong with a file that cannot be read
        status = path.stat()
    return status.st_size, status.st_mtime_ns


class _Lines:
    """The pool's documents by number, read again from their files."""

    def __init__(self, paths: list[Path], pool: NgramIndex) -> None:
        self.paths, self.pool = paths, pool
        self.first = np.cumsum([0, *pool.origins])
        self.open: dict[int, BinaryIO] = {}

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.open.values():
            file.close()

    def line(self, document: int) -> bytes:
        """Return the document's line with its newline, byte for byte (a last one gets it)."""
        origin = int(np.searchsorted(self.first, document, side="right")) - 1
        if origin not in self.open:
            self.open[origin] = open_lines(self.paths[origin])
        file = self.open[origin]
        file.seek(int(self.pool.starts[document]))
        line = file.read(int(self.pool.sizes[document]))
        return line if line.endswith(b"\n") else line + b"\n"

    def text(self, document: int, field: str) -> str:
        """Return the document's text."""
        line = self.line(document)
        text = field_of(line, field) if line.lstrip().startswith(b"{") else text_of(line)
        return "" if isinstance(text, Bad) else text


def _write(selection: Selection, lines: _Lines, out: Path) -> None:
    """Write the picked lines, the report and the parameters."""
    parameters = io.BytesIO()
    p, q = (np.stack([getattr(one, side) for one in selection.fits]) for side in ("target", "raw"))
    settings = json.dumps(selection.report["options"])
    np.savez(parameters, p=p, q=q, options=np.frombuffer(settings.encode(), np.uint8))
    report = json.dumps(selection.report, indent=1, ensure_ascii=False) + "\n"
    with whole_file(out.with_name(out.stem + ".parameters.npz")) as file:
        file.write(parameters.getbuffer())
    with whole_file(out.with_name(out.stem + ".selection.json")) as file:
        file.write(report.encode("utf-8", "replace"))
    with whole_file(out) as file:
        for document in selection.indices.tolist():
            file.write(lines.line(document))
