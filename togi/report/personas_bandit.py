"""The bandit on the page: choices over trials, weights by persona, players of known weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from togi.report import numbers as show
from togi.report.chart import Chart, Series, bounds, chart
from togi.report.files import as_dict, as_list
from togi.report.glossary import Names
from togi.report.numbers import finite
from togi.report.plots import IntervalPlot, Mark, interval_plot
from togi.report.tables import Table, table
from togi.report.verdict import with_interval

MOST_CHARTS = 12
MOST_MARKS = 30
NONE = "none"


def bandit_part(about: dict[str, Any], step: str, names: Names) -> dict[str, Any]:
    """Return what the page shows of the games."""
    results = as_dict(about.get("results"))
    weights = as_dict(about.get("weights"))
    for name, text in weights.items():
        names(str(name), f"Weight of the probit: {text}.")
    measures = as_dict(about.get("measures"))
    for name, told in measures.items():
        names(str(name), str((as_list(told) or [""])[-1]).capitalize() + ".")
    rules = as_dict(about.get("rules"))
    return {
        "says": (
            f"{show.number(about.get('games'))} games of {show.number(rules.get('trials'))}"
            " choices, the same games for every persona; means of the machines spread with a"
            f" variance of {show.number(rules.get('mean_var'))}, payments with"
            f" {show.number(rules.get('noise_var'))}. Choosing by a coin brings 0 points on"
            " average."
        ),
        "charts": _curves(results, step, names),
        "plots": [
            plot
            for weight in weights
            if (plot := _weight_plot(weight, str(weights[weight]), about, step, names)) is not None
        ],
        "tables": [_measured(results, measures)],
        "further": [found for found in (_weights(results, weights), _players(about)) if found.rows],
    }


def _curves(results: dict[str, Any], step: str, names: Names) -> list[Chart]:
    """Draw how often each persona takes the better machine, and none's line beside it."""
    found: list[Chart] = []
    for model, people in results.items():
        control = bounds(as_dict(as_dict(people).get(NONE)).get("curve"), "best", "trial")
        for name, one in as_dict(people).items():
            band, line = bounds(as_dict(one).get("curve"), "best", "trial")
            series = [Series("95 % interval", "band", band), Series(str(name), "line", line)]
            if name != NONE and control[1]:
                series.append(Series("no persona", "dotted", control[1]))
            title = f"{name}: how often the better machine"
            if len(results) > 1:
                title = f"{model}, {title}"
            found.append(
                chart(
                    series,
                    id=names.ids("figure", step, model, str(name), "best"),
                    title=title,
                    labels=("choice", "share on the better machine"),
                    readings=_readings(line),
                    references=((), ((0.5, "coin"),)),
                )
            )
    return found[:MOST_CHARTS]


def _readings(line: list[Any]) -> str:
    known = [(x, y) for x, y in line if x is not None and y is not None]
    if not known:
        return show.TOO_SMALL
    first, last = known[0], known[-1]
    return (
        f"{show.number(first[1], 2)} at choice {show.number(first[0])}, "
        f"{show.number(last[1], 2)} at choice {show.number(last[0])}"
    )


def _weight_plot(
    weight: str, text: str, about: dict[str, Any], step: str, names: Names
) -> IntervalPlot | None:
    """Draw one weight of every persona, and where theory has the strategies that use it."""
    marks = [
        _mark(str(name) if len(as_dict(about.get("results"))) < 2 else f"{model}: {name}", found)
        for model, people in as_dict(about.get("results")).items()
        for name, one in as_dict(people).items()
        if (found := _estimates(one).get(weight)) is not None
    ]
    if not marks:
        return None
    known = {
        name: as_dict(as_dict(as_dict(player).get("weights")).get(weight)).get("known")
        for name, player in as_dict(about.get("players")).items()
    }
    placed = ((finite(value), str(name)) for name, value in known.items())
    lines = [(value, name) for value, name in placed if value]
    return interval_plot(
        marks[:MOST_MARKS],
        id=names.ids("figure", step, "weight", weight),
        title=f"Weight of {weight}",
        axis_label=text,
        lines=((0.0, "zero"), *lines[:1]),
    )


def _estimates(one: Any) -> dict[str, Any]:
    return as_dict(as_dict(as_dict(one).get("weights")).get("estimates"))


def _mark(label: str, found: Any) -> Mark:
    one = as_dict(found)
    mean, low, high = (finite(one.get(key)) for key in ("mean", "low", "high"))
    return Mark(label, with_interval(one), mean, low, high)


def people_table(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], text: Sequence[int] = ()
) -> Table:
    """Return a table of personas by model; with one model its column is left out.

    Args:
        caption: of the table.
        heads: the columns' names; the first two are persona and model.
        rows: the cells. Names do not break at their hyphens.
        text: further columns that are words.
    """
    whole = [(row[0].replace("-", "\u2011"), *row[1:]) for row in rows]
    if len({row[1] for row in rows}) > 1:
        return table(caption, heads, whole, text=(0, 1, *text))
    one = [(row[0], *row[2:]) for row in whole]
    return table(caption, [heads[0], *heads[2:]], one, text=(0, *(k - 1 for k in text)))


def _measured(results: dict[str, Any], measures: dict[str, Any]) -> Table:
    rows = [
        (
            str(name),
            model,
            *(with_interval(as_dict(as_dict(one).get(key))) for key in measures),
            show.number(as_dict(one).get("games")),
            show.number(as_dict(one).get("asked")),
        )
        for model, people in results.items()
        for name, one in as_dict(people).items()
    ]
    heads = ("persona", "model", *map(str, measures), "games", "times asked")
    return people_table("What each persona did", heads, rows)


def _weights(results: dict[str, Any], weights: dict[str, Any]) -> Table:
    rows = [
        (
            str(name),
            model,
            *(with_interval(as_dict(_estimates(one).get(key))) for key in weights),
            show.number(as_dict(as_dict(one).get("weights")).get("loglik"), 1),
            str(as_dict(as_dict(one).get("weights")).get("reason") or ""),
        )
        for model, people in results.items()
        for name, one in as_dict(people).items()
    ]
    heads = ("persona", "model", *weights, "log-likelihood", "no weights, because")
    return people_table("Weights of the probit", heads, rows, text=(len(heads) - 1,))


def _players(about: dict[str, Any]) -> Table:
    """Return the simulated players' weights beside those that theory gives them."""
    rows = [
        (
            str(name),
            str(weight),
            show.number(as_dict(found).get("known"), 3),
            with_interval(as_dict(found)),
        )
        for name, player in as_dict(about.get("players")).items()
        for weight, found in as_dict(as_dict(player).get("weights")).items()
    ]
    games = show.number(about.get("player_games"))
    heads = ("player", "weight", "known", "found")
    return table(f"Simulated players, {games} games: the analysis' own check", heads, rows,
                 text=(0, 1))  # fmt: skip
