"""The command `togi evaluate trust`, which stands below `togi evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from togi.commands.options import (
    DEFAULT_MODEL,
    Json,
    Model,
    Offline,
    Out,
    Quiet,
    Seed,
    Settings,
    flags,
)


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
