"""The public shapes of rows, a dict in plain sight: what each is known by, how it becomes a row.

A shape is sniffed by its columns: the first in `SHAPES` whose needed fields are all there. A field
is found under any of its names; `columns:` says which where none fits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from togi.errors import DataError, nearest
from togi.rows import builders, native
from togi.rows.cells import Cells, Columns, thumb
from togi.rows.raw import BadRow, short
from togi.rows.types import Row

Names: TypeAlias = Mapping[str, tuple[str | tuple[str, ...], ...]]
Mapped: TypeAlias = Mapping[str, str | Sequence[str] | None]

PROMPTS = ("prompt", "question", "query", "instruction", "input")
RESPONSES = ("response", "completion", "answer", "output")
LABELS = ("desirable", "label", "thumb", "thumbs", "feedback", "thumbs_up")


def _any_value(_: Cells) -> bool:
    return True


def _is_list(name: str) -> Callable[[Cells], bool]:
    def fits(cells: Cells) -> bool:
        value = cells.get(name)
        return isinstance(value, list | dict) or (isinstance(value, str) and value[:1] in "[{")

    return fits


def _is_ranking(cells: Cells) -> bool:
    """Whether the responses are texts; SQuAD's `answers`, for one, are something else."""
    value = cells.get("responses")
    if isinstance(value, list):
        return bool(value) and all(isinstance(text, str) for text in value)
    return isinstance(value, str) and value.startswith("[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How one public shape is recognised and read.

    Attributes:
        label: what the user is told.
        needed: field -> names it is known by, togi's own first; all must be there.
        optional: the same for fields that may be absent.
        build: makes the row.
        fits: looks at values where columns alone do not tell shapes apart.
    """

    label: str
    needed: Names
    build: Callable[[Cells, str], Row]
    optional: Names = field(default_factory=dict)
    fits: Callable[[Cells], bool] = _any_value

    def expected(self) -> str:
        """Say which columns it wants."""
        return ", ".join(self.needed)


SYSTEM: Names = {"system": ("system", "system_prompt")}

SHAPES: dict[str, Shape] = {
    "preference": Shape(
        label="preference pairs",
        needed={
            "chosen": ("chosen", "preferred", "better"),
            "rejected": ("rejected", "dispreferred", "worse"),
        },
        optional={"prompt": PROMPTS, **SYSTEM},
        build=builders.preference,
    ),
    "ranking": Shape(
        label="rankings, best first",
        needed={"prompt": PROMPTS, "responses": ("responses", "completions", "answers")},
        optional={
            "order": ("order", "ranking"),
            "ranks": ("ranks",),
            "scores": ("scores", "ratings"),
            **SYSTEM,
        },
        build=builders.ranking,
        fits=_is_ranking,
    ),
    "choice": Shape(
        label="multiple choice",
        needed={
            "input": ("input", "question", "prompt", "query", "ctx"),
            "choices": ("choices", "options", "endings", tuple("ABCD")),
            "target": ("target", "answer", "label", "gold", "answerKey", "answer_key"),
        },
        build=builders.choice,
        fits=lambda cells: bool(cells.get("choices")) and _is_list("choices")(cells),
    ),
    "feedback": Shape(
        label="thumbs up and down",
        needed={"prompt": PROMPTS, "response": RESPONSES, "desirable": LABELS},
        optional=SYSTEM,
        build=builders.feedback,
        fits=lambda cells: thumb(cells.get("desirable")) is not None,
    ),
    "feedback_messages": Shape(
        label="conversations with a thumb up or down",
        needed={"messages": ("messages", "conversations", "conversation"), "desirable": LABELS},
        optional=SYSTEM,
        build=builders.feedback_messages,
        fits=lambda cells: (
            _is_list("messages")(cells) and thumb(cells.get("desirable")) is not None
        ),
    ),
    "messages": Shape(
        label="conversations, the last assistant turn is learnt",
        needed={"messages": ("messages",)},
        optional=SYSTEM,
        build=builders.messages,
        fits=_is_list("messages"),
    ),
    "sharegpt": Shape(
        label="ShareGPT conversations, the last assistant turn is learnt",
        needed={"conversations": ("conversations", "conversation")},
        optional=SYSTEM,
        build=builders.sharegpt,
        fits=_is_list("conversations"),
    ),
    "alpaca": Shape(
        label="Alpaca instructions",
        needed={"instruction": ("instruction",), "output": ("output", "response")},
        optional={"input": ("input", "context"), **SYSTEM},
        build=builders.alpaca,
    ),
    "sample": Shape(
        label="questions with their target",
        needed={"input": ("input",), "target": ("target",)},
        optional=SYSTEM,
        build=builders.sample,
    ),
    "example": Shape(
        label="prompts with their response",
        needed={"prompt": PROMPTS, "response": RESPONSES},
        optional=SYSTEM,
        build=builders.example,
    ),
    "document": Shape(
        label="documents",
        needed={"text": ("text", "content", "document", "body", "raw_content", "title")},
        build=builders.document,
    ),
}
KINDS = ("auto", "native", "lines", *SHAPES)


@dataclass(frozen=True, slots=True)
class Reading:
    """A shape bound to the columns of one source."""

    label: str
    shape: Shape | None  # None is togi's own format
    columns: Columns = field(default_factory=dict)
    id_column: str | None = "id"
    used: frozenset[str] = frozenset()

    def expected(self) -> str:
        """Say which columns a row must have."""
        if self.shape is None:
            return "the fields of one of togi's rows, as `write_rows` writes them"
        return ", ".join(Cells({}, self.columns).column(name) for name in self.shape.needed)

    def row(self, value: Any, row_id: str) -> Row:
        """Make the row of a record.

        Raises:
            BadRow: something of it is missing or of the wrong type.
        """
        if not isinstance(value, dict):
            raise BadRow("the row is not an object", found=short(value))
        if self.shape is None:
            return native.from_record(value)
        own = value.get(self.id_column) if self.id_column else None
        if own is not None and own != "":
            if isinstance(own, bool) or not isinstance(own, str | int):
                raise BadRow(f"'{self.id_column}' is no id", found=short(own), expected="text")
            row_id = str(own)
        return self.shape.build(Cells(value, self.columns, self.used), row_id)


def _bind(shape: Shape, keys: frozenset[str], mapped: Mapped) -> Columns:
    """Choose each field's column: the mapped one, else the first of its names that is there."""
    bound: dict[str, str | tuple[str, ...]] = {}
    for name, known in {**shape.needed, **shape.optional}.items():
        want = mapped.get(name)
        if want is not None:
            bound[name] = want if isinstance(want, str) else tuple(want)
            continue
        taken = {column for column in bound.values() if isinstance(column, str)}
        for column in known:
            parts = (column,) if isinstance(column, str) else column
            if keys.issuperset(parts) and not taken.intersection(parts):
                bound[name] = column
                break
        else:
            if name in shape.needed:
                bound[name] = known[0]
            elif name not in taken:
                bound[name] = name
    return bound


def _complete(shape: Shape, columns: Columns, row: Mapping[str, Any]) -> bool:
    cells = Cells(row, columns)
    return all(cells.get(name) is not None for name in shape.needed) and shape.fits(cells)


def _reading(kind: str, keys: frozenset[str], mapped: Mapped) -> Reading:
    shape = SHAPES[kind]
    columns = _bind(shape, keys, mapped)
    shown: list[str] = []
    for name in sorted(columns, key=lambda name: name not in ("system", "prompt")):
        column = columns[name]
        if name in shape.needed or column in keys or not isinstance(column, str):
            text = column if isinstance(column, str) else "/".join(column)
            shown.append(name if text == name else f"{name} from {text}")
    id_column = mapped.get("id", "id")
    used = {part for c in columns.values() for part in ([c] if isinstance(c, str) else c)}
    return Reading(
        f"{shape.label} ({', '.join(shown)})",
        shape,
        columns,
        id_column if isinstance(id_column, str) else None,
        frozenset(used | ({id_column} if isinstance(id_column, str) else set())),
    )


def _check_mapping(kind: str, mapped: Mapped, where: str) -> None:
    shapes = list(SHAPES.values()) if kind == "auto" else [SHAPES[kind]]
    fields = {"id"}.union(*({*shape.needed, *shape.optional} for shape in shapes))
    for name in mapped:
        if name not in fields:
            raise DataError(
                f"columns: '{name}' is no field of togi's", where=where, hint=nearest(name, fields)
            )


def sniff(rows: Sequence[Any], *, kind: str, columns: Mapped, where: str) -> Reading:
    """Find the shape that most of the first rows have.

    Args:
        rows: the first records' values; not all need to be good.
        kind: "auto", or the shape that the user forces.
        columns: field -> column (or list of columns), as the user maps them.
        where: the source's name, for errors.

    Raises:
        DataError: no shape fits, or the forced one does not.
    """
    if kind == "native" or (kind == "auto" and not columns and native.is_native(rows)):
        return Reading("togi's own rows", None)
    kind = "document" if kind == "lines" else kind
    _check_mapping(kind, columns, where)
    objects = [row for row in rows if isinstance(row, dict)]
    if not objects:
        raise DataError(
            "the rows are not objects",
            where=where,
            found=short(rows[0]) if rows else "",
            expected='rows such as {"prompt": ..., "response": ...}',
        )
    keys = frozenset[str]().union(*objects)
    if kind != "auto":
        return _reading(kind, keys, columns)
    votes: Counter[str] = Counter()
    for row in objects:
        for name, shape in SHAPES.items():
            wanted = {name for name in columns if name != "id"}
            if not wanted <= {*shape.needed, *shape.optional}:
                continue
            if _complete(shape, _bind(shape, frozenset(row), columns), row):
                votes[name] += 1
                break
    if not votes:
        raise DataError(
            "no known shape fits the columns",
            where=where,
            found=short(", ".join(sorted(keys)), 300) or "no columns",
            expected="; ".join(f"{name}: {shape.expected()}" for name, shape in SHAPES.items()),
            hint="map them with `columns:`, for example `columns: {prompt: question}`",
        )
    return _reading(votes.most_common(1)[0][0], keys, columns)
