"""Weights of domains on the page: DoReMi's weights, their way, the trial, and drawn mixtures."""

from __future__ import annotations

from typing import Any

from togi.report.chart import Chart, Series, chart, pairs
from togi.report.files import RunFiles, as_dict, as_list
from togi.report.glossary import Names
from togi.report.numbers import amount, finite, number, spread
from togi.report.tables import Table, table

MOST_LINES = 8
"""Domains whose way is drawn: those with the largest weights."""


def sections(files: RunFiles, names: Names) -> list[dict[str, Any]]:
    """Return one part for each search and each drawn mixture, in the order of the steps."""
    found = []
    for step in files.steps:
        for kind, build in (("doremi", _search), ("mixture", _drawn)):
            about = files.json(step, f"{kind}.json")
            if about:
                head = {"id": names.ids(kind, step.name), "name": step.name}
                told = [str(line) for line in as_list(about.get("warnings"))]
                found.append({**head, "warnings": told, **build(about, step.name, names)})
    return found


def _search(about: dict[str, Any], step: str, names: Names) -> dict[str, Any]:
    asked = as_dict(about.get("settings"))
    path = _path(as_dict(about.get("path")), step, names)
    trial = as_dict(about.get("trial"))
    first = [_weights(about), *([_trial(trial), _gains(trial)] if trial else []), _plan(about)]
    further = [_domains(trial), _rounds(about)]
    return {
        "title": "DoReMi",
        "told": (
            "A small proxy learnt from all domains while weight moved to those on which it lags"
            " most behind a reference of its size; a domain's weight is the mean over"
            f" {number(asked.get('steps'))} steps and {number(asked.get('seeds'))} proxies."
            " Excess is the proxy's loss above the reference's at the end, in nats a token."
        ),
        "first": [one for one in first if one.rows],
        "charts": [] if path is None else [path],
        "further": [one for one in further if one.rows],
    }


def _weights(about: dict[str, Any]) -> Table:
    rows = [
        (str(one.get("domain")), amount(one.get("tokens")), spread(as_dict(one.get("weight"))),
         number(one.get("reference_weight")), number(one.get("ratio")), number(one.get("excess")),
         number(one.get("reference_bits")), number(one.get("proxy_bits")))
        for one in map(as_dict, as_list(about.get("domains")))
    ]  # fmt: skip
    head = ("domain", "tokens", "weight", "reference's weight", "ratio", "excess",
            "reference, bits per byte", "proxy, bits per byte")  # fmt: skip
    return table("The weights", head, rows)


def _both(of: Any) -> list[tuple[str, str, str]]:
    return [
        (str(name), spread(as_dict(as_dict(one).get("worst"))),
         spread(as_dict(as_dict(one).get("average"))))
        for name, one in as_dict(of).items()
    ]  # fmt: skip


def _trial(trial: dict[str, Any]) -> Table:
    title = f"Held-out bits per byte of models trained on each, {number(trial.get('seeds'))} seeds"
    return table(title, ("mixture", "worst domain", "average"), _both(trial.get("mixtures")))


def _gains(trial: dict[str, Any]) -> Table:
    head = ("mixture over another", "worst domain", "average")
    return table("Bits per byte gained, seed by seed", head, _both(trial.get("gains")))


def _domains(trial: dict[str, Any]) -> Table:
    mixtures = as_dict(trial.get("mixtures"))
    each = {name: as_dict(as_dict(one).get("domains")) for name, one in mixtures.items()}
    domains = next(iter(each.values()), {})
    rows = [
        (str(domain), *(spread(as_dict(of.get(domain))) for of in each.values()))
        for domain in domains
    ]
    return table("Each domain's held-out bits per byte", ("domain", *map(str, each)), rows)


def _rounds(about: dict[str, Any]) -> Table:
    rounds = [as_dict(one) for one in as_list(about.get("rounds"))]
    rows = [(str(n), number(one.get("change"))) for n, one in enumerate(rounds, 1)]
    head = ("round", "greatest change of a weight against the reference's")
    return table("The rounds", head, rows)


def _plan(about: dict[str, Any]) -> Table:
    rows = [
        (str(one.get("domain")), amount(one.get("tokens")), number(one.get("epochs")))
        for one in map(as_dict, as_list(about.get("plan")))
    ]
    return table("What the budget takes of each domain", ("domain", "tokens", "epochs"), rows)


def _path(path: dict[str, Any], step: str, names: Names) -> Chart | None:
    lines = {
        str(name): [row for row in pairs(points) if None not in row]
        for name, points in path.items()
    }
    ends = {name: finite(line[-1][1]) or 0.0 for name, line in lines.items() if line}
    shown = sorted(ends, key=lambda name: -ends[name])[:MOST_LINES]
    if not shown or max(len(lines[name]) for name in shown) < 2:
        return None
    told = "At the last step: " + "; ".join(f"{name} {number(ends[name])}" for name in shown) + "."
    return chart(
        [Series(name, "line", lines[name]) for name in shown],
        id=names.ids("figure", step, "path"), title="The way of the first proxy's weights",
        labels=("step", "weight"), readings=told,
    )  # fmt: skip


def _drawn(about: dict[str, Any], step: str, names: Names) -> dict[str, Any]:
    rows = [
        (str(one.get("domain")), number(one.get("weight")), number(one.get("rows")),
         number(one.get("share_of_text")), number(one.get("epochs")))
        for one in map(as_dict, as_list(about.get("domains")))
    ]  # fmt: skip
    head = ("domain", "weight", "rows", "share of the text", "epochs")
    return {
        "title": "A drawn mixture", "told": "Rows drawn by the weights of their domains.",
        "first": [table("What was drawn of each domain", head, rows)], "charts": [], "further": [],
    }  # fmt: skip
