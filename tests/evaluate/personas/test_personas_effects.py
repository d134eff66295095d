"""Effects: pairs, slopes over age, permutation tests that are exact, and what was not detected."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from togi.evaluate.personas.bandit import Played, Rules, draw_games
from togi.evaluate.personas.bandit_scores import bandit_effects, model_effects, settled
from togi.evaluate.personas.effects import (
    AGES,
    About,
    Trust,
    age_effects,
    age_slope,
    comparisons,
    mean_of,
    paired_effect,
    settle,
    standardised,
)
from togi.evaluate.personas.lockstep import play
from togi.evaluate.personas.persona import chosen
from togi.evaluate.personas.players import Simulated
from togi.evaluate.personas.told import sentence
from togi.evaluate.personas.weights import dealt, weighed, weight_slopes, weights_of
from togi.stats import minimum_detectable_effect, sign_flip

NOBODY = chosen(["none"])
QUICK = Trust(draws=500)
ABOUT = About("m", "reward", "points", "b", "a")


# --- differences by hand --------------------------------------------------------------------------


def test_who_is_compared_with_whom():
    people = chosen(["none", "genders", "ages", "person"])
    names = [who.name for who in people]
    pairs = [(names[a], names[b]) for a, b in comparisons(people)]
    assert ("woman", "man") in pairs
    assert ("2-year-old", "none") in pairs
    assert ("2-year-old", "4-year-old") not in pairs  # ages have a slope
    assert len(pairs) == 9 + 3
    assert comparisons(chosen(["woman", "person"])) == []  # a woman of kind "other"


def test_an_effect_by_hand():
    after, before = np.array([3.0, 5.0, 7.0, 9.0, 6.0]), np.array([2.0, 4.0, 4.0, 6.0, 4.0])
    found = paired_effect(ABOUT, after, before, QUICK)
    gaps = after - before  # 1 1 3 3 2
    assert found["estimate"]["mean"] == pytest.approx(2.0)
    assert found["estimate"]["n"] == found["pairs"] == 5
    assert found["p_value"] == pytest.approx(2 / 2**5)  # all signs alike: 2 of 32 flips
    assert found["p_value"] == sign_flip(gaps).p_value
    assert found["sd"] == pytest.approx(gaps.std(ddof=1))
    # Glass' delta: in standard deviations of what it is compared with
    assert found["size"]["mean"] == pytest.approx(2.0 / before.std())
    turned = paired_effect(ABOUT, before, after, QUICK)
    assert turned["estimate"]["mean"] == -2.0
    assert turned["p_value"] == found["p_value"]


def test_unknown_pairs_are_left_out_and_counted():
    found = paired_effect(ABOUT, np.array([1.0, np.nan, 3.0]), np.array([0.0, 1.0, 1.0]), QUICK)
    assert (found["pairs"], found["dropped"], found["estimate"]["mean"]) == (2, 1, 1.5)


def test_a_size_without_spread_is_unknown():
    same = np.full(5, 2.0)
    assert math.isnan(standardised(same + 1, same, None, QUICK).mean)


def test_a_mean_of_values_is_no_proportion():
    found = mean_of(np.array([1.0, 2.0, 3.0, 6.0]), QUICK)
    assert found.mean == 3.0
    assert found.low < 2.0
    assert math.isnan(mean_of(np.zeros(4), QUICK).low)


# --- slopes ---------------------------------------------------------------------------------------


def test_a_slope_over_age_by_hand():
    table = np.array([[0.0, 2.0, 1.0], [1.0, 5.0, 3.0], [5.0, 2.0, 8.0]])
    ages = np.array([0.0, 1.0, 3.0])
    z = ages - ages.mean()
    slopes = z @ table / (z @ z)  # least squares in each unit
    found = age_slope(table, ages, None, QUICK)
    assert found.estimate.mean == pytest.approx(slopes.mean())
    assert found.sd == pytest.approx(slopes.std(ddof=1))
    assert found.estimate.mean == pytest.approx(np.polyfit(ages, table.mean(axis=1), 1)[0])


def test_personas_without_age_have_no_slope():
    table = np.ones((3, 4))
    assert age_effects(ABOUT, chosen(["none", "man", "dax"]), table, QUICK) == []
    one_age = chosen(["none", "7-year-old", "7-year-old girl"])
    assert age_effects(ABOUT, one_age, table, QUICK) == []
    (found,) = age_effects(ABOUT, chosen(["none", "2-year-old", "12-year-old"]), table, QUICK)
    assert (found["after"], found["before"]) == (AGES, "")


def test_a_slope_counts_ten_years():
    people = chosen(["10-year-old", "20-year-old", "30-year-old"])
    table = np.array([[1.0] * 6, [3.0] * 6, [5.0] * 6]) + np.arange(6)
    (found,) = age_effects(ABOUT, people, table, QUICK)
    assert found["estimate"]["mean"] == pytest.approx(2.0)


# --- permutations ---------------------------------------------------------------------------------


def test_dealing_is_the_exact_permutation_test():
    """Against all (3!)³ deals, counted one by one."""
    rng = np.random.default_rng(0)
    moved, contrast = rng.standard_normal((3, 3, 1)), np.array([-1.0, 0.0, 1.0])
    seen = abs(float(np.einsum("p,pgk->k", contrast, moved)[0]))
    orders = [np.array(order) for order in itertools.permutations(contrast)]
    sums = [
        abs(sum(float(deal @ moved[:, game, 0]) for game, deal in enumerate(deals)))
        for deals in itertools.product(orders, repeat=3)
    ]
    exact = np.mean([value >= seen - 1e-12 for value in sums])
    (p,) = dealt(moved, contrast, draws=20_000, seed=0)
    assert p == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000))


def test_dealing_does_not_hang_on_the_order_of_players_nor_on_memory(monkeypatch):
    rng = np.random.default_rng(1)
    moved, contrast = rng.standard_normal((4, 9, 2)), np.array([-1.5, -0.5, 0.5, 1.5])
    one = dealt(moved, contrast, draws=300, seed=5)
    order = [2, 0, 3, 1]
    assert dealt(moved[order], contrast[order], draws=300, seed=5) == one
    monkeypatch.setattr("togi.evaluate.personas.weights.CELLS", 150)
    assert dealt(moved, contrast, draws=300, seed=5) == one
    assert dealt(np.zeros((3, 5, 1)), np.arange(3.0), draws=100, seed=0) == [1.0]
    assert all(math.isnan(p) for p in dealt(moved[:, :0], contrast, draws=100, seed=0))
    assert all(math.isnan(p) for p in dealt(moved * np.nan, contrast, draws=100, seed=0))


def test_the_smallest_p_value_outlives_the_correction_of_a_large_family():
    """All ages beside nobody and all their weights are 288 questions; one of them can be seen."""
    moved = np.stack([np.zeros(30), np.ones(30)])[:, :, None]
    (p,) = dealt(moved, np.array([-0.5, 0.5]), seed=0)
    assert p * 288 < 0.05


def test_dealing_holds_its_level():
    """Where it does not matter who plays, one of twenty tests is below 5 %."""
    rng = np.random.default_rng(2)
    hits = [
        dealt(rng.standard_normal((4, 12, 1)), np.arange(4.0), draws=99, seed=seed)[0] <= 0.05
        for seed in range(400)
    ]
    assert np.mean(hits) == pytest.approx(0.05, abs=0.035)


# --- weights --------------------------------------------------------------------------------------


def played_by(players: list[Simulated], games: int = 150) -> tuple:
    """Several players in the same games, as if they were personas."""
    drawn = draw_games(games, Rules(), 0)
    one = [play(player, NOBODY, drawn) for player in players]
    whole = Played(*(np.concatenate([getattr(p, n) for p in one])
                     for n in ("arms", "likely", "asked")))  # fmt: skip
    return drawn, whole


def test_a_weights_interval_holds_the_known_one():
    drawn, whole = played_by([Simulated("ucb", seed=3)])
    found = weights_of(weighed(drawn, whole), 0, draws=300, seed=0)
    assert found.fit.n == 1500
    for name, known in zip(found.estimates, Simulated("ucb").known, strict=True):
        estimate = found.estimates[name]
        assert estimate.n == 150
        assert estimate.low - 0.1 < known < estimate.high + 0.1, name


def test_a_change_of_weights_is_detected_and_placed():
    """Three players whose bonus for the unknown grows: RU moves with it."""
    bonuses = (0.0, 1.0, 2.0)
    drawn, whole = played_by([Simulated("ucb", seed=5, bonus=b) for b in bonuses], games=250)
    slopes = weight_slopes(weighed(drawn, whole), [0, 1, 2], np.array(bonuses), draws=400, seed=0)
    assert slopes["RU"].p_value <= 0.01
    assert slopes["RU"].estimate.low > 0
    assert slopes["RU"].estimate.low - 0.1 < 1 / 3 < slopes["RU"].estimate.high + 0.1


def test_players_alike_have_no_change():
    drawn, whole = played_by([Simulated("thompson", seed=1)] * 3, games=60)
    slopes = weight_slopes(weighed(drawn, whole), [0, 1, 2], np.arange(3.0), draws=200, seed=0)
    for slope in slopes.values():
        assert slope.estimate.mean == 0.0
        assert slope.p_value == 1.0


def test_two_players_difference_is_that_of_their_fits():
    drawn, whole = played_by([Simulated("greedy", seed=1), Simulated("ucb", seed=2)], games=120)
    data = weighed(drawn, whole)
    one, two = (weights_of(data, k, draws=100, seed=0).fit.weights for k in (0, 1))
    slopes = weight_slopes(data, [0, 1], np.array([-0.5, 0.5]), draws=100, seed=0)
    found = [slope.estimate.mean for slope in slopes.values()]
    assert found == pytest.approx((two - one).tolist(), abs=1e-6)


def test_personas_that_are_a_coin_are_not_detected():
    drawn, whole = played_by([Simulated("random", seed=s) for s in range(4)], games=60)
    people = chosen(["none", "2-year-old", "13-year-old", "20-year-old"])
    rewards, weights = bandit_effects("m", people, drawn, whole, QUICK, bias=True)
    found = settled((rewards, weights), QUICK)
    assert len(found) == 3 + 1 + 3 * 3 + 3
    assert [one["detected"] for one in found] == [False] * len(found)
    assert all(one["detectable"] > 0 for one in found)


def test_a_better_player_is_detected():
    drawn, whole = played_by([Simulated("random"), Simulated("ucb")], games=60)
    rewards, weights = bandit_effects("m", chosen(["none", "dax"]), drawn, whole, QUICK, bias=True)
    settled((rewards, weights), QUICK)
    assert rewards[0]["detected"]
    assert rewards[0]["estimate"]["low"] > 2
    assert {one["measure"]: one["detected"] for one in weights}["weight of V"]


def test_models_are_compared_over_all_personas():
    rewards = {
        "a": [{"reward": np.array([1.0, 2.0])}, {"reward": np.array([3.0, 4.0])}],
        "b": [{"reward": np.array([2.0, 4.0])}, {"reward": np.array([4.0, 6.0])}],
    }
    (found,) = model_effects(rewards, QUICK)
    assert (found["after"], found["before"], found["estimate"]["mean"]) == ("b", "a", 1.5)


# --- what is said ---------------------------------------------------------------------------------


def family(*means: float, n: int = 20) -> list[dict]:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(n) - rng.standard_normal(n)
    return [
        paired_effect(
            About("m", "reward", "points", f"p{k}", "none"), noise + mean, noise * 0, QUICK
        )
        for k, mean in enumerate(means)
    ]


def test_a_family_is_corrected_by_holm():
    found = family(0.0, 4.0, 5.0)
    settle(found, QUICK)
    p = [one["p_value"] for one in found]
    assert found[0]["p_adjusted"] == pytest.approx(max(p[0], min(1, 2 * max(p[1:]))))
    assert min(one["p_adjusted"] for one in found) == pytest.approx(3 * min(p))
    assert [one["detected"] for one in found] == [False, True, True]
    alone = family(0.0)
    settle(alone, QUICK)
    assert alone[0]["detectable"] < found[0]["detectable"]  # a family asks for more
    assert alone[0]["detectable"] == pytest.approx(
        minimum_detectable_effect(alone[0]["sd"], 20, 0.05, 0.8)
    )


def test_both_the_p_value_and_the_interval_must_say_so():
    (one,) = family(4.0)
    one["estimate"] |= {"low": -0.1}
    settle([one], QUICK)
    assert one["p_adjusted"] < 0.01
    assert one["detected"] is False


def test_what_cannot_be_known_is_not_called_absent():
    (one,) = family(0.0, n=1)
    settle([one], QUICK)
    assert one["detected"] is None
    assert "too small for an interval" in sentence(one, 0.8)


def test_not_detected_is_said_plainly():
    found = family(0.0, 5.0)
    settle(found, QUICK)
    none, some = (sentence(one, 0.8) for one in found)
    assert "not detected" in none
    assert "would have been seen in 80 of 100 studies" in none
    assert "not detected" not in some
    assert ", p 0.00" in some
    none_at_all = family(0.0)[0]
    none_at_all["estimate"] |= {"low": -3.5e-18}
    settle([none_at_all], QUICK)
    assert "(0 to " in sentence(none_at_all, 0.8)
    same = family(0.0)[0] | {"sd": 0.0}
    same["estimate"] |= {"mean": 0.0, "low": None, "high": None}
    settle([same], QUICK)
    assert sentence(same, 0.8) == "reward, p0 − none: no difference in any of 20"
