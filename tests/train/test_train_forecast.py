"""The forecast: its counts by hand, and that it leaves no trace."""

import time

import pytest
import torch
from train_toys import CONFIG, Squares, network, points

from togi.errors import DataError
from togi.train import TrainConfig
from togi.train.forecast import forecast


def test_counts_are_the_runs_own():
    told = forecast(network(), Squares(), points(), CONFIG)
    assert (told.steps, told.tokens) == (30, 30 * 6 * 3)
    assert told.memory_mb > 50  # torch alone holds more


def test_seconds_scale_the_measured_step_by_tokens():
    class Slow(Squares):
        def loss(self, model, items):
            time.sleep(0.02 * sum(item.tokens for item in items))
            return super().loss(model, items)

    config = TrainConfig(epochs=5, batch=4)
    told = forecast(network(), Slow(), points(), config)
    assert told.tokens == 5 * 60
    assert told.seconds == pytest.approx(0.02 * 300, rel=0.5)


def test_nothing_is_changed():
    model, random = network().eval(), torch.get_rng_state()
    before = [weight.detach().clone() for weight in model.parameters()]
    forecast(model, Squares(), points(), CONFIG)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(weight.grad is None for weight in model.parameters())
    assert not model.training
    assert torch.equal(random, torch.get_rng_state())


def test_the_heaviest_rows_are_tried():
    objective = Squares()
    forecast(network(), objective, points(), TrainConfig(steps=1, batch=4))
    assert set(objective.seen[0]) == {"p4", "p9", "p14", "p19"}


def test_no_rows_is_an_error():
    with pytest.raises(DataError, match="no rows to train on"):
        forecast(network(), Squares(), [], CONFIG)
