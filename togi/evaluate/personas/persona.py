"""Who is played: personas, their articles, and sets of them.

A persona is a noun phrase such as "7-year-old"; its article is found ("an 8-year-old"), unless it
has one. Nothing of a persona's text is ever read as a format: braces and quotes stay as they are.

Source: Salewski et al. 2023 (arXiv 2305.14930), sections 3 and 4.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from togi.errors import UsageError

NONE = "none"
"Name of the control: the same question without any persona."


@dataclass(frozen=True, slots=True)
class Persona:
    """Who is played.

    Attributes:
        name: as the files and the page call it.
        text: with its article, as the model reads it; "" for no persona.
        kind: what it is about: age, gender, origin, ethnicity, expert, null, none, other.
        age: in years, where the persona tells it.
    """

    name: str
    text: str
    kind: str = "other"
    age: float | None = None


_AGE = re.compile(r"\b(\d{1,3})[ -]years?[ -]olds?\b", re.IGNORECASE)
_DETERMINED = re.compile(
    r"(a|an|the|my|your|his|her|our|their|some|any|no|one|someone|somebody)\b(?!-)", re.IGNORECASE
)
_AN_NUMBER = re.compile(r"8\d*(?!\d)|1[18](?!\d)")
_A_VOWEL = re.compile(r"(eu|ewe|one|once|ubi|uni(?!n|m)|us[eu]|ut[eio])", re.IGNORECASE)
_AN_CONSONANT = re.compile(r"(heir|hono|hour|honest)", re.IGNORECASE)


def with_article(phrase: str) -> str:
    """Return a noun phrase with the article that English gives it.

    A phrase that begins with an article or the like keeps it, and one whose words all begin with
    a capital letter is taken for a name.

    >>> [with_article(p) for p in ("7-year-old", "8-year-old", "ornithologist", "unicorn trainer")]
    ['a 7-year-old', 'an 8-year-old', 'an ornithologist', 'a unicorn trainer']
    >>> [with_article(p) for p in ("the mayor", "Ada Lovelace", "honest person", "11-year-old")]
    ['the mayor', 'Ada Lovelace', 'an honest person', 'an 11-year-old']
    """
    words = phrase.split()
    if _DETERMINED.match(phrase) or all(word[:1].isupper() for word in words):
        return phrase
    if phrase[:1].isdigit():
        an = bool(_AN_NUMBER.match(phrase))
    elif _A_VOWEL.match(phrase) or _AN_CONSONANT.match(phrase):
        an = bool(_AN_CONSONANT.match(phrase))
    else:
        an = phrase[:1].lower() in "aeiou"
    return f"{'an' if an else 'a'} {phrase}"


def persona(phrase: str, kind: str = "") -> Persona:
    """Make a persona of a noun phrase; an age is read from "N-year-old".

    Raises:
        UsageError: the phrase is empty.

    >>> persona("8-year-old")
    Persona(name='8-year-old', text='an 8-year-old', kind='age', age=8.0)
    >>> persona("none").text
    ''
    """
    phrase = " ".join(phrase.split())
    if not phrase:
        raise UsageError(
            "a persona is empty",
            where="personas",
            hint=f"'{NONE}' asks without a persona",
        )
    if phrase == NONE:
        return Persona(NONE, "", NONE)
    found = _AGE.search(phrase)
    age = float(found[1]) if found else None
    return Persona(phrase, with_article(phrase), kind or ("other" if age is None else "age"), age)


def _aged(*ages: int) -> tuple[Persona, ...]:
    return tuple(persona(f"{age}-year-old") for age in ages)


def _of(kind: str, *phrases: str) -> tuple[Persona, ...]:
    return tuple(persona(phrase, kind) for phrase in phrases)


SETS: dict[str, tuple[Persona, ...]] = {
    "ages": _aged(2, 4, 7, 13, 20),
    "all-ages": _aged(*range(1, 21), *range(22, 31, 2), *range(35, 61, 5)),
    "genders": _of("gender", "woman", "man", "non-binary person"),
    "origins": _of(
        "origin",
        "person from Nigeria",
        "person from India",
        "person from Brazil",
        "person from Germany",
        "person from the United States",
    ),
    "ethnicities": _of("ethnicity", "black person", "white person"),
    "experts": _of("expert", "statistician", "gambler", "ornithologist", "car mechanic"),
    "nonsense": _of("null", "blicket", "wug", "dax", "fendle"),
}
"""Sets of personas by name: the paper's ages (five, or all 31), who one is, what one knows, and
words without meaning, whose effects show what any change of the prompt does."""

PAIRED_KINDS = ("gender", "origin", "ethnicity")
"""Kinds whose personas are compared with each other, pair by pair."""


def chosen(wanted: Iterable[str | Persona]) -> tuple[Persona, ...]:
    """Return the personas that names of sets, noun phrases and personas stand for, in order.

    Raises:
        UsageError: there is none, one stands twice, or a name looks like a set's misspelt.

    >>> [p.name for p in chosen(["none", "ethnicities", "clown"])]
    ['none', 'black person', 'white person', 'clown']
    """
    found: list[Persona] = []
    for one in wanted:
        if isinstance(one, Persona):
            found.append(one)
            continue
        _check_set(one)
        found += SETS.get(one) or (persona(one),)
    if not found:
        raise UsageError(
            "no persona is given",
            where="personas",
            expected=f"'{NONE}', a set ({', '.join(SETS)}) or noun phrases such as '7-year-old'",
        )
    names = [one.name for one in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"the persona '{twice[0]}' stands twice", where="personas")
    return tuple(found)


def _check_set(name: str) -> None:
    """Refuse what is a letter or two away from a set's name: 'agse' is no persona."""
    if name in SETS or name == NONE:
        return
    if close := difflib.get_close_matches(name, SETS, n=1, cutoff=0.75):
        raise UsageError(
            f"no set of personas is called '{name}'",
            where="personas",
            expected=f"did you mean '{close[0]}'?",
            hint=f"for a persona of that name write '{with_article(name)}'",
        )
