"""Closed intervals and their inversion: Wilson, Tango, Student, p-values from bounds."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.errors import DataError
from togi.stats import wilson
from togi.stats.bounds import (
    level_of,
    p_against,
    same_bounds,
    student_bounds,
    tango_bounds,
    wilson_bounds,
)

TABLES = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60)).filter(
    lambda t: sum(t) >= 2
)


def test_wilson_by_hand():
    # 8 of 10, z = 1.959964, z² = 3.841459: centre (8 + 1.920729) / 13.841459 = .716740,
    # half = √(3.841459 · (8 · 2 / 10 + .960365)) / 13.841459 = .226581
    found = wilson(8, 10)
    assert found.low == pytest.approx(0.716740 - 0.226581, abs=2e-5)
    assert found.high == pytest.approx(0.716740 + 0.226581, abs=2e-5)


@pytest.mark.parametrize(("k", "n"), [(0, 7), (1, 7), (35, 70), (70, 70), (999, 1000)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_wilson_equals_scipys(k, n, level):
    theirs = scipy.stats.binomtest(k, n).proportion_ci(level, method="wilson")
    ours = wilson(k, n, level)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_is_unknown_below_two():
    assert math.isnan(wilson(0, 0).mean)
    assert wilson(1, 1).mean == 1.0
    assert not wilson(1, 1).known


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3), (math.nan, 3)])
def test_wilson_refuses_what_is_no_proportion(k, n):
    with pytest.raises(DataError):
        wilson(k, n)


def _likelihood_score(delta: float, b: int, c: int, n: int) -> float:
    """Tango's statistic with the constrained maximum found by search, not by his formula."""
    least, most = max(0.0, -delta), (1 - delta) / 2

    def loss(q: float) -> float:
        return -(
            scipy.special.xlogy(b, q + delta)
            + scipy.special.xlogy(c, q)
            + scipy.special.xlogy(n - b - c, 1 - 2 * q - delta)
        )

    found = scipy.optimize.minimize_scalar(
        loss, bounds=(least, most), method="bounded", options={"xatol": 1e-12}
    )
    q = found.x
    return (b - c - n * delta) / math.sqrt(n * (2 * q + delta - delta**2))


@pytest.mark.parametrize(("b", "c", "n"), [(7, 2, 30), (10, 10, 40), (5, 0, 25), (20, 3, 24)])
def test_tango_bounds_solve_the_score_equation(b, c, n):
    low, high = tango_bounds(0.05, b=b, c=c, n=n)
    assert _likelihood_score(low, b, c, n) == pytest.approx(1.959964, abs=2e-3)
    assert _likelihood_score(high, b, c, n) == pytest.approx(-1.959964, abs=2e-3)


def test_tango_without_any_differing_pair():
    z2 = scipy.stats.norm.ppf(0.975) ** 2
    expected = z2 / (80 + z2)
    assert tango_bounds(0.05, b=0, c=0, n=80) == pytest.approx((-expected, expected), abs=1e-9)


def test_tango_at_the_ends():
    low, high = tango_bounds(0.05, b=10, c=0, n=10)
    assert high == 1.0
    assert 0.3 < low < 1.0
    assert tango_bounds(0.05, b=0, c=10, n=10) == pytest.approx((-high, -low), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_tango_swaps_with_the_models(table):
    b, c, same = table
    low, high = tango_bounds(0.05, b=b, c=c, n=b + c + same)
    mirrored = tango_bounds(0.05, b=c, c=b, n=b + c + same)
    assert mirrored == pytest.approx((-high, -low), abs=1e-7)
    assert -1 <= low <= (b - c) / (b + c + same) <= high <= 1


@settings(max_examples=40, deadline=None)
@given(TABLES, st.floats(-0.9, 0.9))
def test_p_value_and_interval_agree(table, value):
    b, c, same = table
    bounds = partial(tango_bounds, b=b, c=c, n=b + c + same)
    p = p_against(bounds, value)
    if p > 1e-6:
        low, high = bounds(min(p * 1.001, 1.0))
        assert not low <= value <= high or p * 1.001 >= 1
        low, high = bounds(p * 0.999)
        assert low <= value <= high


def test_student_p_value_is_the_t_tests():
    values = np.array([0.2, 0.5, -0.1, 0.4, 0.9, 0.3])
    se = values.std(ddof=1) / math.sqrt(6)
    bounds = partial(student_bounds, value=float(values.mean()), se=float(se), df=5)
    for against in (0.0, 0.3, -0.4):
        theirs = scipy.stats.ttest_1samp(values, against).pvalue
        assert p_against(bounds, against) == pytest.approx(theirs, rel=1e-6)


def test_same_values_reject_another_at_the_rate_they_could_hide_it():
    bounds = partial(same_bounds, value=0.0, n=40)
    assert p_against(bounds, 0.1) == pytest.approx(0.9**40, rel=1e-6)
    assert p_against(bounds, 0.0) == 1.0


def test_unknown_bounds_have_no_p_value():
    assert math.isnan(p_against(lambda alpha: (math.nan, math.nan), 0.0))


def test_level_is_searched_in_both_tails():
    assert level_of(lambda alpha: False) == 1.0
    assert level_of(lambda alpha: True) == 1e-12
    assert level_of(lambda alpha: alpha >= 3e-7) == pytest.approx(3e-7, rel=1e-9)
    assert wilson_bounds(1.0, k=3, n=10) == pytest.approx((0.3, 0.3))
