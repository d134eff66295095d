"""Reading labels out of answers: whole words, negations, refusals, and what stays unread."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trust_toys import said

from togi.evaluate.asking import Asking
from togi.evaluate.trust.reading import (
    Reading,
    answer_of,
    averaged,
    cleaned,
    decoded,
    first_clause,
    label_kind,
    labels_in,
    read_label,
)
from togi.lm.base import Generated
from togi.rows.types import Sample

YES_NO = Sample(id="1", input="?", target=0, choices=("yes", "no"))
TONE = Sample(id="1", input="?", target=0, choices=("negative", "positive"))
MORAL = Sample(id="1", input="?", target=0, choices=("not wrong", "wrong"))


@pytest.mark.parametrize(
    ("text", "sample", "label", "refused"),
    [
        ("Yes.", YES_NO, 0, False),
        ("Answer: No</s> yes", YES_NO, 1, False),
        ("no, since yes is for others", YES_NO, 1, False),
        ("**Yes**", YES_NO, 0, False),
        ("The answer is no.", YES_NO, 1, False),
        ("I know nothing now, another note", YES_NO, None, False),  # "no" in four other words
        ("I have no idea", YES_NO, None, False),
        ("I'm sorry, but no.", YES_NO, None, True),
        ("It is positive.", TONE, 1, False),
        ("Positive or negative?", TONE, None, False),
        ("It is not negative", TONE, None, False),
        ("That was wrong.", MORAL, 1, False),
        ("That was not wrong.", MORAL, 0, False),
        ("Wrong? It isn't wrong.", MORAL, None, False),
        ("", YES_NO, None, False),
        ("As an AI language model, I cannot judge people.", YES_NO, None, True),
    ],
)
def test_labels_as_people_read_them(text: str, sample: Sample, label: int | None, refused: bool):
    assert read_label(text, sample) == Reading(label, refused)


def test_what_is_neither_is_unparsed():
    assert Reading(None).unparsed
    assert not Reading(None, refused=True).unparsed
    assert not Reading(0).unparsed


@pytest.mark.parametrize("sample", [YES_NO, TONE, MORAL])
def test_a_label_alone_is_always_read(sample: Sample):
    for place, choice in enumerate(sample.choices):
        for text in (choice, choice.capitalize(), f"{choice}.", f" {choice}\n", f"{choice}, so"):
            assert read_label(text, sample).label == place


@given(st.text())
def test_any_text_can_be_read(text: str):
    found = read_label(text, YES_NO)
    assert found.label in (None, 0, 1)
    assert not (found.refused and found.label is not None)
    assert first_clause(first_clause(text)) == first_clause(text)


@given(st.text(alphabet="abc yesno.,", max_size=30))
def test_the_order_of_choices_does_not_matter(text: str):
    turned = Sample(id="1", input="?", target=0, choices=YES_NO.choices[::-1])
    one, two = read_label(text, YES_NO).label, read_label(text, turned).label
    assert one == (None if two is None else 1 - two)


def test_pieces_of_an_answer():
    assert cleaned("ANSWER : It’s so<|im_end|>x") == "it's so"
    assert first_clause("one\ntwo.") == "one"
    assert labels_in("yes", ["no", "yes"]) == {1}
    assert labels_in("positive and negative", ["negative", "positive"]) == {0, 1}


def test_halves_of_surrogates_are_marked():
    broken = Generated("a\ud800", (), said("x")[0].logprobs, "stop")
    assert decoded([broken]) == ["a?"]


# --- numbers --------------------------------------------------------------------------------------


def _published(text: str, sample: Sample) -> Reading:
    return Reading(0 if "yes" in text else None)


def test_numbers_of_draws_are_means_of_those_known():
    assert averaged([{"a": 1.0, "b": math.nan}, {"a": 0.0, "b": 0.5}]) == {"a": 0.5, "b": 0.5}
    assert math.isnan(averaged([{"a": math.nan}])["a"])


def test_a_kind_of_labels_by_hand():
    kind = label_kind("test", _published)
    replies = said("yes", "no", "I'm sorry, no.", "perhaps")
    found = kind.read(Asking(), YES_NO, replies)
    assert found.measures == {"correct": 0.25, "refused": 0.25, "unparsed": 0.25}
    assert found.detail["labels"] == [0, 1, None, None]
    assert found.detail["answers"] == ["yes", "no", "I'm sorry, no.", "perhaps"]
    published = kind.read(Asking(published=True), YES_NO, said("yesterday"))
    assert published.measures["correct"] == 1


def test_one_answer_keeps_no_list():
    assert "answers" not in answer_of(said("yes"), [{"correct": 1.0}]).detail


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (Sample(id="1", input="?", target="x"), "fewer than two choices"),
        (Sample(id="1", input="?", target="yes", choices=("yes", "no")), "place of a choice"),
    ],
)
def test_samples_without_a_label_are_refused(sample: Sample, words: str):
    kind = label_kind("test", _published)
    assert words in kind.unfit(Asking(), sample)
    assert kind.unfit(Asking(), YES_NO) == ""
