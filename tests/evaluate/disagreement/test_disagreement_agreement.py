"""κ and xRR: by hand, against the published numbers, and what they are alike to."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rater_toys import DATA, crossed, people, rows_of

from togi.errors import DataError, UsageError
from togi.evaluate.disagreement.agreement import (
    cohen,
    estimate,
    fleiss,
    label_distances,
    normalised_xrr,
    xrr,
)
from togi.stats.alpha import krippendorff
from togi.stats.rng import stream

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the published data are not here")


def test_cohens_kappa_by_hand():
    # 50 items, a 2 × 2 table of 20, 5, 10, 15: observed .7, by chance .5 (Cohen 1960's form)
    one = np.repeat([0, 0, 1, 1], [20, 5, 10, 15])
    two = np.repeat([0, 1, 0, 1], [20, 5, 10, 15])
    assert cohen(one, two, 2).value == pytest.approx((0.7 - 0.5) / 0.5)
    found = estimate(cohen(one, two, 2))
    assert found.low < found.mean < found.high
    assert found.n == 50


def test_weighted_kappa_by_hand():
    # off by one weighs 1/4 of off by two when squared: (1/4) [one off] against chance
    one, two = np.array([0, 1, 2, 2]), np.array([0, 1, 2, 1])
    table = np.zeros((3, 3))
    np.add.at(table, (one, two), 0.25)
    far = np.array([[0, 1, 4], [1, 0, 1], [4, 1, 0]])
    chance = (np.outer(table.sum(1), table.sum(0)) * far).sum()
    assert cohen(one, two, 3, "quadratic").value == pytest.approx(1 - 0.25 / chance)
    assert cohen(one, two, 3, "linear").value > cohen(one, two, 3).value


def test_fleiss_own_example():
    # Fleiss 1971, table 1 in the widely copied form: 10 subjects, 14 raters, 5 categories: .210
    table = np.array([
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ])  # fmt: skip
    assert fleiss(table).value == pytest.approx(0.210, abs=5e-4)


def test_fleiss_and_alpha_differ_by_the_small_sample_term_only():
    counts = crossed(people(0)[0]).counts
    n = counts.sum()
    alpha, kappa = krippendorff(counts), fleiss(counts).value
    assert alpha == pytest.approx(1 - (1 - kappa) * (n - 1) / n, abs=1e-12)


def test_kappa_refuses_what_it_cannot_take():
    with pytest.raises(DataError, match=r"same number of raters.*Krippendorff's α takes any"):
        fleiss(np.array([[2, 1], [1, 1]]))
    with pytest.raises(DataError, match="differ in length"):
        cohen(np.array([0, 1]), np.array([0]), 2)
    assert math.isnan(cohen(np.array([0, 0]), np.array([0, 0]), 2).value)


# --- cross-replication reliability --------------------------------------------------------------


@needs_data
def test_xrr_equals_the_official_unit_test():
    found = json.loads((DATA / "xrr_unit_oracle.json").read_text())
    names = sorted(set(found["A"]) | set(found["B"]))
    sides = [np.array([found[side].get(name, [0, 0]) for name in names]) for side in "AB"]
    assert xrr(*sides).value == pytest.approx(found["kappa_x"], abs=1e-7)


@needs_data
def test_xrr_equals_the_published_charts():
    rows = rows_of("xrr_chart_counts.csv")
    counts = np.zeros((2, 1 + max(int(row["item"]) for row in rows), 2))
    for row in rows:
        counts[int(row["half"]) - 1, int(row["item"]), int(row["answer"])] = float(row["raters"])
    found = xrr(*counts)
    total = found.rows.sum(axis=0)
    assert total[0] / total[1] == pytest.approx(0.4987779910883, abs=1e-12)
    assert 1 - total[0] / total[1] / (1 - found.value) == pytest.approx(1 - 0.5000250606939)
    assert found.value == pytest.approx(0.0024940142, abs=1e-9)
    told = estimate(found)
    assert told.n == 400
    assert told.low < 0 < told.high


def by_pairs(first: np.ndarray, second: np.ndarray) -> float:
    """κx by its definition, every pair of ratings one by one."""
    x = [np.repeat(np.arange(len(row)), row) for row in first]
    y = [np.repeat(np.arange(len(row)), row) for row in second]
    kept = [i for i in range(len(x)) if len(x[i]) and len(y[i])]
    r, s = sum(len(x[i]) for i in kept), sum(len(y[i]) for i in kept)
    observed = sum(
        (len(x[i]) + len(y[i])) / (len(x[i]) * len(y[i])) * sum(a != b for a in x[i] for b in y[i])
        for i in kept
    ) / (r + s)
    pairs = sum(a != b for i in kept for j in kept for a in x[i] for b in y[j])
    return 1 - observed / (pairs / (r * s))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_xrr_equals_its_definition_and_is_symmetric(seed):
    first, second = stream(seed, "xrr").integers(0, 4, (2, 6, 3))
    if not ((first.sum(1) > 0) & (second.sum(1) > 0)).any():
        return
    found = xrr(first, second).value
    assert found == pytest.approx(xrr(second, first).value, nan_ok=True)
    if not math.isnan(found):
        assert found == pytest.approx(by_pairs(first, second))


def test_xrr_of_a_large_group_with_its_twin_nears_alpha():
    """Two halves of one crowd agree across as they agree within."""
    given_labels, _ = people(3, items=200, raters=60)
    table = crossed(given_labels)
    side = np.arange(60) < 30
    halves = [table.only(side).counts, table.only(~side).counts]
    assert xrr(*halves).value == pytest.approx(krippendorff(table.counts), abs=0.03)
    assert normalised_xrr(*halves).value == pytest.approx(1, abs=0.1)


def test_xrr_without_shared_items_or_shape():
    assert math.isnan(xrr(np.array([[1, 0], [0, 0]]), np.array([[0, 0], [0, 1]])).value)
    with pytest.raises(DataError, match="differ in shape"):
        xrr(np.ones((2, 2)), np.ones((2, 3)))
    with pytest.raises(DataError, match="rated twice or more by both"):
        normalised_xrr(np.array([[1, 0]]), np.array([[0, 2]]))
    with pytest.raises(UsageError, match="nominal, interval"):
        label_distances("ordinal", np.arange(3.0))


def test_xrr_with_distances_counts_how_far_apart():
    near, far = np.array([[2, 0, 0], [0, 2, 0]]), np.array([[0, 2, 0], [0, 0, 2]])
    squares = label_distances("interval", np.array([0.0, 1.0, 2.0]))
    # observed: (1 + 1) / 2 = 1; expected over pairs of {0, 1} and {1, 2}: (1 + 4 + 0 + 1) / 4
    assert xrr(near, far, squares).value == pytest.approx(1 - 1 / 1.5)
