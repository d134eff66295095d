"""All texts of a row, and the same row with its texts changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from togi.rows.types import (
    Document,
    Example,
    Feedback,
    Message,
    Preference,
    Prompt,
    Ranking,
    Row,
    Sample,
)

R = TypeVar("R", bound=Row)


def _of_prompt(prompt: Prompt) -> list[str]:
    return [prompt] if isinstance(prompt, str) else [turn.content for turn in prompt]


def prompt_of(row: Row) -> Prompt:
    """Return what a row asks: its prompt, its question, or its text.

    >>> prompt_of(Example(id="a", prompt="Hi", response="Hello"))
    'Hi'
    """
    if isinstance(row, Sample):
        return row.input
    return row.text if isinstance(row, Document) else row.prompt


def prompt_key(row: Row) -> str:
    """Return a text that is equal for rows with equal prompts."""
    return "\0".join(_of_prompt(prompt_of(row)))


def texts(row: Row) -> list[str]:
    """Return every text of a row: the prompt's turns first, then the answers.

    >>> texts(Example(id="a", prompt=(Message("user", "Hi"),), response="Hello"))
    ['Hi', 'Hello']
    """
    if isinstance(row, Document):
        return [row.text]
    if isinstance(row, Example | Feedback):
        return [*_of_prompt(row.prompt), row.response]
    if isinstance(row, Preference):
        return [*_of_prompt(row.prompt), row.chosen, row.rejected]
    if isinstance(row, Ranking):
        return [*_of_prompt(row.prompt), *row.responses]
    target = [row.target] if isinstance(row.target, str) else []
    return [*_of_prompt(row.input), *target, *row.choices]


def answers(row: Row) -> list[str]:
    """Return what is learnt of a row: a document's text, answers; of a sample its question.

    >>> answers(Example(id="a", prompt="Hi", response="Hello"))
    ['Hello']
    """
    if isinstance(row, Document):
        return [row.text]
    if isinstance(row, Example | Feedback):
        return [row.response]
    if isinstance(row, Preference):
        return [row.chosen, row.rejected]
    return list(row.responses) if isinstance(row, Ranking) else _of_prompt(row.input)


def with_texts(row: R, change: Callable[[str], str]) -> R:
    """Return the row with every text changed; its id and metadata stay.

    >>> with_texts(Document(id="a", text="Hi"), str.upper).text
    'HI'
    """

    def prompt(given: Prompt) -> Prompt:
        if isinstance(given, str):
            return change(given)
        return tuple(Message(turn.role, change(turn.content)) for turn in given)

    if isinstance(row, Document):
        return replace(row, text=change(row.text))
    if isinstance(row, Example | Feedback):
        return replace(row, prompt=prompt(row.prompt), response=change(row.response))
    if isinstance(row, Preference):
        chosen, rejected = change(row.chosen), change(row.rejected)
        return replace(row, prompt=prompt(row.prompt), chosen=chosen, rejected=rejected)
    if isinstance(row, Ranking):
        return replace(
            row, prompt=prompt(row.prompt), responses=tuple(change(one) for one in row.responses)
        )
    target = change(row.target) if isinstance(row.target, str) else row.target
    choices = tuple(change(one) for one in row.choices)
    return replace(row, input=prompt(row.input), target=target, choices=choices)
