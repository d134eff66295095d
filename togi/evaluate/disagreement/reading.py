"""From a file to ratings: one rating a row, or counts of raters; every fault has its line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Literal

from togi.errors import DataError
from togi.evaluate.disagreement.columns import Columns, Mapped, find
from togi.evaluate.disagreement.counted import Counted
from togi.evaluate.disagreement.profiles import Profiles
from togi.evaluate.disagreement.table import Ratings, build, checked, ordered_labels
from togi.rows.folders import open_local
from togi.rows.raw import BadRecord, BadRow, Opened, Record, short

SNIFFED = 20
MOST_LABELS = 50
ODD = ("nan", "na", "none", "null", "n/a")
OnBad = Literal["error", "skip"]


def read_table(
    source: str,
    *,
    columns: Mapped | None = None,
    labels: Sequence[str] = (),
    numeric: bool = False,
    on_bad: OnBad = "error",
    keep: Callable[[str], bool] | None = None,
) -> tuple[Ratings, Columns]:
    """Read a table of ratings: csv, tsv, jsonl, json or parquet, plain or gzipped.

    Args:
        source: the file.
        columns: togi's field -> the file's column, where near names would not find it.
        labels: all labels, in order; they may hold some that nobody gave.
        numeric: the labels are numbers, with fractions or without.
        on_bad: stop at a bad row, or count it in the notes and go on.
        keep: which raters' ratings are kept, by the rater's id.

    Returns:
        The ratings, and what each column was taken for. Empty labels are missing ratings and
        are counted in the notes.

    Raises:
        DataError: a bad row (with line and column), a table that cannot show disagreement.
        UsageError: `columns` names a field that does not exist.
    """
    opened = open_local(source)
    first, rest = _peeked(opened)
    header = list(dict.fromkeys(str(key) for value in first for key in value))
    found = find(header, columns or {}, opened.name)
    reader = Counted(found) if found.counts else _Long(found, header, labels, numeric, keep)
    for record in rest:
        try:
            if isinstance(record, BadRecord):
                raise record.fault
            if not isinstance(record.value, dict):
                raise BadRow("not an object", found=short(record.value))
            reader.add(record.where, record.value)
        except BadRow as fault:
            if on_bad == "error":
                raise fault.at(record.where) from None
            reader.dropped[fault.problem] += 1
    return checked(reader.ratings(opened.name), opened.name), reader.columns


def _peeked(opened: Opened) -> tuple[list[dict[str, Any]], Iterable[Record | BadRecord]]:
    """Look at the first records; nothing of them is lost."""
    stream = iter(opened.read())
    head = list(islice(stream, SNIFFED))
    values = [r.value for r in head if isinstance(r, Record) and isinstance(r.value, dict)]
    if not head:
        raise DataError("the table is empty", where=opened.name, expected="at least two ratings")
    if not values:
        bad = next((record for record in head if isinstance(record, BadRecord)), None)
        if bad is not None:
            raise bad.fault.at(bad.where)
        raise DataError("the rows are no objects", where=opened.name, expected="named columns")
    return values, chain(head, stream)


def name_of(value: Any, column: str) -> str:
    """Return an id as text.

    >>> name_of(17, "item"), name_of(" a1 ", "item")
    ('17', 'a1')
    """
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or value == "":
        raise BadRow(f"'{column}' is empty", expected="an id")
    raise BadRow(
        f"'{column}' is no id",
        found=short(value),
        expected="text or a whole number",
        hint="a long id written as a number with a fraction has lost digits; write it as text",
    )


def label_of(value: Any, column: str) -> str:
    """Return a label as text, "" for a missing one.

    >>> label_of(True, "x"), label_of(2.0, "x"), label_of(None, "x"), label_of(" Yes ", "x")
    ('true', '2', '', 'Yes')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return number_text(float(value))
    raise BadRow(f"'{column}' is no label", found=short(value), expected="text or a number")


def number_text(value: float) -> str:
    """Return a number as a label: whole ones without a fraction."""
    return str(int(value)) if value.is_integer() else repr(value)


class _Long:
    """One rating a row."""

    def __init__(
        self,
        columns: Columns,
        header: Sequence[str],
        labels: Sequence[str],
        numeric: bool,
        keep: Callable[[str], bool] | None,
    ) -> None:
        self.columns, self.labels, self.numeric, self.keep = columns, labels, numeric, keep
        self.dropped: Counter[str] = Counter()
        self.items: dict[str, str] = {}
        self.gold: dict[str, str] = {}
        self.raters: dict[str, int] = {}
        self.rows: list[tuple[str, str, str, str]] = []
        self.places: dict[tuple[str, str], str] = {}
        used = {columns.item, columns.rater, columns.label, columns.gold, *columns.text}
        others = [name for name in header if name not in used]
        self.groups = Profiles(columns.groups, others if columns.rater else [])

    def add(self, where: str, row: Mapping[str, Any]) -> None:
        """Take one row."""
        columns = self.columns
        item = name_of(row.get(columns.item), columns.item)
        rater = name_of(row.get(columns.rater), columns.rater) if columns.rater else ""
        label = label_of(row.get(columns.label), columns.label)
        if self.keep is not None and not self.keep(rater):
            self.dropped["rater left out"] += 1
            return
        if not label:
            self.dropped["no label: a missing rating"] += 1
            return
        if self.labels and label not in self.labels:
            raise BadRow(
                f"'{columns.label}' holds a label that `labels` does not name",
                found=short(label),
                expected=", ".join(self.labels),
            )
        if rater:
            self._once(where, item, rater, label)
            self.groups.add(where, rater, item, row)
        self.raters.setdefault(rater, len(self.raters))
        if item not in self.items:
            texts = [row.get(name) for name in columns.text]
            self.items[item] = "\n".join(str(text) for text in texts if text not in (None, ""))
            self.gold[item] = label_of(row.get(columns.gold), columns.gold) if columns.gold else ""
        self.rows.append((item, rater, label, where))

    def _once(self, where: str, item: str, rater: str, label: str) -> None:
        """Refuse a second rating of the same item by the same rater."""
        before = self.places.setdefault((item, rater), f"{where}: {label}")
        if before != f"{where}: {label}":
            raise BadRow(
                "a rater rates an item twice",
                found=f"rater {rater}, item {item}: {label}; before that {before}",
                expected="one rating of an item by a rater",
                hint="remove one of them, or set `on_bad: skip` to keep the first",
            )

    def ratings(self, name: str) -> Ratings:
        """Return the table."""
        if not self.rows:
            reasons = ", ".join(f"{why} ({n})" for why, n in self.dropped.most_common(5))
            raise DataError("no rating is left", where=name, found=reasons or "an empty table")
        labels, renamed = self._labels()
        items = {item: place for place, item in enumerate(self.items)}
        known = {label: place for place, label in enumerate(labels)}
        codes = (
            [items[item] for item, _, _, _ in self.rows],
            [self.raters[rater] for _, rater, _, _ in self.rows],
            [known[renamed.get(label, label)] for _, _, label, _ in self.rows],
        )
        raters = tuple(self.raters) if self.columns.rater else ()
        texts = tuple(self.items.values())
        gold = tuple(self.gold.values())
        more = {
            "groups": self.groups.found(raters),
            "texts": texts if any(texts) else (),
            "gold": gold if any(gold) else (),
            "notes": (*self._notes(labels), *self.groups.notes),
        }
        return build(tuple(items), raters, labels, codes, more)

    def _labels(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return the labels in order, and new names for numbers written in several ways."""
        seen = dict.fromkeys(label for _, _, label, _ in self.rows)
        if self.labels:
            return tuple(self.labels), {}
        numbers = _numbers(seen)
        if numbers is None and self.numeric:
            wrong = next(row for row in self.rows if _numbers([row[2]]) is None)
            raise DataError(
                f"'{self.columns.label}' is no number", where=wrong[3], found=short(wrong[2]),
                hint="for words that have an order set `level: ordinal` and list `labels:`",
            )  # fmt: skip
        if numbers is not None and not self.numeric:
            self._refuse_fractions(numbers)
        renamed = {text: number_text(value) for text, value in (numbers or {}).items()}
        labels = ordered_labels(dict.fromkeys(renamed.get(text, text) for text in seen))
        if len(labels) > MOST_LABELS and not self.numeric:
            raise DataError(
                f"{len(labels)} distinct labels are too many for categories",
                where=f"column '{self.columns.label}'",
                found=short(", ".join(labels), 120),
                expected=f"at most {MOST_LABELS}",
                hint="columns.label may name another column; for numbers set `level: interval`",
            )
        return labels, renamed

    def _refuse_fractions(self, numbers: Mapping[str, float]) -> None:
        wrong = next((row for row in self.rows if not numbers[row[2]].is_integer()), None)
        if wrong is not None:
            raise DataError(
                f"'{self.columns.label}' is a number with a fraction, no category",
                where=wrong[3],
                found=wrong[2],
                hint="set `level: interval` for measured numbers, or round them into categories",
            )

    def _notes(self, labels: tuple[str, ...]) -> list[str]:
        notes = [f"{n} rows left out: {why}" for why, n in self.dropped.most_common()]
        odd = [label for label in labels if label.casefold() in ODD]
        if odd:
            notes.append(
                f"'{odd[0]}' counts as a label; leave the cell empty where a rating is missing"
            )
        folded = Counter(label.casefold() for label in labels)
        twins = [label for label in labels if folded[label.casefold()] > 1]
        if twins:
            notes.append(f"labels differ only in capitals: {', '.join(twins)}")
        return notes


def _numbers(texts: Iterable[str]) -> dict[str, float] | None:
    """Return each text's number, None where one is none."""
    try:
        found = {text: float(text) for text in texts}
    except ValueError:
        return None
    return found if all(abs(value) < 1e300 for value in found.values()) else None
