"""What an entry of the gallery found: the claim, what was measured, and whether it holds here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from togi.errors import UsageError
from togi.gallery import ENTRIES
from togi.stats.estimate import Estimate
from togi.train.files import write_text

FILE = "finding.json"
Holds = Literal["holds", "does not hold here", "cannot tell"]
Point = tuple[float, float | Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A picture: series of points over x; a y that is an `Estimate` is drawn with its interval.

    Attributes:
        kind: "line" joins a series' points, "scatter" does not.
        log_x, log_y: scales by powers of ten.
    """

    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[Point]]
    kind: Literal["line", "scatter"] = "line"
    log_x: bool = False
    log_y: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return plain values; a point is [x, y] or [x, y, low, high], unknown numbers are null."""
        series = {
            name: [[_plain(x), *_interval(y)] for x, y in points]
            for name, points in self.series.items()
        }
        return {
            "title": self.title, "x": self.x, "y": self.y, "kind": self.kind,
            "log_x": self.log_x, "log_y": self.log_y, "series": series,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found; the claim and its source stand in `togi.gallery.ENTRIES`.

    Attributes:
        name: the entry's.
        holds: whether the claim holds at this size; "cannot tell" where the interval decides
            neither.
        measured: one or two sentences with the numbers and their intervals.
        estimates: label (with its unit) -> what was measured.
        plots: pictures, the most telling one first.
        notes: what is different from the paper, and what to mind.
        values: further plain numbers, for programs.
    """

    name: str
    holds: Holds
    measured: str
    estimates: Mapping[str, Estimate]
    plots: Sequence[Plot]
    notes: Sequence[str] = ()
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if self.name not in ENTRIES:
            raise UsageError(f"the gallery has no entry '{self.name}'", where="gallery")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, the entry's own words first."""
        entry = ENTRIES[self.name]
        estimates = {label: estimate.as_dict() for label, estimate in self.estimates.items()}
        return {
            "name": self.name, "title": entry.title, "source": entry.source, "claim": entry.claim,
            "holds": self.holds, "measured": self.measured, "estimates": estimates,
            "plots": [plot.as_dict() for plot in self.plots], "notes": list(self.notes),
            "values": dict(self.values),
        }  # fmt: skip

    def write(self, folder: Path) -> dict[str, Any]:
        """Write `finding.json` and return the step's outputs: `finding`, `holds` and notes."""
        text = json.dumps(self.as_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        write_text(folder / FILE, text + "\n")
        notes = [f"Claim: {ENTRIES[self.name].claim}", f"Measured ({self.holds}): {self.measured}"]
        return {"finding": FILE, "holds": self.holds, "notes": notes}


def told(estimate: Estimate, digits: int = 3) -> str:
    """Word an estimate for a sentence.

    >>> told(Estimate(0.5, 0.25, 0.75, 9))
    '0.5 (0.25 to 0.75)'
    """
    if math.isnan(estimate.low) or math.isnan(estimate.high):
        return f"{estimate.mean:.{digits}g} (n too small)"
    low, high = (f"{v:.{digits}g}" for v in (estimate.low, estimate.high))
    return f"{estimate.mean:.{digits}g} ({low} to {high})"


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _interval(value: float | Estimate) -> list[float | None]:
    parts = (value.mean, value.low, value.high) if isinstance(value, Estimate) else (value,)
    return [_plain(part) for part in parts]
