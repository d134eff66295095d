"""`data.compare`: which n-grams rose and fell from some rows to others, and rates by group."""

from __future__ import annotations

import csv
import hashlib
import io
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import orjson
from pydantic import Field, model_validator

from togi.data.render import Renderer
from togi.errors import DataError, UsageError
from togi.rows.types import Row
from togi.step import StepRef, StepSettings, Work


class CompareSettings(StepSettings):
    """Tell which n-grams rose and fell from rows A to rows B, beyond chance or not."""

    a: StepRef
    """The rows to compare with: those before, last year's, the pool."""
    b: StepRef
    """The rows that are compared: those after, this year's, the pick."""
    names: tuple[str, str] | None = None
    """How A and B are called; by default as their steps."""
    shortest: int = Field(default=1, ge=1, le=7)
    """Shortest n-gram, in words."""
    longest: int = Field(default=3, ge=1, le=7)
    """Longest n-gram, in words."""
    least: int = Field(default=10, ge=1)
    """Test only n-grams in so many documents of A and B together."""
    unit: Literal["documents", "occurrences"] = "documents"
    """Compare in how many documents an n-gram stands, or how often; words cluster in documents, so
    that tests of occurrences are too sure."""
    per_length: bool = False
    """Take the documents that hold an n-gram as a rate of all n-grams, not as a share of documents:
    where documents of A and B differ in length, the longer ones hold more of everything."""
    rank: Literal["z", "difference", "ratio"] = "z"
    """Order by the log-odds z, the difference of shares, or their ratio."""
    prior: float = Field(default=500.0, gt=0)
    """How many n-grams of background the prior of the log-odds is worth; more calms rare ones."""
    background: StepRef | None = None
    """Further rows for that prior, such as earlier years; by default A and B together."""
    error: float = Field(default=0.05, gt=0, lt=1)
    """The share of false discoveries to bear among those called significant."""
    level: float = Field(default=0.95, gt=0, lt=1)
    """Of the intervals."""
    content_only: bool = False
    """Leave out n-grams that begin or end with an English function word."""
    case: Literal["fold", "keep"] = "fold"
    """Make all words lower-case, or keep them as they are."""
    latex: bool = False
    """Take formulas between dollar signs, LaTeX commands and braces out first."""
    unique: bool = False
    """Count a text that stands several times in A, or in B, once."""
    apart: bool = False
    """Leave rows of B out of A: for a pick and the pool that it was taken from."""
    features: str | None = None
    """The text that is looked at, such as `{response}`; by default the prompt and the answer."""
    top: int = Field(default=20, ge=1)
    """Show so many n-grams of each direction."""
    rate: str = ""
    """Metadata KEY=VALUE, such as status=accept: its rate in A and B, with intervals."""
    by: str = ""
    """Metadata key whose values have rates of their own, such as track."""
    counts: dict[str, tuple[int, int]] = Field(default_factory=dict)
    """Rates known as plain numbers, name: [how many, of how many]; each next to the one before."""

    @model_validator(mode="after")
    def _fits(self) -> CompareSettings:
        if self.shortest > self.longest:
            raise UsageError(f"shortest is {self.shortest}, longest only {self.longest}")
        key, _, value = self.rate.partition("=")
        if self.rate and not (key and value):
            raise UsageError(
                "'rate' is not of the form KEY=VALUE", found=self.rate, hint="such as status=accept"
            )
        if self.by and not self.rate:
            raise UsageError("'by' needs 'rate'", expected="KEY=VALUE, such as status=accept")
        if (self.unit == "occurrences" or self.per_length) and self.rank == "difference":
            raise UsageError("rates have no difference of shares", expected="rank: z or ratio")
        return self


@dataclass
class Corpus:
    """Rows with the texts that are compared, which can be gone through again.

    Attributes:
        path: the rows.
        render: makes a row's text.
        unique: yield a text that stands several times once.
        without: digests of rows that are left out.
        digests: of the rows that were yielded when they were last read to their end.
        repeated: rows left out then, because their text was there before.
        removed: rows left out then, because they are in `without`.
    """

    path: str
    render: Renderer
    unique: bool = False
    without: frozenset[int] = frozenset()
    digests: array[int] = field(default_factory=lambda: array("Q"))
    repeated: int = 0
    removed: int = 0

    def rows(self) -> Iterator[tuple[Row, str]]:
        """Yield the rows and their texts, from the start."""
        from togi.rows.read import read_rows

        digests, repeated, removed = array("Q"), 0, 0
        seen: set[int] = set()
        for row in read_rows(self.path):
            text = self.render(row)
            digest = _digest(f"{row.id}\x1f{text}")
            if digest in self.without:
                removed += 1
                continue
            if self.unique:
                own = _digest(text)
                if own in seen:
                    repeated += 1
                    continue
                seen.add(own)
            digests.append(digest)
            yield row, text
        if removed and not digests:
            raise DataError("every row of A stands in B", hint="compare without `apart`")
        self.digests, self.repeated, self.removed = digests, repeated, removed

    def __iter__(self) -> Iterator[str]:
        return (text for _, text in self.rows())


def _digest(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def run_compare(settings: CompareSettings, work: Work) -> dict[str, Any]:
    """Compare two sets of rows; outputs `compare` (JSON), `table` (csv), `rose` and `fell`."""
    from togi.data.compared import ngram_rows, rates_told, told
    from togi.data.ngram_counts import count_ngrams, frequent
    from togi.data.ngram_words import Wording
    from togi.data.ngrams import contrast

    wording = Wording(settings.case, settings.latex)
    orders = (settings.shortest, settings.longest)
    corpora = _corpora(settings, work)
    counted = count_ngrams(corpora, wording, orders=orders, least=settings.least)
    notes = _rows_noted(corpora, settings)
    background = None
    if settings.background is not None:
        render = Renderer(settings.features, work.name)
        further = Corpus(work.input(settings.background, "rows"), render, settings.unique)
        background = count_ngrams([further], wording, orders=orders, named=False)
    found = contrast(
        frequent(counted, settings.least, settings.content_only),
        unit=settings.unit,
        per_length=settings.per_length,
        strength=settings.prior,
        background=background,
        error=settings.error,
        level=settings.level,
    )
    names = settings.names or (settings.a, settings.b)
    page = told(found, names, rank=settings.rank, top=settings.top)
    page["rates"] = rates_told(settings, corpora, names)
    page["settings"] = settings.model_dump(mode="json")
    page["notes"] = notes + page["notes"]
    (work.folder / "compare.json").write_bytes(orjson.dumps(page, option=orjson.OPT_INDENT_2))
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(ngram_rows(found, names))
    (work.folder / "compare.csv").write_text(table.getvalue(), encoding="utf-8")
    for line in (page["sentence"], *page["notes"]):
        work.say(line)
    rose, fell = found.found()
    return {
        "compare": "compare.json", "table": "compare.csv", "rose": rose, "fell": fell,
        "notes": [page["sentence"], *page["notes"]],
    }  # fmt: skip


def _corpora(settings: CompareSettings, work: Work) -> list[Corpus]:
    paths = [work.input(ref, "rows") for ref in (settings.a, settings.b)]
    first, second = (
        Corpus(path, Renderer(settings.features, work.name), settings.unique) for path in paths
    )
    if settings.apart:
        for _ in second:
            pass
        first.without = frozenset(second.digests)
    return [first, second]


def _rows_noted(corpora: list[Corpus], settings: CompareSettings) -> list[str]:
    """Say which rows were left out, and which stand in both."""
    first, second = corpora
    notes = [
        f"{corpus.repeated:,} rows of {which} repeat a text of it and were counted once."
        for which, corpus in (("A", first), ("B", second))
        if corpus.repeated
    ]
    if settings.apart:
        return [*notes, f"{first.removed:,} rows of A stand in B and were left out of A."]
    shared = len(np.intersect1d(first.digests, second.digests))
    if shared:
        notes.append(
            f"{shared:,} rows stand in both A and B, which the tests take for independent; "
            "`apart: true` leaves them out of A."
        )
    return notes
