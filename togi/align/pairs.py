"""Pairs from the model itself: the real response is chosen, the model's own answer rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from togi.lm.base import LanguageModel, Sampling
from togi.rows.types import Example, Preference


def make_pairs(
    model: LanguageModel, rows: Sequence[Example], sampling: Sampling, *, unfinished: str = "drop"
) -> tuple[list[Preference], Counter[str]]:
    """Draw answers and pair each distinct one with the row's response.

    Args:
        model: who answers.
        rows: prompts and real responses.
        sampling: how answers are drawn.
        unfinished: "drop" leaves out answers cut off by `max_tokens`, "keep" rejects them too.

    Returns:
        the pairs in the rows' order, and counts by reason of the answers left out.
    """
    pairs: list[Preference] = []
    dropped: Counter[str] = Counter()
    drawn = model.generate([row.prompt for row in rows], sampling)
    for row, answers in zip(rows, drawn, strict=True):
        seen: set[str] = set()
        for number, answer in enumerate(answers):
            text = answer.text.strip()
            reason = _unfit(text, row.response, seen, cut=answer.finish == "length")
            if reason and not (reason == "answer cut off" and unfinished == "keep"):
                dropped[reason] += 1
                continue
            seen.add(text)
            pairs.append(
                Preference(
                    id=f"{row.id}#{number}",
                    prompt=row.prompt,
                    chosen=row.response,
                    rejected=text,
                    metadata=row.metadata,
                )
            )
    return pairs, dropped


def _unfit(text: str, real: str, seen: set[str], *, cut: bool) -> str:
    if not text:
        return "empty answer"
    if text == real.strip():
        return "answer equals the real response"
    if text in seen:
        return "answer drawn twice"
    return "answer cut off" if cut else ""
