"""Yes or no, the last line, the first line, and what a regular expression finds in an answer."""

from __future__ import annotations

import re

from togi.errors import UsageError
from togi.parse.parsed import STATED, Parsed

_YES_NO = re.compile(r"\b(yes|no)\b(?!\s*(?:one|longer|more|doubt|matter)\b)", re.IGNORECASE)


def parse_yes_no(text: str) -> Parsed | None:
    """Return "yes" or "no"; None where an answer says neither, or both.

    What is stated ("the answer is no") holds over all else; else what opens the answer; else the
    only one that occurs.

    >>> [parse_yes_no(t).value for t in ("Yes.", "No, yes would be wrong.", "I say the answer: no")]
    ['yes', 'no', 'no']
    >>> [parse_yes_no(t) for t in ("It may be yes or no.", "Nothing known", "No one knows")]
    [None, None, None]
    """
    for said in reversed(list(STATED.finditer(text))):
        found = _YES_NO.match(text, re.compile(r"[\W_]*").match(text, said.end()).end())  # type: ignore[union-attr]
        if found:
            return Parsed(found[1].lower(), found.span(1), "stated")
    opening = re.compile(r"[\W_]*").match(text)
    found = _YES_NO.match(text, opening.end() if opening else 0)
    if found:
        return Parsed(found[1].lower(), found.span(1), "opening")
    every = list(_YES_NO.finditer(text))
    if len({one[1].lower() for one in every}) == 1:
        return Parsed(every[0][1].lower(), every[0].span(1), "only")
    return None


def parse_line(text: str, *, last: bool) -> Parsed | None:
    r"""Return the first or the last line that is not blank.

    >>> parse_line("\n a b \nc", last=False)
    Parsed(value='a b', span=(2, 5), rule='first line')
    """
    lines = [m for m in re.finditer(r"[^\n]+", text) if m[0].strip()]
    if not lines:
        return None
    line = lines[-1 if last else 0]
    value = line[0].strip()
    begin = line.start() + line[0].index(value)
    return Parsed(value, (begin, begin + len(value)), "last line" if last else "first line")


def parse_whole(text: str) -> Parsed | None:
    """Return the whole answer without the white space around it; None where it is blank."""
    value = text.strip()
    begin = len(text) - len(text.lstrip())
    return Parsed(value, (begin, begin + len(value)), "whole") if value else None


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a user's regular expression.

    Raises:
        UsageError: it cannot be read, or it has more than one group.
    """
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            "the regular expression cannot be read", where="parse", found=f"{pattern} ({error})"
        ) from None
    if found.groups > 1:
        raise UsageError(
            "the regular expression has more than one group",
            where="parse",
            found=pattern,
            hint="write the others as (?:…)",
        )
    return found


def parse_regex(text: str, pattern: re.Pattern[str], *, last: bool = False) -> Parsed | None:
    """Return what the expression's group, or the whole of it, matches, first or last.

    >>> parse_regex("a=1, a=2", compiled(r"a=([0-9])"), last=True).value
    '2'
    """
    every = list(pattern.finditer(text))
    if not every:
        return None
    found = every[-1 if last else 0]
    group = pattern.groups
    return Parsed((found[group] or "").strip(), found.span(group), "regex")
