"""What a selection did beside n-grams: copies, sources and lengths that it took more or less of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from togi.data.shards.kept import Kept
from togi.data.shards.select import Indexes, Picked

LISTED = 100  # sources
BANDS = 10


def copies(prints: np.ndarray) -> dict[str, int]:
    """Count the documents that are copies of an earlier one, by hashes of their words.

    >>> copies(np.array([5, 7, 5, 5], np.uint64))
    {'looked_at': 4, 'copies': 2}
    """
    return {"looked_at": len(prints), "copies": len(prints) - len(np.unique(prints))}


def duplicates(picked: Picked) -> dict[str, Any]:
    """Count copies in the pool and in the pick, and picked documents that stand in a target.

    All documents are looked at, or beyond some millions those whose hash ends in zeros: copies
    share their hash, so a sample by hashes holds all copies of a document or none.
    """
    none = np.empty(0, np.uint64)
    chosen = np.concatenate([none, *(one.picked_prints for one in picked.written)])
    pool = np.concatenate([none, *(one.pool_prints for one in picked.written)])
    target = np.concatenate([none, *(_prints(one, picked.sampled) for one in picked.targets)])
    return {
        "share": 1 / (picked.sampled + 1),
        "pool": copies(pool),
        "picked": copies(chosen),
        "in_target": int(np.isin(chosen, target).sum()),
    }


def _prints(indexes: Indexes, sampled: int) -> np.ndarray:
    parts = [np.empty(0, np.uint64)]
    for job in indexes.jobs:
        for _, records in Kept(job.folder, job.shard.number).documents():
            prints = records["print"]
            parts.append(prints[(prints & np.uint64(sampled)) == 0])
    return np.concatenate(parts)


def by_source(picked: Picked) -> list[dict[str, Any]]:
    """Return each source's documents in pool and pick, most picked first; the rest as one."""
    pool, chosen = Counter[str](), Counter[str]()
    for job, size, one in zip(picked.pool.jobs, picked.pool.sizes, picked.written, strict=True):
        pool[job.shard.source.path] += size
        chosen[job.shard.source.path] += one.documents
    names = sorted(pool, key=lambda name: (-chosen[name], name))
    rows = [{"source": n, "pool": pool[n], "picked": chosen[n]} for n in names[:LISTED]]
    if len(names) > LISTED:
        rest = names[LISTED:]
        both = (sum(counts[name] for name in rest) for counts in (pool, chosen))
        rows.append(dict(zip(("source", "pool", "picked"), (f"{len(rest)} others", *both),
                             strict=True)))  # fmt: skip
    return rows


def by_length(pool: Mapping[int, int], chosen: Mapping[int, int]) -> list[dict[str, int]]:
    """Split the pool by length into bands of about a tenth each; return how many of each.

    Args:
        pool: words -> documents with so many.
        chosen: the same of the pick.

    >>> by_length({1: 5, 9: 5}, {9: 2})[1]
    {'least': 9, 'most': 9, 'pool': 5, 'picked': 2}
    """
    total, upto = sum(pool.values()), 0
    bands: list[dict[str, int]] = []
    band = -1
    for words in sorted(pool):
        here = min(upto * BANDS // total, BANDS - 1)
        if here != band:
            bands.append({"least": words, "most": words, "pool": 0, "picked": 0})
            band = here
        bands[-1]["most"] = words
        bands[-1]["pool"] += pool[words]
        bands[-1]["picked"] += chosen.get(words, 0)
        upto += pool[words]
    return bands


def sentences(told: Mapping[str, Any]) -> Sequence[str]:
    """Say what the user should know of copies and damaged files."""
    notes, found = [], told["duplicates"]
    for place, name in (("picked", "picked documents"), ("pool", "pool's documents")):
        looked, twice = found[place]["looked_at"], found[place]["copies"]
        if twice > looked / 100:
            notes.append(
                f"{twice / looked:.1%} of the {name} are copies of another in the text looked at"
            )
    if found["in_target"]:
        share = found["in_target"] / max(1, found["picked"]["looked_at"])
        notes.append(f"{share:.1%} of the picked documents stand word for word in the target")
    for path, why in told["damaged"]:
        notes.append(
            f"{path} could not be read to its end ({why}); what came before is in the pool"
        )
    for path, why in told["unreadable"]:
        notes.append(f"{path} could not be read ({why}) and is not in the pool")
    return notes
