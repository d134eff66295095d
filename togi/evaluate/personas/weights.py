"""How players weigh: the probit's weights of each persona, and how they change along a contrast.

P(machine 1) = Φ(bias + w1 V + w2 RU + w3 V/TU): w1 is exploitation, w2 directed and w3 random
exploration. The constant is a liking for machine 1's name, which small models have and which
would else pass for exploration; without it the equation is the paper's own.

A contrast gives each persona a number: age in decades, or -1/2 and 1/2 for two of them. Whether
weights move along it is tested by dealing the numbers anew among the personas of each game: if it
does not matter who plays, every deal is as likely. The statistic is one Newton step from the
common fit, so no deal needs a fit of its own; the interval is of the full fit, games resampled.

Sources: Gershman 2018; Salewski et al. 2023, section 4.1; Phipson & Smyth 2010 (p-values).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from togi.evaluate.personas.bandit import NAMES, Floats, Games, Played, columns_of
from togi.stats.estimate import Estimate
from togi.stats.probit import Probit, Rows, fit, parts, rows_of
from togi.stats.probit_bootstrap import bootstrap_counts, bootstrap_weights
from togi.stats.resampled import drawn_estimate
from togi.stats.rng import stream

CELLS = 1 << 21
"Dealt numbers held at once."
DEALS = 9_999
"Deals of a permutation test: its smallest p-value, 1e-4, outlives the correction of many."
ROUNDING = 1e-12
"A slope below this is none: personas who choose alike differ by rounding only."


@dataclass(frozen=True, slots=True)
class Weighed:
    """Choices of several players in the same games, ready for the probit.

    Attributes:
        x: (players, games, trials, columns).
        y: (players, games, trials) whether machine 1 was chosen.
        whole: (players, games) whether a game was played to its end; others are left out.
        names: of the columns.
    """

    x: Floats
    y: NDArray[np.bool_]
    whole: NDArray[np.bool_]
    names: tuple[str, ...]

    def rows(self, players: Sequence[int], more: Floats | None = None) -> Rows:
        """Return the rows of some players, their games as clusters.

        Args:
            players: which.
            more: (players,) numbers with which each column is multiplied and put beside itself.
        """
        xs, ys, games = [], [], []
        for place, player in enumerate(players):
            mine = np.flatnonzero(self.whole[player])
            table = self.x[player, mine].reshape(-1, len(self.names))
            xs.append(table if more is None else np.hstack([table, table * more[place]]))
            ys.append(self.y[player, mine].ravel())
            games.append(np.repeat(mine, self.x.shape[2]))
        return rows_of(np.concatenate(xs), np.concatenate(ys), np.concatenate(games))


def weighed(games: Games, played: Played, *, bias: bool = True) -> Weighed:
    """Compute what was believed before each choice.

    Args:
        games: that were played.
        played: how.
        bias: whether there is a constant for machine 1.
    """
    table = np.stack([columns_of(games, arms) for arms in played.arms])
    start = 0 if bias else 1
    return Weighed(table[..., start:], played.arms == 0, played.whole, NAMES[start:])


@dataclass(frozen=True, slots=True)
class Weights:
    """One player's weights: the fit, and each weight with its interval over resampled games."""

    fit: Probit
    estimates: dict[str, Estimate]


def weights_of(data: Weighed, player: int, *, draws: int, seed: int) -> Weights:
    """Fit one player's choices; a weight without a finite maximum is NaN, and `fit.reason` why."""
    rows = data.rows([player])
    found = fit(rows)
    drawn = bootstrap_weights(
        rows, bootstrap_counts(max(1, rows.units), draws, seed), found.weights
    )
    estimates = {
        name: drawn_estimate(float(found.weights[k]), drawn[:, k], rows.units)
        for k, name in enumerate(data.names)
    }
    return Weights(found, estimates)


@dataclass(frozen=True, slots=True)
class Slope:
    """How one number changes along a contrast.

    Attributes:
        estimate: the change for one unit of the contrast; `n` counts games.
        p_value: two-sided, from dealing the contrast anew within games; NaN where unknown.
        sd: spread of one game's share in it, for power: standard error · √games.
    """

    estimate: Estimate
    p_value: float
    sd: float


def complete(data: Weighed, players: Sequence[int]) -> NDArray[np.intp]:
    """Return the games that all of these players played to the end."""
    return np.flatnonzero(data.whole[list(players)].all(axis=0))


def weight_slopes(
    data: Weighed, players: Sequence[int], contrast: Floats, *, draws: int, seed: int
) -> dict[str, Slope]:
    """Return how each weight changes along a contrast of players.

    Args:
        data: the choices.
        players: at least two.
        contrast: (players,) their numbers; centred here, so that only differences count.
        draws: resamples.
        seed: of the resamples and of the deals.
    """
    z = contrast - contrast.mean()
    games = complete(data, players)
    only = np.zeros_like(data.whole)
    only[:, games] = True
    kept = Weighed(data.x, data.y, data.whole & only, data.names)
    k = len(data.names)
    rows = kept.rows(players, z)
    found = fit(rows)
    counts = bootstrap_counts(max(1, rows.units), draws, seed)
    drawn = bootstrap_weights(rows, counts, found.weights)
    moved = _steps(kept, players, games)
    p = dealt(moved, z, seed=seed)
    errors = np.sqrt(np.diagonal(found.robust))
    slopes = np.where(np.abs(found.weights) < ROUNDING, 0.0, found.weights)
    return {
        name: Slope(
            drawn_estimate(float(slopes[k + place]), drawn[:, k + place], rows.units),
            p[place],
            float(errors[k + place]) * math.sqrt(max(1, rows.units)),
        )
        for place, name in enumerate(data.names)
    }


def _steps(data: Weighed, players: Sequence[int], games: NDArray[np.intp]) -> Floats:
    """Return (players, games, columns): what each game adds to a Newton step from the common fit.

    Times the contrast and summed, it is the step in the slopes; the common fit and its
    information do not change when the contrast is dealt anew.
    """
    rows = data.rows(players)
    common = fit(rows)
    k = len(data.names)
    if not np.isfinite(common.weights).all():
        return np.full((len(players), len(games), k), np.nan)
    x, y = data.x[list(players)][:, games], data.y[list(players)][:, games]
    _, slope, _ = parts((x @ common.weights).reshape(-1), y.reshape(-1))
    scores = (x * slope.reshape(x.shape[:3])[..., None]).sum(axis=2)
    return scores @ common.covariance


def dealt(moved: Floats, contrast: Floats, *, draws: int = DEALS, seed: int) -> list[float]:
    """Test by permutation whether numbers change along a contrast of players.

    The contrast is dealt anew among the players of each game; the observed deal counts among the
    others, so that the level holds exactly where it does not matter who plays.

    Args:
        moved: (players, games, k) each player's numbers in each game.
        contrast: (players,) what is dealt.
        draws: how many deals.
        seed: of the deals.

    Returns:
        A two-sided p-value for each of the k numbers; NaN where it is not known.
    """
    players, games, k = moved.shape
    if not games or players < 2:
        return [math.nan] * k
    # in an order of their own, so that nothing depends on the order of the players
    order = np.lexsort((*moved.sum(axis=1).T, contrast))
    moved, contrast = moved[order], contrast[order]
    observed = np.abs(np.einsum("p,pgk->k", contrast, moved))
    fuzz = 1e-12 * np.abs(moved).sum(axis=(0, 1))
    hits, many = np.ones(k), max(1, CELLS // (games * players))
    rng = stream(seed, "personas", "deal")
    for start in range(0, draws, many):
        n = min(many, draws - start)
        table = np.broadcast_to(contrast, (n, games, players)).copy()
        dealt_now = rng.permuted(table, axis=2)
        sums = np.einsum("dgp,pgk->dk", dealt_now, moved, optimize=True)
        hits += (np.abs(sums) >= observed - fuzz).sum(axis=0)
    return [
        float(hit / (1 + draws)) if np.isfinite(seen) else math.nan
        for hit, seen in zip(hits, observed, strict=True)
    ]
