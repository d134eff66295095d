"""Duplicates and overlap are found by rule, and groups stay on one side."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.errors import DataError
from togi.rows.hygiene import HeldOut, clean_pool, exact_duplicates
from togi.rows.source import question
from togi.rows.split import split_by_group
from togi.rows.types import Document, Example, Message, Preference, Row, Sample

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen"


def doc(name: str, text: str, **metadata: object) -> Document:
    return Document(id=name, text=text, metadata=metadata)


def function(name: str, code: str, docstring: str) -> Example:
    return Example(id=name, prompt=(Message("user", question(code)),), response=docstring)


def test_duplicates_ignore_case_and_white_space() -> None:
    rows = [doc("a", "Hello  World\n"), doc("b", "hello world"), doc("c", "hello, world")]
    kept, dropped = exact_duplicates(rows)
    assert kept == [rows[0], rows[2]]
    assert [(d.id, d.reason) for d in dropped] == [("b", "duplicate of another row")]


def test_parts_do_not_run_together() -> None:
    pair = {"id": "x", "prompt": "p"}
    rows: list[Row] = [
        Preference(**pair, chosen="a b", rejected="c"),
        Preference(**pair, chosen="a", rejected="b c"),
    ]
    assert exact_duplicates(rows) == (rows, [])


def test_functions_overlap_by_source_docstring_or_thirteen_words() -> None:
    held = [
        function("h1", "def f(x):\n    return x + 1", "Return the successor of a number."),
        function("h2", f"def g():\n    # {LONG}\n    pass", "Do nothing at all, and slowly."),
    ]
    pool = [
        function("same source", "def f(x):\n  return x  + 1", "Something else entirely here."),
        function("same doc", "def other():\n    pass", "Return  the successor of a NUMBER."),
        function("run", "def h():\n    y = 1", f"Quotes: {LONG}."),
        function("run less one", "def h():\n    z = 1", f"Quotes: {LONG.rsplit(' ', 1)[0]}."),
        function("apart", "def k(x):\n    return x - 1", "Return the predecessor of a number."),
    ]
    kept, dropped = clean_pool(pool, held)
    assert [row.id for row in kept] == ["run less one", "apart"]
    assert {d.id: d.reason for d in dropped} == {
        "same source": "its question or source stands in held-out rows",
        "same doc": "its answer stands in held-out rows",
        "run": "shares 13 words in a row with held-out rows",
    }


def test_the_instruction_that_all_prompts_share_is_no_overlap() -> None:
    ask = f"{LONG} and now answer: "
    held = [Example(id=str(i), prompt=f"{ask} question {i}", response=f"a{i}") for i in range(3)]
    pool = [Example(id="p", prompt=f"{ask} another", response="b")]
    assert clean_pool(pool, held)[0] == pool


def test_short_answers_are_no_overlap() -> None:
    held = [Sample(id="h", input="Is water wet, do you think?", target="Yes")]
    pool = [Example(id="p", prompt="Is fire hot, do you think?", response="yes")]
    assert clean_pool(pool, held) == (pool, [])


def test_choices_of_a_question_are_compared() -> None:
    right, wrong = "the mitochondria of the cell", "the nucleus of the cell"
    held = [Sample(id="h", input="Power?", target=0, choices=(right, wrong))]
    pool = [Example(id="p", prompt="Which?", response=right.upper())]
    assert clean_pool(pool, held)[0] == []


def naive(pool: list[Document], held: list[Document], run: int) -> list[str]:
    """Find the overlapping documents by comparing all runs as they stand."""

    def runs(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[i : i + run]) for i in range(len(words) - run + 1)}

    bad = set().union(*(runs(row.text) for row in held))
    return [row.id for row in pool if runs(row.text) & bad]


words = st.lists(st.sampled_from("abc"), max_size=12).map(" ".join)


@given(st.lists(words, max_size=6), st.lists(words, max_size=6))
@settings(max_examples=150, deadline=None)
def test_runs_equal_a_naive_comparison(pool: list[str], held: list[str]) -> None:
    rows = [doc(str(i), text) for i, text in enumerate(pool)]
    others = [doc(str(i), text) for i, text in enumerate(held)]
    index = HeldOut(others, run=3, least=1000, common=1.0)
    assert [row.id for row in rows if index.overlap(row)] == naive(rows, others, 3)


def test_cleaning_against_nothing_only_removes_duplicates() -> None:
    rows = [doc("a", "x"), doc("b", "x"), doc("c", "y")]
    kept, dropped = clean_pool(rows, [])
    assert [row.id for row in kept] == ["a", "c"]
    assert len(dropped) == 1


@given(
    st.lists(st.integers(0, 12), min_size=2, max_size=80).filter(lambda g: len(set(g)) > 1),
    st.floats(0.01, 0.7),
    st.integers(0, 5),
)
@settings(max_examples=150, deadline=None)
def test_groups_are_whole_and_the_share_is_kept(
    groups: list[int], fraction: float, seed: int
) -> None:
    rows = [doc(str(i), "x", group=g) for i, g in enumerate(groups)]
    kept, held = split_by_group(rows, "group", fraction=fraction, seed=seed)
    assert sorted([*kept, *held], key=lambda r: int(r.id)) == rows
    sides = [{row.metadata["group"] for row in side} for side in (kept, held)]
    assert not sides[0] & sides[1]
    assert len(sides[1]) == 1 or len(held) <= fraction * len(rows)
    assert split_by_group(rows, "group", fraction=fraction, seed=seed) == (kept, held)


def test_split_by_hand_and_by_name() -> None:
    rows = [doc(str(i), "x", module="abc"[i % 3]) for i in range(9)]
    kept, held = split_by_group(rows, "module", names=["b"])
    assert [row.id for row in held] == ["1", "4", "7"]
    assert [row.id for row in kept] == ["0", "2", "3", "5", "6", "8"]
    held = split_by_group(rows, lambda row: row.id, fraction=2 / 9)[1]
    assert len(held) == 2
    seeds = {split_by_group(rows, "module", fraction=0.34, seed=s)[1][0].id for s in range(20)}
    assert seeds == {"0", "1", "2"}


def test_split_faults_are_told() -> None:
    rows = [doc(str(i), "x", module="a") for i in range(3)]
    with pytest.raises(DataError, match=r"no metadata 'modul'.*did you mean 'module'"):
        split_by_group(rows, "modul")
    with pytest.raises(DataError, match="leaves one side empty"):
        split_by_group(rows, "module")
    with pytest.raises(DataError, match="no group is named 'b'"):
        split_by_group(rows, "module", names=["b"])
    with pytest.raises(DataError, match="fraction"):
        split_by_group(rows, "module", fraction=1.0)
