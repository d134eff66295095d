"""Pushshift's Reddit records as entries: a submission and its best comment.

A record is a submission (subreddit, title, selftext, score) or a comment (body, link_id, score);
both may lie in one file or in several. A submission may also hold its `comments` itself. Files are
read once by their numbers, joined, and only the threads that are wanted are read again.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from togi.data.dumps.reading import Reading, known, text_of, threads_of
from togi.data.dumps.threads import Thread, Threads
from togi.data.dumps.unpacked import unpacked
from togi.data.lima import Entry, Left, low_score
from togi.data.speech import NOT_SPEECH
from togi.rows.files import lines, parsed
from togi.rows.raw import BadRow, short
from togi.rows.types import Example, Message

FILE_BITS = 48  # of a place: the byte in a file; the file's number stands above
TAG = re.compile(r"^\s*(?:\[[A-Za-z]{2,4}\]\s*)+")
LINK = re.compile(r"!?\[([^\]\n]*)\]\((?:https?|/)[^\s)]*\)")
ADDRESS = re.compile(r"\bhttps?://[^\s<>)\]]+")
EDIT = re.compile(r"^\**(?:EDIT|ETA|Edit|UPDATE)\b[^\n]*$", re.MULTILINE)


def clean_markdown(text: str) -> str:
    r"""Return a comment's text without links, images, addresses and notes on its edits.

    Code and quotations stay as they are.

    >>> clean_markdown("See [the sea](https://example.org) &amp; swim.\n\nEDIT: thanks!")
    'See the sea & swim.'
    """
    text = html.unescape(text).replace("\r\n", "\n")
    kept, out = 0, []
    for code in NOT_SPEECH.finditer(text):
        out += [_unlinked(text[kept : code.start()]), code[0]]
        kept = code.end()
    out.append(_unlinked(text[kept:]))
    return re.sub(r"\n{3,}", "\n\n", EDIT.sub("", "".join(out))).strip()


def _unlinked(text: str) -> str:
    return ADDRESS.sub("", LINK.sub(r"\1", text))


def number_of(key: str) -> int:
    """Return a Reddit id as a number: `t3_` or `t1_` may stand in front.

    Raises:
        BadRow: it is none.

    >>> number_of("t3_10")
    36
    """
    short_key = re.sub(r"^t\d_", "", key)
    if not re.fullmatch(r"[0-9a-zA-Z]{1,12}", short_key):
        raise BadRow("this is no Reddit id", found=short(key), expected="letters and digits")
    return int(short_key, 36)


class Records:
    """Files of Pushshift records as entries.

    Attributes:
        seen: how many records of each kind were read.
    """

    def __init__(self, paths: Sequence[Path], reading: Reading) -> None:
        self.paths, self.reading = list(paths), reading
        self.seen: Counter[str] = Counter()
        self.floors: dict[str, float] = {}

    def entries(self) -> Iterator[Entry | Left]:
        """Yield an entry for each submission with a comment, and what is left out.

        Raises:
            DataError: a file is damaged, or (with `on_bad="error"`) a record cannot be read.
        """
        with ExitStack() as stack:
            files = [
                stack.enter_context(unpacked(path, path.name, self.reading.spill))
                for path in self.paths
            ]
            threads = Threads()
            for number, file in enumerate(files):
                yield from self._numbers(file, number, threads)
            for found in threads_of(threads, self.reading, self.floors, "reddit", _name):
                yield found if isinstance(found, Left) else self._joined(files, found)

    def _numbers(self, file: BinaryIO, number: int, threads: Threads) -> Iterator[Entry | Left]:
        """Note each record's numbers; a submission that holds its comments is an entry at once."""
        name = self.paths[number].name
        offset = file.tell()
        for line, text in lines(file, name):
            place, offset = (number << FILE_BITS) | offset, file.tell()
            if not text or text.isspace():
                continue
            where = f"{name} line {line}"
            try:
                yield from self._noted(_record(text), place, threads)
            except BadRow as fault:
                self.seen["unreadable records"] += 1
                yield self.reading.refuse_or_count(fault, where, where)

    def _noted(
        self, record: dict[str, Any], place: int, threads: Threads
    ) -> Iterator[Entry | Left]:
        key = number_of(text_of(record, "id"))
        if "title" in record:
            self.seen["submissions"] += 1
            inside = record.get("comments")
            if isinstance(inside, list) and inside:
                yield self._entry(record, max(map(_comment, inside), key=_votes))
            else:
                threads.ask(key, place)
        else:
            self.seen["comments"] += 1
            link, parent = text_of(record, "link_id"), record.get("parent_id")
            votes = _votes(record)
            if parent not in (None, link):
                yield Left(_name(key), "question", "an answer to another comment")
            elif votes < self.reading.fixed_floor():
                yield Left(_name(key), "score", low_score(self.reading.limits))
            else:
                threads.answer(key, number_of(link), votes, place)

    def _joined(self, files: Sequence[BinaryIO], thread: Thread) -> Entry | Left:
        try:
            return self._entry(_read_at(files, thread.question), _read_at(files, thread.answer))
        except BadRow as fault:
            name = _name(thread.key)
            return self.reading.refuse_or_count(fault, name, name)

    def _entry(self, submission: dict[str, Any], comment: dict[str, Any]) -> Entry:
        row_id = _name(number_of(text_of(submission, "id")))
        title = TAG.sub("", html.unescape(text_of(submission, "title"))).strip()
        body = clean_markdown(str(submission.get("selftext") or ""))
        subreddit, link = text_of(submission, "subreddit"), submission.get("permalink")
        row = Example(
            id=row_id,
            prompt=(Message("user", self.reading.prompt(row_id, title, body) if body else title),),
            response=clean_markdown(text_of(comment, "body")),
            metadata=known(
                source="reddit",
                subreddit=subreddit,
                title=title,
                score=_votes(comment),
                question_score=submission.get("score"),
                author=comment.get("author"),
                url=f"https://www.reddit.com{link}" if isinstance(link, str) else None,
            ),
        )
        votes = submission.get("score")
        return Entry(
            row=row,
            title=title,
            body=body,
            score=_votes(comment),
            question_score=votes if isinstance(votes, int) else None,
            place=subreddit,
            topic=subreddit,
        )


def _name(key: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while key or not text:
        key, rest = divmod(key, 36)
        text = digits[rest] + text
    return f"reddit/{text}"


def _record(line: bytes) -> dict[str, Any]:
    value = parsed(line)
    if not isinstance(value, dict):
        raise BadRow("the record is not an object", found=short(value))
    return value


def _comment(value: Any) -> dict[str, Any]:
    text_of(value, "body")
    return value


def _votes(record: dict[str, Any]) -> int:
    value = record.get("score")
    if isinstance(value, bool) or not isinstance(value, int):
        found = short(value) if "score" in record else ", ".join(map(str, record))
        raise BadRow("the record has no score", found=found, expected='"score": a whole number')
    return value


def _read_at(files: Sequence[BinaryIO], place: int) -> dict[str, Any]:
    file = files[place >> FILE_BITS]
    file.seek(place & ((1 << FILE_BITS) - 1))
    return _record(file.readline())
