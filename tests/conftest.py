"""Tiny random models that run through togi's attention."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def own_references(tmp_path_factory, monkeypatch):
    """References' log-probabilities are kept beside the tests, not in the user's cache."""
    folder = tmp_path_factory.getbasetemp() / "references"
    monkeypatch.setattr("togi.align.methods.references", lambda: folder)


@pytest.fixture(scope="session")
def tiny_gpt2():
    """GPT-2 in float64 throughout: learnt positions and LayerNorm, nothing rounded to float32."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from togi.lm import attention

    attention.register()
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=61, n_positions=600, n_embd=32, n_layer=3, n_head=4,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        attn_implementation=attention.NAME,
    )  # fmt: skip
    return GPT2LMHeadModel(config).double().eval()


@pytest.fixture(scope="session")
def tiny_llama():
    """Llama with grouped keys and rotary positions in float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from togi.lm import attention

    attention.register()
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
        bos_token_id=1, eos_token_id=2, attn_implementation=attention.NAME,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()
