"""Lock-step is one game at a time, chunks and stops change nothing, and nothing is asked twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from persona_toys import Knowing, of_games, quiet, wobbling
from saved_toys import llama, save

from togi.align.tuned import open_tuned
from togi.errors import DataError
from togi.evaluate.judge import Opener
from togi.evaluate.ledger import Ledger
from togi.evaluate.personas.bandit import UNKNOWN, Games, Played, Rules, draw_games
from togi.evaluate.personas.lockstep import Book, play
from togi.evaluate.personas.manner import Manner
from togi.evaluate.personas.opened import Opened
from togi.evaluate.personas.persona import chosen
from togi.evaluate.personas.players import LikelihoodPlayer, WritingPlayer, first_likely
from togi.evaluate.personas.probes import Bandit, Probes, ask_all
from togi.evaluate.personas.protocol import Turn, turn_prompt
from togi.lm.base import Sampling

PEOPLE = chosen(["none", "2-year-old", "20-year-old"])
WARM = Sampling(max_tokens=4, temperature=1.0)


def games_of(n: int, trials: int = 4) -> Games:
    return draw_games(n, Rules(trials=trials), 7)


def by_likelihood(model: Knowing) -> LikelihoodPlayer:
    return LikelihoodPlayer(model=lambda: model, manner=Manner())


def by_writing(model: Knowing, sampling: Sampling = WARM) -> WritingPlayer:
    return WritingPlayer(model=lambda: model, manner=Manner(), sampling=sampling, tries=4)


def drawing(text: str, seed: int, draw: int) -> str:
    """A written choice that hangs on the question, the request's seed and the draw."""
    return [" 1", " 2", " well"][(sum(text.encode()) + 7 * draw + seed) % 3]


def same(one: Played, two: Played) -> None:
    assert (one.arms == two.arms).all()
    assert (one.asked == two.asked).all()
    assert np.array_equal(one.likely, two.likely, equal_nan=True)


def booked(player, folder: Path, name: str = "m") -> Book:
    return Book(name, "f0", player, Ledger(folder / "samples.jsonl", quiet))


# --- one game at a time ---------------------------------------------------------------------------


def test_lock_step_is_one_game_at_a_time_written_out():
    """Played by a plain loop: a persona, a game, a trial after the other."""
    games = games_of(12)
    played = play(by_likelihood(Knowing(wobbling)), PEOPLE, games)
    for place, who in enumerate(PEOPLE):
        for game in range(12):
            points: tuple[list[float], list[float]] = ([], [])
            for trial in range(4):
                turn = Turn(who, game, trial, 4, (tuple(points[0]), tuple(points[1])))
                text = str(turn_prompt(Manner(), turn, written=False))
                likely = first_likely(wobbling(text, " 1"), wobbling(text, " 2"), 1.0)
                arm = 0 if games.uniforms[game, trial] < likely else 1
                assert played.arms[place, game, trial] == arm
                assert played.likely[place, game, trial] == likely
                points[arm].append(float(games.pays[game, trial, arm]))


@pytest.mark.parametrize("game", [0, 3, 7])
def test_a_game_alone_is_the_game_among_others(game):
    games = games_of(8)
    player = by_likelihood(Knowing(wobbling))
    alone = play(player, PEOPLE[1:2], of_games(games, game))
    among = play(player, PEOPLE, games)
    assert (alone.arms[0, 0] == among.arms[1, game]).all()


def test_who_else_plays_changes_no_written_choice():
    games = games_of(20)
    among = play(by_writing(Knowing(answer=drawing)), PEOPLE, games)
    alone = play(by_writing(Knowing(answer=drawing)), PEOPLE[2:], games)
    assert (among.arms[2] == alone.arms[0]).all()
    assert (among.arms == UNKNOWN).any() or among.asked.max() > 1


@pytest.mark.parametrize("chunk", [1, 5, 1000])
@pytest.mark.parametrize("make", [by_likelihood, by_writing])
def test_chunks_change_no_choice(chunk, make, tmp_path):
    games = games_of(9)
    straight = play(make(Knowing(wobbling, drawing)), PEOPLE, games)
    player = make(Knowing(wobbling, drawing))
    same(
        play(player, PEOPLE, games, book=booked(player, tmp_path), chunk=chunk, say=quiet), straight
    )


def test_a_trial_of_all_games_is_one_request():
    model = Knowing(wobbling)
    play(by_likelihood(model), PEOPLE, games_of(30))
    assert model.requests == 4
    assert len(model.scored) <= 2 * 4 * 90


# --- a real engine --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = save(llama(max_position_embeddings=1024), tmp_path_factory.mktemp("m"))
    return open_tuned(str(folder), adapter=None, dtype="float32", offline=True, say=quiet)


@pytest.mark.parametrize("prompt", ["plain", "chat"])
def test_an_engine_chooses_alike_in_a_batch_and_alone(engine, prompt):
    games = games_of(3, trials=3)
    player = LikelihoodPlayer(model=lambda: engine, manner=Manner(prompt=prompt))
    among = play(player, PEOPLE[:2], games)
    assert among.likely.std() > 1e-4  # it reads what it is told
    for place, who in enumerate(PEOPLE[:2]):
        alone = play(player, (who,), of_games(games, 1))
        assert alone.likely[0, 0] == pytest.approx(among.likely[place, 1], abs=1e-5)
        assert (alone.arms[0, 0] == among.arms[place, 1]).all()


def test_an_engine_writes_alike_whatever_the_chunk(engine, tmp_path):
    games = games_of(5, trials=2)
    found = []
    for chunk in (1, 100):
        player = WritingPlayer(
            model=lambda: engine, manner=Manner(), sampling=WARM, tries=2, seed=3
        )
        book = booked(player, tmp_path / str(chunk))
        book.ledger.path.parent.mkdir()
        found.append(play(player, PEOPLE[:2], games, book=book, chunk=chunk, say=quiet))
    same(*found)


def test_a_game_that_outgrows_the_model_is_told(tmp_path):
    folder = save(llama(max_position_embeddings=256), tmp_path / "m")
    short = open_tuned(str(folder), adapter=None, dtype="float32", offline=True, say=quiet)
    player = LikelihoodPlayer(model=lambda: short, manner=Manner())
    with pytest.raises(DataError, match="256"):
        play(player, PEOPLE[:1], games_of(1))


# --- stopped and resumed --------------------------------------------------------------------------


@pytest.mark.parametrize("make", [by_likelihood, by_writing])
@pytest.mark.parametrize("after", [3, 17, 60])
def test_a_game_that_was_stopped_goes_on_where_it_was(make, after, tmp_path):
    games = games_of(8)
    straight = play(make(Knowing(wobbling, drawing)), PEOPLE, games)
    fails = make(Knowing(wobbling, drawing, fail_after=after))
    with pytest.raises(ConnectionError):
        play(fails, PEOPLE, games, book=booked(fails, tmp_path), chunk=2, say=quiet)
    model = Knowing(wobbling, drawing)
    player = make(model)
    book = booked(player, tmp_path)
    there = len(book.ledger.lines)
    same(play(player, PEOPLE, games, book=book, chunk=2, say=quiet), straight)
    assert there > 0 or after == 3
    assert len(book.ledger.lines) == len(set(book.keys)) == (straight.asked > 0).sum()


def test_a_finished_game_opens_no_model(tmp_path):
    games = games_of(4)
    opened: list[str] = []

    def source() -> Opener:
        def open_it() -> Knowing:
            opened.append("now")
            return Knowing(wobbling)

        return Opener("knowing f0", open_it)

    probes = Probes(
        manner=Manner(), bandit=Bandit(people=PEOPLE, games=games, player_games=of_games(games, 0))
    )
    one = ask_all({"m": source()}, probes, tmp_path, say=quiet)
    two = ask_all({"m": source()}, probes, tmp_path, say=quiet)
    assert opened == ["now"]
    same(one.played["m"], two.played["m"])
    # more games of the same draw: the first ones are there
    more = replace(probes, bandit=replace(probes.bandit, games=games_of(6)))
    three = ask_all({"m": source()}, more, tmp_path, say=quiet)
    assert (three.played["m"].arms[:, :4] == one.played["m"].arms).all()
    fresh = ask_all({"m": source()}, more, tmp_path / "fresh", say=quiet)
    same(three.played["m"], fresh.played["m"])


def test_another_wording_is_another_question(tmp_path):
    games = games_of(2)
    for wording in ("were", "imagine"):
        model = Knowing(wobbling)
        player = replace(by_likelihood(model), manner=Manner(wording=wording))
        play(player, PEOPLE[1:], games, book=booked(player, tmp_path), say=quiet)
        assert model.scored
    assert len(Ledger(tmp_path / "samples.jsonl", quiet).lines) == 2 * 2 * 2 * 4


def test_a_damaged_line_is_told(tmp_path):
    (tmp_path / "samples.jsonl").write_text("{}\n")
    probes = Probes(
        manner=Manner(),
        bandit=Bandit(people=PEOPLE, games=games_of(2), player_games=games_of(1)),
    )
    with pytest.raises(DataError, match=r"samples\.jsonl line 1: this line is damaged"):
        ask_all({"m": Knowing(wobbling)}, probes, tmp_path, say=quiet)


def test_a_model_is_opened_once_and_known_from_its_notes(tmp_path):
    opened: list[int] = []

    def open_it() -> Knowing:
        opened.append(1)
        return Knowing()

    one = Opened("m", Opener("id", open_it), tmp_path)
    assert (one.fingerprint, one.model is one.model) == ("k0", True)
    one.close()
    two = Opened("m", Opener("id", open_it), tmp_path)
    assert (two.fingerprint, opened) == ("k0", [1])
    (tmp_path / "models.json").write_text("{half")
    assert Opened("m", Opener("id", open_it), tmp_path).fingerprint == "k0"
    assert opened == [1, 1]
