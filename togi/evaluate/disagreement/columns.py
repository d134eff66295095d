"""Which column of a table of ratings is what: found by near names, or as the user says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from togi.errors import DataError, UsageError, nearest
from togi.rows.raw import short

Mapped: TypeAlias = Mapping[str, str | Sequence[str] | None]

NAMES: dict[str, tuple[str, ...]] = {
    "item": (
        "item", "itemid", "unit", "unitid", "origid", "sample", "sampleid", "example",
        "exampleid", "textid", "docid", "documentid", "questionid", "taskid", "instanceid",
        "conversationid", "commentid", "tweetid", "postid",
    ),
    "rater": (
        "rater", "raterid", "annotator", "annotatorid", "worker", "workerid", "amtworkerids",
        "coder", "coderid", "judge", "judgeid", "user", "userid", "participant",
        "participantid", "labeler", "labeller", "labelerid",
    ),
    "label": (
        "label", "rating", "annotation", "judgment", "judgement", "response", "answer", "vote",
        "score", "value", "class", "choice", "output",
    ),
    "text": (
        "text", "comment", "tweet", "sentence", "question", "prompt", "content", "document",
        "context",
    ),
    "gold": ("gold", "goldlabel", "expert", "expertlabel"),
}  # fmt: skip
"""Field -> the names it is known by, letters and digits only, togi's own first."""

SUCH_AS = {
    "item": "item, item_id or unit_id",
    "rater": "rater, annotator_id or worker",
    "label": "label, rating or answer",
}
LISTS = ("text", "groups", "counts")
FIELDS = (*NAMES, "groups", "counts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What each column of the table is; "" and () where there is none.

    Attributes:
        groups: columns of the raters' groups; None asks for them to be found.
        counts: columns that each hold how many raters gave that label.
    """

    item: str
    rater: str = ""
    label: str = ""
    text: tuple[str, ...] = ()
    gold: str = ""
    groups: tuple[str, ...] | None = None
    counts: tuple[str, ...] = ()

    def told(self) -> str:
        """Say it in a line."""
        named = [("item", self.item), ("rater", self.rater), ("label", self.label)]
        lists = [("counts", self.counts), ("text", self.text), ("groups", self.groups or ())]
        parts = [f"{field} {column}" for field, column in named if column]
        parts += [f"{field} {', '.join(columns)}" for field, columns in lists if columns]
        return "; ".join(parts)


def plain(name: str) -> str:
    """Return a column's name as it is compared: letters and digits in lower case.

    >>> plain("!amt_worker_ids"), plain("_unit_id")
    ('amtworkerids', 'unitid')
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())


def find(header: Sequence[str], given: Mapped, where: str) -> Columns:
    """Return what each column is.

    Args:
        header: the table's columns.
        given: togi's field -> the table's column or columns; `rater: null` says that the ratings
            are anonymous.
        where: the table's name, for errors.

    Raises:
        UsageError: a field that does not exist.
        DataError: a named column is missing, or a needed one was not found.

    >>> find(["_unit_id", "_worker_id", "rating"], {}, "t.csv").told()
    'item _unit_id; rater _worker_id; label rating'
    """
    for field in given:
        if field not in FIELDS:
            raise UsageError(
                f"no field is called '{field}'",
                where=f"{where}, columns",
                expected=nearest(field, FIELDS),
            )
    lists = {name: _named_list(name, header, given, where) for name in LISTS}
    text = lists["text"]
    if text is None:
        found = _sniffed("text", header)
        text = (found,) if found else ()
    if lists["counts"]:
        item = _one("item", header, given, where, needed=False)
        return Columns(item=item, text=text, groups=(), counts=lists["counts"])
    return Columns(
        item=_one("item", header, given, where),
        rater=_one("rater", header, given, where),
        label=_one("label", header, given, where),
        text=text,
        gold=_one("gold", header, given, where, needed=False),
        groups=lists["groups"],
    )


def _named_list(
    field: str, header: Sequence[str], given: Mapped, where: str
) -> tuple[str, ...] | None:
    """Return the columns that the user names for a field, None where he names none."""
    if field not in given:
        return None
    named = given[field] or ()
    columns = (named,) if isinstance(named, str) else tuple(named)
    for column in columns:
        _there(field, column, header, where)
    return columns


def _one(field: str, header: Sequence[str], given: Mapped, where: str, needed: bool = True) -> str:
    """Return the column of a field: as named, else by near names."""
    if field in given:
        named = given[field]
        if named is None:
            return ""
        if not isinstance(named, str):
            raise UsageError(f"'{field}' is one column", where=f"{where}, columns")
        return _there(field, named, header, where)
    found = _sniffed(field, header)
    if found or not needed:
        return found
    hint = f"say which one it is: columns.{field}=NAME"
    if field == "rater":
        hint += ", or columns.rater=null where the ratings are anonymous"
    raise DataError(
        f"no column for the {field} was found",
        where=where,
        found=short(", ".join(header), 300),
        expected=f"a name such as {SUCH_AS[field]}",
        hint=hint,
    )


def _sniffed(field: str, header: Sequence[str]) -> str:
    """Return the first column that has one of the field's names, "" for none."""
    by_name = {plain(column): column for column in reversed(header)}
    return next((by_name[name] for name in NAMES[field] if name in by_name), "")


def _there(field: str, column: str, header: Sequence[str], where: str) -> str:
    if column not in header:
        raise DataError(
            f"no column '{column}' for the {field}",
            where=where,
            found=short(", ".join(header), 300),
            expected=nearest(column, header),
        )
    return column
