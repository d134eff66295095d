"""`togi evaluate personas`: what it asks of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from togi.commands.comparing import models_of
from togi.commands.runs import OneOff, RunFlags, run_in_folder


def run_personas(
    models: Sequence[str],
    exam: str,
    things: str,
    settings: Sequence[str],
    base: str,
    seed: int,
    flags: RunFlags,
) -> int:
    """Ask models what a persona changes; return the exit code.

    Args:
        models: `base`, models, or adapters' folders; the base alone where there is none.
        exam: source of multiple-choice rows; "" takes togi's own questions.
        things: source of rows that name things; "" takes togi's own.
        settings: `key=value` of the step.
        base: the recipe's model.
        seed: the recipe's seed.
        flags: of the run.
    """
    judged = models_of(models, base)
    step: dict[str, Any] = {"name": "personas", "use": "evaluate.personas"}
    if judged.models:
        step["models"] = judged.models
    sources: dict[str, str] = {}
    for probe, name, source in (("exam", "questions", exam), ("descriptions", "things", things)):
        if source:
            sources[name] = source
            step[probe] = {"rows": name}
    whole = OneOff(
        name="personas",
        sources=sources,
        steps=[*judged.steps, step],
        model=base,
        seed=seed,
    )
    return run_in_folder(whole.recipe(settings), flags)
