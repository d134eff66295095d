"""The commands below `togi evaluate`."""

from __future__ import annotations

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
    Task,
    Unlike,
    flags,
    tree,
)
from togi.commands.tree_trust import evaluate_trust

evaluate = tree("Judge models, with error bars.")


@evaluate.callback(invoke_without_command=True)
def evaluate_any(
    context: typer.Context,
    task: Annotated[
        str, typer.Option("--try", help="A task's YAML file, or file.py:function: ask a few rows.")
    ] = "",
    rows: Annotated[str, typer.Option("--rows", help="With --try: the rows to ask.")] = "",
    judged: Annotated[str, typer.Option("--judge", help="With --try: the model asked.")] = "base",
    limit: Annotated[int, typer.Option("--limit", min=1, help="With --try: ask so many.")] = 5,
    model: Model = DEFAULT_MODEL,
    offline: Offline = False,
) -> None:
    """Judge models, with error bars."""
    if context.invoked_subcommand is None:
        from togi.commands.judging import try_task
        from togi.commands.own_tasks import asked_of

        asked = asked_of(task, rows=rows, limit=limit)
        try_task(asked, judged, model, 0, offline=offline)


@evaluate.command("judge")
def evaluate_judge(
    rows: Task,
    kind: Kind = "",
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
    from togi.commands.judging import run_judge
    from togi.commands.own_tasks import asked_of

    asked = asked_of(rows, kind, check=check, cluster=cluster, limit=limit)
    given = flags(out, offline, None, json_lines, quiet)
    raise typer.Exit(run_judge(asked, models or [], model, seed, given))


@evaluate.command("compare")
def evaluate_compare(
    rows: Task,
    after: Annotated[str, typer.Option("--after", help="A model or an adapter's folder.")],
    kind: Kind = "",
    before: Annotated[str, typer.Option("--before", help="The same, before.")] = "base",
    check: Check = "",
    cluster: Cluster = "",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Ask so many.")] = None,
    guard: Annotated[
        list[str] | None,
        typer.Option("--guard", help="NAME=MARGIN: general_text or choices may lose so much."),
    ] = None,
    unlike: Unlike = None,
    model: Model = DEFAULT_MODEL,
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge two models on the same rows and decide: exit code 0 is accept, 3 is anything else."""
    from togi.commands.judging import guards_of, run_compare
    from togi.commands.own_tasks import asked_of

    asked = asked_of(
        rows, kind, check=check, cluster=cluster, limit=limit, unlike=tuple(unlike or ())
    )
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


evaluate.command("trust", cls=step_help("evaluate.trust"))(evaluate_trust)


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


@evaluate.command("try")
def evaluate_try(
    rows: Task,
    kind: Kind = "",
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
    from togi.commands.judging import try_task
    from togi.commands.own_tasks import asked_of

    asked = asked_of(rows, kind, check=check, limit=limit)
    try_task(asked, judged, model, seed, offline=offline)


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
