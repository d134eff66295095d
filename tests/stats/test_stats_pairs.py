"""Strengths, agreement and resampled intervals: numbers by hand, enumeration, properties."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from togi.errors import DataError
from togi.stats import stream, win_rate
from togi.stats.bradley_terry import bradley_terry, finite_strengths, strengths, wins_of
from togi.stats.judge_agreement import agreement, cohen_kappa, tie_discounted
from togi.stats.resampled import drawn_estimate, expanded_alpha, redrawn, unit_sums

NAN = float("nan")
VERDICTS = st.sampled_from([0.0, 0.5, 1.0])


# ---- Bradley–Terry


def test_two_models_are_the_odds_of_the_win_rate():
    credit = np.array([1, 1, 0.5, 0, 1, 1, 0.5, 1.0])
    (found,) = strengths(credit[:, None], [(1, 0)], 2)
    rate = win_rate(credit).rate.mean
    assert found.mean == pytest.approx(math.log(rate / (1 - rate)))


def test_three_models_by_hand():
    # b beats a 2 : 1, c beats b 2 : 1 and c beats a 4 : 1: odds of 1, 2 and 4 fit exactly
    wins = np.array([[0, 1, 1], [2, 0, 1], [4, 2, 0.0]])
    assert np.exp(bradley_terry(wins)) == pytest.approx([1, 2, 4])


def test_expected_wins_equal_the_wins_at_the_maximum():
    rng = stream(0, "wins")
    wins = rng.integers(1, 30, size=(5, 5)).astype(float)
    np.fill_diagonal(wins, 0)
    found = bradley_terry(wins)
    chance = 1 / (1 + np.exp(found[None, :] - found[:, None]))
    met = wins + wins.T
    assert (met * chance).sum(axis=1) - np.diag(met * chance) == pytest.approx(wins.sum(axis=1))


def test_a_batch_is_each_one_by_itself():
    wins = stream(1, "batch").integers(0, 2, size=(40, 4, 4)).astype(float)
    found = bradley_terry(wins)
    alone = np.stack([bradley_terry(one) for one in wins])
    assert np.isnan(found).any(axis=1).tolist() == (~finite_strengths(wins)).tolist()
    assert 0 < np.isnan(found).any(axis=1).sum() < 40
    np.testing.assert_allclose(found, alone, atol=1e-8)


@given(st.permutations(range(4)))
@settings(max_examples=20, deadline=None)
def test_names_do_not_matter(order: list[int]):
    wins = np.array([[0, 3, 1, 2], [1, 0, 4, 2], [5, 1, 0, 1], [2, 2, 3, 0.0]])
    found, mixed = bradley_terry(wins), bradley_terry(wins[np.ix_(order, order)])
    assert mixed == pytest.approx(found[order] - found[order[0]], abs=1e-8)


def test_a_model_that_won_all_has_no_finite_strength():
    credit = np.array([[1.0, 1.0, 0.5], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    found = strengths(credit, [(1, 0), (2, 0), (2, 1)], 3)
    assert all(math.isnan(one.mean) and not one.known for one in found)
    # and models that never met, not even by way of others, cannot be compared
    assert np.isnan(bradley_terry(wins_of(np.array([2.0, 3.0]), [(1, 0)], 3))).all()


def test_a_lopsided_win_still_converges():
    wins = np.array([[0, 1e-3, 1], [1e5, 0, 1], [1, 1e6, 0.0]])
    found = bradley_terry(wins)
    assert np.isfinite(found).all()
    chance = 1 / (1 + np.exp(found[None, :] - found[:, None]))
    expected = ((wins + wins.T) * chance * (1 - np.eye(3))).sum(axis=1)
    assert expected == pytest.approx(wins.sum(axis=1), rel=1e-5)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    truth = np.array([0.0, 0.4, 1.0])
    pairs = [(1, 0), (2, 0), (2, 1)]
    chance = [1 / (1 + math.exp(truth[b] - truth[a])) for a, b in pairs]
    held, rounds = 0, 150
    for trial in range(rounds):
        credit = (stream(trial, "cover").random((60, 3)) < chance).astype(float)
        found = strengths(credit, pairs, 3, draws=400, seed=trial)
        held += found[1].low <= truth[2] <= found[1].high
    assert 0.89 <= held / rounds <= 0.995


def test_unknown_verdicts_and_clusters():
    credit = np.array([[1.0], [1.0], [0.0], [NAN], [1.0], [0.0]])
    (found,) = strengths(credit, [(1, 0)], 2, clusters=list("aabbcc"))
    assert found.n == 3
    assert found.mean == pytest.approx(math.log(3 / 2))
    (few,) = strengths(credit[:1], [(1, 0)], 2)
    assert math.isnan(few.mean)


def test_rows_in_another_order_give_the_same_interval():
    credit = stream(2, "order").integers(0, 3, (30, 1)) / 2
    order = stream(3, "order").permutation(30)
    labels = [str(place // 2) for place in range(30)]
    one = strengths(credit, [(1, 0)], 2, clusters=labels)
    two = strengths(credit[order], [(1, 0)], 2, clusters=[labels[place] for place in order])
    assert one == two


def test_wins_that_are_no_counts_are_refused():
    with pytest.raises(DataError, match="wins must be a square of counts"):
        bradley_terry(np.array([[0.0, -1.0], [1.0, 0.0]]))
    with pytest.raises(DataError, match="wins must be a square of counts"):
        bradley_terry(np.ones((2, 3)))


# ---- judges


def test_tie_discounted_agreement_by_hand():
    one, two = [1, 1, 1, 0.5, 0.5, 0, NAN, 0.75], [1, 0.5, 0, 0.5, 0, 0, 1, 1]
    expected = [1, 0.5, 0, 1, 0.5, 1, NAN, 1]
    np.testing.assert_array_equal(tie_discounted(one, two), expected)
    assert agreement(one, two).mean == pytest.approx(5 / 7)


def test_the_bootstrap_of_the_agreement_is_that_of_all_resamples():
    """Against brute force: every one of the 4⁴ resamples of four items."""
    one, two = [1, 1, 0.5, 0], [1, 0.5, 0.5, 1]
    values = tie_discounted(one, two)
    means = np.sort([np.mean(pick) for pick in itertools.product(values, repeat=4)])
    drawn = redrawn(np.column_stack([values, np.ones(4)]), 20_000, 0)
    found = np.sort(drawn[:, 0] / drawn[:, 1])
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        place = int(share * len(means))
        assert found[int(share * len(found))] == pytest.approx(means[place], abs=0.126)
    assert found.mean() == pytest.approx(means.mean(), abs=0.01)
    assert found.std() == pytest.approx(means.std(), rel=0.03)


def test_kappa_by_hand():
    # agreed on 5 of 8; chance: (3·4 + 3·2 + 2·2) / 64
    one = [1, 1, 1, 0.5, 0.5, 0.5, 0, 0]
    two = [1, 1, 1, 0.5, 1, 0, 0, 0.5]
    chance = (3 * 4 + 3 * 2 + 2 * 2) / 64
    assert cohen_kappa(one, two).mean == pytest.approx((5 / 8 - chance) / (1 - chance))


@given(st.lists(st.tuples(VERDICTS, VERDICTS), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_agreement_is_symmetric_and_full_with_oneself(pairs: list[tuple[float, float]]):
    one, two = (list(side) for side in zip(*pairs, strict=True))
    assert tie_discounted(one, two).tolist() == tie_discounted(two, one).tolist()
    assert tie_discounted(one, one).tolist() == [1.0] * len(one)
    kappa, turned = cohen_kappa(one, two, draws=100), cohen_kappa(two, one, draws=100)
    assert kappa.mean == pytest.approx(turned.mean, nan_ok=True)
    own = cohen_kappa(one, one, draws=100).mean
    assert math.isnan(own) if len(set(one)) == 1 else own == pytest.approx(1)


def test_kappa_of_judges_that_never_differ_is_unknown_and_not_one():
    found = cohen_kappa([1] * 50, [1] * 50)
    assert math.isnan(found.mean)
    assert not found.known
    assert cohen_kappa([], []).n == 0


# ---- resamples


def test_clusters_are_summed_and_sorted():
    columns = np.array([[1.0, 0.0], [2.0, 1.0], [4.0, 1.0], [0.0, 1.0]])
    assert unit_sums(columns, ["x", "y", "x", "y"]).tolist() == [[5.0, 1.0], [2.0, 2.0]]
    with pytest.raises(DataError, match="differ in length"):
        unit_sums(columns, ["x"])


def test_a_small_sample_widens_the_interval():
    # z of the widened α is √(n/(n−1)) · t: for n = 5 it is 1.118 · 2.776
    from togi.stats.special import normal_quantile

    assert -normal_quantile(expanded_alpha(0.05, 5) / 2) == pytest.approx(
        math.sqrt(5 / 4) * 2.776445, rel=1e-5
    )


def test_draws_without_a_value_count_as_beyond_both_bounds():
    draws = stream(0, "draws").normal(size=2001)
    whole = drawn_estimate(0.0, draws, 10_000)
    some = draws.copy()
    some[:20] = NAN
    few = drawn_estimate(0.0, some, 10_000)
    assert few.low < whole.low
    assert few.high > whole.high
    some[:200] = NAN
    assert not drawn_estimate(0.0, some, 10_000).known


def test_too_few_units_or_no_spread_give_no_interval():
    assert not drawn_estimate(0.3, np.array([0.3] * 200), 1).known
    assert not drawn_estimate(0.3, np.array([0.3] * 200), 28).known
    assert drawn_estimate(0.3, np.array([0.3] * 200), 29).low == 0.3
    assert not drawn_estimate(NAN, np.array([0.3] * 200), 29).known
