"""Tiny random models and a small tokenizer, saved as folders that the engine can open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
BOS, EOS = "<s>", "<|im_end|>"
VOCABULARY = 320


def tokenizer(template: str | None = CHATML) -> Any:
    """Train a byte-level tokenizer: any text can be written, frequent words are one token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BOS, EOS, "<|im_start|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(["user assistant system the of and number is"] * 5, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=BOS,
        additional_special_tokens=["<|im_start|>"],
        chat_template=template,
    )


def llama(*, seed: int = 0, **settings: Any) -> Any:
    """Return a Llama with random weights, large enough that its answers are no coin toss."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {
        "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 256, "initializer_range": 0.1,
        "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(LlamaConfig(**{**shape, **settings})).eval()


def save(model: Any, folder: Path, template: str | None = CHATML) -> Path:
    """Save a model and the tokenizer; returns the folder."""
    model.save_pretrained(folder)
    tokenizer(template).save_pretrained(folder)
    return folder


def quiet(line: str) -> None:
    """Take a line for the user and say nothing."""
