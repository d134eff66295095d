"""What a run says while it works: lines for people, JSON lines for programs, or only the end."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO

Manner = Literal["plain", "json", "quiet"]


@dataclass(slots=True)
class Voice:
    """Says lines and events on standard output in one of three manners.

    In "json" each line is one object with an `event`; in "quiet" only what is `final` is said.
    """

    manner: Manner = "plain"
    out: TextIO = field(default_factory=lambda: sys.stdout)
    indent: str = ""

    def line(self, text: str) -> None:
        """Say one line of progress."""
        if self.manner == "json":
            self.event("say", text=text)
        elif self.manner == "plain":
            self._put("\n".join(self.indent + part for part in text.splitlines() or [""]))

    def event(self, event: str, *, text: str = "", **fields: Any) -> None:
        """Say that something happened; `text` is what a person reads of it."""
        if self.manner == "json":
            told = {"text": text} if text else {}
            self._put(json.dumps({"event": event, **told, **fields}, ensure_ascii=False))
        elif text and self.manner == "plain":
            self._put(text)

    def final(self, event: str, *, text: str, **fields: Any) -> None:
        """Say what stays to be said even when quiet: the verdict and where the report is."""
        if self.manner == "json":
            self.event(event, text=text, **fields)
        else:
            self._put(text)

    def _put(self, text: str) -> None:
        self.out.write(text + "\n")
        self.out.flush()


def duration(seconds: float) -> str:
    """Say a duration.

    >>> duration(0.04), duration(75), duration(3700)
    ('0.0 s', '1 min 15 s', '1 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"
