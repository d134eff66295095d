"""The number that an answer gives, exactly: separators, currencies, fractions, percent, powers."""

from __future__ import annotations

import re
from fractions import Fraction

from togi.parse.parsed import STATED, Parsed, boxed

_SPELT = re.compile(
    r"(?<![\w.])(?P<sign>[-−+])?\s?(?:[$€£¥]\s?)?(?:"
    r"(?P<whole>\d+)[ ](?P<top>\d+)/(?P<under>[1-9]\d*)"
    r"|(?P<num>\d+)\s?/\s?(?P<den>[1-9]\d*)"
    r"|(?P<plain>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:[eE](?P<power>[-+]?\d{1,3})|\s?[×x*]\s?10\s?\^\s?\{?(?P<ten>[-−]?\d{1,3})\}?)?"
    r")(?P<percent>\s?(?:%|\\%|percent\b))?(?!\w*\d)"
)  # fmt: skip
_LATEX = re.compile(r"\\d?frac\s*\{\s*([-−]?\d+)\s*\}\s*\{\s*(\d+)\s*\}")
LONGEST = 200
"Characters of the longest number that is read."
_MARK = re.compile(r"####\s*")


def parse_number(text: str) -> Parsed | None:
    r"""Return the number that an answer gives, None where it gives none.

    The rules, the first that finds one holds: `boxed`, the first in the last \boxed{}; `marked`,
    after "####"; `stated`, after the last "the answer is"; `last`, the last number of the text.

    >>> [parse_number(t).value for t in ("The answer is $1,234.50.", "so 3/4", "1 1/2 cups", "50%")]
    ['2469/2', '3/4', '3/2', '1/2']
    >>> parse_number("First 12, then 15."), parse_number("none")
    (Parsed(value='15', span=(15, 17), rule='last'), None)
    """
    plain = _LATEX.sub(lambda m: f"{m[1]}/{m[2]}".ljust(len(m[0])), text)
    box = boxed(text)
    marks = list(_MARK.finditer(plain))
    places = [("boxed", box[1])] if box else []
    places += [("marked", marks[-1].end())] if marks else []
    places += [("stated", said.end()) for said in reversed(list(STATED.finditer(plain)))]
    for rule, place in places:
        limit = place + len(box[0]) if rule == "boxed" and box else len(plain)
        found = _SPELT.search(plain, place, limit)
        if found and _sane(found) and (rule != "stated" or _near(plain[place : found.start()])):
            return Parsed(_value(found), found.span(), rule)
    every = [found for found in _SPELT.finditer(plain) if _sane(found)]
    return Parsed(_value(every[-1]), every[-1].span(), "last") if every else None


def _sane(found: re.Match[str]) -> bool:
    """Whether it is short enough for a number that somebody means."""
    return len(found[0]) <= LONGEST


def _near(between: str) -> bool:
    """Whether a number still belongs to "the answer is": the same line and sentence."""
    return len(between) <= 60 and not re.search(r"\n|[.!?]\s", between)


def _value(found: re.Match[str]) -> str:
    if found["whole"]:
        value = Fraction(int(found["whole"])) + Fraction(int(found["top"]), int(found["under"]))
    elif found["num"]:
        value = Fraction(int(found["num"]), int(found["den"]))
    else:
        value = Fraction(found["plain"].replace(",", ""))
        power = found["power"] or (found["ten"] or "0").replace("−", "-")
        value *= Fraction(10) ** int(power)
    value = -value if found["sign"] in ("-", "−") else value
    return str(value / 100 if found["percent"] else value)


def same_number(answer: str, target: str) -> bool:
    """Tell whether two spellings are one number; 50% is both 1/2 and 50.

    >>> same_number("1,000.0", "1000"), same_number("0.5", "1/2"), same_number("50%", "50")
    (True, True, True)
    >>> same_number("12", "21"), same_number("", "1")
    (False, False)
    """
    ours, theirs = parse_number(answer), parse_number(target)
    if ours is None or theirs is None:
        return False
    one, two = Fraction(ours.value), Fraction(theirs.value)
    percent = ["%" in text or "percent" in text for text in (answer, target)]
    return (
        one == two
        or (percent == [True, False] and one * 100 == two)
        or (percent == [False, True] and one == two * 100)
    )
