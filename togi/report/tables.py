"""The page's tables and ids: the one shape in which every figure is also given as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias


class Link(NamedTuple):
    """A cell that leads to another place of the page."""

    text: str
    href: str

    def __str__(self) -> str:
        return self.text


Cell: TypeAlias = str | Link


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, the columns' names, and rows whose first cell names the row.

    `numeric` holds the columns that are set right with tabular figures; `bars` holds one share in
    [0, 1] a row, drawn as a bar in the last column; `code` sets the first column in monospace.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[int] = frozenset()
    bars: tuple[float, ...] = ()
    code: bool = False


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    text: Iterable[int] = (0,),
    bars: Iterable[float] = (),
    code: bool = False,
) -> Table:
    """Build a table; the columns of `text` are words, all others are numbers.

    >>> table("Lengths", ["set", "mean"], [["pool", 3]]).rows
    (('pool', '3'),)
    """
    body = tuple(tuple(_cell(cell) for cell in row) for row in rows)
    numeric = frozenset(range(len(head))) - frozenset(text)
    return Table(caption, tuple(head), body, numeric, tuple(bars), code)


def _cell(value: Any) -> Cell:
    return value if isinstance(value, Link) else "" if value is None else str(value)


class Ids:
    """Hands out ids that are unique on the page and readable in an address."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, *parts: str) -> str:
        """Return a new id.

        >>> ids = Ids()
        >>> ids("word", "rewards/margins"), ids("word", "rewards margins"), ids("", "é")
        ('word-rewards-margins', 'word-rewards-margins-2', 'x')
        """
        base = name = slug(*parts)
        count = 1
        while name in self._taken:
            count += 1
            name = f"{base}-{count}"
        self._taken.add(name)
        return name


def slug(*parts: str) -> str:
    """Return lower-case ASCII words joined by hyphens; "x" where nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")[:80] or "x"
