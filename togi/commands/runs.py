"""`togi run` and the commands that build a recipe of one step from their arguments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from togi.commands.recipes import find_recipe
from togi.errors import UsageError
from togi.recipe import DEFAULT_MODEL, Recipe, load_recipe, parse_recipe
from togi.run import STEPS, run
from togi.voice import Manner, Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFlags:
    """The flags that every command that runs steps shares."""

    out: Path | None = None
    offline: bool = False
    force: tuple[str, ...] = ()
    json_lines: bool = False
    quiet: bool = False
    dry_run: bool = False

    @property
    def manner(self) -> Manner:
        """How progress is told."""
        if self.json_lines and self.quiet:
            raise UsageError("give either --json or --quiet")
        return "json" if self.json_lines else "quiet" if self.quiet else "plain"


def run_recipe(name: str, overrides: Sequence[str], flags: RunFlags) -> int:
    """Run a recipe file or a bundled recipe; return the exit code."""
    return run_in_folder(load_recipe(find_recipe(name), STEPS, overrides), flags)


def run_in_folder(recipe: Recipe, flags: RunFlags) -> int:
    """Run a recipe, or only say what it would do; return 0, or 3 where the gate is not passed."""
    voice = Voice(flags.manner)
    folder = flags.out or Path("runs") / recipe.name
    if flags.dry_run:
        from togi.run_dry import dry_run

        dry_run(recipe, folder, STEPS, voice, force=flags.force)
        return 0
    outcome = run(recipe, folder, voice=voice, force=flags.force, offline=flags.offline)
    return 0 if outcome.passed else 3


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOff:
    """A recipe made from a command's arguments.

    Attributes:
        name: names the run's folder.
        sources: what is read first: step name -> source as `rows.read` takes it.
        steps: the steps after these, as a recipe would say them.
        own: the step that the command's settings are for; the last one by default.
        model: the recipe's model.
        seed: the recipe's seed.
    """

    name: str
    sources: dict[str, str]
    steps: list[dict[str, Any]]
    model: str = DEFAULT_MODEL
    seed: int = 0
    own: str = ""

    def recipe(self, settings: Sequence[str]) -> Recipe:
        """Make the recipe, with `key=value` settings for the command's own step."""
        own = self.own or str(self.steps[-1]["name"])
        for pair in settings:
            if "=" not in pair:
                raise UsageError("not of the form key=value", where=pair)
        reads = [
            {"name": name, "use": "rows.read", "source": source}
            for name, source in self.sources.items()
        ]
        whole = {
            "name": self.name,
            "model": self.model,
            "seed": self.seed,
            "steps": [*reads, *self.steps],
        }
        overrides = [f"steps.{own}.{pair}" for pair in settings]
        return parse_recipe(
            json.dumps(whole), STEPS, file="command line", first_line=0, overrides=overrides
        )
