"""`togi align compare`: several methods on the same rows, each with the same time to train.

How many steps fit into the time is measured once, by two updates that change nothing, and kept in
the run's folder, so that running the command again goes on with the same steps.
"""

from __future__ import annotations

import importlib
import json
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from togi.commands.judging import interval_text
from togi.commands.runs import OneOff, RunFlags
from togi.errors import UsageError, nearest
from togi.recipe import Recipe, RecipeStep
from togi.run import STEPS, run
from togi.run_folder import read_json
from togi.run_plan import PlannedStep, plan
from togi.voice import Voice, duration

FILE = "compare.json"
METHODS = ("sft", "dpo", "kto", "ppo", "metric")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is compared, as the command's flags say it."""

    rows: str
    methods: tuple[str, ...]
    minutes: float
    share: float
    by: str
    limit: int
    model: str
    seed: int

    def reading(self) -> list[dict[str, Any]]:
        """Return the steps that read the rows and hold some out."""
        split = {"rows": "rows", "by": self.by, "fraction": self.share}
        return [
            {"name": "rows", "use": "rows.read", "source": self.rows},
            {"name": "split", "use": "rows.split", **split},
        ]

    def trainings(self, steps: Mapping[str, int]) -> list[dict[str, Any]]:
        """Return the trainings, each with its number of steps."""
        return [{**one, "steps": steps.get(one["name"], 1)} for one in trainings(self.methods)]

    def recipe(self, steps: Sequence[Mapping[str, Any]]) -> Recipe:
        """Return a recipe of these steps."""
        whole = OneOff(
            name="compare", sources={}, steps=[*map(dict, steps)], model=self.model, seed=self.seed
        )
        return whole.recipe([])


def trainings(specs: Sequence[str]) -> list[dict[str, Any]]:
    """Read methods with their settings as steps of a recipe, each under a name of its own.

    Raises:
        UsageError: an unknown method, a setting that is not key=value, or one that the budget sets.

    >>> trainings(["dpo loss=ipo_mean"])
    [{'name': 'dpo', 'use': 'align.dpo', 'rows': 'split.train', 'loss': 'ipo_mean'}]
    """
    import yaml

    found: list[dict[str, Any]] = []
    for spec in specs:
        method, *settings = shlex.split(spec) or [""]
        if method not in METHODS:
            hint = "a reward model answers nothing" if method == "reward" else ""
            raise UsageError(
                "no such method", where=spec, expected=nearest(method, METHODS), hint=hint
            )
        same = sum(one["use"] == f"align.{method}" for one in found)
        step: dict[str, Any] = {
            "name": f"{method}-{same + 1}" if same else method,
            "use": f"align.{method}", "rows": "split.train",
        }  # fmt: skip
        for pair in settings:
            key, equals, value = pair.partition("=")
            if not equals:
                raise UsageError("not of the form key=value", where=f"{spec}: {pair}")
            if key in ("steps", "epochs", "rows"):
                raise UsageError(f"'{key}' is set by the comparison", where=spec)
            put(step, key.split("."), yaml.safe_load(value))
        found.append(step)
    return found


def put(step: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a value below a path of keys, such as lora.rank."""
    for key in path[:-1]:
        step = step.setdefault(key, {})
    step[path[-1]] = value


def run_compare(asked: Plan, flags: RunFlags) -> int:
    """Measure, train by each method, and say what each has changed; return the exit code."""
    voice, folder = Voice(flags.manner), flags.out or Path("runs") / "compare"
    names = [one["name"] for one in trainings(asked.methods)]
    draft = asked.recipe([*asked.reading(), *asked.trainings({})])  # refuses before any work
    run(asked.recipe(asked.reading()), folder, voice=voice, offline=flags.offline)
    steps = steps_of(asked, draft, folder, voice, offline=flags.offline)
    changes = {
        "name": "changes", "use": "evaluate.changes", "rows": "split.held_out",
        "limit": asked.limit, "models": {"base": "base", **{name: name for name in names}},
    }  # fmt: skip
    whole = asked.recipe([*asked.reading(), *asked.trainings(steps), changes])
    run(whole, folder, voice=voice, offline=flags.offline)
    for name, text in lines_of(folder):
        voice.final("method", text=text, method=name)
    return 0


def steps_of(
    asked: Plan, draft: Recipe, folder: Path, voice: Voice, *, offline: bool
) -> dict[str, int]:
    """Return how many steps of each method fit into the time, measured once for a folder."""
    known = read_json(folder / FILE) or {}
    if known.get("asked") == json.loads(json.dumps(asdict(asked))):
        return known["steps"]
    planned = {item.step.name: item for item in plan(draft, folder, STEPS)}
    steps: dict[str, int] = {}
    for step in draft.steps:
        if step.use.startswith("align."):
            seconds = _seconds(step, planned, asked, voice, offline=offline)
            steps[step.name] = max(1, int(60 * asked.minutes / seconds))
            voice.line(
                f"{step.name}: {duration(seconds)} a step, so {steps[step.name]} steps fit into "
                f"{duration(60 * asked.minutes)}"
            )
    told = {"asked": asdict(asked), "steps": steps}
    (folder / FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return steps


def _seconds(
    step: RecipeStep, planned: Mapping[str, PlannedStep], asked: Plan, voice: Voice, *,
    offline: bool,
) -> float:  # fmt: skip
    """Return what one step of a training takes."""
    from togi.step import Work

    measure = importlib.import_module(planned[step.name].kind.module).forecast
    inputs = {need: planned[need].outputs for need in step.needs}
    with tempfile.TemporaryDirectory(prefix="togi-compare-") as place:
        work = Work(
            folder=Path(place), seed=asked.seed, name=step.name, model=asked.model, inputs=inputs,
            say=voice.line, offline=offline,
        )  # fmt: skip
        return measure(step.settings, work)["seconds"]


def lines_of(folder: Path) -> list[tuple[str, str]]:
    """Return a line for each method: what it changed, and at what cost."""
    (place,) = sorted(folder.glob("steps/changes-*/changes.json"))[-1:]
    told = read_json(place) or {}
    gained = (told.get("quality") or {}).get("differences", {})
    measure = (told.get("quality") or {}).get("measure", "")
    lines = []
    for name, kl in told.get("kl", {}).items():
        cost = told.get("costs", {}).get(name, {})
        parts = [f"KL {interval_text(kl['kl_answer'])} nats an answer"]
        if name in gained:
            parts.append(f"{measure} {interval_text(gained[name])}")
        parts.append(f"{duration(cost.get('seconds') or 0)}, {cost.get('tokens') or 0:g} tokens")
        lines.append((name, f"{name}: " + "; ".join(parts)))
    return lines
