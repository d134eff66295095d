"""What comes in, checked once: columns of numbers, levels, numbers of draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError, UsageError

Floats: TypeAlias = NDArray[np.float64]
Values: TypeAlias = Sequence[float] | Sequence[int] | Sequence[bool] | NDArray[Any]
Labels: TypeAlias = Sequence[Any] | NDArray[Any]


def floats(values: Values, name: str) -> Floats:
    """Return a one-dimensional float64 array; NaN means unknown, infinities are refused."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise DataError(
            f"{name} must be one column of numbers", found=f"shape {array.shape}", where="stats"
        )
    if np.isinf(array).any():
        raise DataError(
            f"{name} holds {int(np.isinf(array).sum())} infinite value(s)",
            where="stats",
            expected="finite numbers, NaN where unknown",
            hint="an infinite score has no mean; find the sample that gave it",
        )
    return array


def same_length(first: Floats | Labels, second: Floats | Labels, names: str) -> None:
    """Refuse two columns of different length: they cannot be aligned on the same samples."""
    if len(first) != len(second):
        raise DataError(
            f"{names} differ in length",
            where="stats",
            found=f"{len(first)} and {len(second)}",
            expected="one entry per sample, in the same order",
        )


def check_level(level: float) -> float:
    """Return the level if it lies between 0 and 1."""
    if not 0 < level < 1:
        raise UsageError(
            f"level must lie between 0 and 1, got {level}", where="stats", hint="0.95 is usual"
        )
    return level


def check_draws(draws: int) -> int:
    """Return the number of random draws if it is enough to say anything."""
    if draws < 100:
        raise UsageError(f"draws must be at least 100, got {draws}", where="stats")
    return draws
