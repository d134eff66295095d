"""What a recipe's step is: strict settings, a pure place to work in, and named outputs.

A step's settings are a pydantic model that subclasses `StepSettings`; its string under a field
is the help that `--help`, the docs and the JSON Schema show. A step is a function
``run(settings, work) -> outputs`` where outputs maps names to files or folders below
`work.folder` (paths relative to it) plus plain numbers. Steps are listed in `togi/run.py`'s
`STEPS`, a dict in plain sight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class StepSettings(BaseModel):
    """Strict, frozen settings; the docstring under a field is its only help text."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Where and with what one step works.

    Attributes:
        folder: the step's own folder; everything it writes lies here and nothing else writes here.
        seed: the recipe's seed; derive streams from it with `togi.stats.stream(seed, step, ...)`.
        name: the step's name in the recipe.
        model: the recipe's model as the user wrote it (catalogue name, hub id, folder, endpoint).
        inputs: outputs of the earlier steps that the settings name: step name -> output name ->
            absolute path or plain value.
        say: prints one line for the user, with a live bar where there is a terminal.
        offline: no network may be used.
    """

    folder: Path
    seed: int
    name: str
    model: str
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    say: Callable[[str], None] = print
    offline: bool = False
