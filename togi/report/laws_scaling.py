"""A study of scaling runs on the page: splits, IsoFLOP profiles, residuals, how well E is known."""

from __future__ import annotations

from typing import Any

from togi.report.chart import Chart, Kind, Series, bounds, chart, pairs, power
from togi.report.files import as_dict, as_list
from togi.report.glossary import Names
from togi.report.numbers import amount, finite, number, share, spread
from togi.report.tables import Table, table

PROFILES = 9
"""IsoFLOP profiles that one figure can hold."""
PROFILE: tuple[tuple[str, Kind, str], ...] = (
    ("parabola", "dashed", "parabola"),
    ("fitted law", "line", "law"),
    ("runs", "points", "points"),
)
FLOPS, PARAMS, TOKENS = "FLOPs", "parameters", "tokens"
GREEK = {"alpha": "α", "beta": "β", "exponent": "a"}


def part(about: dict[str, Any], step: str, names: Names) -> dict[str, Any]:
    """Return what the page shows of a study of scaling runs."""
    runs, law, curves = (as_dict(about.get(key)) for key in ("runs", "law", "curves"))
    constants = as_dict(law.get("constants"))
    ratio = _last_ratio(about)
    return {
        "title": "Scaling law",
        "told": (
            f"Fitted to {number(runs.get('n'))} finished runs: loss = E + A/N^α + B/D^β with N"
            f" parameters and D tokens; the best N grows as compute to the power a ="
            f" {spread(as_dict(constants.get('exponent')))}. {ratio}"
        ),
        "first": [_splits(about)],
        "charts": [
            found
            for build in (_profiles, _allocation, _ratio, _residuals, _floor)
            if (found := build(curves, step, names)) is not None
        ],
        "further": [
            found
            for found in (
                _constants(constants),
                forms(about),
                _next(about),
                _isoflop(about),
                _along(curves),
            )
            if found.rows
        ],
    }


def _last_ratio(about: dict[str, Any]) -> str:
    budgets = [as_dict(one) for one in as_list(about.get("budgets"))]
    if not budgets:
        return ""
    last = budgets[-1]
    tokens = spread(as_dict(last.get("ratio")))
    return f"At {amount(last.get('flops'))} FLOPs that is {tokens} tokens for each parameter."


def _splits(about: dict[str, Any]) -> Table:
    rows = []
    for one in map(as_dict, as_list(about.get("budgets"))):
        rows.append(_split(amount(one.get("flops")), one))
        use = as_dict(one.get("with_use"))
        if use:
            label = f"with {amount(use.get('read'))} tokens read in use"
            rows.append(_split(label, use))
    head = (FLOPS, PARAMS, TOKENS, "tokens a parameter", "loss", "parameters by IsoFLOP",
            "by Kaplan's law")  # fmt: skip
    return table("The best split of a budget, with intervals", head, rows)


def _split(label: str, one: dict[str, Any]) -> tuple[str, ...]:
    counts = [spread(as_dict(one.get(key)), amount) for key in ("params", "tokens")]
    plain = [spread(as_dict(one.get(key))) for key in ("ratio", "loss")]
    others = [spread(as_dict(one[key]), amount) if key in one else "–"
              for key in ("isoflop", "kaplan")]  # fmt: skip
    return (label, *counts, *plain, *others)


def _constants(constants: dict[str, Any]) -> Table:
    rows = [(GREEK.get(key, key), spread(as_dict(value))) for key, value in constants.items()]
    return table("The law's constants", ("constant", "value"), rows)


def forms(about: dict[str, Any]) -> Table:
    """Return the forms of a law beside each other, by their errors on held-out runs."""
    rows = []
    for one in map(as_dict, as_list(about.get("forms"))):
        change = as_dict(one.get("against_chinchilla") or one.get("against_both"))
        error = finite(one.get("error"))
        told = spread(change) if finite(change.get("mean")) else "–"
        rows.append((str(one.get("form")), number(one.get("parameters")),
                     "–" if error is None else share(error, 1), told))  # fmt: skip
    head = ("form", "parameters", "error of the loss on held-out runs", "against the first")
    return table("Forms of the law, on runs that they were not fitted to", head, rows)


def _next(about: dict[str, Any]) -> Table:
    plan = as_dict(about.get("next"))
    rows = [
        (amount(one.get("params")), amount(one.get("tokens")), amount(one.get("flops")),
         number(one.get("loss"), 3), share(finite(one.get("width")) or 0, 1))
        for one in map(as_dict, as_list(plan.get("proposals")))
    ]  # fmt: skip
    head = (PARAMS, TOKENS, FLOPS, "predicted loss", "interval narrows to")
    return table(
        f"Runs to do next, to know the split of {amount(plan.get('budget'))} FLOPs better",
        head, rows, text=(),
    )  # fmt: skip


def _isoflop(about: dict[str, Any]) -> Table:
    profiles = as_dict(about.get("isoflop"))
    rows = [
        (amount(one.get("flops")), number(one.get("n")), amount(one.get("params")),
         number(one.get("loss"), 3), str(one.get("left_out") or ""))
        for one in map(as_dict, as_list(profiles.get("profiles")))
    ]  # fmt: skip
    slope = spread(as_dict(profiles.get("exponent")))
    return table(
        f"IsoFLOP profiles; parameters grow as compute to the power {slope}",
        (FLOPS, "runs", "best parameters", "lowest loss", "left out because"),
        rows, text=(0, 4),
    )  # fmt: skip


def _along(curves: dict[str, Any]) -> Table:
    rows = [
        (amount(one.get("flops")), spread(as_dict(one.get("params")), amount),
         spread(as_dict(one.get("ratio"))))
        for one in map(as_dict, as_list(curves.get("allocation")))
    ]  # fmt: skip
    return table("The best split over compute", (FLOPS, PARAMS, "tokens a parameter"), rows)


def _profiles(curves: dict[str, Any], step: str, names: Names) -> Chart | None:
    found = [one for one in map(as_dict, as_list(curves.get("profiles"))) if one.get("points")]
    if len(found) > PROFILES:  # as many as can be told apart, evenly over the budgets
        found = [found[round(k * (len(found) - 1) / (PROFILES - 1))] for k in range(PROFILES)]
    if not found:
        return None
    series = [
        Series(name, kind, pairs(one.get(key))) for one in found for name, kind, key in PROFILE
    ]
    told = "; ".join(
        f"at {amount(one.get('flops'))} FLOPs the parabola is lowest at {amount(one.get('best'))}"
        for one in found
    )
    return chart(
        series, id=names.ids("figure", step, "isoflop"),
        title="IsoFLOP profiles: loss over size at equal compute",
        labels=(PARAMS, "loss"), readings=told + ".", logs=(True, False), shows=(amount, number),
    )  # fmt: skip


def _allocation(curves: dict[str, Any], step: str, names: Names) -> Chart | None:
    band, line = bounds(curves.get("allocation"), "params", "flops")
    if not line:
        return None
    tops = [
        (finite(one.get("flops")), finite(one.get("best")))
        for one in map(as_dict, as_list(curves.get("profiles")))
    ]
    series = [Series("interval", "band", band), Series("fitted law", "line", line),
              Series("lowest points of the profiles", "rings", tops)]  # fmt: skip
    return chart(
        series, id=names.ids("figure", step, "allocation"),
        title="Best parameters over compute", labels=(FLOPS, PARAMS),
        readings=_ends(line, amount), logs=(True, True), shows=(power, amount),
    )  # fmt: skip


def _ratio(curves: dict[str, Any], step: str, names: Names) -> Chart | None:
    band, line = bounds(curves.get("allocation"), "ratio", "flops")
    if not line:
        return None
    return chart(
        [Series("interval", "band", band), Series("fitted law", "line", line)],
        id=names.ids("figure", step, "ratio"), title="Tokens for each parameter over compute",
        labels=(FLOPS, "tokens a parameter"), readings=_ends(line, number), logs=(True, True),
        shows=(power, number), references=((), ((20.0, "20"),)),
    )  # fmt: skip


def _ends(line: list[Any], show: Any) -> str:
    """Tell a curve by its ends."""
    (x0, y0), (x1, y1) = line[0], line[-1]
    return f"From {show(y0)} at {amount(x0)} to {show(y1)} at {amount(x1)}."


def _residuals(curves: dict[str, Any], step: str, names: Names) -> Chart | None:
    points = pairs(curves.get("residuals"))
    if not points:
        return None
    far = max(abs(y or 0) for _, y in points)
    return chart(
        [Series("runs", "points", points)], id=names.ids("figure", step, "residuals"),
        title="How far each run lies from the law",
        labels=(FLOPS, "ln(predicted loss / measured loss)"),
        readings=f"{len(points)} runs; the farthest is {number(far)} off.",
        logs=(True, False), shows=(power, number), references=((), ((0.0, "equal"),)),
    )  # fmt: skip


def _floor(curves: dict[str, Any], step: str, names: Names) -> Chart | None:
    floor = as_dict(curves.get("floor"))
    points, limit = pairs(floor.get("values")), finite(floor.get("limit"))
    if not points or limit is None:
        return None
    inside = [x for x, y in points if x is not None and y is not None and y <= limit]
    shown = [(x, y if y is not None and y <= 6 * limit else None) for x, y in points]
    told = f"Below the limit from {number(min(inside))} to {number(max(inside))}." if inside else ""
    return chart(
        [Series("", "line", shown)],
        id=names.ids("figure", step, "floor"),
        title="How well the floor E is known: its profile likelihood",
        labels=("E", "likelihood ratio statistic"), readings=told,
        references=((), ((limit, "95 % limit"),)),
    )  # fmt: skip
