"""A recipe: a model, a seed and a list of typed steps, read strictly.

An unknown key, a wrong type or a reference to a step that does not stand earlier is refused with
section, nearest name, file and line. What a step may say is the settings class that its kind
names (`StepKind`); this module knows no step by name.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from togi.errors import RecipeError, TogiError, nearest
from togi.recipe_merge import STEPS_KEYS, apply_override, read_tree, step_name, steps_of, tree_of
from togi.recipe_refs import Loc, fields_at, refs
from togi.recipe_yaml import Mark, Node, kind_of
from togi.step import StepSettings

DEFAULT_MODEL = "smollm2-135m"
_RECIPE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_STEP_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,59}")


class StepKind(NamedTuple):
    """What `use:` may name: where its settings and its function are, imported when needed.

    `version` is part of a step's hash: raise it when the same settings give other outputs.
    `outputs` are the names that other steps may refer to; empty when they depend on the settings.
    `model` says that the recipe's model matters to it.
    """

    module: str
    settings: str
    run: str
    version: int = 1
    outputs: tuple[str, ...] = ()
    model: bool = False

    def settings_class(self) -> type[StepSettings]:
        """Import the class of this kind's settings."""
        return cast(
            "type[StepSettings]", getattr(importlib.import_module(self.module), self.settings)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeStep:
    """One step: its name, its kind, its settings, and the earlier steps that they name."""

    name: str
    use: str
    settings: StepSettings
    needs: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, defaults included."""
        return {"name": self.name, "use": self.use, **self.settings.model_dump(mode="json")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole recipe, valid once built; `text` is what the user wrote."""

    name: str
    model: str
    seed: int
    steps: tuple[RecipeStep, ...]
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Return the resolved recipe as plain values, defaults included."""
        steps = [step.as_dict() for step in self.steps]
        return {"name": self.name, "model": self.model, "seed": self.seed, "steps": steps}


def load_recipe(path: Path, kinds: Mapping[str, StepKind], overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file with its includes and overrides.

    Raises:
        RecipeError: for anything in it that does not hold, with file and line.
    """
    tree = read_tree(path, overrides)
    text = path.read_text(encoding="utf-8-sig")
    return _build(tree, kinds, name=path.stem, text=text)


def parse_recipe(
    text: str,
    kinds: Mapping[str, StepKind],
    *,
    file: str = "recipe",
    first_line: int = 1,
    overrides: Sequence[str] = (),
) -> Recipe:
    """Read a recipe from a text; it cannot include files.

    Raises:
        RecipeError: as `load_recipe`.
    """
    tree = tree_of(text, file, first_line)
    if "include" in tree.keys:
        raise RecipeError("a recipe without a file cannot include", where=str(tree.keys["include"]))
    for override in overrides:
        apply_override(tree, override)
    return _build(tree, kinds, name=Path(file).stem, text=text)


def _build(tree: Node, kinds: Mapping[str, StepKind], *, name: str, text: str) -> Recipe:
    top = cast("dict[str, Node]", tree.value)
    nodes = steps_of(tree)
    if not nodes:
        raise RecipeError(
            "no steps", where=str(tree.mark), expected=f"`steps:`, a list of {STEPS_KEYS}"
        )
    steps: list[RecipeStep] = []
    for node in nodes:
        steps.append(_step(node, kinds, {step.name: step for step in steps}, nodes))
    return Recipe(
        name=_named(top.get("name"), name, _RECIPE_NAME, tree.mark),
        model=_text(top, "model", DEFAULT_MODEL),
        seed=_seed(top.get("seed")),
        steps=tuple(steps),
        text=text,
    )


def _named(node: Node | None, default: str, shape: re.Pattern[str], mark: Mark) -> str:
    """Return a name that is safe as a folder's name."""
    value = default if node is None else node.value
    if isinstance(value, str) and shape.fullmatch(value):
        return value
    raise RecipeError(
        "not a name",
        where=str(node.mark if node else mark),
        found=repr(value)[:80],
        expected="a letter, then letters, digits, - and _ (it names a folder)",
    )


def _text(top: dict[str, Node], key: str, default: str) -> str:
    node = top.get(key)
    if node is None:
        return default
    if isinstance(node.value, str) and node.value.strip():
        return node.value
    raise RecipeError(f"'{key}' must be a text", where=str(node.mark), found=node.kind)


def _seed(node: Node | None) -> int:
    if node is None:
        return 0
    value = node.value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    raise RecipeError(
        "'seed' must be a whole number of at least 0",
        where=str(node.mark),
        found=f"{node.kind}: {node.plain()}"[:80],
    )


def _step(
    node: Node, kinds: Mapping[str, StepKind], earlier: Mapping[str, RecipeStep], all_: list[Node]
) -> RecipeStep:
    values = dict(cast("dict[str, Node]", node.value))
    name = _named(values.pop("name"), "", _STEP_NAME, node.mark)
    where = f"{node.mark}, step '{name}'"
    use = values.pop("use", None)
    if use is None:
        raise RecipeError("missing key 'use'", where=where, expected=nearest("", kinds))
    if not isinstance(use.value, str) or use.value not in kinds:
        raise RecipeError(
            f"no step is called '{use.plain()}'"[:120],
            where=f"{use.mark}, step '{name}'",
            hint=nearest(str(use.plain()), kinds),
        )
    settings = settings_of(Node(node.mark, values, node.keys), kinds[use.value], name)
    later = [step_name(step) for step in all_]
    needs: list[str] = []
    for loc, ref in refs(settings):
        at = f"{node.at(loc)}, step '{name}', key '{_dotted(loc)}'"
        needs.append(_check_ref(ref, at, earlier, later, kinds))
    return RecipeStep(
        name=name, use=use.value, settings=settings, needs=tuple(dict.fromkeys(needs))
    )


def settings_of(node: Node, kind: StepKind, name: str) -> StepSettings:
    """Validate a step's settings; the first fault becomes one message with its line."""
    model = kind.settings_class()
    try:
        return model.model_validate(node.plain())
    except ValidationError as error:
        raise _worded(error, model, node, name) from None
    except TogiError as error:  # a check of a settings' own, worded already
        where = f"{node.mark}, step '{name}'" + (f", {error.where}" if error.where else "")
        raise RecipeError(
            error.problem, where=where, found=error.found, expected=error.expected, hint=error.hint
        ) from None


def _worded(
    error: ValidationError, model: type[StepSettings], node: Node, step: str
) -> RecipeError:
    """Say a pydantic error in a user's words."""
    faults = error.errors(include_url=False)
    fault = faults[0]
    loc, kind, message = fault["loc"], fault["type"], fault["msg"]
    where, key = f"{node.at(loc)}, step '{step}'", _dotted(loc)
    more = f"; {len(faults) - 1} more like this" if len(faults) > 1 else ""
    if kind == "extra_forbidden":
        known = fields_at(model, loc[:-1])
        hint = nearest(str(loc[-1]), known) if known else ""
        return RecipeError(f"unknown key '{key}'{more}", where=where, hint=hint)
    if kind == "missing":
        return RecipeError(f"missing key '{key}'{more}", where=where, expected=_help(model, loc))
    wanted = message.removeprefix("Input should be ")
    if wanted == message:
        problem = message.removeprefix("Value error, ")
        return RecipeError(f"{problem}{more}", where=where, hint=f"see '{key}'" if key else "")
    found = f"{kind_of(fault['input'])}, {fault['input']!r}"[:100]
    return RecipeError(f"'{key}' does not fit{more}", where=where, found=found, expected=wanted)


def _help(model: type[StepSettings], loc: Loc) -> str:
    """Return the help of a top-level setting."""
    field = model.model_fields.get(str(loc[0])) if len(loc) == 1 else None
    return (field.description or "") if field else ""


def _dotted(loc: Iterable[str | int]) -> str:
    return ".".join(str(part) for part in loc)


def _check_ref(
    ref: str,
    where: str,
    earlier: Mapping[str, RecipeStep],
    all_names: list[str],
    kinds: Mapping[str, StepKind],
) -> str:
    """Return the step that a reference names, which must stand earlier and have that output."""
    name, dot, output = ref.partition(".")
    if name not in earlier:
        if name in all_names:
            raise RecipeError(f"'{name}' must stand before the step that uses it", where=where)
        hint = nearest(name, earlier) if earlier else "no step stands before this one"
        raise RecipeError(f"no earlier step is called '{name}'", where=where, hint=hint)
    outputs = kinds[earlier[name].use].outputs
    if dot and outputs and output not in outputs:
        raise RecipeError(
            f"step '{name}' has no output '{output}'", where=where, hint=nearest(output, outputs)
        )
    return name
