"""Edit distance of two texts: how many pieces must be put in, taken out or changed."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

_PIECES = re.compile(r"\d|[^\W\d_]+|[^\w\s]|_")


def pieces(text: str) -> list[str]:
    """Return a text's words, single digits and marks, in small letters.

    They belong to the text and to no tokenizer, so that two models are measured alike; a number's
    digits count one by one, as in the arithmetic of Schaeffer et al. 2023.

    >>> pieces("It's 42 km.")
    ['it', "'", 's', '4', '2', 'km', '.']
    """
    return _PIECES.findall(text.casefold())


def levenshtein(one: Sequence[Hashable], two: Sequence[Hashable]) -> int:
    """Return the edit distance of two sequences.

    Source: Hyyrö 2003's bit-parallel form of Myers 1999: a column of the table is two integers.

    >>> levenshtein("kitten", "sitting"), levenshtein("", "abc"), levenshtein([1, 2], [1, 2])
    (3, 3, 0)
    """
    if not one or not two:
        return max(len(one), len(two))
    places: dict[Hashable, int] = {}
    for place, item in enumerate(one):
        places[item] = places.get(item, 0) | 1 << place
    whole, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    up, down, distance = whole, 0, len(one)
    for item in two:
        equal = places.get(item, 0)
        across = equal | down
        diagonal = (((equal & up) + up) ^ up) | equal | down
        right = down | ~(diagonal | up) & whole
        left = up & diagonal
        distance += bool(right & last) - bool(left & last)
        right = (right << 1 | 1) & whole
        left = left << 1 & whole
        up = left | ~(across | right) & whole
        down = right & across
    return distance


def similarity(one: str, two: str) -> float:
    """Return 1 minus the edit distance of the texts' pieces over the longer one's length.

    It is 1 where they agree apart from case and space and 0 where nothing does; an answer that
    rambles on counts no further below. Two texts without a piece agree.

    >>> similarity("4 2", "42"), similarity("1234", "1239"), similarity("", "x")
    (1.0, 0.75, 0.0)
    """
    ours, theirs = pieces(one), pieces(two)
    longer = max(len(ours), len(theirs))
    return 1 - levenshtein(ours, theirs) / longer if longer else 1.0
