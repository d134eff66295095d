"""`togi chat`: a conversation with any model, at the terminal or from a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from togi.rows.types import Message

if TYPE_CHECKING:
    from togi.lm.base import LanguageModel


@dataclass(slots=True, kw_only=True)
class Chat:
    """A conversation and how its answers are drawn."""

    system: str = ""
    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    turns: list[Message] = field(default_factory=list)

    def answer(self, model: LanguageModel, text: str) -> str:
        """Say something and return the model's answer; both become part of the conversation."""
        from togi.lm.base import Sampling

        first = [Message("system", self.system)] if self.system else []
        self.turns.append(Message("user", text))
        sampling = Sampling(
            max_tokens=self.max_tokens, temperature=self.temperature, seed=self.seed
        )
        found = model.generate([(*first, *self.turns)], sampling)[0][0]
        self.turns.append(Message("assistant", found.text))
        return found.text + (" …" if found.finish == "length" else "")


def talk(chat: Chat, model: str, *, adapter: Path | None, once: str, offline: bool) -> None:
    """Open a model and talk with it; with `once` a single question."""
    from togi.align.tuned import open_tuned

    opened = open_tuned(model, adapter=adapter, offline=offline, say=_to_stderr)
    if once:
        print(chat.answer(opened, once))
        return
    for line in _asked(sys.stdin.isatty()):
        print(chat.answer(opened, line), flush=True)


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


def _asked(terminal: bool, read: Callable[[str], str] = input) -> Iterator[str]:
    """Yield lines until an empty one or the end; on a terminal with a prompt and a history."""
    if terminal:
        import readline  # noqa: F401  # gives `input` its history and line editing
    while True:
        try:
            line = read("> " if terminal else "")
        except EOFError:
            return
        if not line.strip():
            return
        yield line
