"""Lines of JSON: what the scanner takes is what Python's json reads, and never more."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from togi.data.features import Features
from togi.data.featuriser import Featuriser
from togi.data.kernels.table import ASK, BLANK, ESCAPED, PLAIN
from togi.data.lines import Bad, field_of
from togi.data.shards.cut import Shard, cut, source_of
from togi.data.shards.indexing import Indexed, IndexJob, index_shard
from togi.data.shards.kept import Kept
from togi.data.shards.reading import Reading, blocks
from togi.errors import DataError

GOOD = [
    '{"text": "a"}',
    ' {"x": [1, -2.5e+3, {"y": [[], {}]}], "text" : "a b" , "z": null} ',
    '{"text":"a \\u00e9 \\ud83d\\ude00 \\n\\t\\"\\\\\\/", "n": 0, "t": true, "f": false}',
    '{"text": "first", "text": "last"}',
    '{"": "", "text": "é中😀", "e": 1E-7}',
]
BAD = [
    "{", "[]", '"text"', '{"text": }', '{"text": "a"', '{"text": "a}', '{"text": "a"} x',
    '{"text": "a",}', '{"text": "a" "b": 1}', '{"text": "a\\x"}', '{"text": "a\\u12g4"}',
    '{"text": "a\tb"}', '{"text": "a", "n": 01}', '{"text": "a", "n": 1.}',
    '{"text": "a", "n": +1}',
    '{"text": "a", "n": [1,]}', '{"text": "a", "n": {"a" 1}}', '{"text": "a", "n": tru}',
    '{"text": "a", "n": [1}}', "{'text': 'a'}", '{"text": "a", "n": .5}', '{"text": "a", n: 1}',
    '{"text": "a", "n": nul}', '{"text": "a", "n": "\\ud8"}', '{"text": "a", "n": -}',
]  # fmt: skip


def scan(line: bytes, field: str = "text") -> tuple[int, str | None]:
    """What the scanner says of one line, and the text it found."""
    worker = Featuriser(Features())
    status, _, start, end = worker._scan(line, field)[0]
    if status not in (PLAIN, ESCAPED):
        return int(status), None
    raw = line[start:end].decode()
    return int(status), json.loads(f'"{raw}"') if status == ESCAPED else raw


@pytest.mark.parametrize("line", GOOD)
def test_good_lines_are_taken(line: str) -> None:
    assert scan(line.encode())[1] == json.loads(line)["text"]


@pytest.mark.parametrize("line", BAD)
def test_bad_lines_are_left_to_python_which_refuses_them(line: str) -> None:
    assert scan(line.encode())[0] == ASK
    assert isinstance(field_of(line.encode(), "text"), Bad)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["text", "a", "é"]), values, max_size=3),
    st.booleans(),
    st.integers(0, 200),
    st.sampled_from(['"', "\\", "{", "]", ",", "0", "\x00", "é", " ", "u", ""]),
)
@example({"text": "a", "x": {"y": [1]}}, True, 12, "}")
def test_a_line_with_one_character_changed_is_never_misread(record, ascii_only, at, by) -> None:
    line = json.dumps(record, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    text = line.decode("utf-8", "surrogatepass")
    text = text[: at % len(text)] + by + text[at % len(text) + 1 :]
    line = text.encode("utf-8", "surrogatepass").replace(b"\n", b" ")
    status, found = scan(line)
    if status in (PLAIN, ESCAPED):
        assert json.loads(line)["text"] == found
    elif status == BLANK:
        assert not line.strip()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=8))
def test_only_utf8_is_taken(noise: bytes) -> None:
    line = b'{"text": "' + noise.replace(b"\n", b"") + b'"}'
    status, found = scan(line)
    if status != ASK:
        assert found == json.loads(line.decode("utf-8"))["text"]


@pytest.mark.parametrize("noise", [b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe4\xb8"])
def test_ill_formed_utf8_is_refused(noise: bytes) -> None:
    line = b'{"text": "abcdefgh' + noise + b'"}'
    assert scan(line)[0] == ASK
    assert field_of(line, "text").reason == "not UTF-8"


def index(path: Path, *, on_bad: str = "error", threads: int = 1) -> tuple[Indexed, list[int]]:
    """What is counted of a file, and the words of each of its documents."""
    folder = path.parent / "kept"
    job = IndexJob(
        folder=str(folder), shard=Shard(0, source_of(path)), reading=Reading(),
        features=Features(), on_bad=on_bad, spill=False, threads=threads,
    )  # fmt: skip
    found = index_shard(job)
    words = [n for _, some in Kept(folder, 0).documents() for n in some["words"].tolist()]
    return found, words


def test_what_python_alone_understands_is_still_read(tmp_path: Path) -> None:
    """NaN, an escaped name of the field, and nesting beyond the scanner's depth."""
    lines = ['{"text": "a b", "x": NaN}', '{"te\\u0078t": "a b c"}',
             '{"text": "a", "x": ' + "[" * 70 + "]" * 70 + "}"]  # fmt: skip
    path = tmp_path / "raw.jsonl"
    path.write_text("\n".join(lines))
    assert index(path)[1] == [2, 3, 1]


def refused(path: Path, **options) -> DataError:
    with pytest.raises(DataError) as caught:
        index(path, **options)
    return caught.value


@pytest.mark.parametrize(
    ("line", "problem", "found"),
    [
        ('{"contents": "a", "id": 3}', "no field 'text'", "contents, id"),
        ('{"text": 7}', "'text' is no text", "7"),
        ('{"text": "a"', "not JSON", "Expecting ',' delimiter"),
        ("[1]", "not a JSON object", "list"),
        ('{"text": "\udcff"}', "not UTF-8", "byte 0xff at column 11"),
    ],
)  # fmt: skip
def test_a_bad_line_is_told_by_file_and_number(tmp_path, line, problem, found) -> None:
    path = tmp_path / "raw.jsonl"
    text = '{"text": "fine"}\n\n' + line + '\n{"text": "fine"}\n'
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    error = refused(path, threads=2)
    assert error.where == f"{path} line 3"
    assert error.problem == problem
    assert found in error.found
    found, words = index(path, on_bad="skip")
    assert found.dropped == {problem: 1, "blank line": 1}
    assert words == [1, 1]


def test_line_numbers_run_on_over_blocks(tmp_path: Path) -> None:
    path = tmp_path / "raw.jsonl"
    path.write_text('{"text": "' + "word " * 50 + '"}\n' * 1)
    good = '{"text": "' + "word " * 50 + '"}\n'
    path.write_text(good * 6000 + "oops\n" + good * 6000)  # about six blocks
    assert refused(path, threads=2).where.endswith("line 6001")


def test_absent_and_damaged_files_are_told(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "absent.jsonl").found
    path = tmp_path / "raw.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "a"}\n' * 10_000)[:-20])
    assert "middle" in refused(path).problem
    path.write_bytes(b"not gzip")
    assert str(path) in refused(path).where


@pytest.mark.parametrize("piece", [1, 3, 10, 1000])
@pytest.mark.parametrize("size", [1, 2, 7, 64, 1 << 19])
def test_blocks_are_whole_lines_and_nothing_is_lost(tmp_path: Path, size: int, piece: int) -> None:
    for data in (b"", b"\n", b"a\nbb\n\nccc\n", b"a\nbb", b"x" * 300 + b"\n" + b"y" * 90, b"\n\nz"):
        path = tmp_path / "raw.txt"
        path.write_bytes(data)
        shards = cut([source_of(path)], piece)
        assert len(shards) == max(1, -(-len(data) // piece))
        found = [block for shard in shards for block in blocks(shard, Reading(), size)]
        assert b"".join(block.content for block in found) == data
        ends = np.cumsum([0, *(len(block.content) for block in found)])
        assert [block.start for block in found] == ends[:-1].tolist()
        assert all(block.content.endswith(b"\n") for block in found[:-1])


def test_compressed_plain_and_windows_lines_read_alike(tmp_path: Path) -> None:
    texts = ["one two", "three é", "four five six"]
    lines = [json.dumps({"text": text}) for text in texts]
    files = {
        "a.jsonl": "\n".join(lines).encode(),
        "b.jsonl": "\r\n".join(lines).encode(),
        "c.jsonl.gz": gzip.compress("\n".join(lines).encode()),
        "d.txt": "\n".join(texts).encode(),
        "e.txt": "\r\n".join(texts).encode(),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        found, words = index(tmp_path / name)
        assert (found.documents, words) == (3, [2, 2, 3]), name
