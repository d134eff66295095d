"""Packed equals separate: forward, gradients, carried stems; and the head against autograd."""

from __future__ import annotations

import math

import pytest
import torch

from togi.errors import SurroundingsError
from togi.lm import attention, head
from togi.lm.forward import Request, answer_scores, stream_scores
from togi.lm.head import token_logprobs

REQUESTS = [
    Request((5, 6, 7, 8, 9, 10), 4),
    Request((5, 6, 7, 8, 9, 11, 12), 4),
    Request((5, 6, 7, 8, 30), 4),
    Request((40, 41), 1),
    Request((5, 6, 50, 51, 52, 53), 2),
]


def long_requests(n=40, shared=290):
    prompt = tuple((i * 7) % 61 for i in range(shared))
    return [Request((*prompt, i % 61, (3 * i) % 61, (i * i) % 61, 4), shared + 1) for i in range(n)]


def separate(model, requests):
    """Ask the model's own attention, one sequence at a time, its own head."""
    model.set_attn_implementation("eager")
    try:
        parts = []
        for request in requests:
            logits = model(torch.tensor([request.ids]), use_cache=False).logits[0]
            logprobs = logits.log_softmax(-1)
            wanted = torch.tensor(request.ids[request.start :])[:, None]
            parts.append(logprobs[request.start - 1 : -1].gather(1, wanted)[:, 0])
        return parts
    finally:
        model.set_attn_implementation(attention.NAME)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("requests", [REQUESTS, long_requests()], ids=["short", "long"])
def test_packed_equals_separate_forward_and_gradients(tiny_gpt2, requests, dense):
    model = tiny_gpt2.requires_grad_(True)
    tilt = torch.linspace(-1, 2, sum(len(r.ids) - r.start for r in requests)).double()
    model.zero_grad()
    expected = torch.cat(separate(model, requests))
    (expected * tilt).sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    scores = answer_scores(model, requests, dense=dense)
    (scores.tokens.logprobs * tilt).sum().backward()
    torch.testing.assert_close(scores.tokens.logprobs, expected, rtol=0, atol=1e-10)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=0, atol=1e-10)
    model.requires_grad_(False)


def test_packed_equals_separate_with_grouped_keys_and_rotary_positions(tiny_llama):
    requests = REQUESTS + long_requests(8)
    with torch.no_grad():
        expected = torch.cat(separate(tiny_llama, requests))
        found = answer_scores(tiny_llama, requests).tokens.logprobs
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("budget", [1, 40, 301, 100_000])
def test_a_carried_stem_changes_no_score(tiny_gpt2, budget):
    requests = long_requests() + REQUESTS
    with torch.no_grad():
        expected = answer_scores(tiny_gpt2, requests).sums(len(requests))
    found = torch.zeros(len(requests), dtype=torch.float64)
    for pack, scores in stream_scores(tiny_gpt2, requests, budget=budget):
        found[pack] = scores.sums(len(pack))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_a_stem_saves_the_shared_prompt(tiny_gpt2, monkeypatch):
    counted = []
    whole = attention.pack
    monkeypatch.setattr(
        attention, "pack", lambda tree, *a, **k: counted.append(len(tree)) or whole(tree, *a, **k)
    )
    list(stream_scores(tiny_gpt2, long_requests(), budget=300))
    assert sum(counted) < 290 + 40 * 5
    assert len(counted) > 1


def test_sums_are_grouped_by_request(tiny_gpt2):
    with torch.no_grad():
        scores = answer_scores(tiny_gpt2, REQUESTS)
    by_hand = [scores.tokens.logprobs[scores.owner == i].sum() for i in range(len(REQUESTS))]
    torch.testing.assert_close(scores.sums(len(REQUESTS)), torch.stack(by_hand))


def test_the_head_equals_autograd(monkeypatch):
    monkeypatch.setattr(head, "ROWS", 3)
    torch.manual_seed(0)
    hidden = torch.randn(8, 5, dtype=torch.float64, requires_grad=True)
    weight, bias = torch.randn(11, 5, dtype=torch.float64), torch.randn(11, dtype=torch.float64)
    targets, tilt = torch.randint(11, (8,)), torch.randn(8, dtype=torch.float64)
    plain = (hidden @ weight.T + bias).log_softmax(-1).gather(1, targets[:, None])[:, 0]
    (expected,) = torch.autograd.grad((plain * tilt).sum(), hidden)
    scores = token_logprobs(hidden, weight, targets, bias)
    (found,) = torch.autograd.grad((scores.logprobs * tilt).sum(), hidden)
    torch.testing.assert_close(scores.logprobs, plain, rtol=0, atol=1e-12)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    best = (hidden @ weight.T + bias).argmax(-1) == targets
    assert torch.equal(scores.greedy, best)


def test_a_trained_head_gets_its_gradient(monkeypatch):
    monkeypatch.setattr(head, "ROWS", 3)
    hidden = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(9, (7,))
    plain = (hidden @ weight.T).log_softmax(-1).gather(1, targets[:, None]).sum()
    expected = torch.autograd.grad(plain, (hidden, weight))
    found = torch.autograd.grad(
        token_logprobs(hidden, weight, targets).logprobs.sum(), (hidden, weight)
    )
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_a_uniform_head_gives_the_log_of_the_vocabulary():
    scores = token_logprobs(torch.zeros(2, 3), torch.zeros(8, 3), torch.tensor([0, 5]))
    assert scores.logprobs.tolist() == pytest.approx([-math.log(8)] * 2)


def test_a_model_that_slides_its_window_is_refused():
    from transformers import MistralConfig, MistralForCausalLM

    attention.register()
    config = MistralConfig(
        vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2, sliding_window=8,
        attn_implementation=attention.NAME,
    )  # fmt: skip
    model = MistralForCausalLM(config).eval()
    answer_scores(model, [Request((1, 2, 3), 1)])
    with pytest.raises(SurroundingsError, match="sliding window of 8 over 19 tokens"):
        answer_scores(model, [Request(tuple(range(20)), 1)])
