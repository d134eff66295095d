"""Rankings: by hand, against the pairwise parts, coverage of ranks, and what the set changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.errors import DataError
from togi.stats import bootstrap_mean, wilson
from togi.stats.bradley_terry import bradley_terry
from togi.stats.ranking import Board, all_pairs, credits_of, rank_models, win_rates


def board(scores, clusters=None) -> Board:
    values = np.asarray(scores, dtype=np.float64)
    return Board(credits_of(values, all_pairs(values.shape[1])), clusters)


def skilled(rng: np.random.Generator, skills, n: int) -> np.ndarray:
    return rng.normal(size=(n, 1)) + rng.normal(size=(n, len(skills))) + np.asarray(skills)


def test_win_rates_and_strengths_by_hand():
    # 4 samples: a beats b 3 of 4; a beats c 3 of 4; b beats c 2 wins, 1 tie, 1 loss = 2.5 of 4
    scores = [[3, 2, 1], [3, 1, 2], [3, 2, 2], [0, 2, 1]]
    found = rank_models([board(scores)], 3)
    assert [place.win_rate.mean for place in found.places] == pytest.approx(
        [0.75, (0.25 + 0.625) / 2, (0.25 + 0.375) / 2]
    )
    assert [place.rank for place in found.places] == [1, 2, 3]
    wins = np.array([[0, 3, 3], [1, 0, 2.5], [1, 1.5, 0]])
    right = bradley_terry(wins)
    assert [place.strength.mean for place in found.places] == pytest.approx(
        (right - right.mean()).tolist()
    )


def test_two_models_have_the_interval_of_the_share_itself():
    rng = np.random.default_rng(0)
    scores = skilled(rng, [0.0, 0.4], 120)
    found = rank_models([board(scores)], 2, draws=20_000)
    wins = (scores[:, 0] > scores[:, 1]).astype(float)
    right = bootstrap_mean(wins, method="percentile")
    rate = found.places[0].win_rate
    assert rate.mean == wins.mean()
    assert (rate.low, rate.high) == pytest.approx((right.low, right.high), abs=0.02)


def test_tasks_weigh_the_same_however_many_samples_they_have():
    small = board([[1, 0]] * 2 + [[0, 1]] * 2)  # .5
    large = board([[1, 0]] * 100)  # 1
    assert rank_models([small, large], 2).places[0].win_rate.mean == 0.75


def test_clusters_widen_the_interval():
    rng = np.random.default_rng(1)
    ten = np.repeat(skilled(rng, [0.0, 0.3], 30), 10, axis=0)  # each sample ten times over
    labels = np.repeat(np.arange(30), 10)
    loose = rank_models([board(ten)], 2).places[0].win_rate
    tied = rank_models([board(ten, labels)], 2).places[0].win_rate
    assert (loose.n, tied.n) == (300, 30)
    assert tied.high - tied.low > 2 * (loose.high - loose.low)


def test_a_third_model_turns_an_order_round_and_it_is_said():
    # a beats b on 6 of 10; c loses to b always and to a on 5 of 10 only
    scores = np.array([[2, 1, 0]] * 5 + [[1, 0, -1]] + [[-1, 1, 0]] * 4, dtype=float)
    scores[0, 0] = 1.5
    found = rank_models([board(scores)], 3)
    assert found.places[1].rank == 1  # b leads by win rate: it beats c by more
    flips = [(flip.by, flip.one, flip.two, flip.without) for flip in found.flips]
    assert ("win rate", 0, 1, 2) in flips
    two = rank_models([board(scores[:, :2])], 2)
    assert two.places[0].rank == 1  # alone, a beats b


def test_where_the_law_holds_no_order_turns_round():
    rng = np.random.default_rng(3)
    assert rank_models([board(skilled(rng, [0, 1, 2, 3], 2000))], 4).flips == ()


def test_open_ranks_hold_the_truth_and_far_models_are_told_apart():
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        places = rank_models([board(skilled(rng, [0.0, 0.15, 1.5], 80))], 3, draws=400).places
        held += all(
            place.best <= right <= place.worst
            for place, right in zip(places, (3, 2, 1), strict=True)
        )
        assert (places[2].best, places[2].worst) == (1, 1)
    assert held >= 37  # 95 % of 40, less one standard error


def test_equal_models_share_a_rank_and_are_open_everywhere():
    same = np.ones((20, 3))
    for place in rank_models([board(same)], 3).places:
        assert (place.rank, place.best, place.worst) == (1, 1, 3)
        assert (place.win_rate.mean, place.strength.mean) == (0.5, 0.0)


def test_a_model_that_wins_all_has_no_finite_strength_but_a_rank():
    found = rank_models([board([[2, 1, 0], [2, 0, 1]] * 10)], 3)
    assert found.places[0].rank == 1
    assert found.places[0].win_rate.mean == 1.0
    assert np.isnan(found.places[0].strength.mean)
    right = wilson(20, 20)  # it may yet lose the next
    assert (found.places[0].win_rate.low, found.places[0].win_rate.high) == (right.low, right.high)


def test_unknown_scores_count_for_neither():
    found = rank_models([board([[1, 0], [np.nan, 0], [0, np.nan], [0, 1]])], 2)
    assert found.places[0].win_rate.mean == 0.5
    assert found.places[0].win_rate.n == 4


def test_a_single_sample_has_a_rate_and_no_interval():
    place = rank_models([board([[1, 0]])], 2).places[0]
    assert place.win_rate.mean == 1.0
    assert not place.win_rate.known
    assert (place.best, place.worst) == (1, 2)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(4)), st.integers(0, 5))
def test_names_and_the_order_of_samples_change_nothing(order: list[int], seed: int):
    scores = skilled(np.random.default_rng(seed), [0, 0.2, 0.5, 0.4], 30)
    plain = rank_models([board(scores)], 4, draws=200)
    rows = np.random.default_rng(seed + 9).permutation(len(scores))
    other = rank_models([board(scores[rows][:, order])], 4, draws=200)
    for place, old in enumerate(order):
        assert other.places[place].rank == plain.places[old].rank
        assert other.places[place].win_rate.mean == pytest.approx(plain.places[old].win_rate.mean)
    again = rank_models([board(scores[rows])], 4, draws=200)
    assert again.places == plain.places


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 5), st.integers(0, 99))
def test_win_rates_average_to_one_half(size: int, seed: int):
    scores = np.random.default_rng(seed).integers(0, 3, size=(12, size)).astype(float)
    assert win_rates(rank_models([board(scores)], size, draws=100).shares).mean() == pytest.approx(
        0.5
    )


def test_nothing_to_rank_is_refused():
    with pytest.raises(DataError, match="needs two models and a sample"):
        rank_models([Board(np.zeros((0, 1)))], 2)
    with pytest.raises(DataError, match="needs two models"):
        rank_models([], 2)
