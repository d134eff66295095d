"""Stack Exchange dumps: streamed by numbers, joined, read in bounded memory, broken ones told."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lima_toys import answer, good_body, posts, question, row, several_sites, site

from togi.data.dumps.html_text import clean_html
from togi.data.dumps.posts import BadPost, Post, _parsed, attributes_at
from togi.data.dumps.posts import posts as read_posts
from togi.data.dumps.reading import Reading
from togi.data.dumps.stackexchange import Dump, dumps_in, licence_of, site_of
from togi.data.dumps.threads import Lost, Threads
from togi.data.lima import Entry, Left, Limits
from togi.errors import DataError

RULES = frozenset(["score", "length"])


def write(folder: Path, text: str | bytes, name: str = "Posts.xml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def dump(path: Path, **changes: object) -> Dump:
    settings = {"rules": RULES, "limits": Limits(score=10, least=1200), "spill": path.parent}
    return Dump(path, Reading(**{**settings, "site": "x.org", **changes}))


def numbers(path: Path) -> list[Post | BadPost]:
    with path.open("rb") as file:
        file.seek(3 if file.read(3) == b"\xef\xbb\xbf" else 0)
        return list(read_posts(file, path.name))


def joined_naively(path: Path, floor: int) -> list[tuple[str, str, str]]:
    """(id, title, answer) of each question's best answer, all of the file in memory."""
    rows = [dict(one.attrib) for one in ET.parse(path).getroot()]
    asked = {one["Id"]: one for one in rows if one["PostTypeId"] == "1"}
    found = []
    for key, ask in asked.items():
        answers = [r for r in rows if r["PostTypeId"] == "2" and r["ParentId"] == key]
        answers = [r for r in answers if int(r["Score"]) >= floor]
        if answers:
            best = min(answers, key=lambda r: (-int(r["Score"]), int(r["Id"])))
            found.append((f"x.org/{best['Id']}", ask["Title"], clean_html(best["Body"])))
    return found


def test_the_stream_finds_what_a_join_in_memory_finds(tmp_path: Path) -> None:
    path = write(tmp_path, posts(site(random.Random(0), "cooking", 60)))
    expected = [one for one in joined_naively(path, 10) if len(one[2]) >= 1200]
    found = [one for one in dump(path).entries() if isinstance(one, Entry)]
    assert 10 < len(found) < 60
    long = [one for one in found if len(one.row.response) >= 1200]
    assert [(one.row.id, one.title, one.row.response) for one in long] == expected


def test_the_cheap_look_at_lengths_changes_no_outcome(tmp_path: Path) -> None:
    """What is left out unread is exactly what the rule on the cleaned text leaves out."""
    path = write(tmp_path, posts(site(random.Random(1), "travel", 50)))
    cheap = list(dump(path).entries())
    read = list(dump(path, rules=frozenset(["score"])).entries())
    unread = {one.id for one in cheap if isinstance(one, Left) and one.rule == "length"}
    short = {e.row.id for e in read if isinstance(e, Entry) and len(e.row.response) < 1200}
    assert unread
    assert unread <= short
    kept = {e.row.id for e in cheap if isinstance(e, Entry) and len(e.row.response) >= 1200}
    assert kept == {e.row.id for e in read if isinstance(e, Entry)} - short


LAYOUTS = {
    "as exported": lambda text: text,
    "Windows lines": lambda text: text.replace("\n", "\r\n"),
    "one line": lambda text: text.replace("\n", " "),
    "indented and broken": lambda text: text.replace(' Score="', '\n    Score="'),
    "single quotes": lambda text: text.replace('PostTypeId="2"', "PostTypeId='2'"),
    "closed apart": lambda text: text.replace(" />", "></row>"),
    "score behind": lambda text: text.replace(' Score="12"', "").replace(" Ta", ' Score="12" Ta'),
    "no mark": lambda text: text.lstrip("﻿"),
    "comment": lambda text: text.replace("<posts>\n", "<posts>\n<!-- a > b -->\n"),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_laid_out_otherwise_are_read_by_the_parser_to_the_same_end(
    layout: str, tmp_path: Path
) -> None:
    rows = [question(1, 'Is "a" < b & c?', Score=12), answer(2, 1, "<p>é “x” 中 & \t</p>" * 80)]
    rows += [row(Id=3, PostTypeId=5, CreationDate="2019", Score=0, Body="<p>wiki</p>")]
    plain = write(tmp_path / "plain", posts(rows))
    other = write(tmp_path / "other", LAYOUTS[layout](posts(rows)))
    one, two = (list(dump(path).entries()) for path in (plain, other))
    assert one == two
    assert len(one) == 1
    assert one[0].title == 'Is "a" < b & c?'
    assert dump(other).seen == {}


def test_the_quick_reader_and_the_parser_agree_on_places(tmp_path: Path) -> None:
    path = write(tmp_path, posts(site(random.Random(2), "physics", 20)))
    quick = numbers(path)
    with path.open("rb") as file:
        start = path.read_bytes().index(b"  <row")
        parsed = list(_parsed(file, "Posts.xml", start, 3))
        assert [one._replace(offset=0) for one in quick] == [
            one._replace(offset=0) for one in parsed
        ]
        for one, two in zip(quick, parsed, strict=True):
            assert attributes_at(file, one.offset, "x") == attributes_at(file, two.offset, "x")
    lines = path.read_text().splitlines()
    assert all(f'Id="{one.id}"' in lines[one.line - 1] for one in quick)


@pytest.mark.parametrize("packed", ["Posts.xml.gz", "Posts.xml.zst"])
def test_packed_dumps_give_the_same(packed: str, tmp_path: Path) -> None:
    text = posts(site(random.Random(3), "cooking", 30)).encode()
    plain = write(tmp_path / "a", text)
    path = tmp_path / "b" / packed
    path.parent.mkdir()
    if packed.endswith("gz"):
        path.write_bytes(gzip.compress(text))
    else:
        path.write_bytes(pyarrow.compress(text, "zstd", asbytes=True))
    assert dumps_in(path.parent) == [path]
    assert list(dump(path).entries()) == list(dump(plain).entries())
    assert [p.name for p in path.parent.iterdir()] == [packed]  # the unpacked copy has no name


def broken(text: str, wrong: str) -> str | bytes:
    body = text.encode()
    return {
        "cut in a row": text[: text.index("ParentId") + 4],
        "cut between rows": text.removesuffix("</posts>\n"),
        "raw less-than": text.replace("Answer body", "a < b"),
        "raw ampersand": text.replace("Answer body", "a & b"),
        "quote": text.replace('Score="30"', 'Score="30'),
        "two ends": text + "</posts>\n",
        "latin-1": body.replace(b"Answer body", b"caf\xe9"),
    }[wrong]


@pytest.mark.parametrize(
    ("wrong", "told", "line"),
    [
        ("cut in a row", "not well-formed XML", 4),
        ("cut between rows", "no element found", 5),
        ("raw less-than", "not well-formed XML", 4),
        ("raw ampersand", "not well-formed XML", 4),
        ("quote", "not well-formed XML", 4),
        ("two ends", "not well-formed XML", 6),
        ("latin-1", "not UTF-8. Found: byte 0xe9 at column", 4),
    ],
)
def test_a_broken_dump_is_told_with_its_line(
    wrong: str, told: str, line: int, tmp_path: Path
) -> None:
    text = posts([question(1, "Why?"), answer(2, 1, "<p>Answer body.</p>", 30)])
    path = write(tmp_path, broken(text, wrong))
    with pytest.raises(DataError) as caught:
        list(dump(path, limits=Limits(score=10, least=0)).entries())
    assert told in str(caught.value)
    assert caught.value.where.endswith(f"Posts.xml line {line}")


def test_a_row_that_is_left_out_for_its_numbers_may_be_broken_inside(tmp_path: Path) -> None:
    """It is looked at no further; the same row among the wanted ones is an error."""
    rows = [question(1, "Why?"), answer(2, 1, "Answer", 3).replace("Answer", "a & b")]
    found = list(dump(write(tmp_path, posts(rows))).entries())
    assert found == [Left("x.org/2", "score", "score below 10")]


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (' Score="20"', "the row has no Score"),
        (' ParentId="1"', "the row has no ParentId"),
        (' Id="2"', "the row has no Id"),
        (' PostTypeId="2"', "the row has no PostTypeId"),
        (' Body="Answer"', "the post has no Body"),
    ],
)
def test_a_post_that_lacks_something_is_an_error_or_is_counted(
    missing: str, told: str, tmp_path: Path
) -> None:
    text = posts([question(1, "Why?"), answer(2, 1, "Answer"), answer(3, 1, "Other", 15)])
    path = write(tmp_path, text.replace(missing, ""))
    limits = Limits(score=10, least=0)
    with pytest.raises(DataError) as caught:
        list(dump(path, limits=limits).entries())
    assert told in str(caught.value)
    assert "Posts.xml" in caught.value.where
    found = list(dump(path, limits=limits, on_bad="skip").entries())
    assert told in [one.reason for one in found if isinstance(one, Left)]


def test_a_score_that_is_no_number_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, posts([question(1, "Why?"), answer(2, 1, "x", "many")]))
    with pytest.raises(DataError, match="Score is no whole number") as caught:
        list(dump(path).entries())
    assert caught.value.found == "'many'"
    assert caught.value.where.endswith("line 4")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"<users><row/></users>", "Found: the element <users>"),
        (b"nothing of XML", "this is no Posts.xml"),
        (b"", "this is no Posts.xml"),
        (b"7z\xbc\xaf\x27\x1c....", "unpack it first: 7z x Posts.xml"),
        ("<posts></posts>".encode("utf-16"), "the text is UTF-16"),
        (gzip.compress(b"<posts>" * 900)[:30], "the gzip is damaged or cut off"),
        (b"\x28\xb5\x2f\xfdrubbish", "the zstd is damaged or cut off"),
    ],
)
def test_what_is_no_dump_is_told(text: bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        list(dump(write(tmp_path, text)).entries())
    assert told in str(caught.value)


@given(st.binary(max_size=200), st.integers(0, 400))
@settings(max_examples=300, deadline=None)
def test_whatever_is_written_over_a_dump_it_is_read_or_told(tmp_path_factory, noise, at) -> None:
    text = posts([question(1, "Why?"), answer(2, 1, "<p>a</p>"), answer(3, 9, "b")]).encode()
    path = write(tmp_path_factory.mktemp("noise"), text[:at] + noise + text[at + len(noise) :])
    found: list[object] = []
    try:
        found.extend(dump(path, limits=Limits(score=None, least=0), on_bad="skip").entries())
    except DataError as error:
        found.append(error.where)
    assert all(isinstance(one, Entry | Left | str) and one for one in found)


def test_the_best_answer_is_taken_and_every_other_one_counted(tmp_path: Path) -> None:
    body = good_body(random.Random(0), "cooking")
    rows = [question(1, "First one?"), answer(2, 1, body, 11), answer(3, 1, body, 30)]
    rows += [answer(4, 1, body, 30), answer(5, 1, body, 9), answer(6, 77, body, 99)]
    rows += [question(7, "None yet?"), row(Id=8, PostTypeId=4, CreationDate="2019", Score=0)]
    one = dump(write(tmp_path, posts(rows)))
    found = list(one.entries())
    assert [e.row.id for e in found if isinstance(e, Entry)] == ["x.org/3"]  # older of equals
    assert sorted(e for e in found if isinstance(e, Left)) == [
        ("x.org/2", "top_answer", "not the best answer of its question"),
        ("x.org/4", "top_answer", "not the best answer of its question"),
        ("x.org/5", "score", "score below 10"),
        ("x.org/6", "question", "its question is not there"),
    ]
    assert one.seen == {"questions": 2, "answers": 5, "other posts": 1}


def test_a_percentile_is_taken_over_all_answers_of_the_site(tmp_path: Path) -> None:
    rows = [question(n, f"Number {n}?") for n in range(1, 11)]
    rows += [answer(100 + n, n, "<p>x</p>", n) for n in range(1, 11)]
    one = dump(write(tmp_path, posts(rows)), limits=Limits(percentile=80, least=0, score=None))
    found = list(one.entries())
    assert [e.score for e in found if isinstance(e, Entry)] == [8, 9, 10]
    assert {e.reason for e in found if isinstance(e, Left)} == {
        "score below percentile 80 of its site"
    }
    assert one.floors == {"x.org": 8}


def test_attribution_stays(tmp_path: Path) -> None:
    folder = tmp_path / "cooking.stackexchange.com"
    body = good_body(random.Random(0), "cooking")
    rows = [question(1, "How?", Tags="|salt|soup|", AcceptedAnswerId=2), answer(2, 1, body)]
    path = write(
        folder, posts([*rows, question(3, "Who?"), answer(4, 3, body, OwnerDisplayName="Ann")])
    )
    write(folder, "<users>\n<row Id='2' DisplayName='Bob &amp; Co' />\n</users>", "Users.xml")
    one = Dump(path, Reading(rules=RULES, spill=tmp_path))
    found = [e.row for e in one.entries() if isinstance(e, Entry)]
    named = one.attributed(found)
    assert [r.metadata.get("author") for r in found] == [None, "Ann"]
    assert [r.metadata["author"] for r in named] == ["Bob & Co", "Ann"]
    facts = named[0].metadata
    assert facts["url"] == "https://cooking.stackexchange.com/a/2"
    assert facts["author_url"] == "https://cooking.stackexchange.com/users/2"
    assert (facts["tags"], facts["score"], facts["accepted"]) == (["salt", "soup"], 20, True)
    assert (facts["licence"], facts["site"]) == ("CC BY-SA 4.0", "cooking.stackexchange.com")


def test_a_site_that_the_path_does_not_say_has_no_address(tmp_path: Path) -> None:
    path = write(tmp_path / "dump", posts([question(1, "How?"), answer(2, 1, "x")]))
    reading = Reading(rules=frozenset(), limits=Limits(score=None), spill=tmp_path)
    (entry,) = Dump(path, reading).entries()
    assert entry.row.metadata["site"] == "dump"
    assert "url" not in entry.row.metadata


def test_names_of_sites_and_licences_by_date() -> None:
    names = {"a/english.stackexchange.com-Posts.xml": "english.stackexchange.com",
             "superuser/Posts.xml.gz": "superuser.com",
             "x/math.stackexchange.com-posts/Posts.xml": "math.stackexchange.com"}  # fmt: skip
    assert {name: site_of(Path(name)) for name in names} == names
    dates = {"2010-01-01": "2.5", "2011-04-08": "3.0", "2018-05-02": "4.0"}
    for date, version in dates.items():
        assert licence_of({"CreationDate": f"{date}T00:00"}) == f"CC BY-SA {version}"
    assert licence_of({"ContentLicense": "CC BY-SA 4.0", "CreationDate": "2010"}).endswith("4.0")


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(-3, 9)), max_size=40), st.integers(-4, 9))
@settings(max_examples=200, deadline=None)
def test_joining_by_numbers_is_joining_by_hand(answers: list[tuple[int, int]], floor: int) -> None:
    threads = Threads()
    for key in (4, 0, 2):
        threads.ask(key, 100 + key)
    for key, (parent, score) in enumerate(answers):
        threads.answer(1000 + key, parent, score, key)
    found = list(threads.joined(floor))
    best: dict[int, tuple[int, int]] = {}
    for key, (parent, score) in enumerate(answers):
        if score >= floor and (parent not in best or score > answers[best[parent][0]][1]):
            best[parent] = (key, score)
    expected = [
        (100 + q, best[q][0], 1000 + best[q][0], best[q][1]) for q in (0, 2, 4) if q in best
    ]
    assert [tuple(one) for one in found if not isinstance(one, Lost)] == expected
    lost = {one.key - 1000: one.rule for one in found if isinstance(one, Lost)}
    tops = {key for key, _ in best.values()}
    assert lost == {
        key: "score" if score < floor else "top_answer" if key not in tops else "question"
        for key, (parent, score) in enumerate(answers)
        if not (key in tops and parent in (0, 2, 4))
    }
    assert np.asarray(threads.scores).tolist() == [score for _, score in answers]


MEMORY = """
import sys, tracemalloc
from pathlib import Path
from togi.data.dumps.reading import Reading
from togi.data.dumps.stackexchange import Dump
tracemalloc.start()
n = sum(1 for _ in Dump(Path(sys.argv[1]), Reading(rules=frozenset(["score", "length"]))).entries())
print(n, tracemalloc.get_traced_memory()[1])
"""


def peak(path: Path) -> tuple[int, int]:
    """Entries that a child process reads from a dump, and the most memory it held for it."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True
    )
    count, most = done.stdout.split()
    return int(count), int(most)


def test_memory_does_not_grow_with_the_texts(tmp_path: Path) -> None:
    """Ten times longer bodies, 12 MB of them, go through the same 8 MB."""
    draw = random.Random(0)
    sizes = {}
    for name, paragraphs in (("short", 6), ("long", 60)):
        bodies = [good_body(draw, "physics", paragraphs) for _ in range(20)]
        rows = []
        for n in range(1, 2 * 300, 2):
            rows += [question(n, f"Is it {n}?", draw.choice(bodies)),
                     answer(n + 1, n, draw.choice(bodies), draw.randint(0, 20))]  # fmt: skip
        path = write(tmp_path / name, posts(rows))
        sizes[name] = (path.stat().st_size, *peak(path))
    assert sizes["long"][0] > 10_000_000
    assert sizes["long"][1] == sizes["short"][1] == 300
    assert sizes["long"][2] < 8_000_000
    assert sizes["long"][2] < sizes["short"][2] + 2_000_000


def test_several_sites_are_found_in_a_fixed_order(tmp_path: Path) -> None:
    folder = several_sites(tmp_path / "sites", {"travel": 2, "cooking": 2})
    (folder / "cooking.stackexchange.com" / "Users.xml").write_text("<users/>")
    assert [p.parent.name.split(".")[0] for p in dumps_in(folder)] == ["cooking", "travel"]
