"""Bootstrap: numbers by hand, parity with scipy, invariance, and what is done at the edges."""

from __future__ import annotations

import math
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.errors import DataError, UsageError
from togi.stats import bootstrap as module
from togi.stats import bootstrap_mean, bootstrap_ratio, stream
from togi.stats.bounds import student_bounds, units_to_trust_sameness
from togi.stats.units import jackknife, standard_error, to_units

COLUMNS = st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=6, max_size=25).filter(
    lambda column: len(set(column)) > 2
)
EXPONENTIAL = stream(1, "test").exponential(size=40)


def test_importing_the_statistics_does_not_load_scipy():
    code = "import sys, togi.stats; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- numbers worked by hand


def test_two_units_get_students_interval():
    # mean 2, s = √2, se = 1, t(.975, 1) = 12.7062
    found = bootstrap_mean([1.0, 3.0])
    assert (found.mean, found.n) == (2.0, 2)
    assert found.low == pytest.approx(2 - 12.7062, abs=1e-3)
    assert found.high == pytest.approx(2 + 12.7062, abs=1e-3)


def test_percentile_of_every_resample_of_two_is_the_range():
    # of {0, 4} the resampled mean is 0, 2, 4 with 1/4, 1/2, 1/4: both 2.5 % tails are the ends
    found = bootstrap_mean([0.5, 4.5], method="percentile")
    assert (found.low, found.high) == (0.5, 4.5)


def test_ratio_weighs_long_texts_more():
    found = bootstrap_ratio([10.0, 1.0, 9.0], [20.0, 1.0, 9.0])
    assert found.mean == pytest.approx(20 / 30)


def test_clusters_are_the_units():
    found = bootstrap_mean([1, 2, 3, 10, 20, 30, 7], clusters=list("aaabbbc"))
    assert found.n == 3
    assert found.mean == pytest.approx(73 / 7)


def test_singleton_clusters_are_no_clusters():
    assert bootstrap_mean(EXPONENTIAL, clusters=np.arange(40)) == bootstrap_mean(EXPONENTIAL)


def test_effective_number_of_units_by_hand():
    # sizes 1, 1, 4: 6² / 18
    units = to_units(np.ones(3), np.array([1.0, 1.0, 4.0]), None)
    assert units.effective == pytest.approx(2.0)


def test_standard_error_of_a_ratio_by_hand():
    # ratios without one: 8/4, 6/3, 6/5 → mean 1.7333, Σ(…)² = .42667; √(2/3 · .42667)
    units = to_units(np.array([2.0, 4.0, 4.0]), np.array([2.0, 3.0, 1.0]), None)
    assert standard_error(units) == pytest.approx(math.sqrt(2 / 3 * 0.426667), rel=1e-5)


def test_acceleration_by_hand():
    # mean of {0, 0, 3} is 1; jackknife means 1.5, 1.5, 0; spread −.5, −.5, 1; Σ³ = .75, Σ² = 1.5
    moves = jackknife(to_units(np.array([0.0, 0.0, 3.0]), None, None))
    assert moves.tolist() == [0.5, 0.5, -1.0]
    assert module.acceleration_of(moves) == pytest.approx(0.75 / (6 * 1.5**1.5))


def test_bias_counts_ties_half():
    offsets = np.array([-1.0, -1.0, 0.0, 0.0, 2.0])  # share below: (2 + 1) / 5 = .6
    assert module.bias_of(offsets) == pytest.approx(0.253347, abs=1e-6)


# ---- parity with scipy


def test_bca_and_percentile_equal_scipys_on_scipys_own_draws():
    for level in (0.8, 0.95, 0.99):
        kwargs = {"confidence_level": level, "n_resamples": 1999}
        theirs = scipy.stats.bootstrap(
            (EXPONENTIAL,), np.mean, method="BCa", rng=np.random.default_rng(3), **kwargs
        )
        draws = np.sort(theirs.bootstrap_distribution)
        bias = module.bias_of(draws - EXPONENTIAL.mean())
        acceleration = module.acceleration_of(jackknife(to_units(EXPONENTIAL, None, None)))
        for z, bound in zip(
            scipy.stats.norm.ppf([(1 - level) / 2, (1 + level) / 2]),
            theirs.confidence_interval,
            strict=True,
        ):
            share = module.bca_share(z, bias, acceleration)
            assert module._quantile(draws, share) == pytest.approx(bound, rel=1e-9)
        plain = scipy.stats.bootstrap(
            (EXPONENTIAL,), np.mean, method="percentile", rng=np.random.default_rng(3), **kwargs
        )
        ours = module.percentile_bounds(
            1 - level, ordered=np.sort(np.asarray(plain.bootstrap_distribution))
        )
        assert ours == pytest.approx(tuple(plain.confidence_interval), rel=1e-9)


def test_ratio_agrees_with_scipy_end_to_end():
    rng = stream(2, "test")
    den = rng.integers(5, 80, size=300).astype(float)
    num = den * rng.gamma(2.0, 0.5, size=300)
    ours = bootstrap_ratio(num, den, draws=9999)
    theirs = scipy.stats.bootstrap(
        (num, den),
        lambda n, d, axis: n.sum(axis=axis) / d.sum(axis=axis),
        paired=True,
        method="BCa",
        n_resamples=9999,
        rng=np.random.default_rng(0),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)


def test_large_samples_come_to_the_normal_interval():
    values = stream(3, "test").normal(5, 2, size=4000)
    half = 1.96 * values.std(ddof=1) / math.sqrt(4000)
    for method in ("bca", "percentile", "studentised"):
        found = bootstrap_mean(values, method=method, draws=4000)
        assert found.high - found.low == pytest.approx(2 * half, rel=0.06)


def test_studentising_by_hand_on_all_resamples():
    # every resample of three values, its t statistic worked out the long way
    values = np.array([1.0, 2.0, 6.0])
    picks = np.stack(np.meshgrid(*[range(3)] * 3), axis=-1).reshape(-1, 3)
    rest = values - 3.0
    table = rest[picks]
    ones = np.ones_like(table)
    columns = (table, ones, table**2, table, ones)
    sums = np.column_stack([column.sum(axis=1) for column in columns])
    spread = values[picks].std(axis=1, ddof=1)
    keep = spread > 0
    expected = (values[picks].mean(axis=1) - 3)[keep] / (spread[keep] / math.sqrt(3))
    ours = module._studentise(rest, np.ones(3), sums)
    assert ours == pytest.approx(np.sort(expected))


# ---- properties


@settings(max_examples=25, deadline=None)
@given(COLUMNS, st.randoms(use_true_random=False))
def test_order_of_samples_does_not_matter(values, shuffler):
    other = list(values)
    shuffler.shuffle(other)
    assert bootstrap_mean(values, draws=200) == bootstrap_mean(other, draws=200)


@settings(max_examples=25, deadline=None)
@given(COLUMNS, st.floats(0.01, 100), st.floats(-100, 100))
def test_shift_and_scale_go_through(values, scale, shift):
    one = bootstrap_mean(values, draws=200)
    two = bootstrap_mean([scale * value + shift for value in values], draws=200)
    room = 1e-6 * (scale * 100 + abs(shift))
    for ours, theirs in ((one.mean, two.mean), (one.low, two.low), (one.high, two.high)):
        assert theirs == pytest.approx(scale * ours + shift, abs=room)


@settings(max_examples=25, deadline=None)
@given(COLUMNS, st.sampled_from(["bca", "percentile", "studentised"]))
def test_more_confidence_is_never_narrower(values, method):
    units = to_units(np.array(values), None, None)
    bounds = module.ratio_bounds(units, method, 300, 0)
    lows, highs = zip(*(bounds(alpha) for alpha in (0.5, 0.2, 0.1, 0.05, 0.01, 1e-3)), strict=True)
    room = 1e-12 * np.abs(values).max()
    assert (np.diff(lows) <= room).all()
    assert (np.diff(highs) >= -room).all()


@settings(max_examples=20, deadline=None)
@given(COLUMNS)
def test_estimate_lies_in_its_interval(values):
    found = bootstrap_mean(values, draws=300)
    assert found.low <= found.mean <= found.high


def test_order_does_not_matter_with_clusters_and_ratios():
    rng = stream(4, "test")
    num, den, group = rng.normal(size=50), rng.integers(1, 9, 50), rng.integers(0, 12, 50)
    order = rng.permutation(50)
    names = np.array([f"module {code}" for code in group])
    one = bootstrap_ratio(num, den, clusters=names)
    assert one == bootstrap_ratio(num[order], den[order], clusters=(11 - group)[order])


# ---- equivalence


def test_chunks_do_not_change_the_draws(monkeypatch):
    whole = bootstrap_mean(EXPONENTIAL)
    monkeypatch.setattr(module, "CELLS", 40 * 7)
    pieces = bootstrap_mean(EXPONENTIAL)
    assert (pieces.low, pieces.high) == pytest.approx((whole.low, whole.high), rel=1e-12)


def test_resampled_sums_equal_the_plain_way():
    columns = np.column_stack([EXPONENTIAL, EXPONENTIAL**2])
    sums = module.resampled_sums(columns, 150, stream(9, "x"))
    picks = stream(9, "x").integers(0, 40, size=(150, 40))
    assert sums == pytest.approx(columns[picks].sum(axis=1))


def test_same_seed_same_interval_other_seed_another():
    assert bootstrap_mean(EXPONENTIAL, seed=5) == bootstrap_mean(EXPONENTIAL, seed=5)
    assert bootstrap_mean(EXPONENTIAL, seed=5).low != bootstrap_mean(EXPONENTIAL, seed=6).low


def test_no_digits_are_lost_far_from_zero():
    near, far = bootstrap_mean(EXPONENTIAL), bootstrap_mean(EXPONENTIAL + 1e8)
    assert far.high - far.low == pytest.approx(near.high - near.low, rel=1e-6)


# ---- edges: unknown is NaN, never zero


@pytest.mark.parametrize("values", [[], [1.0], [math.nan, math.nan], [2.5, math.nan]])
@pytest.mark.parametrize("method", ["bca", "percentile", "studentised"])
def test_below_two_units_nothing_is_known(values, method):
    found = bootstrap_mean(values, method=method)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.n == sum(not math.isnan(value) for value in values)
    assert math.isnan(found.mean) == (found.n == 0)


def test_one_cluster_is_one_unit():
    found = bootstrap_mean([1.0, 2.0, 3.0], clusters=["a"] * 3)
    assert (found.mean, found.n, found.known) == (2.0, 1, False)


def test_nan_is_left_out():
    assert bootstrap_mean([*EXPONENTIAL, math.nan]) == bootstrap_mean(EXPONENTIAL)
    assert bootstrap_ratio([1, 2, math.nan, 4], [1, math.nan, 3, 4]).n == 2


def test_all_equal_needs_many_before_it_is_certain():
    need = units_to_trust_sameness(0.05)
    assert 0.9**need <= 0.05 < 0.9 ** (need - 1)
    assert not bootstrap_mean([0.7] * (need - 1)).known
    found = bootstrap_mean([0.7] * need)
    assert (found.low, found.high) == pytest.approx((0.7, 0.7))
    assert not bootstrap_mean([0.7] * need, level=0.99).known


def test_all_right_or_all_wrong_is_a_proportion():
    z2 = scipy.stats.norm.ppf(0.975) ** 2
    right, wrong = bootstrap_mean([True] * 20), bootstrap_mean([0] * 20)
    assert (right.low, right.high) == (pytest.approx(20 / (20 + z2)), 1.0)
    assert (wrong.low, wrong.high) == (0.0, pytest.approx(z2 / (20 + z2)))
    assert bootstrap_mean([1] * 40, clusters=[0, 1] * 20).n == 2


def test_nothing_to_divide_by_is_nan():
    found = bootstrap_ratio([0.0, 0.0, 1.0], [0.0, 0.0, 0.0])
    assert math.isnan(found.mean)
    assert not found.known
    assert not bootstrap_ratio([0.0, 2.0, 0.0], [0.0, 4.0, 0.0]).known


def test_resamples_without_a_denominator_are_left_out():
    found = bootstrap_ratio([0.0] * 4 + [1.0, 2.0], [0.0] * 4 + [2.0, 2.0])
    assert found.known
    assert found.mean == 0.75


def test_studentised_on_two_units_is_students():
    found = bootstrap_mean([1.0, 3.0], method="studentised")
    expected = student_bounds(0.05, value=2.0, se=1.0, df=1)
    assert (found.low, found.high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: bootstrap_mean([1.0, math.inf]), DataError),
        (lambda: bootstrap_mean([[1.0], [2.0]]), DataError),
        (lambda: bootstrap_mean([1.0, 2.0], clusters=["a"]), DataError),
        (lambda: bootstrap_ratio([1.0], [1.0, 2.0]), DataError),
        (lambda: bootstrap_ratio([1.0, 2.0], [1.0, -2.0]), DataError),
        (lambda: bootstrap_mean([1.0, 2.0], level=95), UsageError),
        (lambda: bootstrap_mean([1.0, 2.0], draws=10), UsageError),
        (partial(bootstrap_mean, [1.0, 2.0], method="bcs"), UsageError),
    ],
)
def test_mistakes_are_told(call, error):
    with pytest.raises(error):
        call()
