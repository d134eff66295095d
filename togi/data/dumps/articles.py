"""wikiHow articles and Super-NaturalInstructions tasks as entries.

Sources: wikiHow as csv or jsonl with headline, title and text (Koupaee & Wang 2018); the task files
of Super-NaturalInstructions (Wang et al. 2022), one JSON object each. LIMA takes an article's title
as the prompt and its text as the answer, and one example of each task.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from togi.data.dumps.reading import Reading, known, text_of
from togi.data.lima import Entry, Left
from togi.errors import DataError
from togi.rows.containers import READERS
from togi.rows.files import format_of, opened, parsed
from togi.rows.raw import BadRecord, BadRow, short
from togi.rows.types import Example, Message
from togi.stats.rng import derive

MAX_TASK = 1 << 28  # bytes of one task file
BOILERPLATE = re.compile(
    r"^\W*(?:references?|related wikihows?|community q&a|tips|warnings|things you'?ll need|"
    r"sources and citations|video|about this article)\W*$",
    re.IGNORECASE,
)
SECTION = re.compile(r"^(?:#+|=+|part \d|method \d|step(?:s)?\b)", re.IGNORECASE)
NOISE = re.compile(
    r"\[\d+\](?: ?X (?:research|expert|trustworthy) source)?"
    r"|https?://[^\s<>]*[^\s<>.,;:!?)\]]|!\[[^\]]*\]\([^)]*\)|\{\"smallUrl.*?\}(?:</div>\")?\}?"
    r"|^\s*image titled [^\n]*$",
    re.IGNORECASE | re.MULTILINE,
)
ARTICLE = re.compile(r"\b([Tt])his (?:wiki[Hh]ow article|wiki[Hh]ow|article)\b")


def restyle(text: str) -> str:
    """Let an article speak as an answer: "This article" becomes "The following answer".

    >>> restyle("This article tells how. In this article, eggs are used.")
    'The following answer tells how. In the following answer, eggs are used.'
    """
    return ARTICLE.sub(lambda found: f"{found[1]}he following answer", text)


def clean_article(text: str) -> str:
    """Return an article's text without notes, images, addresses and closing sections."""
    out, skipping = [], False
    for line in NOISE.sub("", text).replace("\r\n", "\n").split("\n"):
        if BOILERPLATE.match(line):
            skipping = True
        elif skipping and SECTION.match(line.strip()):
            skipping = False
        if not skipping:
            out.append(re.sub(r"^[;,\s]+$", "", line).rstrip())
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]{2,}", " ", "\n".join(out))).strip()


def ask(title: str) -> str:
    """Return an article's title as a question; some copies number the titles.

    >>> ask("How to Boil an Egg2"), ask("Why Sleep")
    ('How to Boil an Egg?', 'Why Sleep')
    """
    title = re.sub(r"(?<=[^\W\d])\d{1,2}$", "", title.strip())
    return (
        f"{title}?"
        if re.match(r"how to\b", title, re.IGNORECASE) and title[-1] not in "?!."
        else title
    )


class Articles:
    """wikiHow as entries.

    Attributes:
        seen: how many articles were read.
    """

    def __init__(self, paths: Sequence[Path], reading: Reading) -> None:
        self.paths, self.reading = list(paths), reading
        self.seen: Counter[str] = Counter()
        self.floors: dict[str, float] = {}

    def entries(self) -> Iterator[Entry | Left]:
        """Yield an entry for each article.

        Raises:
            DataError: a file cannot be read, or (with `on_bad="error"`) a row of it.
        """
        for path in self.paths:
            for record in READERS[format_of(path)](path, path.name):
                try:
                    if isinstance(record, BadRecord):
                        raise record.fault
                    self.seen["articles"] += 1
                    yield self._entry(record.id, record.value)
                except BadRow as fault:
                    expected = "columns title and text"
                    yield self.reading.refuse_or_count(fault, record.where, record.id, expected)

    def _entry(self, row_id: str, record: Any) -> Entry:
        if isinstance(record, dict) and "sectionLabel" in record:
            raise DataError(
                "these rows are sections, not articles",
                where=self.paths[0].name,
                hint="take the file of whole articles, wikihowAll.csv",
            )
        title, text = (text_of(record, name) for name in ("title", "text"))
        category = record.get("category")
        topic = category.strip() if isinstance(category, str) else ""
        row = Example(
            id=row_id,
            prompt=(Message("user", ask(title)),),
            response=restyle(clean_article(text)),
            metadata=known(
                source="wikihow", title=title.strip(), category=topic, url=record.get("url")
            ),
        )
        return Entry(row=row, topic=topic)


class Tasks:
    """Super-NaturalInstructions as entries: one example of each task, drawn by the seed.

    Attributes:
        seen: how many tasks were read.
    """

    def __init__(self, paths: Sequence[Path], reading: Reading) -> None:
        self.paths, self.reading = list(paths), reading
        self.seen: Counter[str] = Counter()
        self.floors: dict[str, float] = {}

    def entries(self) -> Iterator[Entry | Left]:
        """Yield an entry for each task whose languages are English.

        Raises:
            DataError: a file cannot be read, or (with `on_bad="error"`) is no task.
        """
        for path in self.paths:
            name = path.name.removesuffix(".gz").removesuffix(".json")
            self.seen["tasks"] += 1
            try:
                with opened(path, path.name) as file:
                    task = parsed(file.read(MAX_TASK))
                yield self._entry(name, task)
            except BadRow as fault:
                expected = "Definition and Instances"
                yield self.reading.refuse_or_count(fault, path.name, name, expected)

    def _entry(self, name: str, task: Any) -> Entry | Left:
        definition = _joined(task, "Definition")
        for side in ("Input_language", "Output_language"):
            if set(_texts(task.get(side) or ["English"])) != {"English"}:
                return Left(name, "language", "not in English")
        instances = task.get("Instances")
        if not isinstance(instances, list) or not instances:
            raise BadRow("the task has no Instances", found=short(instances))
        one = instances[derive(self.reading.seed, "instance", name) % len(instances)]
        asked, answers = text_of(one, "input"), _texts(one.get("output"))
        if not answers:
            raise BadRow("an instance has no output", found=short(one))
        topic = next(iter(_texts(task.get("Categories") or [])), "")
        row = Example(
            id=f"{name}/{one['id']}" if isinstance(one.get("id"), str) else name,
            prompt=(Message("user", f"{definition}\n\n{asked}".strip()),),
            response=answers[0].strip(),
            metadata=known(source="natural_instructions", task=name, category=topic),
        )
        return Entry(row=row, topic=topic)


def _texts(value: Any) -> list[str]:
    """Return a text or a list of texts as a list."""
    values = [value] if isinstance(value, str) else value
    return [text for text in values if isinstance(text, str)] if isinstance(values, list) else []


def _joined(task: Any, name: str) -> str:
    texts = _texts(task.get(name)) if isinstance(task, dict) else []
    if not texts:
        found = ", ".join(map(str, task)) if isinstance(task, dict) else short(task)
        raise BadRow(f"the task has no {name}", found=found)
    return "\n".join(texts).strip()
