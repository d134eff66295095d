"""Paired differences and win rates: by hand, dropped pairs, symmetry, choice of the method."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.errors import DataError, UsageError
from togi.stats import (
    bootstrap_mean,
    bootstrap_ratio,
    paired_difference,
    paired_ratio_difference,
    stream,
    wilson,
    win_rate,
)
from togi.stats.bounds import tango_bounds

RNG = stream(0, "paired")
BEFORE = RNG.normal(1.4, 0.3, 60)
AFTER = BEFORE - RNG.gamma(2, 0.1, 60)
NAN = math.nan


# ---- paired_difference


def test_difference_by_hand():
    # differences 1, 2, 3, 6: mean 3, s = √(14/3), sd of a unit the same
    found = paired_difference([2, 4, 6, 10], [1, 2, 3, 4])
    assert found.estimate.mean == 3.0
    assert found.sd == pytest.approx(math.sqrt(14 / 3))
    assert found.p_value == 2 / 16
    assert (found.n, found.dropped, found.estimate.n) == (4, 0, 4)
    assert found.test == "sign-flip permutation, exact"


def test_interval_is_the_bootstraps_of_the_differences():
    assert paired_difference(AFTER, BEFORE).estimate == bootstrap_mean(AFTER - BEFORE)


def test_unknown_pairs_are_dropped_and_counted():
    after, before = AFTER.copy(), BEFORE.copy()
    after[[3, 7]], before[[7, 9]] = NAN, NAN
    found = paired_difference(after, before)
    assert (found.n, found.dropped) == (57, 3)
    kept = np.setdiff1d(np.arange(60), [3, 7, 9])
    again = paired_difference(after[kept], before[kept])
    assert (found.estimate, found.p_value) == (again.estimate, again.p_value)


def test_right_and_wrong_takes_the_score_interval_and_mcnemar():
    after, before = [1] * 12 + [0] * 3 + [1] * 25, [0] * 12 + [1] * 3 + [1] * 25
    found = paired_difference(after, before)
    assert found.test == "McNemar, exact"
    assert found.p_value == pytest.approx(scipy.stats.binomtest(12, 15).pvalue)
    expected = tango_bounds(0.05, b=12, c=3, n=40)
    assert (found.estimate.low, found.estimate.high) == pytest.approx(expected)
    assert found.estimate.mean == pytest.approx(9 / 40)
    assert paired_difference(after, before, method="bca").test == "McNemar, exact"


def test_equal_answers_are_not_certainty():
    found = paired_difference([1] * 30, [1] * 30)
    assert found.estimate.low == pytest.approx(-found.estimate.high)
    assert found.estimate.high > 0.1
    assert found.p_value == 1.0
    assert not paired_difference([0.5] * 10, [0.5] * 10).estimate.known
    sure = paired_difference([0.5] * 40, [0.5] * 40).estimate
    assert (sure.low, sure.high) == (0.0, 0.0)


def test_clusters_are_the_units():
    clusters = np.repeat(np.arange(12), 5)
    found = paired_difference(AFTER, BEFORE, clusters=clusters)
    assert (found.n, found.estimate.n) == (60, 12)
    assert found.estimate == bootstrap_mean(AFTER - BEFORE, clusters=clusters)
    sums = (AFTER - BEFORE).reshape(12, 5).sum(axis=1)
    theirs = scipy.stats.permutation_test(
        (sums,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert found.p_value == pytest.approx(theirs.pvalue)


def test_right_and_wrong_in_clusters_is_bootstrapped():
    rng = stream(1, "binary")
    after, before = rng.integers(0, 2, 40), rng.integers(0, 2, 40)
    found = paired_difference(after, before, clusters=np.repeat(np.arange(10), 4))
    assert "sign-flip" in found.test
    assert found.estimate.n == 10


def test_below_two_pairs_nothing_is_known():
    for after, before, n in (([], [], 0), ([0.4], [0.2], 1), ([0.4, NAN], [0.2, 0.1], 1)):
        found = paired_difference(after, before)
        assert found.n == n
        assert not found.estimate.known
        assert math.isnan(found.p_value)
        assert math.isnan(found.p_against(0.0))


@settings(max_examples=15, deadline=None)
@given(st.floats(0.001, 0.4), st.floats(-0.5, 0.3))
def test_interval_at_a_level_and_p_against_agree(alpha, value):
    found = paired_difference(AFTER, BEFORE, draws=500)
    inside = found.at(1 - alpha)
    p = found.p_against(value)
    if abs(p - alpha) > 1e-6:
        assert (p > alpha) == (inside.low <= value <= inside.high)


def test_levels_come_from_the_same_draws():
    found = paired_difference(AFTER, BEFORE)
    assert found.at(0.99) == paired_difference(AFTER, BEFORE, level=0.99).estimate
    assert found.at(0.95) == found.estimate


def test_order_and_direction():
    order = stream(3, "order").permutation(60)
    found = paired_difference(AFTER, BEFORE)
    assert paired_difference(AFTER[order], BEFORE[order]) == found
    mirrored = paired_difference(BEFORE, AFTER)
    assert mirrored.p_value == found.p_value
    assert mirrored.estimate.mean == pytest.approx(-found.estimate.mean)
    width = found.estimate.high - found.estimate.low
    assert mirrored.estimate.low == pytest.approx(-found.estimate.high, abs=0.1 * width)


def test_the_tests_that_can_be_asked_for():
    assert paired_difference(AFTER, BEFORE, test="sign").test == "sign test, exact"
    assert paired_difference(AFTER, BEFORE, test="sign").p_value < 1e-12
    assert "sign-flip" in paired_difference([1, 0], [0, 0], test="sign-flip").test


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"method": "score"}, DataError),
        ({"test": "mcnemar"}, DataError),
        ({"test": "t"}, UsageError),
        ({"method": "normal"}, UsageError),
        ({"level": 1.0}, UsageError),
        ({"clusters": [1]}, DataError),
        ({"clusters": [1] * 60, "test": "sign"}, UsageError),
    ],
)
def test_mistakes_are_told(wrong, error):
    with pytest.raises(error):
        paired_difference(AFTER, BEFORE, **wrong)


def test_different_lengths_are_refused():
    with pytest.raises(DataError, match="length"):
        paired_difference([1.0, 2.0], [1.0])


# ---- paired_ratio_difference

BYTES = RNG.integers(20, 400, 60).astype(float)


def test_ratio_difference_is_the_difference_of_the_ratios():
    found = paired_ratio_difference(AFTER * BYTES, BEFORE * BYTES, BYTES)
    one, two = bootstrap_ratio(AFTER * BYTES, BYTES), bootstrap_ratio(BEFORE * BYTES, BYTES)
    assert found.estimate.mean == pytest.approx(one.mean - two.mean)
    assert found.p_value == pytest.approx(1 / 10_000)
    # paired: much narrower than the two marginals suggest
    assert found.estimate.high - found.estimate.low < 0.6 * (one.high - one.low)


def test_ratio_difference_equals_scipys_paired_bootstrap():
    found = paired_ratio_difference(AFTER * BYTES, BEFORE * BYTES, BYTES, draws=9999)
    theirs = scipy.stats.bootstrap(
        (AFTER * BYTES, BEFORE * BYTES, BYTES),
        lambda a, b, d, axis: (a.sum(axis=axis) - b.sum(axis=axis)) / d.sum(axis=axis),
        paired=True,
        n_resamples=9999,
        rng=np.random.default_rng(0),
    ).confidence_interval
    width = theirs.high - theirs.low
    # ours is wider by √(n/(n−1)) · t(59)/z = 1.03
    assert found.estimate.high - found.estimate.low == pytest.approx(1.03 * width, rel=0.06)
    assert found.estimate.low == pytest.approx(theirs.low, abs=0.08 * width)


def test_equal_denominators_come_to_the_mean():
    plain = paired_difference(AFTER, BEFORE)
    ratio = paired_ratio_difference(AFTER * 8, BEFORE * 8, np.full(60, 8.0))
    assert ratio.p_value == plain.p_value
    assert (ratio.estimate.low, ratio.estimate.high) == pytest.approx(
        (plain.estimate.low, plain.estimate.high)
    )
    assert ratio.sd == pytest.approx(plain.sd)


def test_ratio_difference_drops_and_clusters():
    clusters = [f"module{i % 15}" for i in range(60)]
    after = AFTER * BYTES
    after[0] = NAN
    found = paired_ratio_difference(after, BEFORE * BYTES, BYTES, clusters=clusters)
    assert (found.n, found.dropped, found.estimate.n) == (59, 1, 15)


# ---- win rates


def test_wins_by_hand():
    # item:          a    b    c    d      e
    first, second = [1, 1, 0.5, 0, NAN], [1, 0, 1, 0, 1]
    found = win_rate(first, second)
    assert found.rate.mean == pytest.approx((1 + 0.5 + 0.75 + 0) / 4)
    assert (found.wins, found.ties, found.losses) == (2, 1, 1)
    assert (found.n, found.dropped, found.inconsistent) == (4, 1, 1)
    # first place wins .5 · (first + 1 − second): (.5 + 1 + .25 + .5) / 4 − .5
    assert found.position_bias.mean == pytest.approx((0.5 + 1 + 0.25 + 0.5) / 4 - 0.5)


def test_a_judge_that_always_takes_the_first_says_nothing():
    found = win_rate([1] * 50, [0] * 50)
    assert (found.rate.mean, found.ties, found.inconsistent) == (0.5, 50, 50)
    assert found.position_bias.mean == 0.5
    assert found.position_bias.low > 0.4
    assert found.position_p_value < 1e-9
    assert found.p_value == 1.0


def test_bias_cancels_in_the_rate():
    rng = stream(4, "judge")
    better = rng.random(3000) < 0.62
    fooled = rng.random((2, 3000)) < 0.3  # takes the first answer whatever it says
    first, second = np.where(fooled[0], 1, better), np.where(fooled[1], 0, better)
    found = win_rate(first, second)
    assert found.rate.mean == pytest.approx(0.7 * 0.62 + 0.3 * 0.5, abs=0.03)
    assert found.position_bias.low < 0.15 < found.position_bias.high
    assert first.mean() > found.rate.high  # one order alone would have flattered


def test_one_order_without_ties_is_wilsons():
    found = win_rate([1] * 30 + [0] * 10)
    assert found.rate == wilson(30, 40)
    assert math.isnan(found.position_bias.mean)
    assert math.isnan(found.position_p_value)


def test_swapping_the_models_mirrors_the_rate():
    rng = stream(5, "mirror")
    first, second = rng.integers(0, 3, 80) / 2, rng.integers(0, 3, 80) / 2
    ours, theirs = win_rate(first, second), win_rate(1 - second, 1 - first)
    assert theirs.rate.mean == pytest.approx(1 - ours.rate.mean)
    assert (theirs.wins, theirs.losses) == (ours.losses, ours.wins)
    assert theirs.p_value == ours.p_value
    assert theirs.position_bias == ours.position_bias


def test_win_rate_in_clusters_and_too_few():
    found = win_rate([1, 1, 0, 0, 0.5, 1], [1, 0, 0, 0.5, 1, 1], clusters=list("aabbcc"))
    assert (found.rate.n, found.position_bias.n, found.n) == (3, 3, 6)
    few = win_rate([1], [1])
    assert not few.rate.known
    assert math.isnan(few.p_value)
    assert not win_rate([], []).rate.known


def test_credits_outside_are_refused():
    with pytest.raises(DataError, match="credit"):
        win_rate([1, 2], [0, 1])
    with pytest.raises(DataError, match="length"):
        win_rate([1, 1], [0])
