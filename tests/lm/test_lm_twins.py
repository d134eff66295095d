"""Twin trees and the frozen trunk: two ways to run less of a model, both exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from saved_toys import llama

from togi.errors import UsageError
from togi.lm import attention
from togi.lm.forward import Request, answer_scores, hidden_states, last_states
from togi.lm.tree import build
from togi.lm.trunk import FrozenTrunk
from togi.lm.twins import twice

SEQUENCES = [(1, 2, 3, 4), (1, 2, 5), (7, 8, 9), (1, 2, 3, 6, 9)]


@pytest.mark.parametrize("stem", [(), (1, 2)])
def test_neither_twin_sees_the_other(stem):
    sequences = [s for s in SEQUENCES if s[: len(stem)] == stem]
    one = build(sequences, stem)
    both, mask = twice(one), twice(one).dense_mask()
    n, s = len(one), len(stem)
    apart = np.zeros_like(mask)
    inner = one.dense_mask()
    for copy in (0, 1):
        rows = slice(copy * n, (copy + 1) * n)
        apart[rows, copy * s : (copy + 1) * s] = inner[:, :s]
        apart[rows, 2 * s + copy * n : 2 * s + (copy + 1) * n] = inner[:, s:]
    assert np.array_equal(mask, apart)
    blocks = np.zeros_like(mask)
    for block in both.blocks():
        keys = np.concatenate([np.arange(k.start, k.end) for k in block.keys])
        seen = np.ones((block.end - block.start, len(keys)), bool) if block.mask is None else block.mask  # noqa: E501
        for row, seen_keys in zip(range(block.start, block.end), seen, strict=True):
            blocks[row, keys[seen_keys]] = True
    assert np.array_equal(blocks, mask)


def test_a_twin_tree_gives_each_half_the_same_states(tiny_gpt2):
    tree = build(SEQUENCES)
    device = torch.device("cpu")
    with torch.no_grad():
        alone = hidden_states(tiny_gpt2, attention.pack(tree, device))
        both = hidden_states(tiny_gpt2, attention.pack(twice(tree), device))
    torch.testing.assert_close(both[: len(tree)], alone, rtol=0, atol=1e-12)
    torch.testing.assert_close(both[len(tree) :], alone, rtol=0, atol=1e-12)


@pytest.fixture
def model():
    attention.register()
    model = llama(num_hidden_layers=4)
    model.set_attn_implementation(attention.NAME)
    return model.double().requires_grad_(False)


REQUESTS = [Request((*s, 11, 12), len(s)) for s in SEQUENCES]


@pytest.mark.parametrize("first", [1, 3])
def test_the_upper_layers_on_a_kept_trunk_equal_the_whole_model(model, first, tmp_path):
    wanted = answer_scores(model, REQUESTS).tokens.logprobs
    states = last_states(model, SEQUENCES)
    trunk = FrozenTrunk(model, first, tmp_path / "trunk.bin")
    kept = trunk.read(model, [*(r.ids[:-1] for r in REQUESTS), *SEQUENCES])
    assert kept < sum(len(r.ids) - 1 for r in REQUESTS)  # shared beginnings stand once
    model.trunk = trunk
    calls = []
    for number, layer in enumerate(trunk.layers):
        layer.register_forward_hook(lambda *_, n=number: calls.append(n))
    torch.testing.assert_close(answer_scores(model, REQUESTS).tokens.logprobs, wanted)
    assert calls == list(range(first, 4))
    torch.testing.assert_close(last_states(model, SEQUENCES), states)


def test_a_gradient_reaches_the_upper_layers_as_without_the_trunk(model, tmp_path):
    weight = model.model.layers[2].mlp.up_proj.weight.requires_grad_(True)

    def gradient():
        weight.grad = None
        answer_scores(model, REQUESTS).tokens.logprobs.sum().backward()
        return weight.grad.clone()

    wanted = gradient()
    trunk = FrozenTrunk(model, 2, tmp_path / "trunk.bin")
    trunk.read(model, [r.ids[:-1] for r in REQUESTS])
    model.trunk = trunk
    torch.testing.assert_close(gradient(), wanted)


def test_a_text_that_is_not_kept_runs_through_the_whole_model(model, tmp_path):
    trunk = FrozenTrunk(model, 2, tmp_path / "trunk.bin")
    trunk.read(model, [r.ids[:-1] for r in REQUESTS])
    other = [Request((20, 21, 22), 1)]
    wanted = answer_scores(model, other).tokens.logprobs
    model.trunk = trunk
    assert torch.equal(answer_scores(model, other).tokens.logprobs, wanted)


def test_a_family_that_cannot_be_split_is_refused(tiny_gpt2, tmp_path):
    """GPT-2 adds positions to whatever enters it, so its layers cannot start from kept states."""
    with pytest.raises(UsageError, match=r"answer changes where its layers are split"):
        FrozenTrunk(tiny_gpt2, 2, tmp_path / "trunk.bin")
