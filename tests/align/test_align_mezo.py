"""MeZO: identities of the estimate, weights untouched, replay, and both signs in one tree."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from saved_toys import llama
from torch import nn

from togi.align.lora import Lora, add_lora
from togi.align.mezo import Mezo, MezoUpdater, Slope, move, replay, trained
from togi.align.mezo_noise import BLOCK, DRAWS, Noise, rounded_at_random
from togi.align.mezo_twins import both_scores, evaluate, shifted
from togi.align.prefix import add_prefix
from togi.align.sft import Sft, SftItem
from togi.errors import DataError, UsageError
from togi.lm import attention
from togi.lm.forward import Request, answer_scores
from togi.train.config import TrainConfig
from togi.train.loop import train
from togi.train.metrics import read_metrics


class Quadratic:
    """L(theta) = 1/2 theta' H theta + b' theta, whatever the items."""

    name = "quadratic"

    def __init__(self, H, b):
        self.H, self.b = H, b

    def weight(self, item):
        return 1.0

    def cost(self, item):
        return 1

    def value(self, theta):
        return 0.5 * theta @ self.H @ theta + self.b @ theta

    def loss(self, model, items):
        return self.value(model.theta) * len(items), {}


class Vector(nn.Module):
    def __init__(self, d, dtype=torch.float64):
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.inner = nn.Module()
        self.inner.theta = nn.Parameter(torch.randn(d, generator=draw, dtype=dtype))

    @property
    def theta(self):
        return self.inner.theta


D = 12


@pytest.fixture
def quadratic():
    draw = torch.Generator().manual_seed(1)
    half = torch.randn(D, D, generator=draw, dtype=torch.float64)
    return Quadratic(half @ half.t(), torch.randn(D, generator=draw, dtype=torch.float64))


def gradient(objective, model):
    return (objective.H @ model.theta + objective.b).detach()


@pytest.mark.parametrize("eps", [1e-3, 0.5, 3.0])
@pytest.mark.parametrize("draw", DRAWS)
def test_two_points_are_exact_on_a_quadratic(quadratic, eps, draw):
    """(L(t + eps z) - L(t - eps z)) / 2 eps is z'grad for any eps."""
    model, noise = Vector(D), Noise(7, draw)
    both = evaluate(model, quadratic, [0], noise, eps, 100)
    slope = (both.plus - both.minus) / (2 * eps)
    z = noise.of("inner.theta", model.theta)
    assert slope == pytest.approx(float(z @ gradient(quadratic, model)), rel=1e-9)


@pytest.mark.parametrize(("draw", "factor"), [("gaussian", D + 2), ("rademacher", D)])
def test_the_variance_identity(draw, factor):
    """E |z z'g|^2 = (d + 2) |g|^2 for normal numbers, d |g|^2 for signs; E z z'g = g."""
    g = torch.randn(D, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    n = 20_000
    z = torch.stack([Noise(i, draw).of("w", g) for i in range(n)])
    estimates = z * (z @ g)[:, None]
    mean_square = estimates.square().sum(1)
    error = mean_square.std() / math.sqrt(n)
    assert abs(mean_square.mean() - factor * g.square().sum()) < 5 * error
    spread = estimates.std(0) / math.sqrt(n)
    assert ((estimates.mean(0) - g).abs() < 5 * spread).all()


def test_the_error_of_the_slope_falls_with_the_square_of_eps(tiny_gpt2):
    items = [SftItem("a", Request(tuple(range(1, 20)), 1))]
    tiny_gpt2.requires_grad_(True)
    try:
        noise, found = Noise(5), []
        for eps in (4e-4, 2e-4, 1e-4):
            with torch.no_grad():
                both = evaluate(tiny_gpt2, Sft(), items, noise, eps, 4096)
            found.append((both.plus - both.minus) / (2 * eps))
        loss, _ = Sft().loss(tiny_gpt2, items)
        loss.backward()
        true = sum(
            float((noise.of(name, w.data) * w.grad).sum()) / 18
            for name, w in tiny_gpt2.named_parameters()
            if w.grad is not None
        )
    finally:
        tiny_gpt2.requires_grad_(False).zero_grad()
    errors = [abs(slope - true) for slope in found]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)


def test_noise_is_the_same_in_any_order_and_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    weight = torch.empty(3 * BLOCK // 64 + 7, 64)
    for draw in DRAWS:
        noise = Noise(3, draw)
        whole = noise.of("w", weight)
        assert torch.equal(noise.rows("w", weight, 100, 5000), whole[100:5000])
        assert torch.equal(Noise(3, draw).of("w", weight), whole)
        assert not torch.equal(Noise(4, draw).of("w", weight), whole)
        assert not torch.equal(noise.of("v", weight), whole)
    assert torch.equal(before, torch.get_rng_state())


def test_signs_are_fair():
    z = Noise(0, "rademacher").of("w", torch.empty(1 << 16))
    assert set(z.tolist()) == {-1.0, 1.0}
    assert abs(z.mean().item()) < 5 / 256


@pytest.mark.parametrize("value", [1.003, -1.003, 1e-3, -7.7e4])
def test_rounding_at_random_has_the_right_mean(value):
    draw = torch.Generator().manual_seed(0)
    found = rounded_at_random(torch.full((200_000,), value), draw).double()
    assert found.unique().numel() <= 2
    ulp = abs(float(found.max() - found.min())) or abs(value) * 2**-8
    assert abs(found.mean().item() - value) < 5 * ulp / math.sqrt(200_000)


def toy(dtype, **settings):
    attention.register()
    model = llama(hidden_size=32, **settings)
    model.set_attn_implementation(attention.NAME)
    return model.to(dtype)


ITEMS = [SftItem(str(i), Request(tuple(range(3 + i, 12 + 2 * i)), 4)) for i in range(5)]
REQUESTS = [item.request for item in ITEMS]


def full(model):
    return model.requires_grad_(True)


def lora(model):
    add_lora(model, Lora(rank=4), seed=1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("lora_B"):
                weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(len(name)))
    return model


def dora(model):
    add_lora(model, Lora(rank=4, dora=True), seed=1)
    return model


def prefix(model):
    add_prefix(model, 3, seed=1)
    return model


def gpt2(model):
    return model


KINDS = {"full": full, "lora": lora, "dora": dora, "prefix": prefix}


def moved(model, noise, eps, sign):
    """A copy of the model with its trained weights perturbed in place, for comparison."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in other.named_parameters():
            if weight.requires_grad:
                weight.add_(noise.of(name, weight), alpha=sign * eps)
    return other


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_both_signs_in_one_tree_are_two_perturbed_models(kind, tied):
    model = KINDS[kind](toy(torch.float64, tie_word_embeddings=tied))
    noise, eps = Noise(11), 0.01
    found = both_scores(model, REQUESTS, noise, eps)
    for side, sign in zip(found, (1, -1), strict=True):
        wanted = answer_scores(moved(model, noise, eps, sign), REQUESTS).tokens.logprobs
        torch.testing.assert_close(side.tokens.logprobs, wanted, rtol=0, atol=1e-9)
        assert torch.equal(side.owner, answer_scores(model, REQUESTS).owner)
        with shifted(model, noise, eps, (sign,)):
            alone = answer_scores(model, REQUESTS).tokens.logprobs
        torch.testing.assert_close(alone, wanted, rtol=0, atol=1e-9)


@torch.no_grad()
def test_learnt_positions_and_biases_are_perturbed_too(tiny_gpt2):
    tiny_gpt2.requires_grad_(True)
    try:
        noise = Noise(2)
        plus, minus = both_scores(tiny_gpt2, REQUESTS, noise, 0.01)
        for side, sign in ((plus, 1), (minus, -1)):
            wanted = answer_scores(moved(tiny_gpt2, noise, 0.01, sign), REQUESTS)
            torch.testing.assert_close(
                side.tokens.logprobs, wanted.tokens.logprobs, rtol=0, atol=1e-9
            )
    finally:
        tiny_gpt2.requires_grad_(False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_evaluating_touches_no_bit_of_the_weights(kind, dtype):
    """Perturbing in place and back drifts by more than an update is long; this drifts by nothing."""
    model = KINDS[kind](toy(dtype))
    before = {name: w.clone() for name, w in model.named_parameters()}
    paths = [path for path, _ in model.named_modules()]
    for seed in range(3):
        evaluate(model, Sft(), ITEMS, Noise(seed), 1e-3, 4096)
    assert all(torch.equal(w, before[name]) for name, w in model.named_parameters())
    assert [path for path, _ in model.named_modules()] == paths


def test_micro_batches_change_nothing():
    model = full(toy(torch.float64))
    with torch.no_grad():
        whole = evaluate(model, Sft(), ITEMS, Noise(1), 1e-3, 100_000)
        parts = evaluate(model, Sft(), ITEMS, Noise(1), 1e-3, 1)
    assert parts.plus == pytest.approx(whole.plus, abs=1e-12)
    assert parts.minus == pytest.approx(whole.minus, abs=1e-12)
    assert parts.passes > whole.passes == 1


def test_one_update_by_hand(tmp_path):
    """theta - lr (g z + decay theta), with g from two perturbed copies, all in float64."""
    model = full(toy(torch.float64))
    config = TrainConfig(steps=1, lr=0.1, clip=0.0, weight_decay=0.3, micro_tokens=4096, seed=9)
    updater = MezoUpdater(model, tmp_path, config=config, settings=Mezo(eps=1e-3))
    before = copy.deepcopy(model)
    done = updater.update(Sft(), ITEMS, lr=0.1)
    updater.rewind(0)
    updater.close()
    from togi.stats.rng import derive

    noise = Noise(derive(9, "mezo", 0, 0) >> 1)
    with torch.no_grad():
        n = sum(i.trained_tokens for i in ITEMS)
        plus, minus = (
            float(Sft().loss(moved(before, noise, 1e-3, s), ITEMS)[0]) / n for s in (1, -1)
        )
        g = (plus - minus) / 2e-3
        assert done.grad_norm == pytest.approx(abs(g), rel=1e-6)
        for (name, weight), old in zip(
            model.named_parameters(), before.parameters(), strict=True
        ):
            decay = 0.3 * old if old.ndim >= 2 else 0.0
            wanted = old - 0.1 * (g * noise.of(name, old) + decay)
            torch.testing.assert_close(weight, wanted, rtol=0, atol=1e-9)


def test_the_slope_is_clipped(tmp_path):
    model = full(toy(torch.float64))
    weights = {name: w.detach().clone() for name, w in model.named_parameters()}
    config = TrainConfig(steps=1, lr=1.0, clip=1e-6, micro_tokens=4096, seed=9)
    MezoUpdater(model, tmp_path, config=config, settings=Mezo()).update(Sft(), ITEMS, lr=1.0)
    longest = max((w.detach() - weights[n]).abs().max() for n, w in model.named_parameters())
    assert longest < 1e-6 * 6


@pytest.mark.parametrize(("dtype", "draw"), [(torch.float32, "gaussian"), (torch.bfloat16, "rademacher")])  # fmt: skip
def test_the_trajectory_replayed_is_the_training(tmp_path, dtype, draw):
    model = full(toy(dtype))
    start = copy.deepcopy(model)
    config = TrainConfig(steps=5, batch=3, lr=1e-3, warmup=0, micro_tokens=4096, seed=4,
                         weight_decay=0.1)  # fmt: skip

    def make(module, folder):
        return MezoUpdater(module, folder, config=config, settings=Mezo(draw=draw, directions=2))

    train(model, Sft(), ITEMS, config, tmp_path, updater=make, say=lambda line: None)
    lines = read_metrics(tmp_path / "trajectory.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert json.dumps(lines[0]["seeds"])
    replay(start, lines, decay=0.1, draw=draw)
    assert all(
        torch.equal(a, b) for a, b in zip(start.parameters(), model.parameters(), strict=True)
    )


def test_tied_weights_move_once(tmp_path):
    model = full(toy(torch.float64, tie_word_embeddings=True))
    names = trained(model)
    assert "lm_head.weight" not in names
    before = model.model.embed_tokens.weight.detach().clone()
    move(names, [Slope(3, 2.0)], lr=0.5, decay=0.0, draw="gaussian")
    step = -0.5 * 2.0 * Noise(3).of("model.embed_tokens.weight", before)
    torch.testing.assert_close(model.lm_head.weight.detach(), before + step)


def test_averaging_directions_shrinks_the_spread(quadratic, tmp_path):
    def spread(directions):
        found = []
        for seed in range(200):
            model = Vector(D)
            config = TrainConfig(steps=1, lr=1.0, clip=0.0, seed=seed)
            updater = MezoUpdater(model, tmp_path, config=config,
                                  settings=Mezo(directions=directions))  # fmt: skip
            before = model.theta.detach().clone()
            updater.update(quadratic, [0], lr=1.0)
            found.append(before - model.theta.detach())
        steps = torch.stack(found) - gradient(quadratic, Vector(D))
        return steps.square().sum(1).mean().item()

    assert spread(8) == pytest.approx(spread(1) / 8, rel=0.35)


def test_a_loss_that_is_not_finite_names_the_rows(quadratic, tmp_path):
    class Broken(Quadratic):
        def loss(self, model, items):
            return torch.tensor(float("nan")), {}

    model = Vector(D)
    before = model.theta.detach().clone()
    updater = MezoUpdater(model, tmp_path, config=TrainConfig(steps=1), settings=Mezo())
    with pytest.raises(DataError, match=r"the loss is nan.*rows number 1"):
        updater.update(Broken(quadratic.H, quadratic.b), [0], lr=1.0)
    assert torch.equal(model.theta.detach(), before)


def test_a_loss_that_draws_is_refused(quadratic, tmp_path):
    class Noisy(Quadratic):
        def loss(self, model, items):
            return super().loss(model, items)[0] + torch.rand(()), {}

    updater = MezoUpdater(Vector(D), tmp_path, config=TrainConfig(steps=1), settings=Mezo())
    with pytest.raises(UsageError, match=r"evaluated twice, is another.*switch dropout off"):
        updater.update(Noisy(quadratic.H, quadratic.b), [0], lr=1.0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"eps": 0.0}, "eps must be more than 0"),
        ({"eps": -1.0}, "eps must be more than 0"),
        ({"directions": 0}, "directions must be at least 1"),
        ({"draw": "gausian"}, "did you mean 'gaussian'"),
    ],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(UsageError, match=words):
        Mezo(**settings)


def test_nothing_to_train_is_told(tmp_path):
    with pytest.raises(UsageError, match="no weights to train"):
        MezoUpdater(Vector(D).requires_grad_(False), tmp_path, config=TrainConfig(steps=1),
                    settings=Mezo())  # fmt: skip
