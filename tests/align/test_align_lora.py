"""LoRA: the layer by hand and by autograd, the choice of layers, merging, training."""

import json
import math

import pytest
import torch
from lora_toys import IDS, adapted, gpt2, llama, logits, plain, stir
from torch import nn
from torch.nn import functional as F

from togi.align.lora import (
    Lora,
    adapter_norms,
    adapter_off,
    add_lora,
    load_adapter,
    lora_layers,
    merge,
    save_adapter,
    trained_parameters,
    unload,
    unmerge,
)
from togi.align.lora_files import base_digest
from togi.align.lora_layer import LoraLinear
from togi.errors import DataError, UsageError
from togi.train import TrainConfig
from togi.train.loop import train
from togi.train.metrics import read_metrics


def one_layer(dtype, *, bias=True, rank=3):
    with torch.random.fork_rng():
        torch.manual_seed(2)
        layer = LoraLinear(nn.Linear(6, 5, bias=bias, dtype=dtype), rank=rank, alpha=5)
        layer.weight.requires_grad_(False)
        layer.lora_B.data.normal_()
        x = torch.randn(2, 4, 6, dtype=dtype)
    return layer, x


# --- the layer ---------------------------------------------------------------------------------


def test_the_layer_by_hand():
    # W = [1 0; 0 1], x = (1, 2), A = (1 1), B = (1, 0)', alpha 4, rank 1: y = x + 4 (3, 0).
    layer = LoraLinear(nn.Linear(2, 2, bias=False, dtype=torch.float64), rank=1, alpha=4)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(2))
        layer.lora_A.copy_(torch.ones(1, 2))
        layer.lora_B.copy_(torch.tensor([[1.0], [0.0]]))
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    y = layer(x)
    assert y.tolist() == [[13.0, 2.0]]
    y.sum().backward()  # g = (1, 1): gB = 1; dx = g W + 4 A; dB = 4 g' 3; dA = 4 x
    assert x.grad.tolist() == [[5.0, 5.0]]
    assert layer.lora_B.grad.tolist() == [[12.0], [12.0]]
    assert layer.lora_A.grad.tolist() == [[4.0, 8.0]]


@pytest.mark.parametrize("bias", [True, False])
def test_the_fused_layer_equals_the_formula_forward_and_backward(bias):
    layer, x = one_layer(torch.float64, bias=bias)
    found = []
    for forward in (layer, lambda x: plain(layer, x)):
        layer.zero_grad()
        leaf = x.clone().requires_grad_()
        y = forward(leaf)
        y.pow(3).sum().backward()
        found.append((y.detach(), leaf.grad, layer.lora_A.grad, layer.lora_B.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), found[1][0], rtol=0, atol=1e-10)


@pytest.mark.filterwarnings("ignore:Input #")
def test_gradcheck_in_float64():
    layer, x = one_layer(torch.float64)

    def forward(x, A, B):
        return torch.func.functional_call(layer, {"lora_A": A, "lora_B": B}, (x,))

    leaves = tuple(t.detach().requires_grad_() for t in (x, layer.lora_A, layer.lora_B))
    assert torch.autograd.gradcheck(forward, leaves)


def test_bfloat16_keeps_masters_and_gradients_in_float32():
    layer, x = one_layer(torch.bfloat16)
    exact, _ = one_layer(torch.float32)
    with torch.no_grad():
        for name in ("weight", "bias", "lora_A", "lora_B"):
            getattr(exact, name).copy_(getattr(layer, name))
    layer(x).float().pow(2).sum().backward()
    plain(exact, x.float()).pow(2).sum().backward()
    for name in ("lora_A", "lora_B"):
        ours, theirs = getattr(layer, name).grad, getattr(exact, name).grad
        assert getattr(layer, name).dtype == ours.dtype == torch.float32
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


@pytest.mark.parametrize("rows", [1, 16, 17, 40])
def test_decoding_a_few_rows_equals_the_formula_in_bfloat16(rows):
    layer, _ = one_layer(torch.bfloat16)
    x = torch.randn(rows, 6).bfloat16()
    with torch.no_grad():
        found = layer(x)
        exact = plain(layer.float(), x.float())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), exact, rtol=0.02, atol=0.05)


def test_the_bfloat16_copies_follow_the_masters():
    layer, x = one_layer(torch.bfloat16)
    with torch.inference_mode():
        before = layer(x)
    layer(x).sum().backward()  # the copies made above may be saved for a backward pass
    torch.optim.AdamW([layer.lora_A, layer.lora_B], lr=0.5, fused=True).step()
    with torch.no_grad():
        after = layer(x)
        exact = plain(layer.float(), x.float())
    torch.testing.assert_close(after.float(), exact, rtol=0.03, atol=0.1)
    assert (before.float() - exact).abs().max() > 1


def test_nothing_is_computed_for_an_input_without_gradient():
    layer, x = one_layer(torch.float32)
    y = layer(x)
    y.sum().backward()
    assert x.grad is None
    assert layer.weight.grad is None
    assert layer.lora_A.grad is not None


def test_dropout_is_only_for_training_and_keeps_the_mean():
    layer, _ = one_layer(torch.float64)
    layer.dropout = 0.5
    x = torch.randn(1, 6, dtype=torch.float64)
    layer.eval()
    torch.testing.assert_close(layer(x), plain(layer, x))
    layer.train()
    many = layer(x.expand(40_000, 6)).mean(0)
    torch.testing.assert_close(many, plain(layer, x)[0], rtol=0.05, atol=0.05)


# --- adding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_step_0_equals_base(dtype):
    model = llama(dtype=dtype)
    before = logits(model)
    paths = add_lora(model, Lora())
    assert len(paths) == 14
    assert torch.equal(before, logits(model))
    assert torch.equal(before, model(input_ids=IDS).logits)


def test_at_the_first_step_only_b_moves():
    model = llama()
    add_lora(model, Lora())
    model(input_ids=IDS).logits.pow(2).sum().backward()
    for layer in lora_layers(model).values():
        assert torch.count_nonzero(layer.lora_A.grad) == 0
        assert torch.count_nonzero(layer.lora_B.grad) > 0


def test_only_adapters_are_trained():
    model = llama()
    add_lora(model, Lora(rank=2, targets=("q_proj",)))
    trained, total = trained_parameters(model)
    assert trained == 2 * (2 * 32 + 2 * 32)
    assert total - trained == sum(w.numel() for w in llama().parameters())


def test_a_is_uniform_and_belongs_to_its_path():
    wide, narrow = llama(), llama()
    add_lora(wide, Lora(), seed=4)
    add_lora(narrow, Lora(targets=("v_proj",)), seed=4)
    path = "model.layers.1.self_attn.v_proj"
    assert torch.equal(lora_layers(wide)[path].lora_A, lora_layers(narrow)[path].lora_A)
    values = torch.cat(
        [m.lora_A.flatten() for m in lora_layers(wide).values() if m.in_features == 32]
    )
    assert values.abs().max() <= 32**-0.5
    assert values.std().item() == pytest.approx(32**-0.5 / 3**0.5, rel=0.05)
    other = llama()
    add_lora(other, Lora(), seed=5)
    assert not torch.equal(lora_layers(wide)[path].lora_A, lora_layers(other)[path].lora_A)


def test_rslora_and_patterns_by_hand():
    model = llama()
    add_lora(
        model,
        Lora(
            rank=4,
            alpha=8,
            rslora=True,
            rank_pattern={"q_proj": 16},
            alpha_pattern={".*0.+v_proj": 2},
        ),
    )
    layers = lora_layers(model)
    assert layers["model.layers.0.self_attn.k_proj"].scale == 4.0  # 8 / sqrt 4
    assert layers["model.layers.1.self_attn.q_proj"].scale == 2.0  # 8 / sqrt 16
    assert layers["model.layers.0.self_attn.v_proj"].scale == 1.0  # 2 / sqrt 4
    assert layers["model.layers.1.self_attn.v_proj"].scale == 4.0


def test_targets_by_name_path_and_regex():
    paths = {
        ("o_proj", "model.layers.0.mlp.up_proj"): 3,
        r".*layers\.1\.(self_attn|mlp)\.(q|up)_proj": 2,
        "all-linear": 14,
    }
    for targets, count in paths.items():
        assert len(add_lora(llama(), Lora(targets=targets))) == count


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"targets": ("q_prj",)}, "did you mean 'q_proj'"),
        ({"targets": ("q_proj", "nothing_like_it")}, "one of: .*q_proj"),
        ({"targets": "q_proj"}, "must match the whole path"),
        ({"targets": ("input_layernorm",)}, "not a linear layer"),
        ({"targets": ("lm_head",)}, "output head"),
        ({"rank": 17}, "at most 16"),
        ({"targets": ()}, "targets is out of range"),
        ({"targets": "("}, "not a regular expression"),
        ({"rank": 0}, "at least 1"),
        ({"dropout": 1.0}, r"in \[0, 1\)"),
    ],
)
def test_wrong_wishes_say_what_is_right(settings, message):
    with pytest.raises(UsageError, match=message):
        add_lora(llama(), Lora(**settings))


def test_tied_weights_are_refused_with_the_reason():
    with pytest.raises(UsageError, match=r"tied .*embed_tokens.* and .*lm_head"):
        add_lora(llama(tied=True), Lora(targets=("lm_head",)))
    assert len(add_lora(llama(tied=True), Lora())) == 14


def test_a_second_adapter_is_refused():
    with pytest.raises(UsageError, match="already has LoRA"):
        add_lora(adapted(), Lora())


# --- off, merge, norms -------------------------------------------------------------------------


def test_adapter_off_is_the_base_and_on_again_after_an_error():
    base, model = logits(llama()), adapted()
    on = logits(model)
    assert not torch.equal(on, base)
    with adapter_off(model):
        assert torch.equal(logits(model), base)
    assert torch.equal(logits(model), on)
    with pytest.raises(IndexError), adapter_off(model):
        model(input_ids=IDS + 64)
    assert torch.equal(logits(model), on)


def test_merged_equals_adapter_and_unmerge_is_bit_exact():
    model = adapted()
    before, base = logits(model), {n: w.clone() for n, w in model.named_parameters()}
    merge(model)
    torch.testing.assert_close(logits(model), before, rtol=0, atol=1e-5)
    assert not torch.equal(
        base["model.layers.0.mlp.up_proj.weight"], model.model.layers[0].mlp.up_proj.weight
    )
    unmerge(model)
    assert all(torch.equal(weight, base[name]) for name, weight in model.named_parameters())
    assert torch.equal(logits(model), before)


def test_what_merging_adds_has_at_most_the_rank():
    model = adapted(rank=3)
    before = {p: m.weight.double() for p, m in lora_layers(model).items()}
    merge(model, keep=False)
    for path, layer in lora_layers(model).items():
        values = torch.linalg.svdvals(layer.weight.double() - before[path])
        assert (values > 1e-5 * values[0]).sum() == 3


def test_merging_twice_and_other_wrong_orders_are_refused():
    model = adapted()
    with pytest.raises(UsageError, match="not merged"):
        unmerge(model)
    merge(model)
    with pytest.raises(UsageError, match="merged already"):
        merge(model)
    with pytest.raises(UsageError, match="cannot be switched off"), adapter_off(model):
        pass
    unmerge(model)
    merge(model, keep=False)
    with pytest.raises(UsageError, match="were not kept"):
        unmerge(model)
    with pytest.raises(UsageError, match="no LoRA adapters"):
        merge(llama())


def test_merging_nan_changes_nothing():
    model = adapted()
    before = logits(model)
    layer = lora_layers(model)["model.layers.1.mlp.down_proj"]
    kept = layer.lora_B.detach().clone()
    layer.lora_B.data[0, 0] = torch.nan
    with pytest.raises(DataError, match="not finite"):
        merge(model)
    layer.lora_B.data.copy_(kept)
    assert torch.equal(logits(model), before)


def test_unload_gives_an_ordinary_model_back():
    model = adapted()
    before = logits(model)
    merge(model, keep=False)
    assert len(unload(model)) == 14
    assert type(model.model.layers[0].mlp.up_proj) is nn.Linear
    assert {*model.state_dict()} == {*llama().state_dict()}
    torch.testing.assert_close(logits(model), before, rtol=0, atol=1e-5)
    other = adapted()
    unload(other)
    assert torch.equal(logits(other), logits(llama()))


def test_norms_by_hand():
    model = adapted(rank=2, alpha=6)
    for path, norm in adapter_norms(model).items():
        layer = lora_layers(model)[path]
        delta = 3 * layer.lora_B.double() @ layer.lora_A.double()
        assert norm.update == pytest.approx(delta.norm().item())
        assert norm.ratio == pytest.approx((delta.norm() / layer.weight.double().norm()).item())
        assert 1 < norm.effective_rank <= 2
    fresh = llama()
    add_lora(fresh, Lora())
    assert {(norm.update, norm.effective_rank) for norm in adapter_norms(fresh).values()} == {
        (0, 0)
    }


def test_gpt2s_transposed_layers_work_too(tmp_path):
    model = gpt2()
    base = logits(model)
    paths = add_lora(model, Lora(targets=("c_attn", "c_proj")), seed=1)
    assert len(paths) == 6
    assert torch.equal(logits(model), base)
    stir(model)
    before = logits(model)
    save_adapter(model, tmp_path / "adapter", "gpt2")
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["fan_in_fan_out"]
    merge(model)
    torch.testing.assert_close(logits(model), before, rtol=0, atol=1e-5)
    unload(model)
    torch.testing.assert_close(logits(model), before, rtol=0, atol=1e-5)
    other = gpt2()
    load_adapter(other, tmp_path / "adapter")
    assert torch.equal(logits(other), before)


# --- training ----------------------------------------------------------------------------------


class NextToken:
    name = "next"

    def weight(self, item):
        return 11.0

    def cost(self, item):
        return 12

    def loss(self, model, items):
        ids = torch.tensor(items)
        scores = model(input_ids=ids).logits[:, :-1].float()
        return F.cross_entropy(scores.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum"), {}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loop_trains_adapters_and_leaves_the_base(tmp_path, dtype):
    model = llama(dtype=dtype)
    digest = base_digest(model)
    add_lora(model, Lora())
    items = [tuple(range(start, start + 12)) for start in range(16)]
    config = TrainConfig(steps=25, batch=8, lr=0.02, micro_tokens=50)
    summary = train(model, NextToken(), items, config, tmp_path, say=lambda line: None)
    first = read_metrics(tmp_path / "metrics.jsonl")[0]["loss"]
    assert first == pytest.approx(math.log(64), abs=0.05)  # a random model knows nothing
    assert summary.final_loss < first - 0.4
    assert base_digest(model) == digest
    assert all(norm.update > 0 for norm in adapter_norms(model).values())
    again = llama(dtype=dtype)
    add_lora(again, Lora(), seed=77)
    train(again, NextToken(), items, config, tmp_path, say=lambda line: None)
    assert torch.equal(logits(again), logits(model))
