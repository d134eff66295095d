r"""What a player of the bandit is told before each choice: the text, letter by letter.

    Two slot machines, machine 1 and machine 2. …                    the same in all games
    Choice 3 of 10. Points so far:
    - machine 1: 3.1, -2.0
    - machine 2: none yet

    Question: If you were a 7-year-old, which machine would you choose?   the persona comes last
    Answer: Machine

What is common to most comes first and the persona last, so that personas with the same history
share it: all of a trial's prompts are one tree. The choice is the machine's number after the
stem, by its likelihood, or is written and read (`parsing`).
"""

from __future__ import annotations

from dataclasses import dataclass

from togi.evaluate.personas.manner import Manner
from togi.evaluate.personas.parsing import parse_choice
from togi.evaluate.personas.persona import Persona
from togi.rows.types import Prompt

VERSION = 1
"Counts up when the text says something else."
MACHINES = ("1", "2")
STEM = "Answer: Machine"
QUESTION = "which machine would you choose?"
LINE = "\n"
REPLY = "Reply with the machine's number only, 1 or 2."


@dataclass(frozen=True, slots=True)
class Turn:
    """One choice to be made.

    Attributes:
        who: the persona that chooses.
        game: which game, from 0.
        trial: which choice of it, from 0.
        trials: how many there are.
        points: what machine 1 and machine 2 have paid so far, in order.
        draw: which of the equal questions of this persona in this trial it is, from 0.
        means, sds: what an ideal learner believes of the two machines; only simulated players
            look at it.
    """

    who: Persona
    game: int
    trial: int
    trials: int
    points: tuple[tuple[float, ...], tuple[float, ...]]
    draw: int = 0
    means: tuple[float, float] = (0.0, 0.0)
    sds: tuple[float, float] = (1.0, 1.0)


def rules_text(trials: int) -> str:
    """Return what all games have in common."""
    return (
        "Two slot machines, machine 1 and machine 2. A machine does not pay the same points each "
        "time: its payments scatter around its own average, and one of the two has the higher "
        "average. After each choice the player is told what the chosen machine paid. The goal is "
        f"to collect as many points as possible in {trials} choices."
    )


def history_text(turn: Turn) -> str:
    """Return which choice it is and what the machines have paid.

    >>> who = Persona("none", "", "none")
    >>> print(history_text(Turn(who, 0, 2, 10, ((3.14, -2.0), ()))))
    Choice 3 of 10. Points so far:
    - machine 1: 3.1, -2.0
    - machine 2: none yet
    >>> history_text(Turn(who, 0, 0, 10, ((), ())))
    'Choice 1 of 10. No points so far.'
    """
    head = f"Choice {turn.trial + 1} of {turn.trials}."
    if not turn.trial:
        return f"{head} No points so far."
    lists = (", ".join(f"{pay:.1f}" for pay in paid) or "none yet" for paid in turn.points)
    lines = (f"- machine {name}: {paid}" for name, paid in zip(MACHINES, lists, strict=True))
    return "\n".join([f"{head} Points so far:", *lines])


def turn_prompt(manner: Manner, turn: Turn, *, written: bool) -> Prompt:
    """Return what the model is given for one choice.

    Args:
        manner: wording, and plain text or a conversation.
        turn: the choice.
        written: whether the answer is written; a conversation then says how to reply.
    """
    asked = f"Question: {manner.question(turn.who, QUESTION)}"
    if written and manner.prompt == "chat":
        asked = f"{asked} {REPLY}"
    text = f"{rules_text(turn.trials)}\n\n{history_text(turn)}\n\n{asked}"
    return manner.prompted(turn.who, text, STEM)


def read_machine(text: str, *, plain: bool) -> int | None:
    r"""Return which machine an answer names, 0 or 1; None where it names none, or both.

    Plain text goes on after the stem "Machine", so its first line is read as if the stem stood
    before it.

    >>> read_machine(" 2 is best\nQuestion: machine 1?", plain=True)
    1
    >>> read_machine("**Machine 1**.", plain=False)
    0
    >>> read_machine("I would not play.", plain=False)
    """
    if plain:
        text = f"Machine {text.strip(' ').partition(LINE)[0]}"
    return parse_choice(text, MACHINES, ["machine"])
