"""Training curves: small multiples of what each training step logged."""

from __future__ import annotations

import math
from typing import Any

from togi.report import numbers as show
from togi.report.curves import SMOOTH_FROM, LinePlot, line_plot
from togi.report.files import RunFiles, StepFiles
from togi.report.glossary import Names
from togi.report.numbers import finite
from togi.report.tables import Table, table
from togi.report.words import look_up, unit

UNDEFINED = "undefined"
COUNTERS = ("step", "tokens", "seconds")
"""Names that only ever rise; told in the tables and not drawn."""
FIRST = ("loss", "judge/loss", "token_accuracy", "rewards/margins", "rewards/accuracies")
LAST = ("grad_norm", "lr", "tokens_per_s", "memory_mb")
SIDES = ("chosen", "rejected")
MOST_LINES = 24
MOST_PLOTS = 16

Series = dict[str, list[tuple[float, float | None]]]


def sections(files: RunFiles, names: Names) -> list[dict[str, Any]]:
    """Return one section a training step."""
    found: list[dict[str, Any]] = []
    said: set[str] = set()
    for step in files.steps:
        about = files.json(step, "train.json")
        lines = list(files.lines(step, "metrics.jsonl"))
        if about or lines:
            found.append(_section(step, about, series_of(lines), names, said))
    return found


def _section(
    step: StepFiles, about: dict[str, Any], series: Series, names: Names, said: set[str]
) -> dict[str, Any]:
    """Return one training; `said` are the names whose healthy range an earlier one has told."""
    drawn = {key: points for key, points in series.items() if key not in COUNTERS}
    return {
        "id": names.ids("training", step.name),
        "name": step.name,
        "use": step.use,
        "status": step.status,
        "figures": _figures(about, names),
        "plots": [
            _plot(step, group, names, said, _span(drawn)) for group in families(drawn)[:MOST_PLOTS]
        ],
        "summary": _summary(step, series, names),
        "logged": _logged(step, series),
        "smoothed": max((len(points) for points in drawn.values()), default=0) >= SMOOTH_FROM,
    }


def series_of(lines: list[dict[str, Any]]) -> Series:
    """Return name -> (step, value) in order of steps; the last line of a step wins (a resumed run).

    A name is a series where at least one of its values is a number; its undefined values are None.
    """
    by_step: dict[float, dict[str, Any]] = {}
    for place, line in enumerate(lines):
        at = finite(line.get("step"))
        by_step.setdefault(float(place) if at is None else at, {}).update(line)
    series: Series = {}
    for at in sorted(by_step):
        for key, value in by_step[at].items():
            if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
                series.setdefault(str(key), []).append((at, finite(value)))
    return {
        key: points
        for key, points in series.items()
        if any(value is not None for _, value in points)
    }


def families(series: Series) -> list[Series]:
    """Put chosen and rejected of one name together, in the order in which one reads a training."""
    groups: dict[str, Series] = {}
    for key, points in series.items():
        head, _, tail = key.rpartition("/")
        groups.setdefault(head if tail in SIDES and head else key, {})[key] = points

    def rank(name: str) -> tuple[int, int]:
        if name in FIRST:
            return (0, FIRST.index(name))
        return (2, LAST.index(name)) if name in LAST else (1, 0)

    return [groups[name] for name in sorted(groups, key=rank)]


def _span(series: Series) -> tuple[float, float]:
    places = [at for points in series.values() for at, _ in points]
    return min(places), max(places)


def _plot(
    step: StepFiles, group: Series, names: Names, said: set[str], span: tuple[float, float]
) -> dict[str, Any]:
    keys = list(group)
    title = keys[0] if len(keys) == 1 else keys[0].rpartition("/")[0]
    labels = keys if len(keys) == 1 else [key.rpartition("/")[2] for key in keys]
    words = [look_up(key) for key in keys]
    counted = unit(title) or unit(keys[0])
    readings = "; ".join(
        f"{key}: {value(points[0][1])} at step {points[0][0]:g},"
        f" {value(points[-1][1])} at step {points[-1][0]:g}"
        for key, points in group.items()
    )
    plot: LinePlot = line_plot(
        dict(zip(labels, group.values(), strict=True)),
        id=names.ids("figure", step.name, title),
        title=f"{step.name}: {title}",
        x_label="step",
        y_label=f"{title}, {counted}" if counted else title,
        readings=readings + ".",
        span=span,
    )
    healthy = next((word.healthy for word in words if word and word.healthy), "")
    healthy = "" if title in said else healthy
    said.add(title)
    links = [names(key)._replace(text=label) for key, label in zip(keys, labels, strict=True)]
    return {"plot": plot, "name": title, "links": links, "unit": counted, "healthy": healthy}


def value(real: float | None, places: int | None = None) -> str:
    """Return a logged value as text; a loss that is not a number is undefined, whatever n is.

    >>> value(None), value(0.6931471)
    ('undefined', '0.6931')
    """
    return UNDEFINED if real is None else show.number(real, places)


def _figures(about: dict[str, Any], names: Names) -> Table | None:
    if not about:
        return None
    rows = []
    for key, entry in about.items():
        if key == "dropped" or isinstance(entry, dict) or entry is None:
            continue
        text = show.duration(entry) if key == "seconds" else show.told(entry)
        if isinstance(entry, float) and not math.isfinite(entry):
            text = UNDEFINED
        rows.append((names(key), text))
    part, whole = (finite(about.get(f"{name}_parameters")) for name in ("trained", "total"))
    if part and whole:
        rows.append(("trained share", show.share(part, whole)))
    return table("The training in figures", ("figure", "value"), rows)


def _summary(step: StepFiles, series: Series, names: Names) -> Table | None:
    rows = []
    for key, points in series.items():
        known = [y for _, y in points if y is not None]
        cells = (points[0][1], points[-1][1], min(known), max(known))
        undefined = len(points) - len(known)
        places = show.common_places(known)
        rows.append((names(key), *(value(y, places) for y in cells), undefined or ""))
    if not rows:
        return None
    columns = ["measure", "first", "last", "lowest", "highest", "undefined"]
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return table(f"{step.name}: what was logged", columns, rows)


def _logged(step: StepFiles, series: Series) -> Table | None:
    """Return evenly spread steps with all of their values."""
    columns = [key for key in series if key != "step"]
    by_step: dict[float, dict[str, float | None]] = {}
    for key in columns:
        for at, y in series[key]:
            by_step.setdefault(at, {})[key] = y
    steps = sorted(by_step)
    if not steps:
        return None
    places = {key: show.common_places(y for _, y in series[key]) for key in columns}

    def cell(line: dict[str, float | None], key: str) -> str:
        return value(line[key], places[key]) if key in line else "–"

    last = len(steps) - 1
    picked = sorted({round(i * last / max(1, MOST_LINES - 1)) for i in range(MOST_LINES)})
    shown = [steps[place] for place in picked if place <= last]
    rows = [(f"{at:g}", *(cell(by_step[at], key) for key in columns)) for at in shown]
    note = (
        "every logged step" if len(shown) == len(steps) else f"{len(shown)} of {len(steps)} steps"
    )
    return table(f"{step.name}: {note}", ("step", *columns), rows)
