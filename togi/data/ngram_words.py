r"""What an n-gram is made of: how a text becomes words, and which words carry no content.

The tokenisation in full: Unicode NFKC; LaTeX taken out where that is asked; lower case where that
is asked; then every run of `\w` (letters, digits, marks, underscore) is a word. Hyphens, slashes
and all other punctuation part words and are passed over, so "Few-Shot" is "few shot", and an
n-gram may cross a colon or a full stop.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from togi.data.features import Features
from togi.data.featuriser import Featuriser
from togi.data.letters import letters

LATEX = re.compile(r"\$[^$\n]{0,300}\$|\\[A-Za-z]+|[{}]")
SPARE = 8  # bytes behind the last word that the kernels may read

FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    a about above across after again against all also although am among an and another any are as
    at be because been before being below between both but by can cannot could did do does doing
    down during each either else etc ever few for from further had has have having he her here
    hers herself him himself his how i if in into is it its itself just less let many may me might
    more most much must my myself neither no nor not of off on once one only onto or other our
    ours ourselves out over own per rather s same shall she should since so some such t than that
    the their theirs them themselves then there these they this those though through thus to too
    toward towards under until up upon us via very was we were what when where whether which while
    who whom whose why will with within without would yet you your yours yourself
    """,
    )
)
"""English words that say nothing of a text's topic."""


class Tokens(NamedTuple):
    """Words of several texts, as the kernels take them: bytes, borders, words of each text."""

    text: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    sizes: np.ndarray


@dataclass(frozen=True, slots=True)
class Wording:
    """How texts become words; see the head of this file.

    Attributes:
        case: "fold" makes all words lower-case, "keep" leaves them as they are.
        latex: take formulas between dollar signs, commands and braces out first.
    """

    case: Literal["fold", "keep"] = "fold"
    latex: bool = False

    def normalised(self, text: str) -> str:
        r"""Return a text in NFKC, without LaTeX where that is asked.

        >>> Wording(latex=True).normalised("ﬁne $k$-means on $\\ell_2$")
        'fine  -means on  '
        """
        if not text.isascii():
            text = unicodedata.normalize("NFKC", text)
        return LATEX.sub(" ", text) if self.latex else text

    def words(self, text: str) -> list[str]:
        """Return the words of a text; what `tokens` is tested by.

        >>> Wording().words("Few-Shot Text-to-Image: GPT 4's x_1")
        ['few', 'shot', 'text', 'to', 'image', 'gpt', '4', 's', 'x_1']
        """
        normal = self.normalised(text)
        return _word().findall(normal.lower() if self.case == "fold" else normal)

    def tokens(self, texts: Sequence[str], featuriser: Featuriser) -> Tokens:
        """Return the words of many texts as bytes; punctuation may stand among them."""
        normal = [self.normalised(text) for text in texts]
        if self.case == "fold":
            sizes = featuriser.split(normal)
            return Tokens(*featuriser.last_words(), sizes)
        found = [[word.encode() for word in _word().findall(text)] for text in normal]
        flat = [word for words in found for word in words]
        sizes = np.array([len(words) for words in found], dtype=np.int32)
        ends = np.cumsum([len(word) for word in flat], dtype=np.int32)
        starts = np.concatenate([np.zeros(1, np.int32), ends[:-1]]).astype(np.int32)
        data = np.frombuffer(b"".join(flat) + bytes(SPARE), np.uint8)
        return Tokens(data, starts, ends if len(ends) else np.zeros(1, np.int32), sizes)


@functools.cache
def _word() -> Any:
    import regex

    return regex.compile(r"\w+")


def is_content(words: Sequence[str]) -> bool:
    """Whether an n-gram neither begins nor ends with a function word.

    >>> is_content(["language", "models"]), is_content(["for", "large"])
    (True, False)
    """
    return words[0] not in FUNCTION_WORDS and words[-1] not in FUNCTION_WORDS


def word_kinds() -> np.ndarray:
    """Return the class of every code point as the kernels take it: uint8[0x110000]."""
    return letters(Features().words).kinds
