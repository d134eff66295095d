"""From what was picked of shards to `selection.json`, the parameters, the drops and the card."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from togi.data.blocks import whole_file
from togi.data.explain import rising_and_falling, tallied_summary
from togi.data.options import Options
from togi.data.shards.card import card
from togi.data.shards.diagnose import by_length, by_source, duplicates, sentences
from togi.data.shards.indexing import Totals
from togi.data.shards.kept import Kept
from togi.data.shards.select import How, Picked
from togi.data.shards.writing import gather
from togi.data.told import Figures, report_of


def report(
    picked: Picked, k: int, options: Options, unreadable: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Return everything that `selection.json` tells, as plain values.

    Args:
        picked: what was picked.
        k: how many documents were asked for.
        options: how they were picked.
        unreadable: (file, why) of sources that are not in the pool.
    """
    target, pool, written = Totals(), picked.pool.totals, picked.written
    for one in picked.targets:
        target.join(one.totals)
    figures = Figures(
        pool=pool.documents, target=target.documents, picked=sum(w.documents for w in written),
        filtered=pool.documents - picked.allowed, dropped=pool.dropped,
        dropped_target=target.dropped, effective=picked.effective,
        target_ngrams=_fewest(picked, options),
        lengths={
            "pool": tallied_summary(pool.lengths),
            "picked": tallied_summary(picked.lengths),
            "target": tallied_summary(target.lengths),
        },
    )  # fmt: skip
    samples = [text for one in written for text in one.picked_texts]
    others = [text for one in written for text in one.pool_texts]
    risen = rising_and_falling(options.features, pool.counts, picked.counts, samples, others)
    told = report_of(figures, picked.fits, picked.counts, risen, k, options)
    told |= {
        "n_ngrams": pool.ngrams,
        "duplicates": duplicates(picked),
        "sources": by_source(picked),
        "length_bands": by_length(pool.lengths, picked.lengths),
        "damaged": [list(one) for one in (*pool.damaged, *target.damaged)],
        "unreadable": [list(one) for one in unreadable],
    }
    told["notes"] = [*told["notes"], *sentences(told)]
    return told


def _fewest(picked: Picked, options: Options) -> int:
    """Return the n-grams of the separate target that has fewest, or of all together."""
    sizes = [one.totals.ngrams for one in picked.targets]
    return min(sizes, default=0) if options.separate_targets else sum(sizes)


def write_report(folder: Path, stem: str, told: dict[str, Any], picked: Picked) -> None:
    """Write `<stem>selection.json`, `<stem>parameters.npz` and `<stem>card.md` into a folder."""
    text = json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_file(folder / f"{stem}parameters.npz") as file:
        file.write(parameters(picked, told))
    with whole_file(folder / f"{stem}card.md") as file:
        file.write(card(told).encode("utf-8", "replace"))
    with whole_file(folder / f"{stem}selection.json") as file:
        file.write(text.encode("utf-8", "replace"))


def parameters(picked: Picked, told: dict[str, Any]) -> memoryview:
    """Return p, q and the options as the bytes of an npz file, p and q [targets, m]."""
    kept = io.BytesIO()
    m = int(told["options"]["buckets"])
    p, q = (
        np.stack([getattr(one, side) for one in picked.fits]) if picked.fits else np.empty((0, m))
        for side in ("target", "raw")
    )
    settings = np.frombuffer(json.dumps(told["options"]).encode(), np.uint8)
    np.savez(kept, p=p, q=q, options=settings)
    return kept.getbuffer()


def write_dropped(path: Path, picked: Picked, how: How, *, least: int) -> None:
    """Write a line for each line of the pool that is no document, and each row too short.

    Args:
        least: words of the shortest document that could be picked; at 0 none is too short.
    """
    jobs = picked.pool.jobs
    files = [Kept(job.folder, job.shard.number).path("unusable") for job in jobs]
    files += picked.pool.left_out
    if how.short and least:
        files += [Kept(how.work / "keys", job.shard.number).path("short") for job in jobs]
    gather(files, path)
