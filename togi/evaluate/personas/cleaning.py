"""Cleaning a description: nothing in it may name the thing, and nothing may come after it.

Rules only, each one stated, so that the same text always becomes the same. A description that
still names its thing, or of which nothing is left, is not read and is counted.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

STOPS = ("Question:", "Answer:", "Q:", "A:", "Description:", "\n\n")
"What begins something that is no longer the description."
REFUSALS = ("language model", "i'm sorry", "i am sorry", "as an ai", "i cannot", "i can't")
"Sentences with one of these are no description."
_SENTENCES = re.compile(r"(?<=[.!?])\s+")
_TAGS = re.compile(r"<[^<>]{1,40}>")
_IN_PERSONA = re.compile(r"^\W*(if|as if|imagine|act as if|as) (i|you) (was|were|am|are)\b", re.I)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A description without its thing's name.

    Attributes:
        text: what is read.
        masked: how often the name was taken out.
        reason: why it cannot be read; "" where it can.
    """

    text: str
    masked: int = 0
    reason: str = ""

    @property
    def usable(self) -> bool:
        """Whether it can be read."""
        return not self.reason


def cleaned(text: str, name: str) -> Cleaned:
    r"""Return a description cut, cleaned and without its thing's name.

    Cut at the first question, answer or empty line; tags, refusals and clauses of the persona's
    own are left out; the name, its plural and its last word become "it".

    >>> cleaned("It is a red kite. Kites soar. As an AI, I like them.", "red kite")
    Cleaned(text='It is a it. It soar.', masked=2, reason='')
    >>> cleaned("It is\n\nQuestion: what?", "owl").reason
    'nothing is left of it'
    """
    for stop in STOPS:
        head, found, _ = text.partition(stop)
        text = head if found else text
    text = _TAGS.sub(" ", text.replace("’", "'"))
    kept = [s for s in _SENTENCES.split(text) if not any(r in s.lower() for r in REFUSALS)]
    kept = [_own_clause(sentence) for sentence in kept]
    plain = " ".join(" ".join(kept).split())
    masked, times = mask(plain, name)
    if len(re.findall(r"\w+", masked)) < 3:
        return Cleaned(masked, times, "nothing is left of it")
    if leaks(masked, name):
        return Cleaned(masked, times, "it still names the thing")
    return Cleaned(masked, times)


def _own_clause(sentence: str) -> str:
    """Leave out "If I were a wug," before a sentence.

    >>> _own_clause("If I were a cook, I would say it is round.")
    'I would say it is round.'
    """
    if not _IN_PERSONA.match(sentence):
        return sentence
    _, found, rest = sentence.partition(",")
    return rest.strip() if found else ""


def mask(text: str, name: str) -> tuple[str, int]:
    """Return the text with a thing's name, its plural and its last word as "it", and how often.

    >>> mask("Barn owls hunt; the owl hears.", "barn owl")
    ('It hunt; the it hears.', 2)
    >>> mask("Das ist eine Eule.", "Eule"), mask("これは梟です", "梟")
    (('Das ist eine It.', 1), ('これはitです', 1))
    """
    words = name.split()
    parts = list(dict.fromkeys([name, words[-1]])) if words else []
    times = 0
    for part in parts:
        text, n = _pattern(part).subn(_pronoun, text)
        times += n
    return text, times


def _pronoun(found: re.Match[str]) -> str:
    return "It" if found[0][:1].isupper() else "it"


def _pattern(part: str) -> re.Pattern[str]:
    """Return what finds a word or phrase and its plural; in scripts without spaces, anywhere."""
    spelt = r"[\s-]+".join(re.escape(word) for word in re.split(r"[\s-]+", part) if word)
    if part.isascii():
        stem = spelt[:-1] + "(?:y|ies)" if part.lower().endswith("y") else spelt
        return re.compile(rf"(?<!\w){stem}(?:'s|s|es|s')?(?!\w)", re.IGNORECASE)
    spaced = all(ord(letter) < 0x2E80 for letter in part)
    return re.compile(rf"(?<!\w){spelt}(?!\w)" if spaced else spelt, re.IGNORECASE)


def folded(text: str) -> str:
    """Return a text without case, accents, spaces and hyphens, to be searched for a name.

    >>> folded("Crème-Brûlée")
    'cremebrulee'
    """
    marks = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in marks if one.isalnum())


def leaks(text: str, name: str) -> bool:
    """Say whether a text still names a thing, however it is spelt.

    >>> leaks("a King Fisher dives", "kingfisher"), leaks("what it sawed", "saw")
    (True, False)
    """
    whole = folded(name)
    if not whole:
        return False
    if len(whole) < 5 and name.isascii():  # short names stand in other words: hat in that
        return bool(_pattern(name).search(text))
    return whole in folded(text)
