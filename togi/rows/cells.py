"""One record's values by togi's field names, strictly typed; each fault names the file's column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import orjson

from togi.rows.raw import BadRow, kind_of, short
from togi.rows.turns import conversation
from togi.rows.types import Message, Prompt

Columns: TypeAlias = Mapping[str, str | tuple[str, ...]]

UP = frozenset(["true", "yes", "1", "up", "good", "like", "desirable", "thumbs_up", "👍"])
DOWN = frozenset(
    ["false", "no", "0", "-1", "down", "bad", "dislike", "undesirable", "thumbs_down", "👎"]
)


def thumb(value: Any) -> bool | None:
    """Read a thumb up or down; None is neither.

    >>> thumb(True), thumb(-1), thumb("👎"), thumb("Good"), thumb(4)
    (True, False, False, True, None)
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    word = str(value).strip().lower() if isinstance(value, bool | int | str) else ""
    return True if word in UP else False if word in DOWN else None


class Cells:
    """A record seen through the columns of its shape."""

    __slots__ = ("columns", "row", "used")

    def __init__(
        self, row: Mapping[str, Any], columns: Columns, used: frozenset[str] = frozenset()
    ) -> None:
        self.row, self.columns, self.used = row, columns, used

    def column(self, field: str) -> str:
        """Return the file's name of a field."""
        name = self.columns.get(field, field)
        return name if isinstance(name, str) else ", ".join(name)

    def get(self, field: str) -> Any:
        """Return a value; None where the column is absent or empty."""
        name = self.columns.get(field, field)
        if isinstance(name, str):
            return self.row.get(name)
        values = [self.row.get(part) for part in name]
        return None if all(value is None for value in values) else values

    def has(self, field: str) -> bool:
        """Whether a value is there; csv writes a missing one as empty text."""
        return self.get(field) not in (None, "")

    def need(self, field: str) -> Any:
        """Return a value that must be there."""
        value = self.get(field)
        if value is None:
            name = self.columns.get(field, field)
            there = all(part in self.row for part in ([name] if isinstance(name, str) else name))
            raise BadRow(
                f"'{self.column(field)}' is null" if there else f"no column '{self.column(field)}'",
                found=short(", ".join(map(str, self.row)), 200) or "an empty object",
            )
        return value

    def as_text(self, value: Any, field: str) -> str:
        """Return text; a whole number is written out, anything else is refused."""
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise BadRow(
                f"'{self.column(field)}' is {kind_of(value)}, not text",
                found=short(value),
                expected="text",
            )
        if not value.strip():
            raise BadRow(f"'{self.column(field)}' is empty", expected="text")
        return value

    def text(self, field: str) -> str:
        """Return a text that must be there and not blank."""
        return self.as_text(self.need(field), field)

    def optional(self, field: str) -> str:
        """Return a text, or "" where there is none."""
        return self.text(field) if self.has(field) else ""

    def decoded(self, field: str) -> Any:
        """Return a value that is no plain text; csv holds such as JSON."""
        value = self.need(field)
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
            try:
                return orjson.loads(value)
            except orjson.JSONDecodeError as error:
                raise BadRow(
                    f"'{self.column(field)}' is not valid JSON", found=f"{short(value)} ({error})"
                ) from error
        return value

    def turns(self, field: str) -> tuple[Message, ...]:
        """Return a conversation, with the system column's text before it where there is one."""
        turns = conversation(self.decoded(field), self.column(field))
        return (*self.system(), *turns) if turns[0].role != "system" else turns

    def system(self) -> tuple[Message, ...]:
        """Return the system turn of a `system` column, if the shape has one and it is filled."""
        if "system" in self.columns and self.has("system"):
            return (Message("system", self.text("system")),)
        return ()

    def prompt(self, field: str) -> Prompt:
        """Return plain text, or a conversation where the column holds turns."""
        value = self.need(field)
        return self.turns(field) if isinstance(value, list | dict) else self.as_text(value, field)

    def answer(self, field: str) -> str:
        """Return an answer's text; it may be written as a list of one assistant turn."""
        value = self.need(field)
        if not isinstance(value, list | dict):
            return self.as_text(value, field)
        turns = conversation(value, self.column(field))
        if len(turns) != 1 or turns[0].role != "assistant":
            raise BadRow(
                f"'{self.column(field)}' is not one assistant turn",
                found=", ".join(turn.role for turn in turns),
                expected="assistant",
            )
        return self.as_text(turns[0].content, field)

    def texts(self, field: str) -> tuple[str, ...]:
        """Return a list of texts that must hold two or more."""
        values = self.decoded(field)
        if not isinstance(values, list):
            raise BadRow(
                f"'{self.column(field)}' is {kind_of(values)}, not a list",
                found=short(values),
                expected="a list of texts",
            )
        if len(values) < 2:
            raise BadRow(f"'{self.column(field)}' has fewer than two entries", found=short(values))
        return tuple(self.as_text(value, field) for value in values)

    def metadata(self) -> dict[str, Any]:
        """Return the record's own metadata together with the columns that no field uses."""
        own = self.row.get("metadata")
        rest = {k: v for k, v in self.row.items() if k not in self.used and k != "metadata"}
        if isinstance(own, dict):
            return {**rest, **own}
        return rest if own is None else {**rest, "metadata": own}
