"""A model in four bits: which layers, there and back, known by its digests, counted in bytes."""

import pytest
import torch
from lora_toys import IDS, gpt2, llama, logits, stir
from torch import nn

from togi.align.lora import Lora, add_lora, merge, unload
from togi.align.lora_base import KEPT, adapter_base, base_digest
from togi.align.lora_files import load_adapter, save_adapter
from togi.align.nf4 import bits_per_parameter, dequantise, quantise
from togi.align.nf4_layer import packed_layers
from togi.align.nf4_memory import forecast, memory
from togi.align.nf4_model import Nf4, pack, packable, unpack
from togi.errors import DataError, UsageError
from togi.train import TrainConfig
from togi.train.digest import Identity, model_digest, packed_digest
from togi.train.loop import train


def quiet(line):
    pass


def packed(model=None, **settings):
    model = llama() if model is None else model
    pack(model, Nf4(dequantiser="torch", **settings), say=quiet)
    return model


def twin(model, source):
    """A dense model with the values that the packed one stands for."""
    with torch.no_grad():
        for path, layer in packed_layers(source):
            dense = model.get_submodule(path.removesuffix(".packed"))
            matrix = dequantise(layer.quantised)
            dense.weight.copy_(matrix.t() if layer.conv1d else matrix)
    return model


@pytest.mark.parametrize("make", [llama, gpt2])
def test_it_answers_as_its_dense_twin(make):
    model = packed(make())
    assert torch.equal(logits(model), logits(twin(make(), model)))
    assert not torch.equal(logits(model), logits(make()))


@pytest.mark.parametrize("tied", [False, True])
def test_all_but_the_head_are_packed_and_that_is_said(tied):
    said = []
    model = llama(tied=tied)
    errors = pack(model, measure=True, say=said.append)
    assert len(errors) == 14
    assert all(0.005 < error < 0.015 for error in errors.values())
    assert type(model.lm_head) is nn.Linear
    why = "tied to an embedding" if tied else "the output head"
    assert "nf4: 14 layers, 0.0 million weights of 4.1" in said[-1]
    assert f"left as they were: lm_head ({why})" in said[-1]
    worst = max(errors, key=errors.get)
    assert f"largest errors: {worst} {errors[worst]:.4f}" in said[-1]
    assert not any(weight.requires_grad for weight in model.parameters())


def test_layers_can_be_left_out_by_name_path_or_beginning():
    everything, _ = packable(llama())
    for skip, left in (
        (("v_proj",), 2),
        (("model.layers.1",), 7),
        (("model.layers.0.mlp.up_proj",), 1),
        (("mlp", "q_proj"), None),
    ):
        if left is None:
            with pytest.raises(UsageError, match=r"nf4: skip: no layer has that name. Found: mlp"):
                packable(llama(), skip)
            continue
        paths, kept = packable(llama(), skip)
        assert len(paths) == len(everything) - left
        assert sum(why == "as asked" for why in kept.values()) == left
    with pytest.raises(UsageError, match=r"did you mean 'up_proj'"):
        packable(llama(), ("up_prj",))


def test_wrong_settings_and_models_are_told():
    with pytest.raises(UsageError, match=r"nf4.blocksize: not a block size. Found: 65"):
        Nf4(blocksize=65)
    with pytest.raises(UsageError, match=r"nf4.dequantiser: no such way.*did you mean 'torch'"):
        Nf4(dequantiser="torhc")
    with pytest.raises(UsageError, match=r"no linear layers to pack"):
        packable(nn.Sequential(nn.Embedding(3, 4)))
    with pytest.raises(UsageError, match=r"in four bits already"):
        packed(packed())
    model = llama()
    add_lora(model, Lora())
    with pytest.raises(UsageError, match=r"a model with adapters cannot be packed"):
        packed(model)
    model = llama()
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 3] = float("nan")
    with pytest.raises(DataError, match=r"model.layers.1.mlp.up_proj: .*not finite"):
        packed(model)


@pytest.mark.parametrize("make", [llama, gpt2])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_unpacking_gives_the_dense_twin(make, dtype):
    model = packed(make())
    expected = twin(make(), model)
    paths = unpack(model, dtype)
    assert len(paths) > 5
    assert not list(packed_layers(model))
    kinds = {type(model.get_submodule(path)) for path in paths}
    assert kinds == {type(expected.get_submodule(path)) for path in paths}
    for path in paths:
        dense = model.get_submodule(path)
        other = expected.get_submodule(path)
        assert torch.equal(dense.weight, other.weight.to(dtype or torch.float32))
        assert (dense.bias is None) == (other.bias is None)
    if dtype is None:
        assert torch.equal(logits(model), logits(expected))


@pytest.mark.parametrize("make", [llama, gpt2])
def test_unpacking_under_an_adapter_keeps_it_and_lets_it_be_merged(make):
    model = packed(make())
    add_lora(model, Lora(rank=4), seed=1)
    stir(model)
    found = logits(model)
    with pytest.raises(
        UsageError, match=r"cannot be merged into packed weights.*Nf4Linear.*unpack"
    ):
        merge(model)
    unpack(model)
    assert torch.equal(logits(model), found)
    merge(model, keep=False)
    unload(model)
    assert torch.allclose(logits(model), found, atol=1e-5)


def test_a_packed_base_has_the_digest_of_what_it_was():
    for make in (llama, gpt2):
        dense, model = make(), packed(make())
        assert base_digest(model) == base_digest(dense)
        add_lora(model, Lora(rank=2))
        assert base_digest(model) == base_digest(dense)
    assert base_digest(packed(llama(seed=9))) != base_digest(llama())
    assert base_digest(packed(llama().bfloat16())) == base_digest(llama())


def test_an_unpacked_base_is_another_one():
    model = packed()
    unpack(model)
    assert not hasattr(model, KEPT)
    assert base_digest(model) == model_digest(model) != base_digest(llama())


def test_without_the_kept_digest_the_codes_tell():
    one, two, other = packed(), packed(), packed(llama(seed=9))
    for model in (one, two, other):
        delattr(model, KEPT)
    assert base_digest(one) == base_digest(two) != base_digest(other)
    add_lora(two, Lora(rank=2))
    assert base_digest(two) == base_digest(one)


class Nothing:
    name = "nothing"


def test_a_run_knows_one_packed_base_from_another():
    def identity(model):
        add_lora(model, Lora(rank=2))
        return Identity.of(model, Nothing(), [1], {}).model

    first = identity(packed())
    assert identity(packed()) == first
    other = packed()
    with torch.no_grad():
        next(packed_layers(other))[1].codes.add_(1)  # embeddings and norms stay the same
    assert identity(other) != first
    assert identity(packed(blocksize=32)) != first
    assert identity(llama()) != first
    assert packed_digest(llama()) == ""


def test_adapters_know_how_their_base_was_packed(tmp_path):
    model = packed(double=False, blocksize=128)
    add_lora(model, Lora(rank=2), seed=1)
    save_adapter(stir(model), tmp_path / "packed", "tiny")
    base = adapter_base(tmp_path / "packed")
    assert base.packing == {"kind": "nf4", "blocksize": 128, "double": False}
    assert (base.name, base.digest) == ("tiny", base_digest(llama()))
    again = packed(double=False, blocksize=128)
    load_adapter(again, tmp_path / "packed")
    assert torch.equal(logits(again), logits(model))
    on_dense = llama()
    load_adapter(on_dense, tmp_path / "packed")  # the same base, before it was packed
    with pytest.raises(UsageError, match=r"trained on other weights"):
        load_adapter(packed(llama(seed=9)), tmp_path / "packed")
    plain = llama()
    add_lora(plain, Lora(rank=2))
    save_adapter(plain, tmp_path / "dense", "tiny")
    assert adapter_base(tmp_path / "dense").packing is None
    (tmp_path / "dense" / "togi.json").unlink()
    assert adapter_base(tmp_path / "dense") is None
    (tmp_path / "dense" / "togi.json").write_text('{"base": "b"}')
    with pytest.raises(DataError, match=r"togi.json: cannot be read"):
        adapter_base(tmp_path / "dense")


def test_gpt2_adapters_say_how_the_dense_layers_lie(tmp_path):
    from togi.align.lora_files import peft_config
    from togi.align.lora_layer import lora_layers

    model = packed(gpt2())
    add_lora(model, Lora(rank=2))
    assert peft_config(model, lora_layers(model), "x")["fan_in_fan_out"] is True


class NextToken:
    name = "next"

    def weight(self, item):
        return 11.0

    def cost(self, item):
        return 12

    def loss(self, model, items):
        ids = torch.tensor(items)
        scores = model(input_ids=ids).logits[:, :-1]
        goals = ids[:, 1:].flatten()
        return nn.functional.cross_entropy(scores.flatten(0, 1), goals, reduction="sum"), {}


def test_training_on_packed_weights_is_training_on_their_values(tmp_path):
    model = packed()
    other = twin(llama(), model)
    codes = {path: layer.codes.clone() for path, layer in packed_layers(model)}
    items = [tuple(range(start, start + 12)) for start in range(20)]
    config = TrainConfig(steps=5, batch=4, lr=0.01, micro_tokens=30)
    losses = []
    for name, trained in (("packed", model), ("dense", other)):
        add_lora(trained, Lora(rank=4), seed=1)
        done = train(trained, NextToken(), items, config, tmp_path / name, say=quiet)
        losses.append(done.final_loss)
    assert losses[0] == losses[1]
    assert torch.equal(logits(model), logits(other))
    after = {path.removesuffix(".packed"): layer.codes for path, layer in packed_layers(model)}
    assert all(torch.equal(after[path], before) for path, before in codes.items())


def test_memory_is_counted_part_by_part():
    model = packed(llama(tied=True).bfloat16())
    found = memory(model)
    linear = [module for _, module in packed_layers(model)]
    count = sum(layer.in_features * layer.out_features for layer in linear)
    assert found.packed == count == 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48)
    assert found.codes == count // 2
    assert found.absmax == sum(len(layer.absmax) for layer in linear)
    assert found.nested == 8 * len(linear)  # here one scale of scales, and a mean, for each layer
    assert found.embeddings == 2 * 64 * 32
    assert found.other == 2 * 32 * 5
    assert found.adapters == found.training == 0
    assert (
        found.total
        == found.base
        == sum(
            tensor.nbytes
            for name, tensor in {
                **dict(model.named_parameters()),
                **dict(model.named_buffers()),
            }.items()
            if "inv_freq" not in name
        )
    )
    add_lora(model, Lora(rank=4))
    trained = sum(weight.nbytes for weight in model.parameters() if weight.requires_grad)
    assert memory(model).adapters == trained
    assert memory(model).training == 3 * trained
    assert memory(model).base == found.base


def test_bits_of_whole_blocks_are_the_formulas():
    found = memory(packed(nn.Sequential(nn.Linear(1024, 1024, bias=False), nn.Linear(1024, 1024))))
    assert found.bits_per_parameter == pytest.approx(bits_per_parameter(), abs=1e-4)
    assert memory(llama()).bits_per_parameter != memory(llama()).bits_per_parameter  # NaN: none


@pytest.mark.parametrize("make", [llama, gpt2, lambda: llama(tied=True)])
@pytest.mark.parametrize("double", [True, False])
def test_the_forecast_is_what_is_counted_afterwards(make, double):
    model, lora = make().bfloat16(), Lora(rank=4)
    paths, _ = packable(model)
    told = forecast(model, paths, double=double, lora=lora)
    pack(model, Nf4(double=double, dequantiser="torch"), say=quiet)
    add_lora(model, lora)
    assert told == memory(model)


def test_quantising_the_whole_is_quantising_each():
    model, dense = packed(), llama()
    for path, layer in packed_layers(model):
        assert torch.equal(layer.codes, quantise(dense.get_submodule(path).weight).codes)
    assert IDS.max() < 64
