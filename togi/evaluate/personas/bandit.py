"""The two-armed bandit: games drawn beforehand, and what an ideal learner believes in them.

Each game has two machines with means μ ~ N(0, mean_var); each trial's payment is N(μ, noise_var),
drawn for both machines before anyone plays. All players meet the same games and the same uniform
numbers, so that whatever differs between them is theirs. Payments are rounded to one decimal when
they are drawn, so that what is shown is what is believed.

A Kalman filter follows what can be known: from mean 0 and variance mean_var, the chosen machine's
belief moves by gain = var / (var + noise_var). Before each choice stand V = m1 - m2 (which is
better), RU = sd1 - sd2 (which is less known), TU = sqrt(var1 + var2) (how little is known at all).

Sources: Gershman 2018; Salewski et al. 2023 (arXiv 2305.14930), section 4.1.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.errors import UsageError
from togi.stats.rng import stream

Floats = NDArray[np.float64]
NAMES = ("bias", "V", "RU", "V/TU")
"""Columns of the probit: a liking for machine 1, exploitation, directed and random exploration."""
UNKNOWN = -1
"What stands for a choice that was not made or could not be read."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of a game.

    Attributes:
        trials: choices in a game; at least 2, as the first one tells nothing.
        mean_var: variance of the machines' means.
        noise_var: variance of a machine's payments around its mean.

    Raises:
        UsageError: a number that makes no game.
    """

    trials: int = 10
    mean_var: float = 100.0
    noise_var: float = 1.0

    def __post_init__(self) -> None:
        if self.trials < 2:
            raise UsageError(f"trials must be at least 2, got {self.trials}", where="bandit")
        if not (self.mean_var > 0 and self.noise_var > 0):
            raise UsageError(
                "variances must be above 0",
                where="bandit",
                found=f"mean_var {self.mean_var}, noise_var {self.noise_var}",
            )

    def facts(self) -> dict[str, Any]:
        """Return the rules as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Games:
    """Games drawn beforehand.

    Attributes:
        rules: of all of them.
        means: (games, 2) the machines' means.
        pays: (games, trials, 2) what each machine would pay.
        uniforms: (games, trials) a choice falls on machine 1 where this is below its probability.
    """

    rules: Rules
    means: Floats
    pays: Floats
    uniforms: Floats

    def __len__(self) -> int:
        return len(self.means)

    @property
    def gaps(self) -> Floats:
        """(games, 2) how far each machine's mean is below the better one's: the regret."""
        return self.means.max(axis=1, keepdims=True) - self.means


def draw_games(n: int, rules: Rules, seed: int) -> Games:
    """Draw games; the first ones are the same however many there are.

    Raises:
        UsageError: fewer than one game.

    With means of standard deviation 10 the better one of two is 10/√π = 5.642 above 0 on average.

    >>> games = draw_games(1000, Rules(), seed=0)
    >>> bool(abs(games.means.max(axis=1).mean() - 5.642) < 0.8)  # 3 standard errors
    True
    >>> bool((games.means[:7] == draw_games(7, Rules(), seed=0).means).all())
    True
    """
    if n < 1:
        raise UsageError(f"games must be at least 1, got {n}", where="bandit")
    deviations = [
        stream(seed, "personas", "bandit", game).standard_normal(2 + 2 * rules.trials)
        for game in range(n)
    ]
    table = np.array(deviations)
    means = rules.mean_var**0.5 * table[:, :2]
    noise = rules.noise_var**0.5 * table[:, 2:].reshape(n, rules.trials, 2)
    uniforms = np.array(
        [stream(seed, "personas", "choices", game).random(rules.trials) for game in range(n)]
    )
    # adding 0 turns -0.0 into 0.0
    return Games(rules, means, np.round(means[:, None] + noise, 1) + 0.0, uniforms)


@dataclass(slots=True)
class Beliefs:
    """What an ideal learner believes in many games at once: (rows, 2) means and variances."""

    means: Floats
    variances: Floats
    noise_var: float

    @staticmethod
    def prior(rows: int, rules: Rules) -> Beliefs:
        """Return what is believed before the first choice."""
        shape = (rows, 2)
        return Beliefs(np.zeros(shape), np.full(shape, rules.mean_var), rules.noise_var)

    def learn(self, arms: NDArray[np.integer[Any]], pays: Floats) -> None:
        """Take in one payment a row; rows whose arm is `UNKNOWN` learn nothing.

        From N(0, 100), a payment of 5 with noise 1: gain 100/101, mean 4.9505, variance 0.9901.

        >>> beliefs = Beliefs.prior(1, Rules())
        >>> beliefs.learn(np.array([0]), np.array([5.0]))
        >>> beliefs.means.round(4).tolist(), beliefs.variances.round(4).tolist()
        ([[4.9505, 0.0]], [[0.9901, 100.0]])
        """
        rows = np.flatnonzero(arms != UNKNOWN)
        at = rows, arms[rows]
        gain = self.variances[at] / (self.variances[at] + self.noise_var)
        self.means[at] += gain * (pays[rows] - self.means[at])
        self.variances[at] -= gain * self.variances[at]

    def columns(self) -> Floats:
        """Return (rows, 4): 1, V, RU and V/TU.

        >>> beliefs = Beliefs(np.array([[3.0, 1.0]]), np.array([[9.0, 16.0]]), 1.0)
        >>> beliefs.columns().tolist()  # V = 2, RU = 3 - 4, TU = 5
        [[1.0, 2.0, -1.0, 0.4]]
        """
        value = self.means[:, 0] - self.means[:, 1]
        sds = np.sqrt(self.variances)
        total = np.sqrt(self.variances.sum(axis=1))
        return np.column_stack([np.ones(len(value)), value, sds[:, 0] - sds[:, 1], value / total])


@dataclass(frozen=True, slots=True)
class Played:
    """How games were played.

    Attributes:
        arms: (players, games, trials) 0 or 1; `UNKNOWN` where a choice could not be read, and
            from then on in that game.
        likely: (players, games, trials) probability of machine 1; NaN where it is not known.
        asked: (players, games, trials) how often the player was asked for it.
    """

    arms: NDArray[np.int8]
    likely: Floats
    asked: NDArray[np.int32]

    @property
    def whole(self) -> NDArray[np.bool_]:
        """(players, games) whether all choices of a game were made."""
        return (self.arms != UNKNOWN).all(axis=2)


def columns_of(games: Games, arms: NDArray[np.int8]) -> Floats:
    """Return (games, trials, 4) what was believed before each choice of one player.

    Args:
        games: that were played, n of them.
        arms: (n, trials) what was chosen.
    """
    beliefs = Beliefs.prior(len(arms), games.rules)
    found = np.empty((*arms.shape, len(NAMES)))
    rows = np.arange(len(arms))
    for trial in range(arms.shape[1]):
        found[:, trial] = beliefs.columns()
        chosen = arms[:, trial]
        beliefs.learn(chosen, games.pays[rows, trial, chosen])
    return found


def outcomes(games: Games, arms: NDArray[np.int8]) -> dict[str, Floats]:
    """Return (games, trials) what one player's choices brought; NaN where there is no choice.

    `reward` are the points, `regret` how far the chosen machine's mean is below the better one's,
    `best` whether the better machine was chosen, `first` whether machine 1 was.
    """
    rows = np.arange(len(arms))[:, None]
    trials = np.arange(arms.shape[1])[None]
    known = arms != UNKNOWN
    regret = games.gaps[rows, arms]
    found = {
        "reward": games.pays[rows, trials, arms],
        "regret": regret,
        "best": (regret == 0).astype(np.float64),
        "first": (arms == 0).astype(np.float64),
    }
    return {name: np.where(known, values, np.nan) for name, values in found.items()}
