"""The commands below `togi data`."""

from __future__ import annotations

from typing import Annotated

import typer

from togi.commands.help import step_help
from togi.commands.options import (
    DEFAULT_MODEL,
    Json,
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

RunTable = Annotated[
    str | None,
    typer.Argument(metavar="RUNS", help="A table of training runs; else published ones speak."),
]

data = tree("Look at rows, and choose among them.")


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
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RAW... [TARGET] [KEY=VALUE...]", help="Sources to choose from, and settings."
        ),
    ],
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="What the choice shall resemble [the last RAW]; repeatable."),
    ] = None,
    field: Annotated[
        str,
        typer.Option("--field", help="Read files directly, shard by shard: their text's field."),
    ] = "",
    engine: Annotated[str, typer.Option("--engine", help="Who works: threads or ray.")] = "",
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Choose rows that resemble one target or several, by importance resampling (DSIR)."""
    from togi.commands.single import Chosen, run_dsir

    chosen = Chosen(words=words, targets=target or (), field=field, engine=engine)
    given = flags(out, offline, None, json_lines, quiet)
    raise typer.Exit(run_dsir(chosen, seed, given))


@data.command("compare", cls=step_help("data.compare"))
def data_compare(
    a: Annotated[str, typer.Argument(help="The source to compare with: before, last year's.")],
    b: Annotated[str, typer.Argument(help="The source compared; a .txt has a document a line.")],
    settings: Settings = None,
    column: Annotated[str, typer.Option("--column", help="The column that holds the text.")] = "",
    skip: Annotated[bool, typer.Option("--skip-bad", help="Count bad rows, go on.")] = False,
    out: Out = None,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell which n-grams rose and fell from A to B, beyond chance or not."""
    from togi.commands.compare import Sources, run_compare

    given = flags(out, offline, None, json_lines, quiet)
    sources = Sources(a=a, b=b, column=column, skip=skip)
    raise typer.Exit(run_compare(sources, settings or [], 0, given))


@data.command("lima", cls=step_help("data.lima"))
def data_lima(
    source: Annotated[
        str, typer.Argument(help="A forum dump, or any source of prompts and responses.")
    ],
    settings: Settings = None,
    against: Annotated[
        list[str] | None,
        typer.Option("--against", help="Rows that must not stand in the pick; repeatable."),
    ] = None,
    model: Model = DEFAULT_MODEL,
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Curate about a thousand rows: by LIMA's rules, balanced, diverse, none twice."""
    from togi.commands.single import run_lima

    given = flags(out, offline, None, json_lines, quiet)
    raise typer.Exit(run_lima(source, against or [], settings or [], model, seed, given))


@data.command("doremi", cls=step_help("data.doremi"))
def data_doremi(
    source: Annotated[
        str | None, typer.Argument(help="Rows whose metadata key `by` holds their domain.")
    ] = None,
    settings: Settings = None,
    domain: Annotated[
        list[str] | None,
        typer.Option("--domain", help="NAME=SOURCE, for each domain; instead of one source."),
    ] = None,
    compare: Annotated[
        int, typer.Option("--compare", min=0, help="Seeds of a trial against other mixtures.")
    ] = 0,
    model: Model = DEFAULT_MODEL,
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the weights of domains that leave the worst of them best learnt (DoReMi)."""
    from togi.commands.mixtures import run_doremi

    given = flags(out, offline, None, json_lines, quiet)
    found = run_doremi(source, domain or [], settings or [], compare, model, seed, given)
    raise typer.Exit(found)


@data.command("scaling", cls=step_help("data.scaling"))
def data_scaling(
    runs: RunTable = None,
    settings: Settings = None,
    budget: Annotated[
        list[float] | None, typer.Option("--budget", help="FLOPs to split; repeatable.")
    ] = None,
    out: Out = None,
    seed: Seed = 0,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit scaling laws to training runs: the best split of compute, and which run to do next."""
    from togi.commands.laws import run_scaling

    given = flags(out, True, None, json_lines, quiet)
    raise typer.Exit(run_scaling(runs, budget or [], settings or [], seed, given))


@data.command("repeated", cls=step_help("data.repeated"))
def data_repeated(
    runs: RunTable = None,
    settings: Settings = None,
    unique: Annotated[float | None, typer.Option("--unique", help="Unique tokens.")] = None,
    budget: Annotated[float | None, typer.Option("--budget", help="FLOPs to split.")] = None,
    params: Annotated[float | None, typer.Option("--params", help="Of a plan to judge.")] = None,
    tokens: Annotated[float | None, typer.Option("--tokens", help="Of a plan to judge.")] = None,
    out: Out = None,
    seed: Seed = 0,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what epochs are worth, and split compute where unique tokens are few."""
    from togi.commands.laws import run_repeated

    asked = {"unique_tokens": unique, "flops": budget, "params": params, "tokens": tokens}
    given = flags(out, True, None, json_lines, quiet)
    raise typer.Exit(run_repeated(runs, asked, settings or [], seed, given))


@data.command("runout")
def data_runout(
    names: Annotated[list[str] | None, typer.Argument(help="Stocks; all by default.")] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="stock, used (amounts), stock_growth or use_growth=LOW:HIGH."),
    ] = None,
    draws: Annotated[int, typer.Option("--draws", min=100, help="Draws of the inputs.")] = 10_000,
    level: Annotated[float, typer.Option("--level", help="Of the intervals.")] = 0.9,
    seed: Seed = 0,
    json_lines: Json = False,
) -> None:
    """Say when public text and images are used up, if data sets grow on as they have."""
    from togi.commands.laws import run_runout

    run_runout(
        names or [], change or [], draws=draws, seed=seed, level=level, json_lines=json_lines
    )
