"""The exact model: its numbers by hand, and that they are probabilities."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from togi.errors import UsageError
from togi.lm.base import LanguageModel, Sampling
from togi.lm.exact import END, VOCABULARY, ExactModel, choose
from togi.rows.types import Message

COIN = ExactModel.from_table({"": {"h": 0.5, "t": 0.25, "": 0.25}})
TEXT = ExactModel.from_text("abracadabra", order=2)


def test_it_is_a_language_model():
    assert isinstance(COIN, LanguageModel)


def test_numbers_by_hand():
    # P(h) P(t) = 1/2 x 1/4; greedy only where h is wanted
    [both, heads] = COIN.score(["x", ""], ["ht", "hh"])
    assert both.total == pytest.approx(math.log(1 / 8), rel=1e-6)
    assert (both.greedy, heads.greedy) == (False, True)
    assert both.token_ids == (ord("h"), ord("t"))
    # after a conversation the end of the turn is scored too: 1/2 x 1/4
    [turn] = COIN.score([(Message("user", "flip"),)], ["h"])
    assert turn.token_ids == (ord("h"), END)
    assert turn.total == pytest.approx(math.log(1 / 8), rel=1e-6)


def test_add_one_smoothing_by_hand():
    # "ab" is followed by "r" twice: (2 + 1) / (2 + 257); the last "ra" by END, the first by "c"
    assert TEXT.probabilities(b"ab")[ord("r")] == pytest.approx(3 / 259)
    assert TEXT.probabilities(b"ra")[END] == pytest.approx(2 / 259)
    assert TEXT.probabilities(b"zzb")[ord("r")] == pytest.approx(3 / 259)  # backs off to "b"


@given(st.binary(max_size=6))
def test_probabilities_sum_to_one_after_any_bytes(context):
    for model in (COIN, TEXT):
        row = model.probabilities(context)
        assert row.shape == (VOCABULARY,)
        assert row.min() >= 0
        assert row.sum() == pytest.approx(1)


def test_all_answers_together_have_probability_one():
    # answers of "h" and "t" of up to two flips, each ended, and all two-flip beginnings that go on
    texts = ["".join(t) for n in (0, 1) for t in itertools.product("ht", repeat=n)]
    ended = sum(math.exp(COIN.score([(Message("user", "?"),)], [t])[0].total) for t in texts)
    going = sum(
        math.exp(COIN.score(["?"], ["".join(t)])[0].total)
        for t in itertools.product("ht", repeat=2)
    )
    assert ended + going == pytest.approx(1, rel=1e-6)


@given(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8))
def test_chain_rule(first, second):
    [whole, head, tail] = TEXT.score(["ab", "ab", "ab" + first], [first + second, first, second])
    assert whole.total == pytest.approx(head.total + tail.total, rel=1e-5)


def test_the_impossible_has_no_probability():
    [never] = COIN.score(["x"], ["hz"])
    assert never.total == -math.inf


def test_draws_do_not_depend_on_company_and_do_on_the_seed():
    sampling = Sampling(n=3, max_tokens=20, seed=1)
    alone = TEXT.generate(["ab"], sampling)[0]
    among = TEXT.generate(["x", "ab", "y"], sampling)[1]
    assert [a.text for a in alone] == [a.text for a in among]
    assert TEXT.generate(["ab"], Sampling(n=2, max_tokens=20, seed=1))[0][1].text == alone[1].text
    assert len({a.text for a in alone}) > 1
    other = TEXT.generate(["ab"], Sampling(n=3, max_tokens=20, seed=2))[0]
    assert [a.text for a in alone] != [a.text for a in other]


def test_frequencies_follow_the_probabilities():
    draws = COIN.generate(["x"], Sampling(n=2000, max_tokens=1))[0]
    share = sum(d.text == "h" for d in draws) / 2000
    assert abs(share - 0.5) < 4 * math.sqrt(0.25 / 2000)
    assert {d.finish for d in draws if not d.text} == {"stop"}
    assert {d.finish for d in draws if d.text} == {"length"}


def test_reported_logprobs_are_the_models_own():
    for sampling in (Sampling(max_tokens=9), Sampling(max_tokens=9, temperature=0.3, top_k=2)):
        [[answer]] = TEXT.generate(["ab"], sampling)
        before = b"ab"
        for token, value in zip(answer.token_ids, answer.logprobs, strict=True):
            assert value == pytest.approx(math.log(TEXT.probabilities(before)[token]), rel=1e-5)
            before += bytes([token]) if token != END else b""


def test_stop_strings_end_the_answer_before_them():
    chain = ExactModel.from_table({c: {d: 1.0} for c, d in zip("abcdef", "bcdefa", strict=True)})
    [[answer]] = chain.generate(["a"], Sampling(max_tokens=50, stop=("ef", "zz")))
    assert (answer.text, answer.finish) == ("bcd", "stop")
    assert bytes(answer.token_ids) == b"bcdef"
    [[cut]] = chain.generate(["a"], Sampling(max_tokens=4))
    assert (cut.text, cut.finish) == ("bcde", "length")


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 4), st.floats(0.05, 1))
def test_filters_only_choose_what_they_leave(uniform, top_k, top_p):
    row = np.array([0.1, 0.4, 0.3, 0.2])
    ranked = [1, 2, 3, 0]
    assert choose(row, uniform, Sampling(top_k=top_k)) in ranked[:top_k]
    before = np.array([0, 0.4, 0.7, 0.9])
    assert choose(row, uniform, Sampling(top_p=top_p)) in [
        ranked[i] for i in range(4) if before[i] < top_p + 1e-9
    ]
    assert choose(row, uniform, Sampling(temperature=0)) == 1
    assert choose(row, uniform, Sampling(temperature=1e-3)) == 1


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UsageError, match="sum to one"):
        ExactModel.from_table({"a": {"b": 0.9}})
    with pytest.raises(UsageError, match="order"):
        ExactModel.from_text("abc", order=-1)
    with pytest.raises(UsageError, match="empty"):
        COIN.score(["a"], [""])
    assert ExactModel.from_text("a").fingerprint != ExactModel.from_text("b").fingerprint
