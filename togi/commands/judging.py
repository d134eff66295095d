"""The commands that judge as one step, and how their scores are said."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any

from togi.commands.runs import OneOff, RunFlags, run_in_folder
from togi.commands.single import short_name
from togi.errors import UsageError
from togi.run import run
from togi.run_folder import read_json
from togi.voice import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What models are judged on, as the commands' flags say it.

    `own` is what a task's own file says besides.
    """

    rows: str
    kind: str
    check: str = ""
    cluster: str = ""
    limit: int | None = None
    unlike: tuple[str, ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def task(self) -> dict[str, Any]:
        """Return the task as a recipe says it."""
        given = {
            "kind": self.kind, "check": self.check, "cluster": self.cluster, "limit": self.limit,
            "rows": "rows" if self.rows else "",
        }  # fmt: skip
        return {"name": "rows", **self.own, **{key: one for key, one in given.items() if one}}

    @property
    def sources(self) -> dict[str, str]:
        """The rows, named as the task names them; a guard brings its own."""
        return {"rows": self.rows} if self.rows else {}


class Judged:
    """Models that the command line names; adapters become steps of their own."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.steps: list[dict[str, Any]] = []
        self.models: dict[str, Any] = {}

    def add(self, name: str, spec: str) -> None:
        """Add a model: `base`, any model, or the folder of an adapter on the base model.

        Raises:
            UsageError: for a name that stands already for another model.
        """
        if name in self.models:
            raise UsageError("two models have the same name", where=name, hint="give --name")
        if (Path(spec).expanduser() / "adapter_config.json").is_file():
            step = f"adapter-{len(self.steps) + 1}"
            self.steps.append({"name": step, "use": "align.adapter", "source": spec})
            self.models[name] = {"model": self.base, "adapter": step}
        else:
            self.models[name] = {"model": self.base if spec == "base" else spec}


def _with_judge(
    name: str, asked: Asked, judged: Judged, tasks: Sequence[dict[str, Any]], seed: int
) -> OneOff:
    """Return a recipe that reads the rows, takes the adapters, and judges."""
    whole = [asked.task(), *tasks]
    judge = {"name": "judge", "use": "evaluate.judge", "models": judged.models, "tasks": whole}
    judge |= {"unlike": list(asked.unlike)} if asked.unlike else {}
    return OneOff(
        name=name,
        sources=asked.sources,
        steps=[*judged.steps, judge],
        model=judged.base,
        seed=seed,
    )


def run_judge(asked: Asked, models: Sequence[str], base: str, seed: int, flags: RunFlags) -> int:
    """Judge models on one source of rows and say their scores; return the exit code."""
    judged = Judged(base)
    for spec in models or ["base"]:
        judged.add(short_name(spec), spec)
    recipe = _with_judge("judge", asked, judged, [], seed).recipe([])
    code = run_in_folder(recipe, flags)
    voice = Voice(flags.manner)
    for line, fields in scores_of(flags.out or Path("runs") / recipe.name):
        voice.final("score", text=line, **fields)
    return code


def scores_of(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each score of a run's judging as a line and as fields."""
    done = read_json(folder / "run.json") or {}
    places = [step["folder"] for step in done.get("steps", []) if step["use"] == "evaluate.judge"]
    for place in places:
        scores = (read_json(folder / place / "scores.json") or {}).get("scores", {})
        for model, tasks in scores.items():
            for task, measures in tasks.items():
                for measure, found in measures.items():
                    fields = {"model": model, "task": task, "measure": measure, **found}
                    yield f"{model}  {task} {measure}: {interval_text(found)}", fields


def interval_text(found: Mapping[str, Any]) -> str:
    """Say an estimate.

    >>> interval_text({"mean": 0.5, "low": 0.25, "high": 0.75, "n": 9, "level": 0.95})
    '0.5 (0.25 to 0.75 at 95 %, n 9)'
    >>> interval_text({"mean": 1.0, "low": None, "high": None, "n": 1, "level": 0.95})
    '1 (n 1 is too small for an interval)'
    """
    if found["mean"] is None:
        return "unknown"
    if found["low"] is None or found["high"] is None:
        return f"{found['mean']:.4g} (n {found['n']} is too small for an interval)"
    share = f"{found['low']:.4g} to {found['high']:.4g} at {100 * found['level']:.4g} %"
    return f"{found['mean']:.4g} ({share}, n {found['n']})"


def guards_of(pairs: Sequence[str]) -> dict[str, float]:
    """Read `--guard NAME=MARGIN`.

    Raises:
        UsageError: when one is not of that form.

    >>> guards_of(["choices=0.05"])
    {'choices': 0.05}
    """
    guards: dict[str, float] = {}
    for pair in pairs:
        name, _, margin = pair.partition("=")
        try:
            guards[name] = float(margin)
        except ValueError:
            raise UsageError("not of the form NAME=MARGIN", where=f"--guard {pair}") from None
    return guards


def run_compare(
    asked: Asked,
    models: Mapping[str, str],
    base: str,
    seed: int,
    guards: Mapping[str, float],
    flags: RunFlags,
) -> int:
    """Judge the models `before` and `after`, and decide; 0 is accept, 3 any other verdict."""
    judged = Judged(base)
    for name, spec in models.items():
        judged.add(name, spec)
    whole = _with_judge(
        "compare", asked, judged, [{"name": name, "guard": name} for name in guards], seed
    )
    verdict = {
        "name": "verdict",
        "use": "evaluate.verdict",
        "scores": "judge",
        "baseline": "before",
        "candidate": "after",
        "primary": asked.task()["name"],
        "guards": dict(guards),
        "unlike": list(asked.unlike),
    }
    return run_in_folder(replace(whole, steps=[*whole.steps, verdict]).recipe([]), flags)


def try_task(asked: Asked, spec: str, base: str, seed: int, *, offline: bool) -> None:
    """Judge a model on a few rows in a temporary folder, and print each line of it."""
    judged = Judged(base)
    judged.add(short_name(spec), spec)
    recipe = _with_judge("try", asked, judged, [], seed).recipe([])
    with tempfile.TemporaryDirectory(prefix="togi-try-") as place:
        folder = Path(place)
        run(recipe, folder, voice=Voice("quiet", StringIO()), offline=offline)
        (lines,) = folder.glob("steps/judge-*/samples.jsonl")
        for line in lines.read_text(encoding="utf-8").splitlines():
            print(_shown(json.loads(line)))
        print("---", *(line for line, _ in scores_of(folder)), sep="\n")


def _shown(sample: dict[str, Any]) -> str:
    """Return one judged sample for a person's eyes."""
    asked = sample.get("input")
    if isinstance(asked, list):
        asked = "\n".join(f"{turn.get('role')}: {turn.get('content')}" for turn in asked)
    measures = ", ".join(f"{name} {value}" for name, value in sample.get("measures", {}).items())
    return (
        f"--- {sample['id']}\nasked:    {asked}\nexpected: {sample.get('target')}\n"
        f"answered: {sample.get('answer')}\n{_how(sample.get('detail') or {})}measured: {measures}"
    )


def _how(detail: Mapping[str, Any]) -> str:
    r"""Say what a parser read in the answers, or how their programs ended.

    >>> _how({"read": [{"letter": "", "rule": ""}]}), _how({"ran": [{"how": "passed", "told": ""}]})
    ('read:     nothing\n', 'ran:      passed\n')
    """
    lines = ""
    for key in ("read", "ran"):
        parts = [": ".join(str(v) for v in one.values() if v) for one in detail.get(key, [])]
        lines += f"{key + ':':10}{'; '.join(part or 'nothing' for part in parts)}\n" * bool(parts)
    return lines
