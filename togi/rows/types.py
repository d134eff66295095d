"""The typed, frozen records that every part of togi reads and writes.

A prompt is either plain text (no chat template is applied) or a conversation, a tuple of
`Message`. Ids are stable: the same row of the same file has the same id in every run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


Prompt: TypeAlias = str | tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text to learn from or to choose."""

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A prompt and the response to imitate (SFT)."""

    id: str
    prompt: Prompt
    response: str
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """A prompt with a better and a worse response (DPO)."""

    id: str
    prompt: Prompt
    chosen: str
    rejected: str
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """A prompt, one response, and a thumb up or down (KTO)."""

    id: str
    prompt: Prompt
    response: str
    desirable: bool
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """A prompt and its responses, best first."""

    id: str
    prompt: Prompt
    responses: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One question to judge a model on; `target` is a text, or an index into `choices`."""

    id: str
    input: Prompt
    target: str | int
    choices: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


Row: TypeAlias = Document | Example | Preference | Feedback | Ranking | Sample


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that was left out, and why; reasons are counted, nothing disappears silently."""

    id: str
    reason: str
    row: Any = None
