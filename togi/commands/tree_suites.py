"""The commands below `togi evaluate` that bring their own questions, tables or runs."""

from __future__ import annotations

from typing import Annotated

import typer

from togi.commands.help import step_help
from togi.commands.options import (
    DEFAULT_MODEL,
    Dry,
    Json,
    Model,
    Offline,
    Out,
    Quiet,
    Seed,
    Settings,
    Unlike,
    flags,
)
from togi.commands.tree_evaluate import evaluate

__all__ = ["evaluate"]


@evaluate.command("rank", cls=step_help("evaluate.rank"))
def evaluate_rank(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN…", help="Folders of finished runs with judgings.")
    ],
    tasks: Annotated[
        list[str] | None, typer.Option("--task", help="Task or task.measure; repeatable.")
    ] = None,
    unlike: Unlike = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="Use the samples that all were asked.")
    ] = False,
    out: Out = None,
    seed: Seed = 0,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Rank the models of finished runs, by win rate and by Bradley–Terry strength.

    Paired by sample id; a win rate changes with the set of models.
    """
    from togi.commands.ranking import Ranked, run_rank

    asked = Ranked(
        runs=tuple(runs), tasks=tuple(tasks or ()), unlike=tuple(unlike or ()), shared=shared
    )
    raise typer.Exit(run_rank(asked, seed, flags(out, True, None, json_lines, quiet)))


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


@evaluate.command("raters", cls=step_help("evaluate.raters"))
def evaluate_raters(
    source: Annotated[
        str,
        typer.Argument(
            metavar="TABLE", help="A table of ratings, or dices:350, dices:990, davidson:2017."
        ),
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


@evaluate.command("personas", cls=step_help("evaluate.personas"))
def evaluate_personas(
    settings: Settings = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--judge", help="`base`, a model or an adapter's folder; repeatable."),
    ] = None,
    exam: Annotated[
        str, typer.Option("--exam", help="Multiple-choice rows, such as hub:cais/mmlu:all@test.")
    ] = "",
    things: Annotated[str, typer.Option("--things", help="Rows that name what is described.")] = "",
    model: Model = DEFAULT_MODEL,
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
    dry_run: Dry = False,
) -> None:
    """Say what a persona changes: in games, exams and descriptions, as paired differences.

    Without rows of your own the questions and things that come along are asked.
    """
    from togi.commands.personas import run_personas

    given = flags(out, offline, None, json_lines, quiet, dry_run)
    raise typer.Exit(run_personas(models or [], exam, things, settings or [], model, seed, given))


@evaluate.command(
    "lm-eval",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def evaluate_lm_eval(arguments: typer.Context) -> None:
    """Run lm-evaluation-harness on togi's engine; all arguments are its own.

    For example: --model_args pretrained=smollm2-135m,dtype=float32 --tasks arc_easy. `lm_eval
    --help` lists them; model_args are pretrained, adapter, dtype, device, max_length, seed, system.
    """
    from togi.plugins.lm_eval import main

    main(arguments.args)
