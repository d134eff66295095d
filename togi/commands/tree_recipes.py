"""The commands below `togi recipes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from togi.commands.options import (
    tree,
)

recipes = tree("The recipes that come with togi.")


@recipes.command("list")
def recipes_list() -> None:
    """List the recipes that come with togi."""
    from togi.commands.recipes import list_recipes

    print(list_recipes())


@recipes.command("show")
def recipes_show(name: Annotated[str, typer.Argument(help="A recipe's name or file.")]) -> None:
    """Show a recipe."""
    from togi.commands.recipes import show_recipe

    print(show_recipe(name), end="")


@recipes.command("copy")
def recipes_copy(
    name: Annotated[str, typer.Argument(help="A recipe's name.")],
    target: Annotated[Path | None, typer.Argument(help="A file or folder [this folder].")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
) -> None:
    """Copy a recipe, to change it."""
    from togi.commands.recipes import copy_recipe

    print(copy_recipe(name, target, force=force))


@recipes.command("schema")
def recipes_schema() -> None:
    """Print the JSON Schema of recipes, for editors."""
    from togi.commands.recipes import schema_text

    print(schema_text())
