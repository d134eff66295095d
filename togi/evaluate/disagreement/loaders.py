"""Published ratings: DICES (downloaded once and checked), Davidson's tweets, CrowdTruth's files.

`dices:350` and `dices:990` are the conversations of Aroyo et al. 2023 (arXiv 2306.11247; CC BY
4.0), rated for safety by raters whose groups are known. Any other source is a file; a header that
is one of those published here is recognised, and its columns need not be named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from togi.errors import DataError, SurroundingsError, UsageError, nearest
from togi.evaluate.disagreement.columns import Mapped
from togi.evaluate.disagreement.download import DICES, PUBLISHED, Say, fetch, is_published
from togi.evaluate.disagreement.reading import OnBad, read_table
from togi.evaluate.disagreement.table import Ratings

Raters = Literal["all", "paper"]

LEFT_OUT_350 = frozenset(
    (
        "296709543131761", "296709611112092", "297059995361243", "297060365288109",
        "297514543980607", "297514565398139", "297515609163939", "297515617432733",
        "297515629971478", "297515729806999", "297515750682315", "297540556928761",
        "297540562350921", "297540983991638", "297541271027233", "297541321453321",
        "297541515566649", "297541515769980", "297541522412126",
    )
)  # fmt: skip
"The 19 of DICES-350's 123 raters whom its authors removed for quality; their papers use 104."


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A published table.

    Attributes:
        title: what the user is told.
        marks: the columns that it is recognised by.
        columns: what its columns are.
        maybe: the same for columns that only some of its files have.
        labels: its labels in order.
        groups: columns of the raters' groups, as far as a file has them.
    """

    title: str
    marks: tuple[str, ...]
    columns: Mapping[str, str | Sequence[str]]
    maybe: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def fitted(self, header: Sequence[str]) -> dict[str, Any]:
        """Return what the columns of a file with this header are."""
        found: dict[str, Any] = dict(self.columns)
        found |= {name: column for name, column in self.maybe.items() if column in header}
        if self.groups:
            found["groups"] = [name for name in self.groups if name in header]
        return found


KNOWN = (
    Known(
        title="DICES",
        marks=("item_id", "rater_id", "rater_gender", "rater_race", "Q_overall"),
        columns={
            "item": "item_id", "rater": "rater_id", "label": "Q_overall",
            "text": ("context", "response"),
        },
        maybe={"gold": "safety_gold"},
        labels=("No", "Unsure", "Yes"),
        groups=("rater_gender", "rater_race", "rater_age", "rater_education", "rater_locale"),
    ),
    Known(
        title="Davidson et al. 2017, tweets",
        marks=("count", "hate_speech", "offensive_language", "neither", "class", "tweet"),
        columns={"counts": ("hate_speech", "offensive_language", "neither"), "text": "tweet"},
        maybe={"item": "index"},
    ),
    Known(
        title="CrowdTruth, standardised",
        marks=("!amt_worker_ids", "orig_id", "response"),
        columns={"item": "orig_id", "rater": "!amt_worker_ids", "label": "response"},
        maybe={"gold": "gold", "text": "text"},
    ),
)  # fmt: skip
"Headers that are recognised."


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a table is read; see `togi.evaluate.disagreement.reading.read_table`.

    Attributes:
        columns: togi's field -> the file's column.
        labels: all labels, in order.
        numeric: the labels are numbers.
        raters: "paper" leaves out the raters of `dices:350` whom its authors removed.
        on_bad: what happens at a bad row.
    """

    columns: Mapped = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    numeric: bool = False
    raters: Raters = "all"
    on_bad: OnBad = "error"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A table with what was understood of it."""

    ratings: Ratings
    understood: str


PLAIN = Reading()


def load(
    source: str,
    how: Reading = PLAIN,
    *,
    cache: Path | None = None,
    offline: bool = False,
    say: Say = print,
) -> Loaded:
    """Load ratings from a file, or from `dices:350`, `dices:990` or `davidson:2017`.

    Args:
        source: a file (csv, tsv, jsonl, json, parquet, gzipped or not), or a name of `PUBLISHED`.
        how: how it is read.
        cache: where downloads are kept.
        offline: no network may be used.
        say: told of a download.

    Raises:
        DataError: what cannot be read, with file and line.
        UsageError: "paper" for a source without such a list, or an unknown name.
        SurroundingsError: a download that fails, or is not there offline.
    """
    path = source
    if is_published(source):
        if source not in PUBLISHED:
            raise UsageError(
                f"no data set is called '{source}'",
                where="source",
                expected=nearest(source, PUBLISHED),
            )
        path = str(fetch(PUBLISHED[source], cache, offline=offline, say=say))
    paper = how.raters == "paper"
    if paper and Path(path).name != DICES["dices:350"].name:
        raise UsageError(
            "raters: paper is known of dices:350 only", where="raters", found=source,
            hint="for others leave raters out of the file, by your own rule",
        )  # fmt: skip
    known, header = recognised(path)
    columns, labels = how.columns, how.labels
    if known is not None:
        labels = labels or (() if "label" in columns else known.labels)
        columns = {**known.fitted(header), **columns}
    ratings, used = read_table(
        path, columns=columns, labels=labels, numeric=how.numeric, on_bad=how.on_bad,
        keep=(lambda rater: rater not in LEFT_OUT_350) if paper else None,
    )  # fmt: skip
    short = {axis.removeprefix("rater_"): of for axis, of in ratings.groups.items()}
    if len(short) == len(ratings.groups):
        ratings = replace(ratings, groups=short)
    title = f"{Path(path).name}{f' ({known.title})' if known else ''}"
    return Loaded(ratings, f"{title}: {sizes(ratings)}; {used.told()}")


def sizes(ratings: Ratings) -> str:
    """Say how large a table is.

    >>> from togi.evaluate.disagreement.table import from_triples
    >>> sizes(from_triples([("a", "r", "x"), ("a", "s", "y")]))
    '2 ratings of 1 item by 2 raters, 2 labels'
    """
    items = f"{len(ratings.items):,} item{'s' if len(ratings.items) != 1 else ''}"
    by = f" by {len(ratings.raters):,} raters" if ratings.raters else ", raters unknown"
    return f"{ratings.n:,} ratings of {items}{by}, {len(ratings.labels)} labels"


def recognised(path: str) -> tuple[Known | None, list[str]]:
    """Return the published table whose header a csv file has (None for others), and the header."""
    header = _header(Path(path).expanduser())
    known = (one for one in KNOWN if set(header).issuperset(one.marks))
    return next(known, None), header


def _header(path: Path) -> list[str]:
    """Return the first row's columns of a csv file, nothing for other formats or faults."""
    from togi.rows.files import format_of, read_csv

    if format_of(path) != "csv" or not path.is_file():
        return []
    try:
        first: Any = next(iter(read_csv(path, path.name)), None)
    except (DataError, SurroundingsError):
        return []  # reading the table will say it
    value = getattr(first, "value", None)
    return list(value) if isinstance(value, dict) else []
