"""A post's HTML as text: code and lists kept, everything else gone, nothing raised."""

from __future__ import annotations

import html
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.data.dumps.html_text import clean_html, longest


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>One.</p>\n\n<p>Two\nlines.</p>", "One.\n\nTwo lines."),
        ("<p>a<br>b<br/>c</p>", "a\nb\nc"),
        ("<h2>Head</h2><p>x <b>bold</b> <em>it</em></p><hr/>", "Head\n\nx bold it"),
        ("<p>a &lt; b &amp;&amp; c&nbsp;d</p>", "a < b && c\xa0d"),
        ('<p><a href="http://x.org/a">the site</a> and http://x.org/b?c=d.</p>', "the site and ."),
        ('<p><img src="a.png" alt="picture">seen</p>', "seen"),
        ("<p>E = mc<sup>2</sup>, H<sub>2</sub>O, 10<sup>-12</sup>, 4<sup>th</sup></p>",
         "E = mc^2, H_2O, 10^(-12), 4th"),
        ("<!-- begin snippet --><p>a</p><script>var i = 1 < 2;</script><style>p {}</style>", "a"),
        ("a < b and <3 and <- c", "a < b and <3 and <- c"),
        ("a <![foo x]> b <?php x ?> c <!doctype html>", "a b c"),
        ("<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>",
         "a | b |\n1 | 2 |"),
        ("<kbd>Ctrl</kbd>+<kbd>C</kbd>", "Ctrl+C"),
        ('<a title="5 > 3" href=\'x\'>y</a>', "y"),
        ("", ""),
    ],
)  # fmt: skip
def test_marks_become_text(markup: str, text: str) -> None:
    assert clean_html(markup) == text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ("<ol><li>a</li><li>b<ul><li>c</li></ul></li></ol><p>d</p>", "1. a\n2. b\n   - c\n\nd"),
        ("<ul><li>never<li>closed</ul>", "- never\n- closed"),
        ("<ul>\n<li><p>loose</p></li>\n<li><p>list</p></li>\n</ul>", "- loose\n\n- list"),
        ("<ol><li>see<pre><code>x\n  y</code></pre></li></ol>",
         "1. see\n\n   ```\n   x\n     y\n   ```"),
        ("<p>a</p><blockquote><p>b<br>c</p><p>d</p></blockquote><p>e</p>",
         "a\n\n> b\n> c\n>\n> d\n\ne"),
        ("<blockquote><ul><li>a</li></ul></blockquote>", "> - a"),
        ("</li></ul>x<li>y", "x\n- y"),
    ],
)  # fmt: skip
def test_lists_and_quotations_stay_readable(markup: str, text: str) -> None:
    assert clean_html(markup) == text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<pre><code>if a &lt; b:\n    c()\n</code></pre>", "```\nif a < b:\n    c()\n```"),
        ("<pre class='lang-py s'>\nx\n</pre>", "```\nx\n```"),
        ("<pre><code>```\nfence\n```</code></pre>", "````\n```\nfence\n```\n````"),
        ("<p>Call <code>f(i)</code> or <code>a`b</code>.</p>", "Call `f(i)` or `` a`b ``."),
        ("<pre>never closed &amp; all code", "```\nnever closed & all code\n```"),
        ("<code>never closed is text", "never closed is text"),
        ("<pre></pre><code></code>x", "x"),
        ("<PRE>A</PRE>", "```\nA\n```"),
    ],
)
def test_code_is_kept_as_it_stands(markup: str, text: str) -> None:
    assert clean_html(markup) == text


TAGS = ["p", "pre", "code", "ul", "ol", "li", "blockquote", "br", "hr", "td", "sup", "a", "script"]
MARKS = [
    *(f"<{tag}>" for tag in TAGS), *(f"</{tag}>" for tag in TAGS), "<pre><code>", "<!--", "-->",
    "<![CDATA[", "]]>", "<?", "<a href=\"", "<", ">", "&", "&lt;", "&#0;", "`", "```", "\n", "\x00",
]  # fmt: skip
soup = st.lists(st.sampled_from(MARKS) | st.text(max_size=6), max_size=25).map("".join)


@given(soup)
@settings(max_examples=600, deadline=None)
def test_nothing_raises_and_no_text_is_longer_than_said(markup: str) -> None:
    text = clean_html(markup)
    assert len(text) <= longest(markup)
    assert text == text.strip("\n")


code = st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=40)


@given(st.lists(st.tuples(st.sampled_from(["pre", "code", "p", "li"]), code), max_size=6))
@settings(max_examples=400, deadline=None)
def test_no_character_of_code_is_lost(parts: list[tuple[str, str]]) -> None:
    markup = {
        "pre": "<pre><code>{}</code></pre>", "code": "<p><code>{}</code></p>", "p": "<p>{}</p>",
        "li": "<ul><li><pre>{}</pre></li></ul>",
    }  # fmt: skip
    text = clean_html("".join(markup[tag].format(html.escape(inside)) for tag, inside in parts))
    for tag, inside in parts:
        if tag == "pre" and inside.strip():
            assert inside.removeprefix("\n").rstrip("\n") in text
        if tag == "code" and "\n" not in inside and "`" not in inside:
            assert f"`{inside}`" in text
        if tag == "li" and inside.strip():
            for line in inside.strip("\n").split("\n"):
                assert line in text


def test_the_bound_is_infinite_only_where_lines_are_indented() -> None:
    assert longest("<p>" + "x" * 100) < 150
    assert longest("<LI>x") == math.inf
    assert longest("<blockquote>x") == math.inf


def test_long_runs_of_broken_marks_are_read_too() -> None:
    for part in ('<a "', "<!--", "<![", "<", "```", "<pre>", "<b '", "&amp"):
        assert isinstance(clean_html(part * 20_000), str)
    assert re.search(r"x$", clean_html("<a " * 5000 + "x"))
