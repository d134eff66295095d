"""The rows of a Stack Exchange `Posts.xml`, streamed: numbers first, attributes where wanted.

The exporter writes one `<row .../>` a line with its numbers in front. Such lines are told apart by
their numbers alone, several times as fast as by parsing them, and a row that its numbers leave out
is looked at no further. From the first line that is no row by itself, the rest goes through expat,
which either understands it or says where it breaks. (expat itself, not ElementTree's `iterparse` on
top of it: no element is built, and places are exact.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple, TypeAlias
from xml.parsers import expat

from togi.errors import DataError
from togi.rows.raw import BadRow, short

CHUNK = 1 << 20
MAX_ROW = 64 << 20  # bytes; a longer row is no post
QUESTION, ANSWER = 1, 2
HEAD = re.compile(
    rb'[ \t]*<row Id="(\d{1,18})" PostTypeId="(\d{1,3})"(?: ParentId="(\d{1,18})")?'
    rb'(?: AcceptedAnswerId="\d+")? CreationDate="[^"<]*" Score="(-?\d{1,9})" '
)
START = re.compile(
    rb"\s*(?:<\?xml[^>]*\?>)?\s*(?:<!--.*?-->\s*)*<([\w:.-]+)[^>]*>[ \t]*\r?\n?", re.DOTALL
)
Attributes: TypeAlias = Mapping[str, str]


class Post(NamedTuple):
    """A row's numbers and where it starts; `parent` is -1 where there is none."""

    offset: int
    line: int
    kind: int
    id: int
    parent: int
    score: int


class BadPost(NamedTuple):
    """A row that lacks what every post has."""

    line: int
    id: str
    fault: BadRow


def posts(file: BinaryIO, name: str) -> Iterator[Post | BadPost]:
    """Yield the numbers of each row, in the file's order and bounded memory.

    Args:
        file: the dump, at its start.
        name: what errors call it.

    Raises:
        DataError: the file is no `Posts.xml`, not well-formed, or not UTF-8; with its line.
    """
    base = file.tell()  # behind a byte-order mark
    head = file.read(4096)
    start = START.match(head)
    if start is None or start[1] != b"posts":
        found = start[1].decode("utf-8", "replace") if start else short(head[:60].decode("latin-1"))
        raise DataError(
            "this is no Posts.xml of a Stack Exchange dump",
            where=name,
            found=f"the element <{found}>" if start else found,
            expected="<posts> with a <row> for each post",
        )
    first = base + start.end()
    yield from _lines(file, name, first, 1 + start[0].count(b"\n"))


def _lines(file: BinaryIO, name: str, offset: int, number: int) -> Iterator[Post | BadPost]:
    """Read row by row as the exporter lays them out; whatever else comes, expat reads on."""
    file.seek(offset)
    carry = b""
    while chunk := file.read(CHUNK):
        block, cut, carry_new = _whole_lines(carry + chunk)
        if not cut or not _is_utf8(block):
            break
        for line in block.split(b"\n"):
            post = _quick(line, offset, number)
            if post is None and line.strip():
                attributes = _row_alone(line)
                if attributes is None:
                    yield from _parsed(file, name, offset, number)
                    return
                post = _post(attributes, offset, number)
            if post is not None:
                yield post
            offset += len(line) + 1
            number += 1
        carry = carry_new
    yield from _parsed(file, name, offset, number)


def _quick(line: bytes, offset: int, number: int) -> Post | None:
    """Take the numbers of a row as the exporter writes it; None for any other line."""
    found = HEAD.match(line)
    if found is None or not line.endswith((b"/>", b"/>\r")):
        return None
    if line.count(b"<") != 1 or line.count(b'"') % 2:
        return None
    key, kind, parent, score = found.groups()
    if kind == b"2" and parent is None:
        return None
    return Post(offset, number, int(kind), int(key), int(parent or -1), int(score))


def _row_alone(line: bytes) -> Attributes | None:
    """Return the attributes of a line that is one `<row>` by itself, else None."""
    seen: list[tuple[str, Attributes]] = []
    parser = expat.ParserCreate("UTF-8")
    parser.StartElementHandler = lambda tag, attributes: seen.append((tag, attributes))
    try:
        parser.Parse(line, True)
    except expat.ExpatError:
        return None
    return seen[0][1] if len(seen) == 1 and seen[0][0] == "row" else None


def _whole_lines(data: bytes) -> tuple[bytes, bool, bytes]:
    """Part data behind its last line end; says whether there is one."""
    cut = data.rfind(b"\n")
    return data[: max(cut, 0)], cut >= 0, data[cut + 1 :]


def _is_utf8(block: bytes) -> bool:
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _parsed(file: BinaryIO, name: str, offset: int, number: int) -> Iterator[Post | BadPost]:
    """Read the rest of the file, from the start of a line, as XML."""
    prefix = b"<posts>"
    seen: list[Post | BadPost] = []
    parser = expat.ParserCreate("UTF-8")

    def row(tag: str, attributes: dict[str, str]) -> None:
        if tag == "row":
            where = offset + parser.CurrentByteIndex - len(prefix)
            seen.append(_post(attributes, where, number + parser.CurrentLineNumber - 1))

    parser.StartElementHandler = row
    file.seek(offset)
    chunk, fed = prefix, 0
    while True:
        try:
            parser.Parse(chunk, not chunk)
        except expat.ExpatError as fault:
            rest = chunk[max(0, parser.ErrorByteIndex - fed) :]
            column = fault.offset - (len(prefix) if fault.lineno == 1 else 0)
            raise _broken(
                fault, f"{name} line {number + fault.lineno - 1}", column, rest
            ) from fault
        yield from seen
        seen.clear()
        if not chunk:
            return
        fed += len(chunk)
        chunk = file.read(CHUNK)


def _broken(fault: expat.ExpatError, where: str, column: int, rest: bytes) -> DataError:
    if rest[:1] >= b"\x80":  # expat takes every other byte above 127
        return DataError(
            "not UTF-8",
            where=where,
            found=f"byte 0x{rest[0]:02x} at column {column + 1}",
            hint="save the file as UTF-8",
        )
    return DataError(
        "not well-formed XML",
        where=where,
        found=f"{expat.ErrorString(fault.code)} at column {column + 1}",
        hint="the dump is cut off or damaged: unpack or fetch it again",
    )


def _post(attributes: Attributes, offset: int, line: int) -> Post | BadPost:
    """Take a row's numbers."""
    try:
        kind = _number(attributes, "PostTypeId")
        parent = _number(attributes, "ParentId") if kind == ANSWER else -1
        key, score = _number(attributes, "Id"), _number(attributes, "Score")
    except BadRow as fault:
        return BadPost(line, attributes.get("Id", ""), fault)
    return Post(offset, line, kind, key, parent, score)


def _number(attributes: Attributes, name: str) -> int:
    text = attributes.get(name)
    if text is None:
        found = short(", ".join(attributes), 200) or "no attributes"
        raise BadRow(f"the row has no {name}", found=found, expected=f'{name}="..."')
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise BadRow(f"{name} is no whole number", found=short(text))
    return int(text)


class _Found(Exception):
    """Carries a row's attributes out of the parser."""

    def __init__(self, attributes: dict[str, str]) -> None:
        self.attributes = attributes


def attributes_at(file: BinaryIO, offset: int, name: str) -> Attributes:
    """Return the attributes of the row that starts at a place, unescaped.

    Raises:
        DataError: it is not well-formed.
    """

    def row(_: str, attributes: dict[str, str]) -> None:
        raise _Found(attributes)

    parser = expat.ParserCreate("UTF-8")
    parser.StartElementHandler = row
    file.seek(offset)
    size, fed = 1 << 13, 0
    while True:
        chunk = file.read(size)
        try:
            parser.Parse(chunk, not chunk)
        except _Found as found:
            return found.attributes
        except expat.ExpatError as fault:
            rest = chunk[max(0, parser.ErrorByteIndex - fed) :]
            where = f"{name} line {_line_at(file, offset) + fault.lineno - 1}"
            raise _broken(fault, where, fault.offset, rest) from fault
        fed += len(chunk)
        size = min(2 * size, MAX_ROW)


def _line_at(file: BinaryIO, offset: int) -> int:
    """Return the number of the line that holds a place; only asked for an error."""
    file.seek(0)
    number = 1
    while offset > 0 and (chunk := file.read(min(CHUNK, offset))):
        number += chunk.count(b"\n")
        offset -= len(chunk)
    return number
