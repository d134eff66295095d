"""Words are Python's own: `re.findall` of the lower-cased text, character by character."""

from __future__ import annotations

import json
import random
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from togi.data.features import Features, Featuriser
from togi.data.kernels.table import CASED, IGNORABLE
from togi.data.letters import letters

WORDS = re.compile(r"\w+|[^\w\s]+")
# What is odd about case, classes, widths and escapes.
ODD = "aZ_9 \n\t.,':\x1c\x85\xa0\u2028\0\\\"/ΣσςΑ İıßẞéÉǅﬁȺ中文😀\u0301\u200d\u00ad𝔘𐐀\ufeff"


@pytest.fixture(scope="module")
def featuriser() -> Featuriser:
    return Featuriser(Features())


def expected(text: str) -> list[str]:
    return WORDS.findall(text.lower())


odd_text = st.text(st.sampled_from(ODD) | st.characters(), max_size=60)


@settings(max_examples=300, deadline=None)
@given(st.lists(odd_text, min_size=1, max_size=8))
@example(["ΑΣ", "ΑΣ'", "ΑΣ'Α", "Σ", "'Σ", "ΑΣΣ", "Α\u0301Σ\u0301.", "ΑΣİ", "İΣ"])
def test_texts_split_as_python_splits_them(texts: list[str]) -> None:
    assert Featuriser(Features()).words(texts) == [expected(text) for text in texts]


@settings(max_examples=300, deadline=None)
@given(st.lists(odd_text, min_size=1, max_size=6), st.booleans())
def test_json_strings_split_as_their_text_does(texts: list[str], ascii_only: bool) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    block = "".join(json.dumps({"t": text}, ensure_ascii=ascii_only) + "\n" for text in texts)
    worker = Featuriser(Features())
    part = worker.lines(block.encode(), "t")
    words = worker.last_words()
    ends = np.cumsum(part.words).tolist()
    split = [words[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    assert split == [expected(text) for text in texts]


def test_every_code_point_splits_as_python_splits_it(featuriser: Featuriser) -> None:
    texts = [f"a{chr(code)}Σ{chr(code)}b" for code in range(0x3000)]
    step = [f"A{chr(code)} {chr(code)}\u03a3" for code in range(0x3000, 0x110000, 7)]
    for batch in (texts, step):
        assert featuriser.words(batch) == [expected(text) for text in batch]


def test_lone_surrogates_are_punctuation(featuriser: Featuriser) -> None:
    assert featuriser.words(["a\ud800b \udc00\ud800"]) == [["a", "\ud800", "b", "\udc00\ud800"]]
    part = featuriser.lines(b'{"t": "a\\ud800b \\ud83d\\ude00"}\n', "t")
    assert part.words.tolist() == [4]


def test_only_the_dotted_i_has_two_lower_case_characters() -> None:
    """The kernels treat it apart; another such character would need the same."""
    longer = [code for code in range(0x110000) if len(chr(code).lower()) != 1]
    assert longer == [0x130]


def test_case_and_ignorability_survive_lower_casing() -> None:
    """The look back from a capital sigma reads text that is already lower-cased."""
    lower, kinds = letters()
    bits = kinds & (CASED | IGNORABLE)
    assert np.array_equal(bits, bits[lower])
    assert [chr(c) for c in range(128) if kinds[c] & IGNORABLE] == ["'", ".", ":", "^", "`"]


def test_long_random_documents(featuriser: Featuriser) -> None:
    draw = random.Random(3)
    texts = ["".join(draw.choices(ODD, k=draw.randrange(3000))) for _ in range(60)]
    assert featuriser.words(texts) == [expected(text) for text in texts]


def test_no_text_has_no_words(featuriser: Featuriser) -> None:
    assert featuriser.words([]) == []
    assert featuriser.words(["", " \n", "x"]) == [[], [], ["x"]]
