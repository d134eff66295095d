"""Simulations and exact sums: intervals cover what they say, tests err as rarely as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from togi.stats import (
    Gate,
    bootstrap_mean,
    bootstrap_ratio,
    decide,
    guard,
    paired_difference,
    paired_ratio_difference,
    stream,
)
from togi.stats.bounds import tango_bounds, wilson_bounds


def covers(estimates, truth: float) -> float:
    return float(np.mean([e.low <= truth <= e.high for e in estimates]))


# ---- bootstrap


def test_bca_covers_on_skewed_data_at_forty():
    data = stream(0, "skewed").exponential(size=(1000, 40))
    assert 0.925 <= covers([bootstrap_mean(row, draws=800) for row in data], 1.0) <= 0.975


@pytest.mark.parametrize(("n", "least"), [(3, 0.93), (6, 0.91), (12, 0.925)])
def test_bca_holds_at_small_n_where_the_plain_percentile_does_not(n, least):
    data = stream(n, "normal").normal(size=(1000, n))
    assert least <= covers([bootstrap_mean(row, draws=800) for row in data], 0.0) <= 0.975
    plain = covers([bootstrap_mean(row, draws=800, method="percentile") for row in data], 0.0)
    assert plain < least


def test_studentised_covers_best_on_skewed_data_at_ten():
    data = stream(1, "skewed").exponential(size=(700, 10))
    found = {
        method: covers([bootstrap_mean(row, draws=800, method=method) for row in data], 1.0)
        for method in ("percentile", "bca", "studentised")
    }
    assert found["studentised"] >= 0.925
    assert found["studentised"] > found["bca"] > found["percentile"]


def test_clusters_must_be_told():
    rng = stream(2, "clusters")
    shared = rng.normal(size=(500, 20, 1))
    data = (shared + rng.normal(size=(500, 20, 6))).reshape(500, 120)
    labels = np.repeat(np.arange(20), 6)
    told = [bootstrap_mean(row, clusters=labels, draws=800) for row in data]
    untold = [bootstrap_mean(row, draws=800) for row in data]
    assert 0.92 <= covers(told, 0.0) <= 0.975
    assert covers(untold, 0.0) < 0.8


def test_bits_per_byte_covers():
    rng = stream(0, "bytes")
    # lengths spread over a factor of twenty: a few long texts carry the sum; about .936 in truth
    size = np.exp(rng.normal(5, 0.8, (1200, 50))).round()
    bits = size * rng.gamma(9, 1.2 / 9, (1200, 50))  # 1.2 bits per byte whatever the length
    found = [bootstrap_ratio(b, s, draws=800) for b, s in zip(bits, size, strict=True)]
    assert 0.92 <= covers(found, 1.2) <= 0.975


# ---- proportions, summed exactly over every outcome


def test_wilson_covers_on_average_at_every_n():
    grid = np.linspace(0.01, 0.99, 99)
    for n in (10, 25, 80):
        low, high = np.array([wilson_bounds(0.05, k=k, n=n) for k in range(n + 1)]).T
        mass = scipy.stats.binom.pmf(np.arange(n + 1)[:, None], n, grid)
        hit = (low[:, None] <= grid) & (grid <= high[:, None])
        cover = (mass * hit).sum(axis=0)
        assert 0.94 <= cover.mean() <= 0.965
        assert cover.min() > 0.83


def test_tango_covers_paired_proportions():
    n = 25
    tables = [(b, c) for b in range(n + 1) for c in range(n + 1 - b)]
    low, high = np.array([tango_bounds(0.05, b=b, c=c, n=n) for b, c in tables]).T
    counts = np.array([(b, c, n - b - c) for b, c in tables])
    cover = []
    for gained in (0.02, 0.1, 0.2, 0.4):
        for lost in (0.02, 0.1, 0.2, 0.4):
            mass = scipy.stats.multinomial.pmf(counts, n, [gained, lost, 1 - gained - lost])
            truth = gained - lost
            cover.append(mass[(low <= truth) & (truth <= high)].sum())
    assert min(cover) > 0.93
    assert 0.945 <= np.mean(cover) <= 0.985


# ---- tests


def errs(p: list[float], alpha: float = 0.05) -> float:
    return float(np.mean(np.array(p) <= alpha))


def test_sign_flip_holds_its_level():
    rng = stream(4, "null")
    swapped = rng.exponential(size=(1000, 30)) - rng.exponential(size=(1000, 30))
    p = [paired_difference(row, np.zeros(30), draws=100).p_value for row in swapped]
    assert 0.03 <= errs(p) <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / 1000)
    # only the means are equal, the differences are skewed: the limit, near it at forty
    skewed = rng.exponential(size=(600, 40)) - 1
    p = [paired_difference(row, np.zeros(40), draws=100).p_value for row in skewed]
    assert errs(p) <= 0.085


def test_ratio_difference_holds_its_level_in_clusters():
    rng = stream(5, "null ratio")
    labels = np.repeat(np.arange(16), 4)
    p, inside = [], 0
    for _ in range(500):
        size = np.exp(rng.normal(5, 0.5, 64)).round()
        shared = np.repeat(rng.normal(0, 0.1, 16), 4)
        gap = size * (shared + rng.normal(0, 0.1, 64))
        found = paired_ratio_difference(gap + size, size, size, clusters=labels, draws=400)
        p.append(found.p_value)
        inside += found.estimate.low <= 0 <= found.estimate.high
    assert 0.02 <= errs(p) <= 0.08
    assert 0.915 <= inside / 500 <= 0.98


def test_mcnemar_holds_its_level_and_is_strict():
    rng = stream(6, "binary")
    base = rng.random((800, 60)) < 0.7
    flip = rng.random((2, 800, 60)) < 0.1
    p = [paired_difference(a ^ x, a ^ y).p_value for a, x, y in zip(base, *flip, strict=True)]
    assert errs(p) <= 0.05


def _decisions(gain: float, loss: float, repeats: int = 250) -> list[str]:
    """Decide on simulated data: a skewed primary and two guards, margin .5 sd each."""
    rng = stream(7, "decide", str(gain), str(loss))
    zero, found = np.zeros(50), []
    for _ in range(repeats):
        gate = Gate(
            name="primary",
            paired=paired_difference(
                gain + rng.exponential(size=50) - 1, zero, draws=400, test="sign"
            ),
            higher_is_better=True,
        )
        guards = [
            guard(
                str(i),
                paired_difference(rng.normal(-loss, 1, 50), zero, draws=400, test="sign"),
                margin=0.5,
                higher_is_better=True,
            )
            for i in range(2)
        ]
        found.append(decide(gate, guards).decision)
    return found


def test_decide_errs_as_rarely_as_it_says():
    nothing_gained = _decisions(gain=0.0, loss=0.0)
    assert nothing_gained.count("accept") <= 0.05 * 250 + 2 * math.sqrt(0.05 * 0.95 * 250)
    lost_the_margin = _decisions(gain=2.0, loss=0.5)
    assert lost_the_margin.count("accept") <= 0.05 * 250
    all_on_the_bar = _decisions(gain=0.0, loss=0.5)
    assert all_on_the_bar.count("accept") == 0
    assert all_on_the_bar.count("reject") <= 0.05 * 250 + 2 * math.sqrt(0.05 * 0.95 * 250)


def test_decide_finds_what_is_there():
    assert _decisions(gain=1.0, loss=0.0, repeats=80).count("accept") >= 0.75 * 80
    assert _decisions(gain=1.0, loss=1.2, repeats=80).count("reject") >= 0.9 * 80
    assert _decisions(gain=-1.0, loss=0.0, repeats=80).count("reject") >= 0.9 * 80
