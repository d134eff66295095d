"""Read the log-probabilities that an OpenAI-compatible server returns with an echoed prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.lm.base import Scored

UNKNOWN_TOKEN = -1
"The id of a token that an endpoint names by its text only."


def floats(values: Sequence[float | None]) -> NDArray[np.float32]:
    """Log-probabilities as an array; what was not given is NaN, never zero."""
    return np.array([math.nan if v is None else v for v in values], dtype=np.float32)


def read_echo(logprobs: Mapping[str, Any], context: str, continuation: str) -> Scored | None:
    """Pick the continuation's tokens out of an echoed prompt; None if they are not there.

    Offsets count from where the prompt's text begins among the tokens, so that a BOS before it
    and the one generated token after it fall away.

    >>> read_echo({"tokens": ["a", " b", "!"], "token_logprobs": [None, -0.5, -1.0],
    ...            "top_logprobs": [None, {" b": -0.5}, {"!": -1.0}]}, "a", " b").total
    -0.5
    """
    tokens, values = logprobs.get("tokens"), logprobs.get("token_logprobs")
    if not isinstance(tokens, list) or not isinstance(values, list) or len(tokens) != len(values):
        return None
    ends = np.cumsum([len(token) for token in tokens])
    told = logprobs.get("text_offset")
    joined, text = "".join(tokens), context + continuation
    begin = joined.find(text)
    if begin < 0:  # tokens that are parts of characters: their texts do not join to the prompt
        if not isinstance(told, list) or len(told) != len(tokens) or told[-1] < len(text):
            return None
        begin, ends = told[_marks(tokens, text)], np.array([*told[1:], math.inf])
    starts = np.concatenate([[0], ends[:-1]]) - begin
    # a part of a character may have no width: at the border it begins the continuation
    after = (ends - begin > len(context)) | (starts >= len(context))
    inside = (starts < len(text)) & after
    picked = [values[i] for i in np.flatnonzero(inside)]
    if not picked:
        return None
    tops = logprobs.get("top_logprobs") or [None] * len(tokens)
    greedy = all(_is_top(values[i], tops[i]) for i in np.flatnonzero(inside))
    return Scored((UNKNOWN_TOKEN,) * len(picked), floats(picked), greedy)


def _marks(tokens: Sequence[str], text: str) -> int:
    """Count the marks (a BOS) before the text's own first token: none or one."""
    first = tokens[0]
    part_of_character = "\ufffd" in first or first.startswith("bytes:")
    return int(len(tokens) > 1 and not part_of_character and not text.startswith(first))


def _is_top(value: float | None, top: Mapping[str, float] | None) -> bool:
    return value is not None and bool(top) and value >= max(top.values())
