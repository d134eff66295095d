"""Groups of raters: p-values uniform under the null, both ways of counting equal, GRASP by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from rater_toys import crossed, people

from togi.errors import DataError, UsageError
from togi.evaluate.disagreement.agreement import xrr
from togi.evaluate.disagreement.grasp import portrait, times_drawn, voting_agreement
from togi.evaluate.disagreement.groups import axis_test, gai_of, no_gai
from togi.evaluate.disagreement.membership import Common, Pool
from togi.evaluate.disagreement.soft import entropy, shares
from togi.evaluate.disagreement.told import Permuting, groups_told, split_items
from togi.stats.alpha import krippendorff
from togi.stats.rng import stream

FIELDS = list(Common.__dataclass_fields__)


def memberships(seed: int, count: int, raters: int) -> np.ndarray:
    found = stream(seed, "members").random((count, raters)) < 0.4
    found[:, :3], found[:, 3:6] = True, False  # no side is empty
    return found


@pytest.mark.parametrize("labels", [2, 3, 5])
def test_agreement_by_pairs_equals_agreement_by_counts(labels):
    pool = Pool(crossed(people(0, labels=labels)[0]))
    member = memberships(0, 7, 24)
    fast, slow = pool.common(member), pool.by_counts(member)
    assert pool.pairs is not None
    for name in FIELDS:
        assert getattr(fast, name) == pytest.approx(getattr(slow, name), rel=1e-5), name


@pytest.mark.parametrize("gaps", [0.0, 0.5, 0.85])
def test_each_membership_equals_alpha_and_xrr_of_its_tables(gaps):
    given_labels = people(1, items=25)[0]
    given_labels[stream(0, "gaps").random(given_labels.shape) < gaps] = -1
    table = crossed(given_labels, ("a", "b", "c"))
    pool = Pool(table)
    member = memberships(1, 4, 24)
    found = pool.common(member)
    for b, mine in enumerate(member):
        inside, outside = table.only(mine).counts, table.only(~mine).counts
        assert found.irr[b] == pytest.approx(krippendorff(inside), abs=1e-6)
        assert found.xrr[b] == pytest.approx(xrr(inside, outside).value, abs=1e-6)
        assert found.share[b] == pytest.approx(inside.sum(axis=0) / inside.sum())
        n = np.maximum(inside.sum(axis=1), 1)
        assert found.held[b] == pytest.approx(((inside**2).sum(axis=1) / n).sum(), rel=1e-5)


def test_explained_share_by_hand():
    # two raters a say 0, two raters b say 1, on each of two items: all disagreement is between
    table = crossed(np.array([[0, 0, 1, 1], [0, 0, 1, 1]]))
    rng = stream(0)
    found = axis_test(table, "x", ["a", "a", "b", "b"], rng=rng, least=2, draws=200)
    assert found.explained == pytest.approx(1)
    # the other two partitions of four into pairs explain nothing: 1/3 of the permutations tie
    assert found.by_chance[0] == pytest.approx(1 / 3, abs=0.1)
    assert found.p == pytest.approx(1 / 3, abs=0.1)
    mixed = axis_test(table, "x", ["a", "b", "a", "b"], rng=rng, least=2, draws=200)
    assert mixed.explained == pytest.approx(0)
    assert mixed.p == 1


def p_values(draws: int, tables: int, incomplete: bool = False) -> dict[str, list[float]]:
    """p-values of groups that have nothing to do with the labels."""
    found: dict[str, list[float]] = {"axis": [], "labels": [], "gai": []}
    for seed in range(tables):
        given_labels = people(seed, items=15, raters=18)[0]
        rng = stream(seed, "null")
        if incomplete:
            given_labels[rng.random(given_labels.shape) < 0.3] = -1
        table = crossed(given_labels, ("a", "b", "c"))
        groups = [str(g) for g in rng.permutation(["x", "y", "z"] * 6)]
        test = axis_test(table, "g", groups, rng=rng, label=0, least=4, draws=draws)
        found["axis"].append(test.p)
        found["labels"].append(test.groups[0].p_apart)
        found["gai"].append(test.groups[1].p_gai)
    return found


@pytest.mark.parametrize("incomplete", [False, True])
def test_p_values_are_uniform_where_groups_do_not_matter(incomplete):
    """At 5 %, 10 %, … of the tables; ties (shares exactly alike) heap up at 1, on the safe side.

    Permutations without a GAI count as extreme, so on thin tables its p errs on the safe side too.
    """
    for name, values in p_values(199, 300, incomplete).items():
        known = np.array([p for p in values if not math.isnan(p)])
        assert len(known) > 250, name
        for level in (0.05, 0.1, 0.25, 0.5, 0.75):
            noise = math.sqrt(level * (1 - level) / len(known))
            share = float((known <= level).mean())
            assert share <= level + 3.5 * noise, (name, level)
            assert share >= level - 3.5 * noise - (0.1 if name == "gai" else 0), (name, level)


def test_permuting_single_ratings_would_be_wrong_where_raters_differ():
    """Whole raters are permuted: raters of one habit make groups differ by chance alone."""
    given_labels, _ = people(0, items=60, raters=12)
    counts = np.stack([(given_labels == k).sum(axis=0) for k in range(3)])
    naive = scipy.stats.chi2_contingency(
        np.stack([counts[:, ::2].sum(axis=1), counts[:, 1::2].sum(axis=1)])
    ).pvalue
    groups = ["x", "y"] * 6
    ours = axis_test(crossed(given_labels), "g", groups, rng=stream(0), least=2, draws=999)
    assert naive < 0.01 < ours.groups[0].p_apart


def test_a_shift_between_groups_is_found_with_its_size():
    given_labels, groups = people(2, items=80, raters=40, shift=1.5)
    table = crossed(given_labels, side=groups)
    found = axis_test(table, "side", groups, rng=stream(0), label=2, draws=1999)
    assert found.p == pytest.approx(1 / 2000)
    assert found.beyond_chance > 0.05
    assert {group.p_apart for group in found.groups} == {1 / 2000}
    told = portrait(Pool(table), np.array([g == "a" for g in groups]), draws=500)
    gap = told.differences[2]
    assert gap.low > 0.1
    assert gap.mean == pytest.approx(found.groups[0].apart)


def test_names_of_raters_and_groups_change_nothing():
    given_labels, groups = people(3, items=20, raters=20, shift=0.8)
    one = axis_test(crossed(given_labels), "g", groups, rng=stream(0), draws=200)
    order = stream(1, "order").permutation(20)
    renamed = [{"a": "z", "b": "y"}[groups[r]] for r in order]
    two = axis_test(crossed(given_labels[:, order]), "g", renamed, rng=stream(0), draws=200)
    assert two.explained == pytest.approx(one.explained)
    by_name = {group.group: group for group in two.groups}
    assert by_name["z"].gai == pytest.approx(one.groups[0].gai)


def test_small_and_unknown_groups_are_listed_not_told():
    given_labels, _ = people(4, raters=30)
    groups = ["a"] * 12 + ["b"] * 12 + ["c"] * 4 + [""] * 2
    found = axis_test(crossed(given_labels), "g", groups, rng=stream(0), draws=100)
    assert [group.group for group in found.groups] == ["a", "b"]
    assert (found.small, found.unknown) == ({"c": 4}, 2)


def test_gai_is_not_given_where_xrr_is_near_zero():
    # groups agree within and not at all between them
    half = np.concatenate([np.zeros((30, 5), int), np.ones((30, 5), int)], axis=1)
    half[::2] = 1 - half[::2]
    found = axis_test(crossed(half), "g", ["a"] * 5 + ["b"] * 5, rng=stream(0), least=2, draws=100)
    group = found.groups[0]
    assert (math.isnan(group.gai), math.isnan(group.p_gai)) == (True, True)
    assert "too near 0 for a ratio" in group.reason
    assert math.isnan(found.dsi)
    assert "all labels are the same" in no_gai(math.nan, 0.2)
    assert "no item is rated by both" in no_gai(0.3, math.nan)


def test_groups_without_a_shared_item_have_no_xrr():
    given_labels = np.full((4, 6), -1)
    given_labels[:2, :3] = [[0, 1, 0], [1, 1, 0]]
    given_labels[2:, 3:] = [[1, 1, 0], [0, 1, 0]]
    found = axis_test(crossed(given_labels), "g", list("aaabbb"), rng=stream(0), least=2, draws=100)
    assert "no item is rated by both" in found.groups[0].reason


def test_bad_axes_are_told():
    table = crossed(people(0)[0])
    with pytest.raises(DataError, match=r"fewer than two groups. Found: a"):
        axis_test(table, "g", ["a"] * 24, rng=stream(0))
    with pytest.raises(UsageError, match="at least 100"):
        axis_test(table, "g", ["a", "b"] * 12, rng=stream(0), draws=10)


# --- GRASP --------------------------------------------------------------------------------------


def test_portrait_by_hand():
    given_labels = np.array([[0, 0, 0, 1, 1, 1], [0, 0, 1, 0, 1, 1], [1, 1, 1, 0, 0, 1]])
    member = np.array([True, True, True, False, False, False])
    found = portrait(Pool(crossed(given_labels)), member, draws=200)
    assert found.shares[0].mean == pytest.approx(5 / 9)
    assert found.differences[0].mean == pytest.approx(5 / 9 - 3 / 9)
    assert found.plurality.mean == pytest.approx((1 + 2 / 3 + 1) / 3)
    split = float(entropy(np.array([2 / 3, 1 / 3])))
    assert found.negentropy.mean == pytest.approx(math.log(2) - split / 3)
    # against the others' shares, one rating spread evenly: (.5, 3.5)/4, (1.5, 2.5)/4, (2.5, 1.5)/4
    cross = [math.log(0.125), (2 * math.log(0.375) + math.log(0.625)) / 3, math.log(0.375)]
    assert found.cross_negentropy.mean == pytest.approx(math.log(2) + sum(cross) / 3)
    assert found.xrr.mean < 0
    assert math.isnan(found.gai.mean)


def test_voting_agreement_leaves_ties_out():
    inside = np.array([[2, 1], [1, 1], [0, 3], [3, 0]])
    outside = np.array([[3, 0], [2, 1], [0, 2], [1, 2]])
    found = voting_agreement(inside, outside)
    # three items are clear on both sides: 0|0, 1|1, 0|1
    assert found.n == 3
    assert found.mean == pytest.approx(krippendorff(np.array([[2, 0], [0, 2], [1, 1]])))


def test_two_way_intervals_cover_the_populations_alpha():
    """Intervals of α inside a group, over raters and items drawn from known effects."""
    big = crossed(people(1000, items=900, raters=300)[0])
    truth = krippendorff(big.counts)
    held = 0
    for seed in range(60):
        table = crossed(people(seed, items=60, raters=40)[0], ("a", "b", "c"))
        found = portrait(Pool(table), np.arange(40) < 20, draws=300, seed=seed)
        held += found.irr.low <= truth <= found.irr.high
    assert held >= 52  # 95 % would be 57 of 60


def test_resampled_raters_do_not_agree_with_themselves():
    """The mean of the resamples stays near the value: copies of a rater are no agreement."""
    table = crossed(people(7, items=80, raters=24)[0])
    pool, member = Pool(table), np.arange(24) < 12
    found = portrait(pool, member, draws=1000)
    middle = (found.irr.low + found.irr.high) / 2
    assert middle == pytest.approx(found.irr.mean, abs=0.05)
    assert times_drawn(7, 3, stream(0)).sum(axis=1).tolist() == [7, 7, 7]


def test_split_items_beside_what_chance_gives():
    given_labels, groups = people(5, items=60, raters=40, shift=2.5)
    share, chance = split_items(crossed(given_labels), groups, ["a", "b"])
    assert share is not None
    assert chance is not None
    assert share > chance + 0.2
    assert split_items(crossed(given_labels), groups, ["a"]) == (None, None)


def test_q_values_are_by_family_and_an_axis_of_one_group_is_noted():
    given_labels, groups = people(6, raters=24, shift=1.0)
    table = crossed(given_labels)
    said: list[str] = []
    how = Permuting(positive=2, least=5, permutations=200, draws=100)
    found = groups_told(
        table, {"side": groups, "all": ["x"] * 24, "odd": ["p", "q", "r"] * 8}, how, said.append
    )
    assert [axis["axis"] for axis in found["axes"]] == ["side", "odd"]
    assert said == ["all: fewer than two groups; left out"]
    rows = [group for axis in found["axes"] for group in axis["groups"]]
    assert all(row["labels_q"] >= row["labels_p"] for row in rows)
    assert found["axes"][0]["q"] >= found["axes"][0]["p"]
    assert gai_of(Pool(table).common(np.arange(24)[None] < 12)).shape == (1,)
    assert shares(table.counts).shape == (40, 3)
