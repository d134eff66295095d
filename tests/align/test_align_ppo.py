"""PPO: its arithmetic against definitions, the first update, and the optimum that is known."""

from __future__ import annotations

import copy
import json
import math
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from togi.align.ppo import VALUE_HEAD, Ppo, PpoItem, PpoSettings
from togi.align.ppo_math import (
    adapted,
    advantages,
    best_of_n_divergence,
    k1,
    k2,
    k3,
    policy_loss,
    token_rewards,
    value_loss,
    whitened,
)
from togi.align.reward import add_head
from togi.align.rewards import (
    Answer,
    JudgeReward,
    SimpleReward,
    checked,
    read_marks,
)
from togi.align.rollout import Draw, RolloutLog, Round, rollouts
from togi.errors import DataError, UsageError
from togi.gallery.enumerable import (
    START,
    World,
    WorldReward,
    divergence,
    expected,
    optimum,
    pairs,
    train_dpo,
    train_ppo,
)
from togi.lm.base import Generated, Sampling
from togi.lm.forward import answer_scores


def ragged(seed=0, rows=4, longest=6):
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (rows,), generator=draw)
    mask = torch.arange(longest)[None] < lengths[:, None]
    numbers = [torch.randn(rows, longest, generator=draw, dtype=torch.float64) for _ in range(2)]
    return mask, *numbers


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.8), (1.0, 1.0), (0.99, 0.0)])
def test_advantages_are_their_definition(gamma, lam):
    """A_t = sum_l (gamma lam)^l delta_{t+l}, in O(T^2) steps, within each answer alone."""
    mask, rewards, values = ragged()
    found, returns = advantages(rewards, values, mask, gamma=gamma, lam=lam)
    for i, row in enumerate(mask):
        n = int(row.sum())
        r, v = rewards[i, :n].tolist(), [*values[i, :n].tolist(), 0.0]
        delta = [r[t] + gamma * v[t + 1] - v[t] for t in range(n)]
        for t in range(n):
            by_hand = sum((gamma * lam) ** k * delta[t + k] for k in range(n - t))
            assert found[i, t].item() == pytest.approx(by_hand, abs=1e-12)
            assert returns[i, t].item() == pytest.approx(by_hand + v[t], abs=1e-12)
        assert (found[i, n:] == 0).all()


def test_lambda_one_is_the_return_minus_the_value():
    mask, rewards, values = ragged(1)
    found, _ = advantages(rewards, values, mask, gamma=1.0, lam=1.0)
    to_go = torch.where(mask, rewards, 0.0).flip(1).cumsum(1).flip(1)
    torch.testing.assert_close(found, torch.where(mask, to_go - values, 0.0))


def test_the_score_falls_on_the_last_true_token_and_none_behind_it():
    mask = torch.tensor([[True, True, True], [True, False, False]])
    paid = torch.full((2, 3), 2.0)
    found = token_rewards(torch.tensor([1.0, 5.0]), paid, mask, 0.1)
    torch.testing.assert_close(found, torch.tensor([[-0.2, -0.2, 0.8], [4.8, 0.0, 0.0]]))


def test_whitening_looks_at_the_mask_only_and_leaves_constants_alone():
    mask, values, _ = ragged(2)
    found = whitened(values, mask)
    assert found[mask].mean().item() == pytest.approx(0, abs=1e-12)
    assert found[mask].std(unbiased=False).item() == pytest.approx(1, abs=1e-12)
    assert (found[~mask] == 0).all()
    constant = whitened(torch.full((2, 2), 3.0), torch.ones(2, 2, dtype=torch.bool))
    assert (constant == 0).all()
    kept = whitened(values, mask, keep_mean=True)
    assert kept[mask].mean().item() == pytest.approx(values[mask].mean().item())


def test_the_estimators_of_the_divergence_by_enumeration():
    """k1 and k3 have the divergence as their mean, k3 is never negative, k2 is near it."""
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    q = torch.tensor([0.4, 0.4, 0.2], dtype=torch.float64)
    true = (p * (p / q).log()).sum()
    for estimate in (k1, k3):
        torch.testing.assert_close((p * estimate(p.log(), q.log())).sum(), true)
    assert (k3(p.log(), q.log()) >= 0).all()
    assert (p * k2(p.log(), q.log())).sum().item() == pytest.approx(true.item(), rel=0.1)


def test_clipped_losses_by_hand():
    ratio, gain = torch.tensor([1.5, 1.5, 0.5, 0.5]), torch.tensor([1.0, -1.0, 1.0, -1.0])
    found = policy_loss(ratio, gain, 0.2)
    torch.testing.assert_close(found, torch.tensor([-1.2, 1.5, -0.5, 0.8]))
    loss = value_loss(torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([2.0]), 0.2)
    assert loss.item() == pytest.approx(0.5 * 1.8**2)  # held at 0.2, which errs more


def test_the_weight_moves_towards_its_target_and_never_by_more_than_a_fifth():
    up = adapted(0.1, 100.0, target=6.0, answers=1000, horizon=10_000)
    assert up == pytest.approx(0.1 * (1 + 0.2 * 0.1))
    assert adapted(0.1, 6.0, target=6.0, answers=64, horizon=100) == pytest.approx(0.1)
    assert adapted(0.1, 0.0, target=6.0, answers=1000, horizon=10_000) < 0.1


@pytest.mark.parametrize("n", [1, 2, 4, 16])
def test_best_of_n_divergence_by_enumeration(n):
    """Over many equally likely answers of distinct rewards: sum of P log(P / p)."""
    m = 2000
    top = (np.arange(1, m + 1) / m) ** n
    chosen = np.diff(np.concatenate([[0.0], top]))
    exact = float(np.sum(chosen * np.log(np.maximum(chosen * m, 1e-300))))
    assert best_of_n_divergence(n) == pytest.approx(exact, abs=n / m)


# --- one round on a tiny world --------------------------------------------------------------------

WORLD = World(tokens=3, length=2, seed=1)


def plan_of(base, *, answers=16, temperature=1.0, reward=None):
    frozen = copy.deepcopy(base)

    @contextmanager
    def reference(policy):
        yield frozen

    class Letters:
        def decode(self, ids, **_):
            return " ".join(map(str, ids))

    sampling = Sampling(max_tokens=WORLD.length, temperature=temperature)
    draw = Draw(Letters(), sampling, frozenset(), longest=16)
    return Round(draw=draw, reward=reward or WorldReward(WORLD), reference=reference,
                 answers=answers)  # fmt: skip


@pytest.fixture
def policy():
    model = WORLD.policy().double()
    add_head(model, name=VALUE_HEAD, zero=True)
    return model.requires_grad_(True)


ITEM = PpoItem("start", "", (START,))


def test_the_first_update_has_ratio_one_and_the_gradient_of_reinforce(policy):
    """At ratio 1 nothing is clipped: the gradient is that of -A log pi, plus the value's."""
    objective = Ppo(PpoSettings(passes=1), plan_of(policy))
    (samples,) = objective.updates(policy, [ITEM], 0)
    policy.zero_grad()
    loss, measures = objective.loss(policy, samples)
    loss.backward()
    n = sum(len(s.old) for s in samples)
    assert measures["val/ratio"] == (pytest.approx(n, abs=1e-4), n)
    assert measures["policy/clipfrac"][0] == 0
    found = torch.cat([w.grad.flatten() for name, w in policy.named_parameters()
                       if VALUE_HEAD not in name and w.grad is not None])  # fmt: skip
    policy.zero_grad()
    for sample in samples:
        logps = answer_scores(policy, [sample.request]).tokens.logprobs
        (-(sample.advantages.to(logps) * logps).sum()).backward()
    by_hand = torch.cat([w.grad.flatten() for name, w in policy.named_parameters()
                         if VALUE_HEAD not in name and w.grad is not None])  # fmt: skip
    torch.testing.assert_close(found, by_hand, rtol=0, atol=1e-5)


def test_the_divergence_is_zero_at_the_start_and_the_value_explains_nothing(policy):
    objective = Ppo(PpoSettings(passes=1), plan_of(policy))
    list(objective.updates(policy, [ITEM], 0))
    assert objective.told["objective/kl"] == pytest.approx(0, abs=1e-6)
    assert objective.told["objective/rlhf_reward"] == pytest.approx(
        objective.told["objective/scores"], abs=1e-6
    )
    assert objective.told["val/explained_variance"] == pytest.approx(0, abs=1e-6)


def test_rounds_depend_on_their_step_and_seed_only(policy):
    def drawn(seed, step):
        return [s.request.ids for s in next(iter(
            Ppo(PpoSettings(), plan_of(policy), seed=seed).updates(policy, [ITEM], step)))]  # fmt: skip

    assert drawn(1, 4) == drawn(1, 4)
    assert drawn(1, 4) != drawn(1, 5)
    assert drawn(1, 4) != drawn(2, 4)


def test_minibatches_of_a_pass_take_each_answer_once(policy):
    objective = Ppo(PpoSettings(passes=2, minibatches=3), plan_of(policy, answers=8))
    batches = list(objective.updates(policy, [ITEM], 0))
    assert len(batches) == 6
    ids = [sorted(s.id for batch in batches[i : i + 3] for s in batch) for i in (0, 3)]
    assert ids[0] == ids[1] == sorted(f"start#{i}" for i in range(8))


def test_answers_that_do_not_end_pay_for_it(policy):
    import dataclasses

    plan = dataclasses.replace(plan_of(policy), missing_end=0.5)
    free, paid = (rollouts(policy, [ITEM], p, seed=3) for p in (plan_of(policy), plan))
    assert [a.score - b.score for a, b in zip(free, paid, strict=True)] == [0.5] * 16


def test_temperature_divides_the_logits_in_drawing_and_in_learning(policy):
    warm = rollouts(policy, [ITEM], plan_of(policy, temperature=2.0), seed=3)
    scored = answer_scores(policy, [r.request for r in warm], temperature=2.0)
    torch.testing.assert_close(
        torch.cat([r.old for r in warm]), scored.tokens.logprobs.detach(), rtol=0, atol=1e-9
    )


def test_the_adaptive_weight_is_part_of_the_state(policy):
    objective = Ppo(PpoSettings(target=0.01, passes=1, horizon=16), plan_of(policy))
    before = objective.state["beta"]
    list(objective.updates(policy, [ITEM], 0))
    assert objective.state["beta"] == pytest.approx(before * 0.8)


def test_rollouts_are_written_and_taken_back(policy, tmp_path):
    log = RolloutLog(tmp_path / "rollouts.jsonl")
    objective = Ppo(PpoSettings(passes=1), plan_of(policy, answers=2), log=log)
    objective.rewind(0)
    for step in range(3):
        list(objective.updates(policy, [ITEM], step))
    objective.rewind(1)
    objective.close()
    lines = [json.loads(t) for t in (tmp_path / "rollouts.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 1]
    assert set(lines[0]) >= {"prompt", "response", "score", "kl", "ended", "tokens"}


# --- the known optimum ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference():
    return WORLD.log_probabilities(WORLD.policy())


def objective_of(policy, reference, beta):
    return expected(policy, WORLD.rewards) - beta * divergence(policy, reference)


def test_the_optimum_is_one(reference):
    best, value = optimum(reference, WORLD.rewards, 0.5)
    assert np.exp(best).sum() == pytest.approx(1.0)
    assert objective_of(best, reference, 0.5) == pytest.approx(value)
    draw = np.random.default_rng(0)
    for _ in range(20):  # no other policy is better
        other = np.log(draw.dirichlet(np.ones(len(best))))
        assert objective_of(other, reference, 0.5) < value


def test_ppo_reaches_the_known_optimum(reference, tmp_path):
    """pi* is proportional to reference * exp(r / beta); 9 answers, 40 rounds of 128."""
    model, beta = WORLD.policy(), 0.5
    best, value = optimum(reference, WORLD.rewards, beta)
    train_ppo(WORLD, model, tmp_path, beta=beta, rounds=40)
    found = WORLD.log_probabilities(model)
    start = objective_of(reference, reference, beta)
    assert divergence(found, best) < 0.02
    assert objective_of(found, reference, beta) > start + 0.97 * (value - start)


def test_dpo_reaches_the_same_optimum_from_pairs(reference, tmp_path):
    model, beta = WORLD.policy(), 0.5
    best, _ = optimum(reference, WORLD.rewards, beta)
    chosen = pairs(WORLD, reference, 4000, seed=0)
    train_dpo(WORLD, model, tmp_path, chosen, beta=beta)
    found = WORLD.log_probabilities(model)
    assert divergence(found, best) < 0.03


# --- sources of rewards ---------------------------------------------------------------------------


def answer(text, prompt="Say it."):
    return Answer(id="a", prompt=prompt, text=text, ids=(1, 2), start=1, metadata={})


def test_simple_rewards():
    assert SimpleReward("json")(None, [answer('{"a": 1}'), answer("{a")]) == [1.0, 0.0]
    assert SimpleReward("brevity")(None, [answer("x" * 50)]) == [-0.5]
    assert SimpleReward("variety")(None, [answer("a b a b"), answer("")]) == [0.5, 0.0]
    with pytest.raises(UsageError, match="no such reward.*did you mean 'brevity'"):
        SimpleReward("brevty")


def test_a_reward_that_is_no_number_is_refused_with_its_row():
    with pytest.raises(DataError, match=r"row a: the reward is not a finite number.*nan"):
        checked(SimpleReward("json"), [answer("x")], [math.nan])
    with pytest.raises(DataError, match="not one reward for each answer"):
        checked(SimpleReward("json"), [answer("x")], [1.0, 2.0])


class Judge:
    """Says nothing useful the first time."""

    name = "judge"

    def __init__(self, *replies):
        self.replies, self.asked = list(replies), []

    def generate(self, prompts, sampling):
        self.asked.append(len(prompts))
        text = self.replies.pop(0)
        return [[Generated(text, (1,), None, "stop")] for _ in prompts]


def test_a_judge_is_asked_again_and_then_refused():
    judge = Judge("Well.", "I give it 7.")
    assert JudgeReward(judge)(None, [answer("x"), answer("y")]) == [0.7, 0.7]
    assert judge.asked == [2, 2]
    with pytest.raises(DataError, match="the judge gives no marks.*Found: eleven"):
        JudgeReward(Judge("a", "b", "eleven"))(None, [answer("x")])
    assert math.isnan(read_marks("11 points"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"beta": -0.1}, "beta is out of range"),
        ({"clip": 1.0}, "clip is out of range"),
        ({"target": 0.0}, "target is out of range"),
        ({"divergence": "k4"}, "unknown estimator"),
        ({"passes": 0}, "passes is out of range"),
        ({"lam": 1.5}, "lam is out of range"),
    ],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(UsageError, match=words):
        PpoSettings(**settings)
