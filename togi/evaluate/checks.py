"""Named checks of a generated answer: rules that a text meets or does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A list of rules, each with its definition, and the function that applies them."""

    definition: str
    rules: dict[str, str]
    apply: Callable[[str, str], dict[str, bool]]


DOCSTRING_RULES = {
    "period": "the first line ends in a period",
    "one_sentence": "the first line is one sentence and not empty",
    "capital": "the text begins with a capital letter",
    "imperative": "the first word commands ('Return', not 'Returns' or 'This')",
    "blank_line": "a longer text has an empty line after the first one",
    "no_code": "no code fence, signature, decorator or import",
    "no_quotes": "no quotation marks around the text and no triple quotes in it",
    "finished": "the model ended its answer by itself",
    "length": "the first line has at most 100 characters, the whole at most 2000",
}

_BREAK = re.compile(r"[.!?]\s+[A-Z]")
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|etc|vs|cf|approx)\.")
_SOURCE = re.compile(r"^(?:```|~~~|def |class |async def |import |from \S+ import |@\w)", re.M)
_NARRATING = {"this", "the", "a", "an", "it", "here", "sure", "function", "method", "docstring"}
_NOT_THIRD_PERSON = re.compile(r"(?:ss|us|is|as|os)$")


def docstring_format(text: str, finish: str) -> dict[str, bool]:
    """Tell which rules of a well-formed docstring a text meets.   Source: PEP 257.

    Args:
        text: the answer, without the quotes of the source code.
        finish: "stop" where the model ended by itself, else "length".

    Returns:
        Rule name -> met; all False for an empty text.

    >>> all(docstring_format("Return the sum of a and b.", "stop").values())
    True
    >>> [rule for rule, met in docstring_format("Returns x", "length").items() if not met]
    ['period', 'imperative', 'finished']
    """
    text = text.strip()
    if not text:
        return dict.fromkeys(DOCSTRING_RULES, False)
    lines = [line.strip() for line in text.splitlines()]
    first = lines[0]
    plain = _ABBREVIATION.sub(r"\1", first)
    return {
        "period": first.endswith("."),
        "one_sentence": bool(first) and not _BREAK.search(plain),
        "capital": first[0].isupper(),
        "imperative": _commands(first),
        "blank_line": len(lines) == 1 or not lines[1],
        "no_code": not _SOURCE.search(text),
        "no_quotes": not ('"""' in text or "'''" in text or (first[0] in "\"'“‘`")),
        "finished": finish == "stop",
        "length": len(first) <= 100 and len(text) <= 2000,
    }


def _commands(first: str) -> bool:
    word = re.split(r"[^\w]", first, maxsplit=1)[0]
    third_person = word.endswith("s") and not _NOT_THIRD_PERSON.search(word)
    return bool(word) and word.lower() not in _NARRATING and not third_person


CHECKS = {
    "docstring_format": Check(
        definition="share of the rules of a well-formed docstring (PEP 257) that the answer meets",
        rules=DOCSTRING_RULES,
        apply=docstring_format,
    ),
}
"""Name -> check; an answer's measures are its rules, the share of them met, and all met."""
