"""The child process that calls a user's function: one JSON line in, one JSON line out."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

GIVEN = ("response", "prompt", "row")


def load(path: Path, name: str) -> Callable[..., Any]:
    """Import the file and return the function of that name."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if not callable(found):
        known = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise AttributeError(f"{path.name} has no function {name!r}; it has {', '.join(known)}")
    return found


def arguments(function: Callable[..., Any], row: dict[str, Any]) -> list[Any]:
    """Return what the function is called with: by its parameters' names, else in order.

    >>> arguments(lambda prompt, response: 0, {"prompt": "p", "response": "r", "row": {}})
    ['p', 'r']
    >>> arguments(lambda text: 0, {"prompt": "p", "response": "r", "row": {}})
    ['r']
    """
    wanted = [
        name
        for name, one in inspect.signature(function).parameters.items()
        if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    if set(wanted) <= set(GIVEN):
        return [row[name] for name in wanted]
    return [row[name] for name in GIVEN[: len(wanted)]]


def told(error: BaseException, path: Path) -> str:
    """Return an error in one line, with the last line of the user's file that it passed."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path]
    place = f" (line {frames[-1].lineno}: {frames[-1].line})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def main(path: Path, name: str) -> None:
    """Answer lines until there are no more."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the user prints goes to the terminal
    function: Callable[..., Any] | None = None
    for line in sys.stdin:
        try:
            function = function or load(path, name)
            value = function(*arguments(function, json.loads(line)))
            reply = {"value": value.item() if hasattr(value, "item") else value}
            text = json.dumps(reply)
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises is told
            text = json.dumps({"error": told(error, path)})
        replies.write(text + "\n")
        replies.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
