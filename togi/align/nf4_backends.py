"""Ways from four-bit codes back to numbers: all give the same bits, some are faster here.

- torch: plain tensor operations, on any device; the reference.
- compiled: the same through torch.compile, where there is a compiler for the device.
- numba: a compiled loop over the bytes, on the processor.
- bitsandbytes: its kernels, where the package is installed.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from togi.align.nf4 import Quantised, dequantise, quantise
from togi.align.nf4_codebooks import levels, pairs
from togi.errors import SurroundingsError, UsageError, nearest

Dequantiser = Callable[[Quantised, torch.dtype], Tensor]
RACED = (1536, 576)  # the sides of the matrix that the race restores
ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Backend:
    """One way: how it is made, why it cannot go on a device (or ""), whether a try is cheap."""

    make: Callable[[], Dequantiser]
    missing: Callable[[torch.device], str]
    cheap: Callable[[torch.device], bool] = lambda device: True


def _by_torch() -> Dequantiser:
    return dequantise


def _by_numba() -> Dequantiser:
    from togi.align import nf4_numba

    kernels = {torch.float32: nf4_numba.to_float32, torch.bfloat16: nf4_numba.to_bfloat16}

    def restore(packed: Quantised, dtype: torch.dtype) -> Tensor:
        if dtype not in kernels:
            return dequantise(packed, dtype)
        out = torch.empty(packed.n, dtype=dtype)
        raw = out if dtype == torch.float32 else out.view(torch.uint16)
        table = levels(packed.kind, out.device)
        given = (packed.codes.view(-1), packed.scales(), table)
        codes, scales, values = (part.numpy() for part in given)
        kernels[dtype](codes, scales, values, packed.blocksize, raw.numpy())
        return out.view(packed.shape)

    return restore


def _whole_blocks(packed: Quantised) -> Tensor:
    """Return the codes [blocks * blocksize / 2], the last block filled up."""
    codes = packed.codes.view(-1)
    short = len(packed.absmax) * packed.blocksize // 2 - len(codes)
    return torch.nn.functional.pad(codes, (0, short)) if short else codes


def _by_compiled() -> Dequantiser:
    @cache
    def compiled(dtype: torch.dtype) -> Callable[..., Tensor]:
        def plain(codes: Tensor, scales: Tensor, table: Tensor) -> Tensor:
            return (table[codes.int()].view(torch.float32) * scales[:, None]).to(dtype)

        return torch.compile(plain, dynamic=True)

    def restore(packed: Quantised, dtype: torch.dtype) -> Tensor:
        codes = _whole_blocks(packed).view(-1, packed.blocksize // 2)
        table = pairs(packed.kind, codes.device)
        try:
            values = compiled(dtype)(codes, packed.scales(), table)
        except RuntimeError as error:  # what torch.compile raises where its compiler fails
            raise SurroundingsError(
                "torch.compile failed on this machine",
                where="nf4: compiled",
                found=(str(error).splitlines() or [type(error).__name__])[0],
                hint="choose torch or numba",
            ) from error
        return values.view(-1)[: packed.n].view(packed.shape)

    return restore


def _by_bitsandbytes() -> Dequantiser:
    logger = logging.getLogger("bitsandbytes")
    before = logger.level
    logger.setLevel(logging.ERROR)  # it warns of an extra package that is not needed here
    try:
        import bitsandbytes  # noqa: F401  # pyright: ignore
    except (ImportError, OSError, RuntimeError) as error:
        raise SurroundingsError(
            "bitsandbytes is installed but does not load", where="nf4", found=str(error)[:200],
            hint="choose torch or numba",
        ) from error  # fmt: skip
    finally:
        logger.setLevel(before)
    kernel = torch.ops.bitsandbytes.dequantize_4bit.default
    narrow = (torch.float32, torch.bfloat16, torch.float16)

    def restore(packed: Quantised, dtype: torch.dtype) -> Tensor:
        if packed.kind not in ("nf4", "fp4") or dtype not in narrow:
            return dequantise(packed, dtype)
        # Asked for rows of one block each: its AVX-512 kernel counts blocks by row, and gives
        # wrong numbers where a matrix's rows are no whole blocks.
        size, scales = packed.blocksize, packed.scales()
        rows = (len(scales), size)
        values = kernel(_whole_blocks(packed)[:, None], scales, size, packed.kind, rows, dtype)
        return values.view(-1)[: packed.n].view(packed.shape)

    return restore


def _no_compiler(device: torch.device) -> str:
    if device.type == "cuda":
        found = importlib.util.find_spec("triton") is not None
        return "" if found else "torch.compile needs the package triton here"
    names = (os.environ.get("CXX"), "g++", "clang++", "cl")
    found = any(name and shutil.which(name) for name in names)
    return "" if found else "torch.compile needs a C++ compiler here"


def _only_processor(device: torch.device) -> str:
    return "" if device.type == "cpu" else "it runs on the processor only"


def _no_package(device: torch.device) -> str:
    found = importlib.util.find_spec("bitsandbytes") is not None
    return "" if found else "the package bitsandbytes is not installed (togi[quant])"


BACKENDS: dict[str, Backend] = {
    "torch": Backend(_by_torch, lambda device: ""),
    "compiled": Backend(_by_compiled, _no_compiler, lambda device: device.type == "cuda"),
    "numba": Backend(_by_numba, _only_processor),
    "bitsandbytes": Backend(_by_bitsandbytes, _no_package),
}

_chosen: dict[str, str] = {}  # by kind of device; the choice is the process's own


@cache
def backend(name: str) -> Dequantiser:
    """Return a way by its name, loading what it needs.

    Raises:
        SurroundingsError: its package does not load.
    """
    return BACKENDS[name].make()


def restore(packed: Quantised, dtype: torch.dtype) -> Tensor:
    """Return the values of a quantised tensor, by the way that was chosen for its device."""
    return backend(_chosen.get(packed.codes.device.type, "torch"))(packed, dtype)


def choose(
    name: str = "auto",
    device: torch.device | str = "cpu",
    *,
    dtype: torch.dtype = torch.bfloat16,
    say: Callable[[str], None] = print,
) -> str:
    """Choose a way for this process and kind of device, and say so; returns its name.

    Args:
        name: one of `BACKENDS`, or "auto" for the fastest.

    Raises:
        UsageError: no such way.
        SurroundingsError: the way that was asked for cannot go here.
    """
    device = torch.device(device)
    if name == "auto":
        if device.type not in _chosen:
            _chosen[device.type] = fastest(device, dtype=dtype, say=say)
        return _chosen[device.type]
    if name not in BACKENDS:
        raise UsageError("no such way to dequantise", found=name, expected=nearest(name, BACKENDS))
    if reason := BACKENDS[name].missing(device):
        raise SurroundingsError(reason, where=f"nf4: {name}", hint="choose another, or auto")
    backend(name)
    _chosen[device.type] = name
    return name


def fastest(
    device: torch.device,
    *,
    dtype: torch.dtype = torch.bfloat16,
    say: Callable[[str], None] = print,
) -> str:
    """Return the fastest of the ways that cost little to try here, found by a short race.

    A way whose values are not the reference's, bit by bit, is left out, and that is said.
    """
    draw = torch.Generator().manual_seed(0)
    packed = quantise(torch.randn(RACED, generator=draw)).to(device)
    truth, seconds = dequantise(packed, dtype), {}
    for name, way in BACKENDS.items():
        if way.missing(device) or not way.cheap(device):
            continue
        try:
            if torch.equal(backend(name)(packed, dtype), truth):
                seconds[name] = _best(backend(name), packed, dtype)
            else:
                say(f"nf4: {name} gives other values on this machine and is left out")
        except SurroundingsError as error:
            say(f"nf4: {name} is left out: {error}")
    best = min(seconds, key=lambda name: seconds[name])
    told = ", ".join(f"{name} {1e3 * s:.2f} ms" for name, s in sorted(seconds.items()))
    say(f"nf4: weights are restored by {best} ({RACED[0]} x {RACED[1]}: {told})")
    return best


def _best(way: Dequantiser, packed: Quantised, dtype: torch.dtype) -> float:
    """Return the shortest time of some rounds, each after a product as in training."""
    x = torch.ones(64, RACED[1], dtype=dtype, device=packed.codes.device)
    shortest = float("inf")
    for _ in range(ROUNDS):
        _ = x @ dequantise(packed, dtype).t()  # other threads are awake then, as they will be
        _wait(x.device)
        began = time.perf_counter()
        way(packed, dtype)
        _wait(x.device)
        shortest = min(shortest, time.perf_counter() - began)
    return shortest


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
