"""`togi evaluate pairwise` and `changes`: models side by side, named on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from togi.commands.judging import Judged, interval_text
from togi.commands.runs import OneOff, RunFlags, run_in_folder
from togi.commands.single import short_name
from togi.evaluate.rules import is_rule
from togi.run_folder import read_json
from togi.voice import Voice

STEP_HASH = re.compile(r"-[0-9a-f]{12}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What models are compared on, as the commands' flags say it."""

    rows: str
    limit: int | None = None
    cluster: str = ""

    def settings(self) -> dict[str, Any]:
        """Return what both steps share, as a recipe says it."""
        given = {"limit": self.limit, "cluster": self.cluster}
        return {"rows": "rows", **{key: value for key, value in given.items() if value}}


def telling_name(spec: str, taken: Sequence[str]) -> str:
    """Return what a model is called: its short name, for an adapter its step's, and unique.

    >>> telling_name("runs/a/steps/sft-0123456789ab/adapter", []), telling_name("own/m", ["m"])
    ('sft', 'm-2')
    """
    parts = spec.rstrip("/").split("/")
    inside = len(parts) > 2 and parts[-1] in ("adapter", "model")
    plain = STEP_HASH.sub("", parts[-2]) if inside else short_name(spec)
    names = (plain if count == 1 else f"{plain}-{count}" for count in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def models_of(specs: Sequence[str], base: str) -> Judged:
    """Return the models that the command line names, each under a name that tells it."""
    judged = Judged(base)
    for spec in specs:
        judged.add(telling_name(spec, list(judged.models)), spec)
    return judged


def judges_of(specs: Sequence[str], judged: Judged) -> dict[str, Any]:
    """Return the judges that the command line names; adapters become steps of their own."""
    judges: dict[str, Any] = {}
    for spec in specs:
        if is_rule(spec):
            judges[telling_name(spec.rpartition(":")[2], list(judges))] = {"rule": spec}
            continue
        aside = Judged(judged.base)
        aside.steps = judged.steps
        name = telling_name(spec, list(judges))
        aside.add(name, spec)
        judges[name] = aside.models[name]
    return judges


def run_pairwise(
    asked: Compared,
    models: Sequence[str],
    judges: Sequence[str],
    settings: Sequence[str],
    base: str,
    seed: int,
    flags: RunFlags,
) -> int:
    """Compare models' answers pair by pair and say the win rates; return the exit code."""
    judged = models_of(models, base)
    step = {
        "name": "pairwise",
        "use": "evaluate.pairwise",
        "judges": judges_of(judges, judged),
        "models": judged.models,
        **asked.settings(),
    }
    whole = OneOff(
        name="pairwise",
        sources={"rows": asked.rows},
        steps=[*judged.steps, step],
        model=base,
        seed=seed,
    )
    return _run(whole, settings, flags, pairwise_lines, "win rate")


def run_changes(
    asked: Compared,
    models: Sequence[str],
    settings: Sequence[str],
    base: str,
    seed: int,
    flags: RunFlags,
) -> int:
    """Find what tuned models have changed and say it; return the exit code."""
    judged = models_of(models, base)
    step = {
        "name": "changes",
        "use": "evaluate.changes",
        "models": judged.models,
        **asked.settings(),
    }
    whole = OneOff(
        name="changes",
        sources={"rows": asked.rows},
        steps=[*judged.steps, step],
        model=base,
        seed=seed,
    )
    return _run(whole, settings, flags, changes_lines, "change")


def _run(whole: OneOff, settings: Sequence[str], flags: RunFlags, lines: Any, event: str) -> int:
    recipe = whole.recipe(settings)
    code = run_in_folder(recipe, flags)
    if flags.dry_run:
        return code
    voice = Voice(flags.manner)
    for line, fields in lines(flags.out or Path("runs") / recipe.name):
        voice.final(event, text=line, **fields)
    return code


def _left(folder: Path, use: str, name: str) -> Iterator[dict[str, Any]]:
    """Yield a run's files of that name, of the steps of that kind."""
    done = read_json(folder / "run.json") or {}
    places = [step["folder"] for step in done.get("steps", []) if step["use"] == use]
    for place in places:
        if found := read_json(folder / place / name):
            yield found


def pairwise_lines(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each pair's win rate by each judge, and the judge's bias beside it."""
    for scores in _left(folder, "evaluate.pairwise", "scores.json"):
        for one in scores["results"]:
            line = (
                f"{one['judge']}: {one['after']} over {one['before']}"
                f"  win rate {interval_text(one['win_rate'])}"
                f"  {one['wins']} won, {one['ties']} tied, {one['losses']} lost"
                f"  position bias {interval_text(one['position_bias'])}"
            )
            yield line, one


def changes_lines(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each tuned model's divergence and differences from the base."""
    for found in _left(folder, "evaluate.changes", "changes.json"):
        for model, kl in found["kl"].items():
            why = f" ({kl['unknown']})" if kl["unknown"] else ""
            text = f"{model}  KL from {found['base']}, nats an answer"
            yield f"{text}: {interval_text(kl['kl_answer'])}{why}", {"model": model, **kl}
        for one in found["differences"]:
            if _primary(found["tasks"], one):
                text = f"{one['after']}  {one['task']} {one['measure']}"
                yield f"{text}: {interval_text(one['estimate'])}", one


def _primary(tasks: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    """Say whether a difference is of the answers, or of a task's primary measure."""
    task = str(one["task"])
    return task == "answers" or one["measure"] == tasks[task]["primary_measure"]
