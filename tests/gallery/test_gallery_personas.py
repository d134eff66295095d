"""The gallery's entry on ages: it holds for players who grow up, and not for coins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from togi.errors import DataError
from togi.evaluate.personas.bandit import Played, Rules, draw_games
from togi.evaluate.personas.effects import Trust
from togi.evaluate.personas.lockstep import play
from togi.evaluate.personas.manner import Manner
from togi.evaluate.personas.persona import chosen
from togi.evaluate.personas.players import Simulated
from togi.evaluate.personas.probes import Asked, Bandit, Probes
from togi.evaluate.personas.scores import scores_of
from togi.gallery import ENTRIES, recipe_of
from togi.gallery.personas_explore import BEST, NAME, Settings, _said, finding, run
from togi.recipe import load_recipe
from togi.run import STEPS
from togi.step import Work

PEOPLE = ["none", "2-year-old", "20-year-old", "60-year-old"]


def told(players: list[Simulated], games: int, people: list[str] | None = None) -> dict[str, Any]:
    """What `personas.json` would hold if these players were the personas."""
    who = chosen(people or PEOPLE)
    drawn = draw_games(games, Rules(), 0)
    one = [play(player, chosen(["none"]), drawn) for player in players]
    arrays = [np.concatenate([getattr(p, n) for p in one]) for n in ("arms", "likely", "asked")]
    bandit = Bandit(people=who, games=drawn, player_games=drawn)
    facts = {"base": {"name": "m", "fingerprint": "f"}}
    asked = Asked(facts=facts, played={"base": Played(*arrays)})
    return scores_of(Probes(manner=Manner(), bandit=bandit), asked, Trust(draws=200))


def test_it_holds_for_players_who_explore_less_with_age():
    grown = [Simulated("greedy", seed=k, noise=n) for k, n in enumerate((6.0, 40.0, 6.0, 1.0))]
    found = finding(told(grown, 120))
    assert found.holds == "holds"
    assert found.estimates["10 years: reward, points"].low > 0
    assert found.values["detected"]["exploitation"]
    assert ": detected." in found.measured
    gains = found.plots[0].series["persona"]
    assert [x for x, _ in gains] == [2, 20, 60]
    assert gains[0][1].mean < 0 < gains[-1][1].mean  # type: ignore[union-attr]


def test_it_does_not_hold_for_those_who_get_worse():
    back = [Simulated("greedy", seed=k, noise=n) for k, n in enumerate((6.0, 1.0, 6.0, 60.0))]
    assert finding(told(back, 40)).holds == "does not hold here"


def test_players_all_alike_are_no_change_and_a_few_games_cannot_tell():
    alike = finding(told([Simulated("ucb", seed=1)] * 4, 40))
    assert alike.estimates["10 years: reward, points"].mean == 0
    assert alike.holds == "does not hold here"
    coins = told([Simulated("random", seed=k) for k in range(4)], 8)
    assert finding(coins).holds == "cannot tell"
    assert "not detected (" in finding(coins).measured
    assert "of choices, as by a coin." in finding(coins).measured
    assert "this one is m." in finding(coins).notes[0]
    assert finding(coins, small=0.9).holds == "does not hold here"


def test_the_second_picture_has_the_weights_with_intervals():
    _, weights = finding(told([Simulated("ucb", seed=k) for k in range(4)], 60)).plots
    assert list(weights.series) == ["exploitation", "directed exploration", "random exploration"]
    for points in weights.series.values():
        assert len(points) == 3
        assert all(y.low < y.mean < y.high for _, y in points)  # type: ignore[union-attr]
    json.dumps(weights.as_dict(), allow_nan=False)


def test_without_nobody_the_share_of_the_better_machine_is_drawn():
    found = finding(told([Simulated("ucb", seed=k) for k in range(3)], 30, PEOPLE[1:]))
    assert found.plots[0].y == "share of choices"
    assert "As a 2-year-old the better machine" in found.measured
    assert "as by a coin" not in found.measured


def test_the_step_writes_its_finding(tmp_path: Path):
    path = tmp_path / "personas.json"
    path.write_text(json.dumps(told([Simulated("random", seed=k) for k in range(4)], 20)))
    work = Work(
        folder=tmp_path, seed=0, name="x", model="", say=lambda _: None,
        inputs={"p": {"personas": str(path)}},
    )  # fmt: skip
    outputs = run(Settings(personas="p"), work)
    written = json.loads((tmp_path / outputs["finding"]).read_text())
    assert written["claim"] == ENTRIES[NAME].claim
    assert written["holds"] == outputs["holds"]
    assert all(entry["n"] for entry in written["estimates"].values())
    assert f"{0.05 * BEST:.2g} points" in written["notes"][0]


@pytest.mark.parametrize("people", [["none", "man"], ["none", "7-year-old"]])
def test_games_without_two_ages_are_refused(people):
    with pytest.raises(DataError, match="personas of two ages or more must have played"):
        finding(told([Simulated("random", seed=k) for k in range(2)], 10, people))
    with pytest.raises(DataError, match="no games"):
        finding({})


def test_what_was_not_detected_says_what_would_have_been():
    assert _said({"detected": True, "detectable": 0.3}, 0.8) == "detected"
    assert _said({"detected": False, "detectable": None}, 0.8) == "not detected"


def test_the_recipe_plays_ages_and_nobody_and_nothing_else():
    path = recipe_of(NAME)
    assert path is not None
    games, entry = load_recipe(path, STEPS, []).steps
    assert "none" in games.settings.bandit.people
    assert games.settings.exam is None
    assert games.settings.descriptions is None
    assert entry.settings.personas == "personas"
