"""Hints at personal data and secrets in texts: patterns, each with a check, never a certainty.

A flat pattern finds a candidate and a function checks it: checksums of cards and IBANs, country
codes and lengths of phone numbers, what an address may be. What is reserved for examples
(example.org, 555-0100, 192.0.2.1, card-like numbers that fail Luhn's sum) is not counted. Names,
postal addresses and much else are not looked for; a text without a hint may still hold them.

No pattern repeats a repeat, and every repeat has an upper bound, so that the time is bounded by
the text's length times a constant whatever the text (`tests/rows` checks the patterns' structure).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from togi.errors import UsageError, nearest
from togi.rows import pii_checks as checks

AROUND = 30  # characters shown on each side of a hint


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of hint.

    Attributes:
        needs: at least one of these characters stands in every text with such a hint; asked first.
        patterns: of candidates; one that looks ahead has the candidate as its group, so that
            candidates may overlap.
        check: from a candidate and the text before it to the part that counts, as (start, end)
            within it, or None.
    """

    needs: str
    patterns: tuple[re.Pattern[str], ...]
    check: Callable[[str, str], tuple[int, int] | None]


KINDS: dict[str, Kind] = {
    "key": Kind(
        "-_AeI",
        (
            re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
            re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b"),
            re.compile(r"\bgithub_pat_[A-Za-z0-9_]{22,255}\b"),
            re.compile(r"\bsk-[A-Za-z0-9_-]{20,255}"),
            re.compile(r"\bxox[abposr]-[A-Za-z0-9-]{10,255}"),
            re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b"),
            re.compile(r"\bhf_[A-Za-z0-9]{30,60}\b"),
            re.compile(r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,255}\b"),
            re.compile(r"\beyJ[\w-]{8,2048}\.eyJ[\w-]{8,4096}\.[\w-]{8,2048}"),
            re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s]{0,16384}"),
        ),
        checks.key,
    ),
    "email": Kind(
        "@",
        (re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9.-]{4,253}"),),
        checks.email,
    ),
    "iban": Kind(
        "0123456789",
        (re.compile(r"\b(?=([A-Z]{2}\d{2}[A-Z0-9 ]{11,42}))"),),
        checks.iban,
    ),
    "card": Kind(
        "0123456789",
        (re.compile(r"(?<![\d.])(?=(\d[\d -]{11,22}\d)(?!\d))"),),
        checks.card,
    ),
    "phone": Kind(
        "0123456789",
        (
            re.compile(r"(?<![\d+])\+\d[\d ().\-]{6,24}\d"),
            re.compile(r"(?<![\d.+-])(?:1[ .-])?\(?[2-9]\d\d\)?[ .-]?[2-9]\d\d[ .-]\d{4}(?![\d-])"),
            re.compile(
                r"(?i:\b(?:tel|phone|telephone|mobile|cell|fax|call|telefon|mobil|handy|whatsapp)\b)"
                r"[^\d+\n]{0,12}\(?0\d[\d ()./-]{5,20}\d"
            ),
        ),
        checks.phone,
    ),
    "ip": Kind(
        ".:",
        (
            re.compile(r"(?<![\d.])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?!\d|\.\d)"),
            re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{6,39}(?![\w:])"),
        ),
        checks.ip,
    ),
}
"""Kinds of hints, those that are looked for first standing first; they never overlap."""


@dataclass(frozen=True, slots=True, order=True)
class Hint:
    """A piece of a text that looks like personal data or a secret."""

    start: int
    end: int
    kind: str


def chosen(kinds: Collection[str]) -> dict[str, Kind]:
    """Return the kinds of those names, in the order of `KINDS`.

    Raises:
        UsageError: for a name that is none.
    """
    for name in kinds:
        if name not in KINDS:
            raise UsageError(f"'{name}' is no kind of hint", where="pii", hint=nearest(name, KINDS))
    return {name: kind for name, kind in KINDS.items() if name in kinds}


def find(text: str, kinds: Collection[str] = tuple(KINDS)) -> list[Hint]:
    """Return the hints in a text, in order.

    >>> [(hint.kind, hint.start) for hint in find("Ask jo@corp.com or +44 20 7946 0018.")]
    [('email', 4), ('phone', 19)]
    >>> find("Ask jo@example.org, not 555-0100.")
    []
    """
    found: list[Hint] = []
    for name, kind in chosen(kinds).items():
        if any(letter in text for letter in kind.needs):
            for hint in _candidates(text, name, kind):
                if not any(hint.start < other.end and other.start < hint.end for other in found):
                    found.append(hint)
    return sorted(found)


def _candidates(text: str, name: str, kind: Kind) -> Iterator[Hint]:
    for pattern in kind.patterns:
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - AROUND) : match.start()]
            part = kind.check(match[match.lastindex or 0], before)
            if part is not None:
                yield Hint(match.start() + part[0], match.start() + part[1], name)


def masked(text: str, kinds: Collection[str] = tuple(KINDS)) -> str:
    """Return a text with each hint replaced by its kind.

    >>> masked("Ask jo@corp.com!")
    'Ask [EMAIL]!'
    """
    out, last = [], 0
    for hint in find(text, kinds):
        out += [text[last : hint.start], f"[{hint.kind.upper()}]"]
        last = hint.end
    return "".join(out) + text[last:]


def shown(text: str, hint: Hint, hints: Collection[Hint]) -> str:
    """Return a hint and what stands around it, with letters and digits of all hints struck out.

    >>> text = "Ask jo.doe@corp.com, please."
    >>> shown(text, find(text)[0], find(text))
    'Ask xx.xxx@xxxx.xxx, please.'
    """
    letters = list(text)
    for one in hints:
        for place in range(one.start, one.end):
            letter = letters[place]
            letters[place] = "0" if letter.isdigit() else "x" if letter.isalpha() else letter
    begin, end = max(0, hint.start - AROUND), hint.end + AROUND
    return " ".join("".join(letters[begin:end]).split())
