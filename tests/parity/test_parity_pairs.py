"""Parity with statsmodels and scikit-learn: Bradley–Terry strengths, Cohen's kappa."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("statsmodels")
pytest.importorskip("sklearn")

import statsmodels.api as sm
from sklearn import metrics

from togi.stats import stream
from togi.stats.bradley_terry import bradley_terry
from togi.stats.judge_agreement import cohen_kappa


@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_strengths_are_those_of_a_logistic_regression(size):
    """One row a comparison: +1 for the one model, −1 for the other, the first left out."""
    rng = stream(size, "parity")
    design, won = [], []
    wins = np.zeros((size, size))
    for one in range(size):
        for two in range(size):
            for _ in range(int(rng.integers(2, 9)) * (one != two)):
                row = np.zeros(size)
                row[one], row[two] = 1, -1
                design.append(row[1:])
                won.append(1.0)
                wins[one, two] += 1
    # half of the rows are told from the loser's side, so that both outcomes occur
    design, won = np.array(design), np.array(won)
    design[::2], won[::2] = -design[::2], 0.0
    fit = sm.Logit(won, design).fit(disp=0, tol=1e-12)
    np.testing.assert_allclose(bradley_terry(wins)[1:], fit.params, atol=1e-6)


def test_ties_are_half_a_win_for_each_as_fractional_outcomes():
    credit = stream(0, "ties").choice([0, 0.5, 1], size=(60, 3))
    pairs = [(1, 0), (2, 0), (2, 1)]
    wins, design, outcome = np.zeros((3, 3)), [], []
    for place, (one, two) in enumerate(pairs):
        wins[one, two], wins[two, one] = credit[:, place].sum(), (1 - credit[:, place]).sum()
        row = np.zeros(3)
        row[one], row[two] = 1, -1
        design += [row[1:]] * len(credit)
        outcome += credit[:, place].tolist()
    fit = sm.GLM(outcome, np.array(design), family=sm.families.Binomial()).fit(tol=1e-12)
    np.testing.assert_allclose(bradley_terry(wins)[1:], fit.params, atol=1e-6)


def test_kappa_is_scikit_learns():
    rng = stream(1, "kappa")
    for _ in range(20):
        one = rng.choice([0, 0.5, 1], size=40)
        two = np.where(rng.random(40) < 0.6, one, rng.choice([0, 0.5, 1], size=40))
        theirs = metrics.cohen_kappa_score((2 * one).astype(int), (2 * two).astype(int))
        assert cohen_kappa(one, two, draws=100).mean == pytest.approx(theirs)
