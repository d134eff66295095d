"""Folders in four bits: streamed as loaded whole, written and read as bitsandbytes writes them."""

import json
import weakref
from types import SimpleNamespace

import pytest
import torch
from lora_toys import stir
from safetensors.torch import load_file, save_file
from saved_toys import llama, quiet, save, tokenizer

from togi.align import nf4_open as module
from togi.align.lora import Lora, add_lora, save_adapter
from togi.align.lora_base import base_digest
from togi.align.nf4_files import is_packed_folder, packing_of, save_nf4
from togi.align.nf4_layer import packed_layers
from togi.align.nf4_memory import memory
from togi.align.nf4_model import Nf4, pack
from togi.align.nf4_open import forecast, open_nf4
from togi.align.tuned import merge_in, open_local, open_tuned, put_adapter
from togi.errors import DataError, SurroundingsError, UsageError
from togi.lm import attention
from togi.lm.local import load_local

SETTINGS = Nf4(dequantiser="torch")
SHAPE = {
    "vocab_size": 320, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0,
}  # fmt: skip
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
}  # fmt: skip
FAMILIES = {
    "LlamaConfig": {},
    "LlamaConfig tied": {"tie_word_embeddings": True},
    "LlamaConfig scaled": {"rope_parameters": LLAMA3},
    "Qwen2Config": {"initializer_range": 0.1},
    "GemmaConfig": {"head_dim": 16},
    "Gemma3TextConfig": {"head_dim": 16},
}


def config_of(name):
    import transformers

    return getattr(transformers, name.split()[0])(**SHAPE, **FAMILIES[name])


def random_model(config, seed=0):
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.data.normal_()
    return model


def gpt2_config():
    from transformers import GPT2Config

    return GPT2Config(
        vocab_size=320, n_embd=64, n_layer=2, n_head=4, n_positions=256, bos_token_id=0,
        eos_token_id=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save(llama(tie_word_embeddings=True), tmp_path_factory.mktemp("models") / "tiny")


def opened(folder, settings=SETTINGS, dtype="float32", say=quiet):
    return open_nf4(folder, settings, dtype=dtype, say=say)


def tensors(model):
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def same(one, two):
    one, two = tensors(one), tensors(two)
    assert one.keys() == two.keys()
    assert {name for name in one if not torch.equal(one[name], two[name])} == set()
    assert [t.dtype for t in one.values()] == [t.dtype for t in two.values()]


def totals(model):
    return [s.total for s in model.score(["", "of"], ["the number of", " users"])]


@pytest.mark.parametrize("family", [*FAMILIES, "GPT2Config"])
def test_streamed_is_loaded_whole_and_packed(family, tmp_path):
    config = gpt2_config() if family == "GPT2Config" else config_of(family)
    model = random_model(config)
    model.save_pretrained(tmp_path, max_shard_size="60KB")
    tokenizer().save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    said = []
    streamed = opened(tmp_path, say=said.append)
    whole = load_local(tmp_path, dtype="float32", say=quiet)
    digest = base_digest(whole.model)
    pack(whole.model, SETTINGS, say=quiet)
    assert not any("loaded whole" in line for line in said)
    same(streamed.model, whole.model)
    assert totals(streamed) == totals(whole)
    assert base_digest(streamed.model) == digest
    assert streamed.stop_ids == whole.stop_ids
    assert not any(weight.requires_grad for weight in streamed.model.parameters())


def test_in_bfloat16_the_files_own_values_are_quantised(folder):
    narrow, wide = opened(folder, dtype="bfloat16"), opened(folder)
    pairs = zip(packed_layers(narrow.model), packed_layers(wide.model), strict=True)
    for (_, one), (_, two) in pairs:
        assert torch.equal(one.codes, two.codes)
        assert one.dtype == torch.bfloat16
    assert narrow.model.dtype == torch.bfloat16
    assert base_digest(narrow.model) == base_digest(wide.model)


def test_one_dense_matrix_lives_at_a_time(folder, monkeypatch):
    alive, real = [], module.quantise

    def watched(weights, **options):
        assert all(reference() is None for reference in alive)
        alive.append(weakref.ref(weights))
        return real(weights, **options)

    monkeypatch.setattr(module, "quantise", watched)
    opened(folder)
    assert len(alive) == 14


def test_a_family_that_names_its_weights_otherwise_is_loaded_whole(tmp_path):
    from transformers import GPTNeoXConfig

    sizes = {k: v for k, v in SHAPE.items() if "key_value" not in k and "token" not in k}
    save(random_model(GPTNeoXConfig(**sizes)), tmp_path / "neox")
    said = []
    model = opened(tmp_path / "neox", say=said.append)
    told = [line for line in said if "loaded whole before it is packed" in line]
    assert len(told) == 1
    assert "no module is called as embed_out.weight" in told[0]
    whole = load_local(tmp_path / "neox", dtype="float32", say=quiet)
    assert base_digest(model.model) == base_digest(whole.model)
    pack(whole.model, SETTINGS, say=quiet)
    same(model.model, whole.model)


def test_old_gpt2_files_without_a_prefix_are_streamed(tmp_path):
    model = random_model(gpt2_config())
    save(model, tmp_path)
    named = load_file(tmp_path / "model.safetensors")
    short = {name.removeprefix("transformer."): t for name, t in named.items()}
    short["h.0.attn.masked_bias"] = torch.tensor(-1e4)
    save_file(short, tmp_path / "model.safetensors", metadata={"format": "pt"})
    said = []
    found = opened(tmp_path, say=said.append)
    assert not any("loaded whole" in line for line in said)
    pack(model, SETTINGS, say=quiet)
    state = found.model.state_dict()
    assert all(torch.equal(state[name], t) for name, t in model.state_dict().items())


def test_what_is_missing_or_odd_leads_to_the_ordinary_door(folder, tmp_path):
    save(llama(), tmp_path / "m")
    file = tmp_path / "m" / "model.safetensors"
    named = load_file(file)
    del named["model.layers.0.mlp.up_proj.weight"]
    save_file(named, file, metadata={"format": "pt"})
    said = []
    opened(tmp_path / "m", say=said.append)  # transformers draws it anew; togi says why
    assert any("no file holds model.layers.0.mlp.up_proj.weight" in line for line in said)


def test_weights_that_are_not_finite_are_named(tmp_path):
    model = llama()
    with torch.no_grad():
        model.model.layers[1].self_attn.k_proj.weight[0, 0] = float("inf")
    save(model, tmp_path / "m")
    with pytest.raises(DataError, match=r"model.layers.1.self_attn.k_proj: .*not finite"):
        opened(tmp_path / "m")


def test_a_damaged_folder_is_told(tmp_path):
    with pytest.raises(SurroundingsError, match=r"the model could not be loaded"):
        opened(tmp_path)


def test_it_is_another_model_than_the_dense_one(folder):
    prints = {
        load_local(folder, dtype="float32", say=quiet).fingerprint,
        opened(folder).fingerprint,
        opened(folder, Nf4(blocksize=32, dequantiser="torch")).fingerprint,
        opened(folder, Nf4(skip=("v_proj",), dequantiser="torch")).fingerprint,
    }
    assert len(prints) == 4
    assert opened(folder).fingerprint in prints


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_forecast_reads_no_weights_and_is_right(folder, tmp_path, dtype):
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    lora = Lora(rank=4)
    told = forecast(tmp_path, SETTINGS, dtype=getattr(torch, dtype), lora=lora)
    model = opened(folder, dtype=dtype).model
    add_lora(model, lora)
    assert told == memory(model)


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("config", [gpt2_config, lambda: config_of("Qwen2Config")])
def test_what_is_saved_is_opened_as_it_was(config, double, tmp_path):
    save(random_model(config()), tmp_path / "dense")
    model = opened(tmp_path / "dense", Nf4(double=double, dequantiser="torch"))
    save_nf4(model, tmp_path / "packed")
    said = []
    again = opened(tmp_path / "packed", say=said.append)
    assert any("is packed already and read as it is" in line for line in said)
    same(again.model, model.model)
    assert totals(again) == totals(model)
    assert base_digest(again.model) == base_digest(model.model)
    assert is_packed_folder(tmp_path / "packed")
    assert not is_packed_folder(tmp_path / "dense")


def test_the_keys_are_bitsandbytes_own(folder, tmp_path):
    save_nf4(opened(folder), tmp_path / "p")
    named = load_file(tmp_path / "p" / "model.safetensors")
    stem = "model.layers.0.mlp.up_proj.weight"
    parts = {n.removeprefix(stem): t for n, t in named.items() if n.startswith(stem)}
    assert set(parts) == {
        "", ".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map",
        ".quant_state.bitsandbytes__nf4",
    }  # fmt: skip
    facts = json.loads(bytes(parts[".quant_state.bitsandbytes__nf4"].tolist()))
    assert {k: facts[k] for k in facts if k != "nested_offset"} == {
        "quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [48, 32],
        "nested_blocksize": 256, "nested_dtype": "float32",
    }  # fmt: skip
    assert "lm_head.weight" not in named
    told = json.loads((tmp_path / "p" / "config.json").read_text())["quantization_config"]
    assert told["quant_method"] == "bitsandbytes"
    assert told["load_in_4bit"]
    assert told["bnb_4bit_use_double_quant"]
    assert told["llm_int8_skip_modules"] == ["lm_head"]


def altered(folder, tmp_path, change):
    """A packed folder after a change to its tensors."""
    save_nf4(opened(folder), tmp_path / "p")
    file = tmp_path / "p" / "model.safetensors"
    named = load_file(file)
    change(named)
    save_file(named, file, metadata={"format": "pt"})
    return tmp_path / "p"


STEM = "model.layers.0.mlp.up_proj.weight"


def other_map(named):
    named[f"{STEM}.quant_map"] = named[f"{STEM}.quant_map"].flip(0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop(f"{STEM}.quant_state.bitsandbytes__nf4"), "scales of packed weights are"),
        (lambda t: t.update({STEM: t[STEM][:-1].clone()}), "767 bytes of codes. Expected: 768"),
        (lambda t: t.update({f"{STEM}.absmax": t[f"{STEM}.absmax"][1:]}), "23 scales. Expected"),
        (other_map, "the file uses another codebook"),
        (lambda t: t.pop("model.norm.weight"), "no file holds model.norm.weight"),
    ],
)
def test_packed_weights_that_do_not_fit_are_told(folder, tmp_path, change, words):
    with pytest.raises(DataError, match=words):
        opened(altered(folder, tmp_path, change))


def test_other_kinds_of_quantisation_are_refused():
    told = {"quant_method": "gptq", "bits": 4}
    with pytest.raises(UsageError, match=r"in another way than four bits.*Found: gptq"):
        packing_of(SimpleNamespace(quantization_config=told), "m")
    told = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    with pytest.raises(UsageError, match=r"before it was quantised"):
        packing_of(SimpleNamespace(quantization_config=told), "m")
    assert packing_of(object(), "m") is None


def test_only_a_packed_base_without_adapters_is_saved(folder, tmp_path):
    with pytest.raises(UsageError, match=r"the model is not in four bits"):
        save_nf4(load_local(folder, dtype="float32", say=quiet), tmp_path / "p")
    model = opened(folder)
    add_lora(model.model, Lora(rank=2))
    with pytest.raises(UsageError, match=r"the model has adapters.*unload it"):
        save_nf4(model, tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_a_tuned_model_is_opened_in_four_bits_by_setting_or_by_folder(folder, tmp_path):
    def tuned(spec, **options):
        return open_tuned(str(spec), dtype="float32", say=said.append, **options)

    said = []
    model = open_local(str(folder), dtype="float32", nf4=SETTINGS, say=quiet)
    assert len(list(packed_layers(model.model))) == 14
    save_nf4(model, tmp_path / "packed")
    assert totals(tuned(tmp_path / "packed")) == totals(model)
    add_lora(model.model, Lora(rank=2), seed=1)
    save_adapter(stir(model.model), tmp_path / "adapter", "tiny")
    again = tuned(folder, adapter=tmp_path / "adapter", nf4=SETTINGS)
    assert totals(again) == totals(model)
    as_trained = tuned(folder, adapter=tmp_path / "adapter")  # packed as the adapter tells
    assert totals(as_trained) == totals(model)
    dense = open_local(str(folder), dtype="float32", say=quiet)
    put_adapter(dense, tmp_path / "adapter")
    assert totals(dense) != totals(model)
    merge_in(as_trained)
    assert not any(packed_layers(as_trained.model))
    assert totals(as_trained) == pytest.approx(totals(model), abs=1e-4)
    with pytest.raises(UsageError, match=r"an endpoint cannot be put in four bits"):
        tuned("openai:http://127.0.0.1:9/v1#m", nf4=SETTINGS)


@pytest.mark.model
def test_the_embedded_model_takes_4_bits_and_an_eighth():
    from togi.lm.catalogue import resolve

    folder = resolve("smollm2-135m", offline=True)
    told = forecast(folder, dtype=torch.bfloat16)
    assert told.bits_per_parameter == pytest.approx(4.127, abs=5e-4)
    attention.register()
    model = open_nf4(folder, SETTINGS, dtype="bfloat16", say=quiet)
    assert memory(model.model) == told
    dense = load_local(folder, dtype="bfloat16", say=quiet)
    texts = (["", ""], ["The capital of France is Paris.", "Water boils when it is hot enough."])
    pairs = zip(model.score(*texts), dense.score(*texts), strict=True)
    gaps = [abs(a.total - b.total) for a, b in pairs]
    assert 0 < max(gaps) < 8
    assert base_digest(model.model) == base_digest(dense.model)
