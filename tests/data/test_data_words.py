"""Words are those of `findall` on the lower-cased text, for both engines that NLTK has used."""

from __future__ import annotations

import json
import random
import re

import numpy as np
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from togi.data.features import Features
from togi.data.featuriser import Featuriser
from togi.data.kernels.table import CASED, IGNORABLE
from togi.data.letters import letters

ENGINES = {name: engine.compile(r"\w+|[^\w\s]+") for name, engine in (("re", re), ("regex", regex))}
# What is odd about case, classes, widths and escapes.
ODD = "aZ_9 \n\t.,':\x1c\x85\xa0\u2028\0\\\"/ΣσςΑ İıßẞéÉǅﬁȺ²½中文कि😀\u0301\u200d\u00ad𝔘𐐀\ufeff"


def expected(engine: str, text: str) -> list[str]:
    return ENGINES[engine].findall(text.lower())


def split(engine: str, texts: list[str]) -> list[list[str]]:
    return Featuriser(Features(words=engine)).words(texts)


engines = st.sampled_from(list(ENGINES))
odd_text = st.text(st.sampled_from(ODD) | st.characters(), max_size=60)


@settings(max_examples=300, deadline=None)
@given(engines, st.lists(odd_text, min_size=1, max_size=8))
@example("re", ["ΑΣ", "ΑΣ'", "ΑΣ'Α", "Σ", "'Σ", "ΑΣΣ", "Α\u0301Σ\u0301.", "ΑΣİ", "İΣ"])
def test_texts_split_as_the_engine_splits_them(engine: str, texts: list[str]) -> None:
    assert split(engine, texts) == [expected(engine, text) for text in texts]


@settings(max_examples=300, deadline=None)
@given(engines, st.lists(odd_text, min_size=1, max_size=6), st.booleans())
def test_json_strings_split_as_their_text_does(engine, texts, ascii_only) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    block = "".join(json.dumps({"t": text}, ensure_ascii=ascii_only) + "\n" for text in texts)
    worker = Featuriser(Features(words=engine))
    part = worker.lines(block.encode(), "t")
    words = worker.last_words()
    ends = np.cumsum(part.words).tolist()
    found = [words[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    assert found == [expected(engine, text) for text in texts]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_code_point_splits_as_the_engine_splits_it(engine: str) -> None:
    texts = [f"a{chr(code)}Σ{chr(code)}b" for code in range(0x3000)]
    step = [f"A{chr(code)} {chr(code)}\u03a3" for code in range(0x3000, 0x110000, 7)]
    for batch in (texts, step):
        assert split(engine, batch) == [expected(engine, text) for text in batch]


def test_the_engines_differ_in_marks_and_superscripts() -> None:
    assert split("re", ["a\u0301b x²"]) == [["a", "\u0301", "b", "x²"]]
    assert split("regex", ["a\u0301b x²"]) == [["a\u0301b", "x", "²"]]


def test_lone_surrogates_are_punctuation() -> None:
    featuriser = Featuriser(Features())
    assert featuriser.words(["a\ud800b \udc00\ud800"]) == [["a", "\ud800", "b", "\udc00\ud800"]]
    part = featuriser.lines(b'{"t": "a\\ud800b \\ud83d\\ude00"}\n', "t")
    assert part.words.tolist() == [4]


def test_only_the_dotted_i_has_two_lower_case_characters() -> None:
    """The kernels treat it apart; another such character would need the same."""
    longer = [code for code in range(0x110000) if len(chr(code).lower()) != 1]
    assert longer == [0x130]


def test_case_and_ignorability_survive_lower_casing() -> None:
    """The look back from a capital sigma reads text that is already lower-cased."""
    lower, kinds = letters("re")
    bits = kinds & (CASED | IGNORABLE)
    assert np.array_equal(bits, bits[lower])
    assert [chr(c) for c in range(128) if kinds[c] & IGNORABLE] == ["'", ".", ":", "^", "`"]


@pytest.mark.parametrize("engine", ENGINES)
def test_long_random_documents(engine: str) -> None:
    draw = random.Random(3)
    texts = ["".join(draw.choices(ODD, k=draw.randrange(3000))) for _ in range(60)]
    assert split(engine, texts) == [expected(engine, text) for text in texts]


@pytest.mark.parametrize("engine", ENGINES)
def test_ascii_of_every_length_with_one_odd_character_anywhere(engine: str) -> None:
    """Bytes go 32 at a time: each border, and each place in it, with and without an escape."""
    plain = ("Some words, and_more: (x+y)**2 == Z9;\t" * 4)[:130]
    texts = [plain[:size] for size in range(131)]
    for odd in ("\n", "\x1c", "\\", '"', "é", "Σ", "İ", "\x7f"):
        texts += [plain[:at] + odd + plain[at + 1 :] for at in range(100)]
        texts += [plain[at : at + 32] + odd for at in range(3)]
    wanted = [expected(engine, text) for text in texts]
    assert split(engine, texts) == wanted
    worker = Featuriser(Features(words=engine))
    for ascii_only in (True, False):
        lines = [json.dumps({"t": text}, ensure_ascii=ascii_only) + "\n" for text in texts]
        part = worker.lines("".join(lines).encode(), "t")
        assert part.words.tolist() == [len(words) for words in wanted]
        assert worker.last_words()[: part.words.sum()] == [w for words in wanted for w in words]


def test_no_text_has_no_words() -> None:
    assert split("regex", []) == []
    assert split("regex", ["", " \n", "x"]) == [[], [], ["x"]]
