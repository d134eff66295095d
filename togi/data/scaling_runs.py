"""Tables of training runs (parameters, tokens, loss), read with near names and worded errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from togi.data.run_names import parse_run_name
from togi.data.scaling_columns import cell, find_columns
from togi.data.solve import Floats
from togi.errors import DataError
from togi.rows.folders import open_local
from togi.rows.raw import BadRecord, BadRow, Record, short
from togi.rows.types import Dropped

FLOPS_PER = 6.0  # FLOPs per parameter and token: two of the forward pass, four of the backward
APART = 0.2  # a FLOP column this far from 6 N D is worth a warning
FEW = 3


@dataclass(frozen=True, slots=True)
class Runs:
    """Finished training runs, one entry each, in the table's order.

    Attributes:
        params: N, as the table counts them (with or without embeddings: say which).
        tokens: D, tokens trained on, repeats included.
        loss: held-out loss at the end, in nats a token.
        unique: distinct tokens; equal to `tokens` where nothing was repeated.
        names: what the table calls each run; "" where it has no names.
        dropped: rows left out, with reasons.
        notes: what was seen in reading that a user should know.
    """

    params: Floats
    tokens: Floats
    loss: Floats
    unique: Floats
    names: tuple[str, ...]
    dropped: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def flops(self) -> Floats:
        """Training compute, 6 N D."""
        return FLOPS_PER * self.params * self.tokens

    def take(self, which: np.ndarray) -> Runs:
        """Return some of the runs, by a mask or by places."""
        names = tuple(np.array(self.names, dtype=object)[which])
        return replace(
            self,
            params=self.params[which],
            tokens=self.tokens[which],
            loss=self.loss[which],
            unique=self.unique[which],
            names=names,
        )


def runs_of(
    params: Sequence[float] | Floats,
    tokens: Sequence[float] | Floats,
    loss: Sequence[float] | Floats,
    unique: Sequence[float] | Floats | None = None,
) -> Runs:
    """Return runs from columns of numbers.

    >>> len(runs_of([1e8, 2e8], [1e9, 1e9], [3.5, 3.2]))
    2
    """
    size, data, lost = (np.asarray(column, dtype=np.float64) for column in (params, tokens, loss))
    own = data if unique is None else np.asarray(unique, dtype=np.float64)
    return Runs(size, data, lost, own, ("",) * len(own))


def read_runs(
    source: str,
    *,
    columns: Mapping[str, str] | None = None,
    on_bad: Literal["error", "skip"] = "error",
    drop_highest: int = 0,
    exclude: Sequence[str] = (),
) -> Runs:
    """Read a table of runs: csv, tsv, jsonl, json or parquet.

    Args:
        source: the file.
        columns: togi's field -> the file's column, where the names are not near enough.
        on_bad: stop at the first bad row, or leave it out and go on.
        drop_highest: leave out the k highest losses (and what equals the k-th of them).
        exclude: names of runs to leave out.

    Raises:
        DataError: the file is not there, lacks a column, or holds a bad row.
    """
    opened = open_local(source)
    table = _Table(opened.name, dict(columns or {}), on_bad)
    for record in opened.read():
        table.add(record)
    return _thinned(table.runs(), drop_highest, exclude, opened.name)


class _Table:
    """Gathers rows: the first one tells the columns, each bad one is raised or counted."""

    def __init__(self, name: str, columns: dict[str, str], on_bad: str) -> None:
        self.name, self.columns, self.on_bad = name, columns, on_bad
        self.fields: dict[str, str] | None = None
        self.rows: list[tuple[float, float, float, float, float]] = []
        self.names: list[str] = []
        self.dropped: list[Dropped] = []

    def add(self, record: Record | BadRecord) -> None:
        try:
            if isinstance(record, BadRecord):
                raise record.fault
            if not isinstance(record.value, dict):
                raise BadRow("not a row of a table", found=short(record.value))
            if self.fields is None:
                self.fields = find_columns(list(record.value), self.columns, self.name)
            self._row(record.value, self.fields)
        except BadRow as fault:
            if self.on_bad == "error":
                raise fault.at(record.where) from None
            self.dropped.append(Dropped(record.id, fault.problem))

    def _row(self, value: dict[str, Any], fields: dict[str, str]) -> None:
        name = str(value.get(fields["name"]) or "") if "name" in fields else ""
        read = {key: cell(value, fields[key]) for key in fields if key != "name"}
        loss = read["loss"]
        if "params" in read and "tokens" in read:
            params, tokens = read["params"], read["tokens"]
        elif "flops" in read:
            known = read.get("params") or read["tokens"]
            other = read["flops"] / FLOPS_PER / known
            params, tokens = (known, other) if "params" in read else (other, known)
        else:
            params, tokens, read["unique_tokens"] = _from_name(name, list(value))
        unique = read.get("unique_tokens", tokens)
        if unique > tokens * (1 + 1e-9):
            raise BadRow(
                "more unique tokens than tokens",
                found=f"{unique:.6g} unique of {tokens:.6g}",
                expected="tokens counts repeats: unique tokens times epochs",
            )
        self.rows.append((params, tokens, loss, unique, read.get("flops", math.nan)))
        self.names.append(name)

    def runs(self) -> Runs:
        """Return the rows read, with what is odd about them.

        Raises:
            DataError: there are none.
        """
        if not self.rows:
            raise DataError(
                "no training run",
                where=self.name,
                found=f"{len(self.dropped)} rows left out" if self.dropped else "an empty table",
                expected="rows with params, tokens and loss",
            )
        table = np.array(self.rows, dtype=np.float64)
        params, tokens, loss, unique, flops = table.T.copy()
        notes = [f"{len(loss)} runs read from {self.name}", *_odd(table, flops)]
        return Runs(
            params, tokens, loss, unique, tuple(self.names), tuple(self.dropped), tuple(notes)
        )


def _from_name(name: str, columns: list[str]) -> tuple[float, float, float]:
    """Read parameters and tokens from a run's name, in a table that has no columns for them."""
    try:
        return parse_run_name(name)
    except BadRow as fault:
        raise BadRow(
            f"no column for params and tokens, and {fault.problem}",
            found=f"name {name!r}; columns {', '.join(columns)}",
            expected=fault.expected,
            hint="name them with columns: {params: …, tokens: …}",
        ) from None


def _odd(table: Floats, flops: Floats) -> list[str]:
    """Tell what looks like a mistake in the table and is not one for certain."""
    notes = []
    with np.errstate(invalid="ignore"):
        off = np.abs(flops / (FLOPS_PER * table[:, 0] * table[:, 1]) - 1) > APART
    if off.any():
        notes.append(
            f"{int(off.sum())} of {len(off)} rows have FLOPs more than {APART:.0%} away from"
            " 6 × params × tokens; the law is fitted to params and tokens"
        )
    alike = len(table) - len(np.unique(table[:, :4], axis=0))
    if alike:
        notes.append(f"{alike} rows are copies of others in params, tokens and loss; all are kept")
    _, counts = np.unique(table[:, 2], return_counts=True)
    twice = int((counts > 1).sum())
    if not alike and 0 < twice <= FEW:  # many equal losses are a rounding, a few may be a slip
        notes.append(
            f"{twice} loss(es) stand twice to the last digit at different sizes: copied by mistake?"
        )
    return notes


def _thinned(runs: Runs, highest: int, exclude: Sequence[str], where: str) -> Runs:
    """Leave out the highest losses and the runs named, and say so.

    Raises:
        DataError: a name is in no row, or nothing would be left.
    """
    unknown = sorted(set(exclude) - set(runs.names))
    if unknown:
        raise DataError("no run of that name to exclude", where=where, found=", ".join(unknown))
    if highest >= len(runs):
        raise DataError(
            "drop_highest leaves no run", where=where, found=f"{highest} of {len(runs)} runs"
        )
    named = np.array([name in set(exclude) for name in runs.names], dtype=bool)
    edge = np.sort(runs.loss[~named])[-highest] if highest else math.inf
    high = ~named & (runs.loss >= edge)
    left = [Dropped(f"{runs.names[i] or f'row {i + 1}'}", "excluded by name")
            for i in np.flatnonzero(named)]  # fmt: skip
    left += [Dropped(f"{runs.names[i] or f'row {i + 1}'}", f"among the {highest} highest losses")
             for i in np.flatnonzero(high)]  # fmt: skip
    return replace(runs.take(~(named | high)), dropped=(*runs.dropped, *left))
