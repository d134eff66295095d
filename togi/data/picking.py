"""Pick among candidates: quotas for the topics, diverse rows within each, and what that won."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from togi.data.candidates import Near, Options, Pool, quotas_of
from togi.data.diverse import METHODS, coverage
from togi.data.spool import Spool, asked
from togi.data.vectors import Points, hashed_vectors, read_embeddings
from togi.rows.types import Example
from togi.stats import Estimate, bootstrap_mean, paired_difference, stream

COMPARED = 2000  # candidates at which the pick is compared with a random one


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How near candidates that were not picked are to the nearest picked row, from 0 to 1.

    Beside it the same for a random pick of the same quotas; candidates of neither pick count.
    """

    picked: Estimate
    random: Estimate
    difference: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """What was picked.

    Attributes:
        places: of the rows in the spool, ascending.
        sizes: eligible rows of each topic.
        quotas: picked rows of each topic.
        clusters: near-duplicates, as in `Pool`.
        coverage: None where the pick is random, or takes all.
    """

    places: list[int]
    sizes: list[int]
    quotas: list[int]
    clusters: list[tuple[str, Near]]
    coverage: Coverage | None


def pick(spool: Spool, eligible: np.ndarray, pool: Pool, options: Options, total: int) -> Picked:
    """Pick k rows of the pool, or all if it has no more.

    Args:
        spool: the rows that passed the rules.
        eligible: bool[n], which of them may be picked.
        pool: the candidates.
        options: how to pick.
        total: rows of the source; embeddings must have as many.
    """
    topics = spool.topic
    count = len(spool.topics)
    sizes = np.bincount(topics[eligible], minlength=count).tolist()
    room = np.bincount(topics[pool.places], minlength=count).tolist()
    quotas = quotas_of(spool, sizes, room, options)
    points = _points(spool, pool, options, total)
    order = _order(spool, pool, options)
    drawn = stream(options.seed, "control").permutation(len(order))
    chosen: list[int] = []
    near: list[tuple[np.ndarray, np.ndarray]] = []
    for topic, quota in enumerate(quotas):
        inside = order[topics[pool.places[order]] == topic]
        if not quota:
            continue
        some = points(inside)
        took = METHODS[options.within](some, quota)
        chosen += inside[took].tolist()
        if options.within != "random":
            control = np.flatnonzero(np.isin(inside, drawn[np.isin(drawn, inside)][:quota]))
            near.append(_beside(some, took, control.tolist()))
    places = sorted(pool.places[chosen].tolist())
    compared = _compared(near, options.seed) if len(chosen) < len(pool.places) else None
    return Picked(
        places=places, sizes=sizes, quotas=quotas, clusters=pool.clusters, coverage=compared
    )


def _order(spool: Spool, pool: Pool, options: Options) -> np.ndarray:
    """Return the candidates in the order of ties: by score for "score", else as the seed draws."""
    if options.within == "score":
        return np.arange(len(pool.places))  # the pool comes best first
    rank = np.empty(len(spool), dtype=np.int64)
    rank[spool.as_drawn()] = np.arange(len(spool))
    return np.argsort(rank[pool.places], kind="stable")


def _points(
    spool: Spool, pool: Pool, options: Options, total: int
) -> Callable[[np.ndarray], Points]:
    """Return what makes points of some candidates; random picks need none, but their number."""
    if options.within == "random":
        return lambda inside: Points(np.zeros((len(inside), 1)))
    if options.embeddings is not None:
        matrix = read_embeddings(options.embeddings, total)[spool.numbers[pool.places]]
    else:
        matrix = hashed_vectors([text_of(row, options) for row in pool.rows])
    return Points(matrix).subset


def text_of(row: Example, options: Options) -> str:
    """Return the text by which a row is told apart."""
    if options.side == "prompt":
        return asked(row.prompt)
    return row.response if options.side == "response" else f"{asked(row.prompt)}\n{row.response}"


def _beside(
    points: Points, took: Sequence[int], control: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coverage of the points that neither of two picks holds, by each."""
    others = np.ones(len(points), dtype=bool)
    others[[*took, *control]] = False
    return coverage(points, took)[others], coverage(points, control)[others]


def _compared(near: Sequence[tuple[np.ndarray, np.ndarray]], seed: int) -> Coverage | None:
    """Estimate both coverages and their paired difference on at most `COMPARED` candidates."""
    if not any(len(one) for one, _ in near):
        return None
    picked, control = (np.concatenate(column) for column in zip(*near, strict=True))
    some = np.sort(stream(seed, "compared").permutation(len(picked))[:COMPARED])
    return Coverage(
        picked=bootstrap_mean(picked[some], seed=seed),
        random=bootstrap_mean(control[some], seed=seed),
        difference=paired_difference(picked[some], control[some], seed=seed).estimate,
    )
