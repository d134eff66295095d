"""From blocks of bytes to hashed features, by the kernels, in scratch memory of fixed size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from togi.data.features import Features, Part
from togi.data.kernels.table import (
    ASK,
    BLANK,
    ESCAPED,
    FACTORS,
    MEMO_ENTRY,
    SHA_WORDS,
    WAITING,
)
from togi.data.letters import letters
from togi.data.lines import Bad, Decode, field_of, text_of
from togi.data.native import kernels
from togi.data.own_features import OwnFeatures
from togi.stats.rng import stream

MEMO_BITS = 14  # 16,384 short n-grams and their buckets: 400 kB, fits a core's own cache
SHORT_LINE = 200  # bytes of a line, guessed on the short side to make room for all of a block


def _joined(texts: Sequence[str]) -> tuple[bytes, np.ndarray]:
    """Return texts as one run of bytes, and where each starts, ends, and that none is escaped."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    sizes = np.array([len(text) for text in encoded], dtype=np.int64)
    ends = np.cumsum(sizes)
    return b"".join(encoded), np.stack([ends - sizes, ends, np.zeros_like(ends)], axis=1)


class Words(NamedTuple):
    """Words of documents, one document after another; a slice of it is a list of strings."""

    text: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def __getitem__(self, chosen: slice) -> list[str]:  # type: ignore[override]
        borders = zip(self.starts[chosen].tolist(), self.ends[chosen].tolist(), strict=True)
        return [self.text[s:e].tobytes().decode("utf-8", "surrogatepass") for s, e in borders]


class Tokens(NamedTuple):
    """What n-grams are made of: the tokens, how many each document has, what stands between."""

    words: Words
    sizes: np.ndarray
    joint: str


class Featuriser:
    """Turns blocks into features; one for each thread, for it owns the scratch memory.

    Args:
        features: what is counted.
        counted: whether to keep `counts`.

    Attributes:
        counts: int64[m], n-grams in each bucket over everything that was seen.
    """

    def __init__(self, features: Features, *, counted: bool = True) -> None:
        self.features, self.counted = features, counted
        self.counts = np.zeros(features.buckets if counted else 0, dtype=np.int64)
        self._run, self._letters = kernels(), letters(features.words)
        self._scratch: dict[str, np.ndarray] = {}
        self._sizes = np.empty(0, np.int32)
        m = features.buckets
        self._own = None
        if features.of not in ("words", "characters"):
            self._own = OwnFeatures(features.of, m)
        self._powers = np.array([pow(2, 32 * (7 - i), m) for i in range(8)] + [m], dtype=np.uint64)
        self._chain = np.zeros(features.order + 1, dtype=np.uint64)
        if features.hash == "exact":
            self._memo = np.zeros(MEMO_ENTRY << MEMO_BITS, dtype=np.uint64)
            self._waiting = np.zeros(WAITING, dtype=np.uint64)
            self._lanes = np.zeros(SHA_WORDS, dtype=np.uint32)

    def _take(self, name: str, size: int, kind: Any) -> np.ndarray:
        """Scratch of at least that size; kept and only ever grown."""
        array = self._scratch.get(name)
        if array is None or array.size < size:
            array = self._scratch[name] = np.empty(size + size // 4, dtype=kind)
        return array

    def lines(self, block: bytes, field: str, decode: Decode | None = None) -> Part:
        """Features of whole lines of JSON; the text is the string in `field`.

        Lines that the scanner is not sure of go to `decode`, by default `field_of`.
        """
        return self._lines(
            block, self._scan(block, field), decode or partial(field_of, field=field)
        )

    def plain_lines(self, block: bytes, decode: Decode = text_of) -> Part:
        """Features of lines of plain text, each a document, or of what `decode` makes of a line."""
        lines = [line + b"\n" for line in block.removesuffix(b"\n").split(b"\n")]
        starts = np.cumsum([0, *map(len, lines)], dtype=np.int64)[:-1]
        status = [ASK if line.strip() else BLANK for line in lines]
        table = np.stack([np.array(status, dtype=np.int64), starts, starts, starts], axis=1)
        return self._lines(block, table, decode)

    def texts(self, texts: Sequence[str]) -> Part:
        """Features of texts in memory."""
        return self.column(*_joined(texts))

    def column(self, data: bytes, spans: np.ndarray) -> Part:
        """Features of the texts data[start:end], UTF-8: spans int64[documents, 3], the third 0."""
        indices, words, ngrams, prints = self._featurise(data, spans)
        return Part(indices, words, spans[:, 0], spans[:, 1] - spans[:, 0], ngrams, prints)

    def _scan(self, block: bytes, field: str) -> np.ndarray:
        """Status, line start, field start and field end of every line: int64[lines, 4]."""
        text, key = np.frombuffer(block, np.uint8), np.frombuffer(field.encode(), np.uint8)
        room = max(64, len(block) // SHORT_LINE)
        while True:
            table = self._take("lines", 4 * room, np.int64)
            count = self._run("scan_lines", text, len(block), key, key.size, table, room)
            if count >= 0:
                return table[: 4 * count].reshape(count, 4)
            room *= 8  # many short lines

    def _lines(self, block: bytes, table: np.ndarray, decode: Decode) -> Part:
        """Features of the lines of a scanned block; those that the scanner leaves are decoded."""
        status, starts = table[:, 0], table[:, 1]
        ends = np.append(starts[1:], len(block))
        spans = np.stack([table[:, 2], table[:, 3], status == ESCAPED], axis=1)
        bad, extra = [], bytearray()
        for number in np.flatnonzero(status == ASK):
            text = decode(block[starts[number] : ends[number]])
            if isinstance(text, Bad):
                bad.append(text._replace(line=int(number), start=int(starts[number])))
                continue
            first = len(block) + len(extra)
            extra += text.encode("utf-8", "surrogatepass")
            spans[number] = first, len(block) + len(extra), 0
        useful = status != BLANK
        useful[[fault.line for fault in bad]] = False
        data = block + bytes(extra) if extra else block
        spans = np.ascontiguousarray(spans[useful])
        indices, words, ngrams, prints = self._featurise(data, spans)
        return Part(
            indices,
            words,
            starts[useful],
            (ends - starts)[useful],
            ngrams,
            prints,
            len(table),
            int(np.count_nonzero(status == BLANK)),
            tuple(bad),
        )

    def last_words(self) -> Words:
        """Return the words of the documents that were featurised last, valid until the next."""
        return Words(self._scratch["text"], self._scratch["starts"], self._scratch["ends"])

    def last_tokens(self) -> Tokens:
        """Return what the n-grams of the documents featurised last are made of; see last_words."""
        if self.features.of != "characters":
            return Tokens(self.last_words(), self._sizes, " ")
        text, first, last = (self._scratch[name] for name in ("text", "first", "last"))
        return Tokens(Words(text, first, last), self._sizes, "")

    def words(self, texts: Sequence[str]) -> list[list[str]]:
        r"""Lower-case and split each text, as `findall(r"\w+|[^\w\s]+", text.lower())`."""
        ends = np.cumsum(self.split(texts)).tolist()
        words = self.last_words()
        return [words[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def split(self, texts: Sequence[str]) -> np.ndarray:
        """Split texts only; return int32[texts], the words of each; see `last_words`."""
        return self._split(*_joined(texts))

    def _split(self, data: bytes, spans: np.ndarray) -> np.ndarray:
        """Words of the documents into scratch "text", "starts" and "ends": words of each."""
        count, size = len(spans), int((spans[:, 1] - spans[:, 0]).sum())
        words = np.empty(count, dtype=np.int32)
        self._run(
            "split_words",
            np.frombuffer(data, np.uint8) if data else np.zeros(1, np.uint8),
            spans.reshape(-1),
            count,
            self._letters.lower,
            self._letters.kinds,
            self._take("text", size + size // 2 + 64, np.uint8),
            self._take("starts", size + 2, np.int32),
            self._take("ends", size + 2, np.int32),
            words,
        )
        return words

    def _featurise(
        self, data: bytes, spans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Buckets, words, n-grams and prints of the documents spans[:, 0:2] of the data.

        spans[:, 2] says whether JSON escapes the document.
        """
        words = self._split(data, spans)
        if self._own is not None:
            ngrams, buckets = self._own(data, spans)
            total = len(buckets)
        else:
            self._sizes = words if self.features.of == "words" else self._characters(words)
            ngrams = self.features.ngrams(self._sizes)
            total = int(ngrams.sum())
            buckets = self._take("buckets", total, np.uint32)
            self._hash(self._sizes, total, buckets)
        prints = np.empty(len(words), dtype=np.uint64)
        self._run("fingerprints", buckets, ngrams, len(words), _factors(), prints)
        if self.counted:
            self._run("count_buckets", buckets, total, self.counts)
        return buckets[:total].astype(self.features.index_type), words, ngrams, prints

    def _characters(self, words: np.ndarray) -> np.ndarray:
        """Characters of the words into scratch "first" and "last": int32[documents]."""
        scratch, sizes = self._scratch, np.empty(len(words), dtype=np.int32)
        size = scratch["text"].size
        self._run(
            "split_characters", scratch["text"], scratch["starts"], scratch["ends"], words,
            len(words), self._take("first", size, np.int32), self._take("last", size, np.int32),
            sizes,
        )  # fmt: skip
        return sizes

    def _hash(self, sizes: np.ndarray, total: int, buckets: np.ndarray) -> None:
        """Write the buckets of the n-grams of the tokens that were split last."""
        scratch, features = self._scratch, self.features
        names = ("starts", "ends") if features.of == "words" else ("first", "last")
        split = (scratch["text"], *(scratch[name] for name in names), sizes, len(sizes))
        if features.hash == "fast":
            more = (features.order, features.buckets, self._chain, buckets)
            written = self._run("fast_buckets", *split, *more)
        else:
            message = self._take("message", scratch["text"].size + features.order + 80, np.uint8)
            memo = (self._powers, self._memo, MEMO_BITS, self._waiting, self._lanes, message)
            written = self._run("exact_buckets", *split, features.order, *memo, buckets)
        if written != total:
            raise RuntimeError(f"{written} n-grams were written, {total} were due")


@cache
def _factors() -> np.ndarray:
    """Return the random odd factors of fingerprints, the same everywhere."""
    drawn = stream(0, "fingerprints").integers(0, 1 << 64, FACTORS, dtype=np.uint64)
    return drawn | np.uint64(1)
