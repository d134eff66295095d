"""Disagreement of raters: agreement, the most contested items, and people against people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from togi.report import numbers as show
from togi.report.files import RunFiles, StepFiles, as_dict, as_list
from togi.report.glossary import Names
from togi.report.numbers import finite
from togi.report.plots import IntervalPlot, interval_plot
from togi.report.rater_groups import axis_section, mark
from togi.report.selection import clip
from togi.report.tables import Table, table
from togi.report.verdict import with_interval

MOST_LETTERS = 1500
MOST_MARKS = 30

MEASURED = {
    "cross_entropy": "cross-entropy, nats",
    "js": "Jensen–Shannon, bits",
    "variation": "total variation, share",
    "brier": "Brier, squared shares",
    "agreement": "agreement, share of raters",
}
"""Measures as tables call them."""

WORDS = {
    "Krippendorff's α": "Agreement beyond chance among any number of raters: 1 is perfect, and 0"
    " is what chance gives.",
    "contested": "Share of items whose leading label has less than the bound's share of raters.",
    "people": "One random half of an item's raters predicts the other half.",
    "vote": "The same half's leading label alone, read as what the other halves say on average"
    " where that label leads.",
    "above people": "A model's score minus the people's, against the same halves of raters.",
    "AQS": "CrowdTruth's quality of a label: how well one rater's use of it predicts another's.",
}
"""Names on this part of the page, to their definitions."""


def sections(files: RunFiles, names: Names) -> list[dict[str, Any]]:
    """Return one section for each table of ratings that was analysed."""
    found = []
    for step in files.of("evaluate.raters"):
        told = files.json(step, "raters.json")
        if told:
            found.append(_section(step, told, names))
    return found


def _section(step: StepFiles, told: dict[str, Any], names: Names) -> dict[str, Any]:
    labels = [str(label) for label in as_list(told.get("labels"))]
    return {
        "id": names.ids("raters", step.name),
        "name": step.name,
        "understood": str(told.get("understood") or ""),
        "notes": [str(note) for note in as_list(told.get("notes"))],
        "labels": labels,
        "agreement": _agreement(step, told, names),
        "figures": _figures(told, names),
        "codings": _codings(told),
        "people": _people(step, as_dict(told.get("against")), names),
        "contested": [_item(as_dict(one), labels) for one in as_list(told.get("most_contested"))],
        "about_groups": str(as_dict(told.get("groups")).get("about") or ""),
        "axes": [
            axis_section(step, as_dict(axis), str(told.get("positive") or ""), names)
            for axis in as_list(as_dict(told.get("groups")).get("axes"))
        ],
        "quality": _quality(told, names),
    }


def _word(names: Names, name: str) -> Any:
    return names(name, WORDS.get(name, ""))


def _agreement(step: StepFiles, told: dict[str, Any], names: Names) -> IntervalPlot:
    found = as_dict(told.get("agreement"))
    _word(names, "Krippendorff's α")
    marks = [mark("α, these raters", found.get("alpha"), "good")]
    for key, label in (("alpha_any_raters", "α, any such raters"), ("fleiss", "Fleiss' κ")):
        if key in found:
            marks.append(mark(label, found[key]))
    return interval_plot(
        marks,
        id=names.ids("figure", step.name, "alpha"),
        title="Agreement beyond chance",
        axis_label=f"Krippendorff's α ({found.get('level', 'nominal')})",
        lines=((0, "chance"),),
    )


def _figures(told: dict[str, Any], names: Names) -> Table:
    found, sizes = as_dict(told.get("items")), as_dict(told.get("sizes"))
    each = " / ".join(show.number(n) for n in as_list(sizes.get("ratings_per_item")))
    below = show.number(found.get("contested_below"), 2)
    settled = show.share(finite(found.get("settled_from")) or 0.0, 1.0)
    rows: list[tuple[Any, str]] = [
        ("ratings of an item: least / median / most", each),
        (
            "raw agreement of two raters",
            with_interval(as_dict(as_dict(told.get("agreement")).get("raw"))),
        ),
        ("entropy of an item, nats", with_interval(as_dict(found.get("entropy")))),
        (
            _word(names, "contested"),
            f"{with_interval(as_dict(found.get('contested')))}, below {below}",
        ),
        ("unanimous items", with_interval(as_dict(found.get("unanimous")))),
        (f"leading label not sure to {settled}", with_interval(as_dict(found.get("unsettled")))),
    ]
    for label, share in as_dict(told.get("shares")).items():
        rows.append((f"share of “{label}”", with_interval(as_dict(share))))
    return table("Items and labels", ("", "value, 95 % interval"), rows)


def _codings(told: dict[str, Any]) -> Table | None:
    rows = [
        (
            str(one.get("coding")),
            *(with_interval(as_dict(one.get(key))) for key in ("alpha", "contested", "positive")),
        )
        for one in map(as_dict, as_list(told.get("codings")))
    ]
    heads = ("coding", "α", "contested", f"share of “{told.get('positive')}”")
    return table("What the unsure label does", heads, rows) if rows else None


def _people(step: StepFiles, told: dict[str, Any], names: Names) -> dict[str, Any]:
    """Return people against people, a vote against them, and each model."""
    models = as_dict(told.get("models"))
    for name in ("people", "vote", "above people"):
        _word(names, name)
    measures = list(as_dict(told.get("people")))
    rows = [
        (
            MEASURED.get(measure, measure),
            *(
                with_interval(as_dict(as_dict(told.get(key)).get(measure)))
                for key in ("people", "vote")
            ),
            with_interval(as_dict(as_dict(told.get("vote_above_people")).get(measure)), sign=True),
        )
        for measure in measures
    ]
    vote = as_dict(as_dict(told.get("vote_above_people")).get("cross_entropy"))
    marks = [mark("majority vote", vote, "open")]
    for name, model in models.items():
        above = as_dict(as_dict(model).get("above_people"))
        marks.append(mark(name, above.get("cross_entropy")))
    return {
        "about": str(told.get("about") or ""),
        "plot": interval_plot(
            marks[:MOST_MARKS],
            id=names.ids("figure", step.name, "people"),
            title="Lost against half of the raters",
            axis_label="cross-entropy above people's, nats a rating: lower is better",
            lines=((0, "people"),),
        ),
        "table": table(
            "People and their majority vote against other people",
            ("measure", "people", "vote", "vote minus people"),
            rows,
        ),
        "models": _models(models, measures),
        "gaps": _gaps(models),
    }


def _models(models: dict[str, Any], measures: Iterable[str]) -> list[Table]:
    tables = []
    for name, model in models.items():
        found = as_dict(model)
        parts = as_dict(found.get("parts"))
        rows = [
            (
                MEASURED.get(measure, measure),
                with_interval(as_dict(as_dict(found.get("scores")).get(measure))),
                with_interval(as_dict(as_dict(found.get("above_people")).get(measure)), sign=True),
                *(
                    with_interval(as_dict(as_dict(parts.get(part)).get(measure)))
                    for part in ("contested", "consensual")
                ),
            )
            for measure in measures
        ]
        for key, label in (
            ("majority", "agrees with the majority"),
            ("rank_correlation", "rank correlation with the raters' share"),
            ("entropy_correlation", "rank correlation of entropies"),
        ):
            rows.append((label, with_interval(as_dict(found.get(key))), "", "", ""))
        heads = ("measure", "all items", "above people", "contested", "consensual")
        tables.append(table(f"{name} against the raters", heads, rows))
    return tables


def _gaps(models: dict[str, Any]) -> Table | None:
    rows = [
        (
            name,
            str(axis.get("axis")),
            f"{axis.get('worst')} − {axis.get('best')}",
            with_interval(as_dict(axis.get("gap")), sign=True),
        )
        for name, model in models.items()
        for axis in map(as_dict, as_list(as_dict(model).get("groups")))
    ]
    heads = ("model", "axis", "worst − best group", "cross-entropy, nats")
    return table("Whom a model is nearest to", heads, rows, text=(0, 1, 2)) if rows else None


def _item(line: dict[str, Any], labels: list[str]) -> dict[str, Any]:
    shares = as_dict(line.get("shares"))
    parts = [(label, finite(shares.get(label)) or 0.0) for label in labels]
    split = ", ".join(str(axis) for axis in as_list(line.get("split")))
    return {
        "item": str(line.get("item")),
        "bar": _bar(parts),
        "says": "; ".join(f"{label} {show.share(share, 1.0)}" for label, share in parts),
        "n": show.number(line.get("n")),
        "entropy": show.number(line.get("entropy"), 2),
        "split": f"Groups differ in their leading label: by {split}." if split else "",
        "groups": _groups_of(line),
        "text": clip(str(line.get("text") or ""), MOST_LETTERS),
    }


def _bar(parts: list[tuple[str, float]]) -> list[tuple[str, str, int]]:
    """Return (label, width in per cent, shade) of a bar's pieces.

    >>> _bar([("no", 0.75), ("yes", 0.25)])
    [('no', '75.00', 0), ('yes', '25.00', 1)]
    """
    return [(label, f"{100 * share:.2f}", place % 6) for place, (label, share) in enumerate(parts)]


def _groups_of(line: dict[str, Any]) -> list[tuple[str, str]]:
    """Return axis -> the positive label's share in each group, as text."""
    label = str(as_dict(line.get("positive")).get("label") or "")
    return [
        (
            f"share of “{label}” by {axis}",
            "; ".join(
                f"{group} {show.share(finite(p) or 0.0, 1.0)}" for group, p in as_dict(of).items()
            ),
        )
        for axis, of in as_dict(line.get("groups")).items()
        if of
    ]


def _quality(told: dict[str, Any], names: Names) -> Table | None:
    crowd = as_dict(as_dict(told.get("quality")).get("crowdtruth"))
    rows = [(label, show.number(q, 3)) for label, q in as_dict(crowd.get("labels")).items()]
    if not rows:
        return None
    _word(names, "AQS")
    caption = f"CrowdTruth: quality of the labels, after {crowd.get('rounds')} rounds"
    return table(caption, ("label", "AQS"), rows)
