"""Files of every format are read alike, in bounded memory, and each fault says where."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from pathlib import Path

import orjson
import pyarrow
import pyarrow.parquet
import pytest

from togi.errors import DataError, SurroundingsError, UsageError
from togi.rows.packed import open_packed, without_suffix
from togi.rows.read import read_rows
from togi.rows.types import Document, Example, Message
from togi.rows.write import write_rows

RECORDS = [{"prompt": f'p{i}, "x"\nz', "response": f"r{i}"} for i in range(3)]


def csv_of(records: list[dict[str, str]], delimiter: str = ",") -> str:
    quoted = [[f'"{v.replace(chr(34), chr(34) * 2)}"' for v in r.values()] for r in records]
    return "\r\n".join([delimiter.join(records[0]), *map(delimiter.join, quoted)]) + "\r\n"


def make(folder: Path, suffix: str) -> Path:
    """Write RECORDS in the format that the suffix names."""
    path = folder / f"rows{suffix}"
    lines = b"\r\n\r\n".join(orjson.dumps(r) for r in RECORDS)
    content = {
        ".jsonl": lines,
        ".ndjson": lines,
        ".json": orjson.dumps(RECORDS, option=orjson.OPT_INDENT_2),
        ".csv": csv_of(RECORDS).encode(),
        ".tsv": csv_of(RECORDS, "\t").encode(),
    }
    inner = without_suffix(suffix)
    if inner == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(RECORDS), path)
        content[inner] = path.read_bytes()
    data = content[inner]
    path.write_bytes(PACK[suffix.removeprefix(inner)](data))
    return path


PACK = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": lambda data: pyarrow.compress(data, "zstd", asbytes=True),
}


SUFFIXES = [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet"]


@pytest.mark.parametrize("suffix", [s + packed for s in SUFFIXES for packed in PACK])
def test_every_format_gives_the_same_rows(suffix: str, tmp_path: Path) -> None:
    rows = list(read_rows(make(tmp_path, suffix)))
    assert [(row.prompt, row.response) for row in rows if isinstance(row, Example)] == [
        (r["prompt"], r["response"]) for r in RECORDS
    ]
    assert len({row.id for row in rows}) == 3
    assert [row.id for row in read_rows(make(tmp_path, suffix))] == [row.id for row in rows]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_byte_order_mark_is_passed(suffix: str, tmp_path: Path) -> None:
    path = make(tmp_path, suffix)
    plain = list(read_rows(path))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert list(read_rows(path)) == plain


def test_lines_count_with_blank_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "x"}\r\n\r\n  \n{"text": "y"}')
    assert [row.id for row in read_rows(path)] == ["a.jsonl:1", "a.jsonl:4"]


@pytest.mark.parametrize(
    ("name", "content", "where", "problem"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', "a.jsonl line 2", "not valid JSON"),
        ("a.jsonl", b'{"text": "x"}\n{"text": NaN}', "a.jsonl line 2", "not valid JSON"),
        ("a.jsonl", b'{"text": "x"}\n{"text": "\xff"}', "a.jsonl line 2", "not UTF-8"),
        ("a.jsonl", b'{"text": "x"}\n{"text": "\\ud800"}', "a.jsonl line 2", "not valid JSON"),
        ("a.jsonl", b'{"text": "x"}\n["y"]', "a.jsonl line 2", "the row is not an object"),
        ("a.json", b'[{"text": "x"},\n{"text": 1.5}]', "a.json item 2 (line 2)", "is a number"),
        ("a.csv", b"text,b\nx,1\ny\n", "a.csv line 3", "as many fields as the header"),
        ("a.csv", b'text,b\nx,1\n"y"z,2\n', "a.csv line 3", "not valid csv"),
        ("a.csv", b"text,b\nx,1\n\xff,2\n", "a.csv line 3", "not UTF-8"),
        ("a.csv", b'text,b\n"x\n\n",1\n,2\n', "a.csv line 5", "'text' is empty"),
    ],
)
def test_bad_line_is_told_or_skipped(
    name: str, content: bytes, where: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(read_rows(path))
    assert caught.value.where == where
    assert problem in caught.value.problem
    stream = read_rows(path, on_bad="skip")
    assert len(list(stream)) == 1
    assert stream.dropped == {caught.value.problem: 1}


# Without mtime=0 the bytes hold the second they were made in, and two workers name the test apart.
CUT_ZSTD = pyarrow.compress(b'{"text": "x"}\n' * 999, "zstd", asbytes=True)[:-9]
CUT_GZIP = gzip.compress(b'{"text": "x"}\n' * 999, mtime=0)[:-9]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.json", b'[{"text": "x"}, {"text": ', "not valid JSON"),
        ("a.json", b'[{"text": "x"} {"text": "y"}]', "not valid JSON"),
        ("a.json", b'[{"text": "x"}] tail', "not valid JSON"),
        ("a.json", b'[{"text": "x\xff"}]', "not valid JSON"),
        ("a.json", b"[" * 100_000, "not valid JSON"),
        ("a.json", b"[]", "the data set is empty"),
        ("a.json", b"", "the data set is empty"),
        ("a.jsonl", b"\n \n", "the data set is empty"),
        ("a.jsonl", b"nothing\n", "not valid JSON"),
        ("a.jsonl", b"3\n", "the rows are not objects"),
        ("a.jsonl", b'\xff\xfe{\x00"\x00', "the text is UTF-16"),
        ("a.csv", b"", "the data set is empty"),
        ("a.csv", b"prompt,response\n", "the data set is empty"),
        ("a.csv", b"prompt,prompt\na,b\n", "a column stands twice"),
        ("a.csv", b"prompt,\na,b\n", "a column has no name"),
        ("a.csv", b'"prompt\n', "the header line cannot be read"),
        ("a.parquet", b"PAR1 no", "the Parquet file cannot be read"),
        ("a.parquet", b"", "the Parquet file cannot be read"),
        ("a.jsonl.gz", CUT_GZIP, "the gzip is damaged"),
        ("a.jsonl.zst", CUT_ZSTD, "the zstd is damaged"),
        ("a.jsonl.zst", b"\x28\xb5\x2f\xfdrubbish", "the zstd is damaged"),
        ("a.txt", b"", "'text' is empty"),
        ("a.zip", b"PK", "the file's format is not known"),
    ],
)
def test_damage_is_an_error_even_when_rows_are_skipped(
    name: str, content: bytes, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=problem) as caught:
        list(read_rows(path))
    assert caught.value.where
    with pytest.raises(DataError):
        list(read_rows(path, on_bad="skip"))


def test_no_good_row_is_an_empty_data_set(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": ""}\n{"text": 2.5}\n')
    with pytest.raises(DataError, match="no row is left") as caught:
        list(read_rows(path, on_bad="skip"))
    assert caught.value.found == "'text' is empty (1), 'text' is a number, not text (1)"


def test_json_object_may_wrap_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(orjson.dumps({"version": 2, "data": [{"text": "x"}, {"text": "y"}]}))
    assert [row.id for row in read_rows(path)] == ["a.json:1", "a.json:2"]
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    path.write_bytes(orjson.dumps({"messages": talk}))
    assert list(read_rows(path)) == [
        Example(id="a.json:1", prompt=(Message("user", "a"),), response="b")
    ]


def test_json_named_file_of_lines_is_read_by_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"text": "x"}\n{"text": "y"}\n')
    assert [row.id for row in read_rows(path)] == ["a.json:1", "a.json:2"]


def test_csv_cells_may_hold_json(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    talk = [{"role": "user", "content": 'a, "b"'}, {"role": "assistant", "content": "[c]"}]
    path.write_text(csv_of([{"messages": orjson.dumps(talk).decode(), "tag": "t"}]))
    (row,) = read_rows(path)
    assert row == Example(
        id="a.csv:2",
        prompt=(Message("user", 'a, "b"'),),
        response="[c]",
        metadata={"tag": "t"},
    )


def test_csv_text_is_never_parsed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("prompt;response\n[1];{2}\n")
    (row,) = read_rows(path)
    assert row == Example(id="a.csv:2", prompt="[1]", response="{2}")


def test_texts_of_a_folder_and_lines_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.py").write_bytes(b"x = 1\r\n")
    (tmp_path / "one.md").write_text("# One\n")
    (tmp_path / "pic.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden").write_text("no")
    stream = read_rows(tmp_path)
    assert list(stream) == [
        Document(id="b/two.py", text="x = 1\n", metadata={"file": "b/two.py"}),
        Document(id="one.md", text="# One\n", metadata={"file": "one.md"}),
    ]
    assert "2 text files, documents (text); 1 unknown files are left out" in stream.understood
    (tmp_path / "c.txt").write_text("first\n\nsecond\n")
    assert list(read_rows(tmp_path / "c.txt", kind="lines")) == [
        Document(id="c.txt:1", text="first"),
        Document(id="c.txt:3", text="second"),
    ]


def test_folder_of_data_files_is_one_source(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.jsonl").write_text('{"text": "x"}\n{"text": "y"}\n')
    (tmp_path / "README.md").write_text("about")
    stream = read_rows(tmp_path, limit=3)
    assert [row.id for row in stream] == ["a.jsonl:1", "a.jsonl:2", "b.jsonl:1"]
    assert "2 jsonl files" in stream.understood
    assert "1 text files are left out" in stream.understood


def test_missing_sources_say_what_is_near(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text('{"text": "x"}\n')
    with pytest.raises(DataError, match=r"no such file.*did you mean 'pairs.jsonl'"):
        read_rows(tmp_path / "pair.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no file that can be read"):
        read_rows(tmp_path / "empty")
    with pytest.raises(DataError, match="not a hub data set"):
        read_rows("hub:a/b/c")
    with pytest.raises(DataError, match="no such file"):
        read_rows("no\0name")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_forbidden_file_is_a_fault_of_the_surroundings(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x"}\n')
    path.chmod(0)
    with pytest.raises(SurroundingsError, match="cannot be read"):
        read_rows(path)


def test_arguments_are_checked(tmp_path: Path) -> None:
    path = make(tmp_path, ".jsonl")
    with pytest.raises(UsageError, match="on_bad"):
        read_rows(path, on_bad="ignore")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="limit"):
        read_rows(path, limit=0)


def test_limit_counts_rows_not_drops(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x"}\n{"text": ""}\n{"text": "y"}\n{"text": 0.5}\n{"text": "z"}\n')
    stream = read_rows(path, on_bad="skip", limit=2)
    assert [row.id for row in stream] == ["a.jsonl:1", "a.jsonl:3"]
    assert stream.dropped.total() == 1


def test_a_zstd_file_of_several_frames_is_read_to_its_end_and_from_any_place(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(PACK[".zst"](b"0123456789") + PACK[".zst"](b"abcdef"))
    with open_packed(path) as file:
        assert file.read() == b"0123456789abcdef"
        assert (file.seek(12), file.read(2)) == (12, b"cd")
        assert (file.seek(3), file.read(2)) == (3, b"34")


def test_a_window_beyond_what_is_read_says_how_to_unpack(tmp_path: Path, monkeypatch) -> None:
    path = make(tmp_path, ".jsonl.zst")
    fault = EOFError("ZSTD decompress failed: Frame requires too much memory for decoding")
    monkeypatch.setattr("togi.rows.packed._Zstd.readinto", lambda *_: (_ for _ in ()).throw(fault))
    with pytest.raises(DataError) as caught:
        list(read_rows(path))
    assert caught.value.hint == "unpack it first: zstd -d --long=31 rows.jsonl.zst"


def grow(folder: Path, suffix: str) -> Path:
    """Write some 24 MB of rows without holding them."""
    path = folder / f"big{suffix}"
    text = "word " * 200
    if suffix == ".parquet":
        table = pyarrow.table({"text": [text] * 2000})
        with pyarrow.parquet.ParquetWriter(path, table.schema) as writer:
            for _ in range(12):
                writer.write_table(table)
        return path
    openers = {".gz": gzip.open, ".zst": lambda p, _: pyarrow.CompressedOutputStream(p, "zstd")}
    opener = openers.get(path.suffix, open)
    with opener(path, "wb") as file:
        line = orjson.dumps({"text": text})
        start, between, end = {
            ".json": (b"[", b",", b"]"),
            ".csv": (b"text,n\n", b"\n", b"\n"),
        }.get(suffix, (b"", b"\n", b""))
        line = f"{text},1".encode() if suffix == ".csv" else line
        file.write(start + line)
        for _ in range(23_999):
            file.write(between + line)
        file.write(end)
    return path


@pytest.mark.parametrize(
    "suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".csv", ".parquet"]
)
def test_memory_is_bounded_by_the_row_not_the_file(suffix: str, tmp_path: Path) -> None:
    path = grow(tmp_path, suffix)
    list(read_rows(path, limit=1))  # imports are not the stream's memory
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_rows(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 24_000
    assert peak < 4_000_000


def test_memory_of_one_endless_line_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    with pytest.raises(DataError, match="longer than 64 MiB"):
        read_rows(path)


def test_a_disk_that_is_full_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(SurroundingsError, match="No space left"):
        write_rows(tmp_path / "rows.jsonl", [Document(id="a", text="b")])
    assert list(tmp_path.iterdir()) == []


def test_what_json_cannot_hold_is_refused_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bad: the row cannot be written"):
        write_rows(tmp_path / "rows.jsonl", [Document(id="bad", text="\ud800")])
    assert list(tmp_path.iterdir()) == []
