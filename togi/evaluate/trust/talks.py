"""Conversations: the study's two wrappers, and how a system's text reaches models without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from togi.errors import DataError, UsageError
from togi.lm.base import LanguageModel
from togi.lm.cache import Cached
from togi.rows.types import Message, Prompt

Turns: TypeAlias = Literal["system", "user", "plain"]
"""Where the system's text goes: a turn of its own, the user's first turn, or plain text."""

SYSTEM = "You are a helpful assistant."
PATTERN = "You are a helpful, pattern-following assistant."
ACCEPTED = "Sure, I'd be happy to!"

Demo: TypeAlias = tuple[str, str]
"""What a user says, and the answer that is shown for it."""


def asked(system: str, user: str) -> tuple[Message, ...]:
    """Return a system's text and one user's turn.

    >>> [turn.role for turn in asked("Be kind.", "Hello")]
    ['system', 'user']
    """
    return (Message("system", system), Message("user", user))


def classified(
    task: str, text: str, demos: Sequence[Demo] = (), *, system: str = ""
) -> tuple[Message, ...]:
    r"""Return the study's wrapper of a classification.

    Without demonstrations the task and the text are one user's turn. With them the task is
    accepted first, then each demonstration is a pair of turns, the answer capitalised. So all
    texts of one list of demonstrations share everything but the last turn.

    Source: Wang et al. 2023, appendix A.

    >>> classified("Say yes or no.", "Is it?")[1].content
    'Say yes or no.\nIs it?'
    >>> [turn.content for turn in classified("Say yes or no.", "Is it?", [("Was it?", "no")])][3:]
    ['Was it?', 'No', 'Is it?']
    """
    if not demos:
        return asked(system or SYSTEM, f"{task}\n{text}")
    shown = [
        turn
        for said, answer in demos
        for turn in (Message("user", said), Message("assistant", answer.capitalize()))
    ]
    return (
        Message("system", system or PATTERN),
        Message("user", task),
        Message("assistant", ACCEPTED),
        *shown,
        Message("user", text),
    )


def turned(prompt: Prompt, turns: Turns) -> Prompt:
    r"""Return a conversation as a model can take it.

    Args:
        prompt: a conversation, or plain text, which stays.
        turns: "system" leaves it; "user" puts the system's text before the first user's turn,
            for chat templates that know no system; "plain" writes it out, for base models.

    >>> turned(asked("Be kind.", "Hello"), "user")
    (Message(role='user', content='Be kind.\n\nHello'),)
    >>> turned(asked("Be kind.", "Hello"), "plain")
    'Be kind.\n\nUser: Hello\nAssistant:'
    """
    if isinstance(prompt, str) or turns == "system":
        return prompt
    system = "\n\n".join(turn.content for turn in prompt if turn.role == "system")
    rest = [turn for turn in prompt if turn.role != "system"]
    if turns == "plain":
        said = [f"{turn.role.capitalize()}: {turn.content}" for turn in rest]
        head = f"{system}\n\n" if system else ""
        return head + "\n".join([*said, "Assistant:"])
    if not system:
        return tuple(rest)
    if not rest or rest[0].role != "user":
        return (Message("user", system), *rest)
    return (Message("user", f"{system}\n\n{rest[0].content}"), *rest[1:])


def check_turns(model: LanguageModel, prompt: Prompt) -> None:
    """Refuse a local model whose chat template has no place for the system's text.

    Some templates raise an error, some drop the turn in silence; then every adversarial system
    prompt would be asked as a benign one. An endpoint's template cannot be seen.

    Raises:
        UsageError: says what to do instead.
    """
    inner = model.model if isinstance(model, Cached) else model
    renderer = getattr(inner, "renderer", None)
    if renderer is None or isinstance(prompt, str):
        return
    system = "\n".join(turn.content for turn in prompt if turn.role == "system")
    try:
        shown = renderer.template.prompt(prompt)
    except DataError as error:
        plain = not renderer.tokenizer.chat_template
        raise UsageError(
            error.problem,
            where=model.name,
            found=error.found,
            hint="set `turns: plain`" if plain else "set `turns: user`",
        ) from error
    if system.strip() and system.strip() not in shown:
        raise UsageError(
            "the model's chat template drops the system's turn",
            where=model.name,
            found="a rendered prompt without the system's text",
            hint="set `turns: user`, which puts it before the user's words",
        )
