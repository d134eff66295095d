"""Published parsers, fault for fault: for replays, and to see how far a parser moves a score."""

from __future__ import annotations

import re

from togi.parse.parsed import Parsed


def _found(match: re.Match[str] | None, rule: str, group: int = 0) -> Parsed | None:
    return None if match is None else Parsed(match[group], match.span(group), rule)


def kojima_number(text: str) -> Parsed | None:
    """Return the first number, as zero-shot CoT's code reads it (Kojima et al. 2022).

    Commas are deleted first, "1. First …" gives 1, and the spelling is kept: "18.00" is not "18".

    >>> kojima_number("1,080.50 of 2").value, kojima_number("18.").value
    ('1080.50', '18')
    """
    match = re.search(r"-?\d+\.?\d*", text.replace(",", ""))
    return None if match is None else Parsed(match[0].removesuffix("."), match.span(), "kojima2022")


def kojima_letter(text: str) -> Parsed | None:
    """Return the first capital A to E anywhere, also inside a word, as the same code reads it.

    >>> kojima_letter("Because of C").value
    'B'
    """
    return _found(re.search("A|B|C|D|E", text), "kojima2022")


def kojima_yes_no(text: str) -> Parsed | None:
    """Return the first word "yes" or "no" after marks are taken out, as the same code reads it.

    >>> kojima_yes_no("So, the answer: No.").value
    'no'
    """
    plain = re.sub(r"[\"'\n.\s:,]", " ", text.lower())
    for match in re.finditer(r"[^ ]+", plain):
        if match[0] in ("yes", "no"):
            return _found(match, "kojima2022")
    return None


def lm_eval_strict(text: str) -> Parsed | None:
    r"""Return what stands after "####", as the strict filter of lm-eval's GSM8K task reads it.

    >>> lm_eval_strict("so 4\n#### 1,234").value
    '1,234'
    """
    return _found(re.search(r"#### (-?[0-9.,]+)", text), "lm_eval", 1)


def lm_eval_flexible(text: str) -> Parsed | None:
    """Return the last number-like run, as the flexible filter of the same task reads it.

    >>> lm_eval_flexible("It is 3 or $10.00.").value
    '$10.00.'
    """
    every = list(re.finditer(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", text))
    return _found(every[-1], "lm_eval") if every else None
