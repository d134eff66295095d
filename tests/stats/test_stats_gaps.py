"""Gaps between groups: by hand, against a reference, their limits, their intervals' coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from togi.stats.gaps import (
    EXCESS,
    Share,
    absolute,
    corrected,
    demographic_parity,
    equalised_odds,
    greatest_gap,
    mean_gap_bounds,
)
from togi.stats.shares import share_differences

counts = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(
    lambda pair: Share(min(pair), max(pair))
)


def test_parity_by_hand():
    # 12 of 40 men and 6 of 60 women: .3 − .1
    found = demographic_parity([Share(12, 40), Share(6, 60)])
    assert found.mean == pytest.approx(0.2)
    assert found.n == 100
    assert 0 < found.low < 0.2 < found.high


def test_odds_by_hand():
    # hits 9/10 against 6/10, false alarms 1/20 against 4/10
    found = equalised_odds([Share(9, 10), Share(6, 10)], [Share(1, 20), Share(4, 10)])
    assert found.mean == pytest.approx(0.35)
    assert found.n == 50


def test_three_groups_are_compared_in_pairs():
    shares = [Share(1, 10), Share(5, 10), Share(9, 10)]
    assert demographic_parity(shares).mean == pytest.approx(0.8)
    pair = demographic_parity([shares[0], shares[2]])
    assert demographic_parity(shares).low < pair.low  # three comparisons, wider intervals


def test_a_single_pair_has_the_interval_of_its_signed_difference():
    found = demographic_parity([Share(48, 80), Share(56, 70)])
    signed = share_differences([48.0], 80, [56.0], 70, 0.95)
    assert (found.low, found.high) == pytest.approx(absolute(signed.low[0], signed.high[0]))


@given(counts, counts)
def test_the_order_of_groups_does_not_matter(one: Share, two: Share):
    a, b = demographic_parity([one, two]), demographic_parity([two, one])
    np.testing.assert_allclose([a.mean, a.low, a.high], [b.mean, b.low, b.high], atol=1e-12)
    if min(one.n, two.n) > 0:
        assert 0 <= a.low <= a.mean <= a.high <= 1


@given(st.lists(counts.filter(lambda s: s.n > 0), min_size=2, max_size=4))
def test_equal_families_give_the_same_gap(shares: list[Share]):
    assert equalised_odds(shares, shares).mean == demographic_parity(shares).mean


@pytest.mark.parametrize("families", [[[Share(1, 2)]], [[Share(1, 2), Share(0, 0)]], [[]]])
def test_what_cannot_be_told_is_unknown(families: list[list[Share]]):
    found = greatest_gap(families)
    assert math.isnan(found.mean)
    assert math.isnan(found.low)


def test_no_gap_at_all_has_a_lower_bound_of_0():
    found = demographic_parity([Share(5, 10), Share(50, 100)])
    assert (found.mean, found.low) == (0, 0)
    assert found.high > 0


# --- means of gaps --------------------------------------------------------------------------------


@pytest.mark.parametrize("of", [1, 2])
def test_the_correction_leaves_nothing_where_there_is_no_gap(of: int):
    z = np.random.default_rng(0).normal(size=(200_000, of))
    gap = np.abs(z).max(axis=1)
    assert corrected(gap, np.ones(len(gap)), of).mean() == pytest.approx(0, abs=0.01)
    assert EXCESS[1] == pytest.approx(1.128, abs=1e-3)
    assert EXCESS[2] == pytest.approx(2.036, abs=1e-3)


@given(st.floats(0, 5), st.floats(0, 2))
def test_the_correction_never_adds(gap: float, error: float):
    assert corrected(np.array([gap]), np.array([error]), 1)[0] <= gap


def test_a_gap_without_error_is_left_alone():
    assert corrected(np.array([0.0, 0.3]), np.array([0.0, 0.0]), 1).tolist() == [0.0, 0.3]


@pytest.mark.parametrize("true", [0.0, 0.1, 0.4])
def test_bounds_of_a_mean_of_gaps_cover(true: float):
    rng, sets, error, inside = np.random.default_rng(3), 5, 0.08, 0
    trials = 400
    for _ in range(trials):
        observed = true + error * rng.normal(size=sets)
        redrawn = observed + error * rng.normal(size=(400, sets))
        low, high = mean_gap_bounds(np.vstack([observed, redrawn])[:, :, None])
        inside += low <= true <= high
    assert inside / trials > 0.93


def test_bounds_do_not_depend_on_the_sets_signs():
    rng = np.random.default_rng(1)
    signed = 0.3 + 0.05 * rng.normal(size=(500, 4, 1))
    turned = signed * np.array([1, -1, 1, -1])[None, :, None]
    assert mean_gap_bounds(signed) == pytest.approx(mean_gap_bounds(turned))


def test_bounds_are_unknown_without_resamples_or_with_an_unknown_gap():
    assert all(map(math.isnan, mean_gap_bounds(np.zeros((2, 1, 1)))))
    assert all(map(math.isnan, mean_gap_bounds(np.full((9, 1, 1), np.nan))))
