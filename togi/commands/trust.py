"""`togi evaluate trust`: the eight sides of trust of one or more models, from the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from togi.commands.comparing import models_of
from togi.commands.judging import interval_text
from togi.commands.runs import OneOff, RunFlags, run_in_folder
from togi.errors import UsageError
from togi.run_folder import read_json
from togi.voice import Voice

NEITHER = "say whether the mini suite or the published data are asked"
SYSTEMS = {"both": [], "benign": ["benign"], "adversarial": ["adversarial"]}
"""What --system takes -> the conditions that are asked; none is the step's own default, both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """What models are asked, as the command's flags say it."""

    mini: bool
    full: str
    sides: Sequence[str] = ()
    system: str = "both"
    limit: int | None = None

    def settings(self) -> dict[str, Any]:
        """Return the step's settings, as a recipe says them.

        Raises:
            UsageError: neither the mini suite nor published data are named, or both; no such
                system prompts.

        >>> Sides(mini=True, full="", sides=["privacy,ethics"], system="benign").settings()
        {'data': 'mini', 'sides': ['privacy', 'ethics'], 'conditions': ['benign']}
        """
        if self.mini == bool(self.full):
            raise UsageError(
                "give either --mini or --full" if self.mini else NEITHER,
                hint="--mini is togi's own suite, offline and in minutes; --full takes the folder "
                "of the study's published data, or hub",
            )
        if self.system not in SYSTEMS:
            raise UsageError(
                f"no system prompts are called '{self.system}'",
                where="--system",
                expected=", ".join(SYSTEMS),
            )
        named = [name for given in self.sides for name in given.replace(",", " ").split()]
        given = {"sides": named, "conditions": SYSTEMS[self.system], "limit": self.limit}
        return {"data": self.full or "mini", **{key: v for key, v in given.items() if v}}


def run_trust(
    asked: Sides,
    models: Sequence[str],
    settings: Sequence[str],
    base: str,
    seed: int,
    flags: RunFlags,
) -> int:
    """Ask the models the sides of trust and say their scores; return the exit code."""
    judged = models_of(models, base)
    step = {"name": "trust", "use": "evaluate.trust", "models": judged.models, **asked.settings()}
    whole = OneOff(name="trust", sources={}, steps=[*judged.steps, step], model=base, seed=seed)
    recipe = whole.recipe(settings)
    code = run_in_folder(recipe, flags)
    if flags.dry_run:
        return code
    voice = Voice(flags.manner)
    for line, fields in trust_lines(flags.out or Path("runs") / recipe.name):
        voice.final("trust", text=line, **fields)
    return code


def trust_lines(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each side's score of each model, and then each difference, as a line and as fields."""
    done = read_json(folder / "run.json") or {}
    places = [step["folder"] for step in done.get("steps", []) if step["use"] == "evaluate.trust"]
    for place in places:
        told = read_json(folder / place / "scores.json") or {}
        sides = told.get("sides", {})
        for model, scores in told.get("side_scores", {}).items():
            for side, parts in scores.items():
                rates = ", ".join(
                    f"{_share(parts[name])} {word}"
                    for name, word in (("refused", "refused"), ("unparsed", "not readable"))
                )
                title = sides[side]["title"]
                line = f"{model}  {title}: {interval_text(parts['score'])}  {rates}"
                yield line, {"model": model, "side": side, **parts}
        for one in told.get("side_differences", []):
            if one["part"] == "score":
                pair = f"{one['after']} − {one['before']}"
                says = {True: "better", False: "worse", None: "cannot tell"}[one["better"]]
                title = sides[one["side"]]["title"]
                yield f"{pair}  {title}: {interval_text(one['estimate'])}  {says}", one


def _share(found: dict[str, Any]) -> str:
    """Say a rate in per cent.

    >>> _share({"mean": 0.125}), _share({"mean": None})
    ('12.5 %', 'unknown')
    """
    return "unknown" if found["mean"] is None else f"{100 * found['mean']:.3g} %"
