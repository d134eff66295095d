"""The table and the sketch in which n-grams are counted, block by block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from togi.data.features import Features
from togi.data.featuriser import Featuriser
from togi.data.kernels.table import COUNTS, ORDERS
from togi.data.native import kernels
from togi.data.ngram_words import Wording, word_kinds

SMALLEST, LARGEST = 1 << 16, 1 << 22  # places of the table: 2 to 134 MB
LOAD = 0.7  # share of the places that may be taken
WIDTH = 1 << 22  # cells of each row of the sketch: 34 MB in all


class Tally:
    """The table and the sketch, fed with blocks of texts.

    Args:
        wording: how texts become words.
        orders: shortest and longest n-gram, in words.
        places: most places that the table may have.
        sketch: of an earlier reading; only n-grams that it allows are counted then.
        least: n-grams in fewer documents, by the sketch, are passed over.
    """

    def __init__(
        self,
        wording: Wording,
        orders: tuple[int, int],
        *,
        places: int = LARGEST,
        sketch: np.ndarray | None = None,
        least: int = 0,
    ) -> None:
        self.wording, self.orders, self.places, self.least = wording, orders, places, least
        self.fresh_sketch = sketch is None
        self.sketch = np.zeros(2 * WIDTH, np.uint32) if sketch is None else sketch
        self.full = False
        self.documents = [0, 0]
        self.totals = np.zeros((2, 2 * ORDERS), np.int64)
        self._featuriser, self._run, self._kinds = Featuriser(Features()), kernels(), word_kinds()
        self._chain, self._stamp = np.zeros(8, np.uint64), 1
        self._seen, self._stamps = np.zeros(0, np.uint64), np.zeros(0, np.int64)
        self._make_table(min(SMALLEST, places))

    def _make_table(self, places: int) -> None:
        self.table, self.rows = np.zeros(places, np.uint64), np.zeros(places * COUNTS, np.uint32)
        self._state = np.array([0, int(places * LOAD)], np.int64)

    def keys(
        self, texts: Sequence[str], totals: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the keys of the texts' n-grams, and how many each text has.

        Their numbers by order are added to `totals`: int64[16], occurrences and then documents.
        """
        if totals is None:
            totals = np.zeros(2 * ORDERS, np.int64)
        tokens = self.wording.tokens(texts, self._featuriser)
        shortest, longest = self.orders
        most = int(tokens.sizes.max(initial=0)) * (longest - shortest + 1)
        if len(self._seen) < 2 * most + 2:
            size = 1 << (2 * most + 2).bit_length()
            self._seen, self._stamps = np.zeros(size, np.uint64), np.zeros(size, np.int64)
        room = int(tokens.sizes.sum()) * (longest - shortest + 1)
        keys, grams = np.empty(max(1, room), np.uint64), np.empty(len(texts), np.int64)
        written = self._run(
            "ngram_keys", *tokens, len(texts), self._kinds, shortest, longest, self._chain,
            self._stamp, self._seen, self._stamps, len(self._seen) - 1, keys, grams,
            totals,
        )  # fmt: skip
        self._stamp += len(texts)
        return keys[:written], grams

    def add(self, texts: Sequence[str], group: int) -> None:
        """Count a block of documents of one corpus."""
        keys, grams = self.keys(texts, self.totals[group])
        if self.fresh_sketch:
            self._run("sketch_keys", keys, len(keys), self.sketch, WIDTH - 1)
        first, ends = self.documents[group] + 1, np.cumsum(grams)
        self.documents[group] += len(texts)
        done = 0
        while not self.full and done < len(keys):
            done = self._run(
                "tally_keys", keys, done, len(keys), ends, first, group, self.table, self.rows,
                len(self.table) - 1, self._state, self.sketch, WIDTH - 1, self.least,
            )  # fmt: skip
            if done < len(keys):
                self._grow()

    def _grow(self) -> None:
        if len(self.table) >= self.places:
            self.full = True
            self._make_table(1)
            return
        old, rows, taken = self.table, self.rows, int(self._state[0])
        self._make_table(2 * len(old))
        self._run("move_keys", old, rows, len(old), self.table, self.rows, len(self.table) - 1)
        self._state[0] = taken

    def bearable(self) -> int:
        """Return from how many documents on the sketch lets so few n-grams through as fit."""
        row = np.sort(self.sketch[:WIDTH])[::-1]
        return max(2, int(row[int(self.places * LOAD / 2)]) + 1)

    def taken(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the keys that were counted, ascending, and their rows of counts: uint32[m, 6]."""
        places = np.flatnonzero(self.table)
        places = places[np.argsort(self.table[places])]
        return self.table[places], self.rows.reshape(-1, COUNTS)[places]
