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

from togi.report.numbers import MINUS, finite, number

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


def axis(
    values: Sequence[float | None], *, most: int = 5, pad: float = 0.06, whole: bool = False
) -> Axis:
    """Return a scale that holds all values, with labels at round values inside of it.

    `whole` asks for labels at whole numbers only, as steps are counted.

    >>> [text for _, text in axis([1, 3], whole=True, pad=0).ticks]
    ['1', '2', '3']
    """
    known = [value for value in values if finite(value) is not None and value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        spread = 1.0 if whole else abs(low) * 0.05 or 0.5
        low, high = low - spread, high + spread
    pad *= high - low
    low, high = low - pad, high + pad
    step = round_step(high - low, most)
    step = max(1.0, float(math.ceil(step))) if whole else step
    first = math.ceil(low / step - 1e-9)
    places = range(first, math.floor(high / step + 1e-9) + 1)
    plain = Axis(low, high, ())
    texts = _tick_texts([place * step for place in places], step)
    ticks = zip((plain.at(place * step) for place in places), texts, strict=True)
    return Axis(low, high, tuple(ticks))


def _tick_texts(values: list[float], step: float) -> list[str]:
    """Return the labels of round values: in fixed decimals, or with a power of ten."""
    largest = max((abs(value) for value in values), default=0.0)
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    places += not math.isclose(step, round(step, places), rel_tol=1e-6)
    if largest >= 1e6 or places > 5:
        return [f"{value:.3g}".replace("-", MINUS) if value else "0" for value in values]
    return [number(value, places) for value in values]


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
