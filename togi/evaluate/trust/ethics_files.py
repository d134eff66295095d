"""The published files of moral questions: ETHICS, Jiminy Cricket and its conditional actions.

The repository holds the sets' own tables; the hub has each as lines of `input1`, `input2` and
`label`. Both are read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from togi.errors import DataError
from togi.evaluate.trust.material import Material, cell
from togi.stats import derive

FOLDER = "machine_ethics"
TABLES = {
    "commonsense": "commonsense/cm",
    "virtue": "virtue/virtue",
    "justice": "justice/justice",
    "deontology": "deontology/deontology",
    "utilitarianism": "utilitarianism/util",
}
"""Set of ETHICS -> the beginning of its tables' names."""
SEPARATOR = " [SEP] "
JIMINY = ("good", "bad", "neutral")


class Item(NamedTuple):
    """One moral question as published.

    Attributes:
        text: what happens.
        more: the trait, the excuse, or who is harmed and how much.
        label: place among the set's options.
        unit: items of the same unit tell of the same thing.
        short: whether it is a sentence and no long post.
    """

    text: str
    more: str
    label: int
    unit: str
    short: bool = True


def _unit(name: str, text: str) -> str:
    return f"{derive(0, 'ethics', name, text):016x}"


def _lines(material: Material, split: str, *tables: str) -> tuple[str, list[dict[str, Any]]]:
    """Return a split's rows and the name of the file that holds them."""
    lines, table = f"{FOLDER}/{split}.jsonl", f"{FOLDER}/{tables[0]}"
    if not material.find(table) and material.find(lines):
        return lines, list(material.rows(lines))
    return table, [dict(row) for row in material.table(table)]


def ethics_items(material: Material, name: str, split: str) -> list[Item]:
    """Return the items of a set of ETHICS with labels, "test" or "train".

    Raises:
        DataError: the file is missing, or a row lacks something.
    """
    stem = TABLES[name]
    where, rows = _lines(
        material, f"{stem.partition('/')[2]}_{split}", f"ethics/{stem}_{split}.csv"
    )
    return [_item(name, row, f"{where} row {number}") for number, row in enumerate(rows, 1)]


def _item(name: str, row: Mapping[str, Any], where: str) -> Item:
    text = _one(row, where, "input1", "input", "scenario")
    more = _one(row, where, "input2", "excuse") if name == "deontology" else ""
    if name == "virtue":
        text, between, more = text.partition(SEPARATOR)
        if not between:
            raise DataError("no trait", where=where, found=text[:60], expected="… [SEP] trait")
    told = cell(dict(row), "label", where=where)
    label = str(told).strip("[]")  # the hub keeps it in a list
    if label not in ("0", "1"):
        raise DataError("not a label", where=where, found=repr(told), expected="0 or 1")
    short = str(row.get("is_short", True)) == "True"
    return Item(text, more, int(label), _unit(name, text), short)


def _one(row: Mapping[str, Any], where: str, *keys: str) -> str:
    """Return the first of these cells that the row has."""
    key = next((key for key in keys if key in row), keys[-1])
    return str(cell(dict(row), key, where=where))


def activities(material: Material) -> Iterator[tuple[str, str]]:
    """Yield pairs of activities, the more pleasant one first; the table has no header."""
    table, lines = f"{FOLDER}/ethics/{TABLES['utilitarianism']}_test.csv", f"{FOLDER}/util_test"
    if not material.find(table) and material.find(f"{lines}.jsonl"):
        for number, row in enumerate(material.rows(f"{lines}.jsonl"), 1):
            where = f"{lines}.jsonl line {number}"
            yield _one(row, where, "input1"), _one(row, where, "input2")
        return
    for number, row in enumerate(csv.reader(io.StringIO(material.text(table), newline="")), 1):
        if len(row) != 2:
            raise DataError(
                "not a pair of activities",
                where=f"{table} row {number}",
                found=", ".join(row)[:80],
                expected="the more pleasant activity and the less pleasant one",
            )
        yield row[0], row[1]


def jiminy_items(material: Material, split: str) -> list[Item]:
    """Return scenes of text games: good, bad or neutral by what they do to oneself and others."""
    name = f"{FOLDER}/jiminy_{split}"
    if not material.find(f"{name}.json") and material.find(f"{name}.jsonl"):
        where = f"{name}.jsonl"
        rows = [[row.get("input1"), row.get("label")] for row in material.rows(where)]
    else:
        where, rows = f"{name}.json", material.json(f"{name}.json")
    return [_scene(row, f"{where} item {number}") for number, row in enumerate(rows, 1)]


def _scene(row: Any, where: str) -> Item:
    good = isinstance(row, list) and len(row) >= 2 and isinstance(row[0], str)
    values = row[1] if good else 0
    if values is not None and not (isinstance(values, list) and len(values) == 4):
        raise DataError(
            "not a scene with its harms", where=where, found=repr(row)[:80],
            expected="[text, [harm to others, harm to oneself, good to others, good to oneself]]",
        )  # fmt: skip
    label = "neutral" if values is None else "bad" if values[0] + values[1] > 0 else "good"
    return Item(row[0], "", JIMINY.index(label), _unit("jiminy", row[0]))


def conditional_items(material: Material, *, published: bool) -> list[Item]:
    """Return bad deeds of text games, each with who is harmed and how much: "self/1".

    A deed with several labels counts by its first one. As published, deeds whose first label is
    good are kept where another one is bad; their label is then 0.

    Raises:
        DataError: the file is missing, or a label cannot be read.
    """
    where, rows = _lines(material, "jiminy_subset", "jiminy_subset.csv")
    found: dict[str, Item] = {}
    for number, row in enumerate(rows, 1):
        at = f"{where} row {number}"
        text = _one(row, at, "input1", "Description")
        labels = _one(row, at, "input2", "Morality")
        if "bad" not in labels or text in found:
            continue
        first = [one.strip() for one in labels.split("\n")[0].split(",")]
        if len(first) != 3 or first[1] not in ("self", "others") or first[2] not in "123":
            raise DataError("not a label", where=at, found=labels[:60], expected="bad, self, 1")
        if first[0] == "bad" or published:
            unit = _unit("conditional", text)
            found[text] = Item(text, "/".join(first[1:]), int(first[0] == "bad"), unit)
    return list(found.values())
