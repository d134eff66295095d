"""Tiny random models with and without adapters, shared by the tests of LoRA."""

import torch
from torch.nn import functional as F

from togi.align.lora import Lora, add_lora, lora_layers


def llama(*, tied=False, seed=0, dtype=torch.float32):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        tie_word_embeddings=tied,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).to(dtype).eval()


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=32)
        return GPT2LMHeadModel(config).eval()


IDS = torch.arange(24).view(2, 12) * 5 % 64


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def stir(model, size=0.05, seed=3):
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in lora_layers(model).values():
            layer.lora_B.copy_(size * torch.randn(layer.lora_B.shape, generator=draw))
    return model


def adapted(**settings):
    model = llama()
    add_lora(model, Lora(**settings), seed=1)
    return stir(model)


def plain(layer, x):
    low = F.linear(F.linear(x, layer.lora_A), layer.lora_B)
    return F.linear(x, layer.matrix(), layer.bias) + layer.scale * low
