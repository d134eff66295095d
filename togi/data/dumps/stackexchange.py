"""Stack Exchange dumps as entries: each question's best answer, cleaned, with its attribution.

A dump is `Posts.xml` of one site, or a folder of several sites. It is read once by its numbers
(`posts`), joined (`threads`), and only the posts of wanted threads are read again. The texts are
under Creative Commons licences that ask for attribution: address, writer and licence of each answer
stay in its metadata.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO
from xml.parsers import expat

from togi.data.dumps.html_text import clean_html, longest
from togi.data.dumps.posts import ANSWER, QUESTION, Attributes, BadPost, attributes_at, posts
from togi.data.dumps.reading import Reading, known, threads_of
from togi.data.dumps.threads import Thread, Threads
from togi.data.dumps.unpacked import unpacked
from togi.data.lima import Entry, Left, low_score, too_short
from togi.errors import DataError
from togi.rows.raw import BadRow
from togi.rows.types import Example, Message

FILE = re.compile(r"(?P<site>.*?)[ ._-]*Posts\.xml(?:\.gz|\.zst)?", re.IGNORECASE)
OWN_DOMAINS = {
    "stackoverflow": "stackoverflow.com",
    "serverfault": "serverfault.com",
    "superuser": "superuser.com",
    "askubuntu": "askubuntu.com",
    "mathoverflow": "mathoverflow.net",
}


def dumps_in(path: Path) -> list[Path]:
    """Return the `Posts.xml` files of a path, in a fixed order; none where it is no dump."""
    if path.is_file():
        xml = path.name.removesuffix(".gz").removesuffix(".zst").lower().endswith(".xml")
        return [path] if xml else []
    found = (p for p in path.rglob("[!.]*") if FILE.fullmatch(p.name) and p.is_file())
    return sorted(found, key=lambda p: p.relative_to(path).parts)


def site_of(path: Path) -> str:
    """Return the site's domain as file or folder name it, else the folder's name.

    >>> site_of(Path("dump/cooking.stackexchange.com/Posts.xml"))
    'cooking.stackexchange.com'
    >>> site_of(Path("stackoverflow.com-Posts.xml")), site_of(Path("superuser/Posts.xml.gz"))
    ('stackoverflow.com', 'superuser.com')
    """
    found = FILE.fullmatch(path.name)
    name = (found["site"] if found else "") or path.resolve().parent.name
    name = re.sub(r"[ ._-]posts$", "", name, flags=re.IGNORECASE)
    return OWN_DOMAINS.get(name.lower(), name)


def licence_of(post: Attributes) -> str:
    """Return a post's licence, by its date where the dump does not say it.

    >>> licence_of({"CreationDate": "2012-05-01T00:00:00.000"})
    'CC BY-SA 3.0'
    """
    if stated := post.get("ContentLicense"):
        return stated
    date = post.get("CreationDate", "")[:10]
    return f"CC BY-SA {'2.5' if date < '2011-04-08' else '3.0' if date < '2018-05-02' else '4.0'}"


class Dump:
    """One site's posts as entries.

    Attributes:
        seen: how many posts of each kind were read.
    """

    def __init__(self, path: Path, reading: Reading) -> None:
        self.path, self.reading = path, reading
        self.site = reading.site or site_of(path)
        self.name = path.name if path.parent == Path() else f"{path.parent.name}/{path.name}"
        self.seen: Counter[str] = Counter()
        self.floors: dict[str, float] = {}

    def entries(self) -> Iterator[Entry | Left]:
        """Yield an entry for each wanted thread, and every other answer with why it is none.

        Raises:
            DataError: the dump is damaged, or (with `on_bad="error"`) a post lacks something.
        """
        with unpacked(self.path, self.name, self.reading.spill) as file:
            threads = Threads()
            yield from self._numbers(file, threads)
            for found in threads_of(threads, self.reading, self.floors, self.site, self._name):
                yield found if isinstance(found, Left) else self._entry(file, found)

    def _name(self, key: int) -> str:
        return f"{self.site}/{key}"

    def _numbers(self, file: BinaryIO, threads: Threads) -> Iterator[Left]:
        """Note every post's numbers; answers below a fixed least score are left out here."""
        floor = self.reading.fixed_floor()
        for post in posts(file, self.name):
            if isinstance(post, BadPost):
                self.seen["unreadable posts"] += 1
                where, key = f"{self.name} line {post.line}", post.id or f"line {post.line}"
                yield self.reading.refuse_or_count(post.fault, where, f"{self.site}/{key}")
            elif post.kind == ANSWER:
                self.seen["answers"] += 1
                if post.score < floor:
                    yield Left(self._name(post.id), "score", low_score(self.reading.limits))
                else:
                    threads.answer(post.id, post.parent, post.score, post.offset)
            elif post.kind == QUESTION:
                self.seen["questions"] += 1
                threads.ask(post.id, post.offset)
            else:
                self.seen["other posts"] += 1

    def _entry(self, file: BinaryIO, thread: Thread) -> Entry | Left:
        name, limits = self._name(thread.key), self.reading.limits
        answer = attributes_at(file, thread.answer, self.name)
        try:
            markup = _need(answer, "Body")
            if "length" in self.reading.rules and longest(markup) < limits.least:
                return Left(name, "length", too_short(limits))
            question = attributes_at(file, thread.question, self.name)
            title, body = _need(question, "Title").strip(), clean_html(_need(question, "Body"))
        except BadRow as fault:
            where = f"{self.name} row {thread.key}"
            return self.reading.refuse_or_count(fault, where, name)
        row = Example(
            id=name,
            prompt=(Message("user", self.reading.prompt(name, title, body)),),
            response=clean_html(markup),
            metadata=self._metadata(question, answer, thread),
        )
        return Entry(
            row=row,
            title=title,
            body=body,
            score=thread.score,
            question_score=_maybe_int(question.get("Score")),
            place=self.site,
            topic=self.site,
        )

    def _metadata(self, question: Attributes, answer: Attributes, thread: Thread) -> dict[str, Any]:
        domain = self.site if "." in self.site else None  # else a folder's name
        user = answer.get("OwnerUserId")
        return known(
            source="stack_exchange",
            site=self.site,
            title=question["Title"].strip(),
            tags=re.findall(r"[^<>|\s]+", question.get("Tags", "")),
            score=thread.score,
            question_score=_maybe_int(question.get("Score")),
            question_id=_maybe_int(question.get("Id")),
            answer_id=thread.key,
            accepted=question.get("AcceptedAnswerId") == str(thread.key),
            url=f"https://{domain}/a/{thread.key}" if domain else None,
            author=answer.get("OwnerDisplayName"),
            author_id=_maybe_int(user),
            author_url=f"https://{domain}/users/{user}" if domain and user else None,
            licence=licence_of(answer),
        )

    def attributed(self, rows: Sequence[Example]) -> list[Example]:
        """Return rows with the writers' names, of those of this site that lack them."""
        keys = {
            row.metadata["author_id"]
            for row in rows
            if row.metadata.get("site") == self.site
            and "author_id" in row.metadata
            and "author" not in row.metadata
        }
        names = self.names(keys)

        def named(row: Example) -> Example:
            name = names.get(row.metadata.get("author_id", 0))
            if not name or row.metadata.get("site") != self.site or "author" in row.metadata:
                return row
            return replace(row, metadata={**row.metadata, "author": name})

        return [named(row) for row in rows]

    def names(self, wanted: set[int]) -> dict[int, str]:
        """Return the names of these users from the `Users.xml` beside the posts, if any."""
        beside = self.path.with_name(re.sub("Posts", "Users", self.path.name, flags=re.IGNORECASE))
        if not wanted or beside == self.path or not beside.is_file():
            return {}
        found: dict[int, str] = {}

        def user(tag: str, attributes: dict[str, str]) -> None:
            if tag == "row" and (key := _maybe_int(attributes.get("Id"))) in wanted:
                found[key] = attributes.get("DisplayName", "")

        parser = expat.ParserCreate("UTF-8")
        parser.StartElementHandler = user
        with unpacked(beside, beside.name, self.reading.spill) as file:
            try:
                parser.ParseFile(file)
            except expat.ExpatError as fault:
                where = f"{beside.name} line {fault.lineno}"
                raise DataError("not well-formed XML", where=where, found=str(fault)) from fault
        return found


def _need(post: Attributes, name: str) -> str:
    if name not in post:
        found = ", ".join(post)
        raise BadRow(f"the post has no {name}", found=found, expected=f'{name}="..."')
    return post[name]


def _maybe_int(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"-?\d{1,18}", text) else None
