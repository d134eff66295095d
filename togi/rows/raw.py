"""What lies between a file and a typed row: records with their place, and what is wrong with them.

A format (jsonl, csv, ...) yields a `Record` or, where one line cannot be read, a `BadRecord` and
goes on with the next. Damage that no later line can be trusted after (a truncated gzip, a broken
JSON array) is raised at once as a `DataError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from togi.errors import DataError


class BadRow(Exception):
    """What is wrong with one row; the reader adds where, and raises it or counts it.

    `problem` holds nothing of the row itself, so that equal faults are counted together; what the
    row held goes into `found`.
    """

    def __init__(
        self, problem: str, *, found: str = "", expected: str = "", hint: str = ""
    ) -> None:
        self.problem, self.found, self.expected, self.hint = problem, found, expected, hint
        super().__init__(problem)

    def at(self, where: str, expected: str = "") -> DataError:
        """Return the error that the user sees."""
        return DataError(
            self.problem,
            where=where,
            found=self.found,
            expected=self.expected or expected,
            hint=self.hint,
        )


@dataclass(frozen=True, slots=True)
class Record:
    """One line, item or table row as the format gives it; `id` holds unless a column says else."""

    where: str
    id: str
    value: Any


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A line that the format itself cannot read."""

    where: str
    id: str
    fault: BadRow


Records: TypeAlias = Iterator[Record | BadRecord]


@dataclass(frozen=True, slots=True)
class Opened:
    """A source that is there: what it is called, and a way to read it from its start."""

    name: str
    format: str
    read: Callable[[], Records]
    notes: tuple[str, ...] = ()


def short(value: object, width: int = 60) -> str:
    """Show a value inside an error message, cut to `width` characters.

    >>> short("a" * 80, 12)
    "'aaaaaaa..."
    """
    # Cut before repr: the value may be a whole book.
    text = repr(value[: width + 1]) if isinstance(value, str | bytes) else repr(value)
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= width else text[: width - 4] + "..."


def kind_of(value: object) -> str:
    """Name a JSON value's type in plain words.

    >>> [kind_of(v) for v in (None, True, 3, 1.5, "x", [1], {})]
    ['null', 'true or false', 'a number', 'a number', 'text', 'a list', 'an object']
    """
    if value is None:
        return "null"
    names: list[tuple[type | tuple[type, ...], str]] = [
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "text"),
        ((list, tuple), "a list"),
        (dict, "an object"),
        (bytes, "binary data"),
    ]
    return next((name for types, name in names if isinstance(value, types)), type(value).__name__)
