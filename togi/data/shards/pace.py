"""How far work on shards is: a line now and then, with its rate and what is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from togi.train.progress import span

SECONDS = 10.0  # between lines
T = TypeVar("T")


class Pace:
    """Says how many shards are done; use it as a context.

    Args:
        what: is done.
        sizes: of the shards, in `unit`.
        say: takes the lines.
        unit: "MB" (sizes are bytes) or another word.
        clock: in seconds.
    """

    def __init__(
        self,
        what: str,
        sizes: Sequence[int],
        say: Callable[[str], None],
        *,
        unit: str = "MB",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what, self.sizes, self.say, self.clock = what, sizes, say, clock
        self.scale, self.unit = (1e6 if unit == "MB" else 1.0), unit
        self.finished, self.worked, self.kept = 0, 0.0, 0
        self.began = self.said = clock()

    def __enter__(self) -> Pace:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self.kept and self.kept == self.finished:
            self.say(f"{self.what}: kept from before")

    def done(self, fresh: bool = True) -> None:
        """Count the next shard."""
        if fresh:
            self.worked += self.sizes[self.finished] / self.scale
        else:
            self.kept += 1
        self.finished += 1
        now = self.clock()
        if now - self.said >= SECONDS and self.finished < len(self.sizes):
            self.said = now
            self.say(self.line(now))

    def through(self, result: T) -> T:
        """Count the next shard and hand its result on."""
        self.done()
        return result

    def line(self, now: float) -> str:
        """Return how far it is."""
        rate = self.worked / (now - self.began)
        left = sum(self.sizes[self.finished :]) / self.scale
        ahead = f", {span(left / rate)} left" if rate else ""
        return (
            f"{self.what}: {self.finished:,} of {len(self.sizes):,} shards, "
            f"{rate:,.0f} {self.unit}/s{ahead}"
        )
