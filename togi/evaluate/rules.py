"""Rule judges: pure functions that say which of two answers is better, ours and the user's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from togi.errors import DataError, UsageError, nearest
from togi.evaluate.checks import CHECKS
from togi.lm.manifest import sha256_of
from togi.parse.named import same_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two answers to one prompt, as a rule sees them.

    Attributes:
        id: of the row.
        prompt: what was asked, as one text.
        first: the answer shown first.
        second: the answer shown second.
        target: the reference answer, "" where the row has none.
        finishes: how the two ended, each "stop" or "length".
    """

    id: str
    prompt: str
    first: str
    second: str
    target: str = ""
    finishes: tuple[str, str] = ("stop", "stop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule judge.

    Attributes:
        name: as the recipe calls it.
        definition: one sentence for the report.
        credit: the credit of the answer shown first: 1 it is better, 0 the other, .5 a tie.
        fingerprint: changes whenever a verdict could.
    """

    name: str
    definition: str
    credit: Callable[[Pair], float]
    fingerprint: str


def larger(first: float, second: float) -> float:
    """Return the credit of the first where more is better.

    >>> larger(2, 1), larger(1, 1)
    (1.0, 0.5)
    """
    return 0.5 if first == second else float(first > second)


def _check_credit(name: str) -> Callable[[Pair], float]:
    def credit(pair: Pair) -> float:
        shares = [
            sum(CHECKS[name].apply(text, finish).values())
            for text, finish in zip((pair.first, pair.second), pair.finishes, strict=True)
        ]
        return larger(*shares)

    return credit


def _ours(name: str, definition: str, credit: Callable[[Pair], float], version: int = 1) -> Rule:
    return Rule(
        name=name, definition=definition, credit=credit, fingerprint=f"rule:{name}:{version}"
    )


RULES = {
    rule.name: rule
    for rule in (
        _ours(
            "shorter",
            "the answer of fewer characters",
            lambda pair: larger(len(pair.second.strip()), len(pair.first.strip())),
        ),
        _ours(
            "longer",
            "the answer of more characters",
            lambda pair: larger(len(pair.first.strip()), len(pair.second.strip())),
        ),
        _ours(
            "ended",
            "the answer that its model ended by itself",
            lambda pair: larger(*(end == "stop" for end in pair.finishes)),
        ),
        _ours(
            "matches",
            "the answer that equals the row's response, apart from case and white space",
            lambda pair: larger(
                same_text(pair.first, pair.target), same_text(pair.second, pair.target)
            ),
        ),
        *(
            _ours(name, f"the answer with the larger {check.definition}", _check_credit(name))
            for name, check in CHECKS.items()
        ),
    )
}
"""Name -> rule judge; a check of `togi.evaluate.checks` is a rule under its own name."""


def rule_of(name: str) -> Rule:
    """Return a rule of ours by name, or the user's own by `file.py:function`.

    Raises:
        UsageError: no such rule, file or function.

    >>> rule_of("shorter").credit(Pair(id="1", prompt="?", first="yes", second="certainly"))
    1.0
    """
    file, colon, function = name.rpartition(":")
    if colon and file.endswith(".py"):
        return _own(name, Path(file).expanduser(), function)
    if name not in RULES:
        raise UsageError(
            f"no rule is called {name!r}",
            expected=nearest(name, RULES),
            hint="or give a Python function of your own as file.py:function",
        )
    return RULES[name]


def is_rule(name: str) -> bool:
    """Say whether a judge's short form names a rule.

    >>> is_rule("shorter"), is_rule("mine.py:kinder"), is_rule("owner/model")
    (True, True, False)
    """
    return name in RULES or name.rpartition(":")[0].endswith(".py")


class _FromSource(SourceFileLoader):
    """Reads the source each time: compiled code may be that of an edit in the same second."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file as it is now."""
        return self.source_to_code(self.get_data(self.path), self.path)


def _own(name: str, path: Path, function: str) -> Rule:
    """Load the user's function; its file runs, as the user's own code."""
    if not path.is_file():
        raise UsageError("there is no such file", where=name, expected="file.py:function")
    loader = _FromSource(f"togi_rule_{path.stem}", str(path))
    module = ModuleType(loader.name)
    module.__file__ = str(path)
    try:
        loader.exec_module(module)
    except Exception as error:  # the user's own code: whatever it raises is told
        raise UsageError(
            "the file of this rule cannot be run",
            where=name,
            found=f"{type(error).__name__}: {error}",
            hint=f"`python {path}` shows where",
        ) from error
    found = getattr(module, function, None)
    if not callable(found):
        known = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise UsageError(
            f"the file has no function {function!r}",
            where=name,
            expected=nearest(function, known) if known else "a function in it",
        )
    says = (found.__doc__ or "").strip().splitlines()
    return Rule(
        name=name,
        definition=says[0] if says else f"as the function {function} in {path.name} has it",
        credit=lambda pair: _credit(name, found, pair),
        fingerprint=f"own:{function}:{sha256_of(path)[:16]}",
    )


def _credit(name: str, function: Callable[..., Any], pair: Pair) -> float:
    """Ask the user's function and check what it says."""
    try:
        said = function(pair.prompt, pair.first, pair.second, pair.target)
    except Exception as error:  # the user's own code: whatever it raises is told
        raise DataError(
            "the rule failed",
            where=f"{name}, row {pair.id!r}",
            found=f"{type(error).__name__}: {error}",
            expected="a function of (prompt, first, second, target), four texts",
        ) from error
    if said is None:
        return math.nan
    if not isinstance(said, int | float) or not 0 <= said <= 1:
        raise DataError(
            "the rule's verdict makes no sense",
            where=f"{name}, row {pair.id!r}",
            found=repr(said)[:60],
            expected="1 the first is better, 0 the second, 0.5 a tie, None unknown",
        )
    return float(said)
