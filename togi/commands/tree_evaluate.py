"""The commands below `togi evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from togi.commands.options import (
    DEFAULT_MODEL,
    Check,
    Cluster,
    Json,
    Kind,
    Model,
    Offline,
    Out,
    Quiet,
    Rows,
    Seed,
    flags,
    tree,
)

evaluate = tree("Judge models, with error bars.")


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
