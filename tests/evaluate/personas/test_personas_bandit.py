"""The two-armed bandit: drawn games, beliefs and columns by hand, values that theory gives."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
from persona_toys import fixed

from togi.errors import UsageError
from togi.evaluate.personas.bandit import (
    UNKNOWN,
    Beliefs,
    Games,
    Played,
    Rules,
    columns_of,
    draw_games,
    outcomes,
)
from togi.evaluate.personas.bandit_scores import COLUMNS, bandit_csv, bandit_results, by_game
from togi.evaluate.personas.effects import Trust
from togi.evaluate.personas.persona import persona

WUG, DAX = persona("wug"), persona("dax")


def toy() -> tuple[Games, Played]:
    """Two games of two choices, by two players; the second leaves its second game."""
    games = fixed([[(5.0, 0.0), (7.0, -1.0)], [(1.0, 2.0), (3.0, 4.0)]], [(6.0, -1.0), (2.0, 3.0)])
    arms = np.array([[[0, 0], [1, 0]], [[1, 0], [0, UNKNOWN]]], dtype=np.int8)
    shape = arms.shape
    return games, Played(arms, np.full(shape, np.nan), np.ones(shape, dtype=np.int32))


def test_beliefs_before_each_choice_by_hand():
    games, played = toy()
    columns = columns_of(games, played.arms[0])
    # before anything is known: V 0, sds alike, V/TU 0
    assert columns[:, 0].tolist() == [[1, 0, 0, 0]] * 2
    mean, var = 100 / 101 * 5.0, 100 - 100 / 101 * 100
    sd = math.sqrt(var)
    assert columns[0, 1] == pytest.approx([1, mean, sd - 10, mean / math.sqrt(var + 100)])
    mean = 100 / 101 * 2.0  # game 2: machine 2 paid 2
    assert columns[1, 1] == pytest.approx([1, -mean, 10 - sd, -mean / math.sqrt(var + 100)])


def test_columns_turn_over_with_the_machines():
    """Swapping the machines' names turns V, RU and V/TU over, and nothing else."""
    games = draw_games(20, Rules(trials=6), 1)
    arms = np.random.default_rng(0).integers(0, 2, (20, 6)).astype(np.int8)
    turned = Games(games.rules, games.means[:, ::-1], games.pays[:, :, ::-1], games.uniforms)
    one, two = columns_of(games, arms), columns_of(turned, (1 - arms).astype(np.int8))
    assert two[..., 0] == pytest.approx(one[..., 0])
    assert two[..., 1:] == pytest.approx(-one[..., 1:])


def test_outcomes_by_hand():
    games, played = toy()
    first = outcomes(games, played.arms[0])
    assert first["reward"].tolist() == [[5, 7], [2, 3]]
    assert first["regret"].tolist() == [[0, 0], [0, 1]]
    assert first["best"].tolist() == [[1, 1], [1, 0]]
    assert first["first"].tolist() == [[1, 1], [0, 1]]
    second = outcomes(games, played.arms[1])
    assert second["reward"][0].tolist() == [0, 7]
    assert math.isnan(second["regret"][1, 1])
    means = by_game(games, played)[1]
    assert means["reward"][0] == 3.5
    assert math.isnan(means["reward"][1])  # a game that was left tells nothing


def test_results_by_hand():
    games, played = toy()
    found = bandit_results((WUG, DAX), games, played, Trust(draws=100), bias=True)
    assert found["wug"]["reward"]["mean"] == pytest.approx((6 + 2.5) / 2)
    assert found["wug"]["best"]["mean"] == pytest.approx((1 + 0.5) / 2)
    assert (found["wug"]["games"], found["dax"]["games"]) == (2, 1)
    assert found["dax"]["unfinished"]["mean"] == 0.5
    assert [at["reward"]["mean"] for at in found["wug"]["curve"]] == [3.5, 5.0]
    assert [at["best"]["mean"] for at in found["wug"]["curve"]] == [1.0, 0.5]
    assert found["dax"]["curve"][0]["reward"]["n"] == 1
    assert found["wug"]["weights"]["reason"]  # four choices cannot have four weights


def test_the_table_of_choices_holds_what_was_played():
    games, played = toy()
    rows = list(csv.DictReader(io.StringIO(bandit_csv((WUG, DAX), games, {"m": played}))))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 7  # eight choices less the one that could not be read
    last = [row for row in rows if row["persona"] == "wug"][-1]
    assert (last["game"], last["trial"], last["action1"], last["reward"]) == ("1", "2", "1", "3.0")
    assert float(last["V"]) == pytest.approx(-200 / 101, rel=1e-5)
    assert (last["regret"], last["mu1"], last["mu2"], last["likely1"]) == ("1", "2", "3", "")


def test_games_do_not_hang_on_how_many_there_are_nor_on_the_rules():
    many, few = draw_games(50, Rules(), 3), draw_games(5, Rules(), 3)
    assert (many.pays[:5] == few.pays).all()
    assert (many.uniforms[:5] == few.uniforms).all()
    wide = draw_games(5, Rules(mean_var=400.0), 3)
    assert wide.means == pytest.approx(2 * few.means)
    assert (draw_games(5, Rules(), 4).means != few.means).all()
    assert (few.pays == np.round(few.pays, 1)).all()


def test_values_that_theory_gives():
    """By a coin 0; by knowing the better machine 10/√π; the first choice regrets as much."""
    games = draw_games(4000, Rules(), 0)
    coin = (games.uniforms > 0.5).astype(np.int8)
    error = 10 / math.sqrt(4000)
    assert outcomes(games, coin)["reward"].mean() == pytest.approx(0, abs=3 * error)
    knows = np.repeat(games.means.argmax(axis=1)[:, None], 10, axis=1).astype(np.int8)
    found = outcomes(games, knows)
    assert found["reward"].mean() == pytest.approx(10 / math.sqrt(math.pi), abs=3 * error)
    assert found["regret"].max() == 0
    assert found["best"].min() == 1
    first = outcomes(games, coin)["regret"][:, 0].mean()
    assert first == pytest.approx(10 / math.sqrt(math.pi), abs=3 * error)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trials": 1}, "trials must be at least 2, got 1"),
        ({"mean_var": 0.0}, "variances must be above 0"),
        ({"noise_var": -1.0}, "noise_var -1.0"),
        ({"noise_var": math.nan}, "variances must be above 0"),
    ],
)
def test_rules_that_make_no_game_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        Rules(**settings)


def test_no_games_are_refused():
    with pytest.raises(UsageError, match="games must be at least 1, got 0"):
        draw_games(0, Rules(), 0)


def test_who_could_not_be_read_learns_nothing():
    beliefs = Beliefs.prior(2, Rules())
    beliefs.learn(np.array([UNKNOWN, 1]), np.array([9.0, 9.0]))
    assert beliefs.means[0].tolist() == [0, 0]
    assert beliefs.variances[0].tolist() == [100, 100]
    assert beliefs.means[1, 1] == pytest.approx(900 / 101)
