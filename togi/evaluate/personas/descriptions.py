"""Descriptions by personas: one model describes a thing, a reader tells which thing it was.

A description is written in persona, cleaned of the thing's own name, and shown to a reader beside
the names of a few things of its kind. The reader scores each name after the description, minus
the same without any description: what the description added (pointwise mutual information), so
that a common name has no head start. Its share of right answers is how well the persona
described. All personas describe the same things, read among the same names.

Source: Salewski et al. 2023 (arXiv 2305.14930), section 4.3, with a language model as the reader
where the paper has an image-text model and photographs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from togi.errors import DataError
from togi.evaluate.asking import Asking
from togi.evaluate.ledger import Line
from togi.evaluate.multiple_choice import LETTERS
from togi.evaluate.personas.cleaning import Cleaned, cleaned
from togi.evaluate.personas.exam import WRITTEN
from togi.evaluate.personas.manner import Manner
from togi.evaluate.personas.parsing import parse_choice
from togi.evaluate.personas.persona import Persona, with_article
from togi.evaluate.personas.things import THINGS
from togi.evaluate.tasks import Task
from togi.lm.base import Sampling
from togi.rows.types import Document, Row, Sample
from togi.stats.rng import derive

TASK = "descriptions"
READ = "descriptions read"
"The names under which descriptions and their readings stand in the ledger."
STEM = "Answer: It is"
LEAD = "It is"
BLANK = "blank"


@dataclass(frozen=True, slots=True)
class Thing:
    """What is described: its name, its kind, and the names that it is told from, its own first."""

    name: str
    group: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Describing:
    """Things, and how they are described and read.

    Attributes:
        things: with the names they are told from.
        people: who describes them.
        experts: kind of thing -> name of the persona who knows it best.
        words: how long a description may be, as the model is told.
        sampling: how it is drawn; `n` descriptions of each thing by each persona.
        reads: the reader scores names by "likelihood", or writes a letter as "text".
        about: the source in one sentence.
    """

    things: tuple[Thing, ...]
    people: tuple[Persona, ...]
    experts: Mapping[str, str] = field(default_factory=dict[str, str])
    words: int = 45
    sampling: Sampling
    reads: Literal["likelihood", "text"] = "likelihood"
    about: str = ""


def own_things() -> list[tuple[str, str]]:
    """Return togi's own things as (name, kind).

    >>> own_things()[0], len(own_things())
    (('barn owl', 'birds'), 40)
    """
    return [(name, kind) for kind, group in THINGS.items() for name in group.names]


def things_of_rows(rows: Iterable[Row], group: str) -> list[tuple[str, str]]:
    """Return things as (name, kind) from rows: a document's text, a question's input.

    Args:
        rows: whatever was read.
        group: metadata key of a thing's kind; "" where all are of one kind.

    Raises:
        DataError: a row has no name or no kind.
    """
    found: list[tuple[str, str]] = []
    for row in rows:
        name = row.text if isinstance(row, Document) else getattr(row, "input", "")
        if not isinstance(name, str) or not name.strip():
            raise DataError(
                "this row names no thing",
                where=f"{TASK}, row '{row.id}'",
                found=type(row).__name__,
                expected="a document whose text is the name",
            )
        kind = row.metadata.get(group, "") if group else "things"
        if not kind:
            raise DataError(
                f"the thing has no '{group}'",
                where=f"{TASK}, row '{row.id}'",
                found=", ".join(row.metadata) or "no further columns",
            )
        found.append((" ".join(name.split()), str(kind)))
    return list(dict.fromkeys(found))


def among(things: Sequence[tuple[str, str]], choices: int) -> tuple[Thing, ...]:
    """Return things with the names each is told from: its own, and others of its kind.

    Raises:
        DataError: a kind has fewer things than there shall be names, or a thing has two kinds.

    >>> among([("owl", "b"), ("jay", "b")], 2)[1].names
    ('jay', 'owl')
    """
    kinds: dict[str, list[str]] = {}
    known: set[str] = set()
    for name, kind in things:
        if name in known:
            raise DataError(f"the thing '{name}' is of two kinds", where=TASK)
        known.add(name)
        kinds.setdefault(kind, []).append(name)
    for kind, names in kinds.items():
        if len(names) < choices:
            raise DataError(
                f"there are too few {kind} to be told from each other",
                where=TASK,
                found=f"{len(names)}: {', '.join(names)}",
                expected=f"at least {choices}",
                hint="lower `descriptions.choices`, or add things",
            )
    found = []
    for name, kind in things:
        others = [other for other in kinds[kind] if other != name]
        drawn = sorted(others, key=lambda one: derive(0, TASK, name, one))[: choices - 1]
        found.append(Thing(name, kind, (name, *drawn)))
    return tuple(found)


def describe_task(how: Describing, manner: Manner) -> Task:
    """Return the request of every persona to describe every thing."""
    samples: list[Sample] = []
    for thing in how.things:
        asked = (
            f"how would you describe {with_article(thing.name)} in at most {how.words} words, "
            "without saying its name?"
        )
        for who in how.people:
            text = f"Question: {manner.question(who, asked)}"
            metadata = {"thing": thing.name, "persona": who.name}
            prompt = manner.prompted(who, text, STEM)
            samples.append(
                Sample(id=f"{thing.name}/{who.name}", input=prompt, target="", metadata=metadata)
            )
    return Task(
        name=TASK, kind="answer", samples=tuple(samples), asking=Asking(sampling=how.sampling)
    )


def descriptions_of(
    how: Describing, manner: Manner, lines: Mapping[str, Line]
) -> dict[str, list[Cleaned]]:
    """Return the cleaned descriptions: `thing/persona` -> one for each draw."""
    found: dict[str, list[Cleaned]] = {}
    for thing in how.things:
        for who in how.people:
            line = lines[f"{thing.name}/{who.name}"]
            drawn = (line.get("detail") or {}).get("answers") or [line["answer"]]
            lead = f"{LEAD} " if manner.prompt == "plain" else ""
            found[line["id"]] = [cleaned(f"{lead}{text.strip()}", thing.name) for text in drawn]
    return found


def read_prompt(description: str, names: Sequence[str], *, written: bool) -> str:
    r"""Return what a reader is asked about one description.

    >>> read_prompt("It is a night bird.", ("owl", "jay"), written=False)
    'Description: It is a night bird.\nThe thing that is described is the'
    """
    head = f"Description: {description}"
    if not written:
        return f"{head}\nThe thing that is described is the"
    options = "\n".join(f"{letter}: {name}" for letter, name in zip(LETTERS, names, strict=False))
    return f"{head}\n\nWhich of these is described?\n{options}\nAnswer with one letter:"


def read_task(how: Describing, told: Mapping[str, Sequence[Cleaned]]) -> Task:
    """Return the readings of all descriptions that can be read, and one without any description.

    Names stand in the order of a digest, so that the right one has no place of its own.
    """
    samples: list[Sample] = []
    written = how.reads == "text"
    for thing in how.things:
        names = tuple(sorted(thing.names, key=lambda one: derive(0, READ, thing.name, one)))
        texts = {f"{thing.name}/{BLANK}/0": "(none)"} if not written else {}
        for who in how.people:
            key = f"{thing.name}/{who.name}"
            texts |= {f"{key}/{k}": c.text for k, c in enumerate(told[key]) if c.usable}
        samples += [
            Sample(
                id=key,
                input=read_prompt(text, names, written=written),
                target=names.index(thing.name),
                choices=names,
            )
            for key, text in texts.items()
        ]
    if written:
        return Task(
            name=READ, kind="answer", samples=tuple(samples), asking=Asking(sampling=WRITTEN)
        )
    return Task(name=READ, kind="multiple_choice", samples=tuple(samples))


def recognised(sample: Sample, line: Line, blank: Line | None) -> float:
    """Return 1 where the reader told the thing, 0 where it told another, NaN where it told none.

    By likelihood it tells the name whose log-probability the description raised most; ties are
    split. In writing it tells a letter.
    """
    right = int(sample.target)
    if blank is None:
        letters = LETTERS[: len(sample.choices)]
        place = parse_choice(line["answer"].strip(), letters, ["answer", "option", "letter"])
        return math.nan if place is None else float(place == right)
    pairs = zip(line["detail"]["logprobs"], blank["detail"]["logprobs"], strict=True)
    raised = [math.nan if None in pair else pair[0] - pair[1] for pair in pairs]
    if any(math.isnan(value) for value in raised):
        return math.nan
    best = max(raised)
    return (raised[right] == best) / sum(value == best for value in raised)


def facts(how: Describing, manner: Manner) -> dict[str, Any]:
    """Return what decides how it is asked, and one request as it is put."""
    first = describe_task(how, manner).samples[0]
    return {
        "about": how.about,
        "things": len(how.things),
        "groups": sorted({thing.group for thing in how.things}),
        "choices": len(how.things[0].names),
        "words": how.words,
        "draws": how.sampling.n,
        "temperature": how.sampling.temperature,
        "reads": how.reads,
        "example": first.input if isinstance(first.input, str) else first.input[-1].content,
    }
