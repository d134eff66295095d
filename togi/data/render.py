"""The text of a row that the data steps look at."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

from togi.errors import RecipeError, nearest
from togi.rows.types import (
    Document,
    Example,
    Feedback,
    Message,
    Preference,
    Ranking,
    Row,
    Sample,
)

DEFAULT_FEATURES: dict[type, str] = {
    Document: "{text}",
    Example: "{prompt}\n{response}",
    Preference: "{prompt}\n{chosen}",
    Feedback: "{prompt}\n{response}",
    Ranking: "{prompt}\n{responses}",
    Sample: "{input}\n{target}",
}


class Renderer:
    r"""Turns rows into the text whose n-grams count.

    Args:
        template: such as `{prompt} {response}`; a name in braces is a field or a metadata key.
        step: the step's name, for errors.

    >>> Renderer(None, "dsir")(Example(id="a", prompt="2 + 2?", response="4"))
    '2 + 2?\n4'
    """

    def __init__(self, template: str | None, step: str) -> None:
        self.template, self.step = template, step

    def __call__(self, row: Row) -> str:
        """Return the row's text."""
        template = self.template or DEFAULT_FEATURES[type(row)]
        return re.sub(r"\{(\w+)\}", lambda match: self._value(row, match[1]), template)

    def _value(self, row: Row, name: str) -> str:
        known = [one.name for one in fields(row) if one.name != "metadata"]
        if name in known:
            return plain(getattr(row, name))
        if name in row.metadata:
            return plain(row.metadata[name])
        raise RecipeError(
            f"rows of this kind ({type(row).__name__}) have no field '{name}'",
            where=f"step '{self.step}', features",
            found=str(self.template),
            expected=nearest(name, [*known, *map(str, row.metadata)]),
        )


def plain(value: Any) -> str:
    """Return a field as text: turns of a conversation and items of a list one below the other."""
    if isinstance(value, str):
        return value
    if isinstance(value, Message):
        return value.content
    if isinstance(value, tuple | list):
        return "\n".join(map(plain, value))
    return str(value)
