"""Krippendorff's α and intervals of functions of sums: by hand, properties, coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.errors import DataError, UsageError
from togi.stats.alpha import LEVELS, alpha_estimate, alpha_sums, krippendorff
from togi.stats.bootstrap import bootstrap_mean
from togi.stats.rng import stream
from togi.stats.smooth import smooth_estimate

# Krippendorff 2011, part C: four coders, twelve units, five values, with gaps; two published
# figures and, for the pair of coders C and D, one more.
CODERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


def counted(rows, labels) -> np.ndarray:
    """Counts of a coders × units table in which None is a missing rating."""
    return np.array(
        [[sum(v == k for v in unit) for k in labels] for unit in zip(*rows, strict=True)]
    )


def drawn(seed: int, items: int, raters: int, labels: int) -> np.ndarray:
    """Counts of labels given at random."""
    given_labels = stream(seed, "alpha").integers(0, labels, (items, raters))
    return np.stack([(given_labels == k).sum(axis=1) for k in range(labels)], axis=1)


@pytest.mark.parametrize(
    ("level", "published"),
    [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)],
)
def test_alpha_of_krippendorffs_own_example(level, published):
    counts = counted(CODERS, [1, 2, 3, 4, 5])
    assert krippendorff(counts, level, [1, 2, 3, 4, 5]) == pytest.approx(published, abs=5e-4)


def test_alpha_by_hand():
    # two coders, ten units (Krippendorff 2011, part A): 0s and 1s, 4 units disagree;
    # n = 20, n0 = 14, n1 = 6; α = 1 − 19 · (4 · 2) / (2 · 14 · 6)
    one, two = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    counts = counted([one, two], [0, 1])
    assert krippendorff(counts) == pytest.approx(1 - 19 * 8 / (2 * 14 * 6))
    assert krippendorff(counts) == pytest.approx(0.095, abs=5e-4)


@pytest.mark.parametrize("level", LEVELS)
def test_perfect_agreement_is_one_and_one_label_is_undefined(level):
    counts = np.array([[3, 0, 0], [0, 2, 0], [0, 0, 4]])
    assert krippendorff(counts, level) == 1
    assert math.isnan(krippendorff(counts[:1], level))
    assert math.isnan(alpha_estimate(counts[:1], level).mean)


@pytest.mark.parametrize("level", LEVELS)
def test_items_with_one_rating_and_labels_that_nobody_gave_change_nothing(level):
    counts = drawn(1, 12, 4, 3)
    values = [1.0, 2.0, 5.0]
    alone = np.vstack([counts, [1, 0, 0], [0, 0, 0]])
    assert krippendorff(alone, level, values) == pytest.approx(krippendorff(counts, level, values))
    wider = np.insert(counts, 1, 0, axis=1)
    found = krippendorff(wider, level, [1.0, 1.5, 2.0, 5.0])
    assert found == pytest.approx(krippendorff(counts, level, values))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(LEVELS))
def test_order_of_items_and_scale_of_values_change_nothing(seed, level):
    counts = drawn(seed, 9, 3, 4)
    values = np.array([1.0, 2.0, 4.0, 7.0])
    alpha = krippendorff(counts, level, values)
    shuffled = counts[stream(seed, "order").permutation(len(counts))]
    assert krippendorff(shuffled, level, values) == pytest.approx(alpha, abs=1e-12)
    assert krippendorff(counts, level, values * 3) == pytest.approx(alpha, abs=1e-9)
    if level == "interval":
        assert krippendorff(counts, level, values + 1e6) == pytest.approx(alpha, abs=1e-6)
    if level == "nominal":
        assert krippendorff(counts[:, ::-1], level) == pytest.approx(alpha, abs=1e-12)


def test_two_labels_make_all_levels_alike():
    counts = drawn(3, 30, 5, 2)
    found = [krippendorff(counts, level, [1.0, 3.0]) for level in LEVELS]
    assert found == pytest.approx([found[0]] * 4)


def test_interval_equals_its_definition_by_pairs():
    counts = drawn(4, 15, 4, 6)
    values = np.array([0.0, 1.0, 1.5, 3.0, 4.0, 9.0])
    total = counts.sum(axis=0)
    far = (values[:, None] - values[None, :]) ** 2
    n = counts.sum(axis=1)
    observed = ((counts @ far) * counts).sum(axis=1) / (n - 1)
    expected = total @ far @ total / (total.sum() - 1)
    assert krippendorff(counts, "interval", values) == pytest.approx(
        1 - observed.sum() / expected, abs=1e-12
    )


def test_random_labels_are_near_zero_and_intervals_cover_it():
    """95 % intervals of 200 tables of random labels hold 0 in about 95 % of them."""
    held, known, total = 0, 0, 0.0
    for seed in range(200):
        found = alpha_estimate(drawn(seed, 40, 5, 3), draws=600, seed=seed)
        known += found.known
        held += found.low <= 0 <= found.high
        total += found.mean
    assert known == 200
    assert 0.90 <= held / 200 <= 0.985
    assert abs(total / 200) < 0.01


def test_the_interval_does_not_depend_on_the_order_of_items():
    counts = drawn(5, 25, 4, 3)
    assert alpha_estimate(counts, seed=3) == alpha_estimate(counts[::-1], seed=3)
    assert alpha_estimate(counts, seed=3) != alpha_estimate(counts, seed=4)


def test_a_single_item_has_no_interval_and_agreement_without_exception_none_below_29():
    alone = alpha_estimate(np.array([[2, 1]]))
    assert math.isfinite(alone.mean)
    assert math.isnan(alone.low)
    perfect = np.array([[2, 0], [0, 2]] * 10)
    assert math.isnan(alpha_estimate(perfect).low)
    assert (alpha_estimate(np.vstack([perfect] * 2)).low) == 1


def test_bad_input_is_told():
    with pytest.raises(DataError, match="numbers of at least 0"):
        krippendorff(np.array([[1, -1]]))
    with pytest.raises(DataError, match="items × labels"):
        krippendorff(np.array([1, 2, 3]))
    with pytest.raises(DataError, match="one value for each label"):
        krippendorff(np.array([[1, 1]]), "interval", [1, 2, 3])
    with pytest.raises(DataError, match=r"no values below 0.*level 'interval'"):
        krippendorff(np.array([[1, 1]]), "ratio", [-1, 2])
    with pytest.raises(UsageError, match="did you mean 'ordinal'"):
        krippendorff(np.array([[1, 1]]), "ordinl")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"too many distinct labels.*bins"):
        krippendorff(np.ones((500, 400)), "ordinal")
    assert math.isfinite(krippendorff(np.eye(400)[::2] + 1, "interval"))


# --- functions of sums --------------------------------------------------------------------------


def test_a_mean_as_a_function_of_sums_has_the_means_interval():
    values = stream(0, "values").exponential(size=40)
    rows = np.column_stack([np.ones(40), values])
    found = smooth_estimate(rows, lambda s: s[:, 1] / s[:, 0], seed=1)
    plain = bootstrap_mean(values, seed=1)
    assert found.mean == pytest.approx(plain.mean)
    assert found.low == pytest.approx(plain.low, abs=0.03)  # other draws, the same method
    assert found.high == pytest.approx(plain.high, abs=0.03)


def test_a_statistic_that_is_mostly_undefined_has_no_interval():
    rows = np.array([[1.0]] * 9 + [[50.0]])
    found = smooth_estimate(rows, lambda s: np.where(s[:, 0] > 100, np.nan, s[:, 0]))
    assert (found.n, math.isnan(found.low)) == (10, False)
    found = smooth_estimate(rows, lambda s: np.where(s[:, 0] != 59, np.nan, s[:, 0]))
    assert math.isnan(found.low)


def test_rows_must_be_finite():
    with pytest.raises(DataError, match="finite"):
        smooth_estimate(np.array([[math.nan]]), lambda s: s[:, 0])
    assert math.isnan(smooth_estimate(np.zeros((0, 2)), lambda s: s[:, 0]).mean)


def test_jackknife_of_alpha_is_leaving_items_out():
    counts = drawn(7, 8, 3, 3)
    summed = alpha_sums(counts)
    total = summed.rows.sum(axis=0)
    fast = summed.statistic(total - summed.rows)
    slow = [krippendorff(np.delete(counts, i, axis=0)) for i in range(8)]
    assert fast == pytest.approx(slow)
