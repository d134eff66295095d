"""Pairs from the model itself: real response against own answer, or own best against own worst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from togi.align.rewards import Answer
from togi.lm.base import Generated, LanguageModel, Sampling
from togi.rows.types import Example, Preference, Prompt

Scored = Callable[[Sequence[Answer]], Sequence[float]]


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


def ranked_pairs(
    model: LanguageModel, asked: Sequence[tuple[str, Prompt, dict[str, Any]]], sampling: Sampling,
    score: Scored, *, unfinished: str = "drop",
) -> tuple[list[Preference], Counter[str]]:  # fmt: skip
    """Draw answers, score them, and pair each prompt's best with its worst.

    Args:
        model: who answers.
        asked: id, prompt and metadata of each row.
        sampling: how answers are drawn; `n` at least 2.
        score: gives each answer a reward.
        unfinished: "drop" leaves out answers cut off by `max_tokens`.

    Returns:
        the pairs in the rows' order, both rewards in their metadata, and counts by reason of
        the prompts without a pair.
    """
    dropped: Counter[str] = Counter()
    drawn = model.generate([prompt for _, prompt, _ in asked], sampling)
    groups = [
        [
            Answer(id=f"{id}#{n}", prompt=prompt, text=text, ids=(), start=0, metadata=metadata)
            for n, text in enumerate(_distinct(answers, keep_cut=unfinished == "keep"))
        ]
        for (id, prompt, metadata), answers in zip(asked, drawn, strict=True)
    ]
    rewards = iter(score([answer for group in groups for answer in group]))
    pairs: list[Preference] = []
    for (id, prompt, metadata), group in zip(asked, groups, strict=True):
        ranked = sorted(((next(rewards), a) for a in group), key=lambda one: -one[0])
        if len(ranked) < 2 or ranked[0][0] == ranked[-1][0]:
            dropped["fewer than two answers" if len(ranked) < 2 else "equal rewards"] += 1
            continue
        (best, chosen), (worst, rejected) = ranked[0], ranked[-1]
        pairs.append(
            Preference(
                id=id, prompt=prompt, chosen=chosen.text, rejected=rejected.text,
                metadata={**metadata, "reward_chosen": best, "reward_rejected": worst},
            )
        )  # fmt: skip
    return pairs, dropped


def _distinct(answers: Sequence[Generated], *, keep_cut: bool) -> Iterator[str]:
    seen: set[str] = set()
    for answer in answers:
        text = answer.text.strip()
        if text and text not in seen and (keep_cut or answer.finish != "length"):
            seen.add(text)
            yield text


def _unfit(text: str, real: str, seen: set[str], *, cut: bool) -> str:
    if not text:
        return "empty answer"
    if text == real.strip():
        return "answer equals the real response"
    if text in seen:
        return "answer drawn twice"
    return "answer cut off" if cut else ""
