"""Runs of words as hashes, and an index of which numbered texts hold which run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

WORDS = re.compile(r"\w+")
FACTOR = np.uint64(0x9E3779B97F4A7C15)
LEAST_RUNS = 8  # a text of fewer distinct runs is not compared by their share


class Runs:
    """Hashes of runs of words: each word has a 64-bit number, a run is their polynomial."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.numbers: dict[str, int] = {}

    def _number(self, word: str) -> int:
        known = self.numbers.get(word)
        if known is None:
            digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8)
            known = self.numbers[word] = int.from_bytes(digest.digest(), "little")
        return known

    def of(self, text: str) -> NDArray[np.uint64]:
        """Return the hash of each run in a text, in order.

        >>> [len(Runs(2).of(text)) for text in ("a b c", "A, b... C!", "a")]
        [2, 2, 0]
        """
        words = WORDS.findall(text.lower())
        count = len(words) - self.length + 1
        if count < 1:
            return np.empty(0, np.uint64)
        numbers = np.fromiter(map(self._number, words), np.uint64, len(words))
        hashes = np.zeros(count, np.uint64)
        for i in range(self.length):
            hashes *= FACTOR
            hashes += numbers[i : i + count]
        return hashes

    def words(self, text: str, place: int) -> str:
        """Return the words of the run at a place."""
        return " ".join(WORDS.findall(text.lower())[place : place + self.length])


class RunIndex:
    """Which texts hold which run; a row may have several texts, all under its number.

    `add` the texts, then `close`; only then it can be asked.
    """

    def __init__(self, length: int) -> None:
        self.runs = Runs(length)
        self._hashes: list[NDArray[np.uint64]] = []
        self._rows: list[int] = []
        self.hashes = np.empty(0, np.uint64)
        self.texts = np.empty(0, np.int64)
        self.row_of = np.empty(0, np.int64)
        self.sizes = np.empty(0, np.int64)

    def add(self, text: str, row: int) -> None:
        """Note a text of a row."""
        self._hashes.append(np.unique(self.runs.of(text)))
        self._rows.append(row)

    def close(self, most: float) -> None:
        """Sort what was noted, and forget runs that stand in more than `most` rows."""
        lengths = [len(hashes) for hashes in self._hashes]
        self.row_of = np.array(self._rows, np.int64)
        if lengths:
            hashes, texts = (
                np.concatenate(self._hashes),
                np.repeat(np.arange(len(lengths)), lengths),
            )
            order = np.argsort(hashes, kind="stable")
            hashes, texts = hashes[order], texts[order]
            kept = self._rows_with(hashes, texts) <= most
            self.hashes, self.texts = hashes[kept], texts[kept]
        self.sizes = np.bincount(self.texts, minlength=len(lengths))
        self._hashes, self._rows = [], []

    def _rows_with(self, hashes: NDArray[np.uint64], texts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return, for each entry, in how many rows its run stands; texts of a row come together."""
        if not len(hashes):
            return np.empty(0, np.int64)
        rows = self.row_of[texts]
        fresh = np.ones(len(hashes), bool)
        begins = fresh.copy()
        begins[1:] = hashes[1:] != hashes[:-1]
        fresh[1:] = begins[1:] | (rows[1:] != rows[:-1])
        group = np.cumsum(begins) - 1
        return np.bincount(group, fresh).astype(np.int64)[group]

    def _found(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the texts that share a run with this one, and where in this one it stands."""
        hashes, places = np.unique(self.runs.of(text), return_index=True)
        low = np.searchsorted(self.hashes, hashes, "left")
        counts = np.searchsorted(self.hashes, hashes, "right") - low
        hits = np.flatnonzero(counts)
        if not hits.size:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        counts, low = counts[hits], low[hits]
        begun = np.cumsum(counts) - counts
        entries = np.repeat(low - begun, counts) + np.arange(int(counts.sum()))
        return self.texts[entries], np.repeat(places[hits], counts)

    def shared(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield each row that shares a run with the text, and the first run that they share."""
        texts, places = self._found(text)
        rows = self.row_of[texts]
        for row in np.unique(rows).tolist():
            yield row, self.runs.words(text, int(places[rows == row].min()))

    def contained(self, text: str, share: float) -> Iterator[tuple[int, str]]:
        """Yield each row with a text of whose runs at least that share stand in this text."""
        texts, places = self._found(text)
        found, hits = np.unique(texts, return_counts=True)
        sizes = self.sizes[found]
        for one in found[(hits >= share * sizes) & (sizes >= LEAST_RUNS)].tolist():
            yield int(self.row_of[one]), self.runs.words(text, int(places[texts == one].min()))
