"""The compiled kernels: kept, checked, and refused arrays of the wrong type."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from togi.data import native
from togi.errors import SurroundingsError


def test_damaged_object_code_is_compiled_again(tmp_path: Path, monkeypatch) -> None:
    compiled = []

    def compile_(into: Path) -> None:
        compiled.append(into)
        into.write_bytes(b"object code")

    monkeypatch.setenv("TOGI_CACHE", str(tmp_path))
    monkeypatch.setattr(native, "_compile", compile_)
    assert native._object_code() == native._object_code() == b"object code"
    assert len(compiled) == 1
    (kept,) = (tmp_path / "kernels").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1] + b"!")
    assert native._object_code() == b"object code"
    assert len(compiled) == 2
    assert list((tmp_path / "kernels").iterdir()) == [kept]


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TOGI_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(native, "_compile", lambda into: into.write_bytes(b"code"))
    assert native._object_code() == b"code"
    assert "compiled for this run only" in capsys.readouterr().err


def test_a_compiler_that_fails_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TOGI_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SurroundingsError, match="could not be compiled"):
        native._object_code()
    assert list((tmp_path / "kernels").iterdir()) == []


def test_arrays_of_another_type_are_refused() -> None:
    run = native.kernels()
    good = np.zeros(4, np.uint32)
    for bad in (good.astype(np.int32), good[::2], [0], good.tobytes()):
        with pytest.raises(TypeError, match="count_buckets"):
            run("count_buckets", bad, 1, np.zeros(9, np.int64))
    with pytest.raises(ValueError):
        run("count_buckets", good, 1)


def test_working_needs_neither_numba_nor_much_memory() -> None:
    """The promise of 150 MB for selection stands on this."""
    program = (
        "import sys, resource\n"
        "from togi.data.dsir import select\n"
        "select(['a b c'] * 5, ['a'], 2, min_tokens=1, workers=2)\n"
        "assert 'numba' not in sys.modules and 'torch' not in sys.modules\n"
        "print([l for l in open('/proc/self/status') if l.startswith('VmHWM')][0].split()[1])\n"
    )
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc on this system to read the memory from")
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert int(told.stdout) < 130_000  # kB
