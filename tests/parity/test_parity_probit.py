"""Parity with statsmodels' Probit: weights, errors, log-likelihood, clustered errors, to 1e-6."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("statsmodels")

import statsmodels.api as sm
from scipy.stats import norm

from togi.evaluate.personas.bandit import Beliefs, Rules, columns_of, draw_games
from togi.evaluate.personas.lockstep import play
from togi.evaluate.personas.persona import persona
from togi.evaluate.personas.players import STRATEGIES, Simulated
from togi.stats.probit import probit
from togi.stats.special import log_normal_cdf

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mend


def same(x: np.ndarray, y: np.ndarray, games: np.ndarray) -> None:
    """Compare everything that both packages tell."""
    ours = probit(x, y, clusters=games)
    model = sm.Probit(y.astype(float), x)
    theirs = model.fit(disp=0, method="newton", tol=1e-12, maxiter=100)
    clustered = model.fit(
        disp=0, method="newton", tol=1e-12, maxiter=100, cov_type="cluster",
        cov_kwds={"groups": games},
    )  # fmt: skip
    assert ours.weights == pytest.approx(theirs.params, rel=1e-6, abs=1e-8)
    assert ours.errors() == pytest.approx(theirs.bse, rel=1e-6)
    assert ours.loglik == pytest.approx(theirs.llf, rel=1e-9)
    assert ours.covariance == pytest.approx(theirs.cov_params(), rel=1e-6, abs=1e-10)
    assert np.sqrt(np.diagonal(ours.robust)) == pytest.approx(clustered.bse, rel=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_random_rows(seed):
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(80, 600)), int(rng.integers(1, 5))
    x = np.column_stack([np.ones(n), rng.standard_normal((n, k)) * rng.uniform(0.1, 10, k)])
    weights = rng.uniform(-1, 1, k + 1) / np.r_[1, x[:, 1:].std(axis=0)]
    same(x, rng.standard_normal(n) < x @ weights, rng.integers(0, n // 6, n))


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("bias", [True, False])
def test_games_of_simulated_players(name, bias):
    games = draw_games(300, Rules(), seed=5)
    played = play(Simulated(name), (persona("none"),), games)
    x = columns_of(games, played.arms[0])[..., 0 if bias else 1 :]
    y = (played.arms[0] == 0).ravel()
    same(x.reshape(-1, x.shape[2]), y, np.repeat(np.arange(300), 10))


def test_log_normal_cdf_is_scipys():
    z = np.linspace(-40, 10, 401)
    assert log_normal_cdf(z) == pytest.approx(norm.logcdf(z), rel=1e-12)


def test_beliefs_are_the_posterior_of_normal_means():
    """The filter, a payment at a time, ends where the closed form of all payments is."""
    rng, rules = np.random.default_rng(0), Rules(mean_var=100.0, noise_var=4.0)
    beliefs = Beliefs.prior(1, rules)
    paid: tuple[list[float], list[float]] = ([], [])
    for arm in rng.integers(0, 2, 40):
        pay = float(rng.normal(3, 2))
        beliefs.learn(np.array([arm]), np.array([pay]))
        paid[arm].append(pay)
    for arm, pays in enumerate(paid):
        precision = 1 / 100 + len(pays) / 4
        assert beliefs.variances[0, arm] == pytest.approx(1 / precision, rel=1e-12)
        assert beliefs.means[0, arm] == pytest.approx(sum(pays) / 4 / precision, rel=1e-12)
