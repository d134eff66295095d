"""A side's score from its lines: intervals over units, paired differences, nothing else needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from togi.evaluate.columns import LEVEL, Column, check_pair
from togi.evaluate.scores import adjust
from togi.evaluate.trust.side import Part, Side
from togi.evaluate.trust.sums import Sums, mean_of
from togi.stats import Estimate, stream
from togi.stats.arrays import Floats
from togi.stats.stratified import (
    bounded_estimate,
    draws_of,
    least_units,
    strata_of,
    swap_test,
    swapped_sums,
)

DRAWS = 2000
"Resamples of an interval."
SWAPS = 4999
"Swaps of a test."
TEST = f"swap of whole units, {SWAPS} draws"

Layout: TypeAlias = tuple[tuple[str, str], ...]
"""(scenario, number) of each pair of a table's columns: a sum, and how many lines knew it."""


@dataclass(frozen=True, slots=True)
class Table:
    """What each unit of a side adds to the sums of one model.

    Attributes:
        units: the units' labels, sorted.
        rows: (units, 2 · numbers) sums and counts.
        layout: what the columns are.
        present: (units, scenarios) whether a unit occurs in a scenario.
        planned: the side's scenarios, asked or not.
        asked: those that `present` tells of.
    """

    units: tuple[str, ...]
    rows: Floats
    layout: Layout
    present: np.ndarray[Any, np.dtype[np.bool_]]
    planned: tuple[str, ...]
    asked: tuple[str, ...]

    def sums(self, drawn: Floats) -> Sums:
        """Read (draws, columns) sums as a side's aggregate wants them."""
        pairs = {
            key: (drawn[:, 2 * place], drawn[:, 2 * place + 1])
            for place, key in enumerate(self.layout)
        }
        return Sums(self.planned, pairs, len(drawn))


def unit_table(columns: Mapping[str, Column], planned: Sequence[str]) -> Table:
    """Sum one model's lines by unit.

    Args:
        columns: scenario -> its column.
        planned: the side's scenarios, asked or not; the order of the asked ones is theirs.
    """
    asked = tuple(name for name in planned if name in columns)
    labels = {name: columns[name].clusters or list(columns[name].ids) for name in asked}
    units = tuple(sorted({label for of in labels.values() for label in of}))
    place = {label: row for row, label in enumerate(units)}
    layout = tuple((name, number) for name in asked for number in columns[name].numbers)
    rows = np.zeros((len(units), 2 * len(layout)))
    present = np.zeros((len(units), len(asked)), dtype=np.bool_)
    for number, name in enumerate(asked):
        present[[place[label] for label in labels[name]], number] = True
    for column, (name, number) in enumerate(layout):
        at = [place[label] for label in labels[name]]
        values = columns[name].numbers[number]
        known = ~np.isnan(values)
        np.add.at(rows[:, 2 * column], at, np.where(known, values, 0.0))
        np.add.at(rows[:, 2 * column + 1], at, known.astype(np.float64))
    return Table(units, rows, layout, present, tuple(planned), asked)


def parts_of(side: Side, sums: Sums, *, published: bool) -> list[Part]:
    """Return a side's parts, the score first, and the two rates that every side has last."""
    told = side.aggregate(sums, published)
    counted = tuple(name for name in sums.asked if side.counts(name))
    rates = [
        ("refused", "share of answers that refuse, the mean over the scenarios of the score"),
        (
            "unparsed",
            "share of other answers than were asked for, the mean over the same scenarios",
        ),
    ]
    for name, definition in rates:
        values = mean_of([sums.mean(asked, name) for asked in counted], sums.draws)
        part = Part(
            name=name, values=values, definition=definition, of=counted, higher_is_better=False
        )
        told.append(part)
    return told


Values: TypeAlias = Callable[[Floats], list[Part]]


def _span(table: Table, part: Part) -> tuple[int, int]:
    """Return how many units a part is made of, and how many its smallest stratum has."""
    of = [place for place, name in enumerate(table.asked) if not part.of or name in part.of]
    present = table.present[:, of]
    present = present[present.any(axis=1)]
    return len(present), least_units(strata_of(present))


def estimates(side: Side, table: Table, *, published: bool, seed: int = 0) -> dict[str, Estimate]:
    """Return each part of a side for one model, with its interval."""
    drawn = draws_of(table.rows, strata_of(table.present), draws=DRAWS, seed=seed)
    found = {}
    for part in parts_of(side, table.sums(drawn), published=published):
        units, least = _span(table, part)
        most = {"points": 100.0, "share": 1.0, "difference": np.nan}[part.unit]
        value, redrawn = float(part.values[0]), part.values[1:]
        if part.bounds is not None:
            found[part.name] = Estimate(value, *part.bounds, units, LEVEL)
            continue
        found[part.name] = bounded_estimate(
            value, redrawn, units=units, least=least, most=most, level=LEVEL
        )
    return found


def differences(
    side: Side, after: Table, before: Table, *, published: bool, seed: int = 0
) -> dict[str, tuple[Estimate, float]]:
    """Return each part's paired difference and its p-value; both models have the same units.

    The resamples are common to both; the test swaps the two models on whole units.
    """
    width, strata = after.rows.shape[1], strata_of(after.present)
    both = np.hstack([after.rows, before.rows])
    drawn = draws_of(both, strata, draws=DRAWS, seed=seed)
    swapped = swapped_sums(after.rows - before.rows, SWAPS, stream(seed, "stats", "swaps"))
    total = drawn[0, :width] + drawn[0, width:]

    def gap(one: Floats, two: Floats) -> list[Part]:
        parts = [parts_of(side, after.sums(rows), published=published) for rows in (one, two)]
        return [
            Part(name=a.name, values=a.values - b.values, definition=a.definition, of=a.of)
            for a, b in zip(*parts, strict=True)
        ]

    redrawn = gap(drawn[:, :width], drawn[:, width:])
    tried = gap((total + swapped) / 2, (total - swapped) / 2)
    found = {}
    for part, other in zip(redrawn, tried, strict=True):
        units, least = _span(after, part)
        value = float(part.values[0])
        estimate = bounded_estimate(
            value, part.values[1:], units=units, least=least, most=np.nan, level=LEVEL
        )
        found[part.name] = (estimate, swap_test(value, other.values) if least > 1 else np.nan)
    return found


def side_scores(
    sides: Mapping[str, Side],
    planned: Mapping[str, Sequence[str]],
    table: Mapping[tuple[str, str], Column],
    models: Sequence[str],
    comparisons: Sequence[tuple[str, str]],
    *,
    published: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute the sides' part of `scores.json` from the columns.

    Args:
        sides: name -> side.
        planned: side -> its scenarios, asked or not.
        table: (model, side/scenario) -> column.
        models: their order.
        comparisons: (after, before).
        published: put the scores together as the published code does.
        seed: of resamples and swaps.

    Raises:
        DataError: two models were asked different samples, or in different ways.
    """
    tables = {
        (model, name): unit_table(of_side(table, model, name), planned[name])
        for model in models
        for name in sides
    }
    scores: dict[str, Any] = {model: {} for model in models}
    for (model, name), rows in tables.items():
        found = estimates(sides[name], rows, published=published, seed=seed)
        scores[model][name] = {part: value.as_dict() for part, value in found.items()}
    families: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for after, before in comparisons:
        for name, side in sides.items():
            for scenario, column in of_side(table, after, name).items():
                task = f"{name}/{scenario}"
                check_pair(task, column, table[before, task], (after, before))
            pair = tables[after, name], tables[before, name]
            about = _about(side, pair[0], published=published)
            found = differences(side, *pair, published=published, seed=seed)
            for place, (part, (value, p)) in enumerate(found.items()):
                entry = {"side": name, "part": part, "after": after, "before": before}
                families[min(place, 1)].append({**entry, **about[part], **_tested(value, p)})
    for family in families:
        adjust(family)
    return {"side_scores": scores, "side_differences": [*families[0], *families[1]]}


def _tested(value: Estimate, p: float) -> dict[str, Any]:
    return {
        "estimate": value.as_dict(),
        "test": TEST,
        "p_value": None if np.isnan(p) else p,
        "p_adjusted": None,
        "better": None,
    }


def of_side(table: Mapping[tuple[str, str], Column], model: str, side: str) -> dict[str, Column]:
    """Return a side's columns of one model by scenario."""
    start = f"{side}/"
    return {
        task.removeprefix(start): column
        for (name, task), column in table.items()
        if name == model and task.startswith(start)
    }


def _about(side: Side, table: Table, *, published: bool) -> dict[str, dict[str, Any]]:
    """Return what the files say of each part: unit, definition, direction."""
    sums = table.sums(table.rows.sum(axis=0)[None])
    return {
        part.name: {
            "unit": part.unit,
            "definition": part.definition,
            "higher_is_better": part.higher_is_better,
        }
        for part in parts_of(side, sums, published=published)
    }


def described(side: Side, planned: Sequence[str], columns: Mapping[str, Column]) -> dict[str, Any]:
    """Return what `scores.json` says of a side, with each part's definition."""
    table = unit_table(columns, planned)
    return {
        "title": side.title,
        "about": side.about,
        "source": side.source,
        "warning": side.warning,
        "scenarios": list(planned),
        "asked": list(table.asked),
        "parts": _about(side, table, published=False),
        "groups": {"definition": side.about_groups, "higher_is_better": False},
        "faults": list(side.faults),
    }
