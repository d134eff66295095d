"""The process levers: exactness decides first, then speed."""

import ctypes
import os
import platform
import subprocess
import sys

import pytest
import torch

from togi.lm import levers


@pytest.fixture(autouse=True)
def put_back(monkeypatch):
    before = torch.get_float32_matmul_precision()
    monkeypatch.setattr(levers, "_applied", [])
    yield
    torch.set_float32_matmul_precision(before)


def test_levers_are_said_once_and_are_idempotent():
    said = []
    first = levers.apply_levers(said.append)
    assert levers.apply_levers(said.append) == first
    assert len(said) == 1
    assert first["float32_matmul_precision"] == torch.get_float32_matmul_precision()
    assert levers.product_error("cpu") <= levers.EXACT


def test_a_setting_that_rounds_is_refused_however_fast(monkeypatch):
    monkeypatch.setattr(levers, "product_error", lambda device: 4e-3)
    monkeypatch.setattr(levers, "_race", lambda names: dict.fromkeys(names, 1.0))
    assert levers.choose_precision() == ("highest", 1.0)


@pytest.mark.parametrize(("seconds", "chosen"), [(0.5, ("medium", 2.0)), (0.9, ("highest", 1.0))])
def test_only_a_clear_win_changes_the_setting(monkeypatch, seconds, chosen):
    before = torch.get_float32_matmul_precision()
    monkeypatch.setattr(levers, "product_error", lambda device: 5e-7)
    times = {"highest": 1.0, "high": 1.0, "medium": seconds}
    monkeypatch.setattr(levers, "_race", lambda names: {name: times[name] for name in names})
    assert levers.choose_precision() == chosen
    assert torch.get_float32_matmul_precision() == before


def test_product_error_tells_rounded_from_exact(monkeypatch):
    assert levers.product_error("cpu") < 5e-6
    real = levers._operands

    def rounded(device, rows=256):
        x, w = real(device, rows)
        return Rounding(x), w

    class Rounding:
        def __init__(self, x):
            self.x = x

        def double(self):
            return self.x.double()

        def __matmul__(self, w):
            return (self.x.bfloat16() @ w.bfloat16()).float()

    monkeypatch.setattr(levers, "_operands", rounded)
    assert levers.product_error("cpu") > 1e-3


@pytest.mark.parametrize(
    ("flags", "maker", "pays"),
    [
        ({"avx2", "avx512f"}, "AuthenticAMD", False),
        ({"avx512_bf16"}, "AuthenticAMD", True),
        ({"avx512_bf16"}, "GenuineIntel", False),
        ({"avx512_bf16", "amx_bf16"}, "GenuineIntel", True),
        ({"asimd", "bf16"}, "", True),
        (set(), "", False),
    ],
)
def test_bfloat16_follows_the_processor(monkeypatch, flags, maker, pays):
    if torch.cuda.is_available():
        pytest.skip("a GPU answers instead")
    monkeypatch.setattr(levers, "processor_flags", lambda: frozenset(flags))
    monkeypatch.setattr(levers, "processor_maker", lambda: maker)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    levers.bfloat16_pays.cache_clear()
    assert levers.bfloat16_pays() is pays
    levers.bfloat16_pays.cache_clear()


def test_the_allocator_lever_is_only_for_glibc(monkeypatch):
    if platform.libc_ver()[0] == "glibc":
        assert levers.keep_large_blocks() is True
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("touched the C library"))
    assert levers.keep_large_blocks() is False


GROWTH = """
import sys
import psutil, torch
from togi.lm.levers import keep_few_kernels
if sys.argv[1] == "bounded":
    keep_few_kernels()
x, w = torch.ones(400, 96, dtype=torch.bfloat16), torch.ones(96, 96, dtype=torch.bfloat16)
for n in range(1, 100):
    x[:n] @ w
before = psutil.Process().memory_info().rss
for n in range(100, 400):
    x[:n] @ w
print(psutil.Process().memory_info().rss - before)
"""


@pytest.mark.skipif(not levers.bfloat16_pays(), reason="no bfloat16 kernels here")
def test_new_lengths_do_not_fill_the_memory_with_kernels():
    grown = {}
    for how in ("bounded", "free"):
        command = [sys.executable, "-c", GROWTH, how]
        plain = {k: v for k, v in os.environ.items() if k not in levers.KERNEL_CACHES}
        done = subprocess.run(command, env=plain, capture_output=True, text=True, check=True)
        grown[how] = int(done.stdout)
    assert grown["bounded"] < grown["free"] / 4


def test_a_users_own_bound_of_kernels_stays(monkeypatch):
    monkeypatch.setenv(levers.KERNEL_CACHES[0], "7")
    monkeypatch.delenv(levers.KERNEL_CACHES[1], raising=False)
    levers.keep_few_kernels()
    assert [os.environ[name] for name in levers.KERNEL_CACHES] == ["7", str(levers.KERNELS)]
