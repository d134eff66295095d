"""Points of two measures: where they go, with the interval of the upright one and a label each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from togi.report.plots import Axis, axis, shorten

GAP = 9.0
"""How far apart, in per cent of the height, the labels of two points stand at least."""


@dataclass(frozen=True, slots=True)
class Spot:
    """What `scatter_plot` draws as one point: two values, and the interval of the upright one."""

    label: str
    reading: str
    x: float
    y: float
    low: float | None
    high: float | None
    kind: str = "plain"


@dataclass(frozen=True, slots=True)
class Point:
    """A point where it is drawn, in per cent of width and height, y downwards.

    The label stands beside it, at the height `label_at`, on its left where `left` is True.
    """

    label: str
    reading: str
    kind: str
    x: float
    y: float
    low: float | None
    high: float | None
    label_at: float
    left: bool


@dataclass(frozen=True, slots=True)
class ScatterPlot:
    """Points of two measures, with the interval of the upright one."""

    id: str
    title: str
    description: str
    x_label: str
    y_label: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    level: float | None
    """The height of the horizontal reference at 0, None where it lies outside."""
    points: tuple[Point, ...]


def scatter_plot(
    spots: Sequence[Spot], *, id: str, title: str, x_label: str, y_label: str
) -> ScatterPlot:
    """Lay out points; the horizontal scale begins at 0, the upright one holds 0.

    The description tells every point in words, for those who cannot see the drawing.
    """
    x_axis = axis([0.0, *(spot.x for spot in spots)], most=4)
    y_axis = axis([0.0, *(v for spot in spots for v in (spot.y, spot.low, spot.high))], most=4)
    heights = [_down(y_axis, spot.y) for spot in spots]
    labels = _spread([0.0 if y is None else y for y in heights])
    points = tuple(
        Point(
            shorten(spot.label, 20), spot.reading, spot.kind, x_axis.at(spot.x), y or 0.0,
            _down(y_axis, spot.low), _down(y_axis, spot.high), at, x_axis.at(spot.x) > 60,
        )
        for spot, y, at in zip(spots, heights, labels, strict=True)
    )  # fmt: skip
    told = "; ".join(f"{spot.label}: {spot.reading}" for spot in spots)
    y_ticks = tuple((round(100 - place, 2), text) for place, text in y_axis.ticks)
    about = f"{y_label} over {x_label}. {told}."
    zero = _down(y_axis, 0.0)
    return ScatterPlot(id, title, about, x_label, y_label, x_axis.ticks, y_ticks, zero, points)


def _down(scale: Axis, value: float | None) -> float | None:
    """Return a height as SVG counts it, from above."""
    return None if value is None else round(100 - scale.at(value), 2)


def _spread(places: Sequence[float], gap: float = GAP) -> list[float]:
    """Move labels apart that would touch, as little as needed and none below the foot.

    >>> _spread([50.0, 52.0, 10.0]), _spread([99.0, 98.0])
    ([50.0, 59.0, 10.0], [98.0, 89.0])
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    found = list(places)
    for before, after in itertools.pairwise(order):
        found[after] = max(found[after], found[before] + gap)
    lowest = 98.0
    for index in reversed(order):
        found[index] = min(found[index], lowest)
        lowest = found[index] - gap
    return found
