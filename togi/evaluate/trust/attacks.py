"""The mini suite's attacks on a text: rules that people read through without noticing."""

from __future__ import annotations

import re
from collections.abc import Callable

from togi.stats import derive


def typos(text: str) -> str:
    """Swap two inner letters of each long word, the places decided by the word alone.

    >>> typos("wonderful food") == typos("wonderful food"), len(typos("wonderful"))
    (True, 9)
    """

    def swap(match: re.Match[str]) -> str:
        word = match[0]
        at = 1 + derive(0, "typo", word.lower()) % (len(word) - 3)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

    return re.sub(r"[A-Za-z]{5,}", swap, text)


def lookalikes(text: str) -> str:
    """Replace letters by digits and signs that look like them.

    >>> lookalikes("a lovely story")
    '@ l0vely st0ry'
    """
    return text.translate(str.maketrans({"a": "@", "o": "0", "i": "1"}))


def distracted(text: str) -> str:
    """Put a remark after a text that says nothing to the question.

    >>> distracted("Good.")
    'Good. (It was a Tuesday, and the sky was the sky.)'
    """
    return f"{text} (It was a Tuesday, and the sky was the sky.)"


ATTACKS: dict[str, Callable[[str], str]] = {
    "typos": typos,
    "lookalikes": lookalikes,
    "distraction": distracted,
}
"""Attack of the mini suite -> how it changes a text."""
