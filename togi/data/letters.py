r"""Tables of what the installed engines take for word characters, spaces and lower case.

Asked of the regular expressions and of `str.lower` for all 1,114,112 code points at once (about
0.1 s), so that the kernels split and lower-case exactly as they do, whatever their Unicode version.

Two engines split words: Python's `re`, and the package `regex`, whose `\w` also holds combining
marks (so that Hindi, Thai or decomposed accents stay whole) but no superscript digits. NLTK's
WordPunct, with which the reference splits, used `re` up to 3.9 and uses `regex` since 3.10.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from togi.data.kernels.table import CASED, IGNORABLE, OTHER, SPACE, WORD

Engine: TypeAlias = Literal["regex", "re"]
CODE_POINTS = 0x110000
DOTTED_I, SIGMA, FINAL_SIGMA = 0x130, "\u03a3", 0x3C2
STEP = 0x10000  # code points asked at a time, to keep the strings small


class Letters(NamedTuple):
    """Two tables over all code points.

    Attributes:
        lower: int32, the lower-case code point (of the only two-character case its first).
        kinds: uint8, SPACE, WORD or OTHER, plus IGNORABLE and CASED (Unicode 15, 3.13).
    """

    lower: np.ndarray
    kinds: np.ndarray


def _classes(engine: ModuleType, text: str) -> np.ndarray:
    """Class of each character of the text."""
    classes = np.full(len(text), OTHER, dtype=np.uint8)
    for pattern, kind in ((r"\w+", WORD), (r"\s+", SPACE)):
        for run in engine.finditer(pattern, text):
            classes[run.start() : run.end()] = kind
    return classes


def _asked(before: str, codes: np.ndarray) -> np.ndarray:
    """Lower-case code points of `before`, c, capital sigma and newline, for each c: [n, 4]."""
    questions = np.empty((len(codes), 4), dtype="<u4")
    questions[:, 0], questions[:, 2], questions[:, 3] = ord(before), ord(SIGMA), ord("\n")
    # The dotted I is the one character whose lower case is two; the kernels treat it apart.
    questions[:, 1] = np.where(codes == DOTTED_I, ord("I"), codes)
    text = questions.tobytes().decode("utf-32-le", "surrogatepass").lower()
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").reshape(-1, 4)


@functools.cache
def letters(engine: Engine) -> Letters:
    """Return the tables of that engine of regular expressions and of this Python.

    >>> tables = letters("re")
    >>> chr(tables.lower[ord("\u00c4")]), [int(tables.kinds[ord(c)]) & 3 for c in " a."]
    ('\u00e4', [0, 1, 2])
    """
    lower = np.arange(CODE_POINTS, dtype=np.int32)
    kinds = np.empty(CODE_POINTS, dtype=np.uint8)
    expressions = importlib.import_module(engine)
    for first in range(0, CODE_POINTS, STEP):
        codes = np.arange(first, first + STEP, dtype="<u4")
        text = codes.tobytes().decode("utf-32-le", "surrogatepass")
        kinds[codes] = _classes(expressions, text)
        answers = _asked("a", codes)
        lower[codes] = answers[:, 1]
        # Sigma is final behind "a" + c if c is cased or looked through, behind "1" + c if cased.
        either = codes[answers[:, 2] == FINAL_SIGMA]
        cased = _asked("1", either)[:, 2] == FINAL_SIGMA
        kinds[either] |= np.where(cased, CASED, IGNORABLE).astype(np.uint8)
    return Letters(lower, kinds)
