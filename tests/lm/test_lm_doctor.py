"""What `togi doctor` finds, and that each fault comes with a remedy."""

from __future__ import annotations

import os
import platform
import sys
from types import SimpleNamespace

import pytest

from togi.lm import doctor
from togi.lm.catalogue import CATALOGUE
from togi.lm.doctor import Finding, examine
from togi.lm.manifest import write_manifest

NAMES = {
    "Python", "system", "processor", "memory", "torch", "transformers", "extra gguf", "extra hub",
    "pip", "devices", "bfloat16", "float32 products", "cache", "model smollm2-135m",
}  # fmt: skip


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TOGI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def found(findings, name: str) -> Finding:
    return {f.name: f for f in findings}[name]


def test_everything_is_looked_at_and_faults_have_remedies(cache):
    import torch

    findings = examine()
    assert {f.name for f in findings} >= NAMES
    assert len({f.name for f in findings}) == len(findings)
    for finding in findings:
        assert finding.status in ("ok", "warn", "missing")
        assert finding.detail
        assert bool(finding.remedy) == (finding.status != "ok")
    assert platform.python_version() in found(findings, "Python").detail
    assert found(findings, "torch").detail == torch.__version__
    assert found(findings, "devices").detail.startswith("cpu")


def test_examining_changes_no_setting(cache):
    import torch

    before = (torch.get_float32_matmul_precision(), torch.get_num_threads())
    examine()
    assert (torch.get_float32_matmul_precision(), torch.get_num_threads()) == before


def test_a_model_that_is_absent_whole_or_damaged(cache):
    name = "model smollm2-135m"
    absent = found(doctor._cache(False), name)
    assert (absent.status, absent.remedy) == ("missing", "togi fetch smollm2-135m")
    assert "733 MB" in absent.detail  # 92.9 + 98.4 + 542.0
    folder = cache / "models" / "smollm2-135m"
    folder.mkdir(parents=True)
    weights = folder / "model.safetensors"
    weights.write_bytes(b"weights")
    write_manifest(folder)
    whole = found(doctor._cache(True), name)
    assert whole.status == "ok"
    assert CATALOGUE["smollm2-135m"].about in whole.detail
    assert "SHA-256" in whole.detail
    before = weights.stat()
    weights.write_bytes(b"wEights")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert found(doctor._cache(False), name).status == "ok"  # only hashing sees this
    damaged = found(doctor._cache(True), name)
    assert damaged.status == "warn"
    assert "changed content" in damaged.detail
    weights.write_bytes(b"w")
    assert "bytes" in found(doctor._cache(False), name).detail


def test_little_memory_and_little_disk_are_said(cache, monkeypatch):
    import psutil

    memory = SimpleNamespace(total=8e9, available=1e9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert found(doctor._machine(), "memory").status == "warn"
    usage = SimpleNamespace(total=10**9, used=0, free=5 * 10**7)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage)
    assert "only 50 MB are free" in found(doctor._cache(False), "model smollm2-135m").detail


def test_a_cache_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("TOGI_CACHE", str(tmp_path / "file" / "cache"))
    [finding] = doctor._cache(False)
    assert (finding.status, finding.remedy) == ("missing", "set TOGI_CACHE")


def test_missing_extras_and_packages_name_the_pip_line(monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    findings = list(doctor._packages())
    assert found(findings, "extra gguf").remedy == 'pip install "togi[gguf]"'
    assert "lacks gguf, accelerate" in found(findings, "extra gguf").detail
    assert found(findings, "pip").remedy.endswith("-m ensurepip")
    assert doctor._package("no-such-package-here", "pip install it").status == "missing"


def test_an_old_python_and_a_broken_torch_are_told(monkeypatch):
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (99, 0))
    assert found(doctor._machine(), "Python").status == "missing"
    monkeypatch.setitem(sys.modules, "torch", None)
    [finding] = doctor._torch()
    assert (finding.status, finding.remedy) == ("missing", "pip install torch")


def test_cpu_name(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name : Fast One 9\n")
    assert doctor.cpu_name(tmp_path / "cpuinfo") == "Fast One 9"
    assert doctor.cpu_name(tmp_path / "absent")
