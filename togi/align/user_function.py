"""A user's own Python function, called in a process of its own with a time limit.

The function lies in a file of the user's, named `file.py:function`. It is called with as many of
(response, prompt, row) as it takes, by these names or in this order, and returns one number. It
runs in a child process: one that hangs is ended, one that prints does not disturb, and what it
raises comes back with the line of the user's file. It is the user's code, with the user's rights.
"""

from __future__ import annotations

import json
import math
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from togi.errors import DataError, UsageError

SECONDS = 30.0
"Time that one call may take."
WORKER = "togi.align.user_worker"


def parse(spec: str) -> tuple[Path, str]:
    """Return the file and the name of a function given as `file.py:function`.

    Raises:
        UsageError: not of that form, or no such file.
    """
    text, _, name = spec.rpartition(":")
    path = Path(text).expanduser()
    if not text.endswith(".py") or not name.isidentifier():
        raise UsageError("not a function", where=spec, expected="file.py:function")
    if not path.is_file():
        raise UsageError("no such file", where=str(path), expected="the file of your function")
    return path, name


class UserFunction:
    """Calls a user's function; use it as a context, or `close` it.

    Args:
        spec: `file.py:function`.
        seconds: time limit of one call.
    """

    def __init__(self, spec: str, *, seconds: float = SECONDS) -> None:
        self.path, self.function = parse(spec)
        self.spec, self.seconds = spec, seconds
        self._child: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> UserFunction:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, rows: Sequence[dict[str, Any]]) -> list[float]:
        """Return one number for each row (`id`, `prompt`, `response`, `row`).

        Raises:
            DataError: the function raises, takes too long, or returns no finite number; names
                the row and says what stood in the user's file.
        """
        return [self._call(row) for row in rows]

    def _call(self, row: dict[str, Any]) -> float:
        where = f"{self.spec}, row {row['id']}"
        told = self._ask(row, where)
        if "error" in told:
            raise DataError("the function failed", where=where, found=told["error"], hint=AGAIN)
        value = told["value"]
        if isinstance(value, bool):
            return float(value)
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise DataError(
                "the function returned no finite number", where=where, found=repr(value)[:80],
                expected="an int or a float", hint=AGAIN,
            )  # fmt: skip
        return float(value)

    def _ask(self, row: dict[str, Any], where: str) -> dict[str, Any]:
        child = self._started()
        assert child.stdin is not None  # noqa: S101 - opened as a pipe
        try:
            child.stdin.write(json.dumps(row) + "\n")
            child.stdin.flush()
            line = self._lines.get(timeout=self.seconds)
        except queue.Empty:
            self.close()
            raise DataError(
                "the function did not return in time", where=where,
                found=f"nothing after {self.seconds:g} s", hint=AGAIN,
            ) from None  # fmt: skip
        except OSError:
            line = ""
        if not line:
            self.close()
            raise DataError("the function ended its process", where=where, hint=AGAIN)
        return json.loads(line)

    def _started(self) -> subprocess.Popen[str]:
        if self._child is None or self._child.poll() is not None:
            self._lines = queue.Queue()
            self._child = subprocess.Popen(
                [sys.executable, "-m", WORKER, str(self.path.resolve()), self.function],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
            )  # fmt: skip
            threading.Thread(target=_pump, args=(self._child, self._lines), daemon=True).start()
        return self._child

    def close(self) -> None:
        """End the child process, whatever it does."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    stream.close()


AGAIN = "mend the function and run the same command again; what was trained is kept"


def _pump(child: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    """Hand on the child's lines, and an empty one at its end."""
    assert child.stdout is not None  # noqa: S101 - opened as a pipe
    try:
        for line in child.stdout:
            lines.put(line)
    except ValueError:  # closed meanwhile
        pass
    lines.put("")
