"""From indexed documents to a selection: fit, weigh, fill the quotas, explain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from togi.data.blocks import cores
from togi.data.explain import length_summary, rising_and_falling
from togi.data.features import Features, Hash
from togi.data.importance import Fit, effective_sample_size, fit, gumbel_top_k, kl_reduction
from togi.data.index import NgramIndex, merged
from togi.data.letters import Engine
from togi.errors import UsageError
from togi.stats.rng import derive


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to select; the defaults are the reference package's, but for the fast hash."""

    hash: Hash = "fast"
    "`exact`: SHA-256 modulo m, as the reference; `fast`: the same words, a quicker hash."
    words: Engine = "regex"
    "Which `\\w` splits words: `regex` (reference with NLTK 3.10 and later) or Python's `re`."
    order: int = 2
    "Longest n-gram, in words."
    buckets: int = 10_000
    "Hash buckets m."
    min_tokens: int = 100
    "Documents with fewer words are never picked."
    smoothing: float = 0.0
    "Pseudo-count of every target bucket; try 1 for targets of fewer than 100,000 words."
    length_normalise: bool = False
    "Divide log weights by the number of n-grams, so that long documents are not extreme."
    top_k: bool = False
    "Take the k greatest weights instead of sampling by them."
    random: bool = False
    "Ignore the weights: a random pick of equally eligible documents, the control."
    seed: int = 0
    "Seed of the sampling."
    separate_targets: bool = False
    "Fit and fill a quota for each target by itself instead of for all of them together."
    proportions: tuple[float, ...] = ()
    "Quotas of separate targets; by default their shares of the targets' n-grams."
    workers: int = 0
    "Threads; 0 takes all cores. The result does not depend on it."

    def __post_init__(self) -> None:
        if self.min_tokens < 0:
            raise UsageError("min_tokens cannot be negative", found=str(self.min_tokens))
        if self.proportions and (min(self.proportions) < 0 or not sum(self.proportions)):
            raise UsageError("proportions must not be negative", found=str(self.proportions))

    @property
    def features(self) -> Features:
        """What is counted."""
        return Features(order=self.order, buckets=self.buckets, hash=self.hash, words=self.words)

    @property
    def threads(self) -> int:
        """Threads to use."""
        return self.workers or cores()


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
    if not targets and not options.random:
        raise UsageError(
            "a target is wanted", hint="name files or rows like those you want more of"
        )
    groups = list(targets) if options.separate_targets else _together(targets)
    fits = tuple(fit(pool.counts, group.counts, options.smoothing) for group in groups)
    columns = _log_weights(pool, fits, options)
    allowed = pool.words >= options.min_tokens
    quotas = [k] if options.random else _quotas(k, groups, options)
    picked = _fill_quotas(columns, allowed, quotas, options)
    report = _report(pool, groups, allowed, picked, options)
    counts = pool.counts_of(picked)
    report["effective_sample_size"] = _mean_of(effective_sample_size(c[allowed]) for c in columns)
    report["kl_reduction"] = _mean_of(_reduction(one, counts) for one in fits)
    rising, falling = rising_and_falling(pool, picked, counts, texts_of)
    report |= {"rising": rising, "falling": falling, "notes": _notes(report, k)}
    return Selection(
        indices=np.flatnonzero(picked),
        log_weights=columns[0] if len(columns) == 1 else np.stack(columns, axis=1),
        words=pool.words,
        fits=fits,
        report=report,
    )


def _together(targets: Sequence[NgramIndex]) -> list[NgramIndex]:
    return [merged(targets)] if targets else []


def _log_weights(pool: NgramIndex, fits: Sequence[Fit], options: Options) -> list[np.ndarray]:
    """Weigh all documents for each target, float64[N] each."""
    if options.random:
        return [np.zeros(len(pool))]
    columns = [pool.log_weights(one.log_ratio) for one in fits]
    if options.length_normalise:
        ngrams = np.maximum(pool.features.ngrams(pool.words), 1)
        columns = [column / ngrams for column in columns]
    return columns


def _report(
    pool: NgramIndex,
    groups: Sequence[NgramIndex],
    allowed: np.ndarray,
    picked: np.ndarray,
    options: Options,
) -> dict[str, Any]:
    """Tell what was counted, as plain values."""
    target = merged(groups) if groups else None
    return {
        "method": "random" if options.random else "dsir",
        "n_raw": len(pool),
        "n_target": len(target) if target else 0,
        "k": int(picked.sum()),
        "filtered": int((~allowed).sum()),
        "seed": options.seed,
        "lengths": {
            "pool": length_summary(pool.words),
            "picked": length_summary(pool.words[picked]),
            "target": length_summary(target.words if target else np.empty(0)),
        },
        # How many threads worked is no part of the result.
        "options": {name: value for name, value in asdict(options).items() if name != "workers"},
        "dropped": dict(pool.dropped),
        "dropped_target": dict(target.dropped) if target else {},
    }


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


def _quotas(k: int, targets: Sequence[NgramIndex], options: Options) -> list[int]:
    """How many to pick for each target: k by the proportions, what rounding leaves to the last."""
    if k < 0:
        raise UsageError("k cannot be negative", found=str(k), expected="0 or more")
    shares = np.array(options.proportions or [target.counts.sum() for target in targets], float)
    if len(shares) != len(targets):
        raise UsageError(
            "proportions and targets do not match",
            found=f"{len(shares)} proportions, {len(targets)} targets",
            hint="give one proportion for each target and set separate_targets",
        )
    quotas = [int(k * share) for share in shares / shares.sum()]
    return [*quotas[:-1], k - sum(quotas[:-1])]


def _fill_quotas(
    columns: list[np.ndarray], allowed: np.ndarray, quotas: list[int], options: Options
) -> np.ndarray:
    """Mark the picked documents, bool[N]; one that a target has is gone for the next."""
    picked = np.zeros(len(allowed), dtype=bool)
    for number, (log_weights, quota) in enumerate(zip(columns, quotas, strict=True)):
        seed = options.seed if number == 0 else derive(options.seed, "target", number)
        left = allowed & ~picked
        chosen = gumbel_top_k(log_weights, quota, seed=seed, allowed=left, noise=not options.top_k)
        picked[chosen] = True
    return picked
