"""Groups of raters on the page: what an axis explains, whose labels differ, who agrees."""

from __future__ import annotations

from typing import Any

from togi.report import numbers as show
from togi.report.files import StepFiles, as_dict, as_list
from togi.report.glossary import Names
from togi.report.numbers import finite
from togi.report.plots import Mark, interval_plot
from togi.report.tables import Table, table
from togi.report.verdict import with_interval

MOST_MARKS = 30
"""Groups of an axis that get a drawing; further ones are told in the table only."""

WORDS = {
    "explained": "Share of the disagreement within items that lies between the groups of an axis.",
    "IRR": "Krippendorff's α among the raters of a group.",
    "XRR": "How far a group agrees with all other raters beyond chance (κx).",
    "GAI": "IRR over XRR: above 1 the group's raters agree more with each other than with others.",
    "q": "p corrected for the number of groups asked about (Benjamini and Hochberg): of all those"
    " called different at q ≤ 0.05, one in twenty is wrong in expectation.",
}
"""Names on this part of the page, to their definitions."""


def mark(label: str, found: Any, kind: str = "plain", says: str = "") -> Mark:
    """Return an estimate as a row of an interval plot."""
    one = as_dict(found)
    reading = with_interval(one) + (f" · {says}" if says else "")
    mean, low, high = (finite(one.get(key)) for key in ("mean", "low", "high"))
    return Mark(label, reading, mean, low, high, kind)


def axis_section(step: StepFiles, axis: dict[str, Any], label: str, names: Names) -> dict[str, Any]:
    """Return what is told of one axis: its sentence, its picture and its groups."""
    name, groups = str(axis.get("axis")), [as_dict(g) for g in as_list(axis.get("groups"))]
    for word in ("explained", "IRR", "XRR", "GAI", "q"):
        names(word, WORDS[word])
    chance = as_dict(axis.get("by_chance"))
    spread = f"{_percent(chance.get('low'))} to {_percent(chance.get('high'))}"
    small = ", ".join(f"{g} ({n})" for g, n in as_dict(axis.get("small")).items())
    differences = [
        mark(
            str(group.get("group")),
            as_dict(group.get("differences")).get(label),
            "good" if (finite(group.get("labels_q")) or 1.0) <= 0.05 else "open",
            f"q {show.p_value(group.get('labels_q'))}",
        )
        for group in groups
    ]
    return {
        "id": names.ids("axis", step.name, name),
        "name": name,
        "says": (
            f"Its groups explain {_percent(axis.get('explained'))} of the disagreement within"
            f" items; chance alone gives {spread} (p {show.p_value(axis.get('p'))},"
            f" q {show.p_value(axis.get('q'))}). Their leading labels differ on"
            f" {_percent(axis.get('split_items'))} of the items, by chance on"
            f" {_percent(axis.get('split_by_chance'))}."
        ),
        "small": f"Too few raters to be told: {small}." if small else "",
        "plot": interval_plot(
            differences[:MOST_MARKS],
            id=names.ids("figure", step.name, name, "shares"),
            title=f"{name}: share of “{label}” minus that of all others",
            axis_label="difference of shares; a filled disc has q ≤ 0.05",
            lines=((0, "no difference"),),
        )
        if differences
        else None,
        "table": _group_table(name, groups, label, names),
    }


def _group_table(name: str, groups: list[dict[str, Any]], label: str, names: Names) -> Table:
    rows = [
        (
            str(group.get("group")),
            show.number(group.get("raters")),
            with_interval(as_dict(as_dict(group.get("shares")).get(label))),
            show.p_value(group.get("labels_q")),
            with_interval(as_dict(group.get("irr"))),
            with_interval(as_dict(group.get("xrr"))),
            with_interval(as_dict(group.get("gai"))) if group.get("gai") else group.get("reason"),
            show.p_value(group.get("gai_q")) if group.get("gai") else "",
        )
        for group in groups
    ]
    heads = ("group", "raters", f"share of “{label}”", "q", "IRR", "XRR", "GAI", "q of GAI")
    return table(f"Groups of {name}", heads, rows)


def _percent(value: Any) -> str:
    real = finite(value)
    return show.TOO_SMALL if real is None else show.share(real, 1.0)
