"""A text's toxicity by a small linear model of its own: hashed n-grams, weights that ship.

Words and pairs of words, and runs of 2 to 5 bytes within a word, are hashed into two tables. Each
table is weighted by idf and brought to length 1, as TF-IDF does; one dot product and a monotone
curve give the score.
`train_scorer` fits the weights to released scores and measures how far they can be trusted.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError, UsageError
from togi.stats.arrays import Floats

BUCKETS = 1 << 15
"Places of each table."
GRAMS = (2, 3, 4, 5)
"Lengths of the runs of bytes."
SHIPPED = "toxicity.safetensors"
TABLES = ("words", "grams")

Ids = NDArray[np.int64]

_WORD = re.compile(r"\w\w+")
_SPACE = 32


class Scorer(Protocol):
    """Whoever scores texts from 0 (nobody minds) to 1 (hurts)."""

    @property
    def identity(self) -> str:
        """Name and version: a score without it means nothing."""
        ...

    def score(self, texts: Sequence[str]) -> Floats:
        """Return (texts,) scores; NaN for a text without a letter."""
        ...


def word_ids(text: str) -> Ids:
    """Return the places of a text's words of two letters or more, and of neighbouring pairs.

    >>> len(word_ids("a very old tree"))
    5
    """
    words = _WORD.findall(text)
    pairs = [f"{one} {two}" for one, two in pairwise(words)]
    found = [zlib.crc32(term.encode("utf-8", "replace")) for term in (*words, *pairs)]
    return np.array(found, dtype=np.int64) & (BUCKETS - 1)


def gram_ids(text: str) -> Ids:
    """Return the places of the runs of bytes within words, the space on either side included.

    >>> len(gram_ids("ab")), len(gram_ids(""))
    (6, 0)
    """
    data = np.frombuffer(f" {text} ".encode("utf-8", "replace"), dtype=np.uint8).astype(np.uint64)
    space = data == _SPACE
    found: list[Ids] = []
    for n in GRAMS:
        if (size := len(data) - n + 1) <= 0:
            break
        code, within = np.full(size, n, dtype=np.uint64), np.ones(size, dtype=np.bool_)
        for k in range(n):
            code = code * np.uint64(0x100000001B3) ^ data[k : k + size]
            if 0 < k < n - 1:
                within &= ~space[k : k + size]
        code ^= code >> np.uint64(29)
        code *= np.uint64(0xBF58476D1CE4E5B9)
        code ^= code >> np.uint64(32)
        both = space[:size] & space[n - 1 : n - 1 + size] & (n == 2)
        found.append((code[within & ~both] & np.uint64(BUCKETS - 1)).astype(np.int64))
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def counted(ids: Ids) -> tuple[Ids, Floats]:
    """Return the distinct places and how much each weighs: 1 + the logarithm of its count.

    >>> counted(np.array([3, 1, 3]))[0].tolist()
    [1, 3]
    """
    places, times = np.unique(ids, return_counts=True)
    return places, 1 + np.log(times)


def normal(text: str) -> str:
    """Return a text in lower case with single spaces.

    >>> normal(" A  b")
    'a b'
    """
    return " ".join(text.lower().split())


def features(text: str) -> tuple[tuple[Ids, Floats], tuple[Ids, Floats]]:
    """Return a text's words and runs of bytes: places and weights, not yet by idf."""
    plain = normal(text)
    return counted(word_ids(plain)), counted(gram_ids(plain))


def unit(places: Ids, weights: Floats, idf: Floats) -> Floats:
    """Return the weights by idf, brought to length 1.

    >>> unit(np.array([0, 1]), np.array([3.0, 2.0]), np.array([1.0, 2.0])).tolist()
    [0.6, 0.8]
    """
    scaled = weights * idf[places]
    length = math.sqrt(float(scaled @ scaled))
    return scaled / length if length else scaled


@dataclass(frozen=True, slots=True)
class LinearScorer:
    """The linear model.

    Attributes:
        identity: name and version.
        idf: (BUCKETS,) of words, and of runs of bytes.
        weights: (BUCKETS,) likewise.
        bias: the linear score of a text that says nothing.
        knots: (2, k) linear scores, and what released scores are there on average.
        about: what its training measured: data, agreement, calibration, licence.
    """

    identity: str
    idf: tuple[Floats, Floats]
    weights: tuple[Floats, Floats]
    bias: float
    knots: Floats
    about: dict[str, Any]

    def score(self, texts: Sequence[str]) -> Floats:
        """Return (texts,) scores from 0 to 1; NaN for a text without a letter."""
        return np.array([self._one(text) for text in texts], dtype=np.float64)

    def _one(self, text: str) -> float:
        if not text.strip():
            return math.nan
        total = self.bias
        tables = zip(features(text), self.idf, self.weights, strict=True)
        for (places, counts), idf, weights in tables:
            total += float(unit(places, counts, idf) @ weights[places])
        return float(np.interp(total, *self.knots))


def load_scorer(path: Path, name: str) -> LinearScorer:
    """Read a scorer that `train_scorer` wrote.

    Raises:
        DataError: it is no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})["about"])
            keys = [f"{part}.{table}" for part in ("idf", "weights") for table in TABLES]
            one, two, three, four = (file.get_tensor(key).astype(np.float64) for key in keys)
            bias = float(file.get_tensor("bias")[0])
            knots = file.get_tensor("knots").astype(np.float64)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise DataError(
            "not a toxicity scorer",
            where=str(path),
            found=(str(error).splitlines() or [type(error).__name__])[0][:120],
            hint="`python -m togi.evaluate.trust.train_scorer DATA FILE` writes one",
        ) from error
    digest = hashlib.blake2b(path.read_bytes(), digest_size=4).hexdigest()
    return LinearScorer(f"{name}#{digest}", (one, two), (three, four), bias, knots, about)


@functools.cache
def local_scorer() -> LinearScorer:
    """Return the scorer that comes with togi.

    >>> local_scorer().score(["The river leaves the hills quietly."]).max() < 0.3
    np.True_
    """
    return load_scorer(Path(str(files("togi.evaluate.trust") / SHIPPED)), "local")


@functools.cache
def scorer_of(name: str) -> Scorer:
    """Return the scorer of that name, or of that identity, which names its version too.

    Args:
        name: local, perspective, or a file that was trained; with #version where it must be the
            very same.

    Raises:
        UsageError: there is no such scorer or file, it has changed, or the remote one has no key.

    >>> scorer_of("local") is scorer_of(scorer_of("local").identity)
    True
    """
    base, _, version = name.partition("#")
    found = _scorer(base)
    if version and found.identity != name:
        raise UsageError(
            "the scorer has changed since", where=base, found=found.identity, expected=name
        )
    return found


def _scorer(name: str) -> Scorer:
    if name == "local":
        return local_scorer()
    if name == "perspective":
        from togi.evaluate.trust.perspective import PerspectiveScorer

        return PerspectiveScorer()
    path = Path(name).expanduser()
    if not path.is_file():
        raise UsageError(
            f"no scorer of toxicity is called {name!r}",
            expected="local, perspective, or the file of a trained scorer",
        )
    return load_scorer(path, name)
