"""What is counted of documents, hashed into buckets, and what a block of documents gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from togi.data.letters import Engine
from togi.data.lines import Bad
from togi.data.own_features import Of, check_of, name_of
from togi.errors import UsageError, nearest

Hash: TypeAlias = Literal["fast", "exact"]
MOST_BUCKETS = 1 << 29  # so that the sum of eight remainders stays below 2^64


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    r"""What is counted: all n-grams of orders 1 to `order`, hashed into `buckets`.

    Attributes:
        of: what n-grams are made of: "words", "characters" (of the same words, one space where
            there was any), or a function of a text that returns its features as strings, given
            as such or as "file.py:function"; then order and hash do not matter.
        order: longest n-gram, in words or characters.
        buckets: m, 2 to 2^29.
        words: "regex" splits `\w+|[^\w\s]+` by the package of that name, as the reference with
            NLTK 3.10 and later; "re" by Python's own classes, as with NLTK up to 3.9. They differ
            in combining marks, superscript digits and a few control characters.
        hash: "exact" is int(SHA-256(n-gram)) mod m, as in the paper's own package; "fast" is
            the 64-bit mix of `togi.data.kernels.hashing`, with the same words and another hash.
    """

    of: Of = "words"
    order: int = 2
    buckets: int = 10_000
    hash: Hash = "fast"
    words: Engine = "regex"

    def __post_init__(self) -> None:
        check_of(self.of)
        if self.order < 1:
            raise UsageError("the n-gram order must be at least 1", found=str(self.order))
        if not 2 <= self.buckets <= MOST_BUCKETS:
            raise UsageError(
                "this number of buckets is out of range",
                found=str(self.buckets),
                expected=f"2 to {MOST_BUCKETS}",
            )
        if self.hash not in ("fast", "exact"):
            problem = f"there is no hash {self.hash!r}"
            raise UsageError(problem, hint=nearest(str(self.hash), ["fast", "exact"]))
        if self.words not in ("regex", "re"):
            raise UsageError(f"words cannot be {self.words!r}", expected="regex or re")
        if self.of == "characters" and self.hash == "exact":
            raise UsageError(
                "the exact hash is the reference's, which has n-grams of words only",
                where="hash", found="exact, with n-grams of characters", expected="fast",
            )  # fmt: skip

    @property
    def key(self) -> str:
        """What two indexes must have in common to be used together, as text."""
        return repr((name_of(self.of), self.order, self.buckets, self.hash, self.words))

    @property
    def index_type(self) -> type[np.uint16] | type[np.uint32]:
        """The narrowest integers that hold a bucket."""
        return np.uint16 if self.buckets <= 1 << 16 else np.uint32

    def ngrams(self, words: np.ndarray) -> np.ndarray:
        """n-grams of documents with that many words (or characters): int64.

        >>> Features(order=2).ngrams(np.array([0, 1, 5])).tolist()
        [0, 1, 9]
        """
        words = words.astype(np.int64)
        return sum((np.maximum(words - n, 0) for n in range(self.order)), np.zeros_like(words))


class Part(NamedTuple):
    """Features of the documents of one block of input, in input order.

    Attributes:
        indices: the buckets of all n-grams, one document after another.
        words: int32[documents], words of each.
        starts: int64[documents], where each document's line starts in the block, in bytes.
        sizes: int64[documents], bytes of the line with its newline.
        ngrams: int64[documents], features of each.
        prints: uint64[documents], a hash of each document's features in their order.
        lines: lines of the block, with blank and bad ones.
        blank: blank lines.
        bad: the lines that cannot be used.
    """

    indices: np.ndarray
    words: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    ngrams: np.ndarray
    prints: np.ndarray
    lines: int = 0
    blank: int = 0
    bad: tuple[Bad, ...] = ()
