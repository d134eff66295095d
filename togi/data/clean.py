"""`rows.clean`: length, language, personal data, duplicates, near-duplicates, overlap with judging.

It stands above `togi.rows` because finding near-duplicates needs the data theme's n-grams. Rows
stream through the screens in the order of that list; only near-duplicates need them all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any, Literal, TypeAlias

import orjson
from pydantic import Field

from togi.errors import DataError
from togi.rows.hygiene import (
    COMMON,
    EXAMPLES,
    FUZZY_RUN,
    LEAST,
    RUN,
    Duplicates,
    Event,
    HeldOut,
    Overlap,
    parts,
    shortened,
)
from togi.rows.language import SURE, Languages
from togi.rows.pii import KINDS
from togi.rows.read import read_rows
from togi.rows.screens import Lengths, Personal, Tongues
from togi.rows.steps import SHOWN, summarise
from togi.rows.types import Dropped, Row
from togi.rows.write import write_kept
from togi.step import StepRef, StepSettings, Work

Stage: TypeAlias = Callable[[Iterable[Event]], Iterator[Event]]


class CleanSettings(StepSettings):
    """Drop duplicates from a pool, and whatever overlaps with rows that judge; screen the rest."""

    pool: StepRef
    """The step whose rows are cleaned."""
    against: list[StepRef] = Field(default_factory=list)
    """Steps whose rows must not stand in the pool, such as `split.held_out`."""
    words: int = Field(default=RUN, ge=4)
    """So many equal words in a row are an overlap."""
    least: int = Field(default=LEAST, ge=1)
    """A question or answer of fewer characters is not compared as a whole."""
    common: float = Field(default=COMMON, ge=0, le=1)
    """A run of words in more than this share of the held-out rows is not compared."""
    fuzzy: float | None = Field(default=None, gt=0, le=1)
    """So large a share of a held-out text's runs of `fuzzy_words` words in one text is an overlap
    too; 0.7 is usual, empty looks for exact runs only."""
    fuzzy_words: int = Field(default=FUZZY_RUN, ge=3)
    """Words of a run for `fuzzy`."""
    near: float | None = Field(default=None, ge=0.1, le=1)
    """Drop rows that share so large a part of their runs of `near_words` words with a row that
    stays (Jaccard index); 0.7 is usual, empty drops equal rows only."""
    near_words: int = Field(default=5, ge=1)
    """Words of a run for `near`."""
    min_words: int = Field(default=0, ge=0)
    """Fewest words of a document or of an answer."""
    max_words: int | None = Field(default=None, ge=1)
    """Most words of a document or of an answer."""
    languages: list[str] = Field(default_factory=list)
    """Keep rows in these languages, such as `[en, de]`; `[any]` keeps all and counts them. A row
    whose language cannot be told stays."""
    sure: float = Field(default=SURE, gt=0, le=1)
    """Probability from which on a row's language counts as known."""
    pii: Literal["ignore", "count", "mask", "drop"] = "ignore"
    """What to do about hints at personal data and secret keys."""
    pii_kinds: list[Literal["key", "email", "iban", "card", "phone", "ip"]] = Field(
        default_factory=lambda: list(KINDS)  # type: ignore[arg-type]
    )
    """Which hints to look for."""


@dataclass
class NearDuplicates:
    """Drops rows near to one that stays; holds all rows until it has looked at them.

    Attributes:
        threshold: least Jaccard index of two rows' runs of words.
        words: of a run.
        dropped: how many rows were dropped.
        clusters: how many rows that stay had near ones.
        examples: a few pairs with their similarity.
    """

    threshold: float
    words: int
    dropped: int = 0
    clusters: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, events: Iterable[Event]) -> Iterator[Event]:
        """Pass the first of near rows on, and what was dropped before."""
        from togi.data.neardup import near_duplicates, shingles

        rows: list[Row] = []
        for event in events:
            if isinstance(event, Dropped):
                yield event
            else:
                rows.append(event)
        texts = ["\n".join(parts(row)) for row in rows]
        clusters = near_duplicates(list(shingles(texts, self.words)), self.threshold)
        near = {place: one for one in clusters for place, _ in one.dropped}
        self.dropped, self.clusters = len(near), len(clusters)
        for one in clusters[:EXAMPLES]:
            place, similarity = one.dropped[0]
            self.examples.append(
                {
                    "kept": rows[one.kept].id,
                    "dropped": rows[place].id,
                    "similarity": similarity,
                    "texts": [shortened(texts[one.kept]), shortened(texts[place])],
                }
            )
        for place, row in enumerate(rows):
            yield Dropped(row.id, "near-duplicate of another row", row) if place in near else row


class Screens:
    """The screens that some settings ask for, in order, and what they found."""

    def __init__(self, settings: CleanSettings, held_out: Iterable[Row]) -> None:
        self.lengths = Lengths(settings.min_words, settings.max_words)
        self.tongues = (
            Tongues(settings.languages, Languages(settings.sure)) if settings.languages else None
        )
        self.personal = (
            None if settings.pii == "ignore" else Personal(settings.pii, settings.pii_kinds)
        )
        self.near = (
            None if settings.near is None else NearDuplicates(settings.near, settings.near_words)
        )
        index = HeldOut(
            held_out,
            run=settings.words,
            least=settings.least,
            common=settings.common,
            fuzzy=settings.fuzzy,
            fuzzy_run=settings.fuzzy_words,
        )
        self.overlap = Overlap(index)

    def through(self, rows: Iterable[Row]) -> Iterator[Event]:
        """Let rows pass all screens."""
        events: Iterator[Event] = iter(rows)
        every: list[Stage | None] = [
            self.lengths, self.tongues, self.personal, Duplicates(), self.near, self.overlap
        ]  # fmt: skip
        for stage in every:
            events = events if stage is None else stage(events)
        return events

    def facts(self) -> dict[str, Any]:
        """Return what `hygiene.json` tells."""
        index, found = self.overlap.index, {"lengths": self.lengths.facts()}
        if self.tongues is not None:
            found["languages"] = self.tongues.facts()
        if self.personal is not None:
            found["pii"] = self.personal.facts()
        if self.near is not None:
            found["near"] = asdict(self.near)
        if index.ids:
            found["overlap"] = {
                "held_out": len(index.ids),
                "hit": len(self.overlap.hit),
                "reasons": dict(self.overlap.reasons.most_common()),
                "examples": [{"id": row, **asdict(one)} for row, one in self.overlap.examples],
            }
        return found


def run_clean(settings: CleanSettings, work: Work) -> dict[str, Any]:
    """Screen a pool's rows.

    Outputs: `rows` (the file), `n`, and `dropped` (each row that was left out, with its reason).
    """
    against = (read_rows(work.input(ref, "rows"), kind="native") for ref in settings.against)
    screens = Screens(settings, chain.from_iterable(against))
    pool = read_rows(work.input(settings.pool, "rows"), kind="native")
    first: list[Row] = []

    def noted() -> Iterator[Event]:
        for event in screens.through(pool):
            if not isinstance(event, Dropped) and len(first) < SHOWN:
                first.append(event)
            yield event

    kept, reasons = write_kept(work.folder / "rows.jsonl", work.folder / "dropped.jsonl", noted())
    if not kept:
        raise DataError(
            "no row of the pool is left",
            where=f"step '{work.name}'",
            found=", ".join(f"{n:,} rows: {why}" for why, n in reasons.most_common(3)),
            hint="split before cleaning, or loosen what drops most",
        )
    facts = orjson.dumps(screens.facts(), option=orjson.OPT_INDENT_2)
    (work.folder / "hygiene.json").write_bytes(facts)
    total = kept + reasons.total()
    understood = f"{total} rows cleaned: {kept} stay, {reasons.total()} dropped"
    summarise(work, understood, first, reasons, {"n": kept})
    return {"rows": "rows.jsonl", "n": kept, "dropped": "dropped.jsonl"}
