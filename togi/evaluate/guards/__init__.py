"""Guard suites: abilities that tuning must not lose, small enough to ship with the package.

`general_text.jsonl` holds sixty short passages written for togi and given to the public domain
(CC0-1.0); `choices.py` makes its questions from word lists of our own (CC0-1.0 as well). They
are regression guards for small models, not benchmarks: compare a model only with its own past.
"""

from __future__ import annotations

from importlib.resources import files

import orjson

from togi.errors import UsageError, nearest
from togi.evaluate.guards.choices import choice_samples
from togi.rows.types import Document, Sample

GUARDS = {"general_text": "text_bits_per_byte", "choices": "multiple_choice"}
"""Guard name -> the kind of task that asks it."""

GUARD_CLUSTERS = {"general_text": "", "choices": "template"}
"""Guard name -> the metadata key of its clusters ("" where the rows are independent)."""


def general_text() -> list[Document]:
    """Return the sixty passages, six of each of ten topics.

    >>> len(general_text()), general_text()[0].id, general_text()[0].metadata["topic"]
    (60, 'nature-1', 'nature')
    """
    text = (files("togi.evaluate.guards") / "general_text.jsonl").read_text(encoding="utf-8")
    return [Document(**orjson.loads(line)) for line in text.splitlines()]


def guard_rows(name: str) -> list[Document] | list[Sample]:
    """Return the rows of the guard of that name.

    Raises:
        UsageError: no guard has that name.
    """
    if name == "general_text":
        return general_text()
    if name == "choices":
        return choice_samples()
    raise UsageError(f"no guard suite is called {name!r}", expected=nearest(name, GUARDS))
