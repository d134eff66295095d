"""Merging: what is saved answers as base and adapter did; the wrong ways are measured as wrong."""

import json

import pytest
import torch
from lora_toys import stir
from saved_toys import llama, quiet, save, tokenizer
from typer.testing import CliRunner

from togi.align.lora import Lora, add_lora, load_adapter, lora_layers, save_adapter
from togi.align.lora_base import base_digest
from togi.align.merge import Drift, drift, fold, merge_adapter
from togi.align.nf4 import dequantise
from togi.align.nf4_files import save_nf4
from togi.align.nf4_layer import packed_layers
from togi.align.nf4_model import Nf4
from togi.align.nf4_open import open_nf4
from togi.cli import app
from togi.errors import DataError, UsageError
from togi.lm.base import Scored
from togi.lm.local import load_local

SETTINGS = Nf4(dequantiser="torch", blocksize=32)
TEXTS = (("", "the number of"), ("of", " the system and the user"), ("", "assistant is"))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    wide = {"hidden_size": 64, "intermediate_size": 96, "tie_word_embeddings": True}
    return save(llama(**wide), tmp_path_factory.mktemp("models") / "tiny")


def adapter(model, folder, size=0.003, **settings):
    add_lora(model.model, Lora(rank=4, **settings), seed=1)
    save_adapter(stir(model.model, size=size), folder, "tiny")
    return folder


@pytest.fixture(scope="module")
def on_dense(base, tmp_path_factory):
    model = load_local(base, dtype="float32", say=quiet)
    return adapter(model, tmp_path_factory.mktemp("adapters") / "dense")


@pytest.fixture(scope="module")
def on_packed(base, tmp_path_factory):
    model = open_nf4(base, SETTINGS, dtype="float32", say=quiet)
    return adapter(model, tmp_path_factory.mktemp("adapters") / "packed")


def merged(adapter_folder, base_folder, out, **options):
    return merge_adapter(adapter_folder, base_folder, out, texts=TEXTS, say=quiet, **options)


def totals(model):
    return [s.total for s in model.score(*map(list, zip(*TEXTS, strict=True)))]


def test_a_dense_merge_answers_as_base_and_adapter(base, on_dense, tmp_path):
    done = merged(on_dense, base, tmp_path / "m")
    model = load_local(base, dtype="float32", say=quiet)
    load_adapter(model.model, on_dense)
    assert (done.into, done.dtype, done.layers) == ("the dense base", "float32", 14)
    assert done.saved.max < 1e-5 < done.effect.mean
    assert set(done.others) == {"into the dequantised base", "quantised again"}
    assert all(other.mean > 100 * done.saved.mean for other in done.others.values())
    assert totals(load_local(tmp_path / "m", dtype="float32", say=quiet)) == pytest.approx(
        totals(model), abs=1e-5
    )


def test_an_adapter_of_a_packed_base_goes_into_the_dequantised_weights(base, on_packed, tmp_path):
    done = merged(on_packed, base, tmp_path / "m")
    assert done.into == "the dequantised base"
    assert done.saved.max < 1e-5
    assert set(done.others) == {"into the dense base", "quantised again"}
    assert done.others["into the dense base"].mean > 100 * done.saved.mean
    assert done.others["quantised again"].mean > 0.3 * done.effect.mean  # the update is lost
    model = open_nf4(base, SETTINGS, dtype="float32", say=quiet)  # 32 was read from the adapter
    load_adapter(model.model, on_packed)
    saved = load_local(tmp_path / "m", dtype="float32", say=quiet)
    for path, layer in lora_layers(model.model).items():
        expected = dequantise(layer.packed.quantised) + layer.delta()
        assert torch.equal(saved.model.get_submodule(path).weight, expected)


def test_what_is_saved_is_an_ordinary_model(base, on_packed, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    merged(on_packed, base, tmp_path / "m", compare=False)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    assert model.lm_head.weight is model.model.embed_tokens.weight
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["tie_word_embeddings"] is True
    same = AutoTokenizer.from_pretrained(tmp_path / "m")
    assert same.chat_template == tokenizer().chat_template
    told = json.loads((tmp_path / "m" / "togi.json").read_text())["merged"]
    assert told["packing"] == {"kind": "nf4", "blocksize": 32, "double": True}
    assert told["drift"]["max"] < 1e-5 < told["effect"]["max"]
    assert told["base_digest"] == base_digest(load_local(base, dtype="float32", say=quiet).model)


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_folding_is_the_adapters_forward(base, dora, packed):
    from togi.align.lora_layer import LoraLinear

    if packed:
        model = open_nf4(base, SETTINGS, dtype="float32", say=quiet)
    else:
        model = load_local(base, dtype="float32", say=quiet)
    if dora:
        parent = model.model.model.layers[0].mlp
        draw = torch.Generator().manual_seed(3)
        layer = LoraLinear(parent.up_proj, rank=2, alpha=4, dora=True, generator=draw)
        layer.lora_magnitude.data.mul_(1.05)
        layer.lora_B.data.normal_(std=0.01, generator=draw)
        parent.up_proj = layer.requires_grad_(False)
    else:
        add_lora(model.model, Lora(rank=4), seed=1)
        stir(model.model)
    before = totals(model)
    paths = fold(model.model, torch.float32)
    assert len(paths) == (1 if dora else 14)
    assert not lora_layers(model.model, all_slots=True)
    assert not list(packed_layers(model.model))
    assert totals(model) == pytest.approx(before, abs=1e-4)


def test_sums_are_rounded_once(base, on_dense, tmp_path):
    done = merged(on_dense, base, tmp_path / "m", dtype="bfloat16", compare=False)
    assert done.dtype == "bfloat16"
    model = load_local(base, dtype="float32", say=quiet)
    load_adapter(model.model, on_dense)
    saved = load_local(tmp_path / "m", dtype="bfloat16", say=quiet)
    for path, layer in lora_layers(model.model).items():
        expected = (layer.weight + layer.delta()).bfloat16()
        assert torch.equal(saved.model.get_submodule(path).weight, expected)


def test_a_folder_that_is_packed_already_is_a_base_too(base, on_packed, tmp_path):
    save_nf4(open_nf4(base, SETTINGS, dtype="float32", say=quiet), tmp_path / "packed")
    done = merged(on_packed, tmp_path / "packed", tmp_path / "m")
    assert done.into == "the dequantised base"
    assert done.saved.max < 1e-5
    assert set(done.others) == {"quantised again"}


def test_drift_by_hand():
    def scored(*values):
        return Scored(tuple(range(len(values))), torch.tensor(values).numpy(), True)

    found = drift([scored(-1.0, -2.0), scored(-3.0)], [scored(-1.5, -2.0), scored(-2.0)])
    assert found == Drift(max=1.0, mean=0.5, tokens=3)


def test_an_adapter_that_does_nothing_is_refused(base, tmp_path):
    model = load_local(base, dtype="float32", say=quiet)
    adapter(model, tmp_path / "zero", size=0.0)
    with pytest.raises(DataError, match=r"changes nothing: all of its B are zero"):
        merged(tmp_path / "zero", base, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_another_base_is_refused(on_packed, tmp_path):
    other = save(llama(seed=5, hidden_size=64, intermediate_size=96), tmp_path / "other")
    with pytest.raises(UsageError, match=r"trained on other weights than this model's"):
        merged(on_packed, other, tmp_path / "m")


def test_values_that_are_not_finite_are_refused(base, tmp_path):
    model = load_local(base, dtype="float32", say=quiet)
    add_lora(model.model, Lora(rank=2, targets=("q_proj",)), seed=1)
    stir(model.model)
    with torch.no_grad():
        layer = lora_layers(model.model)["model.layers.1.self_attn.q_proj"]
        layer.lora_B[0] = 3e38
        layer.lora_A[:, 0] = 3e38
    with pytest.raises(
        DataError, match=r"layers.1.self_attn.q_proj: the merged weights are not fin"
    ):
        fold(model.model, torch.float32)
    with torch.no_grad():
        layer.lora_B[0] = float("nan")
    with pytest.raises(DataError, match=r"the adapter holds values that are not finite"):
        fold(model.model, torch.float32)


def test_no_folder_in_use_is_touched(base, on_dense, tmp_path):
    for out in (base, on_dense):
        with pytest.raises(UsageError, match=r"cannot be merged into its own folder"):
            merged(on_dense, base, out)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"something in the folder already.*give another"):
        merged(on_dense, base, tmp_path / "m")
    assert (tmp_path / "m" / "notes.txt").read_text() == "mine"


def command(*words):
    return CliRunner().invoke(app, ["align", "merge", *map(str, words)])


def test_the_command_says_what_it_did(base, on_packed, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "the number of"}\n{"text": "assistant is the user"}\n')
    done = command(on_packed, "--model", base, "--out", tmp_path / "m", "--texts", rows)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()[-5:]
    assert lines[0].startswith("14 layers merged into the dequantised base, in float32: ")
    assert lines[1].startswith("what the adapter changes: ")
    assert lines[2].startswith("what merging changed of that: ")
    assert lines[3].startswith("had it been into the dense base: ")
    assert lines[4].startswith("had it been quantised again: ")
    assert all(line.endswith("tokens") for line in lines[1:])
    assert (tmp_path / "m" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--model", "openai:http://h/v1#m"), "an endpoint's weights are out of reach"),
        (("--dtype", "float16"), "no such type"),
        (("--model", "/nowhere"), "there is no such folder"),
    ],
)
def test_wrong_flags_are_told(base, on_dense, tmp_path, words, problem):
    done = command(on_dense, "--out", tmp_path / "m", "--model", base, *words)
    assert isinstance(done.exception, UsageError)
    assert problem in str(done.exception)
