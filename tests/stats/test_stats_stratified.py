"""Strata of independent units: resamples, swaps, and what a test of a difference holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from togi.stats.bootstrap import CELLS
from togi.stats.stratified import (
    FEW,
    bounded_estimate,
    draws_of,
    least_units,
    strata_of,
    stratified_sums,
    swap_test,
    swapped_sums,
)

patterns = arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 4)))


def test_units_of_the_same_scenarios_form_a_stratum():
    present = np.array([[1, 0]] * 9 + [[0, 1]] * 10 + [[1, 1]] * 8, dtype=bool)
    strata = strata_of(present)
    assert np.bincount(strata).tolist() in ([10, 9, 8], [8, 10, 9], [9, 10, 8], [10, 8, 9])
    assert [len(set(strata[s])) for s in (slice(0, 9), slice(9, 19), slice(19, 27))] == [1, 1, 1]
    assert least_units(strata) == 8


def test_a_rare_pattern_joins_the_one_it_has_most_in_common_with():
    present = np.array([[1, 0, 0]] * 9 + [[1, 1, 1]] * 9 + [[1, 1, 0]] * 2, dtype=bool)
    strata = strata_of(present)
    assert len(set(strata)) == 2
    # [1, 1, 0] differs from both in one place; the first found takes it, and neither is split
    assert set(strata[18:]) <= set(strata[:18])


def test_a_rare_pattern_that_shares_nothing_stands_alone():
    present = np.array([[1, 0]] * 9 + [[0, 1]] * 2, dtype=bool)
    assert sorted(np.bincount(strata_of(present))) == [2, 9]


@given(patterns)
def test_strata_are_numbered_from_0_and_only_merged(present: np.ndarray):
    strata = strata_of(present)
    assert set(strata) == set(range(strata.max() + 1))
    same = {}
    for row, code in zip(map(tuple, present), strata, strict=True):
        assert same.setdefault(row, code) == code


def test_nothing_has_no_strata():
    empty = strata_of(np.zeros((0, 3), dtype=bool))
    assert (len(empty), least_units(empty)) == (0, 0)
    assert FEW == 8


# --- resamples and swaps --------------------------------------------------------------------------


def test_each_stratum_keeps_its_size_in_every_resample():
    rng = np.random.default_rng(0)
    strata = rng.integers(0, 3, 60)
    counted = np.eye(3)[strata]
    drawn = stratified_sums(counted, strata, 50, rng)
    assert (drawn == np.bincount(strata)).all()


def test_resamples_have_the_mean_and_the_spread_of_theory():
    rng = np.random.default_rng(1)
    values, strata = rng.normal(size=(40, 1)), np.repeat([0, 1], 20)
    values[20:] += 5  # a difference between strata must not widen the interval
    drawn = stratified_sums(values, strata, 20_000, rng)
    variance = sum(20 * values[strata == code].var() for code in (0, 1))
    assert drawn.mean() == pytest.approx(values.sum(), rel=0.01)
    assert drawn.var() == pytest.approx(variance, rel=0.05)


def test_the_first_row_of_draws_is_what_was_seen():
    units = np.arange(6.0).reshape(3, 2)
    one = draws_of(units, np.zeros(3, dtype=int), draws=5, seed=0)
    two = draws_of(units, np.zeros(3, dtype=int), draws=5, seed=0)
    other = draws_of(units, np.zeros(3, dtype=int), draws=5, seed=1)
    assert one[0].tolist() == [6.0, 9.0]
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_swaps_in_parts_are_swaps_at_once(monkeypatch: pytest.MonkeyPatch):
    gaps = np.random.default_rng(2).normal(size=(7, 2))
    whole = swapped_sums(gaps, 100, np.random.default_rng(5))
    monkeypatch.setattr("togi.stats.stratified.CELLS", 7 * 3)
    parts = swapped_sums(gaps, 100, np.random.default_rng(5))
    assert CELLS > 700
    np.testing.assert_allclose(whole, parts)


def test_swaps_of_two_units_by_hand():
    drawn = swapped_sums(np.array([[1.0], [2.0]]), 400, np.random.default_rng(0))
    assert set(drawn[:, 0]) == {-3.0, -1.0, 1.0, 3.0}


def test_p_value_by_hand():
    # the observed one, and one of four swaps that is as extreme: 2 of 5
    assert swap_test(2.0, np.array([-2.0, 1.0, 0.0, 1.5])) == pytest.approx(2 / 5)
    assert swap_test(2.0, np.array([np.nan, 0.0])) == pytest.approx(2 / 3)
    assert math.isnan(swap_test(float("nan"), np.zeros(3)))


def test_the_test_keeps_its_level_where_nothing_differs():
    rng, below, trials = np.random.default_rng(7), 0, 400
    for _ in range(trials):
        gaps = rng.normal(size=(20, 1))
        drawn = swapped_sums(gaps, 199, rng)[:, 0]
        below += swap_test(float(gaps.sum()), drawn) <= 0.05
    assert below / trials < 0.08


@pytest.mark.parametrize(("value", "ends"), [(0.0, (0.0, 0.2775)), (1.0, (0.7225, 1.0))])
def test_all_alike_gets_wilsons_interval(value: float, ends: tuple[float, float]):
    found = bounded_estimate(value, np.full(99, value), units=10, least=10, most=1.0)
    assert (found.low, found.high) == pytest.approx(ends, abs=1e-3)


def test_one_unit_gives_no_interval():
    found = bounded_estimate(1.0, np.full(99, 1.0), units=1, least=1, most=1.0)
    assert math.isnan(found.low)
    assert found.n == 1
