r"""A post's HTML as text: code blocks, lists and quotations stay readable, every other tag goes.

A tokenizer of one regular expression, not a tree: posts are short and many. Python's own
`html.parser` is not used, as it raises on some broken marks and differs between releases.

>>> clean_html("<p>Use <code>a &lt; b</code>:</p><pre><code>if a:\n    b()\n</code></pre>")
'Use `a < b`:\n\n```\nif a:\n    b()\n```'
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Collection
from dataclasses import dataclass

TOKEN = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<!\[CDATA\[(?P<cdata>.*?)(?:\]\]>|\Z)"
    r"|<(?P<end>/?)(?P<tag>[A-Za-z][A-Za-z0-9]*)(?=[\s/>])"
    r"(?:(?:[^<>\"']++|\"[^\"]{0,4000}+\"|'[^']{0,4000}+')*+|[^<>]*+)>"
    r"|<[!?][^<>]{0,4000}+>",
    re.DOTALL,
)
BLOCKS = frozenset(["p", "div", "hr", "table", "section", "article", "header", "footer"]) | {
    *("h1", "h2", "h3", "h4", "h5", "h6", "dl", "dt", "dd", "details", "summary")
}
LISTS = frozenset(["ul", "ol"])
HIDDEN = frozenset(["script", "style"])
SCRIPTS = {"sup": "^", "sub": "_"}
URL = re.compile(r"\b(?:https?|ftp)://[^\s<>]*[^\s<>.,;:!?)\]'\"]")
SPACE = re.compile(r"[ \t\r\n\f]+")
RAISED = re.compile(r"[0-9+\-−]{1,8}|[A-Za-z]")
FENCES = re.compile(r"`+")


@dataclass(slots=True)
class _Open:
    """An open element whose lines are marked: a quotation, a list, or an item with its bullet."""

    tag: str
    mark: str = ""
    count: int = 0
    told: bool = False

    def prefix(self) -> str:
        """Return what the next line starts with: a bullet once, then its width in spaces."""
        told, self.told = self.told, True
        return " " * len(self.mark) if told and self.tag == "li" else self.mark


class _Writer:
    """Lines of text with the marks of the quotations and lists that they stand in."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line: list[str] = []
        self.open: list[_Open] = []
        self.gap = False

    def text(self, text: str) -> None:
        """Append running text, its white space made single spaces."""
        text = SPACE.sub(" ", text)
        if not self.line or self.line[-1].endswith(" "):
            text = text.lstrip(" ")
        if text:
            self.line.append(text)

    def end_line(self, gap: bool = False) -> None:
        """End the line; `gap` asks for an empty one before the next."""
        text = "".join(self.line).rstrip(" ")
        self.line = []
        if text:
            self.put(text)
        self.gap = self.gap or gap

    def put(self, text: str) -> None:
        """Write one line as it is, below an empty one where that is due."""
        self.fill_gap()
        self.lines.append("".join(one.prefix() for one in self.open) + text)

    def fill_gap(self) -> None:
        """Write the empty line that is due, marked as the quotation that it stands in."""
        begins = any(one.tag == "blockquote" and not one.told for one in self.open)
        if self.gap and self.lines and not begins:
            self.lines.append("".join(one.mark for one in self.open if one.tag != "li").rstrip())
        self.gap = False

    def verbatim(self, code: str) -> None:
        """Write a code block between fences that no line of it can close."""
        self.end_line(gap=True)
        longest = max((len(ticks) for ticks in FENCES.findall(code)), default=0)
        fence = "`" * max(3, longest + 1)
        for line in (fence, *code.split("\n"), fence):
            self.put(line)
        self.gap = True

    def start(self, tag: str) -> None:
        """Open a quotation, a list or an item."""
        inner = tag in LISTS and self.last(LISTS) >= 0
        self.end_line(gap=tag != "li" and not inner)
        if tag == "li":
            self._item()
            return
        if tag == "blockquote":
            self.fill_gap()
        self.open.append(_Open(tag, "> " if tag == "blockquote" else ""))

    def _item(self) -> None:
        """Open an item; one of the same list that was never closed ends here."""
        if self.last(["li"]) > self.last(LISTS):
            self.end("li")
        place, mark = self.last(LISTS), "- "
        if place >= 0 and self.open[place].tag == "ol":
            self.open[place].count += 1
            mark = f"{self.open[place].count}. "
        self.open.append(_Open("li", mark))

    def last(self, tags: Collection[str]) -> int:
        """Return the place of the innermost open element of these, or -1."""
        places = [place for place, one in enumerate(self.open) if one.tag in tags]
        return places[-1] if places else -1

    def end(self, tag: str) -> None:
        """Close an element and what stands open inside it; one that is not open is passed over."""
        self.end_line(gap=tag != "li")
        place = self.last([tag])
        if place >= 0:
            del self.open[place:]


def _plain(markup: str) -> str:
    """Return the text of a piece of HTML, every character of it kept."""
    broken = re.sub(r"<br\s*/?>", "\n", markup, flags=re.IGNORECASE)
    return html.unescape(TOKEN.sub(lambda found: found["cdata"] or "", broken))


def _closing(tag: str, markup: str, start: int) -> tuple[int, int] | None:
    """Return where the content of an element ends and where the text goes on."""
    found = re.compile(rf"</{tag}\s*>", re.IGNORECASE).search(markup, start)
    return (found.start(), found.end()) if found else None


def _code_span(code: str) -> str:
    """Return inline code between backticks that it cannot close.

    >>> _code_span("a`b")
    '`` a`b ``'
    """
    code = SPACE.sub(" ", code) if "\n" in code else code
    if "`" not in code:
        return f"`{code}`" if code else ""
    ticks = "`" * (max(map(len, FENCES.findall(code))) + 1)
    return f"{ticks} {code} {ticks}"


class _Cleaner:
    """Walks over the marks of one post."""

    def __init__(self, markup: str) -> None:
        self.markup, self.at = markup, 0
        self.out = _Writer()

    def run(self) -> str:
        while found := TOKEN.search(self.markup, self.at):
            self._text(self.markup[self.at : found.start()])
            self.at = found.end()
            if found["tag"]:
                self._mark(found["tag"].lower(), bool(found["end"]))
            elif found["cdata"]:
                self.out.text(found["cdata"])
        self._text(self.markup[self.at :])
        self.out.end_line()
        return "\n".join(self.out.lines).strip("\n")

    def _text(self, markup: str) -> None:
        text = html.unescape(markup) if "&" in markup else markup
        self.out.text(URL.sub("", text) if "://" in text else text)

    def _mark(self, tag: str, ends: bool) -> None:
        if tag in ("pre", "code") or tag in HIDDEN:
            if not ends:
                self._whole(tag)
        elif tag == "br":
            self.out.end_line()
        elif tag in BLOCKS:
            self.out.end_line(gap=True)
        elif tag == "tr":
            self.out.end_line()
        elif tag in ("td", "th") and ends:
            self.out.text(" | ")
        elif tag in LISTS or tag in ("li", "blockquote"):
            (self.out.end if ends else self.out.start)(tag)
        elif tag in SCRIPTS and not ends:
            self._script(tag)

    def _whole(self, tag: str) -> None:
        """Take an element with its content at once: code as it stands, scripts not at all."""
        ends = _closing(tag, self.markup, self.at)
        if ends is None and tag == "code":  # never closed: what follows is ordinary text
            return
        stop, after = ends or (len(self.markup), len(self.markup))
        content, self.at = self.markup[self.at : stop], after
        if tag == "pre":
            code = _plain(content)
            if code.strip():
                self.out.verbatim(code.removeprefix("\n").rstrip("\n"))
        elif tag == "code" and (span := _code_span(_plain(content))):
            self.out.line.append(span)

    def _script(self, tag: str) -> None:
        """Keep x² from becoming x2: a short superscript or subscript gets its usual mark."""
        ends = _closing(tag, self.markup, self.at)
        content = self.markup[self.at : ends[0]] if ends else ""
        if ends and RAISED.fullmatch(content):
            self.at = ends[1]
            shown = content if len(content) == 1 else f"({content})"
            self.out.line.append(SCRIPTS[tag] + shown)


def clean_html(markup: str) -> str:
    r"""Return a post as text.

    Code blocks stand between fences, inline code between backticks, list items behind `- ` or
    their number, quotations behind `> `. Links keep their text; bare addresses, images, scripts
    and comments go. Never raises: what is no mark is text.

    >>> clean_html('<p>See <a href="x">the manual</a>:</p><ul><li>one</li><li>two</li></ul>')
    'See the manual:\n\n- one\n- two'
    """
    return _Cleaner(markup).run()


def longest(markup: str) -> float:
    """Bound the length of `clean_html(markup)` from above without doing it, in characters.

    Infinite where lists or quotations indent lines; else tags are at least as long as what
    stands in their place, but for the fences of code.

    >>> longest("<p>Twenty characters</p>") >= len("Twenty characters"), longest("<ul><li>")
    (True, inf)
    """
    low = markup.lower()
    if "<li" in low or "<blockquote" in low:
        return math.inf
    return len(markup) + 8 * (1 + low.count("<pre")) + 2 * markup.count("`")
