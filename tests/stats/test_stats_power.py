"""Power: tables by hand, simulation, inverses of each other, and 'collect n more'."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.errors import UsageError
from togi.stats import (
    Estimate,
    collect_more,
    minimum_detectable_effect,
    n_for_effect,
    power_curve,
    power_of,
    stream,
)


def test_n_of_the_textbook():
    # Cohen 1988, paired t test, α .05 two-sided, power .8: d = .2, .5, .8 take 199, 34, 15
    assert [n_for_effect(1.0, d) for d in (0.2, 0.5, 0.8)] == [199, 34, 15]
    # one-sided: 156, 27, 12
    assert [n_for_effect(1.0, d, sides=1) for d in (0.2, 0.5, 0.8)] == [156, 27, 12]


def test_large_n_is_normal_theory():
    # (1.959964 + .841621) · 3 / √40000
    assert minimum_detectable_effect(3.0, 40_000) == pytest.approx(2.801585 * 3 / 200, rel=1e-4)


def test_power_equals_simulation():
    rng = stream(0, "power")
    for n, effect in ((8, 0.9), (34, 0.5), (120, 0.1)):
        p = scipy.stats.ttest_1samp(rng.normal(effect, 1, (6000, n)), 0, axis=1).pvalue
        assert power_of(1.0, n, effect) == pytest.approx((p <= 0.05).mean(), abs=0.02)


def test_power_without_effect_is_alpha():
    assert power_of(1.0, 50, 0.0, alpha=0.03) == pytest.approx(0.03)
    assert power_of(1.0, 50, 0.0, alpha=0.03, sides=1) == pytest.approx(0.03)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0.1, 10),
    st.integers(2, 5000),
    st.sampled_from([0.001, 0.05, 0.2]),
    st.floats(0.3, 0.95),
    st.sampled_from([1, 2]),
)
def test_effect_and_power_are_inverse(sd, n, alpha, power, sides):
    effect = minimum_detectable_effect(sd, n, alpha, power, sides=sides)
    assert power_of(sd, n, effect, alpha, sides=sides) == pytest.approx(power, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.05, 3), st.sampled_from([0.005, 0.05]), st.floats(0.5, 0.95))
def test_n_is_the_smallest_that_does(effect, alpha, power):
    n = n_for_effect(1.0, effect, alpha, power)
    assert n is not None
    assert power_of(1.0, n, effect, alpha) >= power
    assert n == 2 or power_of(1.0, n - 1, effect, alpha) < power


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 100), st.integers(3, 400), st.floats(0.01, 2))
def test_units_do_not_matter(scale, n, effect):
    assert power_of(scale, n, effect * scale) == pytest.approx(power_of(1.0, n, effect))
    mde = minimum_detectable_effect(scale, n)
    assert mde == pytest.approx(scale * minimum_detectable_effect(1.0, n))


def test_curve_rises():
    curve = power_curve(1.0, 0.1, [2, 5, 20, 100, 1000, 10**5, 10**7])
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == pytest.approx(1.0)


def test_far_out_power_is_one_and_not_unknown():
    assert power_of(1.0, 10, 1e6) == 1.0
    assert power_of(0.0, 5, 0.1) == 1.0


def test_unknown_is_nan_or_none():
    assert math.isnan(power_of(1.0, 1, 0.5))
    assert math.isnan(power_of(math.nan, 10, 0.5))
    assert math.isnan(power_of(0.0, 10, 0.0))
    assert math.isnan(minimum_detectable_effect(math.nan, 10))
    assert math.isnan(minimum_detectable_effect(1.0, 0))
    assert n_for_effect(1.0, 0.0) is None
    assert n_for_effect(math.nan, 0.5) is None
    assert n_for_effect(1.0, 1e-9) is None


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"alpha": 5}, {"power": 1.0}, {"sides": 3}])
def test_mistakes_are_told(wrong):
    with pytest.raises(UsageError):
        n_for_effect(1.0, 0.5, **wrong)


# ---- collect more


def _estimate(mean: float, sd: float, n: int, level: float = 0.95) -> Estimate:
    half = scipy.stats.t.ppf((1 + level) / 2, n - 1) * sd / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n, level)


def test_collect_more_by_hand():
    # mean .2 sd 1 n 50 takes 199 in all for power .8
    assert collect_more(_estimate(0.2, 1.0, 50)) == 199 - 50
    assert collect_more(_estimate(0.2, 1.0, 50), sd=1.0) == 149
    # not worse than −.3: distance .5 takes 34 for sd 1, so 34 − 12 more
    assert collect_more(_estimate(0.2, 1.0, 12), -0.3) == 22


def test_collect_more_is_nothing_when_it_is_decided():
    assert collect_more(_estimate(2.0, 1.0, 30)) == 0
    assert collect_more(_estimate(-2.0, 1.0, 30)) == 0
    assert collect_more(_estimate(0.0, 1.0, 500), -0.5) == 0


def test_collect_more_asks_for_more_at_a_stricter_level():
    loose = collect_more(_estimate(0.1, 1.0, 100))
    strict = collect_more(_estimate(0.1, 1.0, 100), level=0.99)
    assert loose is not None
    assert strict is not None
    assert strict > loose


def test_collect_more_is_unknown_where_nothing_is_known():
    assert collect_more(Estimate(0.2, math.nan, math.nan, 1)) is None
    assert collect_more(_estimate(0.0, 1.0, 50)) is None


def test_collecting_that_many_settles_it_as_often_as_promised():
    start = _estimate(0.2, 1.0, 50)
    more = collect_more(start, power=0.8)
    assert more is not None
    values = stream(0, "more").normal(0.2, 1.0, (4000, 50 + more))
    p = scipy.stats.ttest_1samp(values, 0, axis=1).pvalue
    assert (p < 0.05).mean() == pytest.approx(0.8, abs=0.02)
