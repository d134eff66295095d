"""`togi recipes`: the recipes that come with togi, and finding one by name or path."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from togi.errors import RecipeError, UsageError, nearest

FOLDER = Path(__file__).parents[1] / "recipes"


def bundled() -> dict[str, Path]:
    """Return the recipes that come with togi, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def find_recipe(name: str) -> Path:
    """Return the path of a recipe file, or of a bundled recipe by its name.

    Raises:
        RecipeError: when there is neither.
    """
    path, known = Path(name).expanduser(), bundled()
    if path.is_file():
        return path
    if name in known:
        return known[name]
    raise RecipeError(
        "no such file, and no recipe of togi's has that name",
        where=name,
        hint=nearest(name, known) + ", or the path of a YAML file",
    )


def about(path: Path) -> str:
    """Return what a recipe says of itself in its first comment line."""
    first = path.read_text(encoding="utf-8").splitlines()[:1]
    return first[0].lstrip("# ").rstrip() if first and first[0].startswith("#") else ""


def list_recipes() -> str:
    """Return one line for each bundled recipe."""
    known = bundled()
    width = max(map(len, known), default=0)
    return "\n".join(f"{name:{width}}  {about(path)}" for name, path in known.items())


def show_recipe(name: str) -> str:
    """Return a recipe's text."""
    return find_recipe(name).read_text(encoding="utf-8")


def copy_recipe(name: str, target: Path | None, *, force: bool = False) -> Path:
    """Copy a recipe to a file or folder, by default into the current folder.

    Raises:
        UsageError: when the file is there already, unless `force`.
    """
    source = find_recipe(name)
    place = target or Path()
    if place.is_dir():
        place = place / source.name
    if place.exists() and not force:
        raise UsageError("is there already", where=str(place), hint="give --force to replace it")
    shutil.copyfile(source, place)
    return place


def schema_text() -> str:
    """Return the JSON Schema of recipes."""
    from togi.recipe_schema import recipe_schema
    from togi.run import STEPS

    return json.dumps(recipe_schema(STEPS), indent=2, ensure_ascii=False)
