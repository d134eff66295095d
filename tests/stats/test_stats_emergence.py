"""Edit distance, pass@k, and the emergence score: hand numbers, properties, the closed form."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from togi.errors import DataError, UsageError
from togi.stats.edits import levenshtein, pieces, similarity
from togi.stats.emergence import (
    _of_rows,
    edits_from_tokens,
    effective_length,
    emergence_score,
    exact_from_tokens,
    fit_cross_entropy,
    items_to_see,
    largest_step,
    linearity_score,
    resolution,
    sharpness,
)
from togi.stats.pass_at_k import pass_at_k

# --- edits --------------------------------------------------------------------------------------


def by_table(one: str, two: str) -> int:
    """The textbook's dynamic programme, as the reference."""
    row = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(two, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


@given(st.text("abc", max_size=90), st.text("abc", max_size=90))
def test_the_bit_parallel_distance_is_the_table_s(one: str, two: str):
    assert levenshtein(one, two) == by_table(one, two)


@given(*[st.text("abé1 ", max_size=20)] * 3)
def test_the_distance_is_a_metric(a: str, b: str, c: str):
    assert levenshtein(a, b) == levenshtein(b, a)
    assert levenshtein(a, c) <= levenshtein(a, b) + levenshtein(b, c)
    assert (levenshtein(a, b) == 0) == (a == b)
    assert 0 <= similarity(a, b) <= 1


def test_long_sequences_and_other_items_than_letters():
    assert levenshtein(list(range(500)), list(range(1, 501))) == 2
    assert pieces("Ünï_2 数 −3") == ["ünï", "_", "2", "数", "−", "3"]


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [("", "", 1), ("", "a", 0), ("4 2", "42", 1), ("Paris!", "paris", 0.5), ("142", "152", 2 / 3),
     ("the the the the", "the", 0.25)],
)  # fmt: skip
def test_similarity_by_hand(one: str, two: str, expected: float):
    assert similarity(one, two) == pytest.approx(expected)


# --- pass@k -------------------------------------------------------------------------------------


@given(st.integers(1, 12), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_pass(n: int, data: st.DataObject):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    subsets = list(itertools.combinations(range(n), k))
    share = sum(min(chosen) < c for chosen in subsets) / len(subsets)
    assert pass_at_k(n, c, k) == pytest.approx(share, abs=1e-12)


def test_pass_at_k_of_many_answers_is_unbiased():
    """Averaged over how many of n pass, it is 1 - (1 - p)^k (Chen et al. 2021, section 2.1)."""
    n, k, p = 200, 10, 0.03
    chance = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    mean = sum(q * pass_at_k(n, c, k) for c, q in enumerate(chance))
    assert mean == pytest.approx(1 - (1 - p) ** k, abs=1e-12)


def test_pass_at_k_of_too_few_is_unknown_and_nonsense_is_refused():
    assert math.isnan(pass_at_k(3, 1, 4))
    with pytest.raises(UsageError, match="pass@1 of 3 passes among 2 answers"):
        pass_at_k(2, 3, 1)


# --- emergence ----------------------------------------------------------------------------------


@given(st.floats(-5, 5), st.floats(0.01, 5), st.integers(3, 12))
def test_a_straight_line_has_models_less_one(start: float, step: float, m: int):
    line = [start + step * i for i in range(m)]
    assert emergence_score(line) == pytest.approx(m - 1)
    assert linearity_score(line) == pytest.approx(m - 1)
    assert emergence_score(line[::-1]) == pytest.approx(1 - m)


@given(st.lists(st.floats(0, 1, width=16), min_size=3, max_size=9), st.floats(0.5, 4))
def test_it_does_not_depend_on_the_scale(scores: list[float], times: float):
    one, two = emergence_score(scores), emergence_score([times * s for s in scores])
    assert one == pytest.approx(two, rel=1e-6)


def test_the_score_by_hand():
    # steps 0, 0.02, 0.5, 0.1: the median of their squares is that of 0.02 and 0.1, mean 0.0052
    assert emergence_score([0, 0, 0.02, 0.52, 0.62]) == pytest.approx(0.62 / math.sqrt(0.0052))


@pytest.mark.parametrize(
    ("n", "median", "high"), [(100, 3.9, 5.0), (100_000, 4.0, 4.05)], ids=["100", "100000"]
)
def test_the_spread_of_a_noisy_line_is_as_simulated(n: int, median: float, high: float):
    """Five models from 0.1 to 0.6 judged on n items: median and 95 % of the score."""
    draws = np.random.default_rng(0).binomial(n, np.linspace(0.1, 0.6, 5), (4000, 5)) / n
    found = _of_rows(draws)
    assert np.median(found) == pytest.approx(median, abs=0.1)
    assert np.quantile(found, 0.95) == pytest.approx(high, abs=0.15)


def test_noise_alone_is_called_sharp_in_one_of_twenty():
    rng, p, n = np.random.default_rng(1), np.linspace(0.1, 0.6, 5), 200
    scores = rng.binomial(n, p, (300, 5)) / n
    errors = np.sqrt(scores * (1 - scores) / n)
    alarms = [
        sharpness(list(s), list(e), draws=400).sharp for s, e in zip(scores, errors, strict=True)
    ]
    assert np.mean(alarms) < 0.1


def test_exact_match_of_smooth_tokens_is_sharp_and_edits_are_not():
    """P1 of the paper in closed form: p = exp(-(N/c)^alpha), answers of ten tokens."""
    p = [math.exp(-((n / 1e6) ** -0.15)) for n in (1e6, 1e7, 1e8, 1e9, 1e10)]
    exact = [exact_from_tokens(one, 10) for one in p]
    right = [1 - edits_from_tokens(one, 10) / 10 for one in p]
    assert sharpness(exact, [0.001] * 5).sharp
    assert not sharpness(right, [0.001] * 5).sharp
    assert emergence_score(exact) > 5 > 4 > emergence_score(right)


def test_the_score_s_edges():
    assert emergence_score([0.5, 0.5, 0.5]) == 0
    assert emergence_score([0.1, 0.1, 0.1, 0.9]) == math.inf
    assert emergence_score([0.9, 0.1, 0.1, 0.1]) == -math.inf
    with pytest.raises(DataError, match="three known scores or more"):
        emergence_score([0.1, 0.2])
    with pytest.raises(DataError, match="three known scores or more"):
        linearity_score([0.1, math.nan, 0.3])
    with pytest.raises(DataError, match="each score needs its standard error"):
        sharpness([0, 1, 2], [0.1, 0.1])


@given(st.lists(st.floats(0, 1, width=16), min_size=3, max_size=9))
def test_the_largest_step_lies_between_a_line_s_and_a_jump_s(scores: list[float]):
    found = largest_step(scores)
    if len(set(scores)) == 1:
        assert math.isnan(found)
        return
    assert 1 / (len(scores) - 1) - 1e-9 <= found <= 1
    assert largest_step([1 - s for s in scores]) == pytest.approx(found) or _tied(scores)


def _tied(scores: list[float]) -> bool:
    return scores.count(max(scores)) > 1 or scores.count(min(scores)) > 1


def test_what_none_of_n_may_hide_and_what_it_takes_to_see_it():
    step, unseen = resolution(200)
    assert step == 1 / 200
    assert (1 - unseen) ** 200 == pytest.approx(0.05)
    assert all(math.isnan(value) for value in resolution(0))
    n = items_to_see(unseen)
    assert n == pytest.approx(200)
    assert (items_to_see(0), items_to_see(1)) == (math.inf, 1)
    with pytest.raises(UsageError, match="a share lies in 0 to 1, got 2"):
        items_to_see(2)


def test_correlated_tokens_have_a_shorter_effective_length():
    assert effective_length(exact_from_tokens(0.8, 6), 0.8) == pytest.approx(6)
    assert effective_length(0.8, 0.8) == pytest.approx(1)  # all tokens stand or fall together
    assert all(math.isnan(effective_length(*one)) for one in ((0, 0.5), (0.5, 1.0), (0.5, 0)))


def test_a_power_law_is_found_again_and_nonsense_is_refused():
    scales = [1e5, 1e6, 1e7, 1e8]
    c, alpha = fit_cross_entropy(scales, [(n / 3e4) ** -0.25 for n in scales])
    assert (c, alpha) == (pytest.approx(3e4), pytest.approx(-0.25))
    with pytest.raises(DataError, match="two scales or more"):
        fit_cross_entropy([1e5, 1e5], [1.0, 1.0])
    with pytest.raises(DataError, match="losses above 0"):
        fit_cross_entropy([1e5, 1e6], [1.0, 0.0])
