"""The raters' groups while a table is read: columns that never change within a rater."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from togi.rows.raw import BadRow, short

MOST_GROUPS = 12
"A column with more distinct values is no axis of groups unless the user names it."
LONGEST = 80
"A longer text is no group's name."


class Profiles:
    """Gathers each rater's groups.

    Args:
        named: columns that the user names; a rater who changes there is a fault. None has the
            columns found: those that never change within a rater, do change within an item, and
            have 2 to 12 values.
        others: the columns that may be found.
    """

    def __init__(self, named: Sequence[str] | None, others: Sequence[str]) -> None:
        self.named = named is not None
        self.columns = list(named or ()) if named is not None else list(others)
        self.of_rater: dict[str, dict[str, str]] = {column: {} for column in self.columns}
        self.first: dict[tuple[str, str], str] = {}
        self.of_item: dict[str, dict[str, str]] = {column: {} for column in self.columns}
        self.varies: set[str] = set()
        self.times: dict[str, int] = {}
        self.notes: list[str] = []

    def add(self, where: str, rater: str, item: str, row: Mapping[str, Any]) -> None:
        """Take one row's values.

        Raises:
            BadRow: a rater changes in a column that the user names.
        """
        self.times[rater] = self.times.get(rater, 0) + 1
        for column in list(self.columns):
            value = group_name(row.get(column))
            known = self.of_rater[column].setdefault(rater, value)
            if self.named:
                self._same(where, rater, column, value, known)
            elif value != known or len(value) > LONGEST:
                self._drop(column)
            elif self.of_item[column].setdefault(item, value) != value:
                self.varies.add(column)

    def _same(self, where: str, rater: str, column: str, value: str, known: str) -> None:
        first = self.first.setdefault((rater, column), where)
        if value != known:
            raise BadRow(
                f"rater {short(rater)} has two profiles",
                found=f"{column} {value or 'empty'}; in {first} {known or 'empty'}",
                expected="one group of each kind for a rater",
                hint="mend the rows, or leave the column out of columns.groups",
            )

    def _drop(self, column: str) -> None:
        self.columns.remove(column)
        del self.of_rater[column], self.of_item[column]

    def found(self, raters: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return axis -> each rater's group, with what is unknown counted in the notes."""
        repeated = sum(times > 1 for times in self.times.values())
        if not self.named and repeated < len(self.times) / 2:
            if self.columns and raters:
                self.notes.append(
                    "most raters have one rating, so no column can be told to be theirs; "
                    "name the groups with columns.groups"
                )
            return {}
        groups: dict[str, tuple[str, ...]] = {}
        for column in self.columns:
            of = tuple(self.of_rater[column].get(rater, "") for rater in raters)
            sizes = len(set(of) - {""})
            if self.named or (2 <= sizes <= MOST_GROUPS and column in self.varies):
                groups[column] = of
                unknown = of.count("")
                if unknown:
                    self.notes.append(
                        f"{unknown} of {len(of)} raters have no {column}; they are left out of it"
                    )
        return groups


def group_name(value: Any) -> str:
    """Return a group's name as text, "" for none.

    >>> group_name(" gen z "), group_name(3), group_name(None), group_name(False)
    ('gen z', '3', '', 'false')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value.strip() if isinstance(value, str) else str(value)
