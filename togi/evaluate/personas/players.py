"""Players of the bandit behind one interface: language models, and players of known weights.

A player is asked for many choices at once and never learns what else is asked with them. A
language model chooses by the likelihood of the two machines' names, or writes its choice; a
simulated player follows a strategy whose probit weights theory knows, so that the analysis can
be seen to find them.

Sources: Gershman 2018 (the strategies' weights); Salewski et al. 2023, section 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from togi.errors import UsageError, nearest
from togi.evaluate.personas.bandit import UNKNOWN
from togi.evaluate.personas.manner import Manner
from togi.evaluate.personas.protocol import MACHINES, STEM, VERSION, Turn, read_machine, turn_prompt
from togi.lm.base import LanguageModel, Sampling, Scored
from togi.rows.types import Prompt
from togi.stats.rng import derive, stream
from togi.stats.special import normal_cdf

DRAWS = 16
"Answers to one prompt that are drawn in one request: equal prompts of more games take turns."


@dataclass(frozen=True, slots=True)
class Choice:
    """What a player answered.

    Attributes:
        likely: probability of machine 1; NaN where it is not known.
        arm: 0 or 1, `UNKNOWN` for an answer that cannot be read; None leaves it to `likely` and
            the game's uniform number.
        asked: how often the player was asked.
        text: what it wrote, if it wrote.
    """

    likely: float = math.nan
    arm: int | None = None
    asked: int = 1
    text: str = ""

    def decided(self, uniform: float) -> int:
        """Return the machine: 0 or 1, or `UNKNOWN`.

        >>> Choice(0.3).decided(0.2), Choice(0.3).decided(0.3), Choice().decided(0.5)
        (0, 1, -1)
        """
        if self.arm is not None:
            return self.arm
        return UNKNOWN if math.isnan(self.likely) else int(uniform >= self.likely)


class Player(Protocol):
    """Whoever chooses between the machines."""

    def choose(self, turns: Sequence[Turn]) -> list[Choice]:
        """Return a choice for each turn, in their order."""
        ...


# --- players whose weights are known --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Simulated:
    """A strategy on an ideal learner's beliefs.

    "thompson" draws a value for each machine from what it believes and takes the higher;
    "ucb" takes the higher of mean + bonus · sd; "greedy" that of the means; both with normal
    noise in their comparison, as without any they would leave nothing to estimate. "random"
    tosses a coin.

    Attributes:
        name: a key of `STRATEGIES`.
        seed: of its own chance.
        noise: standard deviation of the noise in the comparison of ucb and greedy, in points.
        bonus: points that ucb pays for one standard deviation of uncertainty.

    Raises:
        UsageError: no such strategy, or noise that is not above 0.
    """

    name: str
    seed: int = 0
    noise: float = 3.0
    bonus: float = 2.0

    def __post_init__(self) -> None:
        if self.name not in STRATEGIES:
            raise UsageError(
                f"no player is called '{self.name}'",
                where="players",
                expected=nearest(self.name, STRATEGIES),
            )
        if not self.noise > 0:
            raise UsageError(f"noise must be above 0, got {self.noise}", where="players")

    @property
    def known(self) -> tuple[float, float, float, float]:
        """The weights that theory gives it: bias, V, RU, V/TU.

        >>> Simulated("thompson").known, Simulated("ucb", noise=2.0, bonus=1.0).known
        ((0.0, 0.0, 0.0, 1.0), (0.0, 0.5, 0.5, 0.0))
        """
        value, bonus, total = STRATEGIES[self.name]
        return (0.0, value / self.noise, bonus * self.bonus / self.noise, float(total))

    def choose(self, turns: Sequence[Turn]) -> list[Choice]:
        """Compare the machines, each with its own normal number."""
        return [self._choice(turn) for turn in turns]

    def _choice(self, turn: Turn) -> Choice:
        value, bonus, total = STRATEGIES[self.name]
        drawn = stream(self.seed, "players", self.name, turn.game, turn.trial).standard_normal(2)
        means, sds = np.array(turn.means), np.array(turn.sds)
        sure = value * (means + bonus * self.bonus * sds)
        spread = sds if total else np.full(2, self.noise / math.sqrt(2))
        if total:
            sure = means
        heights = sure + spread * drawn
        gap = float((sure[0] - sure[1]) / math.hypot(*spread))
        return Choice(normal_cdf(gap), int(heights[1] > heights[0]))


STRATEGIES: dict[str, tuple[int, int, int]] = {
    "thompson": (0, 0, 1),
    "ucb": (1, 1, 0),
    "greedy": (1, 0, 0),
    "random": (0, 0, 0),
}
"""Strategy -> whether it weighs V, RU and V/TU."""


# --- language models ------------------------------------------------------------------------------


def totals(replies: Sequence[Scored], prompt: Prompt) -> list[float]:
    """Return the log-probabilities of names, without what ends the assistant's turn after them.

    A name may be several tokens, or one that it shares with the space before it: what is summed
    is whatever the tokenizer makes of it.
    """
    keep = None if isinstance(prompt, str) else -1
    return [
        float(reply.logprobs[: keep if len(reply.logprobs) > 1 else None].sum(dtype=np.float64))
        for reply in replies
    ]


def first_likely(one: float, two: float, temperature: float) -> float:
    """Return the probability of the first of two names from their log-probabilities.

    >>> round(first_likely(math.log(0.03), math.log(0.01), 1.0), 6)
    0.75
    >>> first_likely(-1.0, -2.0, 0.0), first_likely(-1.0, -1.0, 0.0), first_likely(-math.inf, -9, 1)
    (1.0, 0.5, 0.0)
    """
    if math.isnan(one) or math.isnan(two) or one == two == -math.inf:
        return math.nan
    gap = one - two
    if temperature == 0 or math.isinf(gap):
        return 0.5 * (1 + (gap > 0) - (gap < 0))
    scaled = min(700.0, max(-700.0, gap / temperature))
    return 1 / (1 + math.exp(-scaled))


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelihoodPlayer:
    """A language model that chooses by how likely the machines' names are after the stem.

    Attributes:
        model: opens the model, or returns it.
        manner: how it is asked.
        temperature: divides the names' log-probabilities; 0 always takes the likelier one.
    """

    model: Callable[[], LanguageModel]
    manner: Manner
    temperature: float = 1.0

    def facts(self) -> dict[str, Any]:
        """Return what decides how it is asked and read."""
        told = {"reads": "likelihood", "version": VERSION, "temperature": self.temperature}
        return {**told, **self.manner.facts()}

    def prompt(self, turn: Turn) -> Prompt:
        """Return what the model is given for a turn."""
        return turn_prompt(self.manner, turn, written=False)

    def choose(self, turns: Sequence[Turn]) -> list[Choice]:
        """Score both names after each different prompt, all in one request."""
        asked = [self.prompt(turn) for turn in turns]
        unique = list(dict.fromkeys(asked))
        names = self.manner.answers(STEM, MACHINES)
        pairs = [(prompt, name) for prompt in unique for name in names]
        replies = iter(self.model().score([p for p, _ in pairs], [name for _, name in pairs]))
        likely: dict[Prompt, float] = {}
        for prompt in unique:
            one, two = totals([next(replies), next(replies)], prompt)
            likely[prompt] = first_likely(one, two, self.temperature)
        return [Choice(likely[prompt]) for prompt in asked]


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingPlayer:
    """A language model that writes its choice; what cannot be read is asked again.

    Attributes:
        model: opens the model, or returns it.
        manner: how it is asked.
        sampling: how an answer is drawn; its `n` and `seed` are the player's own.
        tries: how often it is asked at most.
        seed: of the draws: they depend on the game, the trial and the try alone.
    """

    model: Callable[[], LanguageModel]
    manner: Manner
    sampling: Sampling
    tries: int = 20
    seed: int = 0

    def facts(self) -> dict[str, Any]:
        """Return what decides how it is asked and read."""
        told = {"reads": "text", "version": VERSION, "tries": self.tries, "seed": self.seed}
        drawn = {"temperature": self.sampling.temperature, "max_tokens": self.sampling.max_tokens}
        return {**told, **drawn, **self.manner.facts()}

    def prompt(self, turn: Turn) -> Prompt:
        """Return what the model is given for a turn."""
        return turn_prompt(self.manner, turn, written=True)

    def choose(self, turns: Sequence[Turn]) -> list[Choice]:
        """Have the model write, and ask again what could not be read."""
        found = [Choice(arm=UNKNOWN, asked=0)] * len(turns)
        left = list(range(len(turns)))
        # greedy answers are the same each time: asking again would change nothing
        for attempt in range(self.tries if self.sampling.temperature else 1):
            if not left:
                break
            for place, text in self._written(turns, left, attempt):
                arm = read_machine(text, plain=self.manner.prompt == "plain")
                found[place] = Choice(
                    arm=UNKNOWN if arm is None else arm, asked=attempt + 1, text=text
                )
            left = [place for place in left if found[place].arm == UNKNOWN]
        return found

    def _written(
        self, turns: Sequence[Turn], places: Sequence[int], attempt: int
    ) -> Iterator[tuple[int, str]]:
        """Yield (place, answer); prompts that need equally many draws go together."""
        blocks: dict[tuple[int, int], dict[Prompt, list[int]]] = {}
        for place in places:
            turn = turns[place]
            block = blocks.setdefault((turn.trial, turn.draw // DRAWS), {})
            block.setdefault(self.prompt(turn), []).append(place)
        for (trial, number), asked in blocks.items():
            seed = derive(self.seed, "written", trial, attempt, number) >> 1
            most = {p: max(turns[m].draw % DRAWS for m in some) + 1 for p, some in asked.items()}
            for n in sorted(set(most.values())):
                prompts = [prompt for prompt in asked if most[prompt] == n]
                drawn = self.model().generate(prompts, replace(self.sampling, n=n, seed=seed))
                for prompt, answers in zip(prompts, drawn, strict=True):
                    for place in asked[prompt]:
                        text = answers[turns[place].draw % DRAWS].text
                        yield place, text.encode("utf-8", "replace").decode()
