"""The command line: a thin tree of commands; what they do lies in `togi/commands/`.

Nothing heavy is imported here, so that `togi --help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from togi import __version__
from togi.commands.entry import guarded
from togi.commands.options import (
    DEFAULT_MODEL,
    Dry,
    Force,
    Json,
    Model,
    Offline,
    Out,
    Quiet,
    Seed,
    flags,
    tree,
)
from togi.commands.tree_align import align
from togi.commands.tree_data import data
from togi.commands.tree_recipes import recipes
from togi.commands.tree_suites import evaluate

app = tree("Choose data, tune a model, judge it before and after, and end in a verdict.")
app.add_typer(data, name="data")
app.add_typer(align, name="align")
app.add_typer(evaluate, name="evaluate")
app.add_typer(recipes, name="recipes")


def _version(asked: bool) -> None:
    if asked:
        print(f"togi {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")
    ] = False,
) -> None:
    """Choose data, tune a model, judge it before and after, and end in a verdict."""


@app.command("run")
def run_command(
    recipe: Annotated[str, typer.Argument(help="A recipe's file, or the name of one of togi's.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="A.B=C", help="Overrides, such as steps.sft.lr=1e-4."),
    ] = None,
    out: Out = None,
    offline: Offline = False,
    force: Force = None,
    json_lines: Json = False,
    quiet: Quiet = False,
    dry_run: Dry = False,
) -> None:
    """Run a recipe, or go on with it: the same command continues what was stopped.

    Leaves with 0 where the verdict is accept or the recipe has none, 3 where it is another.
    """
    from togi.commands.runs import run_recipe

    given = flags(out, offline, force, json_lines, quiet, dry_run)
    raise typer.Exit(run_recipe(recipe, overrides or [], given))


@app.command("gallery")
def gallery_command(
    names: Annotated[
        list[str] | None, typer.Argument(help="Entries to run, or `all`; none lists them.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the entry.")
    ] = None,
    model: Model = DEFAULT_MODEL,
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Re-run a paper's claim in miniature: minutes, a picture, a number with its interval."""
    from togi.commands.gallery import list_entries, run_entries

    if not names:
        print(list_entries())
        return
    given = flags(out, offline, None, json_lines, quiet)
    raise typer.Exit(run_entries(names, settings or [], model, seed, given))


@app.command("report")
def report_command(
    folder: Annotated[Path, typer.Argument(help="A run's folder, or its name below runs/.")],
    quiet: Quiet = False,
) -> None:
    """Make a run's report anew from its files, and say its verdict."""
    from togi.commands.report import make_report

    print(make_report(folder, quiet=quiet))


@app.command("fetch")
def fetch_command(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models or recipes; the default model if none.")
    ] = None,
) -> None:
    """Fetch models, and all that a recipe names, so that --offline works afterwards."""
    from togi.commands.fetch import fetch_all

    fetch_all(names or [DEFAULT_MODEL])


@app.command("doctor")
def doctor_command(
    verify: Annotated[bool, typer.Option("--verify", help="Hash the models' files.")] = False,
) -> None:
    """Say what this machine offers, what is missing, and how to get it."""
    from togi.commands.doctor import doctor

    raise typer.Exit(doctor(verify=verify))


@app.command("chat")
def chat_command(
    model: Annotated[str, typer.Argument(help="The model to talk with.")] = DEFAULT_MODEL,
    adapter: Annotated[
        Path | None, typer.Option("--adapter", help="An adapter's folder to put on it.")
    ] = None,
    once: Annotated[str, typer.Option("--once", help="Ask this, print the answer, leave.")] = "",
    system: Annotated[str, typer.Option("--system", help="A system message.")] = "",
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Longest answer.")] = 256,
    temperature: Annotated[
        float, typer.Option("--temperature", min=0, help="0 takes the most probable token.")
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The seed of every draw.")] = 0,
    offline: Offline = False,
) -> None:
    """Talk with a model; an empty line or Ctrl-D ends it."""
    from togi.commands.chat import Chat, talk

    chat = Chat(system=system, max_tokens=max_tokens, temperature=temperature, seed=seed)
    talk(chat, model, adapter=adapter, once=once, offline=offline)


def main() -> None:
    """Run the program; every error becomes one message and an exit code."""
    debug = "--debug" in sys.argv
    words = [word for word in sys.argv[1:] if word != "--debug"]
    guarded(lambda: app(args=words, prog_name="togi"), debug=debug)
