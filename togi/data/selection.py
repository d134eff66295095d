"""From indexed documents to a selection: fit, weigh, fill the quotas, explain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from togi.data.explain import length_summary, rising_and_falling, spread
from togi.data.importance import Fit, effective_sample_size, fit, gumbel_top_k
from togi.data.index import NgramIndex, merged
from togi.data.options import Options, check_targets, quotas, seed_of
from togi.data.told import Figures, report_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was picked and why.

    Attributes:
        indices: the picked documents' places in the pool, ascending.
        log_weights: of all documents of the pool, in nats: float64[N], or [N, T] for T
            separate targets.
        words: words of each document: int32[N].
        fits: the bags of n-grams that were fitted; one, or one for each separate target.
        report: everything that `selection.json` tells, as plain values.
    """

    indices: np.ndarray
    log_weights: np.ndarray
    words: np.ndarray
    fits: tuple[Fit, ...]
    report: dict[str, Any]

    @property
    def notes(self) -> list[str]:
        """What the user should know, in sentences."""
        return self.report["notes"]


def choose(
    pool: NgramIndex,
    targets: Sequence[NgramIndex],
    k: int,
    options: Options,
    texts_of: Callable[[list[int]], list[str]],
) -> Selection:
    """Pick k documents of an indexed pool for one target or several; see `togi.data.dsir.select`.

    The index is reusable: choosing for another target or another k reads no text again. A random
    choice needs no target; with one, the report tells how near the pick comes to it.
    """
    check_targets(len(targets), options)
    groups = list(targets) if options.separate_targets else _together(targets)
    fits = tuple(fit(pool.counts, group.counts, options.smoothing) for group in groups)
    columns = _log_weights(pool, fits, options)
    allowed = pool.words >= options.min_tokens
    shares = quotas(k, [int(group.counts.sum()) for group in groups], options)
    picked = _fill_quotas(columns, allowed, shares, options)
    target = merged(groups) if groups else None
    counts = pool.counts_of(picked)
    figures = Figures(
        pool=len(pool), target=len(target) if target else 0, picked=int(picked.sum()),
        filtered=int((~allowed).sum()), dropped={}, dropped_target={},
        lengths={
            "pool": length_summary(pool.words),
            "picked": length_summary(pool.words[picked]),
            "target": length_summary(target.words if target else np.empty(0)),
        },
        effective=tuple(effective_sample_size(column[allowed]) for column in columns),
        target_ngrams=min((int(group.counts.sum()) for group in groups), default=0),
    )  # fmt: skip
    places = np.flatnonzero(picked)
    samples = (places[spread(len(places))].tolist(), spread(len(pool)))
    risen = rising_and_falling(pool.features, pool.counts, counts, *map(texts_of, samples))
    return Selection(
        indices=places,
        log_weights=columns[0] if len(columns) == 1 else np.stack(columns, axis=1),
        words=pool.words,
        fits=fits,
        report=report_of(figures, fits, counts, risen, k, options),
    )


def _together(targets: Sequence[NgramIndex]) -> list[NgramIndex]:
    return [merged(targets)] if targets else []


def _log_weights(pool: NgramIndex, fits: Sequence[Fit], options: Options) -> list[np.ndarray]:
    """Weigh all documents for each target, float64[N] each."""
    if options.random:
        return [np.zeros(len(pool))]
    columns = [pool.log_weights(one.log_ratio) for one in fits]
    if options.length_normalise:
        columns = [column / np.maximum(pool.ngrams, 1) for column in columns]
    return columns


def _fill_quotas(
    columns: list[np.ndarray], allowed: np.ndarray, shares: list[int], options: Options
) -> np.ndarray:
    """Mark the picked documents, bool[N]; one that a target has is gone for the next."""
    picked = np.zeros(len(allowed), dtype=bool)
    for number, (log_weights, quota) in enumerate(zip(columns, shares, strict=True)):
        seed = seed_of(number, options)
        left = allowed & ~picked
        chosen = gumbel_top_k(log_weights, quota, seed=seed, allowed=left, noise=not options.top_k)
        picked[chosen] = True
    return picked
