"""Overlap with held-out rows: planted leakage is found, all of it and nothing else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.errors import DataError
from togi.rows.hygiene import SAME_ANSWER, SAME_QUESTION, HeldOut, Overlap
from togi.rows.runs import RunIndex, Runs
from togi.rows.types import Document, Dropped, Example, Row, Sample

WORDS = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrst"]


def prose(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(WORDS, k=words))


def disturbed(text: str, draw: random.Random, every: int) -> str:
    """Replace a word in every so many: no long run stays."""
    words = text.split()
    for place in range(draw.randrange(every), len(words), every):
        words[place] = "ZZZ"
    return " ".join(words)


@pytest.fixture
def planted() -> tuple[list[Row], list[Row], dict[str, str]]:
    """A pool of 300 with 40 leaked rows of four kinds, 60 held-out rows, and what leaks where."""
    draw = random.Random(4)
    held: list[Row] = [
        Sample(id=f"h{i}", input=f"Question {i}: {prose(draw, 40)}?", target=prose(draw, 12))
        for i in range(60)
    ]
    pool: list[Row] = [Document(id=f"clean{i}", text=prose(draw, 120)) for i in range(260)]
    leaks = {}
    for i in range(10):
        inside = " ".join(held[i + 20].input.split()[5:18])
        changed = disturbed(held[i + 30].input, draw, 12)
        rows = [
            Example(id=f"question{i}", prompt=held[i].input.upper(), response="x"),
            Example(id=f"answer{i}", prompt="Other?", response=held[i + 10].target),
            Document(id=f"run{i}", text=f"{prose(draw, 30)} {inside} {prose(draw, 9)}"),
            Document(id=f"fuzzy{i}", text=f"{prose(draw, 20)} {changed} {prose(draw, 20)}"),
        ]
        pool += rows
        leaks.update((row.id, f"h{i + 10 * place}") for place, row in enumerate(rows))
    draw.shuffle(pool)
    return pool, held, leaks


def test_planted_leakage_is_found_with_precision_and_recall_of_one(planted) -> None:
    pool, held, leaks = planted
    screen = Overlap(HeldOut(held, fuzzy=0.3, fuzzy_run=5))
    events = list(screen(pool))
    dropped = {event.id: event.reason for event in events if isinstance(event, Dropped)}
    assert set(dropped) == set(leaks)
    assert screen.hit == set(leaks.values())
    reasons = {name: {dropped[f"{name}{i}"] for i in range(10)} for name in
               ("question", "answer", "run", "fuzzy")}  # fmt: skip
    assert reasons == {
        "question": {SAME_QUESTION},
        "answer": {SAME_ANSWER},
        "run": {"shares 13 words in a row with held-out rows"},
        "fuzzy": {"holds most of a held-out text, in runs of 5 words"},
    }
    assert {row: match.held_out for row, match in screen.examples} == {
        row: leaks[row] for row, _ in screen.examples
    }
    assert len(screen.examples) == 20


def test_without_fuzzy_disturbed_text_passes(planted) -> None:
    pool, held, leaks = planted
    index = HeldOut(held)
    found = {row.id for row in pool if index.overlap(row)}
    assert found == {name for name in leaks if not name.startswith("fuzzy")}


def test_examples_show_the_words_in_common() -> None:
    held = [Document(id="h", text="a b c d e f g h")]
    (match,) = HeldOut(held, run=4, least=100).matches(Document(id="p", text="x C D E F y"))
    assert (match.held_out, match.shared) == ("h", "c d e f")
    long = "word " * 60
    (match, *_) = HeldOut([Document(id="h", text=long)]).matches(Document(id="p", text=long))
    assert match.reason == SAME_QUESTION
    assert len(match.shared) == 120


def test_every_held_out_row_that_a_row_overlaps_with_is_told() -> None:
    held = [Document(id=str(i), text=f"one two three four five {i}") for i in range(2)]
    found = HeldOut(held, run=4, least=100, common=1.0).matches(
        Document(id="p", text="one two three four")
    )
    assert [match.held_out for match in found] == ["0", "1"]


def test_short_texts_are_not_compared_by_their_share() -> None:
    held = [Document(id="h", text="one two three four five")]
    row = Document(id="p", text="one two three four five six")
    assert HeldOut(held, least=100, fuzzy=0.5, fuzzy_run=3).overlap(row) == ""


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(DataError, match="fuzzy must lie in"):
        HeldOut([], fuzzy=share)


lists = st.lists(st.lists(st.sampled_from("abcd"), max_size=30).map(" ".join), max_size=5)


@settings(max_examples=200, deadline=None)
@given(lists, st.lists(st.sampled_from("abcd"), max_size=30).map(" ".join), st.floats(0.2, 1))
def test_the_index_equals_a_comparison_of_sets(held: list[str], text: str, share: float) -> None:
    index = RunIndex(3)
    for number, one in enumerate(held):
        index.add(one, number)
    index.close(most=100)

    def runs(one: str) -> set[tuple[str, ...]]:
        words = one.split()
        return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}

    shared = [i for i, one in enumerate(held) if runs(one) & runs(text)]
    assert [number for number, _ in index.shared(text)] == shared
    for number, words in index.shared(text):
        assert tuple(words.split()) in runs(held[number]) & runs(text)
    contained = [
        i for i, one in enumerate(held)
        if len(runs(one)) >= 8 and len(runs(one) & runs(text)) >= share * len(runs(one))
    ]  # fmt: skip
    assert [number for number, _ in index.contained(text, share)] == contained


def test_runs_common_to_many_rows_are_forgotten() -> None:
    index = RunIndex(2)
    for number in range(4):
        index.add("the same words" if number < 3 else "other words", number)
        index.add("the same words again", number)
    index.close(most=3)
    assert [number for number, _ in index.shared("the same")] == []
    assert [number for number, _ in index.shared("other words")] == [3]
    assert len(Runs(2).of("a")) == 0
