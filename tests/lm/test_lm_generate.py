"""Generation against the model's own, and its independence of what else is in the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from togi.lm import attention, generate
from togi.lm.base import Sampling
from togi.lm.forward import Request, stream_scores
from togi.lm.generate import choose

PROMPTS = [(5, 6, 7), (5, 6, 8, 9, 10), (40,), (5, 6, 7, 7, 7, 7, 7, 11)]


class Letters:
    """Decodes token i as one letter."""

    def decode(self, ids, skip_special_tokens=True):
        return "".join(chr(65 + i) for i in ids if not (skip_special_tokens and i == 2))


def draw(model, prompts, stop_ids=frozenset(), **settings):
    return generate.generate(model, Letters(), prompts, Sampling(**settings), stop_ids)


def greedy(model, prompt, n):
    model.set_attn_implementation("eager")
    try:
        ids = torch.tensor([prompt])
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=n, do_sample=False,
            eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        return tuple(out[0, len(prompt) :].tolist())
    finally:
        model.set_attn_implementation(attention.NAME)


@pytest.mark.parametrize("name", ["tiny_gpt2", "tiny_llama"])
def test_greedy_equals_transformers(name, request):
    model = request.getfixturevalue(name)
    answers = draw(model, PROMPTS, temperature=0, max_tokens=12)
    for prompt, (answer,) in zip(PROMPTS, answers, strict=True):
        assert answer.token_ids == greedy(model, prompt, 12)
        assert answer.finish == "length"


def test_results_do_not_depend_on_the_batch(tiny_gpt2):
    settings = {"n": 3, "max_tokens": 10, "temperature": 1.3, "seed": 4}
    together = draw(tiny_gpt2, PROMPTS, **settings)
    for prompt, expected in zip(PROMPTS, together, strict=True):
        (alone,) = draw(tiny_gpt2, [prompt], **settings)
        assert [a.token_ids for a in alone] == [e.token_ids for e in expected]
    more = draw(tiny_gpt2, PROMPTS[:2], **{**settings, "n": 5})
    assert [a.token_ids for a in more[0][:3]] == [a.token_ids for a in together[0]]


def test_small_batches_change_nothing(tiny_gpt2, monkeypatch):
    settings = {"n": 2, "max_tokens": 8, "seed": 1}
    expected = draw(tiny_gpt2, PROMPTS, **settings)
    monkeypatch.setattr(generate, "CACHE_BYTES", 1)
    monkeypatch.setattr(generate, "PROMPT_TOKENS", 1)
    found = draw(tiny_gpt2, PROMPTS, **settings)
    assert [[a.token_ids for a in row] for row in found] == [
        [a.token_ids for a in row] for row in expected
    ]


def test_logprobs_are_those_of_scoring(tiny_gpt2):
    answers = draw(tiny_gpt2, PROMPTS, n=2, max_tokens=9, temperature=0.7, top_p=0.9, seed=3)
    for prompt, row in zip(PROMPTS, answers, strict=True):
        for answer in row:
            request = Request(prompt + answer.token_ids, len(prompt))
            ((_, scores),) = stream_scores(tiny_gpt2, [request], budget=100)
            np.testing.assert_allclose(answer.logprobs, scores.tokens.logprobs, atol=1e-5)


def test_seeds_and_draws_differ(tiny_gpt2):
    a, b = (draw(tiny_gpt2, PROMPTS[:1], n=4, max_tokens=12, seed=s)[0] for s in (0, 1))
    assert len({x.token_ids for x in (*a, *b)}) == 8


def test_rows_stop_at_the_end_of_turn_and_the_others_go_on(tiny_gpt2):
    free = draw(tiny_gpt2, PROMPTS, n=4, max_tokens=15, seed=2)
    stop = free[1][0].token_ids[4]
    stopped = draw(tiny_gpt2, PROMPTS, frozenset([stop]), n=4, max_tokens=15, seed=2)
    lengths = set()
    for row, whole in zip(stopped, free, strict=True):
        for answer, ids in zip(row, (w.token_ids for w in whole), strict=True):
            cut = ids.index(stop) + 1 if stop in ids else len(ids)
            assert answer.token_ids == ids[:cut]
            assert answer.finish == ("stop" if stop in ids else "length")
            lengths.add(cut)
    assert len(lengths) > 2


def test_stop_strings_cut_the_text(tiny_gpt2):
    ((free,),) = draw(tiny_gpt2, PROMPTS[:1], max_tokens=12, seed=5)
    mark = free.text[4:6]
    ((cut,),) = draw(tiny_gpt2, PROMPTS[:1], max_tokens=12, seed=5, stop=("never", mark))
    assert cut.text == free.text[: free.text.index(mark)]
    assert cut.finish == "stop"


def test_draws_follow_the_distribution():
    logits = torch.log(torch.tensor([[0.5, 0.2, 0.2, 0.1]]))
    uniforms = (torch.arange(1000) + 0.5) / 1000
    many = logits.expand(1000, -1)

    def shares(**settings):
        chosen = choose(many, uniforms, Sampling(**settings))
        return (torch.bincount(chosen, minlength=4) / 1000).tolist()

    assert shares() == pytest.approx([0.5, 0.2, 0.2, 0.1], abs=2e-3)
    assert shares(top_k=1) == [1, 0, 0, 0]
    assert shares(top_p=0.5) == [1, 0, 0, 0]
    assert shares(top_k=3) == pytest.approx([5 / 9, 2 / 9, 2 / 9, 0], abs=2e-3)
    cool = torch.tensor([0.5, 0.2, 0.2, 0.1]) ** 2
    assert shares(temperature=0.5) == pytest.approx((cool / cool.sum()).tolist(), abs=2e-3)


def test_an_extreme_uniform_stays_within_the_vocabulary():
    logits = torch.tensor([[0.0, -1e30]])
    for u in (0.0, 1 - 1e-16):
        assert choose(logits, torch.tensor([u], dtype=torch.float64), Sampling()).item() == 0
