"""The commands below `togi evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from togi.commands.help import step_help
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
    Settings,
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


@evaluate.command("pairwise", cls=step_help("evaluate.pairwise"))
def evaluate_pairwise(
    rows: Rows,
    a: Annotated[str, typer.Option("--a", help="A model, or an adapter's folder.")],
    judges: Annotated[
        list[str],
        typer.Option("--judge", help="shorter, longer, …, file.py:function, or a model."),
    ],
    settings: Settings = None,
    b: Annotated[str, typer.Option("--b", help="The one that it is compared with.")] = "base",
    more: Annotated[
        list[str] | None, typer.Option("--also", help="A further model; repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Ask so many.")] = None,
    cluster: Cluster = "",
    model: Model = DEFAULT_MODEL,
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Have models answer, and judges say which answer is better, in both orders.

    A judge is only as good as it is: a model as small as the default one is no judge of quality;
    its win rates mean little, and its bias for a position shows it.
    """
    from togi.commands.comparing import Compared, run_pairwise

    asked = Compared(rows=rows, limit=limit, cluster=cluster)
    given = flags(out, offline, None, json_lines, quiet)
    models = [b, a, *(more or [])]  # the later one is told over the earlier
    raise typer.Exit(run_pairwise(asked, models, judges, settings or [], model, seed, given))


@evaluate.command("changes", cls=step_help("evaluate.changes"))
def evaluate_changes(
    rows: Rows,
    after: Annotated[
        list[str],
        typer.Option("--after", help="A tuned model or an adapter's folder; repeatable."),
    ],
    settings: Settings = None,
    before: Annotated[str, typer.Option("--before", help="What it was tuned from.")] = "base",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Ask so many.")] = None,
    cluster: Cluster = "",
    model: Model = DEFAULT_MODEL,
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what tuning has changed: KL from the base, lengths, refusals, abilities."""
    from togi.commands.comparing import Compared, run_changes

    asked = Compared(rows=rows, limit=limit, cluster=cluster)
    given = flags(out, offline, None, json_lines, quiet)
    models = [before, *after]
    raise typer.Exit(run_changes(asked, models, settings or [], model, seed, given))


@evaluate.command("trust", cls=step_help("evaluate.trust"))
def evaluate_trust(
    settings: Settings = None,
    mini: Annotated[
        bool, typer.Option("--mini", help="togi's own suite: offline, in minutes.")
    ] = False,
    full: Annotated[
        str, typer.Option("--full", help="The published data: a folder of them, or hub.")
    ] = "",
    sides: Annotated[
        list[str] | None, typer.Option("--sides", help="Only these, such as privacy,fairness.")
    ] = None,
    system: Annotated[
        str, typer.Option("--system", help="System prompts: both, benign or adversarial.")
    ] = "both",
    after: Annotated[
        list[str] | None,
        typer.Option("--after", help="A tuned model or an adapter's folder; repeatable."),
    ] = None,
    before: Annotated[str, typer.Option("--before", help="The model before.")] = "base",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Ask so many units of each scenario.")
    ] = None,
    model: Model = DEFAULT_MODEL,
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Ask models the eight sides of trust: what they do to people, and under pressure.

    Prompts and answers may hurt; none is shown here, and in the report they stand behind a click.
    """
    from togi.commands.trust import Sides, run_trust

    asked = Sides(mini=mini, full=full, sides=sides or [], system=system, limit=limit)
    given = flags(out, offline, None, json_lines, quiet)
    models = [before, *(after or [])]
    raise typer.Exit(run_trust(asked, models, settings or [], model, seed, given))


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


@evaluate.command("raters", cls=step_help("evaluate.raters"))
def evaluate_raters(
    source: Annotated[
        str, typer.Argument(metavar="TABLE", help="A table of ratings, or dices:350, dices:990.")
    ],
    settings: Settings = None,
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say where raters disagree: how much, on which items, between which groups."""
    from togi.commands.single import run_raters

    given = flags(out, offline, None, json_lines, quiet)
    raise typer.Exit(run_raters(source, settings or [], seed, given))
