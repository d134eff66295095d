"""Reading a choice from a written answer, by stated rules; what they cannot read stays unknown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

QUOTES = "*_`\"'()[]<>{}. \t\n:;,!"


@cache
def _patterns(names: tuple[str, ...], nouns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    one = "|".join(map(re.escape, names))
    noun = "|".join(map(re.escape, nouns))
    # "A good one" names no letter, and 12 and 1.5 name no number.
    alone = r"(?![\w-]|[.,]\d|\s+[a-z])" if names[0].isalpha() else r"(?![\w-]|[.,]\d)"
    between = r"\s*(?:(?i:is|number|no\.?)|[:#=])*\s*[\W_]{0,3}"
    named = re.compile(rf"\b(?i:{noun}){between}({one}){alone}")
    listed = rf"(?!\d|\s*(?i:or|and|&|/)?\s*(?:{one})(?![\w-]|[.,]\d))"  # "A, B and C"
    opening = re.compile(rf"[\W_]*({one})(?:[\s*_`\"')\]]*$|[.:,;)\n]){listed}")
    return named, opening


def parse_choice(text: str, names: Sequence[str], nouns: Sequence[str] = ()) -> int | None:
    """Return the place of the name that an answer states; None where it states none, or two.

    Read are the answer as a whole ("2", "**B**."), else each name that follows one of the nouns
    ("machine 2", "the answer is B") and one that opens the answer and is set off from what
    follows ("1. Because …"), if all of them agree. Nothing is guessed from other words.

    Args:
        text: what was written.
        names: what may be chosen, such as "1", "2" or letters.
        nouns: words before a name, such as "machine".

    >>> [parse_choice(t, "12", ["machine"]) for t in ("2", " 1.", "I take machine 2!", "1.5", "12")]
    [1, 0, 1, None, None]
    >>> parse_choice("machine 1 or machine 2", "12", ["machine"])
    >>> parse_choice("The answer is C, a wise one", "ABCD", ["answer"])
    2
    """
    given = tuple(names)
    bare = text.strip(QUOTES)
    if bare in given:
        return given.index(bare)
    nouns = tuple(nouns) or ("answer",)
    for noun in nouns:  # "Machine 2" as a whole, in any letters' case
        if bare.lower().startswith(f"{noun.lower()} ") and bare[len(noun) + 1 :].strip() in given:
            return given.index(bare[len(noun) + 1 :].strip())
    named, opening = _patterns(given, nouns)
    found = set(named.findall(text))
    if opening.match(text.strip()):  # a numbered list opens with every name
        found |= {opened[1] for line in text.split("\n") if (opened := opening.match(line))}
    return given.index(found.pop()) if len(found) == 1 else None
