"""The one way a number is shown: with its interval and its n."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with a confidence interval over `n` units; undefined bounds are NaN, never zero.

    >>> Estimate(mean=0.67, low=0.33, high=1.0, n=6)
    Estimate(mean=0.67, low=0.33, high=1.0, n=6, level=0.95)
    """

    mean: float
    low: float
    high: float
    n: int
    level: float = 0.95

    @property
    def known(self) -> bool:
        """Whether the interval is defined."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain values for JSON, NaN as None."""

        def plain(value: float) -> float | None:
            return float(value) if math.isfinite(value) else None

        return {
            "mean": plain(self.mean),
            "low": plain(self.low),
            "high": plain(self.high),
            "n": int(self.n),
            "level": self.level,
        }
