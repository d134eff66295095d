"""Like with like: in what two judgings differ, what is refused, and what a user allows.

Two models may be compared where they were asked the same samples in the same way: template,
solved examples, reading of the answer and its version (all of them are the task's template), by
the same engine in the same number format. Whatever differs is refused by name, unless the user
allows that very name; then the difference stands beside every number that it touches.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

from togi.errors import DataError, UsageError, nearest

Differs: TypeAlias = dict[str, tuple[str, str]]
"""What differs: name of the field -> what it is on the one side and on the other."""

ENGINE = ("backend", "dtype")
"""What is known of a model that decides how its numbers are computed."""

ASKED = (
    "kind", "version", "render", "context_words", "check", "sampling", "shots",
)  # fmt: skip
"""What a task's template may hold."""

UNKNOWN = "not told"


def check_allowed(allowed: Collection[str]) -> None:
    """Refuse a name that stands for no difference.

    >>> check_allowed(["dtype"])
    """
    for name in allowed:
        if name not in (*ENGINE, *ASKED):
            raise UsageError(
                f"'{name}' is nothing that judgings could differ in",
                where="unlike",
                expected=nearest(name, (*ENGINE, *ASKED)),
            )


def engines_differ(one: Mapping[str, Any], two: Mapping[str, Any]) -> Differs:
    """Return in what the engines of two models differ; what neither tells does not count.

    >>> engines_differ({"backend": "LocalModel", "dtype": "float32"},
    ...                {"backend": "LocalModel", "dtype": "bfloat16"})
    {'dtype': ('float32', 'bfloat16')}
    """
    found = {key: (str(one.get(key, UNKNOWN)), str(two.get(key, UNKNOWN))) for key in ENGINE}
    return {key: sides for key, sides in found.items() if sides[0] != sides[1]}


def cards_differ(one: Mapping[str, Any], two: Mapping[str, Any]) -> Differs:
    """Return in what two tasks' ways of asking differ, from `task_facts`' cards.

    >>> cards_differ({"asked": {"kind": "a", "shots": ["x"]}}, {"asked": {"kind": "a"}})
    {'shots': ('1 of x', 'None')}
    """
    ours, theirs = one["asked"], two["asked"]
    return {
        key: (_short(ours.get(key)), _short(theirs.get(key)))
        for key in {**ours, **theirs}
        if ours.get(key) != theirs.get(key)
    }


def _short(value: Any) -> str:
    return f"{len(value)} of {','.join(map(str, value))}" if isinstance(value, list) else str(value)


def told(differs: Mapping[str, Sequence[str]]) -> str:
    """Say what differs, field by field.

    >>> told({"dtype": ("float32", "bfloat16")})
    'dtype: float32 and bfloat16'
    """
    return "; ".join(f"{key}: {one} and {two}" for key, (one, two) in differs.items())


def refused(differs: Mapping[str, Sequence[str]], allowed: Collection[str]) -> bool:
    """Say whether something differs that the user has not allowed."""
    return bool(set(differs) - set(allowed))


def refuse(differs: Differs, allowed: Collection[str], where: str) -> None:
    """Refuse to compare what differs in anything that is not allowed.

    Raises:
        DataError: names every field that differs, with both sides.
    """
    if refused(differs, allowed):
        names = ", ".join(sorted(differs))
        raise DataError(
            "asked or answered in different ways, which cannot be compared",
            where=where,
            found=told(differs),
            expected="the same template, shots, reading, backend and dtype",
            hint="judge both again in one way, or allow it on purpose with "
            f"unlike: [{names}] (--unlike NAME), which the report then states",
        )


def sentence(after: str, before: str, differs: Mapping[str, Sequence[str]], task: str = "") -> str:
    """Say on the page that unlike things were compared on purpose.

    >>> sentence("sft", "base", {"dtype": ("float32", "bfloat16")})
    'sft and base were compared although they differ in dtype: float32 and bfloat16.'
    """
    on = f" on {task}" if task else ""
    return f"{after} and {before} were compared{on} although they differ in {told(differs)}."
