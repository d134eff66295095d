"""Tables of counts: a row holds an item and how many raters gave it each label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from togi.errors import DataError
from togi.evaluate.disagreement.columns import Columns
from togi.evaluate.disagreement.table import Ratings
from togi.rows.raw import BadRow, short


class Counted:
    """Gathers rows of counts; nothing is known of raters."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.dropped: Counter[str] = Counter()
        self.items: dict[str, str] = {}
        self.rows: list[list[int]] = []

    def add(self, where: str, row: Mapping[str, Any]) -> None:
        """Take one row.

        Raises:
            BadRow: a count that is no whole number of at least 0, or an item that stands twice.
        """
        given = row.get(self.columns.item) if self.columns.item else None
        item = str(len(self.rows)) if given in (None, "") else str(given)
        if item in self.items:
            raise BadRow("an item stands twice", found=short(item), expected="one row an item")
        counts = [whole(row.get(name), name) for name in self.columns.counts]
        texts = [row.get(name) for name in self.columns.text]
        self.items[item] = "\n".join(str(text) for text in texts if text not in (None, ""))
        self.rows.append(counts)

    def ratings(self, name: str) -> Ratings:
        """Return the table; its labels are the columns' names."""
        if not self.rows:
            raise DataError("no item is left", where=name)
        texts = tuple(self.items.values())
        return Ratings(
            items=tuple(self.items),
            labels=self.columns.counts,
            counts=np.array(self.rows, dtype=np.int64),
            texts=texts if any(texts) else (),
            notes=tuple(f"{n} rows left out: {why}" for why, n in self.dropped.most_common()),
        )


def whole(value: Any, column: str) -> int:
    """Return a count.

    >>> whole("3", "yes"), whole(0, "yes")
    (3, 0)
    """
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    if isinstance(text, int) and not isinstance(text, bool) and 0 <= text < 10**9:
        return text
    raise BadRow(
        f"'{column}' is no count",
        found=short(value),
        expected="a whole number of at least 0",
        hint="shares are no counts: say how many raters there were",
    )
