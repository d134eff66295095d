"""Names of training runs that hold their size, tokens and unique tokens, as datablations has them.

`2b855b14b` is 2.8 billion parameters, 55 billion tokens, 14 billion of them unique. The size is a
code (`25m` was in truth 35.5 million parameters), so that only known codes are read.

Source: Muennighoff et al. 2023, repository datablations, `utils/parametric_fit.ipynb`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from togi.rows.raw import BadRow

SIZES = {
    "7m": 7_098_752, "14m": 14_100_000, "20m": 19_703_712, "25m": 35_500_000, "44m": 44_000_000,
    "83m": 82_700_000, "146m": 146_500_000, "196m": 201_236_224, "220m": 220_500_000,
    "221m": 220_500_000, "280m": 281_000_000, "421m": 421_200_000, "574m": 573_700_000,
    "619m": 618_700_000, "1b1": 1_096_300_000, "1b5": 1_517_300_000, "2b2": 2_160_013_824,
    "2b8": 2_810_000_000, "3b8": 3_581_186_048, "3b9": 3_899_710_720, "4b2": 4_246_500_000,
    "8b7": 8_670_000_000,
}  # fmt: skip
"Parameters of the models that these codes stand for."

_MARKS = re.compile(r"c4|v2|seed\d|op2|opt\d?")  # what else a name tells: data, seed, shape
_AMOUNT = re.compile(r"\d{1,3}m|\d{1,3}b|\d{1,2}b\d{1,2}")


class Sizes(NamedTuple):
    """What a name holds: parameters, tokens in all, and unique tokens."""

    params: float
    tokens: float
    unique: float


def parse_run_name(name: str) -> Sizes:
    """Read a run's name; of the ways to cut it, the one that leaves the longest last part.

    Raises:
        BadRow: the name has another form.

    >>> parse_run_name("2b855b14b")
    Sizes(params=2810000000.0, tokens=55000000000.0, unique=14000000000.0)
    >>> parse_run_name("83m1b51b5c4seed2").tokens
    1500000000.0
    """
    bare = _MARKS.sub("", name.strip().lower())
    code = next((code for code in SIZES if bare.startswith(code)), "")
    rest = bare[len(code) :]
    for cut in range(1, len(rest)) if code else ():
        both = rest[:cut], rest[cut:]
        if not all(map(_AMOUNT.fullmatch, both)):
            continue
        tokens, unique = map(amount, both)
        if unique <= tokens:  # which also tells 4b8|4b8 from 4b|84b8
            return Sizes(float(SIZES[code]), tokens, unique)
    raise BadRow(
        "the run's name does not say its size",
        found=repr(name)[:60],
        expected="a name such as 2b855b14b (size, tokens, unique tokens)",
        hint="give the columns params, tokens and unique_tokens",
    )


def amount(code: str) -> float:
    """Return how many tokens a code such as 1b5 or 400m stands for.

    >>> amount("1b5"), amount("400m"), amount("174b")
    (1500000000.0, 400000000.0, 174000000000.0)
    """
    if code.endswith("m"):
        return float(code[:-1]) * 1e6
    whole, _, decimals = code.partition("b")
    return float(f"{whole}.{decimals or 0}") * 1e9
