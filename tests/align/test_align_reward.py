"""Reward models: losses by hand and against closed forms, gradients, rendering, use."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from saved_toys import llama, quiet, save

from togi.align.lora import Lora, add_lora, save_adapter
from togi.align.opening import Start
from togi.align.reward import (
    HEAD,
    LOSSES,
    RankItem,
    Reward,
    add_head,
    best_of,
    bradley_terry,
    plackett_luce,
    rank_items,
    score_all,
)
from togi.align.scoring import TrunkReward, open_reward, read_scale, write_scale
from togi.errors import DataError, UsageError
from togi.lm.forward import last_states
from togi.lm.local import load_local
from togi.rows.chat import Rendered
from togi.rows.types import Dropped, Example, Message, Preference, Ranking

SCORES = torch.tensor([1.2, 0.4, -0.3, 0.9], dtype=torch.float64)
ITEMS = [
    RankItem("a", ((5, 6, 7, 8), (5, 6, 9), (5, 6, 10, 11)), 2),
    RankItem("b", ((1, 2, 3), (1, 2, 4, 5)), 2, margin=0.5),
]


def test_bradley_terry_is_the_mean_over_all_pairs():
    by_hand = [
        math.log1p(math.exp(-(a - b))) for a, b in itertools.combinations(SCORES.tolist(), 2)
    ]
    assert bradley_terry(SCORES).item() == pytest.approx(sum(by_hand) / 6)
    shifted = [math.log1p(math.exp(-(a - b - 0.3)))
               for a, b in itertools.combinations(SCORES.tolist(), 2)]  # fmt: skip
    assert bradley_terry(SCORES, 0.3).item() == pytest.approx(sum(shifted) / 6)


def test_plackett_luce_is_a_distribution_over_rankings():
    every = [
        math.exp(-3 * plackett_luce(SCORES[list(order)]).item())
        for order in itertools.permutations(range(4))
    ]
    assert sum(every) == pytest.approx(1.0)


def test_best_of_is_a_distribution_over_winners():
    winners = [
        math.exp(-best_of(torch.cat([SCORES[i : i + 1], SCORES[:i], SCORES[i + 1 :]])).item())
        for i in range(4)
    ]
    assert sum(winners) == pytest.approx(1.0)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_constant_added_to_all_rewards_changes_nothing(loss):
    function = LOSSES[loss]
    torch.testing.assert_close(function(SCORES), function(SCORES + 3.7))
    order = SCORES.sort(descending=True).values
    assert function(order) <= function(SCORES)


def test_bradley_terry_recovers_known_strengths():
    """Enough comparisons of items of known strength give the strengths back."""
    draw = torch.Generator().manual_seed(0)
    true = torch.tensor([0.0, 0.5, 1.0, -0.7], dtype=torch.float64)
    pairs = torch.randint(0, 4, (20_000, 2), generator=draw)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    won = torch.rand(len(pairs), generator=draw) < (true[pairs[:, 0]] - true[pairs[:, 1]]).sigmoid()
    ordered = torch.where(won[:, None], pairs, pairs.flip(1))
    counts = torch.zeros(4, 4, dtype=torch.float64)
    counts.index_put_((ordered[:, 0], ordered[:, 1]), torch.ones(len(ordered)).double(),
                      accumulate=True)  # fmt: skip
    found = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([found], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        solver.zero_grad()
        total = sum(
            counts[i, j] * bradley_terry(torch.stack([found[i], found[j]]))
            for i in range(4)
            for j in range(4)
            if i != j
        )
        total.backward()
        return total

    solver.step(closure)
    gap = (found - found.mean()) - (true - true.mean())
    assert gap.abs().max() < 0.06


@pytest.fixture
def model(tiny_gpt2):
    head = add_head(tiny_gpt2, seed=1)
    yield tiny_gpt2.requires_grad_(True)
    tiny_gpt2.requires_grad_(False).zero_grad()
    delattr(tiny_gpt2, HEAD)
    del head


def by_hand(model, ids):
    return getattr(model, HEAD)(last_states(model, [ids]))[0]


def test_the_objective_is_the_loss_of_each_prompt(model):
    loss, measures = Reward(centre=0.1).loss(model, ITEMS)
    total, right, pairs = 0.0, 0, 0
    for item in ITEMS:
        r = torch.stack([by_hand(model, ids) for ids in item.answers])
        total += bradley_terry(r, item.margin)
        couples = list(itertools.combinations(range(len(r)), 2))
        total += 0.1 * sum((r[i] + r[j]) ** 2 for i, j in couples) / len(couples)
        right += sum(bool(r[i] > r[j]) for i, j in couples)
        pairs += len(couples)
    assert loss.item() == pytest.approx(total.item(), abs=1e-10)
    assert measures["rewards/accuracies"] == (right, pairs)
    assert [Reward().weight(i) for i in ITEMS] == [1, 1]
    assert Reward().cost(ITEMS[0]) == 2 + 2 + 1 + 2  # the prompt once


def test_shared_prompts_and_separate_ones_have_the_same_gradient(model):
    def gradient(parts):
        model.zero_grad()
        for part in parts:
            Reward().loss(model, part)[0].backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    whole = gradient([ITEMS])
    model.zero_grad()
    for item in ITEMS:
        bradley_terry(
            torch.stack([by_hand(model, ids) for ids in item.answers]), item.margin
        ).backward()
    apart = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(whole, apart, rtol=0, atol=1e-10)
    torch.testing.assert_close(gradient([[i] for i in ITEMS]), whole, rtol=0, atol=1e-10)


def test_rewards_are_read_at_the_last_true_token_whatever_stands_beside(model):
    sequences = [ids for item in ITEMS for ids in item.answers]
    together = score_all(model, sequences, budget=100)
    alone = torch.stack([by_hand(model, ids) for ids in sequences]).float()
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


class Words:
    def examples(self, rows):
        for row_id, prompt, response in rows:
            if response == "long":
                yield Dropped(row_id, "too long")
            else:
                yield Rendered(*[tuple(map(int, text.split())) for text in (prompt, response)])


def test_rows_become_items_and_the_lost_are_counted():
    rows = [
        Ranking(id="r", prompt="1 2", responses=("3", "4 5", "6")),
        Preference(id="p", prompt="1 2", chosen="3", rejected="4", metadata={"margin": 0.7}),
        Ranking(id="one", prompt="1", responses=("3",)),
        Ranking(id="same", prompt="1", responses=("3", "3")),
        Preference(id="lost", prompt="1", chosen="3", rejected="long"),
    ]
    items, dropped = rank_items(rows, Words())
    assert items[0] == RankItem("r", ((1, 2, 3), (1, 2, 4, 5), (1, 2, 6)), 2)
    assert items[1].margin == 0.7
    assert dropped == {
        "fewer than two answers to rank": 1, "two answers are equal": 1, "too long": 1,
    }  # fmt: skip
    with pytest.raises(DataError, match=r"ranked answers.*Found: example"):
        rank_items([Example(id="e", prompt="1", response="2")], Words())
    bad = Preference(id="m", prompt="1", chosen="3", rejected="4", metadata={"margin": "wide"})
    with pytest.raises(DataError, match=r"row m: the margin is not a number"):
        rank_items([bad], Words())


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"loss": "bradley"}, "unknown loss"), ({"centre": -0.1}, "centre must be at least 0")],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(UsageError, match=words):
        Reward(**settings)


def test_a_margin_belongs_to_pairs():
    for function in (plackett_luce, best_of):
        with pytest.raises(UsageError, match="a margin belongs to pairs"):
            function(SCORES, 0.1)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save(llama(), tmp_path_factory.mktemp("models") / "tiny")


def trained(base, folder):
    """A reward model with weights that are not at their start, saved as an adapter."""
    model = load_local(base, dtype="float32", say=quiet)
    add_lora(model.model, Lora(rank=2), seed=1)
    head = add_head(model.model, seed=2)
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weight in model.model.named_parameters():
            if name.endswith("lora_B"):
                weight.copy_(0.1 * torch.randn(weight.shape, generator=draw))
    save_adapter(model.model, folder, str(base))
    return model, head


def test_a_saved_reward_model_gives_the_same_rewards_alone_and_on_a_policys_trunk(base, tmp_path):
    model, _ = trained(base, tmp_path / "reward")
    prompt, answer = (Message("user", "What is it?"),), "It is the number."
    ids = (*model.renderer.prompt_ids(prompt), *model.renderer.answer_ids(prompt, answer))
    wanted = score_all(model.model, [ids]).item()
    write_scale(tmp_path / "reward", torch.tensor([wanted, wanted + 2.0]))
    assert read_scale(tmp_path / "reward") == pytest.approx((wanted + 1, 1.0))
    opened = open_reward(
        Start(str(base), tmp_path / "reward", None), name="r", dtype="float32", offline=True,
        say=quiet,
    )  # fmt: skip
    assert opened.scores([prompt], [answer]) == pytest.approx([-1.0], abs=1e-5)

    policy = load_local(base, dtype="float32", say=quiet)
    add_lora(policy.model, Lora(rank=4, targets=["q_proj"]), seed=7)
    beside = TrunkReward(policy.model, tmp_path / "reward", name="r", scale=(0.0, 1.0))

    class Drawn:
        pass

    drawn = Drawn()
    drawn.ids = ids
    before = policy.score([prompt], [answer])[0].total
    assert beside(policy.model, [drawn]) == pytest.approx([wanted], abs=1e-5)
    assert policy.score([prompt], [answer])[0].total == before  # the policy is itself again


def test_an_adapter_without_a_head_is_no_reward_model(base, tmp_path):
    model = load_local(base, dtype="float32", say=quiet)
    add_lora(model.model, Lora(rank=2), seed=1)
    save_adapter(model.model, tmp_path / "plain", str(base))
    start = Start(str(base), tmp_path / "plain", None)
    with pytest.raises(DataError, match=r"no reward head.*align.reward"):
        open_reward(start, name="r", dtype="float32", offline=True, say=quiet)
    policy = load_local(base, dtype="float32", say=quiet)
    add_lora(policy.model, Lora(rank=2), seed=1)
    with pytest.raises(DataError, match="the adapter has no reward head"):
        TrunkReward(policy.model, tmp_path / "plain", name="r", scale=(0.0, 1.0))
