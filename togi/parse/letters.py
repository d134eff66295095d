"""The letter of a choice in an answer: never a letter inside a word, never the article "A"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from togi.parse.parsed import STATED, Parsed, boxed

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OPEN, _CLOSE = r"[\s(\[*_`\"'“‘<]*", r"(?![A-Za-z0-9])"
_WORDY = re.compile(r"\s+[a-zà-ÿ]")
"What follows the article: a word in small letters."


def parse_letter(text: str, choices: Sequence[str]) -> Parsed | None:
    r"""Return the letter that an answer names, None where it names none.

    The rules, the first that finds one letter holds: `boxed`, \boxed{B} or [[B]]; `whole`, the
    answer is a letter and marks; `stated`, "the answer is B", the last time it is said; `opening`,
    "B. Because" or "(B) Paris"; `set off`, one single letter stands in brackets; `text`, the answer
    is a choice's own text, or holds exactly one of them.

    Args:
        text: the answer.
        choices: the choices' texts; as many letters are known.

    >>> [parse_letter(t, "wxyz").value for t in ("B", "(c)", "The answer is **D**.", "a) it is")]
    ['B', 'C', 'D', 'A']
    >>> [parse_letter(t, "wxyz") for t in ("A good question.", "Both A and B", "Because", "E")]
    [None, None, None, None]
    """
    known = LETTERS[: len(choices)]
    for rule, find in _RULES.items():
        found = find(text, known)
        if found is not None:
            letter, place = found
            return Parsed(letter.upper(), (place, place + 1), rule)
    return _by_text(text, choices)


def _known(letter: str, known: str) -> bool:
    return letter.upper() in known


def _boxed(text: str, known: str) -> tuple[str, int] | None:
    box = boxed(text)
    if box is not None:
        inside = re.fullmatch(r"\s*(?:\\text\{|\\mathrm\{)?\(?([A-Za-z])\)?\.?\}?\s*", box[0])
        if inside and _known(inside[1], known):
            return inside[1], box[1] + inside.start(1)
    marked = [m for m in re.finditer(r"\[\[\s*([A-Za-z])\s*\]\]", text) if _known(m[1], known)]
    letters = {m[1].upper() for m in marked}
    return (marked[-1][1], marked[-1].start(1)) if len(letters) == 1 else None


def _whole(text: str, known: str) -> tuple[str, int] | None:
    found = re.fullmatch(r"[\W_]*([A-Za-z])[\W_]*", text)
    return (found[1], found.start(1)) if found and _known(found[1], known) else None


def _stated(text: str, known: str) -> tuple[str, int] | None:
    """Find the last letter that is announced; "the answer is a good one" announces none."""
    for said in reversed(list(STATED.finditer(text))):
        found = re.compile(rf"{_OPEN}([A-Za-z]){_CLOSE}").match(text, said.end())
        if not found or not _known(found[1], known):
            continue
        article = found[1] in "aAI" and _WORDY.match(text, found.end())
        if not article and (found[1].isupper() or _marked(text, found)):
            return found[1], found.start(1)
    return None


def _marked(text: str, found: re.Match[str]) -> bool:
    """Whether marks set a small letter off: brackets before it, or the answer's end behind it."""
    before = found.group(0)[:-1].strip()
    return bool(before) or not re.match(r"[ \t]*\w", text[found.end() :])


def _opening(text: str, known: str) -> tuple[str, int] | None:
    found = re.match(r"[\s*_`\"'(\[]*([A-Za-z])\s*[).:\]*]+(?=\s|$|\w)", text)
    if (
        not found
        or not _known(found[1], known)
        or re.match(r"[A-Za-z]\.[A-Za-z]", text[found.start(1) :])
    ):
        return None  # "e.g." and "U.S." open with an abbreviation
    return found[1], found.start(1)


def _set_off(text: str, known: str) -> tuple[str, int] | None:
    places = [m for m in re.finditer(r"\(([A-Za-z])\)", text) if _known(m[1], known)]
    letters = {m[1].upper() for m in places}
    return (places[-1][1], places[-1].start(1)) if len(letters) == 1 else None


_RULES = {
    "boxed": _boxed,
    "whole": _whole,
    "stated": _stated,
    "opening": _opening,
    "set off": _set_off,
}


def _by_text(text: str, choices: Sequence[str]) -> Parsed | None:
    """Find the one choice whose text the answer is or holds as whole words."""
    plain = text.casefold()
    held: list[tuple[int, int, int]] = []
    for number, choice in enumerate(choices):
        wanted = re.escape(choice.strip().casefold())
        found = re.search(rf"(?<!\w){wanted}(?!\w)", plain) if len(choice.strip()) > 1 else None
        if found:
            held.append((number, *found.span()))
    # "dark blue" holds "blue": what lies inside another choice's place does not count.
    outer = [
        one for one in held
        if not any(o[1] <= one[1] and one[2] <= o[2] and o[1:] != one[1:] for o in held)
    ]  # fmt: skip
    if len(outer) != 1:
        return None
    number, begin, end = outer[0]
    return Parsed(LETTERS[number], (begin, end), "text")
