"""togi's own format: one row a line, the keys are exactly a row type's fields.

It is what one step hands to the next, so what was written is read back as it was: an empty
response of a model is no fault here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from togi.rows.raw import BadRow, kind_of, short
from togi.rows.types import (
    Document,
    Example,
    Feedback,
    Message,
    Preference,
    Prompt,
    Ranking,
    Row,
    Sample,
)

TYPES: dict[frozenset[str], type[Row]] = {
    frozenset(field.name for field in fields(kind)): kind
    for kind in (Document, Example, Preference, Feedback, Ranking, Sample)
}
TEXTS = frozenset(["id", "text", "response", "chosen", "rejected"])
PROMPTS = frozenset(["prompt", "input"])
LISTS = frozenset(["responses", "choices"])


def is_native(rows: Sequence[Any]) -> bool:
    """Whether all of the first rows have exactly the fields of a row type."""
    return bool(rows) and all(isinstance(r, dict) and frozenset(r) in TYPES for r in rows)


def to_record(row: Row) -> dict[str, Any]:
    """Return a row as JSON values.

    >>> to_record(Document(id="a", text="b"))
    {'id': 'a', 'text': 'b', 'metadata': {}}
    """
    record = {field.name: getattr(row, field.name) for field in fields(row)}
    for name in PROMPTS & record.keys():
        if not isinstance(record[name], str):
            record[name] = [{"role": m.role, "content": m.content} for m in record[name]]
    return record


def _wrong(name: str, value: Any, expected: str) -> BadRow:
    return BadRow(
        f"'{name}' is {kind_of(value)}, not {expected}", found=short(value), expected=expected
    )


def _prompt(name: str, value: Any) -> Prompt:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise _wrong(name, value, "text or a list of turns")
    turns: list[Message] = []
    for turn in value:
        good = isinstance(turn, dict) and set(turn) == {"role", "content"}
        if not good or turn["role"] not in ("system", "user", "assistant", "tool"):
            raise _wrong(name, turn, "turns of role and content")
        if not isinstance(turn["content"], str):
            raise _wrong(name, turn["content"], "turns of text")
        turns.append(Message(turn["role"], turn["content"]))
    return tuple(turns)


def _value(name: str, value: Any) -> Any:
    if name in TEXTS:
        if not isinstance(value, str):
            raise _wrong(name, value, "text")
        return value
    if name in PROMPTS:
        return _prompt(name, value)
    if name in LISTS:
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise _wrong(name, value, "a list of texts")
        return tuple(value)
    wanted: dict[str, tuple[tuple[type, ...], str]] = {
        "desirable": ((bool,), "true or false"),
        "metadata": ((dict,), "an object"),
        "target": ((str, int), "text or a choice's index"),
    }
    types, expected = wanted[name]
    if not isinstance(value, types) or (name == "target" and isinstance(value, bool)):
        raise _wrong(name, value, expected)
    return value


def from_record(record: dict[str, Any]) -> Row:
    """Make the row that `to_record` came from.

    Raises:
        BadRow: the fields are no row type's, or a value is of the wrong type.
    """
    kind = TYPES.get(frozenset(record))
    if kind is None:
        raise BadRow(
            "the fields are no row type's",
            found=short(", ".join(map(str, record)), 200),
            expected="for example id, prompt, response, metadata",
        )
    row = kind(**{name: _value(name, value) for name, value in record.items()})
    target = row.target if isinstance(row, Sample) else ""
    if isinstance(target, int) and not 0 <= target < len(record["choices"]):
        raise BadRow("'target' names no choice", found=str(target))
    return row
