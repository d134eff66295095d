"""The commands below `togi data`, `togi align`, `togi evaluate` and `togi recipes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from togi.commands.help import step_help
from togi.commands.options import (
    DEFAULT_MODEL,
    Check,
    Cluster,
    Dry,
    Json,
    Kind,
    Model,
    Offline,
    Out,
    Quiet,
    Rows,
    Seed,
    Settings,
    flags,
    tree,
)

data = tree("Look at rows, and choose among them.")
align = tree("Tune a model with an adapter.")
evaluate = tree("Judge models, with error bars.")
recipes = tree("The recipes that come with togi.")


@data.command("read")
def data_read(
    source: Rows,
    kind: Annotated[str, typer.Option("--kind", help="The rows' shape.")] = "auto",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Read so many rows.")] = None,
    show: Annotated[int, typer.Option("--show", min=0, help="Show so many rows.")] = 3,
    skip: Annotated[bool, typer.Option("--skip-bad", help="Count bad rows, go on.")] = False,
    offline: Offline = False,
) -> None:
    """Look at a source: what was understood, how many rows, how long, and the first ones."""
    from togi.commands.inspect import inspect_rows

    inspect_rows(source, kind=kind, limit=limit, show=show, skip=skip, offline=offline)


@data.command("dsir", cls=step_help("data.dsir"))
def data_dsir(
    raw: Annotated[str, typer.Argument(help="The source to choose from.")],
    target: Annotated[str, typer.Argument(help="The source that the choice shall resemble.")],
    settings: Settings = None,
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Choose rows that resemble a target, by importance resampling (DSIR)."""
    from togi.commands.single import run_dsir

    given = flags(out, offline, None, json_lines, quiet)
    raise typer.Exit(run_dsir(raw, target, settings or [], seed, given))


@align.command("sft", cls=step_help("align.sft"))
def align_sft(
    rows: Rows,
    settings: Settings = None,
    model: Model = DEFAULT_MODEL,
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
    dry_run: Dry = False,
) -> None:
    """Tune an adapter on prompts and responses."""
    from togi.commands.single import run_align

    given = flags(out, offline, None, json_lines, quiet, dry_run)
    raise typer.Exit(run_align("sft", rows, settings or [], model, seed, given))


@align.command("dpo", cls=step_help("align.dpo"))
def align_dpo(
    rows: Rows,
    settings: Settings = None,
    model: Model = DEFAULT_MODEL,
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
    dry_run: Dry = False,
) -> None:
    """Tune an adapter on pairs of a better and a worse answer."""
    from togi.commands.single import run_align

    given = flags(out, offline, None, json_lines, quiet, dry_run)
    raise typer.Exit(run_align("dpo", rows, settings or [], model, seed, given))


@align.command("merge")
def align_merge(
    adapter: Annotated[Path, typer.Argument(help="The adapter's folder.")],
    out: Annotated[Path, typer.Option("--out", help="The new model's folder.")],
    model: Model = DEFAULT_MODEL,
    dtype: Annotated[
        str, typer.Option("--dtype", help="Type of the saved weights: float32, bfloat16 or auto.")
    ] = "auto",
    texts: Annotated[
        str, typer.Option("--texts", help="Rows to measure the drift on, instead of togi's own.")
    ] = "",
    compare: Annotated[
        bool, typer.Option(help="Measure also the merges that are not made.")
    ] = True,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Merge an adapter into its base, save an ordinary model, and say how far answers moved.

    An adapter that was trained on a base in four bits is merged into the dequantised weights.
    """
    from togi.commands.merge import merge

    merge(
        adapter, model, out, dtype=dtype, texts=texts, compare=compare, offline=offline, quiet=quiet
    )


@evaluate.command("judge")
def evaluate_judge(
    rows: Rows,
    kind: Kind,
    models: Annotated[
        list[str] | None, typer.Option("--judge", help="`base`, a model or an adapter's folder.")
    ] = None,
    check: Check = "",
    cluster: Cluster = "",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Ask so many.")] = None,
    model: Model = DEFAULT_MODEL,
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge one or more models on the same rows; every score has an interval."""
    from togi.commands.single import Asked, run_judge

    asked = Asked(rows=rows, kind=kind, check=check, cluster=cluster, limit=limit)
    given = flags(out, offline, None, json_lines, quiet)
    raise typer.Exit(run_judge(asked, models or [], model, seed, given))


@evaluate.command("compare")
def evaluate_compare(
    rows: Rows,
    kind: Kind,
    after: Annotated[str, typer.Option("--after", help="A model or an adapter's folder.")],
    before: Annotated[str, typer.Option("--before", help="The same, before.")] = "base",
    check: Check = "",
    cluster: Cluster = "",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Ask so many.")] = None,
    guard: Annotated[
        list[str] | None,
        typer.Option("--guard", help="NAME=MARGIN: general_text or choices may lose so much."),
    ] = None,
    model: Model = DEFAULT_MODEL,
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge two models on the same rows and decide: exit code 0 is accept, 3 is anything else."""
    from togi.commands.single import Asked, guards_of, run_compare

    asked = Asked(rows=rows, kind=kind, check=check, cluster=cluster, limit=limit)
    given = flags(out, offline, None, json_lines, quiet)
    models = {"before": before, "after": after}
    raise typer.Exit(run_compare(asked, models, model, seed, guards_of(guard or []), given))


@evaluate.command("try")
def evaluate_try(
    rows: Rows,
    kind: Kind,
    judged: Annotated[
        str, typer.Option("--judge", help="A model or an adapter's folder.")
    ] = "base",
    check: Check = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Ask so many.")] = 5,
    model: Model = DEFAULT_MODEL,
    seed: Seed = 0,
    offline: Offline = False,
) -> None:
    """Judge a model on a few rows and show each question and answer; nothing is kept."""
    from togi.commands.single import Asked, try_task

    asked = Asked(rows=rows, kind=kind, check=check, limit=limit)
    try_task(asked, judged, model, seed, offline=offline)


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
