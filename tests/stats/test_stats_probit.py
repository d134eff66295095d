"""The probit: numbers by hand, derivatives, symmetries, known weights, and where it has none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from togi.errors import DataError
from togi.stats.probit import fit, maximise, parts, probit, rows_of
from togi.stats.special import log_normal_cdf, normal_cdf, normal_quantile


def density(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def drawn(n: int, weights: list[float], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose outcomes are drawn from a probit of known weights."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.standard_normal((n, len(weights) - 1))])
    return x, rng.standard_normal(n) < x @ np.array(weights)


# --- by hand --------------------------------------------------------------------------------------


def test_a_constant_alone_is_the_quantile_of_the_share():
    found = probit(np.ones((8, 1)), np.array([1, 1, 1, 1, 1, 1, 0, 0], dtype=bool))
    z = normal_quantile(0.75)
    assert found.weights[0] == pytest.approx(z, abs=1e-9)
    # information of one row at the maximum: φ(z)² / (p (1 − p))
    variance = 0.75 * 0.25 / (8 * density(z) ** 2)
    assert found.errors()[0] == pytest.approx(math.sqrt(variance), rel=1e-8)
    assert found.loglik == pytest.approx(6 * math.log(0.75) + 2 * math.log(0.25), abs=1e-9)
    assert (found.n, found.units, found.reason) == (8, 8, "")


def test_two_groups_are_the_quantiles_of_their_shares():
    group = np.repeat([0.0, 1.0], [10, 20])
    y = np.r_[np.arange(10) < 3, np.arange(20) < 16]
    found = probit(np.column_stack([np.ones(30), group]), y)
    low, high = normal_quantile(0.3), normal_quantile(0.8)
    assert found.weights == pytest.approx([low, high - low], abs=1e-8)
    first, second = 0.21 / (10 * density(low) ** 2), 0.16 / (20 * density(high) ** 2)
    assert found.errors() == pytest.approx(np.sqrt([first, first + second]), rel=1e-7)


def test_robust_covariance_of_a_constant_by_hand():
    """Three clusters of two rows: (1,1), (1,0), (0,0); the maximum is at 0."""
    y = np.array([1, 1, 1, 0, 0, 0], dtype=bool)
    found = probit(np.ones((6, 1)), y, clusters=[0, 0, 1, 1, 2, 2])
    step = 2 * density(0.0)  # a row's score is ± this, a cluster's ± twice it, or 0
    bread = 1 / (6 * 2 / math.pi)
    meat = 2 * (2 * step) ** 2
    expected = 3 / 2 * 5 / 5 * bread**2 * meat
    assert found.weights[0] == pytest.approx(0, abs=1e-12)
    assert found.robust[0, 0] == pytest.approx(expected, rel=1e-9)
    (estimate,) = found.estimates()
    half = 4.302652729911275 * math.sqrt(expected)  # Student's t with 2 degrees of freedom
    assert (estimate.low, estimate.high, estimate.n) == pytest.approx((-half, half, 3))


# --- parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [-30.0, -3.0, -0.1, 0.0, 0.7, 5.0, 30.0])
@pytest.mark.parametrize("outcome", [True, False])
def test_parts_are_the_derivatives_of_the_log_likelihood(eta, outcome):
    y, h = np.array([outcome]), 1e-5
    value, slope, bend = (one[0] for one in parts(np.array([eta]), y))
    after, before = (parts(np.array([eta + d]), y)[0][0] for d in (h, -h))
    assert value == pytest.approx(float(log_normal_cdf(eta if outcome else -eta)))
    assert slope == pytest.approx((after - before) / (2 * h), rel=1e-5, abs=1e-9)
    steep = [parts(np.array([eta + d]), y)[1][0] for d in (h, -h)]
    assert bend == pytest.approx((steep[1] - steep[0]) / (2 * h), rel=1e-3, abs=1e-9)


def test_parts_stay_finite_far_out():
    for outcome in (True, False):
        found = parts(np.array([-200.0, 200.0]), np.array([outcome, outcome]))
        assert all(np.isfinite(one).all() for one in found)


def test_the_score_is_zero_at_the_maximum_and_nothing_near_is_better():
    x, y = drawn(300, [0.3, -0.8, 0.5])
    found = probit(x, y)
    _, slope, _ = parts(x @ found.weights, y)
    assert x.T @ slope == pytest.approx(np.zeros(3), abs=1e-6)
    for way in np.eye(3):
        for size in (0.01, -0.01):
            assert parts(x @ (found.weights + size * way), y)[0].sum() < found.loglik


# --- properties -----------------------------------------------------------------------------------


def test_the_order_of_rows_changes_no_bit():
    x, y = drawn(200, [0.1, 0.6, -0.2])
    games = np.arange(200) // 10
    one = probit(x, y, clusters=games)
    order = np.random.default_rng(1).permutation(200)
    two = probit(x[order], y[order], clusters=games[order])
    assert (one.weights == two.weights).all()
    assert (one.robust == two.robust).all()
    assert one.loglik == two.loglik


def test_units_of_a_column_and_the_side_of_the_outcome():
    x, y = drawn(400, [0.2, 0.9, -0.4])
    one = probit(x, y)
    scale = np.array([1.0, 100.0, 1e-3])
    two = probit(x * scale, y)
    assert two.weights * scale == pytest.approx(one.weights, rel=1e-6)
    assert two.loglik == pytest.approx(one.loglik, abs=1e-9)
    turned = probit(x, ~y)
    assert turned.weights == pytest.approx(-one.weights, rel=1e-8)
    assert turned.covariance == pytest.approx(one.covariance, rel=1e-6)


def test_rows_told_twice_do_not_look_surer_when_clustered():
    x, y = drawn(150, [0.0, 0.7])
    labels = np.arange(150)
    once = probit(x, y, clusters=labels)
    twice = probit(np.vstack([x, x]), np.r_[y, y], clusters=np.r_[labels, labels])
    assert twice.errors() == pytest.approx(once.errors() / math.sqrt(2), rel=1e-6)
    correction = (299 / 298) / (149 / 148)
    assert twice.robust == pytest.approx(correction * once.robust, rel=1e-6)


def test_counts_are_repeated_rows():
    x, y = drawn(60, [0.2, 0.5])
    counts = np.random.default_rng(0).integers(0, 4, size=(60, 3))
    rows = rows_of(x, y, np.arange(60))
    times = counts[rows.codes].astype(float)
    weights, known = maximise(rows, times, np.zeros((2, 3)))
    assert known.all()
    for k in range(3):
        one = probit(np.repeat(x, counts[:, k], axis=0), np.repeat(y, counts[:, k]))
        assert weights[:, k] == pytest.approx(one.weights, abs=1e-7)


def test_it_finds_the_weights_that_drew_the_outcomes():
    known = [0.2, -0.5, 1.0]
    x, y = drawn(20_000, known)
    found = probit(x, y)
    assert np.abs((found.weights - known) / found.errors()).max() < 3
    assert np.sqrt(np.diagonal(found.robust)) == pytest.approx(found.errors(), rel=0.05)


def test_intervals_cover_the_known_weight():
    inside = 0
    for seed in range(200):
        x, y = drawn(120, [0.3, 0.6], seed)
        low, high = (probit(x, y).estimates()[1].low, probit(x, y).estimates()[1].high)
        inside += low <= 0.6 <= high
    assert 180 <= inside <= 198  # 95 % of 200, with 3 standard errors


def test_log_normal_cdf_agrees_with_the_plain_one():
    for z in (-5.0, -1.0, 0.0, 2.0):
        assert math.exp(float(log_normal_cdf(z))) == pytest.approx(normal_cdf(z), rel=1e-12)


# --- where there is no answer ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        (np.ones((5, 1)), [1, 1, 1, 1, 1], "all choices are the same"),
        ([[1, -2], [1, -1], [1, 1], [1, 2]], [0, 0, 1, 1], "the choices are separated"),
        ([[1, -2], [1, 0], [1, 0], [1, 2]], [0, 0, 1, 1], "the choices are separated"),
        ([[1, 2], [2, 4], [3, 6], [4, 8]], [0, 1, 0, 1], "its columns say the same or nothing"),
        ([[1, 0], [1, 0], [1, 0], [1, 0]], [0, 1, 0, 1], "its columns say the same or nothing"),
        (np.ones((0, 2)), [], "there are no choices"),
    ],
)
def test_without_a_finite_maximum_the_reason_is_told(x, y, reason):
    found = probit(np.asarray(x, dtype=float), np.asarray(y, dtype=bool))
    assert found.reason.startswith(reason)
    assert np.isnan(found.weights).all()
    assert np.isnan(found.robust).all()
    assert all(math.isnan(one.mean) for one in found.estimates())


def test_one_cluster_has_no_interval():
    x, y = drawn(30, [0.1, 0.4])
    found = probit(x, y, clusters=[0] * 30)
    assert np.isfinite(found.weights).all()
    assert all(math.isnan(one.low) for one in found.estimates())


def test_rows_that_are_no_table_are_refused():
    with pytest.raises(DataError, match="columns and outcomes"):
        probit(np.ones((3, 1)), np.array([True, False]))
    with pytest.raises(DataError, match="clusters and outcomes"):
        probit(np.ones((2, 1)), np.array([True, False]), clusters=[1])
    for bad in (np.array([[1.0], [np.nan]]), np.array([[1.0], [np.inf]]), np.ones(2)):
        with pytest.raises(DataError, match="a table of finite numbers"):
            probit(bad, np.array([True, False]))


def test_clusters_may_be_words():
    x, y = drawn(40, [0.1, 0.4])
    words = [f"game {k // 4}" for k in range(40)]
    one = probit(x, y, clusters=words)
    two = fit(rows_of(x, y, np.arange(40) // 4))
    assert one.robust == pytest.approx(two.robust, rel=1e-9)
    assert one.units == two.units == 10
