"""Players of known weights give them; models are read by likelihood or by what they write."""

from __future__ import annotations

import math

import numpy as np
import pytest
from persona_toys import Knowing, fixed, of_games, wobbling

from togi.errors import UsageError
from togi.evaluate.personas.bandit import NAMES, UNKNOWN, Rules, columns_of, draw_games
from togi.evaluate.personas.bandit_scores import player_results
from togi.evaluate.personas.lockstep import play
from togi.evaluate.personas.manner import Manner
from togi.evaluate.personas.persona import chosen, persona
from togi.evaluate.personas.players import (
    STRATEGIES,
    LikelihoodPlayer,
    Simulated,
    WritingPlayer,
    first_likely,
    totals,
)
from togi.evaluate.personas.probes import Bandit, simulated
from togi.lm.base import Sampling, Scored
from togi.rows.types import Message
from togi.stats.probit import probit
from togi.stats.special import normal_cdf

NOBODY = (persona("none"),)
WARM = Sampling(max_tokens=8, temperature=1.0)


# --- known weights --------------------------------------------------------------------------------


def bandit(games: int) -> Bandit:
    players = {name: Simulated(name, seed=1) for name in STRATEGIES}
    drawn = draw_games(games, Rules(), 0)
    return Bandit(people=NOBODY, games=of_games(drawn, 0), players=players, player_games=drawn)


@pytest.fixture(scope="module")
def known() -> dict[str, dict]:
    asked = bandit(1500)
    played = simulated(asked)
    assert played is not None
    return player_results(asked.players, asked.player_games, played, bias=True)


@pytest.mark.parametrize("name", STRATEGIES)
def test_simulated_players_have_their_known_weights(known, name):
    """Each weight lies within three standard errors of the one that theory gives."""
    for weight, found in known[name]["weights"].items():
        error = (found["high"] - found["low"]) / 2 / 1.96
        assert abs(found["mean"] - found["known"]) < 3 * error, (weight, found)
        assert error < 0.2, weight
    weights = {weight: found["known"] for weight, found in known[name]["weights"].items()}
    expected = {"thompson": (0, 0, 1), "ucb": (1 / 3, 2 / 3, 0), "greedy": (1 / 3, 0, 0)}
    assert tuple(weights.values())[1:] == pytest.approx(expected.get(name, (0, 0, 0)))


def test_the_analysis_tells_the_strategies_apart(known):
    """A weight that a strategy has is seen, one that it lacks is not mistaken for another's."""
    assert known["thompson"]["weights"]["V/TU"]["low"] > 0.5
    assert known["thompson"]["weights"]["V"]["high"] < 0.1
    assert known["ucb"]["weights"]["RU"]["low"] > 0.3
    assert abs(known["greedy"]["weights"]["RU"]["mean"]) < 0.1
    rewards = {name: one["reward"]["mean"] for name, one in known.items()}
    assert rewards["random"] < 0.5 < 3.5 < min(rewards["thompson"], rewards["ucb"])


def test_the_papers_equation_has_no_constant():
    asked = bandit(200)
    played = simulated(asked)
    assert played is not None
    found = player_results(asked.players, asked.player_games, played, bias=False)
    assert list(found["ucb"]["weights"]) == list(NAMES[1:])


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_told_probability_is_that_of_the_known_weights(name):
    """Φ of the known weights times the columns is the very probability of each choice."""
    games = draw_games(30, Rules(), 2)
    player = Simulated(name, seed=4, noise=2.0, bonus=1.5)
    played = play(player, NOBODY, games)
    eta = columns_of(games, played.arms[0]) @ np.array(player.known)
    assert played.likely[0] == pytest.approx(np.vectorize(normal_cdf)(eta), abs=1e-9)


def test_a_simulated_player_takes_machine_1_as_often_as_it_says():
    games = draw_games(400, Rules(), 2)
    played = play(Simulated("thompson"), NOBODY, games)
    gap = (played.arms == 0) - played.likely
    assert abs(gap.mean()) < 3 * np.sqrt((played.likely * (1 - played.likely)).sum()) / gap.size


def test_the_chance_of_a_player_is_its_own():
    games = draw_games(40, Rules(), 0)
    one, two = (play(Simulated("random", seed=seed), NOBODY, games) for seed in (0, 1))
    again = play(Simulated("random", seed=0), NOBODY, games)
    assert (one.arms == again.arms).all()
    assert (one.arms != two.arms).mean() == pytest.approx(0.5, abs=0.1)


def test_faults_in_a_player_are_told():
    with pytest.raises(UsageError, match=r"no player is called 'thomson'.*thompson"):
        Simulated("thomson")
    with pytest.raises(UsageError, match="noise must be above 0, got 0"):
        Simulated("ucb", noise=0.0)


# --- by likelihood --------------------------------------------------------------------------------


def likely(model: Knowing, temperature: float = 1.0) -> LikelihoodPlayer:
    return LikelihoodPlayer(model=lambda: model, manner=Manner(), temperature=temperature)


def test_a_choice_is_the_softmax_of_two_names():
    model = Knowing(lambda text, end: math.log(0.03 if end == " 1" else 0.01))
    games = draw_games(200, Rules(trials=2), 0)
    played = play(likely(model), NOBODY, games)
    assert played.likely == pytest.approx(np.full((1, 200, 2), 0.75))
    assert ((played.arms[0] == 0) == (games.uniforms < 0.75)).all()
    assert {end for _, end in model.scored} == {" 1", " 2"}
    text = model.scored[0][0]
    assert text.endswith("Question: Which machine would you choose?\nAnswer: Machine")


def test_a_name_may_be_several_tokens_and_a_turns_end_is_no_part_of_it():
    two = Scored((7, 8), np.array([-0.5, -1.0], dtype=np.float32), False)
    one = Scored((7,), np.array([-0.5], dtype=np.float32), False)
    assert totals([two, one], "plain text") == [-1.5, -0.5]
    chat = (Message("user", "which?"),)
    ended = Scored((7, 8, 2), np.array([-0.5, -1.0, -9.0], dtype=np.float32), False)
    assert totals([ended, one], chat) == [-1.5, -0.5]


def test_temperature_divides_and_zero_takes_the_likelier():
    assert first_likely(math.log(0.03), math.log(0.01), 0.5) == pytest.approx(0.9)
    assert first_likely(-1.0, -3.0, 0.0) == 1.0
    assert first_likely(-3.0, -1.0, 0.0) == 0.0
    assert first_likely(-800.0, -1.0, 0.01) == pytest.approx(0.0, abs=1e-300)
    assert math.isnan(first_likely(math.nan, -1.0, 1.0))
    assert math.isnan(first_likely(-math.inf, -math.inf, 1.0))


def test_equal_questions_are_asked_once():
    model = Knowing(wobbling)
    people, games = chosen(["none", "genders"]), draw_games(30, Rules(trials=2), 0)
    play(likely(model), people, games)
    first = [text for text, _ in model.scored if "Choice 1 of" in text]
    assert len(first) == 2 * len(people)  # all games begin alike


def test_where_a_likelihood_is_unknown_the_game_ends():
    def lost(text: str, end: str) -> float:
        return math.nan if "Choice 2" in text else -1.0

    played = play(likely(Knowing(lost)), NOBODY, draw_games(5, Rules(trials=3), 0))
    assert (played.arms[0, :, 0] != UNKNOWN).all()
    assert (played.arms[0, :, 1:] == UNKNOWN).all()
    assert not played.whole.any()


# --- by writing -----------------------------------------------------------------------------------


def writing(model: Knowing, tries: int = 20, **more) -> WritingPlayer:
    settings = {"manner": Manner(), "sampling": WARM, **more}
    return WritingPlayer(model=lambda: model, tries=tries, **settings)


def test_what_cannot_be_read_is_asked_again_and_counted():
    def answer(text: str, seed: int, draw: int) -> str:
        return " 2" if seed % 3 == 0 else " dunno"

    played = play(writing(Knowing(answer=answer)), NOBODY, draw_games(40, Rules(trials=2), 0))
    assert played.whole.all()
    assert (played.arms == 1).all()
    assert played.asked.max() > 1
    assert np.isnan(played.likely).all()


def test_after_so_many_tries_the_game_is_left_and_counted():
    model = Knowing(answer=lambda text, seed, draw: "no idea")
    played = play(writing(model, tries=3), NOBODY, draw_games(4, Rules(trials=2), 0))
    assert (played.arms == UNKNOWN).all()
    assert played.asked[0, :, 0].tolist() == [3] * 4
    assert played.asked[0, :, 1].tolist() == [0] * 4  # the game was over


def test_greedy_answers_are_not_asked_again():
    model = Knowing(answer=lambda text, seed, draw: "no idea")
    cold = Sampling(max_tokens=8, temperature=0.0)
    played = play(writing(model, sampling=cold), NOBODY, draw_games(4, Rules(trials=2), 0))
    assert played.asked[0, :, 0].tolist() == [1] * 4


def test_equal_questions_of_many_games_get_draws_of_their_own():
    def answer(text: str, seed: int, draw: int) -> str:
        return " 1" if (seed >> draw) & 1 else " 2"

    model = Knowing(answer=answer)
    played = play(writing(model), NOBODY, draw_games(200, Rules(trials=2), 0))
    assert (played.arms[0, :, 0] == 0).mean() == pytest.approx(0.5, abs=0.12)
    first = [n for text, n in model.written if "Choice 1 of" in text]
    assert sum(first) == 200  # one draw a game, sixteen in a request


def test_a_conversation_is_read_in_any_of_its_wordings():
    model = Knowing(answer=lambda text, seed, draw: "I take **machine 2**.")
    played = play(
        writing(model, manner=Manner(prompt="chat")), NOBODY, draw_games(3, Rules(trials=2), 0)
    )
    assert (played.arms == 1).all()
    assert model.written[0][0].endswith("Reply with the machine's number only, 1 or 2.")


def test_points_are_shown_as_they_are_paid():
    model = Knowing(lambda text, end: 0.0 if end == " 1" else -9.0)
    play(likely(model), NOBODY, fixed([[(3.0, 1.0), (-4.5, 2.0), (0.0, 0.0)]], [(0.0, 1.0)]))
    assert "- machine 1: 3.0, -4.5\n- machine 2: none yet" in model.scored[-1][0]


def test_the_probit_of_played_games_needs_no_constant_for_a_fair_player():
    games = draw_games(300, Rules(), 9)
    played = play(Simulated("greedy", noise=5.0), NOBODY, games)
    x = columns_of(games, played.arms[0])
    found = probit(x.reshape(-1, 4), (played.arms[0] == 0).ravel())
    assert abs(found.weights[0]) < 3 * found.errors()[0]
