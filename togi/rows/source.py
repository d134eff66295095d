"""Python source on this very machine as data: write a function's docstring from its code.

`python:stdlib` is the standard library, `python:installed` all installed packages,
`python:<folder>` any folder. Files are read in a fixed order and never imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import orjson

from togi.errors import DataError, SurroundingsError
from togi.rows.functions import NAMED_TEST, Function, Skipped, functions_of, unpack
from togi.rows.types import Dropped, Example, Message, Row

INSTRUCTION = "Write the docstring of this Python function. Answer with its text only."
TESTS = frozenset(["test", "tests", "testing", "_testing", "idle_test"])
ELSEWHERE = frozenset(["site-packages", "dist-packages", "__pycache__", "node_modules"])
# Of the standard library: an editor, a dead converter, demonstrations, generated topics.
NOT_STDLIB = frozenset(["idlelib", "lib2to3", "turtledemo", "pydoc_data", "lib-dynload"])
BATCH = 512 * 1024  # bytes of source in one request to a worker
WORTH = 4 * 1024 * 1024  # bytes of source from which on more processes pay
MOST_WORKERS = 8


def question(source: str) -> str:
    r"""Return the user's turn for a function: the instruction and its source in a fence.

    >>> print(question("def one():\n    return 1"))
    Write the docstring of this Python function. Answer with its text only.
    <BLANKLINE>
    ```python
    def one():
        return 1
    ```
    """
    fence = "`" * 3
    while fence in source:
        fence += "`"
    return f"{INSTRUCTION}\n\n{fence}python\n{source}\n{fence}"


def _roots(source: str) -> list[Path]:
    """Return the folders that a `python:` source names."""
    what = source.removeprefix("python:")
    if what == "stdlib":
        return [Path(sysconfig.get_path("stdlib"))]
    if what == "installed":
        named = [p for p in sys.path if Path(p).name in ("site-packages", "dist-packages")]
        paths = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *named]
        return list(dict.fromkeys(Path(p).resolve() for p in paths if Path(p).is_dir()))
    folder = Path(what).expanduser()
    if not what or not folder.is_dir():
        raise DataError(
            "no such folder",
            where=source,
            expected="python:stdlib, python:installed or python:<folder>",
        )
    return [folder]


def _walk(root: Path, leave: frozenset[str]) -> Iterator[tuple[str, str, bool]]:
    """Yield path, path below the root and whether it is test code, in a fixed order."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in leave and not f.startswith("."))
        below = Path(folder).relative_to(root)
        is_test = not TESTS.isdisjoint(below.parts)
        for name in sorted(names):
            if name.endswith(".py"):
                relative = (below / name).as_posix()
                yield (
                    os.path.join(folder, name),
                    relative,
                    is_test or bool(NAMED_TEST.fullmatch(name)),
                )


def _batches(files: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Cut the list where its files' sizes add up to a request."""
    batch: list[tuple[str, str]] = []
    size = 0
    for path, relative in files:
        batch.append((path, relative))
        try:
            size += os.path.getsize(path)
        except OSError:
            size += 0  # the worker says that it cannot be read
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _worker() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "togi.rows.functions"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)},
    )


def _ask(worker: subprocess.Popen[bytes], batch: list[tuple[str, str]]) -> None:
    assert worker.stdin is not None  # noqa: S101
    worker.stdin.write(orjson.dumps(batch, option=orjson.OPT_APPEND_NEWLINE))
    worker.stdin.flush()


def _in_parallel(
    batches: list[list[tuple[str, str]]], count: int
) -> Iterator[tuple[str, Function | Skipped]]:
    """Have the batches parsed by several processes; the answers come in the batches' order."""
    with ExitStack() as stack:
        workers: list[subprocess.Popen[bytes]] = []
        for _ in range(count):
            worker = stack.enter_context(_worker())
            stack.callback(worker.kill)
            workers.append(worker)
        asked: deque[subprocess.Popen[bytes]] = deque()
        waiting = iter(enumerate(batches))
        ahead = 2 * count  # each has one request at work and one in its pipe
        for number, batch in waiting:
            _ask(workers[number % count], batch)
            asked.append(workers[number % count])
            if len(asked) == ahead:
                break
        while asked:
            worker = asked.popleft()
            assert worker.stdout is not None  # noqa: S101
            line = worker.stdout.readline()
            if not line:
                raise SurroundingsError(
                    "a process that reads source files ended",
                    found=f"exit code {worker.wait()}",
                    hint="run again; it may have lacked memory",
                )
            following = next(waiting, None)
            if following is not None:
                _ask(worker, following[1])
                asked.append(worker)
            yield from unpack(line)


def _found(files: list[tuple[str, str]], count: int) -> Iterator[tuple[str, Function | Skipped]]:
    batches = list(_batches(files))
    count = min(count, len(batches) * BATCH // WORTH)
    return _in_parallel(batches, count) if count > 1 else functions_of(files)


def _example(relative: str, found: Function) -> Example:
    return Example(
        id=f"{found.module}:{found.qualname}",
        prompt=(Message("user", question(found.source)),),
        response=found.docstring,
        metadata={
            "module": found.module,
            "qualname": found.qualname,
            "file": relative,
            "top": found.module.split(".")[0],
        },
    )


def _events(roots: list[Path], leave: frozenset[str], workers: int) -> Iterator[Row | Dropped]:
    for root in roots:
        files: list[tuple[str, str]] = []
        for path, relative, is_test in _walk(root, leave):
            if is_test:
                yield Dropped(relative, "file: test code")
            else:
                files.append((path, relative))
        for relative, found in _found(files, workers):
            if isinstance(found, Function):
                yield _example(relative, found)
            else:
                yield Dropped(found.id, found.reason)


def open_python(
    source: str, *, workers: int | None = None
) -> tuple[str, Callable[[], Iterator[Row | Dropped]]]:
    """Open a `python:` source: what it is, and its rows together with what is left out.

    Args:
        source: `python:stdlib`, `python:installed` or `python:<folder>`.
        workers: processes that parse; as many as there are processors if None.

    Raises:
        DataError: there is no such folder.
    """
    roots = _roots(source)
    leave = ELSEWHERE | NOT_STDLIB if source == "python:stdlib" else ELSEWHERE
    count = workers or min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    understood = f"{source}: Python functions with their docstrings"
    return understood, lambda: _events(roots, leave, count)
