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
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from togi.errors import RecipeError, nearest

StepRef: TypeAlias = Annotated[
    str,
    Field(
        min_length=1,
        json_schema_extra={"x-togi": "step-ref"},
    ),
]
"""An earlier step's output, written `step` or `step.output`, in a step's settings.

It may stand anywhere in them: ``StepRef``, ``StepRef | None``, ``list[StepRef]``,
``dict[str, StepRef]`` or inside a nested model. The recipe refuses a name that no earlier step
has, and the run fills `Work.inputs`; a step reads the value with `Work.input`.
"""


class StepSettings(BaseModel):
    """Strict, frozen settings; the docstring under a field is its only help text."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


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

    def input(self, ref: str, output: str) -> Any:
        """Return what a `StepRef` points to; `output` is meant where the ref names only a step.

        Raises:
            RecipeError: when that step has no such output.

        >>> work = Work(folder=Path("w"), seed=0, name="sft", model="m",
        ...             inputs={"pool": {"rows": "/runs/pool/rows.jsonl"}})
        >>> work.input("pool", "rows"), work.input("pool.rows", "rows")
        ('/runs/pool/rows.jsonl', '/runs/pool/rows.jsonl')
        """
        step, _, named = ref.partition(".")
        outputs = self.inputs.get(step, {})
        if (named or output) not in outputs:
            raise RecipeError(
                f"step '{step}' has no output '{named or output}'",
                where=f"step '{self.name}'",
                found=ref,
                expected=nearest(named or output, outputs) if outputs else "an earlier step",
            )
        return outputs[named or output]
