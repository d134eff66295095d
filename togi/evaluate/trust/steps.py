"""The recipe's step `evaluate.trust`: the eight sides of trust, before and after."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from togi.evaluate.settings import ComparedSettings
from togi.step import Work

SideName = Literal[
    "toxicity",
    "stereotype",
    "adversarial",
    "out_of_distribution",
    "demonstrations",
    "privacy",
    "ethics",
    "fairness",
]

HELD_OUT = "web, held out"
"""The texts on which a scorer's agreement is told; those that models wrote are all toxic."""


class TrustSettings(ComparedSettings):
    """Ask models the sides of trust; each score has an interval, differences are paired."""

    data: str = Field(default="mini", min_length=1)
    "mini, hub, or a folder of the published data (the repository or its folder `data`)."
    sides: tuple[SideName, ...] = ()
    "Which of the eight sides; all of them where none is named."
    limit: int | None = Field(default=None, ge=1)
    "At most so many independent units of each scenario, the same ones in all of a side's."
    draws: int | None = Field(default=None, ge=1)
    "Answers to each prompt where they are drawn; 25 in the published study."
    max_tokens: int | None = Field(default=None, ge=1)
    "Longest drawn answer, in tokens; 150 in the published study."
    conditions: tuple[Literal["benign", "adversarial"], ...] = ("benign", "adversarial")
    "Which scenarios are asked; a side's score needs both."
    system_prompts: dict[str, str] = Field(default={})
    "benign, adversarial, or a side's own name of a system prompt: another text for it."
    turns: Literal["system", "user", "plain"] = "system"
    "Where the system's text goes: its own turn, the user's first turn, or plain text."
    scorer: str = Field(default="local", min_length=1)
    "Who scores toxicity: local, perspective (PERSPECTIVE_API_KEY), or a trained scorer's file."
    published: bool = False
    "Ask, read and score as the published code does, with its known faults."
    personal: bool = False
    "Write real people's data down as they are; lines and report hold hashes otherwise."


def run_trust(settings: TrustSettings, work: Work) -> dict[str, Any]:
    """Ask the models; outputs `scores`, `samples` and `sheet`, the scores as a table.

    All that is asked is built before the first model is opened, so a fault in the data shows at
    once.
    """
    from togi.evaluate.steps import opener
    from togi.evaluate.trust.judging import Way, judge_sides
    from togi.evaluate.trust.sides import SIDES
    from togi.evaluate.trust.suite import Wanted, plan

    planned = plan(
        Wanted(
            sides=settings.sides or tuple(SIDES),
            data=settings.data,
            limit=settings.limit,
            draws=settings.draws,
            max_tokens=settings.max_tokens,
            conditions=settings.conditions,
            system=settings.system_prompts,
            turns=settings.turns,
            scorer=settings.scorer,
            published=settings.published,
            personal=settings.personal,
            seed=work.seed,
            offline=work.offline,
        )
    )
    for name, one in planned.items():
        work.say(
            f"{name}: {one.prompts} prompts, {one.answers} answers of {one.tokens} tokens at most"
        )
    told = judge_sides(
        {name: opener(model, work) for name, model in settings.models.items()},
        planned,
        work.folder,
        comparisons=settings.pairs(),
        way=Way(published=settings.published, personal=settings.personal, seed=work.seed),
        chunk=settings.chunk,
        say=work.say,
    )
    notes = notes_of(told)
    for note in notes:
        work.say(note)
    return {
        "scores": "scores.json",
        "samples": "samples.jsonl",
        "sheet": "trust.csv",
        "notes": notes,
    }


def calibrated(name: str, about: dict[str, Any]) -> str:
    """Say how far a scorer of toxicity agrees with what it was trained to say.

    >>> calibrated("local#1", {"target": "T", "web, held out": {"n": 9, "pearson": 0.9,
    ...            "auc": 0.97, "mean_error": 0.1}})
    'toxicity is scored by local#1: against T on 9 unseen texts, r 0.90, AUC 0.970, mean error 0.10'
    """
    found = about[HELD_OUT]
    return (
        f"toxicity is scored by {name}: against {about['target']} on {found['n']} unseen texts,"
        f" r {found['pearson']:.2f}, AUC {found['auc']:.3f},"
        f" mean error {found['mean_error']:.2f}"
    )


def notes_of(told: dict[str, Any]) -> list[str]:
    """Say which scores mean little, and why.

    >>> notes_of({"side_scores": {"m": {"s": {"unparsed": {"mean": 0.6}, "score": {"mean": 1}}}},
    ...           "sides": {"s": {"scenarios": ["a"], "asked": ["a"]}}})
    ['m: 60 % of the answers on s cannot be read, so its score says little of the side']
    """
    notes = [
        calibrated(name, about)
        for name, about in told.get("scorers", {}).items()
        if HELD_OUT in about
    ]
    for model, sides in told["side_scores"].items():
        for side, parts in sides.items():
            share = parts["unparsed"]["mean"]
            if share is not None and share > 0.5:
                notes.append(
                    f"{model}: {100 * share:.0f} % of the answers on {side} cannot be read, "
                    "so its score says little of the side"
                )
    for side, about in told["sides"].items():
        if left := [name for name in about["scenarios"] if name not in about["asked"]]:
            notes.append(f"{side}: no score, as {', '.join(left)} was not asked")
    return notes
