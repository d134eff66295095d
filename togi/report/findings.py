"""What the gallery's entries found: the claim, what was measured, the pictures."""

from __future__ import annotations

from typing import Any

from togi.report import numbers as show
from togi.report.chart import Chart, Kind, Series, chart, pairs, power
from togi.report.curves import line_plot
from togi.report.files import RunFiles, as_dict, as_list
from togi.report.glossary import Names
from togi.report.numbers import finite
from togi.report.plots import Mark, interval_plot
from togi.report.tables import table
from togi.report.verdict import with_interval

KINDS = {"holds": "good", "does not hold here": "bad"}
"""How a finding's mark is drawn."""


def sections(files: RunFiles, names: Names) -> list[dict[str, Any]]:
    """Return one section a finding, in the order of the steps."""
    found = []
    for step in files.steps:
        told = files.json(step, "finding.json")
        if told:
            found.append(_section(told, step.name, names))
    return found


def _section(told: dict[str, Any], step: str, names: Names) -> dict[str, Any]:
    holds = str(told.get("holds") or "cannot tell")
    return {
        "id": names.ids("finding", step),
        "title": str(told.get("title") or step),
        "source": str(told.get("source") or ""),
        "claim": str(told.get("claim") or ""),
        "measured": str(told.get("measured") or ""),
        "holds": holds,
        "kind": KINDS.get(holds, "open"),
        "plots": [_plot(as_dict(plot), step, names) for plot in as_list(told.get("plots"))],
        "estimates": _estimates(as_dict(told.get("estimates")), step, names),
        "notes": [str(note) for note in as_list(told.get("notes"))],
    }


def _plot(plot: dict[str, Any], step: str, names: Names) -> dict[str, Any]:
    series = {
        str(name): [_point(point) for point in as_list(points)]
        for name, points in as_dict(plot.get("series")).items()
    }
    title, x, y = (str(plot.get(key) or "") for key in ("title", "x", "y"))
    readings = "; ".join(
        f"{name}: {show.told(points[0][1])} at {show.told(points[0][0])}, "
        f"{show.told(points[-1][1])} at {show.told(points[-1][0])}"
        for name, points in series.items()
        if points
    )
    rich = plot.get("log_x") or plot.get("log_y") or plot.get("kind") == "scatter"
    drawn = line_plot(
        {} if rich else series,
        id=names.ids("figure", step, title),
        title=title,
        x_label=x,
        y_label=y,
        readings=readings,
    )
    rows = [
        (name, *(show.told(value) for value in as_list(point)))
        for name, points in as_dict(plot.get("series")).items()
        for point in as_list(points)
    ]
    columns = ("series", x, y, "low", "high")
    wide = max((len(row) for row in rows), default=3)
    body = [(*row, *[""] * (wide - len(row))) for row in rows]
    return {
        "chart": _chart(plot, drawn.id, (x, y), readings) if rich else None,
        "plot": drawn,
        "name": title,
        "unit": "",
        "healthy": "",
        "links": list(series) if len(series) > 1 else [title],
        "table": table(title, columns[:wide], body),
    }


LINES: tuple[Kind, ...] = ("line", "dashed", "dotted")


def _chart(plot: dict[str, Any], id: str, labels: tuple[str, str], readings: str) -> Chart:
    """Return a picture on logarithmic scales, or of points; intervals become bands behind it."""
    bands, lines = [], []
    for place, (name, points) in enumerate(as_dict(plot.get("series")).items()):
        bands.append(Series("interval", "band", [(p[0], *p[2:]) for p in pairs(points, 4)]))
        dots: Kind = "points" if place == 0 else "rings"
        kind = dots if plot.get("kind") == "scatter" else LINES[min(place, len(LINES) - 1)]
        lines.append(Series(str(name), kind, [_point(point) for point in as_list(points)]))
    logs = bool(plot.get("log_x")), bool(plot.get("log_y"))
    x_show, y_show = (_tick if log else show.number for log in logs)
    return chart(
        [*(band for band in bands if band.points), *lines], id=id,
        title=str(plot.get("title") or ""), labels=labels, readings=readings,
        logs=logs, shows=(x_show, y_show),
    )  # fmt: skip


def _tick(value: float) -> str:
    return show.number(value) if 1e-3 <= value < 1e5 else power(value)


def _point(point: Any) -> tuple[float, float | None]:
    values = [finite(value) for value in as_list(point)]
    return (values[0] or 0.0, values[1] if len(values) > 1 else None)


def _estimates(told: dict[str, Any], step: str, names: Names) -> dict[str, Any]:
    """Return a table of the numbers, and their intervals on one scale."""
    found = {label: as_dict(value) for label, value in told.items()}
    marks = [
        Mark(
            label,
            with_interval(one),
            finite(one.get("mean")),
            finite(one.get("low")),
            finite(one.get("high")),
        )
        for label, one in found.items()
    ]
    rows = [(label, with_interval(one), show.told(one.get("n"))) for label, one in found.items()]
    drawn = None
    if marks:
        drawn = interval_plot(
            marks, id=names.ids("figure", step, "estimates"), title="Measured", axis_label="value"
        )
    return {"plot": drawn, "table": table("Measured, with intervals", ("", "value", "n"), rows)}
