"""`togi data read`: what was understood of a source, counts, lengths, and the first rows."""

from __future__ import annotations

import json
import statistics
from typing import Any


def inspect_rows(
    source: str, *, kind: str, limit: int | None, show: int, skip: bool, offline: bool
) -> None:
    """Read a source to its end, or `limit` rows of it, and print what is in it.

    Raises:
        DataError: for a bad row (unless `skip`), or no row at all.
    """
    from togi.rows.native import to_record
    from togi.rows.read import read_rows

    stream = read_rows(
        source, kind=kind, on_bad="skip" if skip else "error", limit=limit, offline=offline
    )
    kinds: dict[str, int] = {}
    lengths: dict[str, list[int]] = {}
    first: list[dict[str, Any]] = []
    for row in stream:
        kinds[type(row).__name__] = kinds.get(type(row).__name__, 0) + 1
        record = to_record(row)
        if len(first) < show:
            first.append(record)
        for key, value in record.items():
            if key not in {"id", "metadata"}:
                lengths.setdefault(key, []).append(_characters(value))
    print(stream.understood.replace(" read so far", ""))
    print("rows: " + ", ".join(f"{n} {name}" for name, n in kinds.items()))
    for reason, n in stream.dropped.most_common():
        print(f"left out: {n} {reason}")
    for key, values in lengths.items():
        middle = statistics.median_low(values)
        print(f"characters of {key}: {min(values)} to {max(values)}, median {middle}")
    for record in first:
        print(json.dumps(record, indent=1, ensure_ascii=False, default=str))


def _characters(value: Any) -> int:
    """Count the characters of texts at any depth; roles do not count.

    >>> _characters([{"role": "user", "content": "abc"}])
    3
    """
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_characters(item) for key, item in value.items() if key != "role")
    return sum(map(_characters, value)) if isinstance(value, list | tuple) else 0
