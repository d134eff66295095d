"""How to select documents: the options, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from togi.data.blocks import cores
from togi.data.features import Features, Hash
from togi.data.letters import Engine
from togi.data.own_features import Of
from togi.errors import UsageError
from togi.stats.rng import derive


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to select; the defaults are the reference package's, but for the fast hash."""

    of: Of = "words"
    "What n-grams are made of: `words`, `characters`, or a function of a text, by `file.py:name`."
    hash: Hash = "fast"
    "`exact`: SHA-256 modulo m, as the reference; `fast`: the same words, a quicker hash."
    words: Engine = "regex"
    "Which `\\w` splits words: `regex` (reference with NLTK 3.10 and later) or Python's `re`."
    order: int = 2
    "Longest n-gram, in words or characters."
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
        return Features(
            of=self.of, order=self.order, buckets=self.buckets, hash=self.hash, words=self.words
        )

    @property
    def threads(self) -> int:
        """Threads to use."""
        return self.workers or cores()


def check_targets(count: int, options: Options) -> None:
    """Refuse a selection without a target, unless it is a random one.

    Raises:
        UsageError: there is none.
    """
    if not count and not options.random:
        raise UsageError(
            "a target is wanted", hint="name files or rows like those you want more of"
        )


def quotas(k: int, sizes: Sequence[int], options: Options) -> list[int]:
    """How many to pick for each target: k by the proportions, what rounding leaves to the last.

    Args:
        k: of all targets together.
        sizes: n-grams of each target, its proportion where none is given.
        options: proportions; or random, which has one quota.

    Raises:
        UsageError: k is negative, or proportions do not match the targets.

    >>> quotas(10, [30, 70], Options()), quotas(3, [1, 1], Options(proportions=(3.0, 1.0)))
    ([3, 7], [2, 1])
    """
    if k < 0:
        raise UsageError("k cannot be negative", found=str(k), expected="0 or more")
    if options.random:
        return [k]
    shares = np.array(options.proportions or sizes, float)
    if len(shares) != len(sizes):
        raise UsageError(
            "proportions and targets do not match",
            found=f"{len(shares)} proportions, {len(sizes)} targets",
            hint="give one proportion for each target and set separate_targets",
        )
    found = [int(k * share) for share in shares / shares.sum()]
    return [*found[:-1], k - sum(found[:-1])]


def seed_of(target: int, options: Options) -> int:
    """Return the seed of a target's noise."""
    return options.seed if target == 0 else derive(options.seed, "target", target)
