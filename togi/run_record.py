"""`run.json`: what a run is and how far it is, written whole after each change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from togi.recipe import Recipe
from togi.run_folder import machine, now, versions, write_json
from togi.run_plan import PlannedStep


@dataclass(slots=True, kw_only=True)
class Record:
    """What `run.json` says, written anew after each change."""

    folder: Path
    fields: dict[str, Any]
    steps: dict[str, dict[str, Any]]
    verdict: dict[str, Any] | None = None

    @classmethod
    def start(cls, recipe: Recipe, folder: Path, planned: list[PlannedStep]) -> Record:
        """Open the record of a run that begins, or goes on, now."""
        found = versions()
        fields = {
            "togi": found["togi"],
            "name": recipe.name,
            "status": "running",
            "started": now(),
            "finished": None,
            "recipe": recipe.as_dict(),
            "recipe_text": recipe.text,
            "seed": recipe.seed,
            "model": recipe.model,
            "versions": found,
            "machine": machine(),
        }
        steps = {item.step.name: _entry(item, folder) for item in planned}
        record = cls(folder=folder, fields=fields, steps=steps)
        record.save()
        return record

    def step(self, name: str, **changes: Any) -> None:
        """Change what is said of one step."""
        self.steps[name].update(changes)
        self.save()

    def close(self, status: str, verdict: dict[str, Any] | None = None) -> None:
        """Say how the run ended; a step that was under way ended likewise."""
        self.verdict = verdict
        for entry in self.steps.values():
            if entry["status"] == "running":
                entry["status"] = status
        self.fields.update(status=status, finished=now(), machine=machine())
        self.save()

    def save(self) -> None:
        """Write `run.json`."""
        whole = {**self.fields, "steps": list(self.steps.values()), "verdict": self.verdict}
        write_json(self.folder / "run.json", whole)


def _entry(item: PlannedStep, folder: Path) -> dict[str, Any]:
    return {
        "name": item.step.name,
        "use": item.step.use,
        "hash": item.digest,
        "folder": item.folder.relative_to(folder).as_posix(),
        "status": "waiting",
        "seconds": None,
        "outputs": {},
        "notes": [],
    }
