"""Parity with PEFT: the same adapter gives the same losses, and folders load both ways."""

import dataclasses
import json

import pytest
import torch
from torch.nn import functional as F

peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

from togi.align.lora import Lora, add_lora, load_adapter, lora_layers, save_adapter  # noqa: E402
from togi.align.prefix import load_prefix, save_prefix  # noqa: E402
from togi.align.reward import add_head, score_all  # noqa: E402
from togi.errors import DataError  # noqa: E402
from togi.lm import attention  # noqa: E402
from togi.lm.forward import Request, answer_scores  # noqa: E402
from togi.train import TrainConfig  # noqa: E402
from togi.train.loop import train  # noqa: E402
from togi.train.metrics import read_metrics  # noqa: E402

IDS = torch.arange(48).view(4, 12) * 7 % 64


def llama():
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(config).eval()


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def stir(model):
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(0.05 * torch.randn(weight.shape, generator=draw))
    return model


class NextToken:
    name = "next"

    def weight(self, item):
        return 11.0

    def cost(self, item):
        return 12

    def loss(self, model, items):
        ids = torch.tensor(items)
        scores = model(input_ids=ids).logits[:, :-1]
        return F.cross_entropy(scores.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum"), {}


@pytest.mark.parametrize(
    ("rslora", "fixed"), [(False, {}), (True, {"rank_pattern": {"q_proj": 4}})]
)
def test_the_same_adapter_gives_the_same_losses_for_20_steps(tmp_path, rslora, fixed):
    ours, theirs = llama(), llama()
    add_lora(ours, Lora(rank=8, alpha=16, rslora=rslora, **fixed), seed=1)
    theirs = peft.get_peft_model(
        theirs,
        peft.LoraConfig(
            r=8, lora_alpha=16, use_rslora=rslora, target_modules="all-linear",
            task_type="CAUSAL_LM", **fixed,
        ),
    )  # fmt: skip
    copied = 0
    with torch.no_grad():
        for path, layer in lora_layers(ours).items():
            other = theirs.get_submodule(f"base_model.model.{path}")
            other.lora_A["default"].weight.copy_(layer.lora_A)
            other.lora_B["default"].weight.copy_(layer.lora_B)
            copied += 1
    assert copied == 14
    items = [tuple(range(start, start + 12)) for start in range(40)]
    config = TrainConfig(steps=20, batch=8, lr=0.01, micro_tokens=50, weight_decay=0.01, clip=0.5)
    train(ours, NextToken(), items, config, tmp_path / "ours", say=lambda line: None)
    whole = dataclasses.replace(config, micro_tokens=10_000)
    train(theirs, NextToken(), items, whole, tmp_path / "theirs", say=lambda line: None)
    losses = [
        [line["loss"] for line in read_metrics(tmp_path / name / "metrics.jsonl")]
        for name in ("ours", "theirs")
    ]
    assert len(losses[0]) == 20
    assert losses[0][-1] < losses[0][0] - 0.1
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


SETTINGS = [
    {"targets": "all-linear"},
    {"targets": ("q_proj", "v_proj"), "rslora": True},
    {"targets": r".*layers\.1\..*(up|down)_proj", "alpha": 3.5},
    {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {r"layers\.0\..*": 5}},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_peft_loads_ours(tmp_path, settings):
    ours = llama()
    add_lora(ours, Lora(**settings), seed=1)
    stir(ours)
    save_adapter(ours, tmp_path / "a", "tiny")
    theirs = peft.PeftModel.from_pretrained(llama(), tmp_path / "a").eval()
    count = sum("lora_A" in name for name, _ in theirs.named_parameters())
    assert count == len(lora_layers(ours))
    assert not torch.equal(logits(ours), logits(llama()))
    torch.testing.assert_close(logits(theirs), logits(ours), rtol=0, atol=1e-6)
    for path, layer in lora_layers(ours).items():
        other = theirs.get_submodule(f"base_model.model.{path}")
        assert torch.equal(other.lora_A["default"].weight, layer.lora_A)
        assert other.scaling["default"] == pytest.approx(layer.scale)


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": "all-linear"},
        {"target_modules": ["q_proj", "v_proj"], "use_rslora": True, "lora_dropout": 0.1},
        {"target_modules": r".*layers\.1\..*(up|down)_proj"},
        {"target_modules": ["q_proj", "o_proj"], "layers_to_transform": [1]},
        {"target_modules": "all-linear", "exclude_modules": ["k_proj"]},
        {
            "target_modules": ["q_proj", "up_proj"],
            "rank_pattern": {"^model.layers.1.self_attn.q_proj": 3},
            "alpha_pattern": {"up_proj": 7},
        },
        {"target_modules": ["q_proj"], "init_lora_weights": "gaussian"},
    ],
)
def test_we_load_pefts(tmp_path, settings):
    config = peft.LoraConfig(r=4, lora_alpha=6, task_type="CAUSAL_LM", **settings)
    theirs = stir(peft.get_peft_model(llama(), config)).eval()
    theirs.save_pretrained(tmp_path / "a")
    ours = llama()
    paths = load_adapter(ours, tmp_path / "a")
    assert len(paths) == sum("lora_A" in name for name, _ in theirs.named_parameters())
    torch.testing.assert_close(logits(ours), logits(theirs), rtol=0, atol=1e-6)
    save_adapter(ours, tmp_path / "b", "tiny")
    back = peft.PeftModel.from_pretrained(llama(), tmp_path / "b").eval()
    torch.testing.assert_close(logits(back), logits(theirs), rtol=0, atol=1e-6)


def test_gpt2_loads_both_ways(tmp_path):
    def gpt2():
        torch.manual_seed(0)
        config = transformers.GPT2Config(
            vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=32
        )
        return transformers.GPT2LMHeadModel(config).eval()

    ours = gpt2()
    add_lora(ours, Lora(targets=("c_attn", "c_proj", "c_fc")), seed=1)
    stir(ours)
    save_adapter(ours, tmp_path / "a", "gpt2")
    theirs = peft.PeftModel.from_pretrained(gpt2(), tmp_path / "a").eval()
    torch.testing.assert_close(logits(theirs), logits(ours), rtol=0, atol=1e-6)
    theirs.save_pretrained(tmp_path / "b", save_embedding_layers=False)
    again = gpt2()
    load_adapter(again, tmp_path / "b")
    torch.testing.assert_close(logits(again), logits(ours), rtol=0, atol=1e-6)


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_adapters_that_changed_their_base_are_refused(tmp_path, init):
    config = peft.LoraConfig(
        r=4, target_modules=["q_proj"], init_lora_weights=init, task_type="CAUSAL_LM"
    )
    peft.get_peft_model(llama(), config).save_pretrained(tmp_path / "a")
    told = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert told["init_lora_weights"] == init
    with pytest.raises(DataError, match=f"init_lora_weights={init}"):
        load_adapter(llama(), tmp_path / "a")


def test_dora_loads_both_ways(tmp_path):
    targets = ["q_proj", "down_proj"]
    config = peft.LoraConfig(r=4, target_modules=targets, use_dora=True, task_type="CAUSAL_LM")
    theirs = stir(peft.get_peft_model(llama(), config)).eval()
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            if "magnitude" in name:
                weight.mul_(1.1)
    theirs.save_pretrained(tmp_path / "a")
    ours = llama()
    load_adapter(ours, tmp_path / "a")
    torch.testing.assert_close(logits(ours), logits(theirs), rtol=0, atol=1e-5)
    save_adapter(ours, tmp_path / "b", "tiny")
    back = peft.PeftModel.from_pretrained(llama(), tmp_path / "b").eval()
    torch.testing.assert_close(logits(back), logits(ours), rtol=0, atol=1e-5)


def test_a_prefix_loads_both_ways(tmp_path):
    config = peft.PrefixTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM")
    theirs = peft.get_peft_model(llama(), config).eval()
    theirs.save_pretrained(tmp_path / "a")
    ours = llama().requires_grad_(False)
    load_prefix(ours, tmp_path / "a")
    ids = [5, 9, 33, 2, 17]
    with torch.no_grad():
        wanted = theirs(torch.tensor([ids])).logits[0].log_softmax(-1)
    attention.register()
    ours.set_attn_implementation(attention.NAME)
    found = answer_scores(ours, [Request(tuple(ids), 1)]).tokens.logprobs
    by_hand = wanted[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    torch.testing.assert_close(found, by_hand, rtol=0, atol=1e-5)
    save_prefix(ours, tmp_path / "b", "tiny")
    back = peft.PeftModel.from_pretrained(llama(), tmp_path / "b").eval()
    with torch.no_grad():
        again = back(torch.tensor([ids])).logits[0].log_softmax(-1)
    torch.testing.assert_close(again, wanted, rtol=0, atol=1e-5)


def test_a_reward_adapter_is_a_sequence_classifier_to_peft(tmp_path):
    ours = llama()
    add_lora(ours, Lora(rank=4, targets=("q_proj", "v_proj")), seed=1)
    stir(ours)
    add_head(ours, seed=2)
    save_adapter(ours, tmp_path / "a", "tiny")
    base = transformers.LlamaForSequenceClassification(
        transformers.LlamaConfig(**{**ours.config.to_diff_dict(), "num_labels": 1})
    ).eval()
    base.model.load_state_dict(llama().model.state_dict())
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "a").eval()
    ids = [5, 9, 33, 2, 17]
    with torch.no_grad():
        wanted = theirs(torch.tensor([ids])).logits[0, 0]
    attention.register()
    ours.set_attn_implementation(attention.NAME)
    torch.testing.assert_close(score_all(ours, [tuple(ids)])[0], wanted, rtol=0, atol=1e-5)
