"""DoReMi: the update by hand, games with known solutions, absent domains, resumed as straight."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from doremi_toys import Unigram, capacity, exact_items
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_toys import quiet

from togi.data.domains import by_key, domains_of
from togi.data.doremi import DomainItem, DoReMi, mean_by_domain, reweighted
from togi.data.doremi_search import Search, search
from togi.data.mixture import Mixture
from togi.data.mixture_trial import trial
from togi.data.proxy import BYTES, Shape, by_bytes, new_proxy, pieces
from togi.data.reference_losses import token_losses, with_losses
from togi.errors import DataError, UsageError
from togi.lm.forward import Request
from togi.rows.types import Document
from togi.train.config import TrainConfig
from togi.train.loop import train

SHAPE = Shape(width=16, layers=1, heads=2, context=12)
MANY = 10**6


def play(distributions, *, steps=800, eta=0.3, known=True, **settings):
    """Let DoReMi play on exact items; returns the mean weights and the model's probabilities."""
    k, model = len(distributions), Unigram(len(distributions[0]))
    objective = DoReMi(
        [f"d{i}" for i in range(k)], eta=eta, clip="domain", micro_tokens=MANY, **settings
    )
    config = TrainConfig(
        steps=steps, batch=k, micro_tokens=MANY, lr=0.05, schedule="constant", clip=0,
        save_every=0, log_every=steps,
    )  # fmt: skip
    items = exact_items(distributions, known=known)
    for step in range(steps):
        every(model, objective, items, config, step)
    return objective.average, model.probabilities


def every(model, objective, items, config, step):
    """One step by the loop's own updater, without its files."""
    from togi.train.objective import updates_of
    from togi.train.update import GradientUpdater

    if not hasattr(model, "updater"):
        object.__setattr__(model, "updater", GradientUpdater(model, config, None))
    for batch in updates_of(objective, model, items, step):
        model.updater.update(objective, batch, lr=config.lr)


def texts(seed=0, n=12):
    draw = np.random.default_rng(seed)
    alphabets = {"digits": "0123456789", "vowels": "aeiou ", "one": "zz "}
    return {
        name: [Document(id=str(i), text="".join(draw.choice(list(letters), 30))) for i in range(n)]
        for name, letters in alphabets.items()
    }


def small(rows=None, **settings):
    return domains_of(
        texts() if rows is None else rows, lambda row: row.text, by_bytes, first=BYTES,
        context=12, held_out=0.2, seed=0, **settings,
    )  # fmt: skip


def config(**settings):
    plain = {"steps": 8, "batch": 6, "micro_tokens": 4096, "lr": 0.01, "seed": 3, "save_every": 2}
    return TrainConfig(**{**plain, **settings})


# --- the update -----------------------------------------------------------------------------------


def test_the_update_by_hand():
    # 1/2 * 2, 3/10 * 1, 1/5 * 3 = 1, 0.3, 0.6; over 1.9; then 0.9 of it and 0.1 / 3
    found = reweighted(
        np.array([0.5, 0.3, 0.2]), np.array([math.log(2), 0.0, math.log(3)]), eta=1.0,
        smoothing=0.1,
    )  # fmt: skip
    wanted = [0.9 * 10 / 19 + 1 / 30, 0.9 * 3 / 19 + 1 / 30, 0.9 * 6 / 19 + 1 / 30]
    assert found == pytest.approx(wanted, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.floats(0, 50)), min_size=2, max_size=8),
    st.floats(0.01, 5),
    st.floats(0, 0.5),
    st.randoms(use_true_random=False),
)
def test_weights_sum_to_one_keep_their_floor_and_follow_a_new_order(pairs, eta, smoothing, draw):
    alpha, excess = np.array(pairs).T
    alpha = alpha / alpha.sum()
    found = reweighted(alpha, excess, eta=eta, smoothing=smoothing)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert found.min() >= smoothing / len(found) - 1e-15
    order = list(range(len(found)))
    draw.shuffle(order)
    turned = reweighted(alpha[order], excess[order], eta=eta, smoothing=smoothing)
    assert turned == pytest.approx(found[order], abs=1e-12)


def test_the_weights_have_the_regret_of_exponentiated_gradients():
    draw, k, rounds = np.random.default_rng(0), 5, 400
    eta = math.sqrt(8 * math.log(k) / rounds)
    alpha, total, gained = np.full(k, 1 / k), np.zeros(k), 0.0
    for _ in range(rounds):
        excess = draw.random(k) * np.linspace(0.5, 1, k)
        gained, total = gained + alpha @ excess, total + excess
        alpha = reweighted(alpha, excess, eta=eta, smoothing=0.0)
    assert total.max() - gained <= math.log(k) / eta + eta * rounds / 8


def test_an_absent_domain_keeps_its_share_and_the_others_move_among_themselves():
    found = reweighted(
        np.array([0.2, 0.4, 0.4]), np.array([np.nan, math.log(3), 0.0]), eta=1.0, smoothing=0.0
    )
    assert found == pytest.approx([0.2, 0.6, 0.2], abs=1e-12)
    none = reweighted(np.array([0.3, 0.7]), np.array([np.nan, np.nan]), eta=1.0, smoothing=0.0)
    assert none == pytest.approx([0.3, 0.7])


def official(alpha, last, gap, domain, *, eta, smoothing):
    """The authors' order, domain by domain: clipped means, last scores for absent ones, logs."""
    scores = last.copy()
    for number in range(len(alpha)):
        mask = domain == number
        if mask.any():
            scores[number] = np.maximum(gap[mask], 0).mean()
    logs = np.log(alpha) + eta * scores
    logs -= np.log(np.exp(logs - logs.max()).sum()) + logs.max()
    return (1 - smoothing) * np.exp(logs) + smoothing / len(alpha), scores


def test_with_all_domains_present_it_is_the_authors_formula():
    draw, k = np.random.default_rng(1), 4
    mine = theirs = np.full(k, 1 / k)
    last = np.full(k, math.log(50_000))
    for _ in range(30):
        domain = np.concatenate([np.arange(k), draw.integers(0, k, 40)])
        gap = draw.normal(0.2, 1, len(domain))
        theirs, last = official(theirs, last, gap, domain, eta=1.0, smoothing=1e-3)
        excess, _ = mean_by_domain(torch.tensor(gap).clamp(min=0), torch.tensor(domain), k)
        mine = reweighted(mine, excess, eta=1.0, smoothing=1e-3)
    assert mine == pytest.approx(theirs, abs=1e-12)


def test_a_domain_absent_from_the_first_batch_does_not_take_all_the_weight():
    domain, gap, k = np.array([0, 0, 1, 1]), np.array([0.1, 0.3, 0.2, 0.4]), 3
    start, last = np.full(k, 1 / k), np.full(k, math.log(50_000))
    theirs, _ = official(start, last, gap, domain, eta=1.0, smoothing=1e-3)
    excess, _ = mean_by_domain(torch.tensor(gap), torch.tensor(domain), k)
    mine = reweighted(start, excess, eta=1.0, smoothing=1e-3)
    assert theirs[2] > 0.99
    assert mine[2] == pytest.approx(1 / 3, abs=1e-6)


# --- the objective --------------------------------------------------------------------------------


def item(domain, tokens, reference):
    request = Request((0, *tokens), 1)
    return DomainItem("i", request, domain, 1, np.array(reference, dtype=np.float32))


def test_the_step_s_loss_is_the_weighted_sum_of_domain_means_or_the_codes_weighted_tokens():
    # A uniform model over 4 tokens: each loss is ln 4. Domain 0 has 3 tokens, domain 1 has 1.
    items = [item(0, (1, 2, 3), [0.0, 0.0, 0.0]), item(1, (2,), [math.log(2)])]
    nats, scale = math.log(4), len(items)
    grown = np.array([4.0, 2.0])  # exp of the excesses ln 4 and ln 2
    alpha = grown / grown.sum()
    for kind in ("domains", "tokens"):
        model, objective = Unigram(4), DoReMi(["a", "b"], smoothing=0.0, loss=kind)
        (batch,) = objective.updates(model, items, 0)
        loss, measures = objective.loss(model, batch)
        assert objective.alpha == pytest.approx(alpha, abs=1e-6)
        assert float(loss.detach()) / scale == pytest.approx(
            nats, abs=1e-6
        )  # all tokens lose the same
        assert measures["nats_a_token"] == pytest.approx((4 * nats, 4.0))
        loss.backward()
        # d mean / d logit = p - counts; token 2 stands once in three, and once in one
        shares = alpha / [3, 1] if kind == "domains" else alpha / (alpha @ [3, 1])
        pull = shares[0] + shares[1]
        wanted = 0.25 * (shares @ [3, 1]) - pull
        assert float(model.logits.grad[2]) / scale == pytest.approx(wanted, abs=1e-6)


def test_excess_is_cut_token_by_token_or_in_the_mean():
    items = [item(0, (1, 2), [0.0, 10.0]), item(1, (3,), [math.log(4)])]
    told = {}
    for clip in ("token", "domain"):
        objective = DoReMi(["a", "b"], clip=clip)
        list(objective.updates(Unigram(4), items, 0))
        objective.loss(Unigram(4), items)
        told[clip] = objective.told
    assert told["token"]["excess/a"] == pytest.approx(math.log(4) / 2, abs=1e-6)
    assert told["domain"]["excess/a"] == 0
    assert told["domain"]["excess_unclipped/a"] == pytest.approx(math.log(4) - 5, abs=1e-6)
    assert told["token"]["excess/b"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "game",
    [
        pytest.param([(0.9, 0.1), (0.3, 0.7), (0.6, 0.4)], id="two of three, unevenly"),
        pytest.param([(0.9, 0.05, 0.05), (0.05, 0.9, 0.05), (0.4, 0.4, 0.2)], id="symmetric"),
    ],
)
def test_the_mean_weights_solve_the_game_whose_answer_is_a_channel_s_capacity(game):
    alpha, _ = capacity(game)
    found, model = play(game)
    assert found == pytest.approx(alpha, abs=0.04)
    assert model @ np.ones(len(model)) == pytest.approx(1)


def test_without_a_reference_noise_takes_the_weight_and_with_one_it_gets_none():
    game = [(0.9, 0.05, 0.05), (0.05, 0.9, 0.05), (0.4, 0.4, 0.2)]  # the last is the least sure
    assert play(game, known=False)[0][2] > 0.9
    assert play(game)[0][2] < 0.05
    assert capacity(game)[0][2] < 1e-6


def test_a_relabelling_of_the_domains_relabels_the_weights():
    game = [(0.9, 0.1), (0.3, 0.7), (0.6, 0.4)]
    order = [2, 0, 1]
    straight, _ = play(game, steps=60)
    turned, _ = play([game[i] for i in order], steps=60)
    assert turned == pytest.approx(straight[order], abs=1e-9)


def test_one_pass_or_parts_move_the_weights_and_the_model_alike():
    domains, model = small(), new_proxy(SHAPE, seed=1)
    known = with_losses(model, domains.train, folder=_nowhere())
    found = []
    for budget in (4096, 30):
        proxy = new_proxy(SHAPE, seed=2)
        objective = DoReMi(domains.names, micro_tokens=budget)
        for step in range(3):
            every(proxy, objective, known[8 * step : 8 * step + 8],
                  config(micro_tokens=budget), step)  # fmt: skip
        found.append((objective.alpha, proxy.model.embed_tokens.weight.detach().clone()))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-6)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-4)


def _nowhere():
    import tempfile
    from pathlib import Path

    return Path(tempfile.mkdtemp())


# --- resuming -------------------------------------------------------------------------------------


class Stops(DoReMi):
    """Fails in the middle of a step, as a machine does."""

    def __init__(self, *args, at=None, **settings):
        super().__init__(*args, **settings)
        self._at = at

    def loss(self, model, items):
        if self._at is not None and self.state["steps"] == self._at:
            raise OSError("the machine went down")
        return super().loss(model, items)


def test_resumed_is_straight_to_the_last_bit(tmp_path):
    domains = small()
    items = with_losses(new_proxy(SHAPE, seed=1), domains.train, tmp_path)
    sampler = Mixture(domains.domain_of, [1, 1, 1], batch=6, seed=3)

    def sit(folder, at):
        proxy, objective = new_proxy(SHAPE, seed=2), Stops(domains.names, at=at, micro_tokens=4096)
        train(proxy, objective, items, config(), folder, sampler=sampler, say=quiet)
        return objective, torch.cat([w.detach().ravel() for w in proxy.parameters()])

    straight, weights = sit(tmp_path / "a", None)
    with pytest.raises(OSError, match="went down"):
        sit(tmp_path / "b", 5)
    resumed, again = sit(tmp_path / "b", None)
    assert resumed.state == straight.state
    assert resumed.state["steps"] == 8
    assert torch.equal(weights, again)
    lines = [(tmp_path / side / "metrics.jsonl").read_text().splitlines() for side in "ab"]
    alphas = [[json.loads(line)["alpha/one"] for line in side] for side in lines]
    assert alphas[0] == alphas[1]


def test_another_mixture_is_another_run(tmp_path):
    domains = small()
    items = with_losses(new_proxy(SHAPE, seed=1), domains.train, tmp_path)

    def sit(weights):
        proxy, objective = new_proxy(SHAPE, seed=2), DoReMi(domains.names, micro_tokens=4096)
        sampler = Mixture(domains.domain_of, weights, batch=6, seed=3)
        train(proxy, objective, items, config(), tmp_path / "x", sampler=sampler, say=quiet)

    sit([1, 1, 1])
    with pytest.raises(UsageError, match="mixture was"):
        sit([1, 2, 1])


def test_reference_losses_are_read_back_and_damaged_ones_made_again(tmp_path):
    domains, model = small(), new_proxy(SHAPE, seed=1)
    straight = token_losses(model, domains.train)
    with_losses(model, domains.train, tmp_path)
    (file,) = tmp_path.glob("losses-*.safetensors")
    for damage in (None, b"torn"):
        if damage is not None:
            file.write_bytes(damage)
        items = with_losses(model, domains.train, tmp_path)
        assert np.array_equal(np.concatenate([i.reference for i in items]), straight)
    with_losses(new_proxy(SHAPE, seed=9), domains.train, tmp_path)
    assert len(list(tmp_path.glob("losses-*.safetensors"))) == 2


def test_a_search_and_its_trial_are_the_same_when_run_again(tmp_path):
    domains = small()
    asked = Search(shape=SHAPE, training=lambda seed: config(seed=seed, steps=4), rounds=2, seeds=2)

    def whole():
        rounds = search(domains, domains.sizes, asked, seed=0, folder=tmp_path, say=quiet)
        tried = trial(
            domains, {"doremi": rounds[-1].average, "uniform": [1, 1, 1]}, SHAPE,
            lambda seed: config(seed=seed, steps=4), seeds=2, seed=1, folder=tmp_path / "t",
            say=quiet,
        )  # fmt: skip
        return rounds, tried

    rounds, tried = whole()
    again, tried_again = whole()
    assert [r.average.tolist() for r in rounds] == [r.average.tolist() for r in again]
    assert rounds[1].reference == pytest.approx(rounds[0].average)
    assert tried.as_dict() == tried_again.as_dict()
    assert rounds[0].weights.shape == (2, 3)
    gain = tried.bits["uniform"].max(axis=1) - tried.bits["doremi"].max(axis=1)
    assert tried.worst_gain("doremi", "uniform").mean == pytest.approx(gain.mean())


# --- domains --------------------------------------------------------------------------------------


def test_a_bit_per_byte_is_the_loss_over_the_bytes():
    domains = small()
    assert sum(item.size for item in domains.train + domains.held_out) == 3 * 12 * 30
    begun = {item.domain for item in domains.held_out}
    assert begun == {0, 1, 2}
    assert domains.names == ("digits", "one", "vowels")
    assert domains.tokens == (10 * 31,) * 3  # 30 letters and the end of each of 10 rows


def test_bytes_of_pieces_with_a_tokenizer_sum_to_the_text_s():
    from saved_toys import tokenizer

    from togi.data.proxy import by_tokenizer

    text = "naïve numbers 12 of the user – ☃"
    encode = by_tokenizer(tokenizer())
    assert sum(size for _, size in pieces([text], encode, first=0, context=5)) == len(text.encode())


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({}, "at least two domains"),
        ({"a": [Document(id="1", text="x")] * 3}, "at least two domains. Found: a"),
        (
            {"a": [Document(id="1", text="x")] * 3, "b": [Document(id="2", text=" ")] * 3},
            r"too few rows.*b \(0\).*one to learn from",
        ),
        (
            {"a": [Document(id="1", text="x")] * 3, "b": [Document(id="2", text="y")]},
            r"too few rows.*b \(1\)",
        ),
    ],
)
def test_what_is_no_set_of_domains_is_refused(rows, words):
    with pytest.raises(DataError) as error:
        small(rows, where="here")
    told = str(error.value)
    assert all(part in told for part in words.replace("\\", "").split(".*")), told


def test_a_row_that_does_not_say_its_domain_is_named():
    rows = [Document(id="r7", text="x", metadata={"meta": {"set": "a"}, "other": 1})]
    assert list(by_key(rows, "meta.set", "here")) == ["a"]
    with pytest.raises(DataError, match="row r7"):
        by_key(rows, "domain", "here")
    with pytest.raises(DataError, match="does not say its domain"):
        by_key(rows, "meta.name", "here")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"eta": 0.0}, "eta is out of range"),
        ({"smoothing": 1.0}, "smoothing is out of range"),
        ({"clip": "tokens"}, "token"),
        ({"loss": "mean"}, "loss is out of range"),
    ],
)
def test_settings_out_of_range_are_refused(setting, words):
    with pytest.raises(UsageError, match=words):
        DoReMi(["a", "b"], **setting)
    with pytest.raises(UsageError, match="domains is out of range"):
        DoReMi(["a"])


def test_missing_references_another_split_and_lost_losses_are_said():
    lacking = DomainItem("r1", Request((0, 1), 1), 0, 1, np.empty(0, dtype=np.float32))
    objective = DoReMi(["a", "b"])
    with pytest.raises(UsageError, match="row r1"):
        objective.loss(Unigram(4), next(iter(objective.updates(Unigram(4), [lacking], 0))))
    items = [item(0, (1,), [0.0]), item(1, (2,), [0.0])]
    objective = DoReMi(["a", "b"])
    list(objective.updates(Unigram(4), items, 0))
    with pytest.raises(UsageError, match="split a step differently"):
        objective.loss(Unigram(4), items[:1])
    model = Unigram(4)
    model.logits.data[1] = math.nan
    with pytest.raises(DataError, match="not finite"):
        objective.loss(model, items)
    with pytest.raises(DataError, match="never see"):
        search(small(), [1, 0, 1], Search(shape=SHAPE, training=config), seed=0,
               folder=_nowhere(), say=quiet)  # fmt: skip


def test_a_batch_has_the_scores_of_the_token_tree():
    from togi.lm import attention
    from togi.lm.forward import answer_scores

    attention.register()
    model = new_proxy(SHAPE, seed=1)
    requests = [Request((256, 1, 2, 3, 4), 1), Request((7, 8), 1), Request((9, 8, 7, 6), 2)]
    batch = answer_scores(model, requests)
    del model.answer_scores
    model.set_attn_implementation(attention.NAME)
    tree = answer_scores(model, requests)
    assert torch.allclose(batch.tokens.logprobs, tree.tokens.logprobs, atol=1e-5)
    assert torch.equal(batch.owner, tree.owner)
    assert torch.equal(batch.tokens.greedy, tree.tokens.greedy)
    assert torch.allclose(batch.states, tree.states, atol=1e-5)
