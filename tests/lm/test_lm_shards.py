"""Tensors read from where they lie: the same as the reference reader's, in any type."""

import json

import pytest
import torch
from safetensors.torch import save_file

from togi.errors import DataError, UsageError
from togi.lm import shards as module
from togi.lm.shards import Shards

TENSORS = {
    "a.weight": torch.randn(5, 7),
    "b.bias": torch.randn(3).bfloat16(),
    "codes": torch.arange(6, dtype=torch.uint8).view(6, 1),
    "scalar": torch.tensor(2.5),
    "empty": torch.empty(0, 4),
    "long": torch.arange(3),
}


@pytest.fixture
def folder(tmp_path):
    save_file({k: TENSORS[k] for k in ("a.weight", "codes")}, tmp_path / "one.safetensors")
    rest = {k: v for k, v in TENSORS.items() if k not in ("a.weight", "codes")}
    save_file(rest, tmp_path / "two.safetensors", metadata={"format": "pt"})
    return tmp_path


def test_every_tensor_of_every_file_is_read_as_it_was(folder):
    with Shards(folder) as shards:
        assert set(shards.entries) == set(TENSORS)
        for name, tensor in TENSORS.items():
            assert torch.equal(shards.read(name), tensor)


@pytest.mark.parametrize("piece", [8, 1 << 24])
def test_types_are_converted_piece_by_piece(folder, piece, monkeypatch):
    monkeypatch.setattr(module, "PIECE", piece)
    with Shards(folder) as shards:
        for dtype in (torch.bfloat16, torch.float64):
            for name in ("a.weight", "b.bias", "scalar", "empty"):
                assert torch.equal(shards.read(name, dtype=dtype), TENSORS[name].to(dtype))


def test_they_come_in_the_order_they_lie_in(folder):
    entries = list(Shards(folder).entries.values())
    for file in {entry.file for entry in entries}:
        starts = [entry.start for entry in entries if entry.file == file]
        assert starts == sorted(starts)


def test_damage_is_told(folder):
    file = folder / "one.safetensors"
    whole = file.read_bytes()
    with Shards(folder) as shards:
        file.write_bytes(whole[:-2])
        with pytest.raises(DataError, match=r"cut short"):
            [shards.read(name) for name in ("a.weight", "codes")]
    file.write_bytes(b"\x10\0\0\0\0\0\0\0not a header at")
    with pytest.raises(DataError, match=r"header is not safetensors"):
        Shards(folder)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(UsageError, match=r"no \*.safetensors"):
        Shards(folder)


def test_an_unknown_type_is_told(tmp_path):
    header = json.dumps({"w": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"ab")
    with Shards(tmp_path) as shards, pytest.raises(DataError, match=r"Found: F8_E4M3"):
        shards.read("w")
