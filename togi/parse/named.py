"""The parsers by name, a dict in plain sight; a user's own is a regular expression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from togi.errors import UsageError, nearest
from togi.parse import compat, words
from togi.parse.letters import parse_letter
from togi.parse.numbers import parse_number, same_number
from togi.parse.parsed import Parsed

Read: TypeAlias = Callable[[str, Sequence[str]], Parsed | None]


def same_text(answer: str, target: str) -> bool:
    r"""Tell whether two texts agree apart from case and white space.

    >>> same_text(" New  york\n", "New York")
    True
    """
    return " ".join(answer.split()).casefold() == " ".join(target.split()).casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parser:
    """How an answer is read, and when what was read equals the target.

    Attributes:
        definition: one phrase for the report.
        read: (answer, choices' texts) -> what was found, None where nothing was.
        same: whether a value found equals the target's text.
        spelt: whether the answer's own spelling is compared in the place of the value.
    """

    definition: str
    read: Read
    same: Callable[[str, str], bool] = same_text
    spelt: bool = False

    def equal(self, text: str, found: Parsed | None, target: str) -> bool:
        """Tell whether what was found in a text is the target.

        >>> PARSERS["number"].equal("50%", parse_number("50%"), "50")
        True
        """
        if found is None:
            return False
        return self.same(text[slice(*found.span)] if self.spelt else found.value, target)


def _text_only(read: Callable[[str], Parsed | None]) -> Read:
    return lambda text, _: read(text)


def _spelt_alike(answer: str, target: str) -> bool:
    return answer == target


PARSERS: dict[str, Parser] = {
    "text": Parser(definition="the whole answer", read=_text_only(words.parse_whole)),
    "first_line": Parser(
        definition="the answer's first line",
        read=_text_only(partial(words.parse_line, last=False)),
    ),
    "last_line": Parser(
        definition="the answer's last line",
        read=_text_only(partial(words.parse_line, last=True)),
    ),
    "letter": Parser(definition="the choice's letter that the answer names", read=parse_letter),
    "number": Parser(
        definition="the number that the answer gives, compared as a number",
        read=_text_only(parse_number),
        same=same_number,
        spelt=True,
    ),
    "yes_no": Parser(
        definition="yes or no, whichever is said", read=_text_only(words.parse_yes_no)
    ),
    "kojima2022_number": Parser(
        definition="the first number, as zero-shot CoT's code reads it",
        read=_text_only(compat.kojima_number),
        same=_spelt_alike,
    ),
    "kojima2022_letter": Parser(
        definition="the first capital A to E, as zero-shot CoT's code reads it",
        read=_text_only(compat.kojima_letter),
        same=_spelt_alike,
    ),
    "kojima2022_yes_no": Parser(
        definition="the first yes or no, as zero-shot CoT's code reads it",
        read=_text_only(compat.kojima_yes_no),
        same=_spelt_alike,
    ),
    "lm_eval_strict": Parser(
        definition="what stands after ####, as lm-eval's strict filter reads it",
        read=_text_only(compat.lm_eval_strict),
    ),
    "lm_eval_flexible": Parser(
        definition="the last number-like run, as lm-eval's flexible filter reads it",
        read=_text_only(compat.lm_eval_flexible),
    ),
}
"""Name -> parser."""

OWN = {"regex:": False, "last_regex:": True}
"""Openings of a parser that is the user's expression -> whether its last match counts."""


def parser_of(name: str) -> Parser:
    """Return a parser by name, or the user's own: `regex:PATTERN`, `last_regex:PATTERN`.

    Raises:
        UsageError: no such parser, or an expression that cannot be read.

    >>> parser_of("regex:([0-9]+) apples").read("12 apples", ()).value
    '12'
    """
    for opening, last in OWN.items():
        if name.startswith(opening):
            pattern = words.compiled(name.removeprefix(opening).strip())
            read = _text_only(partial(words.parse_regex, pattern=pattern, last=last))
            return Parser(definition=f"what {pattern.pattern} matches", read=read)
    if name not in PARSERS:
        raise UsageError(
            f"no parser is called {name!r}",
            where="parse",
            expected=nearest(name, PARSERS),
            hint="or regex:PATTERN, last_regex:PATTERN",
        )
    return PARSERS[name]
