"""Why these documents: the n-grams that rose and fell from pool to pick, and lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from togi.data.features import Features
from togi.data.featuriser import Featuriser
from togi.data.own_features import OwnFeatures

SHOWN = 15  # n-grams of each direction
CANDIDATES = 4 * SHOWN  # buckets to look for examples of
DOCUMENTS, CHARACTERS = 150, 1500  # sampled to find examples: at most so many, cut to so long
LOOKED_AT = 40  # n-grams of each bucket, to find the commonest
HALF = 0.5  # added to counts, so that a bucket never seen has a finite ratio

Risen: TypeAlias = dict[str, str | float]


def rising_and_falling(
    features: Features,
    before: np.ndarray,
    counts: np.ndarray,
    picked: Sequence[str],
    pool: Sequence[str],
) -> tuple[list[Risen], list[Risen]]:
    """n-grams whose buckets gained and lost most between the pool and the pick.

    Buckets are ranked by their part of the divergence between both; an n-gram stands for its
    bucket if it is the commonest one there in a sample of documents (of the pick for those that
    rose, of the pool for those that fell).

    Args:
        features: what is counted.
        before: int64[m], n-grams of the pool in each bucket.
        counts: int64[m], of the picked documents.
        picked: texts of some picked documents, see `spread`.
        pool: texts of some documents of the pool.

    Returns:
        Rising and falling: ngram, its bucket's share of the pick and of the pool (both 0 to 1), and
        log_ratio, the natural logarithm of their ratio.
    """
    if not counts.sum() or counts.sum() == before.sum():
        return [], []
    after = (counts + HALF) / (counts + HALF).sum()
    expected = before * (counts.sum() / before.sum()) + HALF  # in a pick that is like the pool
    earlier = expected / expected.sum()
    log_ratio = np.log(after / earlier)
    directions = []
    for sign, share, texts in ((1, after, picked), (-1, earlier, pool)):
        order = np.argsort(-sign * share * log_ratio, kind="stable")
        order = order[sign * log_ratio[order] > 0][:CANDIDATES]
        names = _examples(features, order, [text[:CHARACTERS] for text in texts])
        directions.append(
            [
                {
                    "ngram": names[bucket],
                    "picked": float(counts[bucket] / counts.sum()),
                    "pool": float(before[bucket] / before.sum()),
                    "log_ratio": float(log_ratio[bucket]),
                }
                for bucket in order.tolist()
                if bucket in names
            ][:SHOWN]
        )
    return directions[0], directions[1]


def spread(count: int) -> list[int]:
    """Return places of documents spread evenly over that many, for a sample of texts.

    >>> spread(3), len(spread(10_000))
    ([0, 1, 2], 150)
    """
    return np.linspace(0, count - 1, min(DOCUMENTS, count)).astype(int).tolist()


def _examples(features: Features, buckets: np.ndarray, texts: Sequence[str]) -> dict[int, str]:
    """Find the commonest n-gram of each bucket in the texts, the longer one of equals."""
    if features.of in ("words", "characters"):
        found = _ngrams_in(features, buckets, texts)
    else:
        found = OwnFeatures(features.of, features.buckets).examples(texts, buckets.tolist())
    return {
        bucket: max(seen, key=lambda ngram: (seen[ngram], len(ngram.split(" ")), len(ngram)))
        for bucket, seen in found.items()
        if seen
    }


def _ngrams_in(
    features: Features, buckets: np.ndarray, texts: Sequence[str]
) -> dict[int, Counter[str]]:
    """Return some of the n-grams of the texts in each of the buckets, counted."""
    featuriser = Featuriser(features, counted=False)
    part = featuriser.texts(texts)
    words, counts, joint = featuriser.last_tokens()
    position = np.concatenate([np.arange(count) for count in counts] or [[]])
    # The n-grams that end at a token follow each other, shortest first.
    sizes = np.minimum(position + 1, features.order).astype(np.int64)
    starts = np.cumsum(sizes) - sizes
    found = {}
    for bucket in buckets.tolist():
        hits = np.flatnonzero(part.indices == bucket)
        hits = hits[:: len(hits) // LOOKED_AT + 1]
        last = np.searchsorted(starts, hits, side="right") - 1
        first = last - (hits - starts[last])
        pairs = zip(first, last, strict=True)
        found[bucket] = Counter(joint.join(words[f : t + 1]) for f, t in pairs)
    return found


def length_summary(words: np.ndarray) -> dict[str, Any]:
    """Mean and median of document lengths in words; null without documents.

    >>> length_summary(np.array([1, 2, 6]))
    {'mean': 3.0, 'median': 2.0}
    """
    if not len(words):
        return {"mean": None, "median": None}
    return {"mean": float(words.mean()), "median": float(np.median(words))}


def tallied_summary(lengths: Mapping[int, int]) -> dict[str, Any]:
    """Mean and median of lengths that are given as how many documents have each.

    >>> tallied_summary({1: 1, 2: 1, 6: 1})
    {'mean': 3.0, 'median': 2.0}
    """
    total = sum(lengths.values())
    if not total:
        return {"mean": None, "median": None}
    values = sorted(lengths)
    upto = np.cumsum([lengths[value] for value in values])
    middle = [values[int(np.searchsorted(upto, rank, side="right"))]
              for rank in ((total - 1) // 2, total // 2)]  # fmt: skip
    mean = sum(value * count for value, count in lengths.items()) / total
    return {"mean": mean, "median": sum(middle) / 2}
