"""Where the marks of a radar chart go: one axis a score, one outline a model.

Unlike the other figures this one has no width of its own to fill: it is drawn in a square of
fixed units. Axes run from the middle (0) to the rim (100).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from togi.report.numbers import number

SIZE = 400.0
RIM = 118.0
FRAME = "-30 40 460 322"
"What of the square, and beside it, the labels fill."
RINGS = (25, 50, 75, 100)
LETTERS = 15
"Letters of a label's line."
STYLES = ("s1", "s0", "s2")
"Classes of the outlines: the first model is the one before."
ASIDE = 2.5
"Degrees between the marks of two models on the same axis, so that whiskers do not cover."

Spot = tuple[float, float]
Values = tuple[float | None, float | None, float | None]
"""Mean, low and high."""


@dataclass(frozen=True, slots=True)
class Spoke:
    """An axis: its end on the rim, and its label's lines, place and anchor."""

    end: Spot
    label: tuple[str, ...]
    at: Spot
    anchor: str


@dataclass(frozen=True, slots=True)
class Outline:
    """A model's scores: lines between neighbouring known ones, dots, and whiskers along axes."""

    name: str
    style: str
    lines: tuple[tuple[Spot, Spot], ...]
    dots: tuple[Spot, ...]
    whiskers: tuple[tuple[Spot, Spot], ...]


@dataclass(frozen=True, slots=True)
class Radar:
    """The figure in a square of `SIZE` units."""

    id: str
    title: str
    description: str
    size: float
    frame: str
    rings: tuple[tuple[str, str, float], ...]
    """Each ring's corners, its label, and the label's height."""
    spokes: tuple[Spoke, ...]
    outlines: tuple[Outline, ...]


def point(value: float, angle: float) -> Spot:
    """Return where a value from 0 to 100 stands on an axis; angles run clockwise from above.

    >>> point(100.0, 0.0), point(0.0, 90.0)
    ((200.0, 82.0), (200.0, 200.0))
    """
    reach = RIM * min(100.0, max(0.0, value)) / 100
    turn = math.radians(angle)
    return (
        round(SIZE / 2 + reach * math.sin(turn), 1),
        round(SIZE / 2 - reach * math.cos(turn), 1),
    )


def wrapped(label: str, most: int = LETTERS) -> tuple[str, ...]:
    """Break a label between words into lines that fit beside the figure.

    >>> wrapped("Out-of-distribution robustness"), wrapped("Privacy")
    (('Out-of-', 'distribution', 'robustness'), ('Privacy',))
    """
    lines: list[str] = []
    for word in label.replace("-", "- ").split():
        glue = "" if lines and lines[-1].endswith("-") else " "
        if lines and len(lines[-1]) + len(glue) + len(word) <= most:
            lines[-1] += glue + word
        else:
            lines.append(word)
    return tuple(lines)


def radar(
    labels: Sequence[str], models: Mapping[str, Sequence[Values]], *, id: str, title: str
) -> Radar:
    """Lay out a radar chart.

    Args:
        labels: of the axes, clockwise from above; three at least.
        models: name -> (mean, low, high) for each axis, from 0 to 100; None where unknown, which
            leaves a gap in the outline.
        id: of the figure on the page.
        title: its name.
    """
    angles = [360 * place / len(labels) for place in range(len(labels))]
    rings = tuple(
        (
            " ".join("{},{}".format(*point(ring, angle)) for angle in angles),
            str(ring),
            point(ring, 0)[1],
        )
        for ring in RINGS
    )
    outlines = tuple(
        _outline(name, place, angles, values, len(models))
        for place, (name, values) in enumerate(models.items())
    )
    told = "; ".join(
        f"{name}: " + ", ".join(f"{label} {_said(v)}" for label, v in zip(labels, row, strict=True))
        for name, row in models.items()
    )
    spokes = tuple(_spoke(label, angle) for label, angle in zip(labels, angles, strict=True))
    about = f"One axis a score, from 0 in the middle to 100 at the rim. {told}."
    return Radar(id, title, about, SIZE, FRAME, rings, spokes, outlines)


def _said(values: Values) -> str:
    return "unknown" if values[0] is None else number(round(values[0], 1))


def _spoke(label: str, angle: float) -> Spoke:
    """Place a label outside the rim: lines grow away from the figure."""
    lines = wrapped(label)
    x, y = point(100, angle)
    across, down = (x - SIZE / 2) / RIM, (y - SIZE / 2) / RIM
    anchor = "middle" if abs(across) < 0.2 else "start" if across > 0 else "end"
    tall = 15 * (len(lines) - 1)
    top = y + 14 * down + (0 if down > 0.5 else -tall if down < -0.5 else -tall / 2) + 4
    return Spoke((x, y), lines, (round(x + 10 * across, 1), round(top, 1)), anchor)


def _outline(
    name: str, place: int, angles: Sequence[float], values: Sequence[Values], of: int
) -> Outline:
    turned = [angle + ASIDE * (place - (of - 1) / 2) for angle in angles]
    spots = [
        None if mean is None else point(mean, angle)
        for angle, (mean, _, _) in zip(turned, values, strict=True)
    ]
    pairs = itertools.pairwise([*spots, spots[0]])
    return Outline(
        name,
        STYLES[min(place, len(STYLES) - 1)],
        tuple((one, two) for one, two in pairs if one is not None and two is not None),
        tuple(spot for spot in spots if spot is not None),
        tuple(
            (point(low, angle), point(high, angle))
            for angle, (_, low, high) in zip(turned, values, strict=True)
            if low is not None and high is not None
        ),
    )
