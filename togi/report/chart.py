"""Charts on linear or logarithmic scales: points, lines, bands between two lines, references.

As in `plots`, only positions are worked out here, in per cent of the frame; the template draws
them as inline SVG in the page's own colours, and the description tells the figure in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from togi.report.files import as_dict, as_list
from togi.report.numbers import finite, number
from togi.report.plots import round_step

Kind = Literal["line", "dashed", "dotted", "points", "rings", "band"]
Pair = tuple[float, float | None]
STYLES: dict[Kind, str] = {"line": "s0", "dashed": "s1", "dotted": "s2", "points": "s0",
                           "rings": "s1", "band": "s0"}  # fmt: skip
SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
PAD = 0.04


@dataclass(frozen=True, slots=True)
class Series:
    """One set of marks: a name for the legend ("" for none), how it is drawn, and its points.

    A band's points are (x, low, high), all others' (x, y); an undefined y leaves a gap, an
    undefined bound of a band reaches to the frame.
    """

    name: str
    kind: Kind
    points: Sequence[tuple[float | None, ...]]


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear or logarithmic scale: its ends, and labels as (position in %, text)."""

    low: float
    high: float
    log: bool
    ticks: tuple[tuple[float, str], ...] = ()

    def at(self, value: float) -> float:
        """Return a value's position in per cent, kept within the frame.

        >>> Scale(1.0, 100.0, log=True).at(10.0), Scale(0.0, 4.0, log=False).at(1.0)
        (50.0, 25.0)
        """
        low, high = (math.log10(end) if self.log else end for end in (self.low, self.high))
        if self.log and value <= 0:
            return 0.0
        place = math.log10(value) if self.log else value
        return round(100 * min(1.0, max(0.0, (place - low) / (high - low))), 2)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A series in its place: SVG `points` of lines or polygons, or the places of dots."""

    name: str
    kind: Kind
    style: str
    parts: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure: its scales, what is drawn, and upright and level references (place, text)."""

    id: str
    title: str
    description: str
    x_label: str
    y_label: str
    x: Scale
    y: Scale
    series: tuple[Drawn, ...]
    uprights: tuple[tuple[float, str], ...]
    levels: tuple[tuple[float, str], ...]

    @property
    def legend(self) -> list[Drawn]:
        """Return the series that have a name, each name once; a lone dot is named in its place."""
        named = {one.name: one for one in reversed(self.series) if one.name and len(one.dots) != 1}
        return list(reversed(named.values()))


def power(value: float) -> str:
    """Return a power of ten, or a number with one.

    >>> power(1e18), power(2e21), power(1.0)
    ('10¹⁸', '2·10²¹', '1')
    """
    exponent = math.floor(math.log10(value) + 1e-9)
    head = round(value / 10.0**exponent, 6)
    if 0 <= exponent < 4:
        return number(value)
    raised = "10" + str(exponent).translate(SUPERSCRIPTS)
    return raised if head == 1 else f"{head:g}·{raised}"


def scale_of(
    values: Sequence[float], *, log: bool, show: Callable[[float], str] = number, most: int = 5
) -> Scale:
    """Return a scale that holds all values, with labels at round values inside of it.

    >>> [text for _, text in scale_of([1e18, 1e22], log=True, show=power).ticks]
    ['10¹⁸', '10¹⁹', '10²⁰', '10²¹', '10²²']
    >>> [text for _, text in scale_of([2.3, 8.1], log=True).ticks]
    ['4', '6', '8']
    """
    known = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    places = [math.log10(v) if log else v for v in known] or [0.0, 1.0]
    low, high = min(places), max(places)
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    low, high = low - PAD * (high - low), high + PAD * (high - low)
    rounds = _round_powers(low, high, most) if log else _rounds(low, high, most)
    ends = (10**low, 10**high) if log else (low, high)
    plain = Scale(*ends, log)
    return Scale(*ends, log, tuple((plain.at(value), show(value)) for value in rounds))


def _rounds(low: float, high: float, most: int) -> list[float]:
    step = round_step(high - low, most)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _round_powers(low: float, high: float, most: int) -> list[float]:
    """Return powers of ten, with 2 and 5 times or 3 times these between, as there is room.

    Within less than a decade round numbers tell more.
    """
    choices = [
        [
            head * 10.0**k
            for k in range(math.floor(low), math.ceil(high) + 1)
            for head in heads
            if k % every == 0 and low - 1e-9 <= math.log10(head * 10.0**k) <= high + 1e-9
        ]
        for heads, every in (
            ((1, 2, 5), 1),
            ((1, 3), 1),
            ((1,), 1),
            ((1,), 2),
            ((1,), 3),
            ((1,), 5),
        )
    ]
    found = max((c for c in choices if len(c) <= most), key=len, default=[])
    return found if len(found) >= 3 else _rounds(10**low, 10**high, most)


def chart(
    series: Sequence[Series],
    *,
    id: str,
    title: str,
    labels: tuple[str, str],
    readings: str,
    logs: tuple[bool, bool] = (False, False),
    shows: tuple[Callable[[float], str], Callable[[float], str]] = (number, number),
    references: tuple[Sequence[tuple[float, str]], Sequence[tuple[float, str]]] = ((), ()),
) -> Chart:
    """Lay out a chart.

    Args:
        series: what is drawn, back to front.
        id: of the figure on the page.
        title: its name.
        labels: of x and y.
        readings: the figure in words, for those who cannot see it.
        logs: whether x and y are logarithmic.
        shows: how x and y are written at the ticks.
        references: upright lines (x, text) and level ones (y, text).
    """
    uprights, levels = references
    across = [p[0] for one in series for p in one.points if p[0] is not None]
    along = [v for one in series for p in one.points for v in p[1:] if v is not None]
    x = scale_of([*across, *(v for v, _ in uprights)], log=logs[0], show=shows[0])
    y = scale_of([*along, *(v for v, _ in levels)], log=logs[1], show=shows[1])
    flipped = Scale(y.low, y.high, y.log, tuple((round(100 - at, 2), text) for at, text in y.ticks))
    return Chart(
        id,
        title,
        readings,
        *labels,
        x,
        flipped,
        tuple(_drawn(one, x, y) for one in series),
        tuple((x.at(value), text) for value, text in uprights),
        tuple((round(100 - y.at(value), 2), text) for value, text in levels),
    )


def _drawn(one: Series, x: Scale, y: Scale) -> Drawn:
    style = STYLES[one.kind]
    if one.kind == "band":
        return Drawn(one.name, one.kind, style, tuple(_polygons(one, x, y)), ())
    placed = [
        None if at is None or value is None else (x.at(at), round(100 - y.at(value), 2))
        for at, value in one.points
    ]
    if one.kind in ("points", "rings"):
        return Drawn(one.name, one.kind, style, (), tuple(p for p in placed if p is not None))
    return Drawn(one.name, one.kind, style, tuple(_parts(placed)), ())


def _parts(placed: Sequence[tuple[float, float] | None]) -> list[str]:
    """Return the unbroken parts of a line as SVG points."""
    parts: list[list[str]] = [[]]
    for point in placed:
        if point is None:
            parts.append([])
        else:
            parts[-1].append(f"{point[0]:.4g},{point[1]:.4g}")
    return [" ".join(part) for part in parts if len(part) > 1]


def _polygons(one: Series, x: Scale, y: Scale) -> list[str]:
    """Return a band as one polygon; where both of its bounds are undefined it has a gap."""
    upper: list[str] = []
    lower: list[str] = []
    found: list[str] = []
    for at, low, high in [*one.points, (None, None, None)]:
        if at is None or (low is None and high is None):
            if len(upper) > 1:
                found.append(" ".join([*upper, *reversed(lower)]))
            upper, lower = [], []
            continue
        across = x.at(at)
        top = 0.0 if high is None else 100 - y.at(high)
        foot = 100.0 if low is None else 100 - y.at(low)
        upper.append(f"{across:.4g},{top:.4g}")
        lower.append(f"{across:.4g},{foot:.4g}")
    return found


def pairs(value: Any, width: int = 2) -> list[tuple[float | None, ...]]:
    """Return rows of so many numbers, None for what is not a finite number.

    >>> pairs([[1, 2.0], [3, None], [4], "x"])
    [(1.0, 2.0), (3.0, None)]
    """
    rows = [row for row in as_list(value) if isinstance(row, list)]
    return [tuple(map(finite, row)) for row in rows if len(row) == width]


def bounds(entries: Any, key: str, at: str) -> tuple[list[Any], list[Any]]:
    """Return the band (x, low, high) and the line (x, mean) of estimates along x."""
    rows = [(finite(e.get(at)), as_dict(e.get(key))) for e in map(as_dict, as_list(entries))]
    band = [(x, finite(v.get("low")), finite(v.get("high"))) for x, v in rows]
    return band, [(x, finite(v.get("mean"))) for x, v in rows]
