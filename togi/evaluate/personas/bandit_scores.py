"""What the games say: rewards, curves, weights and effects of each persona, and `bandit.csv`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from togi.evaluate.personas.bandit import (
    NAMES,
    UNKNOWN,
    Floats,
    Games,
    Played,
    columns_of,
    outcomes,
)
from togi.evaluate.personas.effects import (
    AGES,
    About,
    Trust,
    age_effects,
    aged,
    comparisons,
    mean_of,
    paired_effect,
    settle,
    slope_effect,
)
from togi.evaluate.personas.persona import Persona
from togi.evaluate.personas.players import Simulated
from togi.evaluate.personas.weights import Weighed, complete, weighed, weight_slopes, weights_of
from togi.stats import bootstrap_mean, wilson
from togi.stats.probit import probit

MEASURES = {
    "reward": ("points a choice", "mean points that a choice brought"),
    "regret": ("points a choice", "how far the chosen machine's mean is below the better one's"),
    "best": ("share", "share of choices of the better machine"),
    "first": (
        "share",
        "share of choices of machine 1, which is the better one in half of the games",
    ),
}
"""Measure of a game -> unit and definition."""
WEIGHTS = {
    "bias": "a liking for machine 1, whatever it paid",
    "V": "exploitation: how much a better estimate draws the choice",
    "RU": "directed exploration: how much the less known machine draws it",
    "V/TU": "random exploration: how far choices follow the estimates more the surer they are",
}
"""Weight -> what it says."""
UNIT = "probit units"


def by_game(games: Games, played: Played) -> list[dict[str, Floats]]:
    """Return each player's measures, (games,) means over its trials; NaN for unfinished games."""
    found = []
    for place, arms in enumerate(played.arms):
        whole = played.whole[place]
        means = {
            name: np.where(whole, values.mean(axis=1), np.nan)
            for name, values in outcomes(games, arms).items()
        }
        found.append(means)
    return found


def bandit_results(
    people: Sequence[Persona], games: Games, played: Played, trust: Trust, *, bias: bool
) -> dict[str, Any]:
    """Return what each persona of one model did: measures, curves, weights, unread games."""
    data, means = weighed(games, played, bias=bias), by_game(games, played)
    return {
        who.name: {
            **{name: _mean(name, means[k][name], trust) for name in MEASURES},
            "weights": _weights(data, k, trust),
            "curve": _curve(games, played, k, trust),
            "games": int(played.whole[k].sum()),
            "unfinished": wilson(float((~played.whole[k]).sum()), len(games)).as_dict(),
            "asked": int(played.asked[k].sum()),
        }
        for k, who in enumerate(people)
    }


def _mean(name: str, values: Floats, trust: Trust) -> dict[str, Any]:
    """Return a measure's mean with its interval; shares that are all 0 or 1 get a proportion's."""
    if MEASURES[name][0] == "share":
        return bootstrap_mean(values, draws=trust.draws, seed=trust.seed).as_dict()
    return mean_of(values, trust).as_dict()


def _weights(data: Weighed, player: int, trust: Trust) -> dict[str, Any]:
    found = weights_of(data, player, draws=trust.draws, seed=trust.seed)
    fit = found.fit
    robust = np.sqrt(np.diagonal(fit.robust))
    return {
        "estimates": {
            name: {**one.as_dict(), "se": _plain(fit.errors()[k]), "se_games": _plain(robust[k])}
            for k, (name, one) in enumerate(found.estimates.items())
        },
        "loglik": _plain(fit.loglik),
        "choices": fit.n,
        "reason": fit.reason,
    }


def _curve(games: Games, played: Played, player: int, trust: Trust) -> list[dict[str, Any]]:
    """Return reward and share of the better machine, trial by trial, over whole games."""
    whole = played.whole[player]
    found = {name: v[whole] for name, v in outcomes(games, played.arms[player]).items()}

    def at(trial: int) -> dict[str, Any]:
        taken = wilson(float(found["best"][:, trial].sum()), int(whole.sum()))  # 0 or 1 each
        paid = mean_of(found["reward"][:, trial], trust)
        return {"trial": trial + 1, "reward": paid.as_dict(), "best": taken.as_dict()}

    return [at(trial) for trial in range(played.arms.shape[2])]


def bandit_effects(
    model: str, people: Sequence[Persona], games: Games, played: Played, trust: Trust, *, bias: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a model's effects of personas on the reward, and on the weights; not settled.

    Each persona is compared with none and those of one kind with each other, on the same games;
    where personas have ages, the change for each ten years is told too.
    """
    means, data = by_game(games, played), weighed(games, played, bias=bias)
    rewards: list[dict[str, Any]] = []
    weights: list[dict[str, Any]] = []
    about = About(model, "reward", MEASURES["reward"][0])
    for after, before in comparisons(people):
        sides = About(model, "reward", about.unit, people[after].name, people[before].name)
        rewards.append(paired_effect(sides, means[after]["reward"], means[before]["reward"], trust))
        weights += _weight_effects(sides, data, [before, after], np.array([-0.5, 0.5]), trust)
    table = np.stack([one["reward"] for one in means])
    rewards += age_effects(about, people, table, trust)
    places, ages = aged(people)
    if len(set(ages.tolist())) > 1:
        weights += _weight_effects(About(model, "", "", AGES), data, places, ages, trust)
    return rewards, weights


def _weight_effects(
    about: About, data: Weighed, players: Sequence[int], contrast: Floats, trust: Trust
) -> list[dict[str, Any]]:
    slopes = weight_slopes(data, players, contrast, draws=trust.draws, seed=trust.seed)
    pairs = len(complete(data, players))
    return [
        slope_effect(
            About(about.model, f"weight of {name}", UNIT, about.after, about.before), one, pairs
        )
        for name, one in slopes.items()
        if name != "bias"
    ]


def model_effects(
    rewards: Mapping[str, list[dict[str, Floats]]], trust: Trust
) -> list[dict[str, Any]]:
    """Return how each further model's reward, over all personas, differs from the first one's."""
    names = list(rewards)
    means = {name: np.mean([one["reward"] for one in rewards[name]], axis=0) for name in names}
    unit = MEASURES["reward"][0]
    return [
        paired_effect(
            About("", "reward", unit, name, names[0]), means[name], means[names[0]], trust
        )
        for name in names[1:]
    ]


def settled(families: Sequence[list[dict[str, Any]]], trust: Trust) -> list[dict[str, Any]]:
    """Settle each family and return them all, one after the other."""
    for family in families:
        settle(family, trust)
    return [one for family in families for one in family]


def player_results(
    players: Mapping[str, Simulated], games: Games, played: Played, *, bias: bool
) -> dict[str, Any]:
    """Return the simulated players' weights beside those that theory gives them."""
    found: dict[str, Any] = {}
    means = by_game(games, played)
    start = 0 if bias else 1
    for place, (name, player) in enumerate(players.items()):
        x = columns_of(games, played.arms[place])[..., start:]
        fit = probit(
            x.reshape(-1, x.shape[2]),
            (played.arms[place] == 0).ravel(),
            clusters=np.repeat(np.arange(len(games)), games.rules.trials),
        )
        estimates = dict(zip(NAMES[start:], fit.estimates(), strict=True))
        known = dict(zip(NAMES, player.known, strict=True))
        found[name] = {
            **{key: _mean(key, means[place][key], Trust()) for key in MEASURES},
            "weights": {
                key: {**one.as_dict(), "known": known[key]} for key, one in estimates.items()
            },
            "reason": fit.reason,
        }
    return found


COLUMNS = (
    "model", "persona", "game", "trial", "V", "RU", "V/TU", "action1", "likely1", "reward",
    "regret", "mu1", "mu2", "asked",
)  # fmt: skip


def bandit_csv(people: Sequence[Persona], games: Games, played: Mapping[str, Played]) -> str:
    """Return all choices as a table, a choice a row; V, RU and V/TU as before the choice."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for model, one in played.items():
        for place, who in enumerate(people):
            arms = one.arms[place]
            columns, found = columns_of(games, arms), outcomes(games, arms)
            for game, trial in np.argwhere(arms != UNKNOWN):
                likely = float(one.likely[place, game, trial])
                table.writerow(
                    [
                        model, who.name, game, trial + 1,
                        *(f"{value:.6g}" for value in columns[game, trial, 1:]),
                        int(arms[game, trial] == 0),
                        "" if math.isnan(likely) else f"{likely:.6g}",
                        f"{found['reward'][game, trial]:.1f}",
                        f"{found['regret'][game, trial]:.6g}",
                        *(f"{mean:.6g}" for mean in games.means[game]),
                        int(one.asked[place, game, trial]),
                    ]
                )  # fmt: skip
    return out.getvalue()


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
