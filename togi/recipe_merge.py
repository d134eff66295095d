"""One tree from a recipe file, the files it includes, and the command line's `a.b=c`.

`include: other.yaml` (or a list, relative to the file that says it) lays the other file under
this one: top keys given here win, steps of the other file come first, and a step of the same
name is changed in place, key by key.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from togi.errors import RecipeError, nearest
from togi.recipe_yaml import Mark, Node, parse

TOP_KEYS = ("name", "model", "seed", "steps", "include")
STEPS_KEYS = "`name`, `use` and the step's settings"


def read_tree(path: Path, overrides: Sequence[str] = ()) -> Node:
    """Read a recipe with everything it includes, then apply the overrides.

    Raises:
        RecipeError: with file and line, for whatever cannot be read or does not fit.
    """
    tree = _read(path, ())
    for override in overrides:
        apply_override(tree, override)
    return tree


def tree_of(text: str, file: str, first_line: int = 1) -> Node:
    """Read a recipe's text and check the shape that every recipe shares."""
    tree = parse(text, file, first_line)
    if not isinstance(tree.value, dict):
        raise RecipeError("a recipe is a mapping", where=str(tree.mark), found=tree.kind)
    for key, mark in tree.keys.items():
        if key not in TOP_KEYS:
            raise RecipeError(
                f"unknown key '{key}'",
                where=f"{mark}, top of the recipe",
                hint=nearest(key, TOP_KEYS),
            )
    _check_steps(tree)
    return tree


def _check_steps(tree: Node) -> None:
    """Refuse steps that are not a list of mappings with distinct names."""
    named: dict[str, Mark] = {}
    for step in steps_of(tree):
        name = step_name(step)
        if name in named:
            raise RecipeError(
                f"two steps are called '{name}'",
                where=str(step.mark),
                hint=f"the first stands at {named[name]}",
            )
        named[name] = step.mark


def steps_of(tree: Node) -> list[Node]:
    """Return the recipe's steps; none when it has no such key."""
    assert isinstance(tree.value, dict)  # noqa: S101  # ours: every tree passed `tree_of`
    steps = tree.value.get("steps")
    if steps is None or steps.value is None:
        return []
    if not isinstance(steps.value, list):
        raise RecipeError(
            "'steps' must be a list", where=str(steps.mark), found=steps.kind, expected=STEPS_KEYS
        )
    return steps.value


def step_name(step: Node) -> str:
    """Return a step's name, which must be a text."""
    if not isinstance(step.value, dict):
        raise RecipeError(
            "a step is a mapping", where=str(step.mark), found=step.kind, expected=STEPS_KEYS
        )
    name = step.value.get("name")
    if name is None:
        raise RecipeError("a step without a name", where=str(step.mark), expected=STEPS_KEYS)
    if not isinstance(name.value, str):
        raise RecipeError("a step's name is a text", where=str(name.mark), found=name.kind)
    return name.value


def _read(path: Path, chain: tuple[Path, ...]) -> Node:
    real = path.resolve()
    if real in chain:
        loop = " -> ".join(step.name for step in (*chain[chain.index(real) :], real))
        raise RecipeError("files include each other in a circle", where=str(path), found=loop)
    tree = tree_of(_text(path), str(path))
    assert isinstance(tree.value, dict)  # noqa: S101
    include = tree.value.pop("include", None)
    mark = tree.keys.pop("include", tree.mark)
    if include is None:
        return tree
    parts = include.value if isinstance(include.value, list) else [include]
    below: Node | None = None
    for part in parts:
        if not isinstance(part.value, str):
            raise RecipeError(
                "'include' names a file or a list of files", where=str(mark), found=part.kind
            )
        other = path.parent / part.value
        if not os.path.isfile(other):  # false, not an error, for a strange name
            raise RecipeError(f"no file '{part.value}' to include", where=str(part.mark))
        layer = _read(other, (*chain, real))
        below = layer if below is None else _over(below, layer)
    return tree if below is None else _over(below, tree)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(
            "a recipe is UTF-8 text", where=str(path), found=f"a byte at {error.start} that is not"
        ) from None
    except OSError as error:
        raise RecipeError(
            f"cannot be read: {error.strerror or type(error).__name__}",
            where=str(path),
            hint="`togi recipes list` shows the recipes that come with togi",
        ) from None


def _over(below: Node, above: Node) -> Node:
    """Lay one recipe over another."""
    steps = {step_name(step): step for step in steps_of(below)}
    for step in steps_of(above):
        name = step_name(step)
        steps[name] = _deep_over(steps[name], step) if name in steps else step
    merged = _deep_over(below, above)
    assert isinstance(merged.value, dict)  # noqa: S101
    if steps:
        merged.value["steps"] = Node(merged.mark, list(steps.values()))
    return merged


def _deep_over(below: Node, above: Node) -> Node:
    """Merge mappings key by key; anything else is replaced."""
    if not (isinstance(below.value, dict) and isinstance(above.value, dict)):
        return above
    values = dict(below.value)
    for key, node in above.value.items():
        values[key] = _deep_over(values[key], node) if key in values else node
    return Node(above.mark, values, {**below.keys, **above.keys})


def apply_override(tree: Node, override: str) -> None:
    """Set one value of the tree in place, as in ``steps.sft.lr=1e-4`` or ``seed=7``.

    >>> tree = tree_of("steps: [{name: sft, use: align.sft}]", "r.yaml")
    >>> apply_override(tree, "steps.sft.lr=1e-4"); tree.plain()
    {'steps': [{'name': 'sft', 'use': 'align.sft', 'lr': 0.0001}]}
    """
    path, equals, text = override.partition("=")
    mark = Mark(f"override '{override}'", 0)
    parts = path.strip().split(".")
    if not equals or not all(parts):
        raise RecipeError("not of the form a.b=c", where=str(mark))
    value = parse(text, mark.file, first_line=0)
    if parts[0] not in TOP_KEYS[:-1]:
        raise RecipeError(
            f"unknown key '{parts[0]}'", where=str(mark), hint=nearest(parts[0], TOP_KEYS[:-1])
        )
    if parts[0] == "steps":
        _set(_step_called(tree, parts, mark), parts[2:], value, mark)
    else:
        _set(tree, parts, value, mark)


def _step_called(tree: Node, parts: list[str], mark: Mark) -> Node:
    """Find the step that an override names; its name and `use` stay what they are."""
    names = {step_name(step): step for step in steps_of(tree)}
    if len(parts) < 3:
        raise RecipeError("names no setting", where=str(mark), expected="steps.<name>.<key>=value")
    if parts[1] not in names:
        raise RecipeError(
            f"no step '{parts[1]}'", where=str(mark), hint=nearest(parts[1], names) if names else ""
        )
    if parts[2] in {"name", "use"}:
        raise RecipeError(f"a step's {parts[2]} cannot be overridden", where=str(mark))
    return names[parts[1]]


def _set(node: Node, parts: list[str], value: Node, mark: Mark) -> None:
    """Walk to the last part, making mappings on the way, and put the value there."""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if isinstance(node.value, list):
            if not (part.isdecimal() and len(part) < 9 and int(part) < len(node.value)):
                raise RecipeError(
                    f"no item '{part}' in {'.'.join(parts[:number])}",
                    where=str(mark),
                    expected=f"a number below {len(node.value)}",
                )
            if last:
                node.value[int(part)] = value
            node = node.value[int(part)]
        elif isinstance(node.value, dict):
            if last:
                node.value[part], node.keys[part] = value, mark
            elif part not in node.value or node.value[part].value is None:
                node.value[part], node.keys[part] = Node(mark, {}), mark
            node = node.value[part]
        else:
            raise RecipeError(
                f"'{'.'.join(parts[:number])}' is {node.kind} and has no '{part}'", where=str(mark)
            )
