"""Where the marks of a plot go; the templates draw them as inline SVG.

Drawn by hand and not through matplotlib: positions are in per cent of the width, so one drawing
fills a phone and a desktop with its letters at the same size, its colours are the page's own
(light, dark, print), its words stay words, and a plot costs two kilobytes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from togi.report.numbers import finite, number

LEFT, RIGHT = 4.0, 96.0
"""The share of the width, in per cent, between which values are drawn."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear scale: its ends and the labels at round values, each as (position in %, text)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def at(self, value: float) -> float:
        """Return a value's position in per cent of the width, never outside of it."""
        share = (value - self.low) / (self.high - self.low)
        return round(LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, share)), 2)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of an interval plot: label left, reading right, mark and whisker below.

    `kind` shapes the mark, never the colour alone: "good" a filled disc, "bad" a diamond,
    "plain" a grey disc, "open" a ring. A position is None where the value is undefined.
    """

    label: str
    reading: str
    kind: str
    dot: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class IntervalPlot:
    """Means and intervals of several rows on one scale."""

    id: str
    title: str
    description: str
    axis_label: str
    axis: Axis
    rows: tuple[Row, ...]
    lines: tuple[tuple[float, str, int], ...]
    """Upright references: place, label, and the row of labels, from below, that has room."""

    @property
    def height(self) -> int:
        """Height of the rows' part, in CSS pixels."""
        return 46 * len(self.rows) + 6


@dataclass(frozen=True, slots=True)
class Mark:
    """What `interval_plot` draws in one row; undefined parts are None."""

    label: str
    reading: str
    mean: float | None
    low: float | None
    high: float | None
    kind: str = "plain"


def round_step(span: float, most: int = 5) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of ten that cuts span in at most `most`.

    >>> round_step(0.28), round_step(9), round_step(1.0, 4)
    (0.1, 2.0, 0.25)
    """
    power = 10.0 ** math.floor(math.log10(span / most))
    return next(
        step * power for step in (1, 2, 2.5, 5, 10, 20) if step * power * most >= span * (1 - 1e-9)
    )


def axis(values: Sequence[float | None], *, most: int = 5, pad: float = 0.06) -> Axis:
    """Return a scale that holds all values, with labels at round values inside of it."""
    known = [value for value in values if finite(value) is not None and value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        spread = abs(low) * 0.05 or 0.5
        low, high = low - spread, high + spread
    pad *= high - low
    low, high = low - pad, high + pad
    step = round_step(high - low, most)
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    places += not math.isclose(step, round(step, places), rel_tol=1e-6)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    plain = Axis(low, high, ())
    values_ = [(first + index) * step for index in range(count)]
    large = max(abs(low), abs(high)) >= 1e6 or step < 1e-6
    texts = [f"{v:.3g}" if large and v else number(v, min(places, 12)) for v in values_]
    return Axis(low, high, tuple((plain.at(v), t) for v, t in zip(values_, texts, strict=True)))


def interval_plot(
    marks: Sequence[Mark],
    *,
    id: str,
    title: str,
    axis_label: str,
    lines: Sequence[tuple[float, str]] = (),
) -> IntervalPlot:
    """Lay out one row a mark on a common scale; `lines` are upright references such as (0, "same").

    The description tells every row in words, for those who cannot see the drawing.
    """
    everything = [v for mark in marks for v in (mark.mean, mark.low, mark.high)]
    scale = axis([*everything, *(value for value, _ in lines)])

    def place(value: float | None) -> float | None:
        return None if value is None else scale.at(value)

    rows = tuple(
        Row(shorten(m.label), m.reading, m.kind, place(m.mean), place(m.low), place(m.high))
        for m in marks
    )
    told = "; ".join(f"{mark.label}: {mark.reading}" for mark in marks)
    placed = _apart([(scale.at(value), text) for value, text in lines])
    return IntervalPlot(id, title, f"{axis_label}. {told}.", axis_label, scale, rows, placed)


def _apart(lines: list[tuple[float, str]]) -> tuple[tuple[float, str, int], ...]:
    """Put labels that would touch on rows of their own."""
    ordered = sorted(lines)
    close = [place - before < 35 for (before, _), (place, _) in itertools.pairwise(ordered)]
    rows = [0]
    for touches in close:
        rows.append(rows[-1] + 1 if touches else 0)
    return tuple((*line, row) for line, row in zip(ordered, rows, strict=False))


def shorten(label: str, most: int = 32) -> str:
    """Return a label that fits beside its reading on a phone; its middle gives way.

    >>> shorten("an-organisation/a-model-of-long-name"), shorten("base")
    ('an-organisation/…l-of-long-name', 'base')
    """
    if len(label) <= most:
        return label
    return f"{label[: most // 2]}…{label[-(most // 2 - 2) :]}"


@dataclass(frozen=True, slots=True)
class Line:
    """One series: `name`, and its parts as SVG `points` in a square of 100 by 100.

    `faint` holds every point, `strong` the running mean; without many points `faint` is empty.
    """

    name: str
    strong: tuple[str, ...]
    faint: tuple[str, ...]
    dot: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class LinePlot:
    """Series over steps on one scale."""

    id: str
    title: str
    description: str
    x_label: str
    y_label: str
    x_axis: Axis
    y_ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]
    gaps: int


SMOOTH_FROM = 40
"""From so many points on a series is drawn faintly and its running mean strongly."""


def line_plot(
    series: dict[str, list[tuple[float, float | None]]],
    *,
    id: str,
    title: str,
    x_label: str,
    y_label: str,
    readings: str = "",
    span: tuple[float, float] | None = None,
) -> LinePlot:
    """Lay out series of (x, y); an undefined y leaves a gap and is counted.

    `span` is the range of x where several plots shall share one; else that of the points.
    """
    points = [point for line in series.values() for point in line]
    x_axis = axis(span or [x for x, _ in points], most=4, pad=0.0)
    y_axis = axis([y for _, y in points], most=4)
    lines = tuple(_line(name, line, x_axis, y_axis) for name, line in series.items())
    # The SVG's y points down and fills the plot's whole height: undo the axis' side margins.
    y_ticks = tuple((round(100 - _full(place), 2), text) for place, text in y_axis.ticks)
    x_ticks = tuple((round(_full(place), 2), text) for place, text in x_axis.ticks)
    gaps = sum(y is None for _, y in points)
    scale = Axis(x_axis.low, x_axis.high, x_ticks)
    return LinePlot(id, title, readings, x_label, y_label, scale, y_ticks, lines, gaps)


def _full(place: float) -> float:
    return (place - LEFT) / (RIGHT - LEFT) * 100


def _line(name: str, points: list[tuple[float, float | None]], x_axis: Axis, y_axis: Axis) -> Line:
    many = sum(y is not None for _, y in points) >= SMOOTH_FROM
    strong = running_mean(points, max(2, len(points) // 20)) if many else points

    def draw(part: list[tuple[float, float]]) -> str:
        placed = ((_full(x_axis.at(x)), 100 - _full(y_axis.at(y))) for x, y in part)
        return " ".join(f"{x:.4g},{y:.4g}" for x, y in placed)

    def parts(line: list[tuple[float, float | None]]) -> tuple[str, ...]:
        return tuple(draw(thin(part)) for part in runs(line) if len(part) > 1)

    known = [(x, y) for x, y in points if y is not None]
    lonely = known[0] if len(known) == 1 else None
    dot = (_full(x_axis.at(lonely[0])), 100 - _full(y_axis.at(lonely[1]))) if lonely else None
    return Line(name, parts(strong), parts(points) if many else (), dot)


def runs(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """Cut a series at its undefined values.

    >>> runs([(1, 2.0), (2, None), (3, 4.0), (4, 5.0)])
    [[(1, 2.0)], [(3, 4.0), (4, 5.0)]]
    """
    parts: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            parts.append([])
        else:
            parts[-1].append((x, y))
    return [part for part in parts if part]


def running_mean(
    points: Sequence[tuple[float, float | None]], width: int
) -> list[tuple[float, float | None]]:
    """Return each point's mean over itself and the defined ones among its `width` - 1 forerunners.

    >>> running_mean([(1, 1.0), (2, 3.0), (3, None), (4, 5.0)], 2)
    [(1, 1.0), (2, 2.0), (3, None), (4, 5.0)]
    """
    smooth: list[tuple[float, float | None]] = []
    for index, (x, y) in enumerate(points):
        window = [v for _, v in points[max(0, index - width + 1) : index + 1] if v is not None]
        smooth.append((x, None if y is None else sum(window) / len(window)))
    return smooth


def thin(points: list[tuple[float, float]], most: int = 240) -> list[tuple[float, float]]:
    """Keep at most about `most` points: each bucket's lowest and highest, so that no peak is lost.

    >>> len(thin([(i, float(i % 7)) for i in range(5000)])) <= 242
    True
    """
    if len(points) <= most:
        return points
    size = math.ceil(len(points) / (most // 2))
    kept = {points[0], points[-1]}
    for start in range(0, len(points), size):
        bucket = points[start : start + size]
        kept |= {min(bucket, key=lambda p: p[1]), max(bucket, key=lambda p: p[1])}
    return sorted(kept)
