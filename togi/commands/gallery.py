"""`togi gallery`: the papers' claims in miniature, listed, or run one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from togi.commands.runs import OneOff, RunFlags, run_in_folder
from togi.errors import UsageError, nearest
from togi.gallery import ENTRIES, recipe_of
from togi.recipe import Recipe, load_recipe
from togi.run import STEPS
from togi.run_folder import read_json

ALL = "all"
FOLDER = Path("runs") / "gallery"
WHOLE = ("steps.", "model=", "seed=")
"""How a setting begins that is not one of the entry's own step."""


def list_entries() -> str:
    """Return two lines for each entry: its name, title and minutes, and the claim."""
    width = max(map(len, ENTRIES), default=0)
    lines = []
    for name, entry in ENTRIES.items():
        lines.append(f"{name:{width}}  {entry.title} ({entry.source}; about {entry.minutes:g} min)")
        lines.append(f"{'':{width}}  {entry.claim}")
    return "\n".join(lines)


def run_entries(
    names: Sequence[str], settings: Sequence[str], model: str, seed: int, flags: RunFlags
) -> int:
    """Run entries, each in a folder of its own, and say what each found; return the exit code.

    Raises:
        UsageError: no entry of that name, or settings for several entries.
    """
    wanted = list(ENTRIES) if names == [ALL] else list(names)
    for name in wanted:
        if name not in ENTRIES:
            raise UsageError("no such entry", where=name, hint=nearest(name, ENTRIES))
    if settings and len(wanted) > 1:
        raise UsageError("settings are for one entry at a time", where=settings[0])
    for name in wanted:
        place = (flags.out or FOLDER) / name
        run_in_folder(_recipe(name, settings, model, seed), dataclasses.replace(flags, out=place))
        if not flags.json_lines and not flags.dry_run:
            print("\n".join(lines_of(place)))
    return 0


def _recipe(name: str, settings: Sequence[str], model: str, seed: int) -> Recipe:
    """Return the recipe of an entry: its own file, or a single step."""
    path = recipe_of(name)
    if path is None:
        step = {"name": name, "use": f"gallery.{name}"}
        whole = OneOff(name=name, sources={}, steps=[step], model=model, seed=seed)
        return whole.recipe(settings)
    own = [pair if pair.startswith(WHOLE) else f"steps.{name}.{pair}" for pair in settings]
    return load_recipe(path, STEPS, [f"model={model}", f"seed={seed}", *own])


def lines_of(folder: Path) -> Iterator[str]:
    """Yield what a finished entry says."""
    for path in sorted(folder.glob("steps/*/finding.json")):
        told = read_json(path) or {}
        yield f"{told.get('title')} ({told.get('source')})"
        yield f"  claims:    {told.get('claim')}"
        yield f"  measured:  {told.get('measured')}"
        yield f"  so it:     {told.get('holds')}"
        yield f"  picture:   {folder / 'report.html'}"
