"""The sandbox: what runs in it, what does not get out of it, and what is said."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from togi.errors import SurroundingsError, UsageError
from togi.evaluate import sandbox
from togi.evaluate.sandbox import Limits, run_program, run_programs

QUICK = Limits(seconds=10)


def _why_not() -> str:
    """Why this very machine allows no namespaces, "" where it does."""
    try:
        sandbox.prove()
    except SurroundingsError as error:
        denied = ("Operation not permitted", "Permission denied", "No space left", "namespaces")
        if any(word in error.found for word in denied):
            return error.found
        raise
    return ""


needs_namespaces = pytest.mark.skipif(
    sys.platform != "linux" or bool(_why_not()), reason="this machine allows no namespaces"
)


@needs_namespaces
def test_a_program_that_comes_to_its_end_passes():
    found = run_program("assert sum(range(4)) == 6\nprint('said')", QUICK)
    assert (found.how, found.told, found.passed) == ("passed", "", True)


@needs_namespaces
@pytest.mark.parametrize(
    ("source", "how", "told"),
    [
        ("assert 1 == 2, 'not so'", "raised", "AssertionError: not so"),
        ("def f(:", "raised", "SyntaxError: invalid syntax"),
        ("x = '''", "raised", "SyntaxError: unterminated"),
        ("raise SystemExit(3)", "raised", "exit code 3"),
        ("raise SystemExit(0)", "ended early", ""),
        ("import os; os._exit(0)", "ended early", ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "killed", "by signal 11"),
    ],
)
def test_a_program_that_does_not_is_told_apart(source: str, how: str, told: str):
    found = run_program(source, QUICK)
    assert found.how == how
    assert found.told.startswith(told)


@needs_namespaces
@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import urllib.request as u; u.urlopen('http://example.org')", "urllib.error.URLError"),
        ("import socket; socket.create_connection(('127.0.0.1', PORT))", "OSError: [Errno 101]"),
        ("import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.sendto(b'x', ('192.0.2.1',"
         " 53))", "OSError: [Errno 101]"),
        ("import socket; s = socket.socket(socket.AF_UNIX); s.connect(UNIX)", "FileNotFoundError"),
        ("while True:\n import os; os.fork()", "BlockingIOError"),
        ("import threading, time\nfor _ in range(99):\n threading.Thread(target=time.sleep,"
         " args=(1,), daemon=True).start()", "RuntimeError: can't start new thread"),
        ("x = bytearray(4 << 30)", "MemoryError"),
        ("x = []\nwhile True: x.append('a' * (1 << 20))", "MemoryError"),
        ("open('big', 'wb').write(b'0' * (64 << 20))", "OSError: [Errno 2"),
        ("open(OUTSIDE).read()", "FileNotFoundError"),
        ("open('/etc/passwd').read()", "FileNotFoundError"),
        ("open('/escaped', 'w')", "OSError: [Errno 30] Read-only file system"),
        ("import os; open(os.__file__, 'a')", ("OSError: [Errno 30]", "PermissionError")),
        ("import os; os.kill(PARENT, 9)", "ProcessLookupError"),
        ("import os; os.setuid(0)", "PermissionError"),
        ("import ctypes, os; l = ctypes.CDLL(None, use_errno=True); assert l.mount(b'none',"
         " b'/usr', b'tmpfs', 0, None) == 0, os.strerror(ctypes.get_errno())",
         "AssertionError: Operation not permitted"),
        ("import os; os.chroot('.')", "PermissionError"),
        ("import os; os.mknod('disk', 0o60600, os.makedev(8, 0))", "PermissionError"),
    ],
)  # fmt: skip
def test_ways_out_are_refused_and_told(source: str, told: str):
    with (
        tempfile.NamedTemporaryFile("w") as outside,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        names = (
            f"PORT, OUTSIDE, PARENT = {server.getsockname()[1]}, {outside.name!r}, {os.getpid()}"
        )
        found = run_program(f"{names}\nUNIX = {outside.name + '.socket'!r}\n{source}", QUICK)
        assert (found.how, found.told.startswith(told)) == ("raised", True), found


@needs_namespaces
@pytest.mark.parametrize(
    "source",
    [
        "while True: pass",
        "import time; time.sleep(60)",
        "import signal, time\nfor s in range(1, 32):\n"
        " s in (9, 19) or signal.signal(s, signal.SIG_IGN)\ntime.sleep(60)",
        "import os, sys\nwhile True: sys.stderr.write('x' * 100000)",
    ],
)
def test_an_endless_program_is_ended_in_time(source: str):
    began = time.monotonic()
    found = run_program(source, Limits(seconds=1))
    assert (found.how, found.told) == ("too long", "did not end within 1 s")
    assert time.monotonic() - began < 15


@needs_namespaces
def test_what_a_program_leaves_behind_dies_with_it():
    source = "import os, time\nif os.fork() == 0:\n os.setsid()\n time.sleep(987)"
    assert run_program(source, QUICK).passed
    time.sleep(0.2)
    assert not _running("program.py")


@needs_namespaces
def test_each_program_has_an_empty_folder_and_sees_no_other():
    source = "import os; assert os.listdir() == ['program.py']; open('left', 'w').write('x')"
    assert [one.how for one in run_programs([source] * 4, QUICK)] == ["passed"] * 4


@needs_namespaces
def test_outcomes_come_in_order_however_many_work():
    sources = [f"import time; time.sleep({0.3 * (i == 0)}); assert {i} % 2" for i in range(5)]
    for workers in (1, 2):
        found = run_programs(sources, QUICK, workers=workers)
        assert [one.passed for one in found] == [False, True, False, True, False]


@needs_namespaces
def test_the_sandbox_dies_with_the_process_that_asked_for_it():
    code = (
        "from togi.evaluate.sandbox import run_program, Limits\n"
        "run_program('import time; time.sleep(60) # togi-orphan', Limits(seconds=60))"
    )
    child = subprocess.Popen([sys.executable, "-c", code])
    for _ in range(200):
        if _running("program.py"):
            break
        time.sleep(0.05)
    assert _running("program.py")
    child.send_signal(signal.SIGKILL)
    child.wait()
    time.sleep(0.3)
    assert not _running("program.py")


def _running(word: str) -> list[str]:
    """The command lines of this user's processes that hold a word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"-B {word}" in line:
            found.append(line)
    return found


@needs_namespaces
def test_no_file_or_thread_is_left_open():
    run_program("pass", QUICK)
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    for source in ("pass", "while True: pass", "raise ValueError"):
        run_program(source, Limits(seconds=0.3))
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


def test_where_none_can_be_made_nothing_is_run(monkeypatch, tmp_path):
    """A kernel that refuses is played by a child that fails as it would."""
    refusing = tmp_path / "child.py"
    refusing.write_text(
        "import sys\nsys.stdin.buffer.read()\n"
        "print('sandbox: PermissionError: unshare: Operation not permitted', file=sys.stderr)\n"
        "sys.exit(125)\n"
    )
    monkeypatch.setattr(sandbox, "CHILD", refusing)
    sandbox.prove.cache_clear()
    try:
        with pytest.raises(SurroundingsError) as caught:
            run_program(f"open({str(tmp_path / 'ran')!r}, 'w')")
    finally:
        sandbox.prove.cache_clear()
    assert "run in a sandbox only, and none can be made" in caught.value.problem
    assert "unshare: Operation not permitted" in caught.value.found
    assert "apparmor_restrict_unprivileged_userns" in caught.value.hint
    assert not (tmp_path / "ran").exists()


@needs_namespaces
def test_a_sandbox_with_a_hole_is_not_used(monkeypatch):
    """The proof is what refuses: here a program finds a file that should not be there."""
    monkeypatch.setattr(sandbox, "PROOF", sandbox.PROOF.replace("{outside!r}", "'/dev/null'"))
    sandbox.prove.cache_clear()
    try:
        with pytest.raises(SurroundingsError, match="it can reach files outside"):
            run_program("pass")
    finally:
        sandbox.prove.cache_clear()


def test_other_systems_are_refused(monkeypatch):
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    sandbox.prove.cache_clear()
    try:
        with pytest.raises(SurroundingsError, match="darwin has no Linux namespaces"):
            run_program("pass")
    finally:
        sandbox.prove.cache_clear()


def test_limits_are_checked():
    with pytest.raises(UsageError, match=r"seconds must be at least 0.1, got 0"):
        Limits(seconds=0)
    with pytest.raises(UsageError, match="processes must be at least 2, got 1"):
        Limits(processes=1)
