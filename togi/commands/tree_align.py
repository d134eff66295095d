"""The commands below `togi align`."""

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
    Rows,
    Seed,
    Settings,
    flags,
    tree,
)

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
    ) -> None:
        from togi.commands.single import run_align

        given = flags(out, offline, None, json_lines, quiet, dry_run)
        raise typer.Exit(run_align(method, rows, settings or [], model, seed, given))

    command.__doc__ = text
    align.command(method, cls=step_help(f"align.{method}"))(command)


for _method, _text in METHODS.items():
    _train_command(_method, _text)


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
