"""Errors for people: where, what was found, what was expected, what to do next.

Every mistake that a user can make raises a `TogiError`; the command line prints it as one
message and leaves with its exit code. Mistakes of ours stay ordinary exceptions.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class TogiError(Exception):
    """A user's mistake or a fault of the surroundings, told in one message.

    Args:
        problem: what is wrong, in one sentence without a final full stop.
        where: file, line and field, or the recipe's section; told first.
        found: what stood there.
        expected: what would have been right.
        hint: what to do next.

    >>> print(DataError("no column 'chosen'", where="pairs.jsonl line 17", found="prompt, response",
    ...                 expected="prompt, chosen, rejected", hint="or set `use: align.sft`"))
    pairs.jsonl line 17: no column 'chosen'. Found: prompt, response. \
Expected: prompt, chosen, rejected. Next: or set `use: align.sft`.
    """

    code: ClassVar[int] = 1

    def __init__(
        self,
        problem: str,
        *,
        where: str = "",
        found: str = "",
        expected: str = "",
        hint: str = "",
    ) -> None:
        self.problem, self.where, self.found = problem, where, found
        self.expected, self.hint = expected, hint
        super().__init__(problem)

    def __str__(self) -> str:
        head = f"{self.where}: {self.problem}" if self.where else self.problem
        parts = [("Found", self.found), ("Expected", self.expected), ("Next", self.hint)]
        sentences = [head, *(f"{name}: {text}" for name, text in parts if text)]
        ended = (sentence.rstrip(". ") for sentence in sentences)
        return " ".join(text if text.endswith("?") else f"{text}." for text in ended)


class UsageError(TogiError):
    """A wrong command, flag or argument."""

    code = 2


class RecipeError(TogiError):
    """A recipe that cannot be read or does not make sense."""

    code = 2


class GateNotPassed(TogiError):
    """The run completed and its verdict is not *accept*."""

    code = 3


class DataError(TogiError):
    """Rows that cannot be read, are empty, or do not fit the step that wants them."""

    code = 4


class SurroundingsError(TogiError):
    """Disk, network, memory, a missing package, a broken cache or an endpoint that fails."""

    code = 5


class Stopped(TogiError):
    """The user or the system asked to stop; running the same command again continues."""

    code = 130


def nearest(name: str, choices: Iterable[str]) -> str:
    """Say which of the choices was probably meant, or list them.

    >>> nearest("lerning_rate", ["learning_rate", "steps"])
    "did you mean 'learning_rate'?"
    >>> nearest("zzz", ["a", "b"])
    'one of: a, b'
    """
    known = sorted(choices)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else "one of: " + ", ".join(known)
