"""One number of a side for each group of people that its units are about."""

from __future__ import annotations

from togi.evaluate.columns import LEVEL
from togi.evaluate.trust.scores import Table
from togi.evaluate.trust.side import Side
from togi.stats import Estimate, bootstrap_ratio, derive


def by_group(side: Side, table: Table, *, seed: int = 0) -> dict[str, Estimate]:
    """Return each group's mean of the side's number over all scenarios, the greatest first.

    Intervals resample the group's own units (for stereotypes, its topics); empty where the side
    is not about groups of people.

    Args:
        side: its `group_of` says which group a unit is about.
        table: of one model.
        seed: of the resamples.
    """
    if side.group_of is None:
        return {}
    of = [column for column, (_, number) in enumerate(table.layout) if number == side.grouped]
    sums = table.rows[:, [2 * column for column in of]].sum(axis=1)
    counts = table.rows[:, [2 * column + 1 for column in of]].sum(axis=1)
    rows: dict[str, list[int]] = {}
    for place, unit in enumerate(table.units):
        if counts[place]:
            rows.setdefault(side.group_of(unit), []).append(place)
    found = {
        group: bootstrap_ratio(
            sums[at], counts[at], level=LEVEL, seed=derive(seed, "trust", "groups", group) >> 1
        )
        for group, at in rows.items()
    }
    return dict(sorted(found.items(), key=lambda pair: -pair[1].mean))
