"""A study of repeated data on the page: the flat valley, what epochs are worth, runs, plans."""

from __future__ import annotations

from typing import Any

from togi.report.chart import Chart, Series, bounds, chart, pairs
from togi.report.files import as_dict, as_list
from togi.report.glossary import Names
from togi.report.laws_scaling import forms
from togi.report.numbers import amount, finite, number, share, spread
from togi.report.tables import Table, table

HIGHEST = 4.0
"""The valley is drawn up to so many times its limit."""
LAWS = {"c4": "the paper's law of fresh data held fixed", "whole": "all fitted to the runs"}
QUANTITIES = (
    ("flops", "FLOPs", amount), ("unique_tokens", "unique tokens", amount),
    ("params", "parameters", amount), ("tokens", "tokens", amount), ("epochs", "epochs", number),
    ("loss", "predicted loss", number), ("worth", "a token is worth", number),
    ("next_epoch", "a token of the next epoch is worth", number),
    ("above_fresh", "loss above that of fresh data", number),
    ("twice_unique_gains", "twice the unique tokens lower the loss by", number),
    ("limit", "no compute brings the loss below", number),
)  # fmt: skip


def part(about: dict[str, Any], step: str, names: Names) -> dict[str, Any]:
    """Return what the page shows of a study of repeated data."""
    decay, curves = as_dict(about.get("decay")), as_dict(about.get("curves"))
    law = LAWS.get(str(about.get("law")), str(about.get("law")))
    fit = as_dict(about.get("fit"))
    charts = [_valley(curves, step, names), _worth(curves, step, names)]
    charts += [_predicted(curves, step, names), *_families(curves, step, names)]
    tables = (
        _minima(fit), forms(fit), _measured(fit), _rising(fit), _worths(about), _mixture(about),
        _along(curves), _runs(curves),
    )  # fmt: skip
    return {
        "title": "Repeated data",
        "told": (
            f"A repeated token's worth falls to 1/e after {spread(as_dict(decay.get('tokens')))}"
            f" repeats, that of parameters beyond what the unique tokens can use after"
            f" {spread(as_dict(decay.get('params')))}: {law}."
        ),
        "first": [found for found in _plans(about) if found.rows],
        "charts": [found for found in charts if found is not None],
        "further": [found for found in tables if found.rows],
    }


def _plans(about: dict[str, Any]) -> list[Table]:
    found = []
    for key, title in (("plan", "The best split"), ("given", "The plan that was given")):
        one = as_dict(about.get(key))
        rows = [(label, _told(one[name], show)) for name, label, show in QUANTITIES if name in one]
        fresh = as_dict(one.get("fresh"))
        if fresh:
            sizes = (
                f"{amount(fresh.get('params'))} parameters, {amount(fresh.get('tokens'))} tokens"
            )
            rows.append((f"loss with fresh data without end ({sizes})", number(fresh.get("loss"))))
        found.append(table(title, ("quantity", "value"), rows))
    return found


def _told(value: Any, show: Any) -> str:
    return spread(value, show) if isinstance(value, dict) else show(value)


def _worths(about: dict[str, Any]) -> Table:
    rows = [
        (number(one.get("epochs")), spread(as_dict(one.get("worth"))),
         spread(as_dict(one.get("next"))))
        for one in map(as_dict, as_list(about.get("worth")))
    ]  # fmt: skip
    head = ("epochs", "a token is worth", "a token of the next epoch")
    return table("What epochs are worth, in fresh tokens", head, rows)


def _mixture(about: dict[str, Any]) -> Table:
    rows = [
        (str(one.get("domain")), amount(one.get("unique_tokens")), amount(one.get("tokens")),
         number(one.get("epochs")), spread(as_dict(one.get("worth"))))
        for one in map(as_dict, as_list(about.get("mixture")))
    ]  # fmt: skip
    head = ("domain", "unique tokens", "tokens", "epochs", "a token is worth")
    return table("The mixture", head, rows)


def _minima(fit: dict[str, Any]) -> Table:
    rows = [
        (_decay(one.get("tokens")), _decay(one.get("params")), number(one.get("objective")))
        for one in map(as_dict, as_list(fit.get("minima")))
    ]
    head = ("R* of tokens", "R* of parameters", "Huber sum")
    return table("Where the fit has minima", head, rows, text=())


def _decay(value: Any) -> str:
    real = finite(value)
    return "no decay" if real is None or real >= 1e12 else number(real)


def _measured(fit: dict[str, Any]) -> Table:
    rows = []
    for one in map(as_dict, as_list(fit.get("measured"))):
        ratio = as_dict(one.get("ratio"))
        rows.append((f"{number(one.get('from'))} to {number(one.get('to'))}",
                     number(one.get("pairs")), spread(ratio, _percent)))  # fmt: skip
    head = ("epochs", "pairs of runs", "loss above that of fresh data")
    return table("Measured, without any law: repeated against fresh runs", head, rows)


def _percent(value: Any) -> str:
    real = finite(value)
    return "unknown" if real is None else f"{number(100 * real, 2, sign=True)} %"


def _rising(fit: dict[str, Any]) -> Table:
    rows = [
        (amount(one.get("params")), amount(one.get("unique")), number(one.get("lowest"), 3),
         number(one.get("epochs")), number(one.get("later"), 3), number(one.get("later_epochs")))
        for one in map(as_dict, as_list(fit.get("rising")))
    ]  # fmt: skip
    head = ("parameters", "unique tokens", "lowest loss", "after epochs", "later loss", "after")
    return table("Where the loss rose with further epochs", head, rows, text=())


def _along(curves: dict[str, Any]) -> Table:
    rows = [
        (_decay(r_d), _decay(r_n), number(statistic))
        for r_d, r_n, _, statistic in pairs(as_dict(curves.get("valley")).get("values"), 4)[::3]
    ]
    head = ("R* of tokens", "best R* of parameters with it", "likelihood ratio statistic")
    return table("The valley", head, rows, text=())


def _runs(curves: dict[str, Any]) -> Table:
    rows = [
        (f"{amount(one.get('params'))} on {amount(one.get('unique'))}", number(epochs), number(y))
        for one in map(as_dict, as_list(curves.get("families")))
        for epochs, y in pairs(one.get("runs"))
    ]
    return table("The runs drawn", ("parameters on unique tokens", "epochs", "loss"), rows)


def _valley(curves: dict[str, Any], step: str, names: Names) -> Chart | None:
    valley = as_dict(curves.get("valley"))
    limit = finite(valley.get("limit"))
    rows = pairs(valley.get("values"), 4)
    line = [(r, s) for r, _, _, s in rows if r is not None and s is not None and r < 1e12]
    if not line or limit is None:
        return None
    shown = [(r, s if s <= HIGHEST * limit else None) for r, s in line]
    inside = [r for r, s in line if s <= limit]
    published, whole = finite(valley.get("published")), finite(valley.get("whole"))
    uprights = [(r, text) for r, text in ((published, "published"), (whole, "whole law"))
                if r is not None and r < line[-1][0]]  # fmt: skip
    told = (
        f"Within the limit from {number(min(inside))} to {number(max(inside))} repeats."
        if inside
        else ""
    )
    return chart(
        [Series("", "line", shown)], id=names.ids("figure", step, "valley"),
        title="The flat valley: how little the runs tell of R*",
        labels=("R* of tokens, in repeats", "likelihood ratio statistic"), readings=told,
        logs=(True, False), references=(uprights, ((limit, "95 % limit"),)),
    )  # fmt: skip


def _worth(curves: dict[str, Any], step: str, names: Names) -> Chart | None:
    band, line = bounds(curves.get("worth"), "worth", "epochs")
    if not line:
        return None
    some = line[:: max(1, len(line) // 4)]
    told = "; ".join(f"{number(x, 0)} epochs: {share(y or 0, 1)}" for x, y in some)
    return chart(
        [Series("interval", "band", band), Series("law", "line", line)],
        id=names.ids("figure", step, "worth"), title="What a token is worth against a fresh one",
        labels=("epochs", "worth"), readings=told + ".", logs=(True, False),
        references=(((4.0, "4 epochs"),), ()),
    )  # fmt: skip


def _predicted(curves: dict[str, Any], step: str, names: Names) -> Chart | None:
    points = [row for row in pairs(curves.get("predicted")) if None not in row]
    if not points:
        return None
    ends = [v for row in points for v in row if v is not None]
    same = [(min(ends), min(ends)), (max(ends), max(ends))]
    return chart(
        [Series("equal", "dotted", same), Series("runs", "points", points)],
        id=names.ids("figure", step, "predicted"), title="Predicted over measured loss",
        labels=("measured loss", "predicted loss"), readings=f"{len(points)} runs.",
        logs=(True, True),
    )  # fmt: skip


def _families(curves: dict[str, Any], step: str, names: Names) -> list[Chart]:
    found = []
    for one in map(as_dict, as_list(curves.get("families"))):
        runs, law = pairs(one.get("runs")), pairs(one.get("law"))
        size, unique = amount(one.get("params")), amount(one.get("unique"))
        found.append(
            chart(
                [Series("law", "line", law), Series("runs", "points", runs)],
                id=names.ids("figure", step, "family", size, unique),
                title=f"{size} parameters on {unique} unique tokens",
                labels=("epochs", "loss"), readings=f"{len(runs)} runs.", logs=(True, False),
            )
        )  # fmt: skip
    return found
