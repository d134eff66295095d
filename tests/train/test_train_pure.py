"""Schedules, packing, order and digests: numbers by hand and properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from train_toys import Point, Squares, network

from togi.errors import UsageError
from togi.train import TrainConfig
from togi.train.digest import Identity, model_digest, objective_words, row_digest
from togi.train.packing import pack, step_rows
from togi.train.schedule import learning_rate


def rates(schedule, steps, warmup):
    return [
        learning_rate(s, lr=0.4, steps=steps, warmup=warmup, schedule=schedule)
        for s in range(steps)
    ]


def test_constant_with_warmup_by_hand():
    assert rates("constant", 5, 2) == pytest.approx([0.2, 0.4, 0.4, 0.4, 0.4])


def test_linear_by_hand():
    assert rates("linear", 4, 0) == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_cosine_by_hand():
    # progress 0, 1/3, 2/3: (1 + cos) / 2 = 1, 0.75, 0.25
    assert rates("cosine", 4, 1) == pytest.approx([0.4, 0.4, 0.3, 0.1])


def test_a_share_of_warmup_is_rounded_up():
    assert rates("constant", 5, 0.3) == pytest.approx([0.2, 0.4, 0.4, 0.4, 0.4])


def test_linear_equals_transformers_after_warmup():
    transformers = pytest.importorskip("transformers")
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.4)
    theirs = transformers.get_linear_schedule_with_warmup(optimizer, 0, 10)
    for ours in rates("linear", 10, 0):
        assert ours == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


@given(
    st.sampled_from(["constant", "linear", "cosine"]),
    st.integers(1, 60),
    st.floats(0, 0.99) | st.integers(0, 80),
)
def test_no_rate_is_zero_or_above_the_highest(schedule, steps, warmup):
    found = rates(schedule, steps, warmup)
    assert all(0 < rate <= 0.4 + 1e-12 for rate in found)
    assert max(found) == pytest.approx(0.4) or steps == 1


@given(st.lists(st.integers(1, 120), max_size=40), st.integers(1, 100))
def test_packing_takes_each_item_once_and_keeps_the_budget(costs, budget):
    bins = pack(costs, budget)
    assert sorted(i for members in bins for i in members) == list(range(len(costs)))
    for members in bins:
        assert len(members) == 1 or sum(costs[i] for i in members) <= budget


@given(st.lists(st.integers(1, 100), min_size=1, max_size=40))
def test_packing_is_within_the_bound_of_first_fit_decreasing(costs):
    fewest = math.ceil(sum(costs) / 100)
    # no two half-empty bins can exist, so never more than twice the volume's bins plus one
    assert len(pack(costs, 100)) <= 2 * fewest + 1


def test_packing_is_tight_by_hand():
    assert pack([4, 8, 1, 4, 2, 1], 10) == [[1, 4], [0, 2, 3, 5]]


@given(st.integers(1, 30), st.integers(1, 12), st.integers(1, 4), st.integers(0, 3))
def test_each_epoch_takes_each_row_once(rows, batch, epochs, seed):
    total = rows * epochs
    steps = math.ceil(total / batch)
    taken = [
        row
        for step in range(steps)
        for row in step_rows(step, batch=batch, rows=rows, total=total, seed=seed)
    ]
    for epoch in range(epochs):
        assert sorted(taken[epoch * rows : (epoch + 1) * rows]) == list(range(rows))


def test_epochs_come_in_different_orders():
    first, second = (step_rows(s, batch=50, rows=50, total=100, seed=0) for s in (0, 1))
    assert first != second
    assert first != step_rows(0, batch=50, rows=50, total=100, seed=1)


def test_total_steps_by_hand():
    assert TrainConfig(epochs=1.5, batch=8).total_steps(21) == 4  # 32 items (31.5 rounds to even)
    assert TrainConfig(batch=8).total_steps(17) == 3
    assert TrainConfig(epochs=0.001, batch=8).total_steps(5) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 5, "epochs": 1}, {"steps": 0}, {"epochs": 0}, {"batch": 0}, {"lr": 0},
        {"lr": math.nan}, {"schedule": "cosin"}, {"warmup": -1}, {"warmup": 2.5},
        {"betas": (0.9, 1.0)}, {"keep": 0}, {"best": "bits"}, {"log_every": 0}, {"clip": -1},
    ],
)  # fmt: skip
def test_wrong_settings_name_themselves(wrong):
    with pytest.raises(UsageError) as caught:
        TrainConfig(**wrong)
    assert caught.value.where.startswith("train.")
    assert caught.value.expected


def test_a_near_name_is_offered_for_a_schedule():
    with pytest.raises(UsageError, match="did you mean 'cosine'"):
        TrainConfig(schedule="cosin")


def test_row_digest_reads_content():
    one = Point("a", (1.0, 2.0), (3.0,))
    assert row_digest(one) == row_digest(Point("a", (1.0, 2.0), (3.0,)))
    assert row_digest(one) != row_digest(Point("a", (1.0, 2.0), (3.5,)))
    assert row_digest((1, 2)) != row_digest((12,))
    assert row_digest((1, 2**70)) != row_digest((1, 2**71))
    assert row_digest([1]) != row_digest([True])
    assert row_digest(np.arange(3)) != row_digest(np.arange(4))
    assert row_digest(torch.ones(2)) != row_digest(torch.zeros(2))
    with pytest.raises(TypeError, match="no digest"):
        row_digest(object())


def test_model_digest_sees_weights_and_not_the_dtype():
    model = network()
    digest = model_digest(model)
    assert digest == model_digest(network())
    assert digest != model_digest(network(seed=2))
    narrow = network().to(torch.bfloat16)
    assert digest == model_digest(narrow) == model_digest(narrow.to(torch.float32))


def test_identity_says_what_changed():
    model, items = network(), [Point("a", (0.0,), (1.0,))]
    before = Identity.of(model, Squares(), items, {"lr": 0.1})
    assert Identity.of(network(), Squares(), items, {"lr": 0.1}).changes(before) == []
    more = Identity.of(model, Squares(scale=2.0), items * 2, {"lr": 0.2}).changes(before)
    assert more == [
        "lr was 0.1 and is 0.2",
        "the objective was squares scale=1.0 and is squares scale=2.0",
        "there were 1 rows and are 2",
    ]
    [model_changed] = Identity.of(network(torch.float64), Squares(), items, {"lr": 0.1}).changes(
        before
    )
    assert "float32" in model_changed
    assert "float64" in model_changed


def test_private_and_large_attributes_do_not_name_an_objective():
    assert objective_words(Squares(pause=3.0)) == "squares scale=1.0"
