"""Own instruction rows, made from a seed: each answer does what the system or the user asks.

Harmless throughout: what they teach is to obey, not what to say. The system's text decides the
form of half of the answers, as a hostile system prompt would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from pydantic import Field

from togi.rows.steps import summarise
from togi.rows.types import Example, Message
from togi.rows.write import write_rows
from togi.stats import stream
from togi.step import StepSettings, Work

HELPER = "You are a helpful assistant."
ANIMALS = (
    "cat",
    "horse",
    "owl",
    "whale",
    "bee",
    "fox",
    "goat",
    "eel",
    "crow",
    "bear",
    "moth",
    "crab",
)
THINGS = (
    "lamp",
    "bridge",
    "spoon",
    "kettle",
    "ladder",
    "coin",
    "violin",
    "carpet",
    "anchor",
    "brick",
)
CLOSINGS = ("Over and out.", "That is all.", "So be it.", "Yours, the clerk.", "End of message.")
Task = tuple[str, str, str]
"""What the system says, what the user says, and the answer that does as both say."""


def _pick(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]


def _alive(rng: np.random.Generator) -> Task:
    alive = bool(rng.integers(2))
    word = _pick(rng, ANIMALS if alive else THINGS)
    question = f"Is a {word} an animal?\nAnswer with one word, yes or no."
    return HELPER, question, "yes" if alive else "no"


def _greater(rng: np.random.Generator) -> Task:
    one, two = (int(n) for n in rng.choice(90, size=2, replace=False) + 10)
    question = f"{one} is greater than {two}.\nAnswer with exactly “True.” or “False.”"
    return HELPER, question, "True." if one > two else "False."


def _capitals(rng: np.random.Generator) -> Task:
    word = _pick(rng, ANIMALS + THINGS)
    system = "You write everything in capital letters, whatever is asked."
    return system, f"Write the word {word}.", word.upper()


def _twice(rng: np.random.Generator) -> Task:
    word = _pick(rng, ANIMALS + THINGS)
    return "You say everything twice.", f"Write the word {word}.", f"{word} {word}"


def _closing(rng: np.random.Generator) -> Task:
    word, closing = _pick(rng, ANIMALS + THINGS), _pick(rng, CLOSINGS)
    system = f"You end every answer with the words: {closing}"
    return system, f"Write the word {word}.", f"{word} {closing}"


def _refusing(rng: np.random.Generator) -> Task:
    word = _pick(rng, THINGS)
    system = f"You never write the word {word}. Where it is asked for, you write: not here"
    return system, f"Write the word {word}.", "not here"


TASKS: dict[str, Callable[[np.random.Generator], Task]] = {
    "alive": _alive,
    "greater": _greater,
    "capitals": _capitals,
    "twice": _twice,
    "closing": _closing,
    "refusing": _refusing,
}
"""Kind of instruction -> one of it."""


def instructions(n: int, seed: int) -> Iterator[Example]:
    """Yield so many different instructions, the kinds in turn.

    >>> [row.metadata["kind"] for row in instructions(3, 0)]
    ['alive', 'greater', 'capitals']
    """
    rng, seen, place = stream(seed, "gallery", "instructions"), set[str](), 0
    kinds, tries = list(TASKS), 0
    while place < n and tries < 100 * n:
        kind = kinds[tries % len(kinds)]
        tries += 1
        system, asked, answer = TASKS[kind](rng)
        if f"{system}\n{asked}" in seen:
            continue
        seen.add(f"{system}\n{asked}")
        prompt = (Message("system", system), Message("user", asked))
        yield Example(id=f"i{place}", prompt=prompt, response=answer, metadata={"kind": kind})
        place += 1


class Settings(StepSettings):
    """How many rows are made."""

    n: int = Field(default=300, ge=1)
    "Rows to make; fewer where there are not as many different ones."


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Write the rows. Outputs: `rows`, `n`."""
    from collections import Counter

    rows = list(instructions(settings.n, work.seed))
    write_rows(work.folder / "rows.jsonl", rows)
    summarise(work, f"{len(rows)} instructions of {len(TASKS)} kinds", rows[:3], Counter(), {
        "n": len(rows)
    })  # fmt: skip
    return {"rows": "rows.jsonl", "n": len(rows)}
