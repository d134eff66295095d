"""Candidates: the rows that may be picked, back in memory, without doubles, leaks and misfits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from togi.data.diverse import grouped_quotas
from togi.data.neardup import Cluster, NearIndex, near_duplicates, shingles
from togi.data.spool import Spool, asked
from togi.rows.hygiene import HeldOut, parts
from togi.rows.types import Example, Row

Within: TypeAlias = Literal["facility_location", "k_center", "score", "random"]
Side: TypeAlias = Literal["both", "prompt", "response"]
Near: TypeAlias = list[tuple[str, float]]
NEAR = "near-duplicate of a row that is kept"
NEAR_HELD_OUT = "near-duplicate of a held-out prompt or answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How rows are chosen among those that the rules let through.

    Attributes:
        k: how many to pick.
        rules: names of the rules that hold, in the order of `RULES`.
        tau: temperature of the balance between topics.
        within: how to pick within a topic, a key of `METHODS`.
        candidates: so many are looked at for each row that is picked; 0 looks at all.
        near: Jaccard similarity from which on two texts are near-duplicates; 0 keeps them.
        words: words of a shingle.
        side: the text by which rows are told apart for diversity.
        groups: group -> its topics; groups get equal parts of k.
        embeddings: a file with a vector for each row of the source, instead of n-grams.
        seed: of every draw.
    """

    k: int
    rules: tuple[str, ...]
    tau: float = 3.0
    within: Within = "facility_location"
    candidates: int = 10
    near: float = 0.7
    words: int = 5
    side: Side = "both"
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    embeddings: Path | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The candidates that are left, in the order in which they are preferred.

    Attributes:
        places: of the rows in the spool.
        rows: the rows.
        clusters: ids of rows that stay, and of those near to each, with their similarities.
        left: (place, stage, reason) of each candidate that is left out.
    """

    places: np.ndarray
    rows: list[Example]
    clusters: list[tuple[str, Near]]
    left: list[tuple[int, str, str]]


def candidates_of(spool: Spool, eligible: np.ndarray, options: Options, factor: int) -> np.ndarray:
    """Return the places of the candidates: of each topic the first ones, several for each to pick.

    The best scores come first, or, for a random pick, the rows as the seed draws them.
    """
    order = spool.as_drawn() if options.within == "random" else spool.by_score()
    order = order[eligible[order]]
    if not factor:
        return order
    topic = spool.topic
    sizes = np.bincount(topic[eligible], minlength=len(spool.topics)).tolist()
    most = [factor * quota for quota in quotas_of(spool, sizes, sizes, options)]
    rank = np.empty(len(order), dtype=np.int64)
    by_topic = np.argsort(topic[order], kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])[topic[order][by_topic]]
    rank[by_topic] = np.arange(len(order)) - starts
    return order[rank < np.array(most)[topic[order]]]


def quotas_of(
    spool: Spool, sizes: Sequence[int], most: Sequence[int], options: Options
) -> list[int]:
    """Return how many rows of each topic to pick.

    Args:
        spool: the rows that passed the rules.
        sizes: how many eligible rows each topic has.
        most: how many of each can be taken.
        options: k, tau and groups.
    """
    return grouped_quotas(sizes, _groups(spool, options), options.k, options.tau, most)


def _groups(spool: Spool, options: Options) -> list[int]:
    """Return each topic's group; topics that no group names are one more."""
    names = {topic: g for g, topics in enumerate(options.groups.values()) for topic in topics}
    return [names.get(topic, len(options.groups)) for topic in spool.topics]


def distinct(
    spool: Spool,
    places: np.ndarray,
    options: Options,
    held_out: Sequence[Row],
    too_long: Callable[[Sequence[Example]], Iterable[str]],
) -> Pool:
    """Load candidates and leave out what leaks, does not fit, or is near to a better one.

    Args:
        spool: the rows that passed the rules.
        places: the candidates, in the order in which they are preferred.
        options: how near is near.
        held_out: rows that nothing may stand in.
        too_long: says of each row why it does not fit into a model's context, "" if it does.
    """
    rows = list(spool.rows(places.tolist()))
    found = zip(_leaks(rows, options, held_out), too_long(rows), strict=True)
    faults = [("held_out", leak) if leak else ("context", long) for leak, long in found]
    left = [(int(places[i]), *fault) for i, fault in enumerate(faults) if fault[1]]
    keep = [i for i, fault in enumerate(faults) if not fault[1]]
    clusters: list[Cluster] = []
    if options.near:
        texts = [f"{asked(rows[i].prompt)}\n{rows[i].response}" for i in keep]
        clusters = near_duplicates(list(shingles(texts, options.words)), options.near)
    doubles = {i for cluster in clusters for i, _ in cluster.dropped}
    left += [(int(places[keep[i]]), "near_duplicate", NEAR) for i in sorted(doubles)]
    kept = [place for i, place in enumerate(keep) if i not in doubles]
    return Pool(
        places=places[kept],
        rows=[rows[i] for i in kept],
        clusters=[
            (rows[keep[c.kept]].id, [(rows[keep[i]].id, near) for i, near in c.dropped])
            for c in clusters
        ],
        left=left,
    )


def _leaks(rows: Sequence[Example], options: Options, held_out: Sequence[Row]) -> list[str]:
    """Return for each row why it overlaps with the held-out rows, "" if it does not."""
    if not held_out:
        return [""] * len(rows)
    exact = HeldOut(held_out)
    reasons = [exact.overlap(row) for row in rows]
    if not options.near:
        return reasons
    index = NearIndex(options.near)
    for found in shingles([text for row in held_out for text in parts(row)], options.words):
        index.add(found)
    for side in zip(*map(parts, rows), strict=True):
        for i, found in enumerate(shingles(side, options.words)):
            if not reasons[i] and index.near(found)[0] >= 0:
                reasons[i] = NEAR_HELD_OUT
    return reasons
