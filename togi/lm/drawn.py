"""Log-probabilities of answers that a model has drawn, by their very token ids.

An answer that is spelt in tokens again may come out in other tokens, and whether it was ended or
cut off cannot be seen in its text; so what was drawn is scored as it was drawn. That is possible
where a model takes token ids: the local engine and the exact model, not an endpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from togi.lm.base import LanguageModel, Scored
from togi.lm.exact import ExactModel
from togi.rows.types import Prompt


@runtime_checkable
class TakesIds(Protocol):
    """The local engine, seen from here without importing torch."""

    tokenizer: Any
    renderer: Any

    def score_requests(self, requests: Sequence[Any]) -> list[Scored]:
        """Score rendered requests."""
        ...


def vocabulary(model: LanguageModel) -> str:
    """Return a digest of which token each id stands for; "" where the model takes no ids.

    Two models' probabilities of one sequence of ids can be compared only if it is the same.

    >>> vocabulary(ExactModel({}))
    'bytes'
    """
    if isinstance(model, ExactModel):
        return "bytes"
    if not isinstance(model, TakesIds):
        return ""
    entries = sorted(model.tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    return hashlib.blake2b(repr(entries).encode(), digest_size=8).hexdigest()


def score_ids(
    model: LanguageModel, prompts: Sequence[Prompt], answers: Sequence[tuple[int, ...]]
) -> list[Scored]:
    """Score answers given as token ids, each after its prompt, in the order asked.

    Raises:
        TypeError: the model takes no token ids; `vocabulary` says so beforehand.

    >>> dice = ExactModel.from_table({"": {"a": 0.5, "b": 0.25, "": 0.25}})
    >>> [round(s.total / -0.693147, 3) for s in score_ids(dice, ["?"], [(97, 98, 256)])]
    [5.0]
    """
    pairs = list(zip(prompts, answers, strict=True))
    if isinstance(model, ExactModel):
        return [model.score_ids(prompt, ids) for prompt, ids in pairs]
    if not isinstance(model, TakesIds):
        raise TypeError(f"{model.name} takes no token ids")
    from togi.lm.forward import Request

    before = [model.renderer.prompt_ids(prompt) for prompt in prompts]
    requests = [Request(head + ids, len(head)) for head, ids in zip(before, answers, strict=True)]
    return model.score_requests(requests)
