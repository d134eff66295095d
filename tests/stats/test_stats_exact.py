"""Sign, McNemar and permutation tests: counts by hand, scipy, exact levels."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.errors import DataError, UsageError
from togi.stats import exact as module
from togi.stats import mcnemar, permutation_test, sign_flip, sign_test, stream
from togi.stats.exact import coin_p

GAPS = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=11)
SIDES = ["two-sided", "greater", "less"]


# ---- numbers worked by hand


def test_sign_test_by_hand():
    # 7 up, 1 down, 2 ties: 2 · (8 + 1) / 2⁸
    found = sign_test([2, 3, 4, 5, 6, 7, 8, 0, 5, 5], [1, 1, 1, 1, 1, 1, 1, 1, 5, 5])
    assert (found.p_value, found.n) == (pytest.approx(2 * 9 / 256), 8)


def test_mcnemar_by_hand():
    # 5 gained, 0 lost: 2 / 2⁵; the pairs that agree do not matter
    after, before = [1] * 5 + [1, 0, 0], [0] * 5 + [1, 0, 0]
    assert mcnemar(after, before).p_value == pytest.approx(2 / 32)
    assert mcnemar(after, before, alternative="greater").p_value == pytest.approx(1 / 32)
    assert mcnemar(after, before, alternative="less").p_value == 1.0


def test_sign_flip_by_hand():
    # −1, 2, 4 sum to 5; of the eight sums ±1 ±2 ±4 the ones at or above 5 are 5 and 7
    assert sign_flip(np.array([-1.0, 2.0, 4.0]), alternative="greater").p_value == 2 / 8
    assert sign_flip(np.array([-1.0, 2.0, 4.0])).p_value == 4 / 8
    assert sign_flip(np.array([-1.0, 2.0, 4.0]), alternative="less").p_value == 7 / 8


def test_groups_by_hand():
    # 10 over {1, 2, 3}: the one arrangement of four with 10 in the group of one
    found = permutation_test([10], [1, 2, 3], paired=False)
    assert (found.p_value, found.test) == (0.5, "permutation, exact")


# ---- parity


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize(("heads", "tosses"), [(0, 5), (3, 6), (30, 40), (2, 90), (500, 1000)])
def test_coin_equals_scipys_binomial_test(heads, tosses, alternative):
    theirs = scipy.stats.binomtest(heads, tosses, alternative=alternative).pvalue
    assert coin_p(heads, tosses, alternative) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("alternative", SIDES)
def test_sign_flip_equals_scipys(alternative):
    gaps = stream(0, "gaps").normal(0.4, 1, size=11).round(1)
    theirs = scipy.stats.permutation_test(
        (gaps,),
        np.mean,
        permutation_type="samples",
        n_resamples=np.inf,
        alternative=alternative,
    )
    ours = sign_flip(gaps, alternative=alternative)
    assert ours.test == "sign-flip permutation, exact"
    assert ours.p_value == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize("alternative", SIDES)
def test_groups_equal_scipys(alternative):
    rng = stream(0, "groups")
    one, two = rng.normal(0.5, 1, 5).round(1), rng.normal(0, 1, 7).round(1)
    theirs = scipy.stats.permutation_test(
        (one, two),
        lambda a, b: a.mean() - b.mean(),
        permutation_type="independent",
        n_resamples=np.inf,
        alternative=alternative,
    )
    ours = permutation_test(one, two, paired=False, alternative=alternative)
    assert ours.p_value == pytest.approx(theirs.pvalue)


def test_drawn_and_exact_agree():
    rng = stream(0, "both")
    gaps = rng.normal(0.35, 1, 16)
    exact = sign_flip(gaps, draws=2**16)
    drawn = sign_flip(gaps, draws=20_000)
    assert (exact.test, drawn.test) == (
        "sign-flip permutation, exact",
        "sign-flip permutation, 20000 draws",
    )
    assert drawn.p_value == pytest.approx(exact.p_value, abs=4 * math.sqrt(0.25 / 20_000))
    one, two = rng.normal(0.8, 1, 9), rng.normal(0, 1, 9)
    exact = permutation_test(one, two, paired=False, draws=50_000)
    drawn = permutation_test(one, two, paired=False, draws=20_000)
    assert "exact" in exact.test
    assert "20000 draws" in drawn.test
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.015)


# ---- properties


@settings(max_examples=50, deadline=None)
@given(GAPS)
def test_swapping_the_models_keeps_the_p_value(gaps):
    column = np.array(gaps)
    assert sign_flip(column) == sign_flip(-column)
    assert sign_test(gaps) == sign_test(-column)
    one, two = (sign_flip(column * s, alternative=a) for s, a in ((1, "greater"), (-1, "less")))
    assert one.p_value == pytest.approx(two.p_value)


def test_swapping_keeps_the_p_value_of_drawn_signs():
    gaps = stream(5, "x").normal(0.2, 1, 60)
    assert sign_flip(gaps) == sign_flip(-gaps[::-1])


def test_exact_level_holds_over_all_signs():
    # under the null every sign pattern is equally likely; count how many give p at most α
    sizes = np.array([0.3, 1.0, 1.0, 2.5, 4.0, 0.7, 1.9])
    p = np.array([sign_flip(sizes * s).p_value for s in itertools.product((-1, 1), repeat=7)])
    for alpha in (0.02, 0.05, 0.1, 0.5):
        assert (p <= alpha).mean() <= alpha
    assert (p <= 2 / 128).mean() == 2 / 128


def test_drawn_p_value_counts_the_observed_one():
    # nothing drawn is as extreme as forty equal signs: (0 + 1) / (999 + 1)
    assert sign_flip(np.arange(1.0, 41.0), draws=999).p_value == 1 / 1000
    far = permutation_test(np.arange(30) + 100, np.arange(30), paired=False, draws=999)
    assert far.p_value == 2 / 1000


def test_zero_differences_change_nothing():
    assert sign_flip(np.array([1.0, 2.0, 0.0, 0.0, 3.0])) == sign_flip(np.array([1.0, 2.0, 3.0]))
    assert sign_flip(np.zeros(5)).p_value == 1.0


def test_clusters_are_flipped_whole():
    gaps, clusters = [1.0, 1.0, 2.0, 3.0], ["a", "a", "b", "b"]
    assert permutation_test(gaps, clusters=clusters).p_value == 0.5
    assert permutation_test(gaps).p_value == 2 / 16


def test_chunks_do_not_change_exact_counts(monkeypatch):
    gaps = np.array([1.0, -2.0, 3.5, 4.0, 1.5, 0.5, 2.0, -1.0, 6.0, 3.0])
    whole = sign_flip(gaps)
    monkeypatch.setattr(module, "CELLS", 77)
    assert sign_flip(gaps) == whole


# ---- edges


def test_unknown_pairs_are_left_out():
    found = sign_test([1, 2, math.nan, 4], [0, 0, 0, math.nan])
    assert (found.p_value, found.n) == (0.5, 2)
    assert mcnemar([1, 1, math.nan], [0, 0, 1]).n == 2
    assert permutation_test([3.0, math.nan, 4.0], [1.0, 2.0], paired=False).n == 4


def test_nothing_to_test_is_nan():
    assert math.isnan(sign_test([], []).p_value)
    assert math.isnan(sign_flip(np.array([])).p_value)
    assert math.isnan(permutation_test([], [1.0], paired=False).p_value)
    assert sign_test([1, 2], [1, 2]).p_value == 1.0


def test_mistakes_are_told():
    with pytest.raises(DataError, match="not binary"):
        mcnemar([0.5, 1], [0, 1])
    with pytest.raises(DataError, match="length"):
        sign_test([1, 2], [1])
    with pytest.raises(UsageError, match="alternative"):
        sign_test([1, 2], alternative="bigger")
    with pytest.raises(UsageError, match="alternative"):
        sign_flip(np.ones(3), alternative="bigger")
    with pytest.raises(UsageError, match="not paired"):
        permutation_test([1, 2], paired=False)
    with pytest.raises(UsageError, match="draws"):
        sign_flip(np.ones(3), draws=3)
