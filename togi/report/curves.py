"""Curves over steps: where their points go, with gaps where a value is undefined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from togi.report.plots import LEFT, RIGHT, Axis, axis


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
    x_axis = axis(span or [x for x, _ in points], most=4, pad=0.0, whole=True)
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
