"""Hashed n-gram features of documents, straight from bytes, with scratch memory of fixed size."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from togi.data.kernels.table import (
    ASK,
    BLANK,
    ESCAPED,
    MEMO_ENTRY,
    SHA_WORDS,
    WAITING,
)
from togi.data.letters import Engine, letters
from togi.data.native import kernels
from togi.errors import UsageError, nearest

Hash: TypeAlias = Literal["fast", "exact"]
MEMO_BITS = 14  # 16,384 short n-grams and their buckets: 400 kB, fits a core's own cache
SHORT_LINE = 200  # bytes of a line, guessed on the short side to make room for all of a block
MOST_BUCKETS = 1 << 29  # so that the sum of eight remainders stays below 2^64


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    r"""What is counted: all n-grams of orders 1 to `order`, hashed into `buckets`.

    Attributes:
        order: longest n-gram, in words.
        buckets: m, 2 to 2^29.
        words: "regex" splits `\w+|[^\w\s]+` by the package of that name, as the reference with
            NLTK 3.10 and later; "re" by Python's own classes, as with NLTK up to 3.9. They differ
            in combining marks, superscript digits and a few control characters.
        hash: "exact" is int(SHA-256(n-gram)) mod m, as in the paper's own package; "fast" is
            the 64-bit mix of `togi.data.kernels.hashing`, with the same words and another hash.
    """

    order: int = 2
    buckets: int = 10_000
    hash: Hash = "fast"
    words: Engine = "regex"

    def __post_init__(self) -> None:
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

    @property
    def index_type(self) -> type[np.uint16] | type[np.uint32]:
        """The narrowest integers that hold a bucket."""
        return np.uint16 if self.buckets <= 1 << 16 else np.uint32

    def ngrams(self, words: np.ndarray) -> np.ndarray:
        """n-grams of documents with that many words (int64).

        >>> Features(order=2).ngrams(np.array([0, 1, 5])).tolist()
        [0, 1, 9]
        """
        words = words.astype(np.int64)
        return sum((np.maximum(words - n, 0) for n in range(self.order)), np.zeros_like(words))


class Bad(NamedTuple):
    """A line that cannot be used: its number in its part, and why."""

    line: int
    reason: str
    found: str


class Part(NamedTuple):
    """Features of the documents of one block of input, in input order.

    Attributes:
        indices: the buckets of all n-grams, one document after another.
        words: int32[documents], words of each.
        starts: int64[documents], where each document's line starts in the block, in bytes.
        sizes: int64[documents], bytes of the line with its newline.
        lines: lines of the block, with blank and bad ones.
        blank: blank lines.
        bad: the lines that cannot be used.
    """

    indices: np.ndarray
    words: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    lines: int = 0
    blank: int = 0
    bad: tuple[Bad, ...] = ()


def field_of(line: bytes, field: str) -> str | Bad:
    """Return the text in the field of a line of JSON, or what is wrong with the line."""
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as fault:
        return Bad(0, "not UTF-8", f"byte 0x{line[fault.start]:02x} at column {fault.start + 1}")
    except (ValueError, RecursionError) as fault:
        return Bad(0, "not JSON", f"{fault} in {line[:60]!r}")
    if not isinstance(record, dict):
        return Bad(0, "not a JSON object", type(record).__name__)
    if field not in record:
        return Bad(0, f"no field {field!r}", ", ".join(map(str, record)) or "an empty object")
    text = record[field]
    return text if isinstance(text, str) else Bad(0, f"{field!r} is no text", repr(text)[:60])


def text_of(line: bytes) -> str | Bad:
    """Return a line of plain text without its newline, or what is wrong with it."""
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as fault:
        return Bad(0, "not UTF-8", f"byte 0x{line[fault.start]:02x} at column {fault.start + 1}")


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


class Featuriser:
    """Turns blocks into features; one for each thread, for it owns the scratch memory.

    Attributes:
        counts: int64[m], n-grams in each bucket over everything that was seen.
    """

    def __init__(self, features: Features) -> None:
        self.features = features
        self.counts = np.zeros(features.buckets, dtype=np.int64)
        self._run, self._letters = kernels(), letters(features.words)
        self._scratch: dict[str, np.ndarray] = {}
        m = features.buckets
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

    def lines(self, block: bytes, field: str) -> Part:
        """Features of whole lines of JSON; the text is the string in `field`."""
        return self._lines(block, self._scan(block, field), lambda line: field_of(line, field))

    def plain_lines(self, block: bytes) -> Part:
        """Features of lines of plain text, each a document."""
        lines = [line + b"\n" for line in block.removesuffix(b"\n").split(b"\n")]
        starts = np.cumsum([0, *map(len, lines)], dtype=np.int64)[:-1]
        status = [ASK if line.strip() else BLANK for line in lines]
        table = np.stack([np.array(status, dtype=np.int64), starts, starts, starts], axis=1)
        return self._lines(block, table, text_of)

    def texts(self, texts: Sequence[str]) -> Part:
        """Features of texts in memory."""
        data, spans = _joined(texts)
        indices, words = self._featurise(data, spans)
        return Part(indices, words, spans[:, 0], spans[:, 1] - spans[:, 0])

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

    def _lines(self, block: bytes, table: np.ndarray, decode: Callable[[bytes], str | Bad]) -> Part:
        """Features of the lines of a scanned block; those that the scanner leaves are decoded."""
        status, starts = table[:, 0], table[:, 1]
        ends = np.append(starts[1:], len(block))
        spans = np.stack([table[:, 2], table[:, 3], status == ESCAPED], axis=1)
        bad, extra = [], bytearray()
        for number in np.flatnonzero(status == ASK):
            text = decode(block[starts[number] : ends[number]])
            if isinstance(text, Bad):
                bad.append(text._replace(line=int(number)))
                continue
            first = len(block) + len(extra)
            extra += text.encode("utf-8", "surrogatepass")
            spans[number] = first, len(block) + len(extra), 0
        useful = status != BLANK
        useful[[fault.line for fault in bad]] = False
        data = block + bytes(extra) if extra else block
        indices, words = self._featurise(data, np.ascontiguousarray(spans[useful]))
        return Part(
            indices,
            words,
            starts[useful],
            (ends - starts)[useful],
            len(table),
            int(np.count_nonzero(status == BLANK)),
            tuple(bad),
        )

    def last_words(self) -> Words:
        """Return the words of the documents that were featurised last, valid until the next."""
        return Words(self._scratch["text"], self._scratch["starts"], self._scratch["ends"])

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

    def _featurise(self, data: bytes, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Buckets and words of the documents spans[:, 0:2] of the data; 2 says JSON-escaped."""
        words = self._split(data, spans)
        total = int(self.features.ngrams(words).sum())
        buckets = self._take("buckets", total, np.uint32)
        scratch, features = self._scratch, self.features
        split = (scratch["text"], scratch["starts"], scratch["ends"], words, len(words))
        if features.hash == "fast":
            more = (features.order, features.buckets, self._chain, buckets)
            written = self._run("fast_buckets", *split, *more)
        else:
            message = self._take("message", scratch["text"].size + features.order + 80, np.uint8)
            memo = (self._powers, self._memo, MEMO_BITS, self._waiting, self._lanes, message)
            written = self._run("exact_buckets", *split, features.order, *memo, buckets)
        if written != total:
            raise RuntimeError(f"{written} n-grams were written, {total} were due")
        self._run("count_buckets", buckets, total, self.counts)
        return buckets[:total].astype(features.index_type), words
