"""Two texts word by word: what stayed, what went, what came."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")

SHORT = 3
"""Letters of an unchanged word that does not part two changes."""

Change = Literal["same", "del", "ins"]


class Part(NamedTuple):
    """A piece of text and what became of it."""

    change: Change
    text: str


def words(before: str, after: str) -> list[Part]:
    """Return the parts that make `after` of `before`.

    All but the inserted parts, joined, are `before`; all but the deleted ones are `after`.

    >>> words("Return the sum.", "Return a sum.")
    [Part(change='same', text='Return '), Part(change='del', text='the'), \
Part(change='ins', text='a'), Part(change='same', text=' sum.')]
    """
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    blocks: list[tuple[str, str, str]] = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        blocks.append((tag, "".join(old[a:b]), "".join(new[c:d])))
    return [part for block in _joined(blocks) for part in _parts(*block)]


def _joined(blocks: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Let changes that only a blank or a short word parts become one phrase, easier to read."""
    joined: list[tuple[str, str, str]] = []
    for place, (tag, old, new) in enumerate(blocks):
        inside = 0 < place < len(blocks) - 1
        island = inside and "\n" not in old and len(old.strip()) <= SHORT
        tag = "replace" if island or tag != "equal" else "equal"
        if joined and tag == "replace" == joined[-1][0]:
            _, before, after = joined.pop()
            old, new = before + old, after + new
        joined.append((tag, old, new))
    return joined


def _parts(tag: str, old: str, new: str) -> list[Part]:
    if tag == "equal":
        return [Part("same", old)]
    changed = [Part("del", old), Part("ins", new)]
    return [part for part in changed if part.text]
