"""`togi evaluate rank`: the models of finished runs, ranked in a run of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from togi.commands.judging import interval_text
from togi.commands.runs import OneOff, RunFlags, run_in_folder
from togi.evaluate.field import judgings_of
from togi.run_folder import read_json
from togi.voice import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """What is ranked, as the command's arguments say it."""

    runs: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    shared: bool = False

    def step(self) -> dict[str, Any]:
        """Return the step; runs become their judgings' folders, whose content it depends on."""
        places = [place for run in self.runs for place in judgings_of(Path(run).expanduser())]
        return {
            "name": "rank",
            "use": "evaluate.rank",
            "source": [str(place.resolve()) for place in places],
            "tasks": list(self.tasks),
            "unlike": list(self.unlike),
            "shared": self.shared,
        }


def run_rank(asked: Ranked, seed: int, flags: RunFlags) -> int:
    """Rank the models of finished runs and say their places; return the exit code."""
    whole = OneOff(name="rank", sources={}, steps=[asked.step()], seed=seed)
    recipe = whole.recipe([])
    code = run_in_folder(recipe, flags)
    folder = flags.out or Path("runs") / recipe.name
    voice = Voice(flags.manner)
    done = read_json(folder / "run.json") or {}
    for step in done.get("steps", []):
        found = read_json(folder / step["folder"] / "rank.json") or {}
        for line, fields in lines_of(found):
            voice.final("rank", text=line, **fields)
    return code


def lines_of(found: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each model's place on all tasks together, then on each task where there are more."""
    tasks = found.get("tasks", [])
    boards = [("all tasks", found.get("all", {}))]
    if len(tasks) > 1:
        boards += [(f"{one['task']} {one['measure']}", one) for one in tasks]
    for name, board in boards:
        for place in board.get("places", []):
            text = (
                f"{name}: {place['rank']}. {place['model']}"
                f"  win rate {interval_text(place['win_rate'])}"
                f"  strength {interval_text(place['strength'])}"
                f"  rank {place['rank_best']} to {place['rank_worst']}"
            )
            yield text, {"board": name, **place}
