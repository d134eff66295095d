"""What the gallery's entries found: the claim, what was measured, the pictures."""

from __future__ import annotations

from typing import Any

from togi.report import numbers as show
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
    drawn = line_plot(
        series,
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
        "plot": drawn,
        "name": title,
        "unit": "",
        "healthy": "",
        "links": list(series) if len(series) > 1 else [title],
        "table": table(title, columns[:wide], body),
    }


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
