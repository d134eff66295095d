"""Conversations as the public shapes write them: messages, ShareGPT, HH-RLHF transcripts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from togi.rows.raw import BadRow, kind_of, short
from togi.rows.types import Message, Prompt, Role

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_response": "tool",
    "ipython": "tool",
}
ROLE_KEYS = ("role", "from", "speaker")
CONTENT_KEYS = ("content", "value", "text")
TRANSCRIPT = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")


def _content(value: Any) -> str:
    """Return a turn's text; a list of parts is joined where all are text."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        texts = [p.get("text") for p in value if isinstance(p, dict) and p.get("type") == "text"]
        strings = [text for text in texts if isinstance(text, str)]
        if len(strings) == len(value):
            return "".join(strings)
    if value is None:
        raise BadRow("a turn has no text", hint="tool calls and images cannot be learnt from yet")
    raise BadRow("a turn's content is not text", found=f"{kind_of(value)}, {short(value)}")


def _turn(value: Any) -> Message:
    if not isinstance(value, dict):
        raise BadRow(
            "a turn is not an object",
            found=f"{kind_of(value)}, {short(value)}",
            expected='{"role": ..., "content": ...} or {"from": ..., "value": ...}',
        )
    role = next((value[key] for key in ROLE_KEYS if key in value), None)
    content = next((key for key in CONTENT_KEYS if key in value), None)
    if role is None or content is None:
        raise BadRow(
            "a turn lacks its role or its content",
            found=short(", ".join(map(str, value)), 200),
            expected="role and content, or from and value",
        )
    known = ROLES.get(role.strip().lower()) if isinstance(role, str) else None
    if known is None:
        raise BadRow(
            "a turn has an unknown role",
            found=short(role),
            expected="system, user (human), assistant (gpt) or tool",
        )
    return Message(known, _content(value[content]))


def conversation(value: Any, column: str) -> tuple[Message, ...]:
    """Read a list of turns, of either naming; of bare texts the user says the first.

    >>> conversation([{"from": "human", "value": "Hi"}], "conversations")
    (Message(role='user', content='Hi'),)
    """
    if isinstance(value, dict) and value and all(isinstance(v, list) for v in value.values()):
        # Hub data sets may store a list of objects as an object of lists.
        length = {len(v) for v in value.values()}
        if len(length) == 1:
            value = [
                dict(zip(value, turn, strict=True)) for turn in zip(*value.values(), strict=True)
            ]
    if not isinstance(value, list):
        raise BadRow(
            f"'{column}' is {kind_of(value)}, not a list of turns",
            found=short(value),
            expected='[{"role": "user", "content": "..."}, ...]',
        )
    if not value:
        raise BadRow(f"'{column}' has no turns")
    if all(isinstance(turn, str) for turn in value):  # as GAIR/lima writes them
        return tuple(
            Message("assistant" if place % 2 else "user", turn) for place, turn in enumerate(value)
        )
    return tuple(_turn(turn) for turn in value)


def last_answer(turns: Sequence[Message], column: str) -> tuple[tuple[Message, ...], str]:
    """Part a conversation before its last turn, which must be the assistant's."""
    *before, last = turns
    if last.role != "assistant":
        raise BadRow(
            f"the last turn of '{column}' is not the assistant's",
            found=last.role,
            expected="assistant",
        )
    if not before:
        raise BadRow(f"'{column}' has no turn before the answer")
    if not last.content.strip():
        raise BadRow(f"the last turn of '{column}' is empty")
    return tuple(before), last.content


def transcript(text: str, column: str) -> tuple[Message, ...]:
    r"""Read an HH-RLHF transcript.

    >>> transcript("\n\nHuman: Hi\n\nAssistant: Hello.", "chosen")
    (Message(role='user', content='Hi'), Message(role='assistant', content='Hello.'))
    """
    head, *rest = TRANSCRIPT.split(text)
    if head.strip() or not rest:
        raise BadRow(
            "there is no prompt column, and the answers are no transcripts",
            found=short(text),
            expected="a column 'prompt', lists of turns, or texts such as "
            r"'\n\nHuman: ...\n\nAssistant: ...'",
            hint="name the prompt's column with `columns: {prompt: ...}`",
        )
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return tuple(Message(ROLES[name.lower()], content.strip()) for name, content in pairs)


def shared_prompt(
    chosen: Sequence[Message], rejected: Sequence[Message]
) -> tuple[tuple[Message, ...], str, str]:
    """Return the prompt that two conversations share, and their two answers.

    They may differ in the last turn only: a preference judges one answer.
    """
    prompt, better = last_answer(chosen, "chosen")
    other, worse = last_answer(rejected, "rejected")
    if prompt != other:
        same = next(
            (i for i, (a, b) in enumerate(zip(prompt, other, strict=False)) if a != b),
            min(len(prompt), len(other)),
        )
        raise BadRow(
            "chosen and rejected part before their last turn",
            found=f"turn {same + 1} of {len(chosen)} and {len(rejected)} differs",
            expected="the same turns up to the last",
        )
    return prompt, better, worse


def as_turns(prompt: Prompt) -> tuple[Message, ...]:
    """Return the prompt as a conversation; plain text becomes the user's turn."""
    return (Message("user", prompt),) if isinstance(prompt, str) else prompt
