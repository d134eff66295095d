"""What a selection tells of itself, as plain values and in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from togi.data.explain import Risen
from togi.data.importance import Fit, kl_reduction
from togi.data.options import Options
from togi.data.own_features import name_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a selection is told from, whoever counted it.

    Attributes:
        pool, target, picked: documents.
        filtered: of the pool, too short to be picked.
        lengths: of pool, picked and target, in words.
        dropped, dropped_target: lines that are no document, by reason.
        effective: effective sample size of the weights, for each separate target.
        target_ngrams: of the separate target that has fewest; 0 without a target.
    """

    pool: int
    target: int
    picked: int
    filtered: int
    lengths: Mapping[str, Any]
    dropped: Mapping[str, int]
    dropped_target: Mapping[str, int]
    effective: tuple[float, ...]
    target_ngrams: int = 0


def report_of(
    figures: Figures,
    fits: Sequence[Fit],
    counts: np.ndarray,
    risen: tuple[list[Risen], list[Risen]],
    k: int,
    options: Options,
) -> dict[str, Any]:
    """Tell of a selection as plain values, as `selection.json` has them.

    Args:
        figures: what was counted.
        fits: the bags that were fitted.
        counts: int64[m], n-grams of the picked documents in each bucket.
        risen: n-grams that rose and fell.
        k: how many documents were asked for.
        options: how they were picked.
    """
    # How many threads worked is no part of the result.
    said = {name: value for name, value in asdict(options).items() if name != "workers"}
    report: dict[str, Any] = {
        "method": "random" if options.random else "dsir",
        "n_raw": figures.pool,
        "n_target": figures.target,
        "k": figures.picked,
        "filtered": figures.filtered,
        "seed": options.seed,
        "lengths": dict(figures.lengths),
        "options": {**said, "of": name_of(options.of)},
        "dropped": dict(figures.dropped),
        "dropped_target": dict(figures.dropped_target),
        "effective_sample_size": _mean_of(figures.effective),
        "kl_reduction": _mean_of(_reduction(one, counts) for one in fits),
        "rising": risen[0],
        "falling": risen[1],
    }
    notes = [*_notes(report, k), *_smoothing(figures.target_ngrams, options)]
    return {**report, "notes": notes}


def _smoothing(ngrams: int, options: Options) -> list[str]:
    """Warn where the pseudo-counts outweigh what is known of the target.

    >>> len(_smoothing(999, Options(smoothing=1.0))), _smoothing(99_999, Options(smoothing=1.0))
    (1, [])
    """
    added = options.smoothing * options.buckets
    if not ngrams or options.random or added < ngrams / 2:
        return []
    return [
        f"smoothing adds {added:,.0f} to a target of {ngrams:,} n-grams, which lowers all weights "
        "and so favours short documents; take fewer buckets, less smoothing or a larger target"
    ]


def _reduction(one: Fit, counts: np.ndarray) -> float:
    total = counts.sum()
    return kl_reduction(one.target, one.raw, counts / total if total else counts)


def _mean_of(values: Iterable[float]) -> float | None:
    """Return the mean, or None (JSON has no NaN) where it is undefined."""
    known = list(values)
    mean = float(np.mean(known)) if known else float("nan")
    return None if np.isnan(mean) else mean


def _notes(report: dict[str, Any], asked: int) -> list[str]:
    """Say in sentences what the user should know about the selection."""
    notes, allowed = [], report["n_raw"] - report["filtered"]
    least = report["options"]["min_tokens"]
    if asked > allowed:
        notes.append(
            f"{asked} documents were wanted, but only {allowed} of {report['n_raw']} have at least "
            f"{least} words: all of them were picked"
        )
    elif report["filtered"] > report["n_raw"] / 2:
        notes.append(
            f"{report['filtered']} of {report['n_raw']} documents have fewer than {least} words "
            "and could not be picked; lower min_tokens for short texts"
        )
    effective = report["effective_sample_size"]
    sampled = not report["options"]["top_k"]
    if sampled and effective is not None and effective < report["k"] / 2:
        notes.append(
            f"the weights are worth only {effective:.1f} equally weighted documents, so this is "
            "nearly the k greatest weights; smoothing or length_normalise make it a broader sample"
        )
    for place, key in (("pool", "dropped"), ("target", "dropped_target")):
        lost = ", ".join(f"{count} {reason}" for reason, count in report[key].items())
        if lost:
            notes.append(f"lines of the {place} that are no documents: {lost}")
    return notes
