"""Intervals of a probit's weights by resampled clusters: the same as fits one by one, and fair."""

from __future__ import annotations

import math

import numpy as np
import pytest

from togi.errors import UsageError
from togi.stats.probit import fit, probit, rows_of
from togi.stats.probit_bootstrap import bootstrap_counts, bootstrap_weights, probit_bootstrap
from togi.stats.special import normal_quantile


def drawn(games: int, trials: int, weights: list[float], seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    n = games * trials
    x = np.column_stack([np.ones(n), rng.standard_normal((n, len(weights) - 1))])
    return x, rng.standard_normal(n) < x @ np.array(weights), np.arange(n) // trials


def test_each_resample_is_fitted_as_if_alone():
    x, y, games = drawn(12, 8, [0.1, 0.5], 0)
    rows = rows_of(x, y, games)
    counts = bootstrap_counts(12, 100, seed=3)[:5]
    found = bootstrap_weights(rows, counts, fit(rows).weights)
    assert (counts.sum(axis=1) == 12).all()
    for one, count in zip(found, counts.astype(int), strict=True):
        picked = np.concatenate(
            [np.flatnonzero(games == game) for game in np.repeat(np.arange(12), count)]
        )
        assert one == pytest.approx(probit(x[picked], y[picked]).weights, abs=1e-6)


def test_a_resample_without_a_maximum_is_nan():
    y = np.array([True, True, False])
    rows = rows_of(np.ones((3, 1)), y, np.arange(3))
    counts = np.array([[1.0, 1.0, 1.0], [3.0, 0.0, 0.0]])
    whole, lost = bootstrap_weights(rows, counts, fit(rows).weights)[:, 0]
    assert whole == pytest.approx(normal_quantile(2 / 3), abs=1e-8)
    assert math.isnan(lost)


def test_pieces_in_memory_change_nothing(monkeypatch):
    x, y, games = drawn(10, 5, [0.0, 0.6], 1)
    whole = probit_bootstrap(x, y, clusters=games, draws=100)
    monkeypatch.setattr("togi.stats.probit_bootstrap.CELLS", 150)
    pieces = probit_bootstrap(x, y, clusters=games, draws=100)
    for one, two in zip(whole, pieces, strict=True):
        assert (one.low, one.high) == pytest.approx((two.low, two.high), abs=1e-9)


def test_it_agrees_with_the_robust_interval_on_many_games():
    x, y, games = drawn(400, 6, [0.2, 0.7], 2)
    ours = probit_bootstrap(x, y, clusters=games, draws=1000)
    theory = probit(x, y, clusters=games).estimates()
    for one, two in zip(ours, theory, strict=True):
        assert one.mean == pytest.approx(two.mean)
        assert one.high - one.low == pytest.approx(two.high - two.low, rel=0.12)


def test_intervals_cover_the_known_weight():
    inside = 0
    for seed in range(60):
        x, y, games = drawn(30, 6, [0.0, 0.5], seed)
        found = probit_bootstrap(x, y, clusters=games, draws=200, seed=seed)[1]
        inside += found.low <= 0.5 <= found.high
    assert inside >= 51  # 95 % of 60 less 3.5 standard errors


def test_no_weights_no_interval():
    (found,) = probit_bootstrap(np.ones((6, 1)), np.ones(6, dtype=bool), draws=100)
    assert math.isnan(found.mean)
    assert math.isnan(found.low)


def test_draws_must_be_enough_to_have_ends():
    with pytest.raises(UsageError, match="draws must be at least 100"):
        probit_bootstrap(np.ones((4, 1)), np.array([True, False, True, False]), draws=0)
