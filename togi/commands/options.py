"""Flags that many commands share, and how a tree of commands looks; nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from togi.commands.runs import RunFlags

DEFAULT_MODEL = "smollm2-135m"


def tree(text: str) -> typer.Typer:
    """Return an empty tree of commands: plain help, no completion scripts."""
    return typer.Typer(
        help=text,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


Out = Annotated[Path | None, typer.Option("--out", help="The run's folder [runs/<name>].")]
Model = Annotated[
    str, typer.Option("--model", help="Catalogue name, hub id, folder or openai:URL#name.")
]
Seed = Annotated[int, typer.Option("--seed", help="The seed of every draw.", min=0)]
Offline = Annotated[bool, typer.Option("--offline", help="Never use the network.")]
Force = Annotated[
    list[str] | None, typer.Option("--force", help="Do this step again, or `all`; repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Say progress as JSON lines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say only how it ended.")]
Dry = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done and what it costs; train nothing.")
]
Settings = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings of the step.")
]
Rows = Annotated[str, typer.Argument(help="A file, folder, hub:owner/name or python:stdlib.")]
Kind = Annotated[
    str,
    typer.Option("--kind", help="How an answer is scored: bits_per_byte, …, or file.py:function."),
]
Task = Annotated[
    str,
    typer.Argument(metavar="ROWS", help="A file, folder, hub:owner/name …; or a task's YAML file."),
]
Check = Annotated[str, typer.Option("--check", help="Of generate_and_check: the check's name.")]
Cluster = Annotated[
    str, typer.Option("--cluster", help="Metadata key of rows that belong together.")
]
Unlike = Annotated[
    list[str] | None,
    typer.Option("--unlike", help="Compare though this differs: backend, dtype, …; repeatable."),
]


def flags(
    out: Path | None,
    offline: bool,
    force: Sequence[str] | None,
    json_lines: bool,
    quiet: bool,
    dry_run: bool = False,
) -> RunFlags:
    """Gather the flags of a command that runs steps."""
    from togi.commands.runs import RunFlags

    return RunFlags(
        out=out,
        offline=offline,
        force=tuple(force or ()),
        json_lines=json_lines,
        quiet=quiet,
        dry_run=dry_run,
    )
