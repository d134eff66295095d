"""A task of the user's own: a small YAML file, one Python function, or rows and a kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from togi.commands.judging import Asked
from togi.errors import RecipeError, UsageError
from togi.recipe import StepKind, settings_of
from togi.recipe_yaml import Node, parse

SUFFIXES = (".yaml", ".yml")
OWN_KEYS = ("rows", "function")
"Keys whose values are files; they are looked for beside the task's file."
TASK = StepKind("togi.evaluate.settings", "TaskSettings", "")


def is_function(text: str) -> bool:
    """Tell whether a text names a user's function.

    >>> is_function("mine.py:score"), is_function("mine.yaml"), is_function("python:stdlib")
    (True, False, False)
    """
    file, _, name = text.rpartition(":")
    return file.endswith(".py") and name.isidentifier()


def asked_of(
    task: str,
    kind: str = "",
    *,
    rows: str = "",
    check: str = "",
    cluster: str = "",
    limit: int | None = None,
    unlike: Sequence[str] = (),
) -> Asked:
    """Return what is asked: a task's file, `file.py:function` with rows, or rows and a kind.

    Flags of the command line go before what stands in the file.

    Raises:
        UsageError: rows or kind are missing, or given twice.
        RecipeError: a task's file that does not make sense.
    """
    flags: dict[str, Any] = {"check": check, "cluster": cluster, "limit": limit}
    flags["unlike"] = tuple(unlike)
    if not task:
        raise UsageError(
            "no task is named", where="togi evaluate", hint="--try mine.yaml, or --help"
        )
    if task.lower().endswith(SUFFIXES):
        return _of_file(task, kind, rows, flags)
    if is_function(task):
        if not rows:
            raise UsageError("a function needs rows to score", where=task, hint="give --rows")
        return Asked(rows=rows, kind="function", own={"function": task}, **flags)
    if not kind:
        raise UsageError(
            "how an answer is scored is not said",
            where=task,
            expected="--kind, such as exact_match or file.py:function; or a task's YAML file",
        )
    if is_function(kind):
        return Asked(rows=task, kind="function", own={"function": kind}, **flags)
    return Asked(rows=task, kind=kind, **flags)


def _of_file(task: str, kind: str, rows: str, flags: dict[str, Any]) -> Asked:
    path = Path(task).expanduser()
    if not path.is_file():
        raise UsageError("no such file", where=task, expected="a task's file")
    if kind:
        raise UsageError("the task's file says its kind itself", where=f"--kind {kind}")
    own = read_task(path)
    source = rows or own.pop("rows", "")
    own.pop("rows", None)
    if not source and "guard" not in own:
        raise UsageError("the task has no rows", where=task, hint="give rows there, or --rows")
    return Asked(rows=source, kind=own.pop("kind", ""), own=own, **flags)


def read_task(path: Path) -> dict[str, Any]:
    """Read a task's file: the keys of a recipe's task, and `rows` as a source; `name` may lack.

    Raises:
        RecipeError: no YAML, an unknown key, or a value that does not fit, with its line.
    """
    tree = _tree(path)
    assert isinstance(tree.value, dict)  # noqa: S101 - as `_tree` returns it
    rows = tree.value.get("rows")
    if rows is not None and not isinstance(rows.value, str):
        raise RecipeError(
            "'rows' names a file or another source", where=str(rows.mark), found=rows.kind
        )
    name = tree.value.setdefault("name", Node(tree.mark, path.stem))
    asked = dict(tree.value)
    if rows is None and "guard" not in asked:
        asked["rows"] = Node(tree.mark, "rows")  # they may be named on the command line
    settings_of(Node(tree.mark, asked, tree.keys), TASK, str(name.plain()))
    whole = {key: node.plain() for key, node in tree.value.items()}
    files = {key: _beside(path, str(whole[key])) for key in OWN_KEYS if whole.get(key)}
    return {**whole, **files}


def _tree(path: Path) -> Node:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            "the task's file cannot be read", where=str(path), found=str(error)
        ) from None
    tree = parse(text, str(path))
    if not isinstance(tree.value, dict):
        raise RecipeError(
            "a task is a mapping", where=str(tree.mark), found=tree.kind,
            expected="name, rows, kind and the kind's settings",
        )  # fmt: skip
    return tree


def _beside(path: Path, text: str) -> str:
    """Return a file's name as it lies beside the task's file, where it does."""
    file, colon, name = text.rpartition(":") if is_function(text) else (text, "", "")
    near = path.parent / file
    return f"{near}{colon}{name}" if file and near.exists() else text
