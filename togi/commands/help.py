"""Help pages that list a step's settings, from the one text that stands under each field."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


def step_help(use: str) -> type[TyperCommand]:
    """Return the class of a command whose help ends with the settings of the step `use`."""

    class StepCommand(TyperCommand):
        """A command that runs one step."""

        def format_help(self, ctx: Any, formatter: Any) -> None:
            """Write the usual help, then the settings."""
            super().format_help(ctx, formatter)
            from togi.recipe_schema import settings_table
            from togi.run import STEPS

            rows = [
                (f"{key} ({kind})", f"{' '.join(text.split())} [{default}]")
                for key, kind, default, text in settings_table(STEPS[use])
                if "earlier step" not in kind
            ]
            with formatter.section(f"Settings of {use}"):
                formatter.write_dl(rows)

    return StepCommand
