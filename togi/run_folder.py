"""A run's folder on disk: whole files or none, one run at a time, and what the run was made of."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from togi import __version__
from togi.errors import DataError, UsageError

VERSIONED = (
    "torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy", "numba", "pyarrow",
)  # fmt: skip


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def plain(value: Any) -> Any:
    """Make a value fit for JSON: numbers that are not finite become None, paths become text.

    >>> plain({"a": float("nan"), "b": (1, Path("x"))})
    {'a': None, 'b': [1, 'x']}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file so that a reader, or a power cut, sees the old one or the new one."""
    text = json.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON file's object; None when it is not there.

    Raises:
        DataError: when it is there and broken.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise DataError("not a JSON object", where=str(path), hint="delete it, then run again")
    return value


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run's folder; the lock dies with the process, even after kill -9.

    Raises:
        UsageError: when another run works there.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UsageError(
                "another run works in this folder",
                where=str(folder),
                found=f"process {file.read().strip() or 'unknown'}",
                hint="wait for it, or choose another folder with --out",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def versions() -> dict[str, str]:
    """Return the versions that a result depends on, without importing the packages."""
    found = {"python": platform.python_version(), "togi": __version__}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine() -> dict[str, Any]:
    """Return what a speed depends on: processor, cores, memory, system, GPU where one is used."""
    import psutil

    found: dict[str, Any] = {
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
    }
    torch = sys.modules.get("torch")  # asking never imports it
    if torch is not None and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name(0)
    return found


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
