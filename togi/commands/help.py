"""Help pages that list a step's settings, from the one text that stands under each field."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

LONGEST = 72
"Letters of a setting's name and kind in one line."


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
                _entry(key, kind, f"{' '.join(text.split())} [{default}]")
                for key, kind, default, text in settings_table(STEPS[use])
                if "earlier step" not in kind
            ]
            with formatter.section(f"Settings of {use}"):
                formatter.write_dl(rows)

    return StepCommand


def _entry(key: str, kind: str, text: str) -> tuple[str, str]:
    """Return a setting's two columns; a long kind stands in the second, which is wrapped.

    >>> _entry("n", "integer", "How many. [1]")
    ('n (integer)', 'How many. [1]')
    >>> _entry("sides", "list of " + "a | " * 20 + "b", "Which. [[]]")[0]
    'sides'
    """
    label = f"{key} ({kind})"
    return (label, text) if len(label) <= LONGEST else (key, f"{text} {kind}.")
