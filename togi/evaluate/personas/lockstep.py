"""All games of all personas in lock-step: every trial is one batch of choices.

Games do not know of each other, so those of all personas advance together: the batch of a trial
shares the rules' text, and personas whose games have gone alike share the history too. Whatever
was answered is a line on the disk (`Book`), so that a game that was stopped goes on where it was.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from togi.evaluate.asking import plain_prompt
from togi.evaluate.judge import CHUNK, SAY_EVERY
from togi.evaluate.ledger import Ledger, Line
from togi.evaluate.personas.bandit import UNKNOWN, Beliefs, Games, Played
from togi.evaluate.personas.persona import Persona
from togi.evaluate.personas.players import Choice, LikelihoodPlayer, Player, WritingPlayer
from togi.evaluate.personas.protocol import Turn
from togi.evaluate.tasks import digest

TASK = "bandit"
"The name under which choices stand in the ledger."
LanguagePlayer = LikelihoodPlayer | WritingPlayer


@dataclass(slots=True)
class Book:
    """A language model's choices on the disk: what is there is not asked again.

    Attributes:
        name: the model's display name.
        fingerprint: of the very model.
        player: how it is asked.
        ledger: where the lines are.
        keys: the lines that these games used, in order.
    """

    name: str
    fingerprint: str
    player: LanguagePlayer
    ledger: Ledger
    keys: list[str] = field(default_factory=list)

    def key(self, turn: Turn) -> str:
        """Return what a line belongs to: model, way of asking, game, and the very question."""
        asked = plain_prompt(self.player.prompt(turn))
        who = [self.name, self.fingerprint, TASK, self.player.facts()]
        return digest([*who, turn.who.name, turn.game, turn.trial, turn.draw, asked])

    def find(self, key: str) -> Choice | None:
        """Return the choice of an earlier run."""
        line = self.ledger.lines.get(key)
        if line is None:
            return None
        likely = line["measures"]["likely"]
        return Choice(
            likely=np.nan if likely is None else likely,
            arm=line["measures"]["arm"],
            asked=line["measures"]["asked"],
            text=line["answer"],
        )

    def line(self, key: str, turn: Turn, choice: Choice) -> Line:
        """Return the line of one choice."""
        return {
            "model": self.name,
            "task": TASK,
            "id": f"{turn.who.name}/{turn.game}/{turn.trial + 1}",
            "answer": choice.text,
            "measures": {"likely": choice.likely, "arm": choice.arm, "asked": choice.asked},
            "key": key,
        }


def play(
    player: Player,
    people: Sequence[Persona],
    games: Games,
    *,
    book: Book | None = None,
    chunk: int = CHUNK,
    say: Callable[[str], None] = print,
) -> Played:
    """Play all games with each persona, trial by trial.

    Args:
        player: who chooses.
        people: whom it plays; each plays all games.
        games: with the same payments and uniform numbers for all.
        book: where a language model's choices are kept; None keeps nothing.
        chunk: choices asked in one request; it changes none of them.
        say: told now and then how far it is.
    """
    shape = (len(people), len(games), games.rules.trials)
    played = Played(
        np.full(shape, UNKNOWN, dtype=np.int8), np.full(shape, np.nan), np.zeros(shape, np.int32)
    )
    beliefs = Beliefs.prior(shape[0] * shape[1], games.rules)
    points: list[tuple[tuple[float, ...], tuple[float, ...]]] = [((), ())] * len(beliefs.means)
    clock = _Clock(shape, say)
    for trial in range(shape[2]):
        turns = _turns(people, games, played, beliefs, points, trial)
        for turn, choice in zip(turns, _answers(player, turns, book, chunk, clock), strict=True):
            at = people.index(turn.who), turn.game, trial
            played.arms[at] = choice.decided(float(games.uniforms[turn.game, trial]))
            played.likely[at], played.asked[at] = choice.likely, choice.asked
        _pay(games, played, beliefs, points, trial)
    if book is not None:
        clock.end(book.name)
    return played


def _turns(
    people: Sequence[Persona],
    games: Games,
    played: Played,
    beliefs: Beliefs,
    points: Sequence[tuple[tuple[float, ...], tuple[float, ...]]],
    trial: int,
) -> list[Turn]:
    """Return the choices to be made in a trial, game by game so that personas stand together."""
    turns: list[Turn] = []
    seen: Counter[Any] = Counter()
    for game in range(len(games)):
        for place, who in enumerate(people):
            if trial and played.arms[place, game, trial - 1] == UNKNOWN:
                continue  # a choice that could not be read ends its game
            row = place * len(games) + game
            one, two = points[row]
            draw = seen[place, one, two]
            seen[place, one, two] += 1
            sds = np.sqrt(beliefs.variances[row])
            turns.append(
                Turn(
                    who, game, trial, games.rules.trials, (one, two), draw,
                    (float(beliefs.means[row, 0]), float(beliefs.means[row, 1])),
                    (float(sds[0]), float(sds[1])),
                )
            )  # fmt: skip
    return turns


def _pay(
    games: Games,
    played: Played,
    beliefs: Beliefs,
    points: list[tuple[tuple[float, ...], tuple[float, ...]]],
    trial: int,
) -> None:
    """Pay what was chosen in a trial: into the lists that are shown, and into the beliefs."""
    arms = played.arms[:, :, trial].ravel()
    pays = np.tile(games.pays[:, trial], (len(played.arms), 1))[np.arange(len(arms)), arms]
    beliefs.learn(arms, pays)
    for row in np.flatnonzero(arms != UNKNOWN):
        one, two = points[row]
        pay = (float(pays[row]),)
        points[row] = (one + pay, two) if arms[row] == 0 else (one, two + pay)


def _answers(
    player: Player, turns: Sequence[Turn], book: Book | None, chunk: int, clock: _Clock
) -> list[Choice]:
    """Return a choice for each turn: from the book, and for the others asked chunk by chunk."""
    if book is None:
        return player.choose(turns)
    keys = [book.key(turn) for turn in turns]
    book.keys += keys
    found = [book.find(key) for key in keys]
    missing = [place for place, choice in enumerate(found) if choice is None]
    clock.skip(len(turns) - len(missing))
    for start in range(0, len(missing), chunk):
        places = missing[start : start + chunk]
        fresh = player.choose([turns[place] for place in places])
        book.ledger.append(
            book.line(keys[place], turns[place], choice)
            for place, choice in zip(places, fresh, strict=True)
        )
        for place in places:  # read back as a later process would
            found[place] = book.find(keys[place])
        clock.done(len(places), book.name)
    return [choice for choice in found if choice is not None]


class _Clock:
    """Says now and then how many choices are made and how long the others will take."""

    def __init__(self, shape: tuple[int, int, int], say: Callable[[str], None]) -> None:
        self.all, self.say = shape[0] * shape[1] * shape[2], say
        self.there = self.asked = 0
        self.began = self.told = time.monotonic()

    def skip(self, n: int) -> None:
        """Count choices of an earlier run."""
        self.there += n

    def done(self, n: int, name: str) -> None:
        """Count choices that were just made."""
        self.asked += n
        now = time.monotonic()
        left = self.all - self.there - self.asked
        if left > 0 and now - self.told > SAY_EVERY:
            self.told = now
            seconds = (now - self.began) / self.asked * left
            self.say(
                f"{name} · {TASK}: {self.there + self.asked} of {self.all} choices, "
                f"about {seconds:.0f} s left"
            )

    def end(self, name: str) -> None:
        """Say how many choices were asked and how many were there."""
        there = f" ({self.there} were there)" if self.there else ""
        self.say(f"{name} · {TASK}: {self.asked} choices asked{there}")
