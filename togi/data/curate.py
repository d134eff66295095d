"""From a source to about a thousand rows: sift by the rules, drop doubles, balance, pick, tell.

Entries stream through the rules onto the disk (`togi.data.spool`); of those only the candidates,
some ten for each row that is wanted, come back into memory, to be compared and picked from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from togi.data.candidates import Options, Pool, candidates_of, distinct
from togi.data.forum import Opened
from togi.data.funnel import Funnel
from togi.data.lima import RULES, Left, failed
from togi.data.picking import Picked, pick
from togi.data.spool import DroppedFile, Spool
from togi.errors import DataError
from togi.rows.types import Example, Row

READING = ("readable", "language", "score", "top_answer", "question")
CHOOSING = ("duplicate_prompt", "held_out", "context", "near_duplicate", "picked")
STAGES = (*READING, *(rule for rule in RULES if rule not in READING), *CHOOSING)
"""Every stage of the funnel, in order; which of them a source meets depends on its kind."""
TWICE = "its prompt stands twice; the better-scored one is kept"
UNPICKED = "eligible, not picked"
LOOK_EVERY, SAY_EVERY = 10_000, 30  # rows between looks at the clock; seconds between lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Curated:
    """What came of a source.

    Attributes:
        picked: the pick.
        funnel: what was left out, stage by stage.
        total: entries that were read.
        met: the stages that hold for this source.
        notes: what the user should know, in sentences.
    """

    picked: Picked
    funnel: Funnel
    total: int
    met: frozenset[str]
    notes: list[str]


def curate(
    opened: Opened,
    options: Options,
    spool: Spool,
    dropped: DroppedFile,
    *,
    held_out: Sequence[Row] = (),
    too_long: Callable[[Sequence[Example]], Iterable[str]] | None = None,
    say: Callable[[str], None] = print,
) -> Curated:
    """Sift a source, choose k of its rows, and write down every other one with its reason.

    Args:
        opened: the source.
        options: how to choose.
        spool: an empty one, for the rows that pass the rules.
        dropped: takes id and reason of each row that is left out.
        held_out: rows of which nothing may stand in the pick.
        too_long: says of each row why it does not fit into a context, "" if it does.
        say: takes a line now and then while a large source is read.

    Raises:
        DataError: a row cannot be read, none passes, or ids stand twice.
    """
    funnel = Funnel(STAGES)
    sift(opened, options, spool, funnel, dropped, say)
    repeats = spool.repeats()
    eligible = ~repeats
    for row_id in spool.ids(np.flatnonzero(repeats).tolist()):
        funnel.drop("duplicate_prompt", TWICE)
        dropped.add(row_id, TWICE)
    pool = _pool(spool, eligible, options, held_out, too_long or (lambda rows: [""] * len(rows)))
    for place, stage, reason in pool.left:
        funnel.drop(stage, reason)
        eligible[place] = False
        dropped.add(next(spool.ids([place])), reason)
    picked = pick(spool, eligible, pool, options, funnel.total)
    _refuse_twins(list(spool.ids(picked.places)), opened.name)
    eligible[picked.places] = False
    for row_id in spool.ids(np.flatnonzero(eligible).tolist()):
        funnel.drop("picked", UNPICKED)
        dropped.add(row_id, UNPICKED)
    return Curated(
        picked=picked,
        funnel=funnel,
        total=funnel.total,
        met=_met(options, bool(held_out), too_long is not None),
        notes=_notes(picked, funnel, options, spool.topics),
    )


def sift(
    opened: Opened,
    options: Options,
    spool: Spool,
    funnel: Funnel,
    dropped: DroppedFile,
    say: Callable[[str], None],
) -> None:
    """Stream a source through the rules; what passes lies in the spool afterwards.

    Raises:
        DataError: a row cannot be read, or not one passes.
    """
    told = time.monotonic()
    for entry in opened.entries():
        funnel.total += 1
        if not funnel.total % LOOK_EVERY and time.monotonic() - told > SAY_EVERY:
            told = time.monotonic()
            say(f"{funnel.total:,} read, {len(spool):,} pass the rules so far")
        if isinstance(entry, Left):
            funnel.drop(entry.rule, entry.reason)
            dropped.add(entry.id, entry.reason)
            continue
        faults = failed(entry, options.rules, opened.limits)
        if not faults:
            spool.add(entry, funnel.total - 1)
            continue
        rule, reason = faults[0]
        funnel.drop(rule, reason)
        dropped.add(entry.row.id, reason)
        if len(faults) == 1:
            funnel.alone[rule] += 1
    if not len(spool):
        raise DataError(
            "no row passes the rules",
            where=opened.name,
            found=_most(funnel),
            hint=_loosen(funnel) or "name a source with prompts and answers",
        )


def _most(funnel: Funnel) -> str:
    """Say the commonest reasons."""
    reasons = ", ".join(f"{n} {why}" for why, n in list(funnel.reasons().items())[:4])
    return f"{funnel.total} rows: {reasons}" if reasons else "an empty source"


def _loosen(funnel: Funnel) -> str:
    """Say which rule binds, and how it is switched off."""
    binding = funnel.binding()
    if binding is None:
        return ""
    stage, reason, count, alone = binding
    said = f"'{stage}' {'alone ' if alone else ''}leaves {count} out ({reason})"
    if (most := funnel.most()) and most[0] != stage:
        said += f", '{most[0]}' {most[2]} ({most[1]})"
    return f"{said}; rules.{stage}=false switches it off" if stage in RULES else said


def _pool(
    spool: Spool,
    eligible: np.ndarray,
    options: Options,
    held_out: Sequence[Row],
    too_long: Callable[[Sequence[Example]], Iterable[str]],
) -> Pool:
    """Return the candidates; where too few are left of them, look at twice as many."""
    factor, wanted = options.candidates, int(eligible.sum())
    while True:
        places = candidates_of(spool, eligible, options, factor)
        pool = distinct(spool, places, options, held_out, too_long)
        if len(pool.rows) >= options.k or len(places) == wanted:
            return pool
        factor *= 2


def _met(options: Options, held_out: bool, too_long: bool) -> frozenset[str]:
    asked = {"held_out": held_out, "context": too_long, "near_duplicate": bool(options.near)}
    stages = (name for name, holds in asked.items() if holds)
    return frozenset([*options.rules, "duplicate_prompt", "picked", *stages])


def _refuse_twins(ids: Sequence[str], name: str) -> None:
    """Refuse ids that stand twice among the picked rows, as results are paired by id."""
    seen: set[str] = set()
    for row_id in ids:
        if row_id in seen:
            raise DataError(
                "an id stands twice",
                where=name,
                found=row_id,
                expected="an id of its own for each row",
                hint="read the source with `rows.read` and `columns: {id: null}` first",
            )
        seen.add(row_id)


def _notes(
    picked: Picked, funnel: Funnel, options: Options, topics: Mapping[str, int]
) -> list[str]:
    """Say in sentences what the user should know."""
    n, notes = len(picked.places), []
    if n < options.k:
        reason = _loosen(funnel)
        notes.append(
            f"{options.k} rows were wanted, but only {n} of {funnel.total} are eligible: all of "
            f"them were picked{'; ' + reason if reason else ''}"
        )
    if len(picked.sizes) == 1 and n < sum(picked.sizes):
        notes.append("all rows are of one topic, so nothing was balanced; name a key with topic")
    for group, named in options.groups.items():
        if absent := [topic for topic in named if topic not in topics]:
            notes.append(f"of the group '{group}' no row is eligible of {', '.join(absent)}")
    return notes
