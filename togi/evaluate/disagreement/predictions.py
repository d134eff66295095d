"""Models' predicted distributions over an item's labels: from a file, or from a judging."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError
from togi.evaluate.disagreement.ceiling import predicted
from togi.evaluate.disagreement.columns import plain
from togi.rows.folders import open_local
from togi.rows.raw import BadRecord, short

Floats = NDArray[np.float64]

ITEM = ("item", "itemid", "id", "unit", "unitid", "sample", "sampleid")
MODEL = ("model", "system", "name")
WHOLE = ("probabilities", "distribution", "prediction", "probs")


class Predictions:
    """Gathers predictions: model -> (items, labels), NaN where a model said nothing.

    Args:
        items: the rated items' ids.
        labels: the labels, in their order.
    """

    def __init__(self, items: Sequence[str], labels: Sequence[str]) -> None:
        self.place = {item: number for number, item in enumerate(items)}
        self.labels = tuple(labels)
        self.models: dict[str, Floats] = {}
        self.unknown = 0

    def add(self, where: str, model: str, item: str, values: Any) -> None:
        """Take one prediction.

        Raises:
            DataError: no distribution over the labels, or a second one of the same item.
        """
        if item not in self.place:
            self.unknown += 1
            return
        shape = (len(self.place), len(self.labels))
        table = self.models.setdefault(model, np.full(shape, np.nan))
        if np.isfinite(table[self.place[item]]).any():
            raise DataError(
                "a model predicts an item twice", where=where, found=f"{model}, item {item}"
            )
        table[self.place[item]] = predicted(self._in_order(where, values), shape[1], where)

    def _in_order(self, where: str, values: Any) -> Any:
        """Return probabilities in the labels' order; an object must name every label."""
        if not isinstance(values, Mapping):
            return values
        if set(map(str, values)) != set(self.labels):
            raise DataError(
                "the prediction names other labels than the raters gave",
                where=where,
                found=short(", ".join(map(str, values))),
                expected=", ".join(self.labels),
            )
        return [values[label] for label in self.labels]

    def found(self, where: str) -> dict[str, Floats]:
        """Return the models.

        Raises:
            DataError: no prediction is about a rated item.
        """
        if not self.models:
            raise DataError(
                "no prediction is about a rated item",
                where=where,
                found=f"{self.unknown} predictions of other items",
                hint="the item ids of both files must be the same",
            )
        return self.models


def read_predictions(source: str, items: Sequence[str], labels: Sequence[str]) -> dict[str, Floats]:
    """Read predictions from a table of item, model (may lack) and probabilities.

    The probabilities are one column that holds an object label -> p or a list in the labels'
    order, or a column for each label.

    Raises:
        DataError: a missing column, or what is no distribution, with file and line.
    """
    opened = open_local(source)
    gathered = Predictions(items, labels)
    for record in opened.read():
        if isinstance(record, BadRecord):
            raise record.fault.at(record.where)
        row = record.value
        if not isinstance(row, dict):
            raise DataError("not an object", where=record.where, found=short(row))
        names = {plain(str(column)): column for column in row}
        item = next((names[name] for name in ITEM if name in names), None)
        if item is None:
            raise DataError(
                "no column for the item was found", where=record.where,
                found=short(", ".join(map(str, row)), 200), expected="item, item_id or id",
            )  # fmt: skip
        model = next((str(row[names[name]]) for name in MODEL if name in names), "model")
        gathered.add(
            record.where, model, str(row[item]).strip(), _values(record.where, row, labels)
        )
    return gathered.found(opened.name)


def _values(where: str, row: Mapping[str, Any], labels: Sequence[str]) -> Any:
    """Return a row's probabilities."""
    names = {plain(str(column)): column for column in row}
    whole = next((names[name] for name in WHOLE if name in names), None)
    if whole is not None:
        value = row[whole]
        if isinstance(value, str):
            try:
                return json.loads(value)
            except ValueError:
                raise DataError(f"'{whole}' is no JSON", where=where, found=short(value)) from None
        return value
    if not set(labels) <= set(map(str, row)):
        raise DataError(
            "no probabilities were found",
            where=where,
            found=short(", ".join(map(str, row)), 200),
            expected=f"a column 'probabilities', or one for each of {', '.join(labels)}",
        )
    try:
        return [float(row[label]) for label in labels]
    except (TypeError, ValueError):
        raise DataError(
            "a probability is no number",
            where=where,
            found=short([row[label] for label in labels]),
        ) from None


def from_judging(folder: Path, items: Sequence[str], labels: Sequence[str]) -> dict[str, Floats]:
    """Take models' predictions from a judging with a task of the kind `distribution`.

    Raises:
        DataError: there is no such task, or none of its samples is a rated item.
    """
    from togi.evaluate.scores import read_scores

    facts, lines = read_scores(folder)
    tasks = [name for name, task in facts["tasks"].items() if task["kind"] == "distribution"]
    if not tasks:
        raise DataError(
            "the judging has no task of the kind 'distribution'",
            where=str(folder),
            found=", ".join(facts["tasks"]),
        )
    gathered = Predictions(items, labels)
    for line in lines:
        if line["task"] in tasks:
            _take(gathered, line, len(tasks) > 1)
    return gathered.found(str(folder))


def _take(gathered: Predictions, line: Mapping[str, Any], several: bool) -> None:
    detail = line.get("detail", {})
    found: Iterable[Any] = detail.get("probabilities") or ()
    values = dict(zip(detail.get("choices", ()), found, strict=True))
    model = f"{line['model']}, {line['task']}" if several else line["model"]
    if None not in values.values() and values:
        gathered.add(f"sample {line['id']}", model, line["id"], values)
