"""One question to a paired difference ("is the gain above the bar?") and what was found.

The bar of a primary measure is the gain that is required (0: any), that of a guard is minus the
loss that is tolerated (its margin). One two-sided interval answers three ways: wholly above the
bar, wholly below, or neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from togi.errors import UsageError
from togi.stats.arrays import check_level
from togi.stats.bounds import level_of
from togi.stats.estimate import Estimate
from togi.stats.paired import Paired
from togi.stats.power import collect_more, minimum_detectable_effect

Status: TypeAlias = Literal["improved", "not improved", "held", "regressed", "unclear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A question to a paired difference, whether the gain is above the bar.

    Attributes:
        name: what a report calls the measure.
        paired: candidate minus baseline.
        higher_is_better: whether a positive difference is a gain.
        at_least: the bar, in the measure's units, as a gain: 0 or more for a primary, minus the
            margin for a guard (see `guard`).
        kind: a primary must be above its bar, a guard at it or above.
    """

    name: str
    paired: Paired
    higher_is_better: bool
    at_least: float = 0.0
    kind: Literal["primary", "guard"] = "primary"

    def gain(self, value: float) -> float:
        """Return a difference as a gain: positive is better."""
        return value if self.higher_is_better else -value

    def gains(self, alpha: float) -> tuple[float, float]:
        """Return the interval of the gain at that α."""
        low, high = self.paired.bounds(alpha)
        return (low, high) if self.higher_is_better else (-high, -low)

    def status(self, alpha: float) -> Status:
        """Read the interval at that α.

        One of zero width on the bar is neither a gain (a primary is "not improved") nor a loss
        (a guard is "held").
        """
        low, high = self.gains(alpha)
        if self.kind == "primary":
            below = "not improved" if high <= self.at_least else "unclear"
            return "improved" if low > self.at_least else below
        below = "regressed" if high < self.at_least else "unclear"
        return "held" if low >= self.at_least else below

    @property
    def p_value(self) -> float:
        """The smallest α at which the interval decides: two-sided; NaN where it is unknown."""
        if math.isnan(self.gains(1.0)[0]):
            return math.nan
        return level_of(lambda alpha: self.status(alpha) != "unclear")


def guard(name: str, paired: Paired, *, margin: float, higher_is_better: bool) -> Gate:
    """Return the gate of an ability that may be lost by at most `margin`.

    Args:
        name: what a report calls the measure.
        paired: candidate minus baseline.
        margin: the loss that does not matter, in the measure's units. At 0 it must be shown
            that nothing at all was lost, which no finite number of samples does unless the
            ability rose.
        higher_is_better: whether a positive difference is a gain.

    Raises:
        UsageError: a negative or unknown margin.

    >>> from togi.stats.paired import paired_difference
    >>> same = paired_difference([1] * 150 + [0] * 50, [1] * 150 + [0] * 50)
    >>> guard("multiple choice", same, margin=0.02, higher_is_better=True).at_least
    -0.02
    """
    if not margin >= 0:
        raise UsageError(f"margin must be at least 0, got {margin}", where=f"guard '{name}'")
    return Gate(
        name=name,
        paired=paired,
        higher_is_better=higher_is_better,
        at_least=-margin,
        kind="guard",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one gate found.

    Attributes:
        gate: the question.
        status: "improved" or "not improved" for a primary, "held" or "regressed" for a guard,
            "unclear" for both.
        estimate: the difference (candidate minus baseline, not turned round) at the corrected
            level.
        p_value: two-sided, against the bar; NaN where unknown.
        p_adjusted: the same, corrected for the number of gates.
        collect_more: how many more samples would likely settle it: 0 if settled, None if
            unknown or if no number would.
        minimum_detectable: the smallest true distance from the bar that so many samples of this
            spread would likely show, at the corrected level; NaN where the spread is unknown.
    """

    gate: Gate
    status: Status
    estimate: Estimate
    p_value: float
    p_adjusted: float
    collect_more: int | None
    minimum_detectable: float = math.nan

    def sentence(self) -> str:
        """Say in words what was found; gains and losses, never signs.

        A reader need not know whether a higher value is better.
        """
        if not self.estimate.known:
            return (
                f"{self.gate.name}: unclear, no interval can be given "
                f"(n too small: {self.estimate.n})"
            )
        gain = self.gate.gain(self.estimate.mean)
        ends = sorted((self.gate.gain(self.estimate.low), self.gate.gain(self.estimate.high)))
        change = f"better by {gain:.3g}" if gain >= 0 else f"worse by {-gain:.3g}"
        bar = self.gate.at_least
        asked = f"; at most {-bar:.3g} may be lost" if bar < 0 else ""
        asked = f"; at least {bar:.3g} is required" if bar > 0 else asked
        return (
            f"{self.gate.name}: {self.status}, {change} (gain {ends[0]:.3g} to {ends[1]:.3g} at "
            f"{100 * self.estimate.level:.3g} %, n = {self.estimate.n}){asked}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, NaN as None."""

        def plain(value: float) -> float | None:
            return value if math.isfinite(value) else None

        return {
            "task": self.gate.name,
            "status": self.status,
            "estimate": self.estimate.as_dict(),
            "higher_is_better": self.gate.higher_is_better,
            "required": self.gate.at_least,
            "margin": max(0.0, -self.gate.at_least),
            "p_value": plain(self.p_value),
            "p_adjusted": plain(self.p_adjusted),
            "n": self.gate.paired.n,
            "dropped": self.gate.paired.dropped,
            "collect_more": self.collect_more,
            "minimum_detectable": plain(self.minimum_detectable),
        }


def find(
    gate: Gate, alpha: float, p_value: float, p_adjusted: float, power: float = 0.8
) -> Finding:
    """Put the gate's question at that α; the p-values are written down as they are given."""
    status = gate.status(alpha)
    shown = gate.paired.at(1 - alpha)
    more: int | None = 0
    if status == "unclear":
        units = collect_more(shown, gate.gain(gate.at_least), power=power)
        # clusters come at their mean size
        more = None if units is None else math.ceil(units * gate.paired.n / max(1, shown.n))
    spread = gate.paired.sd
    least = math.nan  # equal differences tell nothing of the next one
    if spread > 0 and power > alpha:
        least = minimum_detectable_effect(spread, shown.n, alpha, power)
    return Finding(
        gate=gate,
        status=status,
        estimate=shown,
        p_value=p_value,
        p_adjusted=p_adjusted,
        collect_more=more,
        minimum_detectable=least,
    )


def non_inferior(
    paired: Paired, margin: float, higher_is_better: bool, *, level: float = 0.95
) -> Finding:
    """Ask of one guard alone whether its loss stays within the margin.

    Args:
        paired: candidate minus baseline.
        margin: the loss that does not matter, in the measure's units, at least 0.
        higher_is_better: whether a positive difference is a gain.
        level: of the two-sided interval; "held" errs at (1 − level) / 2 or less.

    Returns:
        A finding whose status is "held", "regressed" or "unclear".

    >>> from togi.stats.paired import paired_difference
    >>> same = paired_difference([1] * 150 + [0] * 50, [1] * 150 + [0] * 50)
    >>> non_inferior(same, margin=0.02, higher_is_better=True).status
    'held'
    >>> non_inferior(same, margin=0.01, higher_is_better=True).status
    'unclear'
    """
    gate = guard("guard", paired, margin=margin, higher_is_better=higher_is_better)
    p = gate.p_value
    return find(gate, 1 - check_level(level), p, p)
