"""How far a training run is: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_SHARE = 0.1  # without a terminal: a line each tenth of the way ...
PLAIN_SECONDS = 10.0  # ... or each ten seconds, whichever comes first


def facts(line: Mapping[str, Any]) -> str:
    """Word a metrics line for a person.

    >>> facts({"loss": 1.25, "tokens_per_s": 812.4, "memory_mb": 1936.2})
    'loss 1.250 · 812 tokens/s · 1.9 GB'
    """
    return (
        f"loss {line['loss']:.3f} · {line['tokens_per_s']:.0f} tokens/s"
        f" · {line['memory_mb'] / 1000:.1f} GB"
    )


def span(seconds: float) -> str:
    """Word a time span.

    >>> span(42.4), span(130), span(7300)
    ('42 s', '2:10 min', '2:01 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours}:{left:02d} h" if hours else f"{minutes}:{rest:02d} min"


class Bar:
    """A context that shows steps; `live` decides between the bar and plain lines."""

    def __init__(
        self, name: str, *, start: int, steps: int, say: Callable[[str], None],
        live: bool | None = None, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        console = Console(stderr=True)
        self._live = console.is_terminal if live is None else live
        self._name, self._start, self._steps, self._say = name, start, steps, say
        self._clock, self._began, self._said_at, self._said_step = clock, clock(), clock(), start
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[facts]}"), console=console,
        )  # fmt: skip

    def __enter__(self) -> Bar:
        if self._live:
            self._bar.start()
            self._task = self._bar.add_task(
                self._name, total=self._steps, completed=self._start, facts=""
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._bar.stop()

    def show(self, line: Mapping[str, Any]) -> None:
        """Tell of one finished step."""
        step = line["step"]
        if self._live:
            self._bar.update(self._task, completed=step, facts=facts(line))
            return
        now = self._clock()
        far = step - self._said_step >= PLAIN_SHARE * self._steps
        late = now - self._said_at >= PLAIN_SECONDS
        if far or late or step == self._steps:
            pace = (now - self._began) / (step - self._start)
            left = f" · {span(pace * (self._steps - step))} left" if step < self._steps else ""
            self._say(f"{self._name}: step {step} of {self._steps} · {facts(line)}{left}")
            self._said_at, self._said_step = now, step
