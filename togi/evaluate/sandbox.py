"""A sandbox for generated code: one program, one process tree, no network, no files, hard limits.

`sandbox_child.py` builds it from Linux namespaces, by the kernel's own calls, for root and for
ordinary users: nothing is to be installed. Inside, only Python's own folders are visible, and they
cannot be written to, beside one empty folder in memory that vanishes with the program. Before the
first program the sandbox is proven: a program of ours tries to get out. Where none can be made,
nothing is run.
"""

from __future__ import annotations

import functools
import json
import os
import secrets
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from togi.errors import SurroundingsError, UsageError

CHILD = Path(__file__).with_name("sandbox_child.py")
BUILD_SECONDS = 20.0
"Time that building a sandbox may take, on a busy machine."
KEPT = 4000
"Bytes of a program's standard error that are kept, its last ones."

How = Literal["passed", "raised", "ended early", "too long", "killed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a program may take.

    Attributes:
        seconds: by the clock, from its start.
        memory_mb: address space of each of its processes.
        processes: processes and threads at once, itself and its guard included.
        disk_mb: of its folder in memory, and of each file.
    """

    seconds: float = 5.0
    memory_mb: int = 512
    processes: int = 8
    disk_mb: int = 16

    def __post_init__(self) -> None:
        least = {"seconds": 0.1, "memory_mb": 32, "processes": 2, "disk_mb": 1}
        for name, value in asdict(self).items():
            if value < least[name]:
                raise UsageError(
                    f"{name} must be at least {least[name]}, got {value}", where="sandbox"
                )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended: whether it came to its own end, and what was told.

    Attributes:
        how: "passed": it ran to its last line; "raised": it ended with an exception or exit code;
            "ended early": it left without error before its last line; "too long"; "killed".
        told: the last line of its standard error, or the limit that it met.
        seconds: by the clock.
    """

    how: How
    told: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the program came to its own end."""
        return self.how == "passed"


DEFAULT = Limits()


def run_program(source: str, limits: Limits = DEFAULT) -> Outcome:
    """Run one program in a sandbox of its own.

    Raises:
        SurroundingsError: no sandbox can be made on this machine; nothing was run.
    """
    prove()
    return _run(source, limits)


def run_programs(
    sources: Sequence[str], limits: Limits = DEFAULT, *, workers: int | None = None
) -> list[Outcome]:
    """Run programs, a few at a time, and return their outcomes in order."""
    prove()
    many = workers or max(1, min(4, os.cpu_count() or 1))
    with ThreadPoolExecutor(max_workers=many) as pool:
        return list(pool.map(lambda source: _run(source, limits), sources))


@functools.cache
def prove() -> None:
    """Have a program try to get out of the sandbox, once in this process.

    Raises:
        SurroundingsError: it cannot be made, or it does not hold.
    """
    if sys.platform != "linux":
        raise _refusal(f"{sys.platform} has no Linux namespaces")
    with tempfile.NamedTemporaryFile() as outside:
        source = PROOF.format(outside=outside.name, parent=os.getpid())
        found = _run(source, Limits(seconds=15))
    if not found.passed:
        raise _refusal(f"{found.how}: {found.told}")


PROOF = """
import os, socket
out = []
def attempt(name, act):
    try:
        act()
    except OSError:
        return
    out.append(name)
attempt("the network", lambda: socket.socket().connect(("127.0.0.1", 9)))
attempt("datagrams", lambda: socket.socket(type=socket.SOCK_DGRAM).connect(("192.0.2.1", 9)))
attempt("files outside", lambda: open({outside!r}))
attempt("the users of the machine", lambda: open("/etc/passwd"))
attempt("writing in the root", lambda: open("/escaped", "w"))
attempt("writing beside Python", lambda: open(os.__file__ + ".escaped", "w"))
attempt("other processes", lambda: os.kill({parent}, 0))
attempt("file systems", lambda: os.mkdir("/proc/1"))
if os.getuid() == 0:
    out.append("root's rights")
if out:
    raise SystemExit("it can reach " + ", ".join(out))
"""


def _refusal(found: str) -> SurroundingsError:
    return SurroundingsError(
        "generated code is run in a sandbox only, and none can be made on this machine",
        where="sandbox",
        found=found,
        expected="Linux 5.12 or newer that lets this user make namespaces",
        hint="allow them (`sysctl kernel.apparmor_restrict_unprivileged_userns=0` on Ubuntu; in a "
        "container a security profile that permits unshare and mount), or judge code elsewhere",
    )


def _run(source: str, limits: Limits) -> Outcome:
    token = secrets.token_hex(16)
    ended, end = os.pipe()
    begun, begin = os.pipe()
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", str(CHILD), str(end), str(begin)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            pass_fds=(end, begin), start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(end)
        os.close(begin)
    tail = _Tail(child)
    try:
        _send(child, _order(limits), f"{source}\n__import__('os').write({end}, b'{token}')\n")
        if not _started(begun):
            child.kill()
            raise _refusal(tail.last_line() or "it could not be built in time")
        return _outcome(child, tail, limits, ended, token)
    finally:
        child.kill()  # all that it started dies with it
        child.wait()
        tail.close()
        os.close(ended)
        os.close(begun)


def _order(limits: Limits) -> bytes:
    folders = dict.fromkeys(os.path.realpath(one) for one in (sys.base_prefix, sys.prefix))
    if "/" in folders:
        raise _refusal("Python's own folder is the root of the file system")
    uid = 1 if os.getuid() == 0 else os.getuid()
    order = {
        "limits": asdict(limits), "folders": [*folders, *_links()], "uid": uid,
        "python": sys.executable,
    }  # fmt: skip
    return json.dumps(order).encode()


def _links() -> list[str]:
    """Return the folders as they are spelt, where that is not where they lie."""
    spelt = (sys.base_prefix, sys.prefix)
    return [one for one in dict.fromkeys(spelt) if os.path.realpath(one) != one]


def _send(child: subprocess.Popen[bytes], order: bytes, program: str) -> None:
    assert child.stdin is not None  # noqa: S101 - opened as a pipe
    text = program.encode("utf-8", "replace")
    try:
        child.stdin.write(f"{len(order)}\n".encode() + order + text)
        child.stdin.close()
    except BrokenPipeError:
        pass  # it has refused already, and its reason is read below


def _started(begun: int) -> bool:
    ready, _, _ = select.select([begun], [], [], BUILD_SECONDS)
    return bool(ready) and os.read(begun, 1) == b"!"


def _outcome(
    child: subprocess.Popen[bytes], tail: _Tail, limits: Limits, ended: int, token: str
) -> Outcome:
    began = time.monotonic()
    try:
        code = child.wait(limits.seconds)
    except subprocess.TimeoutExpired:
        return Outcome("too long", f"did not end within {limits.seconds:g} s", limits.seconds)
    took = time.monotonic() - began
    line = tail.last_line()
    if code == 0:
        passed = os.read(ended, 100) == token.encode()
        return Outcome("passed" if passed else "ended early", line, took)
    if code > 128:
        return Outcome("killed", line or f"by signal {code - 128}", took)
    return Outcome("raised", line or f"exit code {code}", took)


class _Tail:
    """Reads a process's standard error as it comes and keeps its end."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.child, self.kept = child, b""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        assert self.child.stderr is not None  # noqa: S101 - opened as a pipe
        while part := os.read(self.child.stderr.fileno(), 1 << 16):
            self.kept = (self.kept + part)[-KEPT:]

    def last_line(self) -> str:
        """Return the last line once the process has ended, "" where there is none."""
        self.thread.join(5)
        lines = self.kept.decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip()[:300] if lines else ""

    def close(self) -> None:
        """End reading."""
        self.thread.join(5)
        if self.child.stderr is not None:
            self.child.stderr.close()
