"""Counts of two groups: exact tests equal scipy's, intervals equal published and hand-made ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from togi.errors import DataError
from togi.stats import wilson
from togi.stats.fisher import fisher_log_p, rates_log_p
from togi.stats.shares import (
    rate_ratios,
    share_differences,
    share_ratios,
    two_share_z,
    wilson_column,
)

sizes = st.integers(1, 60)


@st.composite
def tables(draw):
    n_a, n_b = draw(sizes), draw(sizes)
    pairs = st.tuples(st.integers(0, n_a), st.integers(0, n_b))
    rows = draw(st.lists(pairs, min_size=1, max_size=6))
    return [a for a, _ in rows], n_a, [b for _, b in rows], n_b


@settings(max_examples=150, deadline=None)
@given(tables())
def test_fisher_equals_scipy(table) -> None:
    a, n_a, b, n_b = table
    found = np.exp(fisher_log_p(a, n_a, b, n_b))
    for x, y, p in zip(a, b, found, strict=True):
        wanted = stats.fisher_exact([[x, n_a - x], [y, n_b - y]])[1]
        assert p == pytest.approx(wanted, rel=1e-9)


@settings(max_examples=150, deadline=None)
@given(tables())
def test_two_rates_equal_scipys_binomial_test(table) -> None:
    a, n_a, b, n_b = table
    found = np.exp(rates_log_p(a, n_a, b, n_b))
    for x, y, p in zip(a, b, found, strict=True):
        wanted = stats.binomtest(y, x + y, n_b / (n_a + n_b)).pvalue if x + y else 1.0
        assert p == pytest.approx(wanted, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(tables())
def test_exchanging_the_groups_turns_everything_round(table) -> None:
    a, n_a, b, n_b = table
    np.testing.assert_allclose(
        fisher_log_p(a, n_a, b, n_b), fisher_log_p(b, n_b, a, n_a), atol=1e-9
    )
    np.testing.assert_allclose(rates_log_p(a, n_a, b, n_b), rates_log_p(b, n_b, a, n_a), atol=1e-9)
    np.testing.assert_allclose(two_share_z(a, n_a, b, n_b), -two_share_z(b, n_b, a, n_a))
    one, other = share_differences(a, n_a, b, n_b), share_differences(b, n_b, a, n_a)
    np.testing.assert_allclose([one.mean, one.low], [-other.mean, -other.high], atol=1e-12)
    for ratios in (share_ratios, rate_ratios):
        one, other = ratios(a, n_a, b, n_b), ratios(b, n_b, a, n_a)
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(one.low, 1 / other.high, rtol=1e-9)
            np.testing.assert_allclose(one.high, 1 / other.low, rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(tables(), st.floats(0.5, 0.99))
def test_intervals_hold_their_value_and_widen_with_the_level(table, level) -> None:
    a, n_a, b, n_b = table
    for interval in (share_differences, share_ratios, rate_ratios):
        narrow, wide = interval(a, n_a, b, n_b, level), interval(a, n_a, b, n_b, 0.995)
        known = ~np.isnan(narrow.mean)
        assert (narrow.low <= narrow.mean + 1e-12)[known].all()
        assert (narrow.mean <= narrow.high + 1e-12)[known].all()
        assert (wide.low <= narrow.low + 1e-12).all()
        assert (narrow.high <= wide.high + 1e-12).all()


def test_equal_shares_have_p_of_one_and_tiny_ones_do_not_run_out() -> None:
    assert fisher_log_p([5, 0, 7], 7, [5, 0, 7], 7).tolist() == [0, 0, 0]
    far = fisher_log_p([0, 500_000], 1_000_000, [50_000, 600_000], 1_000_000)
    assert np.isfinite(far).all()
    assert (far < -10_000).all()
    # ln of the exact sum of all tables as unlikely: of one side only, as the other has none left
    assert fisher_log_p([0], 40, [40], 40)[0] == pytest.approx(
        math.log(2) - math.log(math.comb(80, 40))
    )


def test_two_equally_likely_peaks_are_both_counted() -> None:
    assert rates_log_p([2], 1, [1], 1).tolist() == [0.0]  # 1 and 2 of 3 are equally likely


def test_a_whole_column_equals_its_rows_one_by_one() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.poisson(30, 4000), rng.poisson(34, 4000)
    whole = fisher_log_p(a, 5000, b, 6000)
    some = rng.choice(4000, 50)
    alone = [float(fisher_log_p(a[i : i + 1], 5000, b[i : i + 1], 6000)[0]) for i in some]
    np.testing.assert_allclose(whole[some], alone, rtol=1e-12)


def test_newcombes_published_interval_and_the_scalar_wilson() -> None:
    # Newcombe 1998, table II, (a): 56/70 against 48/80 by method 10: 0.0524 to 0.3339
    found = share_differences([48], 80, [56], 70)
    assert [round(float(x[0]), 4) for x in found] == [0.2, 0.0524, 0.3339]
    for k in (0, 1, 7, 20):
        column, one = wilson_column(np.array([float(k)]), 20), wilson(k, 20)
        assert [float(x[0]) for x in column] == pytest.approx([one.mean, one.low, one.high])


def test_a_ratio_without_a_first_count_is_infinite_and_without_any_unknown() -> None:
    found = share_ratios([0, 0, 3], 100, [4, 0, 0], 100)
    assert found.mean[0] == np.inf
    assert found.high[0] == np.inf
    assert found.low[0] > 0
    assert np.isnan(found.mean[1])
    assert (found.low[1], found.high[1]) == (0, np.inf)
    assert (found.mean[2], found.low[2]) == (0, 0)
    assert 0 < found.high[2] < 2


@pytest.mark.parametrize(("p", "ratio", "n"), [(0.02, 2.0, 800), (0.2, 0.7, 150)])
def test_ratios_cover_what_they_say(p, ratio, n) -> None:
    """95 % intervals of a known ratio hold it in 93 to 98 % of 4,000 draws."""
    rng = np.random.default_rng(11)
    a, b = rng.binomial(n, p, 4000), rng.binomial(n, p * ratio, 4000)
    found = share_ratios(a, n, b, n)
    held = ((found.low <= ratio) & (ratio <= found.high)).mean()
    assert 0.93 <= held <= 0.98


def test_fishers_test_rarely_errs_where_nothing_differs() -> None:
    rng = np.random.default_rng(5)
    p = np.exp(fisher_log_p(rng.binomial(300, 0.05, 4000), 300, rng.binomial(400, 0.05, 4000), 400))
    assert (p <= 0.05).mean() <= 0.05


@pytest.mark.parametrize(
    ("a", "n_a", "b", "n_b", "words"),
    [
        ([1], 0, [1], 5, "a group is empty"),
        ([6], 5, [1], 5, "this is no count. Found: 6 of 5. Expected: whole numbers from 0 to the"),
        ([-1], 5, [1], 5, "Found: -1 of 5"),
        ([0.5], 5, [1], 5, "Found: 0.5 of 5"),
        ([1, 2], 5, [1], 5, "the two columns of counts differ in shape"),
    ],
)
def test_what_is_no_count_is_refused(a, n_a, b, n_b, words) -> None:
    with pytest.raises(DataError) as error:
        fisher_log_p(a, n_a, b, n_b)
    assert words in str(error.value)
