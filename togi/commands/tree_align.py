"""The commands below `togi align`."""

from __future__ import annotations

from pathlib import Path
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
    Rows,
    Seed,
    Settings,
    flags,
    tree,
)

Changes = Annotated[
    bool,
    typer.Option(
        "--changes/--no-changes",
        help="Afterwards look at divergence, lengths, refusals and what was forgotten.",
    ),
]

align = tree("Tune a model: what is trained, by whom, and towards what combine freely.")


METHODS = {
    "sft": "Tune on prompts and responses.",
    "dpo": "Tune on pairs of a better and a worse answer, by any loss of the DPO family.",
    "kto": "Tune on thumbs up and down; pairs become two rows.",
    "reward": "Train a reward model on ranked answers.",
    "ppo": "Draw answers, reward them, learn: give reward=file.py:function or another source.",
    "metric": "Raise any measure by MeZO: give metric=accuracy, exact, f1 or file.py:function.",
}


def _train_command(method: str, text: str) -> None:
    """Add `togi align METHOD`; all methods take the same arguments."""

    def command(
        rows: Rows,
        settings: Settings = None,
        model: Model = DEFAULT_MODEL,
        out: Out = None,
        seed: Seed = 0,
        offline: Offline = False,
        json_lines: Json = False,
        quiet: Quiet = False,
        dry_run: Dry = False,
        changes: Changes = True,
    ) -> None:
        from togi.commands.single import run_align

        given = flags(out, offline, None, json_lines, quiet, dry_run)
        code = run_align(method, rows, settings or [], model, seed, given, changes=changes)
        raise typer.Exit(code)

    command.__doc__ = text
    align.command(method, cls=step_help(f"align.{method}"))(command)


for _method, _text in METHODS.items():
    _train_command(_method, _text)


@align.command("compare")
def align_compare(
    rows: Rows,
    methods: Annotated[
        list[str],
        typer.Argument(help="Each a method with its settings: sft, 'dpo loss=ipo_mean lr=1e-4', …"),
    ],
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.01, help="Training time that each may take.")
    ] = 2.0,
    held_out: Annotated[
        float, typer.Option("--held-out", min=0.01, max=0.9, help="Share of rows to judge on.")
    ] = 0.2,
    by: Annotated[
        str, typer.Option("--by", help="Metadata key of rows that are held out together.")
    ] = "prompt",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Ask so many of them.")] = 64,
    model: Model = DEFAULT_MODEL,
    out: Out = None,
    seed: Seed = 0,
    offline: Offline = False,
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train by several methods under one budget, and draw quality against cost on one page."""
    from togi.commands.align_compare import Plan, run_compare

    plan = Plan(rows=rows, methods=tuple(methods), minutes=minutes, share=held_out, by=by,
                limit=limit, model=model, seed=seed)  # fmt: skip
    raise typer.Exit(run_compare(plan, flags(out, offline, None, json_lines, quiet)))


@align.command("lint")
def align_lint(
    rows: Rows,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Read so many rows.")] = None,
    json_lines: Json = False,
    offline: Offline = False,
) -> None:
    """Look preference pairs over: repeated, contradictory, empty or equal ones, length bias."""
    from togi.commands.lint import lint_pairs

    lint_pairs(rows, limit=limit, as_json=json_lines, offline=offline)


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
