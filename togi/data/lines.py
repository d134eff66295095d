"""One line of a file as a document's text, or what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple, TypeAlias


class Bad(NamedTuple):
    """A line that cannot be used: its number in its part, why, and where it starts there."""

    line: int
    reason: str
    found: str
    start: int = 0


Decode: TypeAlias = Callable[[bytes], "str | Bad"]


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
