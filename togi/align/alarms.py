"""What a finished training should be asked about: signs in its log that something went wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from togi.train.metrics import read_metrics

UNLEARNT = 2.0
"""Nats that the better answers may lose against the reference before it is called unlearning."""
FAR = 50.0
"""Nats that an answer may diverge from the reference before it is said."""


def alarms(log: Path, method: str) -> list[str]:
    """Return what a user should be told of a training, nothing where all is well."""
    lines = [line for line in read_metrics(log) if "loss" in line]
    tenth = max(1, len(lines) // 10)
    first, last = mean_of(lines[:tenth]), mean_of(lines[-tenth:])
    return [found for check in CHECKS.get(method, ()) if (found := check(first, last))]


def mean_of(lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean of each name over lines, unknown values left out.

    >>> mean_of([{"a": 1.0, "b": None}, {"a": 3.0}])
    {'a': 2.0}
    """
    values: dict[str, list[float]] = {}
    for name, value in (pair for line in lines for pair in line.items()):
        if isinstance(value, int | float) and math.isfinite(value):
            values.setdefault(name, []).append(float(value))
    return {name: sum(found) / len(found) for name, found in values.items()}


def displaced(first: Mapping[str, float], last: Mapping[str, float]) -> str:
    """Say where margins grew while the better answers themselves were unlearnt.

    Likelihood displacement (Razin et al. 2024): a wider gap is won by pushing the worse answer
    down, and the better one with it.
    """
    lost, gain = -last.get("kl/chosen", 0.0), last.get("rewards/margins", 0.0)
    if lost <= UNLEARNT or gain <= first.get("rewards/margins", 0.0):
        return ""
    return (
        f"the better answers became {lost:.1f} nats less likely than under the reference while "
        "the margin grew (likelihood displacement): lower lr, raise beta, or set chosen_weight"
    )


def level(first: Mapping[str, float], last: Mapping[str, float]) -> str:
    """Say where KTO's reference point was at zero throughout, which levels its loss off early."""
    if last.get("kl/point", 1.0) > 0 or last.get("kl/drift", 0.0) >= 0:
        return ""
    drift = last["kl/drift"]
    return (
        f"the reference point is cut off at zero (it would be {drift:.2f} nats): usual late in "
        "training, since unrelated answers become less likely"
    )


def far(first: Mapping[str, float], last: Mapping[str, float]) -> str:
    """Say where PPO left its reference far behind, or measured a negative divergence."""
    kl = last.get("objective/kl", 0.0)
    if kl > FAR:
        return (
            f"answers diverge from the reference by {kl:.0f} nats: the reward may be exploited; "
            "raise beta, or set target"
        )
    if kl < -0.5:
        return (
            f"the divergence is measured below zero ({kl:.2f} nats): drawing and scoring use "
            "other distributions"
        )
    return ""


CHECKS = {"dpo": (displaced,), "kto": (displaced, level), "ppo": (far,)}
