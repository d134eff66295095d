"""Why these documents: the n-grams that rose and fell from pool to pick, and lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from togi.data.featuriser import Featuriser
from togi.data.index import NgramIndex

SHOWN = 15  # n-grams of each direction
CANDIDATES = 4 * SHOWN  # buckets to look for examples of
DOCUMENTS, CHARACTERS = 150, 1500  # sampled to find examples: at most so many, cut to so long
LOOKED_AT = 40  # n-grams of each bucket, to find the commonest
HALF = 0.5  # added to counts, so that a bucket never seen has a finite ratio

Risen: TypeAlias = dict[str, str | float]


def rising_and_falling(
    pool: NgramIndex,
    picked: np.ndarray,
    counts: np.ndarray,
    texts_of: Callable[[list[int]], list[str]],
) -> tuple[list[Risen], list[Risen]]:
    """n-grams whose buckets gained and lost most between the pool and the pick.

    Buckets are ranked by their part of the divergence between both; an n-gram stands for its
    bucket if it is the commonest one there in a sample of documents (of the pick for those that
    rose, of the pool for those that fell).

    Args:
        pool: the indexed documents.
        picked: bool[N].
        counts: int64[m], n-grams of the picked documents in each bucket.
        texts_of: the texts of documents, asked for in ascending order.

    Returns:
        Rising and falling: ngram, its bucket's share of the pick and of the pool (both 0 to 1), and
        log_ratio, the natural logarithm of their ratio.
    """
    if not counts.sum() or counts.sum() == pool.counts.sum():
        return [], []
    after = (counts + HALF) / (counts + HALF).sum()
    before = (pool.counts + HALF) / (pool.counts + HALF).sum()
    log_ratio = np.log(after / before)
    directions = []
    for sign, share, where in ((1, after, picked), (-1, before, np.ones(len(pool), bool))):
        order = np.argsort(-sign * share * log_ratio, kind="stable")
        order = order[sign * log_ratio[order] > 0][:CANDIDATES]
        names = _examples(pool, order, _sample(where, texts_of))
        directions.append(
            [
                {
                    "ngram": names[bucket],
                    "picked": float(counts[bucket] / counts.sum()),
                    "pool": float(pool.counts[bucket] / pool.counts.sum()),
                    "log_ratio": float(log_ratio[bucket]),
                }
                for bucket in order.tolist()
                if bucket in names
            ][:SHOWN]
        )
    return directions[0], directions[1]


def _sample(where: np.ndarray, texts_of: Callable[[list[int]], list[str]]) -> list[str]:
    """Return the beginnings of documents spread evenly over those that are marked."""
    places = np.flatnonzero(where)
    steps = np.linspace(0, len(places) - 1, min(DOCUMENTS, len(places))).astype(int)
    return [text[:CHARACTERS] for text in texts_of(places[steps].tolist())]


def _examples(pool: NgramIndex, buckets: np.ndarray, texts: list[str]) -> dict[int, str]:
    """Find the commonest n-gram of each bucket in the texts, the longer one of equals."""
    featuriser = Featuriser(pool.features)
    part = featuriser.texts(texts)
    position = np.concatenate([np.arange(count) for count in part.words] or [[]])
    # The n-grams that end at a word follow each other, shortest first.
    sizes = np.minimum(position + 1, pool.features.order).astype(np.int64)
    starts = np.cumsum(sizes) - sizes
    words = featuriser.last_words()
    examples = {}
    for bucket in buckets.tolist():
        hits = np.flatnonzero(part.indices == bucket)
        hits = hits[:: len(hits) // LOOKED_AT + 1]
        last = np.searchsorted(starts, hits, side="right") - 1
        first = last - (hits - starts[last])
        seen = Counter(" ".join(words[f : t + 1]) for f, t in zip(first, last, strict=True))
        if seen:
            examples[bucket] = max(seen, key=lambda ngram: (seen[ngram], ngram.count(" ")))
    return examples


def length_summary(words: np.ndarray) -> dict[str, Any]:
    """Mean and median of document lengths in words; null without documents.

    >>> length_summary(np.array([1, 2, 6]))
    {'mean': 3.0, 'median': 2.0}
    """
    if not len(words):
        return {"mean": None, "median": None}
    return {"mean": float(words.mean()), "median": float(np.median(words))}
