"""The mathematics of importance resampling, by hand and by law."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from math import exp, log, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, kstest

from togi.data.dsir import effective_sample_size, fit, gumbel_top_k, kl_reduction, weights
from togi.data.importance import FLOOR, gumbel
from togi.errors import DataError, UsageError


def test_fit_and_weights_by_hand() -> None:
    both = fit(np.array([2, 1, 1]), np.array([1, 3, 0]))
    assert both.raw.tolist() == [0.5, 0.25, 0.25]
    assert both.target.tolist() == [0.25, 0.75, 0.0]
    ratio = both.log_ratio
    assert ratio[1] == pytest.approx(log(3), abs=1e-7)
    assert ratio[2] == pytest.approx(log(FLOOR) - log(0.25 + FLOOR))
    assert weights(np.array([[1, 2, 0]]), ratio)[0] == pytest.approx(
        log(0.5) + 2 * log(3), abs=1e-6
    )


def test_smoothing_is_a_pseudo_count() -> None:
    assert fit(np.ones(3), np.array([1, 0, 0]), smoothing=1).target.tolist() == [0.5, 0.25, 0.25]
    with pytest.raises(UsageError):
        fit(np.ones(3), np.ones(3), smoothing=-1)


@pytest.mark.parametrize(
    ("raw", "target", "name"), [([0, 0], [1, 1], "raw pool"), ([1, 1], [0, 0], "target")]
)
def test_a_side_without_words_is_told(raw, target, name) -> None:
    with pytest.raises(DataError, match=name):
        fit(np.array(raw), np.array(target))


def test_effective_sample_size_by_hand() -> None:
    assert effective_sample_size(np.log([3.0, 1.0])) == pytest.approx(16 / 10)
    assert effective_sample_size(np.full(7, -900.0)) == pytest.approx(7)
    assert np.isnan(effective_sample_size(np.empty(0)))


def test_kl_reduction_by_hand() -> None:
    target, raw, picked = np.array([0.5, 0.5]), np.array([0.25, 0.75]), np.array([0.5, 0.5])
    divergence = (0.5 * log2(2) + 0.5 * log2(0.5 / 0.75)) * log(2)
    assert kl_reduction(target, raw, picked) == pytest.approx(divergence, abs=1e-7)
    assert kl_reduction(target, raw, raw) == 0
    assert np.isnan(kl_reduction(target, raw, np.zeros(2)))


def plackett_luce(w: np.ndarray, k: int) -> dict[tuple[int, ...], float]:
    """Probability of each set of k drawn one after the other in proportion to w."""
    law: Counter[tuple[int, ...]] = Counter()
    for order in permutations(range(len(w)), k):
        chance, left = 1.0, w.sum()
        for i in order:
            chance, left = chance * w[i] / left, left - w[i]
        law[tuple(sorted(order))] += chance
    return law


@pytest.mark.parametrize("k", [1, 2, 3])
def test_gumbel_top_k_samples_without_replacement_by_weight(k: int) -> None:
    w = np.array([1.0, 2.0, 4.0, 0.5, 3.0])
    draws = 6000
    seen = Counter(tuple(gumbel_top_k(np.log(w), k, seed=seed).tolist()) for seed in range(draws))
    law = plackett_luce(w, k)
    assert sum(law.values()) == pytest.approx(1)
    statistic = sum((seen[s] - draws * p) ** 2 / (draws * p) for s, p in law.items())
    assert chi2.sf(statistic, len(law) - 1) > 0.001
    assert set(seen) <= set(law)


def test_noise_is_gumbel_and_independent_of_how_many_are_asked() -> None:
    noise = gumbel(11, 20_000)
    assert kstest(noise, lambda x: np.exp(-np.exp(-x))).pvalue > 0.001
    assert abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 0.03
    assert np.array_equal(gumbel(11, 50, first=100), noise[100:150])
    assert not np.array_equal(gumbel(12, 50), noise[:50])


scores = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30).map(np.array)


@given(scores, st.integers(0, 40), st.booleans())
def test_top_k_takes_the_greatest_and_the_earlier_of_equals(log_weights, k, masked) -> None:
    allowed = np.arange(len(log_weights)) % 2 == 0 if masked else np.ones(len(log_weights), bool)
    picked = gumbel_top_k(log_weights, k, allowed=allowed, noise=False)
    order = sorted(np.flatnonzero(allowed), key=lambda i: (-log_weights[i], i))
    assert picked.tolist() == sorted(order[:k])


@given(scores, st.integers(0, 30), st.integers(0, 5))
def test_sampling_gives_k_distinct_and_a_shift_changes_nothing(log_weights, k, seed) -> None:
    picked = gumbel_top_k(log_weights, k, seed=seed)
    assert len(set(picked.tolist())) == min(k, len(log_weights))
    assert np.array_equal(picked, gumbel_top_k(log_weights + 8.0, k, seed=seed))


def test_more_draws_keep_the_earlier_ones() -> None:
    log_weights = np.linspace(0, 2, 40)
    few, more = (set(gumbel_top_k(log_weights, k, seed=1).tolist()) for k in (10, 20))
    assert few < more


def test_the_mean_of_noise_is_euler_s_constant() -> None:
    assert gumbel(0, 200_000).mean() == pytest.approx(0.5772, abs=0.01)
    assert exp(-exp(-float(np.median(gumbel(0, 200_000))))) == pytest.approx(0.5, abs=0.01)


def test_negative_k_is_refused() -> None:
    with pytest.raises(UsageError):
        gumbel_top_k(np.zeros(3), -1)
