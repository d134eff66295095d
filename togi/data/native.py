"""Call the byte kernels: compiled once for this machine, kept as an object file, loaded from it.

Loading needs llvmlite but neither numba nor LLVM's optimiser: 75 MB of memory instead of 155, and
a fifth of the start-up time. The calls release the interpreter's lock, so threads run in parallel.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from togi.data.kernels.table import KERNELS
from togi.errors import SurroundingsError
from togi.lm.catalogue import cache_folder

SOURCES = Path(__file__).parent / "kernels"
NUMBERS = {
    "u8": (np.uint8, ctypes.c_uint8),
    "u16": (np.uint16, ctypes.c_uint16),
    "u32": (np.uint32, ctypes.c_uint32),
    "u64": (np.uint64, ctypes.c_uint64),
    "i32": (np.int32, ctypes.c_int32),
    "i64": (np.int64, ctypes.c_int64),
    "f64": (np.float64, ctypes.c_double),
}


def _key() -> str:
    """Names what the object code depends on: the kernels' source, the compiler, the processor."""
    digest = hashlib.sha256()
    for source in sorted(SOURCES.glob("*.py")):
        digest.update(source.read_bytes())
    for package in ("numba", "llvmlite"):
        digest.update(importlib.metadata.version(package).encode())
    processor = (llvm.get_process_triple(), llvm.get_host_cpu_name())
    digest.update(repr((processor, llvm.get_host_cpu_features().flatten())).encode())
    return digest.hexdigest()[:32]


def _compile(into: Path) -> None:
    root = str(SOURCES.parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "togi.data.kernels.build", str(into)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SurroundingsError(
            "the data kernels could not be compiled",
            where=str(into.parent),
            found=(done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1],
            expected="numba and llvmlite that work on this machine",
            hint="`togi doctor` names the versions; reinstall numba and llvmlite",
        )


def _sealed(code: bytes) -> bytes:
    return hashlib.sha256(code).digest() + code


def _unsealed(path: Path) -> bytes | None:
    """Return the object code in the file, or None where the file is absent or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    seal, code = data[:32], data[32:]
    return code if hashlib.sha256(code).digest() == seal else None


def _say(line: str) -> None:
    """Tell on the error stream: standard output belongs to the command that needs the kernels."""
    sys.stderr.write(f"{line}\n")


def _object_code() -> bytes:
    kept = cache_folder() / "kernels" / f"{_key()}.o"
    code = _unsealed(kept)
    if code is not None:
        return code
    _say("compiling the data kernels for this machine, once (about 15 s)")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=kept.parent)
    except OSError as fault:
        _say(f"{kept.parent} cannot be written ({fault.strerror}): compiled for this run only")
        scratch = tempfile.TemporaryDirectory()
    with scratch as folder:
        fresh, sealed = Path(folder) / "kernels.o", Path(folder) / "sealed.o"
        _compile(fresh)
        code = fresh.read_bytes()
        if Path(folder).parent == kept.parent:
            sealed.write_bytes(_sealed(code))
            os.replace(sealed, kept)
    return code


class Kernels:
    """The compiled kernels; one instance for the whole process, see `kernels`."""

    def __init__(self, code: bytes) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(
            codemodel="jitdefault", jit=True
        )
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self._functions = {name: self._function(name, k[2]) for name, k in KERNELS.items()}

    def _function(self, name: str, signature: str) -> tuple[Any, list[Any]]:
        returned, *names = signature.split()
        arrays = [NUMBERS[n.rstrip("*")][0] if n.endswith("*") else None for n in names]
        passed = [ctypes.c_void_p if n.endswith("*") else NUMBERS[n][1] for n in names]
        prototype = ctypes.CFUNCTYPE(NUMBERS[returned][1], *passed)
        return prototype(self._engine.get_function_address(f"togi_{name}")), arrays

    def __call__(self, name: str, *arguments: Any) -> int:
        """Run the kernel `name`; arrays must be contiguous and of the table's type.

        Raises:
            TypeError: an array of another type, a view with gaps, or too few arguments.
        """
        function, arrays = self._functions[name]
        passed = [
            argument if kind is None else _address(name, argument, kind)
            for argument, kind in zip(arguments, arrays, strict=True)
        ]
        return function(*passed)


def _address(name: str, array: Any, kind: Any) -> int:
    if not isinstance(array, np.ndarray) or array.dtype != kind or not array.flags.c_contiguous:
        raise TypeError(f"{name}: a contiguous array of {np.dtype(kind)} is wanted, got {array!r}")
    return array.ctypes.data


@functools.cache
def kernels() -> Kernels:
    """Return this machine's kernels, compiling them if that was not done before.

    Raises:
        SurroundingsError: numba or llvmlite do not work on this machine.
    """
    return Kernels(_object_code())
