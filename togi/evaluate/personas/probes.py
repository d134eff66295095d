"""The three probes on one or more models: games, exams, descriptions; what is there is kept.

Models are opened one at a time, and only where an answer of theirs is missing. Every answer is a
line of `samples.jsonl`, and all that is told is computed from the lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from togi.evaluate.judge import CHUNK, Model, ask_missing, keys_of
from togi.evaluate.ledger import Ledger, Line
from togi.evaluate.personas import descriptions, exam
from togi.evaluate.personas.bandit import Games, Played
from togi.evaluate.personas.cleaning import Cleaned
from togi.evaluate.personas.descriptions import Describing
from togi.evaluate.personas.exam import Exam, Marked
from togi.evaluate.personas.lockstep import Book, LanguagePlayer, play
from togi.evaluate.personas.manner import Manner
from togi.evaluate.personas.opened import Facts, Opened
from togi.evaluate.personas.persona import NONE, Persona
from togi.evaluate.personas.players import LikelihoodPlayer, Simulated, WritingPlayer
from togi.evaluate.tasks import Task, ask
from togi.lm.base import Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandit:
    """Games, who plays them and how.

    Attributes:
        people: the personas.
        games: what they play.
        reads: a choice by "likelihood", or written as "text".
        temperature: of a choice.
        tries: how often a written choice is asked for.
        max_tokens: longest written choice.
        bias: whether the probit has a constant for machine 1.
        players: simulated players by name.
        player_games: what these play; the first ones are `games`.
        seed: of written draws.
    """

    people: tuple[Persona, ...]
    games: Games
    reads: Literal["likelihood", "text"] = "likelihood"
    temperature: float = 1.0
    tries: int = 20
    max_tokens: int = 8
    bias: bool = True
    players: Mapping[str, Simulated] = field(default_factory=dict[str, Simulated])
    player_games: Games
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """What is asked; a probe that is None is left out.

    Attributes:
        manner: wording, and plain text or a conversation.
        bandit: the games.
        exam: the questions.
        describing: the things.
        reader: who reads the descriptions; None has each model read its own.
    """

    manner: Manner
    bandit: Bandit | None = None
    exam: Exam | None = None
    describing: Describing | None = None
    reader: Model | None = None


@dataclass(slots=True)
class Asked:
    """What the probes brought, by model.

    Attributes:
        facts: what is known of each model, the reader included.
        played: its games.
        simulated: those of the simulated players, one after the other.
        marks: its exam.
        told: its cleaned descriptions.
        written: the lines of its descriptions, by sample.
        readings: the lines of what the reader made of them, by sample.
    """

    facts: dict[str, Facts] = field(default_factory=dict[str, Facts])
    played: dict[str, Played] = field(default_factory=dict[str, Played])
    simulated: Played | None = None
    marks: dict[str, dict[str, Marked]] = field(default_factory=dict[str, dict[str, Marked]])
    told: dict[str, dict[str, list[Cleaned]]] = field(
        default_factory=dict[str, dict[str, list[Cleaned]]]
    )
    written: dict[str, dict[str, Line]] = field(default_factory=dict[str, dict[str, Line]])
    readings: dict[str, dict[str, Line]] = field(default_factory=dict[str, dict[str, Line]])


def ask_all(
    models: Mapping[str, Model],
    probes: Probes,
    folder: Path,
    *,
    chunk: int = CHUNK,
    say: Callable[[str], None] = print,
) -> Asked:
    """Ask all models all that is missing.

    Args:
        models: display name -> a model, or how it is opened.
        probes: what is asked.
        folder: where `samples.jsonl` lies; answers found there are used.
        chunk: choices or questions asked in one request; it changes no answer.
        say: told how far it is.

    Raises:
        DataError: a damaged line.
        SurroundingsError: the disk is full or an endpoint fails; what was answered is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    desk = _Desk(Ledger(folder / "samples.jsonl", say), chunk, say)
    asked = Asked()
    for name, source in models.items():
        opened = Opened(name, source, folder)
        _ask_one(opened, probes, desk, asked)
        asked.facts[name] = opened.facts
        opened.close()
    if probes.reader is not None and probes.describing is not None:
        reader = Opened("reader", probes.reader, folder)
        for name in models:
            asked.readings[name] = _readings(reader, name, probes.describing, desk, asked)
        asked.facts["reader"] = reader.facts
        reader.close()
    desk.ledger.keep(dict.fromkeys(desk.keys))
    if probes.bandit is not None:
        asked.simulated = simulated(probes.bandit)
    return asked


@dataclass(slots=True)
class _Desk:
    """Where answers go, and the keys of all that belong here."""

    ledger: Ledger
    chunk: int
    say: Callable[[str], None]
    keys: list[str] = field(default_factory=list)

    def answered(self, opened: Opened, name: str, task: Task) -> dict[str, Line]:
        """Ask what is missing of a task, and return all of its lines by sample."""
        mark = opened.fingerprint
        ask_missing(
            name, mark, task, self.ledger, self.chunk, lambda some: ask(opened.model, task, some)
        )
        keys = keys_of(name, mark, task)
        self.keys += keys
        return {
            sample.id: self.ledger.lines[key]
            for sample, key in zip(task.samples, keys, strict=True)
        }


def _ask_one(opened: Opened, probes: Probes, desk: _Desk, asked: Asked) -> None:
    name = opened.name
    if probes.bandit is not None:
        player = player_of(opened, probes.bandit, probes.manner)
        book = Book(name, opened.fingerprint, player, desk.ledger)
        asked.played[name] = play(
            player, probes.bandit.people, probes.bandit.games,
            book=book, chunk=desk.chunk, say=desk.say,
        )  # fmt: skip
        desk.keys += book.keys
    if probes.exam is not None:
        lines = desk.answered(opened, name, exam.exam_task(probes.exam, probes.manner))
        asked.marks[name] = exam.marks_of(probes.exam, lines)
    if probes.describing is not None:
        how = probes.describing
        lines = desk.answered(opened, name, descriptions.describe_task(how, probes.manner))
        asked.written[name] = lines
        asked.told[name] = descriptions.descriptions_of(how, probes.manner, lines)
        if probes.reader is None:
            asked.readings[name] = _readings(opened, name, how, desk, asked)


def _readings(
    reader: Opened, name: str, how: Describing, desk: _Desk, asked: Asked
) -> dict[str, Line]:
    """Have the reader read one model's descriptions."""
    task = descriptions.read_task(how, asked.told[name])
    return desk.answered(reader, f"{name}, read by {reader.name}", task)


def player_of(opened: Opened, bandit: Bandit, manner: Manner) -> LanguagePlayer:
    """Return a language model as a player."""
    if bandit.reads == "likelihood":
        return LikelihoodPlayer(model=opened.opens(), manner=manner, temperature=bandit.temperature)
    stop = ("\n",) if manner.prompt == "plain" else ()
    sampling = Sampling(max_tokens=bandit.max_tokens, temperature=bandit.temperature, stop=stop)
    return WritingPlayer(
        model=opened.opens(), manner=manner, sampling=sampling, tries=bandit.tries,
        seed=bandit.seed,
    )  # fmt: skip


def simulated(bandit: Bandit) -> Played | None:
    """Return the simulated players' games, one player after the other."""
    who = (Persona(NONE, "", NONE),)
    games = [play(one, who, bandit.player_games) for one in bandit.players.values()]
    if not games:
        return None
    return Played(*(_stacked(games, name) for name in ("arms", "likely", "asked")))


def _stacked(games: Sequence[Played], name: str) -> Any:
    return np.concatenate([getattr(one, name) for one in games])
