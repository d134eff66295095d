"""The recipe's steps over rows: read a source, split it by groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import orjson
from pydantic import Field

from togi.errors import DataError
from togi.rows.native import to_record
from togi.rows.read import RowStream, read_rows
from togi.rows.split import split_by_group
from togi.rows.texts import prompt_key
from togi.rows.types import Dropped, Row
from togi.rows.write import write_dropped, write_rows
from togi.step import StepRef, StepSettings, Work

SHOWN = 3


class ReadSettings(StepSettings):
    """Read rows of any public shape from any source."""

    source: str = Field(min_length=1)
    """A file, a folder, `hub:owner/name[:config][@split]`, `python:stdlib`, `python:installed` or
    `python:<folder>`."""
    kind: str = "auto"
    """The rows' shape, where sniffing it would be wrong."""
    columns: dict[str, str | list[str] | None] = Field(default_factory=dict)
    """togi's field -> the file's column, where their names differ; `id: null` numbers the rows."""
    on_bad: Literal["error", "skip"] = "error"
    """Stop at the first bad row, or count it and go on."""
    limit: int | None = Field(default=None, ge=1)
    """Read at most so many rows."""
    chat: bool = False
    """Make the user's turn of a conversation of each prompt that is plain text."""


class SplitSettings(StepSettings):
    """Hold whole groups of rows out for judging."""

    rows: StepRef
    """The step whose rows are split."""
    by: str = Field(default="id", min_length=1)
    """The metadata key whose groups stay together, such as `module`; `id` splits row by row,
    `prompt` keeps all answers to a prompt together."""
    fraction: float = Field(default=0.1, gt=0, lt=1)
    """Share of the rows to hold out."""
    names: list[str] = Field(default_factory=list)
    """Hold out just these groups, instead of a fraction."""


def summarise(
    work: Work, understood: str, rows: Iterable[Row], dropped: Counter[str], counts: dict[str, int]
) -> None:
    """Write `rows.json`, which the report reads."""
    summary = {
        "understood": understood,
        **counts,
        "dropped": dict(dropped.most_common()),
        "examples": [to_record(row) for row in rows],
    }
    path = work.folder / "rows.json"
    path.write_bytes(orjson.dumps(summary, str, orjson.OPT_INDENT_2))
    work.say(understood)


class _Tee:
    """Passes a stream's rows on, and keeps the first ones, the drops and the ids."""

    def __init__(self, stream: RowStream, on_bad: str) -> None:
        self.stream, self.on_bad = stream, on_bad
        self.first: list[Row] = []
        self.dropped: list[Dropped] = []
        self.ids: set[str] = set()

    def rows(self) -> Iterator[Row]:
        """Yield the rows; an id that stands twice is a fault, as results are paired by id."""
        for event in self.stream.events():
            if isinstance(event, Dropped):
                self.dropped.append(event)
                continue
            if event.id in self.ids:
                if self.on_bad == "error":
                    raise DataError(
                        "an id stands twice",
                        where=self.stream.name,
                        found=event.id,
                        expected="an id of its own for each row",
                        hint="number the rows with `columns: {id: null}`, or set `on_bad: skip`",
                    )
                self.dropped.append(Dropped(event.id, "id stands twice"))
                continue
            self.ids.add(event.id)
            if len(self.first) < SHOWN:
                self.first.append(event)
            yield event


def run_read(settings: ReadSettings, work: Work) -> dict[str, Any]:
    """Read a source and write its rows in togi's own format.

    Outputs: `rows` (the file), `n`.
    """
    stream = read_rows(
        settings.source,
        kind=settings.kind,
        columns=settings.columns,
        on_bad=settings.on_bad,
        limit=settings.limit,
        chat=settings.chat,
        offline=work.offline,
    )
    tee = _Tee(stream, settings.on_bad)
    n = write_rows(work.folder / "rows.jsonl", tee.rows())
    write_dropped(work.folder / "dropped.jsonl", tee.dropped)
    reasons = Counter(d.reason for d in tee.dropped)
    understood = stream.understood.replace(" read so far", "")
    summarise(work, understood, tee.first, reasons, {"n": n})
    return {"rows": "rows.jsonl", "n": n}


def run_split(settings: SplitSettings, work: Work) -> dict[str, Any]:
    """Split rows into those to learn from and those to judge on.

    Outputs: `train` and `held_out` (files), `n_train`, `n_held_out`.
    """
    rows = list(read_rows(work.input(settings.rows, "rows"), kind="native"))
    own: dict[str, Callable[[Row], str]] = {"id": lambda row: row.id, "prompt": prompt_key}
    by = own.get(settings.by, settings.by)
    train, held_out = split_by_group(
        rows, by, fraction=settings.fraction, seed=work.seed, names=settings.names
    )
    write_rows(work.folder / "train.jsonl", train)
    write_rows(work.folder / "held_out.jsonl", held_out)
    write_dropped(work.folder / "dropped.jsonl", [])
    understood = (
        f"{len(rows)} rows split by {settings.by}: {len(train)} to learn from, "
        f"{len(held_out)} held out"
    )
    counts = {"n": len(rows), "n_train": len(train), "n_held_out": len(held_out)}
    summarise(work, understood, held_out[:SHOWN], Counter(), counts)
    return {
        "train": "train.jsonl",
        "held_out": "held_out.jsonl",
        "n_train": len(train),
        "n_held_out": len(held_out),
    }
