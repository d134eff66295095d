"""What a parser found in a text: the value, where it stands, and which rule found it."""

from __future__ import annotations

import re
from dataclasses import dataclass

STATED = re.compile(
    r"\b(?:answer|result|choice|option|solution|verdict|conclusion)\b"
    r"(?:\s+(?:choice|option|letter|here))?\s*(?:is|=|:|would\s+be|should\s+be|must\s+be)"
    r"\s*(?::|=|is)?\s*",
    re.IGNORECASE,
)
"""What an answer is announced with: "the answer is", "Answer:", "the correct option would be"."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """An answer that was read.

    Attributes:
        value: in the form that is compared: a letter, a number's plain spelling, "yes", a text.
        span: first and last character of what was read, plus one.
        rule: which of the parser's rules found it.
    """

    value: str
    span: tuple[int, int]
    rule: str


def boxed(text: str) -> tuple[str, int] | None:
    r"""Return what stands in the last LaTeX box of a text, and where it begins.

    >>> boxed(r"so \boxed{\frac{1}{2}}.")
    ('\\frac{1}{2}', 10)
    """
    begin = text.rfind(r"\boxed{")
    if begin < 0:
        return None
    begin += len(r"\boxed{")
    depth = 1
    for place in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[begin:place], begin
    return None
