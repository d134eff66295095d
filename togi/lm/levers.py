"""What this processor does faster, found out once: each lever is checked, then pulled, and said.

1. `torch.set_float32_matmul_precision`: on some processors "high" or "medium" takes float32
   products off a slow path at full precision, on others it really rounds them. A setting is used
   only if its products are as exact as float32's own and clearly faster, on every device at hand.
2. bfloat16 for frozen weights, where it is the faster format (or a GPU is there).
3. glibc's allocator gives blocks above 32 MB back to the system at every free, and each new one
   pays page faults again; told not to, it keeps them.
4. oneDNN keeps a compiled kernel for every shape it has multiplied, a thousand of them, and texts
   have many lengths: 30 MB for each new length of a small model. The latest few serve as well.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import torch

EXACT = 1e-5  # largest error against float64, in units of the largest entry; float32 has 5e-7
FASTER = 1.3  # a setting must win clearly, so that noise does not choose
ROUNDS = 12

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
MMAP_FROM = 1 << 30  # bytes from which malloc maps a block of its own
GIVE_BACK_FROM = 1 << 19  # the same where memory counts more than time
# A layer with its adapter multiplies some forty shapes there and back, and all layers the same.
KERNELS = 64
KERNEL_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")  # oneDNN's, and torch's


@dataclass(frozen=True, slots=True, kw_only=True)
class Levers:
    """What was found and set."""

    float32_matmul_precision: str
    float32_speedup: float
    bfloat16: bool
    allocator_keeps: bool
    threads: int


_applied: list[Levers] = []  # set once in a process: the levers are the process's own


def apply_levers(say: Callable[[str], None] = print) -> dict[str, Any]:
    """Check and set the process's levers, and say so; a second call only returns the result.

    Returns:
        `Levers` as a dict: the precision chosen and how much faster it measured, whether
        bfloat16 is the faster format, whether the allocator keeps large blocks, threads.
    """
    if not _applied:
        keep_few_kernels()
        precision, speedup = choose_precision()
        torch.set_float32_matmul_precision(precision)
        found = Levers(
            float32_matmul_precision=precision,
            float32_speedup=round(speedup, 2),
            bfloat16=bfloat16_pays(),
            allocator_keeps=keep_large_blocks(),
            threads=torch.get_num_threads(),
        )
        _applied.append(found)
        say(words(found))
    return asdict(_applied[0])


def words(levers: Levers) -> str:
    """Word the levers for a person.

    >>> words(Levers(float32_matmul_precision="medium", float32_speedup=1.7, bfloat16=True,
    ...              allocator_keeps=True, threads=2))
    '2 threads; bfloat16 is faster; float32 products by "medium" (1.7 times faster, as exact)'
    """
    bfloat16 = "bfloat16 is faster" if levers.bfloat16 else "bfloat16 brings nothing: float32"
    precision = levers.float32_matmul_precision
    product = f'float32 products by "{precision}"'
    if precision != "highest":
        product += f" ({levers.float32_speedup:.1f} times faster, as exact)"
    return f"{levers.threads} threads; {bfloat16}; {product}"


def choose_precision() -> tuple[str, float]:
    """Return the fastest float32 product setting that is exact, and its speed-up over "highest".

    The setting in force before is put back.
    """
    before = torch.get_float32_matmul_precision()
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    try:
        exact = ["highest"]
        for name in ("high", "medium"):
            torch.set_float32_matmul_precision(name)
            if all(product_error(device) <= EXACT for device in devices):
                exact.append(name)
        seconds = _race(exact)
    finally:
        torch.set_float32_matmul_precision(before)
    best = min(exact, key=lambda name: seconds[name])
    speedup = seconds["highest"] / seconds[best]
    return (best, speedup) if speedup >= FASTER else ("highest", 1.0)


def _operands(device: str, rows: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 576, generator=generator)
    w = torch.randn(1536, 576, generator=generator)
    return x.to(device), w.to(device)


def product_error(device: str) -> float:
    """Return the largest error of a float32 product under the setting in force.

    In units of the largest entry of the same product in float64.
    """
    x, w = _operands(device)
    exact = x.double() @ w.double().t()
    return float(((x @ w.t()).double() - exact).abs().max() / exact.abs().max())


def _race(names: list[str]) -> dict[str, float]:
    x, w = _operands("cpu")
    best = dict.fromkeys(names, float("inf"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one thread's CPU time, in turns: foreign load must not choose,
    try:  # or the same recipe would give other last bits from run to run
        for _ in range(ROUNDS):
            for name in names:
                torch.set_float32_matmul_precision(name)
                began = time.thread_time()
                _ = x @ w.t()
                best[name] = min(best[name], time.thread_time() - began)
    finally:
        torch.set_num_threads(threads)
    return best


@cache
def bfloat16_pays() -> bool:
    """Whether products of bfloat16 are faster than float32's: on a GPU, or on this processor.

    Read from what the processor says it is, not measured, so that the same machine always
    computes in the same numbers (`togi doctor` measures, and says where the two disagree).
    oneDNN's own answer is asked too: where it lacks the kernels, the instructions do not help.
    """
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    fast = by_flags(processor_flags(), processor_maker())
    return fast and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def by_flags(flags: Collection[str], maker: str) -> bool:
    """Whether a processor's bfloat16 products outrun its float32 ones.

    AMX and Arm's bf16 do. AVX512-BF16 multiplies 32 pairs an instruction, twice a float32 one's;
    AMD starts one of either in a cycle, Intel one of these but two of float32, so that without
    AMX nothing is won there (measured on Emerald Rapids without AMX: 169 against 320 GFLOP/s).

    >>> by_flags({"avx512_bf16"}, "AuthenticAMD"), by_flags({"avx512_bf16"}, "GenuineIntel")
    (True, False)
    """
    if {"amx_bf16", "bf16"} & set(flags):
        return True
    return "avx512_bf16" in flags and maker == "AuthenticAMD"


def measured_bfloat16() -> float:
    """Return how many times faster a bfloat16 product is than float32's here, measured."""
    x, w = _operands("cpu", rows=512)
    seconds = dict.fromkeys((torch.bfloat16, torch.float32), float("inf"))
    pairs = {kind: (x.to(kind), w.to(kind).t()) for kind in seconds}
    for _ in range(ROUNDS):
        for kind, (a, b) in pairs.items():
            began = time.perf_counter()
            _ = a @ b
            seconds[kind] = min(seconds[kind], time.perf_counter() - began)
    return seconds[torch.float32] / seconds[torch.bfloat16]


def processor_flags() -> frozenset[str]:
    """Return the instruction sets that Linux names; empty where nothing tells."""
    return frozenset((_cpuinfo("flags") or _cpuinfo("Features")).split())


def processor_maker() -> str:
    """Return the processor's maker as Linux names it; "" where nothing tells."""
    return _cpuinfo("vendor_id")


def _cpuinfo(wanted: str) -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            named = (line.split(":", 1) for line in lines if ":" in line)
            return next((value.strip() for key, value in named if key.strip() == wanted), "")
    except OSError:
        return ""


def keep_few_kernels() -> None:
    """Bound the caches of compiled kernels; they are read at the process's first product.

    What the user has set in the environment stays.
    """
    for name in KERNEL_CACHES:
        os.environ.setdefault(name, str(KERNELS))


def give_back_blocks() -> bool:
    """Tell glibc's malloc to give blocks of half a megabyte back; returns whether it agreed.

    The reverse of `keep_large_blocks`, for who has little memory: kept blocks of many sizes leave
    holes between them, which in training a small model came to more than its weights and
    activations together. It costs a fifth of the time, because the pages are asked for anew.
    """
    return _mallopt((M_MMAP_THRESHOLD, GIVE_BACK_FROM), (M_TRIM_THRESHOLD, 1 << 20))


def keep_large_blocks() -> bool:
    """Tell glibc's malloc to keep freed blocks; returns whether it agreed (elsewhere False)."""
    return _mallopt((M_MMAP_THRESHOLD, MMAP_FROM), (M_TRIM_THRESHOLD, -1))


def _mallopt(*options: tuple[int, int]) -> bool:
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return all(mallopt(name, value) == 1 for name, value in options)
