"""n-grams to buckets: SHA-256 as hashlib has it, the fast hash as its definition says."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from togi.data import dsir
from togi.data.features import MOST_BUCKETS, Features
from togi.data.featuriser import Featuriser
from togi.data.kernels.table import QUEUES
from togi.errors import UsageError

MASK = (1 << 64) - 1


def ngrams(words: list[str], order: int) -> list[list[str]]:
    """In the index's order: those that end at the first word, at the second, and so on."""
    return [
        words[end - size + 1 : end + 1]
        for end in range(len(words))
        for size in range(1, min(end + 1, order) + 1)
    ]


def exact(ngram: list[str], buckets: int) -> int:
    text = " ".join(ngram).encode("utf-8", "surrogatepass")
    return int(hashlib.sha256(text).hexdigest(), 16) % buckets


def fast(ngram: list[str], buckets: int) -> int:
    """The definition in the docstring of `fast_buckets`, in Python's integers."""

    def fold(state: int, word: int) -> int:
        mixed = (state ^ word) * 0x9E3779B97F4A7C15 & MASK
        return mixed ^ mixed >> 32

    def word_hash(word: str) -> int:
        data = word.encode("utf-8", "surrogatepass")
        state = len(data)
        for i in range(0, len(data), 8):
            state = fold(state, int.from_bytes(data[i : i + 8], "little"))
        return state

    state = word_hash(ngram[0])
    for word in ngram[1:]:
        state = fold(state * 0xC2B2AE3D27D4EB4F & MASK, word_hash(word))
    return ((state * 0xD6E8FEB86659FD93 & MASK) >> 32) * buckets >> 32


def test_known_buckets_of_the_reference() -> None:
    assert dsir.hash_bucket("alice") == 6720
    assert dsir.hash_bucket("alice went") == 114
    part = Featuriser(Features(hash="exact")).texts(["Alice went"])
    assert part.indices.tolist() == [6720, dsir.hash_bucket("went"), 114]


def test_five_words_have_nine_ngrams() -> None:
    counts = dsir.ngram_counts("Alice went to the store")
    assert counts.sum() == 9
    assert counts[6720] == counts[114] == 1


word_lists = st.lists(
    st.text(st.sampled_from("ab\0é中") | st.characters(categories=["Ll", "Lo", "Nd"]), min_size=1,
            max_size=90),
    max_size=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    word_lists,
    st.integers(1, 5),
    st.sampled_from([2, 10_000, 65_536, 65_537, MOST_BUCKETS]),
    st.sampled_from(["exact", "fast"]),
)
def test_buckets_follow_their_definition(words, order, buckets, hash) -> None:
    worker = Featuriser(Features(order=order, buckets=buckets, hash=hash))
    text = " ".join(words)
    (split,) = worker.words([text])
    found = worker.texts([text]).indices
    bucket = exact if hash == "exact" else fast
    assert found.tolist() == [bucket(ngram, buckets) for ngram in ngrams(split, order)]
    assert found.dtype == (np.uint16 if buckets <= 65_536 else np.uint32)


def test_messages_of_every_length_hash_as_hashlib_does() -> None:
    """Up to five blocks: each queue, its borders, and what is too long for any."""
    words = ["x" * size for size in range(1, 64 * (QUEUES + 1) + 1)]
    found = Featuriser(Features(order=1, hash="exact")).texts([" ".join(words)]).indices
    assert found.tolist() == [exact([word], 10_000) for word in words]


def test_what_was_remembered_is_hashed_no_differently() -> None:
    worker = Featuriser(Features(hash="exact"))
    text = "the cat sat on the mat and the cat sat " * 40
    first, again = worker.texts([text]).indices, worker.texts([text]).indices
    assert first.tolist() == again.tolist()
    assert first.tolist() == [exact(n, 10_000) for n in ngrams(text.split(), 2)]


def test_many_unlike_ngrams_overflow_the_memo_and_stay_exact() -> None:
    words = [f"w{number}" for number in range(70_000)]
    found = Featuriser(Features(order=1, hash="exact")).texts([" ".join(words)]).indices
    sample = range(0, len(words), 499)
    assert [int(found[i]) for i in sample] == [exact([words[i]], 10_000) for i in sample]


@pytest.mark.parametrize("hash", ["fast", "exact"])
def test_both_hashes_spread_evenly(hash: str) -> None:
    """Chi-square over 512 buckets; the seedless hash is fixed, so this never flickers."""
    words = " ".join(f"{a}{b}" for a in "abcdefghijklmnop" for b in range(1000))
    counts = dsir.ngram_counts(words, buckets=512, hash=hash)
    mean = counts.sum() / 512
    assert chi2.sf(((counts - mean) ** 2 / mean).sum(), 511) > 0.001


def test_word_order_and_borders_matter_to_the_fast_hash() -> None:
    assert len({fast(n, 1 << 29) for n in (["a", "b"], ["b", "a"], ["ab"], ["a"], ["b"])}) == 5


@pytest.mark.parametrize(
    "wrong",
    [{"order": 0}, {"buckets": 1}, {"buckets": MOST_BUCKETS + 1}, {"hash": "fsat"}, {"words": "x"}],
)
def test_features_that_make_no_sense_are_refused(wrong) -> None:
    with pytest.raises(UsageError):
        Features(**wrong)
