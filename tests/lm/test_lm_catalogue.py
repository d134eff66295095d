"""From name to folder: names, local folders, the hub, and the embedded model itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from togi.errors import SurroundingsError, UsageError
from togi.lm.catalogue import CATALOGUE, cache_folder, check_folder, cut_short, resolve
from togi.lm.manifest import damage

# --- names and folders ----------------------------------------------------------------------------


def safetensors_bytes(numbers: int = 4) -> bytes:
    header = json.dumps(
        {"__metadata__": {"format": "pt"}, "w": {"dtype": "F32", "shape": [numbers],
         "data_offsets": [0, 4 * numbers]}}
    ).encode()  # fmt: skip
    return len(header).to_bytes(8, "little") + header + bytes(4 * numbers)


@pytest.fixture
def model_folder(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(safetensors_bytes())
    return folder


def test_a_local_folder_is_itself(model_folder):
    assert resolve(str(model_folder), offline=True) == model_folder


def test_pickled_weights_are_refused_with_the_reason(model_folder):
    (model_folder / "model.safetensors").unlink()
    (model_folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UsageError, match=r"pytorch_model.bin.*can run code.*save_pretrained"):
        resolve(str(model_folder))


def test_adapter_config_and_tokenizer_are_told_apart(model_folder):
    (model_folder / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match="no tokenizer"):
        check_folder(model_folder)
    (model_folder / "config.json").unlink()
    with pytest.raises(UsageError, match=r"no config\.json"):
        check_folder(model_folder)
    (model_folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UsageError, match="is an adapter"):
        check_folder(model_folder)


def test_missing_and_truncated_shards_are_told(model_folder):
    (model_folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (model_folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (model_folder / "one.safetensors").write_bytes(safetensors_bytes())
    with pytest.raises(UsageError, match=r"1 of 2 weight files are missing.*two\.safetensors"):
        check_folder(model_folder)
    (model_folder / "two.safetensors").write_bytes(safetensors_bytes()[:-3])
    with pytest.raises(UsageError, match="cut short"):
        check_folder(model_folder)
    (model_folder / "two.safetensors").write_bytes(safetensors_bytes())
    assert check_folder(model_folder) == model_folder
    (model_folder / "model.safetensors.index.json").write_text("{")
    with pytest.raises(UsageError, match="unreadable"):
        check_folder(model_folder)


@pytest.mark.parametrize("content", [b"", b"1234", b"\x05" + bytes(7) + b"[1,2]", bytes(64),
                                     b"\xff" * 40])  # fmt: skip
def test_what_is_not_safetensors_is_told(tmp_path, content):
    (tmp_path / "w").write_bytes(content)
    assert "safetensors" in (cut_short(tmp_path / "w") or "")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("smollm2-135", "did you mean 'smollm2-135m'"),
        ("./nowhere", "no such folder"),
        ("~/nowhere/here", "no such folder"),
        ("gpt", "no model of that name"),
        (__file__, "a folder, not a file"),
    ],
)
def test_unknown_names(name, words):
    with pytest.raises(UsageError, match=words):
        resolve(name)


def test_cache_folder_follows_the_variable_and_the_platform(monkeypatch):
    monkeypatch.setenv("TOGI_CACHE", "~/x")
    assert cache_folder() == Path.home() / "x"
    monkeypatch.delenv("TOGI_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == Path("/c/togi")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder().parts[-2:] == ("Caches", "togi")


# --- the hub --------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub cache with the model somebody/tiny in it, and no other."""
    from huggingface_hub import constants

    home = tmp_path / "hub"
    snapshot = home / "models--somebody--tiny" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "tokenizer.json").write_text("{}")
    (snapshot / "model.safetensors").write_bytes(safetensors_bytes())
    refs = home / "models--somebody--tiny" / "refs"
    refs.mkdir()
    (refs / "main").write_text("a" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home))
    return snapshot


def test_a_hub_model_is_found_offline(hub):
    assert resolve("somebody/tiny", offline=True, say=lambda line: None).samefile(hub)
    with pytest.raises(SurroundingsError, match=r"not on this machine.*togi fetch somebody/other"):
        resolve("somebody/other", offline=True, say=lambda line: None)


def test_a_hub_model_that_is_half_here_is_told(hub):
    (hub / "model.safetensors").write_bytes(safetensors_bytes()[:-1])
    with pytest.raises(UsageError, match="cut short"):
        resolve("somebody/tiny", offline=True, say=lambda line: None)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("GatedRepoError", "accept the model's terms"),
        ("RepositoryNotFoundError", "no such model, or it is private"),
        ("RevisionNotFoundError", "no revision 'v9'"),
        ("HfHubHTTPError", "could not be read"),
        ("LocalEntryNotFoundError", "the hub does not answer"),
    ],
)
def test_hub_errors_are_told_kindly(monkeypatch, kind, words):
    import huggingface_hub
    from huggingface_hub import errors

    def fail(repo, **options):
        assert (repo, options["revision"]) == ("a/b", "v9")
        assert not any("bin" in pattern for pattern in options["allow_patterns"])
        error = getattr(errors, kind)
        raise error.__new__(error, "told by the hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(SurroundingsError, match=words):
        resolve("a/b@v9", say=lambda line: None)


# --- the embedded model ---------------------------------------------------------------------------


@pytest.mark.model
def test_the_embedded_model_is_fetched_converted_and_speaks():
    folder = resolve("smollm2-135m", say=lambda line: None)
    assert folder == cache_folder() / "models" / "smollm2-135m"
    assert damage(folder, deep=True) is None
    assert check_folder(resolve("smollm2-135m", offline=True)) == folder
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size <= CATALOGUE["smollm2-135m"].bytes_folder
    config = json.loads((folder / "config.json").read_text())
    assert (config["vocab_size"], config["num_hidden_layers"]) == (49152, 30)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.no_grad():
        best = model(ids).logits[0, -1].argmax().item()
    assert tokenizer.decode([best]) == " Paris"


def test_the_catalogue_names_its_entries():
    assert all(name == entry.name for name, entry in CATALOGUE.items())
    assert all(len(e.wheel_sha256) == len(e.member_sha256) == 64 for e in CATALOGUE.values())
