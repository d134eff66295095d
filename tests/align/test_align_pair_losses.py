"""The DPO family: values and gradients by hand, where each loss is lowest, what it cannot do."""

from __future__ import annotations

import math

import pytest
import torch

from togi.align.dpo import Dpo, DpoItem
from togi.align.pair_lint import flip_rate, lint
from togi.align.pair_losses import LOSSES, cdpo, hinge, ipo, pair_loss, robust, sigmoid, simpo
from togi.errors import UsageError
from togi.lm.forward import Request, answer_scores
from togi.rows.types import Message, Preference

GAPS = torch.linspace(-4, 4, 17, dtype=torch.float64)


def test_values_by_hand():
    h = torch.tensor([2.0], dtype=torch.float64)
    assert sigmoid(h, 0.5).item() == pytest.approx(math.log1p(math.exp(-1)))
    assert cdpo(h, 0.5, 0.1).item() == pytest.approx(
        0.9 * math.log1p(math.exp(-1)) + 0.1 * math.log1p(math.exp(1))
    )
    assert robust(h, 0.5, 0.1).item() == pytest.approx(
        (0.9 * math.log1p(math.exp(-1)) - 0.1 * math.log1p(math.exp(1))) / 0.8
    )
    assert ipo(h, 0.5).item() == pytest.approx(1.0)
    assert hinge(h, 0.25).item() == pytest.approx(0.5)
    assert simpo(h, 0.5, 0.5).item() == pytest.approx(math.log1p(math.exp(-0.5)))


@pytest.mark.parametrize("name", LOSSES)
def test_where_every_loss_begins(name):
    """At a gap of zero: ln 2, 1/(4 tau^2), 1; and simpo's margin moves it."""
    entry = LOSSES[name]
    given = pair_loss(name, 0.1, {"noise": None, "margin": None})
    found = entry.function(torch.zeros(1, dtype=torch.float64), **given).item()
    wanted = {"ipo_sum": 25.0, "ipo_mean": 25.0, "hinge": 1.0, "simpo": math.log1p(math.exp(0.5))}
    assert found == pytest.approx(wanted.get(name, math.log(2)))


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
def test_robust_is_dpo_on_average_over_flips(noise):
    """E over flips of the robust loss is the clean loss (Chowdhury et al. 2024, lemma 3.1)."""
    flipped = (1 - noise) * robust(GAPS, 0.7, noise) + noise * robust(-GAPS, 0.7, noise)
    torch.testing.assert_close(flipped, sigmoid(GAPS, 0.7))


def test_noise_zero_is_dpo():
    torch.testing.assert_close(cdpo(GAPS, 0.3, 0.0), sigmoid(GAPS, 0.3))
    torch.testing.assert_close(robust(GAPS, 0.3, 0.0), sigmoid(GAPS, 0.3))


def lowest(loss, start=0.0, steps=4000, lr=0.2):
    h = torch.tensor([start], dtype=torch.float64, requires_grad=True)
    for _ in range(steps):
        (slope,) = torch.autograd.grad(loss(h).sum(), h)
        h = (h - lr * slope).detach().requires_grad_()
    return h.item()


def test_dpo_diverges_on_a_separable_pair_where_ipo_and_cdpo_stay_finite():
    """The over-fitting that IPO was made against (Azar et al. 2024, §4.2)."""
    assert lowest(lambda h: ipo(h, 0.5)) == pytest.approx(1 / (2 * 0.5), abs=1e-6)
    assert lowest(lambda h: cdpo(h, 1.0, 0.2)) == pytest.approx(math.log(0.8 / 0.2), abs=1e-6)
    ever = [lowest(lambda h: sigmoid(h, 1.0), steps=n) for n in (1000, 4000, 16000)]
    assert ever[0] + 1 < ever[1]
    assert ever[1] + 1 < ever[2]


def test_gradients_of_a_tabular_policy_by_hand():
    h = torch.tensor([0.8], dtype=torch.float64, requires_grad=True)
    for name, slope in {
        "sigmoid": -0.5 / (1 + math.exp(0.4)),
        "ipo_sum": 2 * (0.8 - 1.0),
        "hinge": -0.5,
        "cdpo": -0.9 * 0.5 / (1 + math.exp(0.4)) + 0.1 * 0.5 / (1 + math.exp(-0.4)),
    }.items():
        given = pair_loss(name, 0.5, {"noise": None, "margin": None})
        (found,) = torch.autograd.grad(LOSSES[name].function(h, **given).sum(), h)
        assert found.item() == pytest.approx(slope), name


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"beta": 0.0}, "beta must be more than 0"),
        ({"loss": "sigmiod"}, "unknown loss.*did you mean 'sigmoid'"),
        ({"loss": "robust", "noise": 0.5}, "noise is the share of wrong labels"),
        ({"loss": "cdpo", "noise": 0.7}, "less than 0.5"),
        ({"noise": 0.1}, "'noise' means nothing to sigmoid.*cdpo, robust"),
        ({"loss": "ipo_sum", "margin": 0.5}, "'margin' means nothing to ipo_sum.*simpo"),
        ({"loss": "simpo", "margin": -1.0}, "margin must be at least 0"),
        ({"chosen_weight": -1.0}, "chosen_weight must be at least 0"),
    ],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(UsageError, match=words):
        Dpo(**settings)


ITEM = DpoItem("a", Request((5, 6, 7, 8, 9), 3), Request((5, 6, 7, 8, 10, 11), 3), -9.0, -12.0)


@pytest.fixture
def model(tiny_gpt2):
    yield tiny_gpt2.requires_grad_(True)
    tiny_gpt2.requires_grad_(False).zero_grad()


def totals(model):
    return [
        answer_scores(model, [r]).tokens.logprobs.sum().item() for r in (ITEM.chosen, ITEM.rejected)
    ]


def test_mean_losses_divide_by_the_answers_tokens_and_sums_do_not(model):
    chosen, rejected = totals(model)
    a, b = chosen + 9.0, rejected + 12.0
    summed = Dpo(loss="ipo_sum", beta=0.5).loss(model, [ITEM])[0].item()
    mean = Dpo(loss="ipo_mean", beta=0.5).loss(model, [ITEM])[0].item()
    assert summed == pytest.approx((a - b - 1) ** 2, abs=1e-9)
    assert mean == pytest.approx((a / 2 - b / 3 - 1) ** 2, abs=1e-9)


def test_simpo_needs_no_reference(model):
    chosen, rejected = totals(model)
    objective = Dpo(loss="simpo", beta=2.0, margin=0.3)
    assert not objective.needs_reference
    loss, measures = objective.loss(model, [ITEM])
    gap = 2.0 * (chosen / 2 - rejected / 3) - 0.3
    assert loss.item() == pytest.approx(math.log1p(math.exp(-gap)), abs=1e-9)
    assert "kl/chosen" not in measures


def test_the_chosen_term_adds_the_better_answers_loss(model):
    plain = Dpo().loss(model, [ITEM])[0].item()
    held = Dpo(chosen_weight=0.5).loss(model, [ITEM])[0].item()
    assert held - plain == pytest.approx(-0.5 * totals(model)[0] / 2, abs=1e-9)


def pair(i, chosen, rejected, prompt="What is it?"):
    return Preference(id=str(i), prompt=prompt, chosen=chosen, rejected=rejected)


def test_the_linter_counts_what_is_wrong():
    asked = (Message("user", "Please tell me everything about the moon and the stars tonight."),)
    pairs = [
        pair(0, "yes indeed", "no"),
        pair(1, "yes indeed", "no"),
        pair(2, "no", "yes indeed"),
        pair(3, "Same ", "same"),
        pair(4, "", "x"),
        pair(5, asked[0].content + " Well, it shines.", "It shines.", prompt=asked),
        pair(6, "long answer here", "short"),
    ]
    report = lint(pairs)
    assert report.counts == {
        "stand twice": 1,
        "contradict another pair": 3,
        "have equal answers": 1,
        "have an empty answer": 1,
        "repeat the prompt in an answer": 1,
    }
    assert report.examples["repeat the prompt in an answer"] == ["5"]
    assert report.longer.n == 7
    assert any("contradict" in sentence for sentence in report.sentences())
    assert report.as_dict()["flips"] == pytest.approx(report.flips)


def test_length_bias_is_told_only_where_its_interval_says_so():
    biased = [pair(i, "a long answer " * 3, f"short {i}") for i in range(40)]
    even = [pair(i, f"abc{i}" if i % 2 else f"a{i}", "bcd") for i in range(10)]
    assert any("is the longer one in 100%" in s for s in lint(biased).sentences())
    assert lint(even).sentences() == []


def test_flip_rate_recovers_the_share_of_wrong_labels():
    from collections import Counter

    import numpy as np

    draw = np.random.default_rng(0)
    wrong = 0.15
    judged = [Counter((draw.random(5) > wrong).tolist()) for _ in range(4000)]
    assert flip_rate(judged) == pytest.approx(wrong, abs=0.01)
    assert math.isnan(flip_rate([Counter({True: 1})]))
