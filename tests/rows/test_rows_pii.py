"""Hints at personal data: what is planted is found, what only looks like it is not."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from togi.errors import UsageError
from togi.rows.language import NOT_PROSE
from togi.rows.pii import KINDS, Hint, find, masked, shown
from togi.rows.pii_checks import iban, luhn
from togi.rows.runs import WORDS

PLANTED = {
    "email": ["jo@corp.com", "first.last+tag@mail.corp.co.uk", "o'neil_9@uni-x.edu", "X@Y.IO"],
    "phone": ["+44 20 7946 0018", "+1 (415) 555-2671", "+49 151 12345678", "(212) 736-5000",
              "212-736-5000", "1-800-273-8255", "+919876543210"],
    "iban": ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "NO93 8601 1117 947",
             "FR14 2004 1010 0505 0001 3M02 606"],
    "card": ["4539 5787 6362 1486", "4539578763621486", "5500-0055-5555-5559", "3782 822463 10005",
             "6011000990139424"],
    "ip": ["8.8.8.8", "203.0.114.7", "2001:4860:4860::8888"],
    "key": ["AKIAQYLPMN5HNBBBTT3A", "ghp_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5",
            "sk-proj-Ab3dE5gH7jK9mN1pQ3sT5vW7", "xoxb-123456789012-AbCdEfGhIjKl",
            "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345", "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q"],
}  # fmt: skip
NONE = [
    "jo@example.org or jo@sub.example.com, a@b, @handle, logo@2x.png, x@y.test, git@localhost",
    "(212) 555-0123, 555-0100, +280 123 456 789, (123) 456-7890, 212-211-5000, call 12",
    "2021-03-04, 12:30:45, 3.14159265358979, 1,234,567.89, ISBN 978-3-16-148410-0, 1234-5678",
    "4539 5787 6362 1487, 1234 5678 9012 3456, 0000 0000 0000 0000, 9999999999999999",
    "GB82 WEST 1234 5698 7654 33, XX82 1234 5678 9012 3456, AB12",
    "10.0.0.1, 127.0.0.1, 192.168.1.1, 192.0.2.1, 256.1.1.1, fe80::1, version 1.2.3.4, v10.11.12.1",
    "AKIAIOSFODNN7EXAMPLE, sk-xxxxxxxxxxxxxxxxxxxxxxxx, hf_token, eyJ, ghp_short, task-force-one",
    "def f(x): return x[1:2] + y[::2]  # a::b, std::vector, 00:1B:44:11:3A:B7",
]


@pytest.mark.parametrize(("kind", "value"), [(k, v) for k, vs in PLANTED.items() for v in vs])
def test_what_is_planted_is_found_where_it_stands(kind: str, value: str) -> None:
    text = f"Before it: {value}, and after. Words (more) of 12 things."
    start = text.index(value)
    assert find(text) == [Hint(start, start + len(value), kind)]
    assert find(f"{value}\n{value}")[1].start == len(value) + 1
    assert find(text, [other for other in KINDS if other != kind]) == []


@pytest.mark.parametrize("text", NONE)
def test_what_only_looks_like_it_is_not(text: str) -> None:
    assert [text[hint.start : hint.end] for hint in find(text)] == []


def test_a_national_number_needs_a_word_before_it() -> None:
    assert find("Telefon 030 / 901 820-0")[0].kind == "phone"
    assert find("see 030 / 901 820-0") == []


def test_a_private_key_is_one_hint_to_its_end() -> None:
    body = "MIIEowIBAAKCAQEA7bq1Zz+abc/def=\n" * 3
    text = f"key:\n-----BEGIN RSA PRIVATE KEY-----\n{body}-----END RSA PRIVATE KEY-----"
    assert [hint.kind for hint in find(text)] == ["key"]
    assert "MIIE" not in masked(text)


def test_a_card_between_other_numbers_is_found() -> None:
    text = "2019 2020 2021 2022 2023 2024 4539 5787 6362 1486 12/25"
    (hint,) = find(text)
    assert text[hint.start : hint.end] == "4539 5787 6362 1486"


def test_masks_and_examples_keep_everything_else() -> None:
    text = "Ask jo@corp.com, call +1 415 555 2671; not jo@example.org."
    assert masked(text) == "Ask [EMAIL], call [PHONE]; not jo@example.org."
    assert masked(text, ["phone"]) == "Ask jo@corp.com, call [PHONE]; not jo@example.org."
    hints = find(text)
    assert shown(text, hints[0], hints) == "Ask xx@xxxx.xxx, call +0 000 000 0000; not jo"
    assert "jo@corp" not in shown(text, hints[1], hints)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"'emial' is no kind of hint\. Next: did you mean 'email'"
    ):
        find("x", ["emial"])


@given(st.integers(0, 10**18))
def test_luhns_sum_finds_every_wrong_digit(number: int) -> None:
    whole = next(f"{number}{d}" for d in range(10) if luhn(f"{number}{d}"))
    for place in range(len(whole)):
        wrong = whole[:place] + str((int(whole[place]) + 1) % 10) + whole[place + 1 :]
        assert not luhn(wrong)


@given(st.text(string.digits, min_size=18, max_size=18), st.integers(0, 17), st.integers(1, 9))
def test_the_ibans_remainder_finds_every_wrong_digit(digits: str, place: int, step: int) -> None:
    check = 98 - int(digits + "131400") % 97  # D is 13, E is 14
    good = f"DE{check:02}{digits}"
    assert iban(good, "") == (0, 22)
    wrong = digits[:place] + str((int(digits[place]) + step) % 10) + digits[place + 1 :]
    assert iban(f"DE{check:02}{wrong}", "") is None


ALPHABET = "aB3@.+-_ ()/:'\n0159GDEx%中"


@settings(max_examples=300, deadline=None)
@given(st.text(ALPHABET, max_size=200) | st.text(max_size=200))
@example("a@" * 100)
@example("+" + "1 " * 100)
@example("-----BEGIN PRIVATE KEY-----" + "A" * 50)
def test_hints_are_in_order_within_the_text_and_apart(text: str) -> None:
    hints = find(text)
    borders = [place for hint in hints for place in (hint.start, hint.end)]
    assert borders == sorted(borders)
    assert all(0 <= hint.start < hint.end <= len(text) for hint in hints)
    assert len(re.findall(r"\[(?:KEY|EMAIL|IBAN|CARD|PHONE|IP)\]", masked(text))) >= len(hints)


# --- the patterns' structure bounds their time ---------------------------------------------------

PATTERNS = [p for kind in KINDS.values() for p in kind.patterns] + [NOT_PROSE]


def repeats(tree, depth: int = 0):
    """Yield (greatest number, nesting) of every repeat of a parsed pattern."""
    from re import _constants as constants  # type: ignore[attr-defined]

    for operation, value in tree:
        if operation in (constants.MAX_REPEAT, constants.MIN_REPEAT):
            _, most, inside = value
            yield most, depth
            yield from repeats(inside, depth + (most > 1))
        elif operation == constants.SUBPATTERN:
            yield from repeats(value[3], depth)
        elif operation in (constants.ASSERT, constants.ASSERT_NOT):
            yield from repeats(value[1], depth)
        elif operation == constants.BRANCH:
            for branch in value[1]:
                yield from repeats(branch, depth)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: p.pattern[:30])
def test_no_pattern_can_backtrack_without_end(pattern: re.Pattern[str]) -> None:
    """Every repeat has an upper bound and none stands inside another, so that the steps taken at
    each place of a text are bounded by a constant, whatever the text."""
    from re import _parser as parser  # type: ignore[attr-defined]

    found = list(repeats(parser.parse(pattern.pattern, pattern.flags)))
    assert all(most < 1_000_000 for most, _ in found), "a repeat without bound"
    assert all(depth == 0 for most, depth in found if most > 1), "a repeat inside a repeat"
    assert sum(most > 64 for most, _ in found) <= 3


def test_the_words_pattern_is_one_repeat_of_one_class() -> None:
    """It cannot backtrack: there is nothing behind the repeat that could fail."""
    assert WORDS.pattern == r"\w+"
