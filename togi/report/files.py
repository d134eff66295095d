"""Reading what a run left behind, finished or not.

Nothing here trusts that a file is there or whole: a run may have been stopped at any point. What
is missing reads as empty; what is there but broken is listed in `RunFiles.problems` and shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from togi.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFiles:
    """One step of a run: what `run.json` or `step.json` says of it, and where its files lie."""

    name: str
    use: str
    hash: str
    status: str
    seconds: Any
    folder: Path
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def theme(self) -> str:
        """The part of `use` before the first full stop, such as "align"."""
        return self.use.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """A run's folder, its `run.json`, its steps in order, and what could not be read."""

    folder: Path
    run: dict[str, Any]
    steps: list[StepFiles]
    problems: list[str]

    def of(self, *uses: str) -> list[StepFiles]:
        """Return the steps whose `use`, or whose theme, is one of these, in order."""
        return [step for step in self.steps if step.use in uses or step.theme in uses]

    def json(self, step: StepFiles, name: str) -> dict[str, Any]:
        """Return a step's JSON object; empty where the file is missing or broken."""
        return read_json(step.folder / name, self.problems)

    def lines(self, step: StepFiles, name: str) -> Iterator[dict[str, Any]]:
        """Yield the objects of a step's JSON-lines file."""
        return read_lines(step.folder / name, self.problems)


def read_json(path: Path, problems: list[str]) -> dict[str, Any]:
    """Return the object in a JSON file, or {} with a line in `problems` where it is broken."""
    try:
        value = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
        return _broken(path, str(error), problems)
    return value if isinstance(value, dict) else _broken(path, "not an object", problems)


def read_lines(path: Path, problems: list[str]) -> Iterator[dict[str, Any]]:
    """Yield a JSON-lines file's objects; broken lines (a run cut short) are counted, not fatal."""
    broken = 0
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError):
                    broken += bool(line.strip())
                    continue
                if isinstance(value, dict):
                    yield value
                else:
                    broken += 1
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        _broken(path, str(error), problems)
    if broken:
        _broken(path, f"{broken} unreadable line{'s' * (broken > 1)} left out", problems)


def read_run(folder: Path) -> RunFiles:
    """Read a run's folder.

    Raises DataError where the folder holds neither a readable `run.json` nor any step.
    """
    problems: list[str] = []
    run = read_json(folder / "run.json", problems)
    listed = [entry for entry in as_list(run.get("steps")) if isinstance(entry, dict)]
    if not listed:
        listed = _found_on_disk(folder, problems)
    if not run and not listed:
        raise DataError(
            "no run to report on",
            where=str(folder),
            found=problems[0] if problems else "no run.json and no finished step",
            expected="the folder of a run, such as runs/quickstart",
            hint="start one with `togi run recipe.yaml`",
        )
    steps = [_step(folder, entry, problems) for entry in listed]
    return RunFiles(folder=folder, run=run, steps=steps, problems=problems)


def _step(folder: Path, entry: dict[str, Any], problems: list[str]) -> StepFiles:
    name, digest = str(entry.get("name") or "step"), str(entry.get("hash") or "")
    place = folder / str(entry.get("folder") or f"steps/{name}-{digest[:12]}")
    done = read_json(place / "step.json", problems)
    both = {**done, **{key: value for key, value in entry.items() if value not in (None, {}, [])}}
    return StepFiles(
        name=name,
        use=str(both.get("use") or ""),
        hash=digest or str(done.get("hash") or ""),
        status=str(entry.get("status") or ("done" if done else "not finished")),
        seconds=both.get("seconds"),
        folder=place,
        inputs=as_dict(both.get("inputs")),
        outputs=as_dict(both.get("outputs")),
        settings=as_dict(both.get("settings")),
        notes=[str(note) for note in as_list(both.get("notes"))],
    )


def _found_on_disk(folder: Path, problems: list[str]) -> list[dict[str, Any]]:
    marks = sorted((folder / "steps").glob("*/step.json"), key=lambda path: path.stat().st_mtime)
    found = [(path, read_json(path, problems)) for path in marks]
    return [
        {**entry, "folder": str(path.parent.relative_to(folder)), "status": "done"}
        for path, entry in found
        if entry
    ]


def _broken(path: Path, why: str, problems: list[str]) -> dict[str, Any]:
    line = f"{path.parent.name}/{path.name}: {why}"
    if line not in problems:
        problems.append(line)
    return {}


def as_dict(value: Any) -> dict[str, Any]:
    """Return the value where it is a dict, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return the value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []
