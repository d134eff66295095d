"""Learning-rate schedules as pure functions of the step; they return shares of the highest rate."""

from __future__ import annotations

import math
from collections.abc import Callable


def constant(progress: float) -> float:
    """Stay at the highest rate."""
    return 1.0


def linear(progress: float) -> float:
    """Fall in a straight line to zero at progress 1.

    >>> linear(0.25)
    0.75
    """
    return 1.0 - progress


def cosine(progress: float) -> float:
    """Fall along half a cosine to zero at progress 1 (Loshchilov and Hutter 2017, eq. 5).

    >>> cosine(0.0), round(cosine(0.5), 12)
    (1.0, 0.5)
    """
    return 0.5 * (1.0 + math.cos(math.pi * progress))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
}


def warmup_steps(warmup: float, steps: int) -> int:
    """Return the steps of warm-up: a share of all steps below 1, whole steps from 1 on.

    >>> warmup_steps(0.1, 40), warmup_steps(5, 40), warmup_steps(100, 40)
    (4, 5, 40)
    """
    wanted = math.ceil(warmup * steps) if warmup < 1 else int(warmup)
    return min(wanted, steps)


def learning_rate(step: int, *, lr: float, steps: int, warmup: float, schedule: str) -> float:
    """Return the rate of update number `step` (from 0) out of `steps`.

    Warm-up climbs in equal parts and reaches the highest rate with its last step, so no update
    has rate zero; the fall then starts at the highest rate and would reach zero one step after
    the last.

    >>> [learning_rate(s, lr=1.0, steps=6, warmup=2, schedule="linear") for s in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    warm = warmup_steps(warmup, steps)
    if step < warm:
        return lr * (step + 1) / warm
    return lr * SCHEDULES[schedule]((step - warm) / (steps - warm))
