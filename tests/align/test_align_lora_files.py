"""Adapter folders: PEFT's layout, what is refused, and why. (PEFT itself: tests/parity.)"""

import json

import pytest
import torch
from lora_toys import adapted, llama, logits
from safetensors.torch import load_file, save_file

from togi.align.lora import (
    load_adapter,
    lora_layers,
    merge,
    save_adapter,
    trained_parameters,
    unmerge,
)
from togi.align.lora_files import base_digest, target_names
from togi.errors import DataError, UsageError

# --- files -------------------------------------------------------------------------------------


def test_an_adapter_reads_back_as_written(tmp_path):
    settings = {
        "rslora": True,
        "rank_pattern": {"layers.1.*q_proj": 5},
        "alpha_pattern": {"v_proj": 3},
    }
    model = adapted(rank=4, alpha=6, **settings)
    save_adapter(model, tmp_path / "a", "tiny")
    other = llama()
    paths = load_adapter(other, tmp_path / "a")
    assert paths == list(lora_layers(model))
    for path, layer in lora_layers(other).items():
        one = lora_layers(model)[path]
        assert torch.equal(layer.lora_A, one.lora_A)
        assert (layer.rank, layer.alpha, layer.scale) == (one.rank, one.alpha, one.scale)
    assert torch.equal(logits(other), logits(model))
    assert trained_parameters(other)[0] == 0
    again = llama()
    load_adapter(again, tmp_path / "a", trainable=True)
    assert trained_parameters(again) == trained_parameters(model)


def test_the_layout_is_pefts(tmp_path):
    save_adapter(adapted(rank=4, targets=("q_proj", "up_proj")), tmp_path / "a", "owner/tiny")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "togi.json",
    ]
    keys = load_file(tmp_path / "a" / "adapter_model.safetensors")
    assert len(keys) == 8
    key = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    assert keys[key].shape == (4, 32)
    assert keys[key].dtype == torch.float32
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "owner/tiny"
    assert (config["r"], config["lora_alpha"], config["peft_type"]) == (4, 16, "LORA")
    assert config["target_modules"] == ["q_proj", "up_proj"]


def test_target_names_mean_exactly_the_layers():
    model = adapted(targets=r".*layers\.1\..*q_proj")
    assert target_names(model, lora_layers(model)) == ["model.layers.1.self_attn.q_proj"]


def test_another_base_is_refused_unless_wanted(tmp_path):
    save_adapter(adapted(), tmp_path / "a", "tiny")
    with pytest.raises(UsageError, match="trained on other weights"):
        load_adapter(llama(seed=9), tmp_path / "a")
    load_adapter(llama(seed=9), tmp_path / "a", check_base=False)
    load_adapter(llama(dtype=torch.bfloat16), tmp_path / "a")


def test_the_base_digest_does_not_see_adapters():
    assert base_digest(adapted()) == base_digest(llama()) != base_digest(llama(seed=9))


@pytest.fixture
def folder(tmp_path):
    save_adapter(adapted(targets=("q_proj",)), tmp_path / "a", "tiny")
    return tmp_path / "a"


def rewrite(folder, **changes):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_dora": True}, "the magnitude of a DoRA layer is missing"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights=pissa"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
        ({"peft_type": "IA3"}, "not a LoRA adapter"),
        ({"r": 4}, "rank and config disagree"),
        ({"r": "eight"}, "unusable values"),
        ({"lora_alpha": -1}, "unusable values"),
    ],
)
def test_more_than_plain_lora_is_refused_by_name(folder, changes, message):
    rewrite(folder, **changes)
    with pytest.raises(DataError, match=message):
        load_adapter(llama(), folder)


def test_broken_folders_are_told(folder):
    weights = folder / "adapter_model.safetensors"
    tensors = load_file(weights)
    key = next(key for key in tensors if "lora_A" in key)
    cases = {
        "no such layer": {key.replace("q_proj", "q_prj"): tensors[key].clone(), **tensors},
        "is missing": {k: v for k, v in tensors.items() if k != key},
        "unknown weights": {**tensors, "base_model.model.x.lora_embedding_A": tensors[key].clone()},
        "shapes do not fit": {**tensors, key: tensors[key][:, :-1].contiguous()},
    }
    for message, changed in cases.items():
        if "layer" in message:
            changed[key.replace("q_proj", "q_prj").replace("_A.", "_B.")] = tensors[key].clone()
        save_file(changed, weights)
        with pytest.raises(DataError, match=message):
            load_adapter(llama(), folder)
    weights.write_bytes(b"not tensors")
    with pytest.raises(DataError, match="cannot be read"):
        load_adapter(llama(), folder)
    weights.rename(folder / "adapter_model.bin")
    with pytest.raises(DataError, match="pickled weights are not opened"):
        load_adapter(llama(), folder)
    with pytest.raises(DataError, match="not an adapter folder"):
        load_adapter(llama(), folder / "nowhere")


def test_what_cannot_be_saved_is_refused(tmp_path):
    model = adapted()
    merge(model)
    with pytest.raises(UsageError, match="merged adapters cannot be saved"):
        save_adapter(model, tmp_path / "a", "tiny")
    with pytest.raises(UsageError, match="no LoRA adapters to save"):
        save_adapter(llama(), tmp_path / "a", "tiny")
    unmerge(model)
    next(iter(lora_layers(model).values())).lora_A.data[0, 0] = torch.inf
    with pytest.raises(DataError, match="not finite"):
        save_adapter(model, tmp_path / "a", "tiny")
    assert not list(tmp_path.iterdir())
