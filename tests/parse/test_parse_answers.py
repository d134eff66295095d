"""Parsers: what each rule reads and what it leaves alone; published runs read as they were."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from togi.errors import UsageError
from togi.parse.letters import LETTERS, parse_letter
from togi.parse.named import PARSERS, parser_of
from togi.parse.numbers import parse_number, same_number
from togi.parse.parsed import boxed
from togi.parse.words import parse_line, parse_yes_no

LOGS = Path(__file__).parents[2] / ".." / "shared" / "data" / "chain_of_thought"
published = pytest.mark.skipif(
    not LOGS.is_dir(), reason="the published data are not beside the repository"
)
FOUR = ("Paris", "Rome", "Bern", "Dark blue")


@pytest.mark.parametrize(
    ("text", "letter", "rule"),
    [
        ("B", "B", "whole"),
        (" (b). ", "B", "whole"),
        ("**C**", "C", "whole"),
        (r"\boxed{C}", "C", "boxed"),
        (r"so \boxed{\text{D}}", "D", "boxed"),
        ("[[A]]", "A", "boxed"),
        ("The answer is B.", "B", "stated"),
        ("the answer is: (c)", "C", "stated"),
        ("Answer: **D**", "D", "stated"),
        ("The correct option is A because it is.", None, ""),  # the article, or the letter?
        ("The correct option is A, because it is.", "A", "stated"),
        ("First the answer is A. Then again, the answer is B.", "B", "stated"),
        ("The answer is a city", None, ""),
        ("The answer is b", "B", "stated"),
        ("B. Because it is.", "B", "opening"),
        ("a) Paris", "A", "opening"),
        ("C: Bern", "C", "opening"),
        ("e.g. Rome or Bern", None, ""),
        ("I think (C) is it; (C) it is.", "C", "set off"),
        ("Either (A) or (B).", None, ""),
        ("It is Rome, surely.", "B", "text"),
        ("dark blue", "D", "text"),
        ("Rome or Paris", None, ""),
        ("Romeo", None, ""),
        ("Because A is good", None, ""),
        ("E", None, ""),
        ("I", None, ""),
        ("", None, ""),
        ("the answer is E", None, ""),
    ],
)
def test_letters(text: str, letter: str | None, rule: str):
    found = parse_letter(text, FOUR)
    assert (found and found.value) == letter
    if found:
        assert found.rule == rule
        assert text[slice(*found.span)].upper() in (letter, FOUR[LETTERS.index(letter)].upper())


def test_a_choice_inside_another_choice_does_not_count():
    assert parse_letter("It is dark blue", ("blue", "dark blue")).value == "B"
    assert parse_letter("It is blue", ("blue", "dark blue")).value == "A"


@given(st.sampled_from("ABCD"), st.sampled_from(["The answer is {}.", "({})", "{}", "{}. So"]))
def test_each_letter_is_read_in_each_form(letter: str, form: str):
    assert parse_letter(form.format(letter), "wxyz").value == letter


@given(st.text(alphabet="abcdefghij klmnop,.;\n", max_size=80))
def test_small_words_never_name_a_letter_by_its_place_in_them(text: str):
    """Only a letter that stands alone is read: take all of these away and nothing is found."""
    alone = re.compile(r"(?<![a-z])[a-d](?![a-z])")
    assert parse_letter(alone.sub("", text), ("11", "12", "13", "14")) is None


@pytest.mark.parametrize(
    ("text", "value", "rule"),
    [
        ("42", "42", "last"),
        ("#### 1,234", "1234", "marked"),
        ("The answer is -3.5.", "-7/2", "stated"),
        ("The answer is $18.00 a day, of 24 hours", "18", "stated"),
        ("The answer is unclear.\nStep 2: 5", "5", "last"),
        (r"1. First \boxed{12} apples 7", "12", "boxed"),
        (r"\boxed{\frac{3}{4}}", "3/4", "boxed"),
        ("2 1/2 cups", "5/2", "last"),
        ("1.5e3", "1500", "last"),
        ("3 × 10^8 m/s", "300000000", "last"),
        ("−7", "-7", "last"),
        ("about 12.5%", "1/8", "last"),
        ("€1,000,000", "1000000", "last"),
        ("from 3 to 5 apples", "5", "last"),
        ("x2 and B52", None, ""),
        ("none", None, ""),
        ("", None, ""),
    ],
)
def test_numbers(text: str, value: str | None, rule: str):
    found = parse_number(text)
    assert (found and found.value) == value
    if found:
        assert found.rule == rule


@given(st.fractions(max_denominator=10**6))
def test_a_fraction_is_read_back(number: Fraction):
    assert Fraction(parse_number(f"The answer is {number}").value) == number


@given(st.integers(-(10**12), 10**12))
def test_separators_and_decimals_change_nothing(number: int):
    for spelling in (f"{number:,}", f"{number}.00", f"#### {number}", f"\\boxed{{{number}}}"):
        assert same_number(spelling, str(number))


def test_percent_is_a_share_or_its_hundredfold():
    assert same_number("50%", "0.5")
    assert same_number("50", "50 %")
    assert same_number("50%", "50%")
    assert not same_number("50%", "5")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Yes", "yes"), ("**No**, it is not.", "no"), ("Therefore the answer is yes.", "yes"),
        ("Yes. So the answer is no.", "no"), ("I would say no", "no"), ("yes and no?", "yes"),
        ("maybe yes, maybe no", None), ("Nope", None), ("No one knows", None), ("", None),
    ],
)  # fmt: skip
def test_yes_or_no(text: str, value: str | None):
    found = parse_yes_no(text)
    assert (found and found.value) == value


def test_lines_and_boxes():
    assert parse_line("a\n b \n\n", last=True).value == "b"
    assert parse_line(" \n", last=True) is None
    assert boxed(r"\boxed{a \frac{b}{c}} and \boxed{d") is None  # the last one is not closed


def test_own_expressions_and_what_is_wrong_with_them():
    assert parser_of(r"regex: n=(\d+)").read("n=1 n=2", ()).value == "1"
    assert parser_of(r"last_regex:n=\d+").read("n=1 n=2", ()).value == "n=2"
    assert parser_of("regex:x").read("y", ()) is None
    with pytest.raises(UsageError, match="cannot be read"):
        parser_of("regex:(")
    with pytest.raises(UsageError, match=r"more than one group.*write the others as \(\?:"):
        parser_of("regex:(a)(b)")
    with pytest.raises(UsageError, match=r"no parser is called 'nubmer'.*'number'"):
        parser_of("nubmer")


@pytest.mark.parametrize("name", PARSERS)
def test_every_parser_reads_any_text_or_nothing(name: str):
    for text in ("", " \n", "é 数 \ud800", "(" * 500, "A" * 5000, "1" * 5000, "answer is " * 500):
        found = PARSERS[name].read(text, ("x", "y"))
        assert found is None or isinstance(found.value, str)


def test_nothing_takes_more_than_linear_time():
    import time

    text = "the answer is ( " * 4000 + "1,1" * 4000 + "[[A" * 4000
    began = time.perf_counter()
    for parser in PARSERS.values():
        parser.read(text, ("x", "y", "z"))
    assert time.perf_counter() - began < 20  # a runaway expression takes hours


# --- replays --------------------------------------------------------------------------------------


def runs(name: str) -> list[tuple[str, str, str, str]]:
    """(whole reply, what was parsed, the parsed answer, the right answer) of a published run."""
    text = (LOGS / f"{name}_zero_shot_cot.log").read_text(encoding="utf-8")
    found = []
    for block in text.split("\n*************************\n"):
        if "pred_before :" not in block:
            continue
        body, rest = block.split("pred_before :", 1)
        before, rest = rest.split("\npred_after :", 1)
        after = rest.split("\n", 1)[0].strip()
        truth = re.search(r"^GT : (.*)$", rest, re.MULTILINE)
        assert truth
        found.append((body, before, after, truth[1].strip()))
    return found


@published
@pytest.mark.parametrize(
    ("name", "parser", "n", "accuracy"),
    [
        ("gsm8k", "kojima2022_number", 1319, 40.7127),
        ("aqua", "kojima2022_letter", 254, 33.4646),
        ("coin_flip", "kojima2022_yes_no", 500, 91.4),
    ],
)
def test_a_published_run_is_read_as_its_authors_read_it(
    name: str, parser: str, n: int, accuracy: float
):
    rows = runs(name)
    assert len(rows) == n
    values = [PARSERS[parser].read(before, ()) for _, before, _, _ in rows]
    read = ["" if value is None else value.value for value in values]
    assert read == [after for _, _, after, _ in rows]
    right = sum(value == truth for value, (*_, truth) in zip(read, rows, strict=True))
    assert 100 * right / n == pytest.approx(accuracy, abs=1e-4)


@published
def test_numbers_instead_of_spellings_move_the_published_score():
    """18.00 is 18: string comparison counts 537 right of 1,319, comparison as numbers 542."""
    rows = runs("gsm8k")
    right = sum(same_number(after, truth) for _, _, after, truth in rows)
    assert 100 * right / len(rows) == pytest.approx(41.09, abs=5e-3)
