"""Whatever bytes stand in a file: rows or a DataError, never another exception."""

from __future__ import annotations

import contextlib
import gzip
import tempfile
from pathlib import Path

import orjson
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.errors import DataError
from togi.rows.read import read_rows
from togi.rows.shapes import SHAPES
from togi.rows.types import (
    Document,
    Dropped,
    Example,
    Feedback,
    Message,
    Preference,
    Ranking,
    Sample,
)
from togi.rows.write import write_rows

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".parquet", ".jsonl.gz", ".parquet.gz")
ROWS = (Document, Example, Preference, Feedback, Ranking, Sample)


def read_all(content: bytes, suffix: str, **options: object) -> list[object]:
    """Read a file of this content; an error of the data is an answer too."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"fuzz{suffix}"
        path.write_bytes(content)
        found: list[object] = []
        for on_bad in ("skip", "error"):
            with contextlib.suppress(DataError):
                found.extend(read_rows(path, on_bad=on_bad, **options).events())
        return found


def check(found: list[object]) -> None:
    assert all(isinstance(event, (*ROWS, Dropped)) for event in found)
    for event in found:
        assert event.id
        if isinstance(event, ROWS):  # what was read can be written
            with tempfile.TemporaryDirectory() as folder:
                assert write_rows(Path(folder) / "rows.jsonl", [event]) == 1


@given(st.binary(max_size=300), st.sampled_from(SUFFIXES))
@settings(max_examples=200, deadline=None)
def test_random_bytes(content: bytes, suffix: str) -> None:
    check(read_all(content, suffix))


names = sorted({n for s in SHAPES.values() for n in (*s.needed, *s.optional)} | {"id", "metadata"})
leaves = (
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=9)
)
turns = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "system", "x"]) | leaves,
        "from": st.sampled_from(["human", "gpt"]) | leaves,
        "content": leaves,
        "value": leaves,
    },
)
values = st.recursive(
    leaves | st.lists(turns, max_size=3) | st.sampled_from(["A", "1", "[", "{}", '["a", "b"]']),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*names, "label"]), inner, max_size=3)
    ),
    max_leaves=8,
)
records = st.dictionaries(st.sampled_from(names) | st.text(max_size=5), values, max_size=5)


@given(st.lists(records | values, min_size=1, max_size=4), st.sampled_from([".jsonl", ".json"]))
@settings(max_examples=200, deadline=None)
def test_random_records(rows: list[object], suffix: str) -> None:
    lines = [orjson.dumps(row) for row in rows]
    content = b"[" + b",".join(lines) + b"]" if suffix == ".json" else b"\n".join(lines)
    check(read_all(content, suffix))


@pytest.mark.parametrize("kind", sorted(SHAPES))
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_random_cells_of_each_shape(kind: str, data: st.DataObject) -> None:
    shape = SHAPES[kind]
    row = st.fixed_dictionaries(
        dict.fromkeys(shape.needed, values), optional=dict.fromkeys(shape.optional, values)
    )
    rows = data.draw(st.lists(row, min_size=1, max_size=3))
    check(read_all(b"\n".join(map(orjson.dumps, rows)), ".jsonl", kind=kind))


@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=3), st.booleans())
@settings(max_examples=80, deadline=None)
def test_damaged_files(at: int, patch: bytes, cut: bool) -> None:
    table = pyarrow.table({"prompt": ["a", "b"], "response": ["c", "d"], "n": [1, None]})
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    whole = {
        ".parquet": sink.getvalue().to_pybytes(),
        ".jsonl": gzip.compress(orjson.dumps({"text": "x" * 50}) * 3),
        ".csv": b'prompt,response\n"a ""b""",c\r\n"d\ne",f\n',
        ".json": orjson.dumps([{"prompt": "a", "response": "\u00e9"}] * 3),
    }
    for suffix, content in whole.items():
        where = at % len(content)
        damaged = (
            content[:where] if cut else content[:where] + patch + content[where + len(patch) :]
        )
        check(read_all(damaged, suffix))


texts = st.text(max_size=20)
messages = st.builds(Message, st.sampled_from(["system", "user", "assistant", "tool"]), texts)
prompts = texts | st.lists(messages, max_size=3).map(tuple)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
common = {"id": st.text(min_size=1, max_size=9), "metadata": st.dictionaries(texts, json_values)}
choices = st.lists(texts, min_size=1, max_size=4).map(tuple)
questions = st.builds(Sample, input=prompts, target=texts, **common) | choices.flatmap(
    lambda options: st.builds(
        Sample,
        input=prompts,
        target=st.integers(0, len(options) - 1),
        choices=st.just(options),
        **common,
    )
)
native = (
    st.builds(Document, text=texts, **common)
    | st.builds(Example, prompt=prompts, response=texts, **common)
    | st.builds(Preference, prompt=prompts, chosen=texts, rejected=texts, **common)
    | st.builds(Feedback, prompt=prompts, response=texts, desirable=st.booleans(), **common)
    | st.builds(Ranking, prompt=prompts, responses=st.lists(texts).map(tuple), **common)
    | questions
)


@given(st.lists(native, min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_native_rows_are_read_back_as_they_were(rows: list[object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        assert write_rows(path, rows) == len(rows)
        stream = read_rows(path)
        assert list(stream) == rows
        assert "togi's own rows" in stream.understood
        again = Path(folder) / "again.jsonl"
        write_rows(again, stream)
        assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("response", None, "'response' is null, not text"),
        ("prompt", 3, "'prompt' is a number, not text or a list of turns"),
        ("prompt", [{"role": "gpt", "content": "x"}], "'prompt' is an object"),
        ("metadata", [], "'metadata' is a list, not an object"),
    ],
)
def test_native_rows_are_checked(field: str, value: object, problem: str, tmp_path: Path) -> None:
    good = {"id": "a", "prompt": "b", "response": "c", "metadata": {}}
    path = tmp_path / "rows.jsonl"
    path.write_bytes(orjson.dumps(good) + b"\n" + orjson.dumps({**good, field: value}))
    with pytest.raises(DataError, match=r"rows\.jsonl line 2") as caught:
        list(read_rows(path))
    assert caught.value.problem.startswith(problem)
