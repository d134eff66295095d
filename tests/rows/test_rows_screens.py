"""Screens drop for a counted reason, keep the row with it, and say what they saw."""

from __future__ import annotations

import sys

import pytest

from togi.errors import SurroundingsError, UsageError
from togi.rows.language import Languages
from togi.rows.screens import Lengths, Personal, Tongues
from togi.rows.texts import answers, texts, with_texts
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

ASK = (Message("system", "s"), Message("user", "u"))
ROWS = {
    "document": (Document(id="r", text="t"), ["t"], ["t"]),
    "example": (Example(id="r", prompt=ASK, response="a"), ["s", "u", "a"], ["a"]),
    "feedback": (Feedback(id="r", prompt="p", response="a", desirable=True), ["p", "a"], ["a"]),
    "preference": (
        Preference(id="r", prompt="p", chosen="c", rejected="j"), ["p", "c", "j"], ["c", "j"],
    ),
    "ranking": (Ranking(id="r", prompt="p", responses=("x", "y")), ["p", "x", "y"], ["x", "y"]),
    "sample": (Sample(id="r", input="p", target=1, choices=("x", "y")), ["p", "x", "y"], ["p"]),
    "sample text": (Sample(id="r", input="p", target="t"), ["p", "t"], ["p"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ROWS)
def test_texts_of_every_kind_of_row_are_seen_and_changed(kind: str) -> None:
    row, every, learnt = ROWS[kind]
    assert texts(row) == every
    assert answers(row) == learnt
    changed = with_texts(row, lambda text: text + "!")
    assert texts(changed) == [text + "!" for text in every]
    assert type(changed) is type(row)
    assert with_texts(row, lambda text: text) == row


def docs(*contents: str) -> list[Document]:
    return [Document(id=str(i), text=text) for i, text in enumerate(contents)]


def test_lengths_are_counted_in_words_of_what_is_learnt() -> None:
    screen = Lengths(2, 3)
    rows = docs("one", "one two", "a b c", "a b c d")
    events = list(screen([Dropped("before", "x"), *rows]))
    assert [(e.id, e.reason) for e in events if isinstance(e, Dropped)] == [
        ("before", "x"), ("0", "fewer than 2 words"), ("3", "more than 3 words"),
    ]  # fmt: skip
    assert events[1].row is rows[0]
    assert events[2:4] == rows[1:3]
    assert screen.facts() == {
        "shortest": 1, "quarter": 1, "median": 2, "three quarters": 3, "longest": 4,
    }  # fmt: skip
    assert list(Lengths()(rows)) == rows
    with pytest.raises(UsageError, match="min_words is 5, max_words only 2"):
        Lengths(5, 2)


SENTENCES = {
    "en": "The quick brown fox jumps over the lazy dog while it is raining outside.",
    "de": "Der schnelle braune Fuchs springt über den faulen Hund, während es draußen regnet.",
    "fr": "Le rapide renard brun saute par-dessus le chien paresseux pendant qu'il pleut.",
    "es": "El rápido zorro marrón salta sobre el perro perezoso mientras llueve afuera.",
    "zh": "敏捷的棕色狐狸跳过了懒狗，外面正在下雨，我们都待在家里看书和喝茶聊天。",
}


@pytest.fixture(scope="module")
def model() -> Languages:
    pytest.importorskip("py3langid", reason="the extra `language` is not installed")
    return Languages()


def test_languages_are_told_and_unwanted_ones_dropped(model: Languages) -> None:
    assert {code: model.of(text) for code, text in SENTENCES.items()} == {c: c for c in SENTENCES}
    screen = Tongues(["en", "de"], model)
    rows = docs(*SENTENCES.values(), "ok", "```python\nimport os\n```", "12345 67890")
    events = list(screen(rows))
    reasons = [event.reason for event in events if isinstance(event, Dropped)]
    assert reasons == [f"in another language: {code}" for code in ("fr", "es", "zh")]
    assert screen.facts() == {"unknown": 3, "en": 1, "de": 1, "fr": 1, "es": 1, "zh": 1}
    assert list(Tongues(["any"], model)(rows)) == rows


def test_an_unknown_language_is_refused(model: Languages) -> None:
    with pytest.raises(UsageError, match="no language has the code 'english'"):
        Tongues(["english"], model)


def test_without_the_package_the_way_to_get_it_is_said(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    with pytest.raises(SurroundingsError, match=r"pip install 'togi\[language\]'"):
        Languages()


def test_personal_data_is_counted_masked_or_dropped() -> None:
    rows = docs("write to jo@corp.com or al@corp.com", "nothing here", "call +1 415 555 2671")
    count = Personal("count")
    assert list(count(rows)) == rows
    assert count.facts()["counts"] == {
        "email": {"hints": 2, "rows": 1}, "phone": {"hints": 1, "rows": 1},
    }  # fmt: skip
    told = str(count.facts()["examples"])
    assert "corp" not in told
    assert "2671" not in told
    assert "write to xx@xxxx.xxx or xx@xxxx.xxx" in told
    masked = list(Personal("mask")(rows))
    assert [row.text for row in masked] == [
        "write to [EMAIL] or [EMAIL]", "nothing here", "call [PHONE]",
    ]  # fmt: skip
    events = list(Personal("drop", ["email"])(rows))
    assert [(e.id, e.reason) for e in events if isinstance(e, Dropped)] == [
        ("0", "hints at personal data: email")
    ]
    assert events[1:] == rows[1:]
