"""Holm and Benjamini–Hochberg: by hand, against scipy, and what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.errors import DataError
from togi.stats import benjamini_hochberg, holm, stream

P = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_holm_by_hand():
    # .01 · 4, .03 · 3 = .09, .04 · 2 = .08 raised to .09, .20 · 1
    assert holm([0.04, 0.20, 0.01, 0.03]) == pytest.approx([0.09, 0.20, 0.04, 0.09])


def test_benjamini_hochberg_by_hand():
    # .01 · 4 / 1, .03 · 4 / 2 = .06 lowered to .04 · 4 / 3 = .0533, .20
    assert benjamini_hochberg([0.04, 0.20, 0.01, 0.03]) == pytest.approx(
        [0.16 / 3, 0.20, 0.04, 0.16 / 3]
    )


@settings(deadline=None)
@given(P)
def test_benjamini_hochberg_equals_scipys(p):
    assert benjamini_hochberg(p) == pytest.approx(scipy.stats.false_discovery_control(p))


@settings(deadline=None)
@given(P)
def test_holm_equals_its_definition(p):
    """The k-th smallest is rejected at α iff all up to it pass α / (m − rank)."""
    m, adjusted = len(p), holm(p)
    for alpha in (0.01, 0.05, 0.3):
        rejected, failed = [False] * m, False
        for rank, place in enumerate(np.argsort(p, kind="stable")):
            failed = failed or p[place] * (m - rank) > alpha
            rejected[place] = not failed
        assert (adjusted <= alpha).tolist() == rejected


@settings(deadline=None)
@given(P)
def test_order_of_strictness(p):
    m = len(p)
    bonferroni = np.minimum(1, np.array(p) * m)
    assert (np.array(p) <= benjamini_hochberg(p) + 1e-12).all()
    assert (benjamini_hochberg(p) <= holm(p) + 1e-12).all()
    assert (holm(p) <= bonferroni + 1e-12).all()


@settings(deadline=None)
@given(P, st.integers(0, 11))
def test_unknown_p_values_stay_and_do_not_count(p, at):
    at = min(at, len(p))
    with_gap = [*p[:at], math.nan, *p[at:]]
    for adjust in (holm, benjamini_hochberg):
        found = adjust(with_gap)
        assert math.isnan(found[at])
        assert np.delete(found, at) == pytest.approx(adjust(p))


def test_family_error_holds():
    rng = stream(0, "family")
    p = rng.random((4000, 5))
    p[:, 0] **= 8  # one true effect among four true nulls
    wrong = np.array([(holm(row)[1:] <= 0.1).any() for row in p])
    assert 0.05 < wrong.mean() < 0.1 + 3 * math.sqrt(0.09 / 4000)


def test_false_discoveries_hold():
    rng = stream(0, "discoveries")
    p = rng.random((3000, 10))
    p[:, :5] **= 10
    shares = []
    for row in p:
        called = benjamini_hochberg(row) <= 0.2
        shares.append(called[5:].sum() / max(1, called.sum()))
    assert np.mean(shares) == pytest.approx(0.2 * 5 / 10, abs=0.015)  # q · share of true nulls


def test_nothing_and_nonsense():
    assert holm([]).tolist() == []
    assert benjamini_hochberg([]).tolist() == []
    with pytest.raises(DataError, match="0 to 1"):
        holm([0.5, 1.5])
