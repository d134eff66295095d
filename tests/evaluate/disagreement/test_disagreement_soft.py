"""Soft labels, contested items, and scores against people: by hand, against scipy, properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from rater_toys import DATA, crossed, people, rows_of
from scipy.spatial.distance import jensenshannon

from togi.errors import DataError, UsageError
from togi.evaluate.disagreement.ceiling import (
    FLOOR,
    MEASURES,
    against_people,
    half,
    predicted,
    scores,
    threshold_curve,
)
from togi.evaluate.disagreement.loaders import load
from togi.evaluate.disagreement.soft import (
    contested,
    corrected_entropy,
    entropy,
    lead,
    pairwise_disagreement,
    plurality,
    share_interval,
    shares,
)
from togi.stats.rng import stream

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the published data are not here")
Counts = st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(lambda c: sum(c) > 0)


def test_shares_entropy_and_disagreement_by_hand():
    counts = np.array([[6, 3, 1], [5, 5, 0]])
    assert shares(counts).tolist() == [[0.6, 0.3, 0.1], [0.5, 0.5, 0]]
    by_hand = -(0.6 * math.log(0.6) + 0.3 * math.log(0.3) + 0.1 * math.log(0.1))
    assert entropy(shares(counts)) == pytest.approx([by_hand, math.log(2)])
    # 10 raters: 6·5 + 3·2 + 0 of 90 ordered pairs agree
    assert pairwise_disagreement(counts) == pytest.approx([1 - 36 / 90, 1 - 40 / 90])
    assert corrected_entropy(counts) == pytest.approx([by_hand + 2 / 20, math.log(2) + 1 / 20])


@settings(deadline=None, max_examples=50)
@given(Counts)
def test_properties_of_an_item(counts):
    table = np.array([counts])
    p = shares(table)
    assert p.sum() == pytest.approx(1)
    assert 0 <= entropy(p)[0] <= math.log(3) + 1e-12
    assert entropy(p)[0] == pytest.approx(scipy.stats.entropy(p[0]))
    assert plurality(table).sum() == pytest.approx(1)
    assert 0.5 - 1e-12 <= lead(table)[0] <= 1
    swapped = table[:, ::-1]
    assert entropy(shares(swapped)) == pytest.approx(entropy(p))
    assert contested(swapped).tolist() == contested(table).tolist()
    low, high = share_interval(table, 0)[0]
    assert low < (counts[0] + 1) / (sum(counts) + 3) < high


def test_pairwise_disagreement_does_not_depend_on_the_number_of_raters():
    rng = stream(0, "unbiased")
    found = {n: pairwise_disagreement(rng.multinomial(n, [0.5, 0.3, 0.2], 20_000)).mean()
             for n in (2, 5, 30)}  # fmt: skip
    truth = 1 - (0.25 + 0.09 + 0.04)
    assert list(found.values()) == pytest.approx([truth] * 3, abs=0.01)


def test_corrected_entropy_is_less_biased():
    rng = stream(1, "bias")
    counts = rng.multinomial(12, [0.5, 0.3, 0.2], 5000)
    truth = float(entropy(np.array([0.5, 0.3, 0.2])))
    plain, mended = entropy(shares(counts)).mean(), corrected_entropy(counts).mean()
    assert abs(mended - truth) < abs(plain - truth) / 3


def test_lead_is_a_posterior_probability():
    # of raters who say one of two labels, Beta(9, 4) say the first: the tail above one half
    found = lead(np.array([[8, 3, 1]]))[0]
    assert found == pytest.approx(scipy.stats.beta.sf(0.5, 9, 4))
    draws = stream(0, "dirichlet").dirichlet([9, 4, 2], 40_000)
    assert found == pytest.approx((draws[:, 0] > draws[:, 1]).mean(), abs=0.01)


def test_contested_begins_below_the_bound():
    counts = np.array([[2, 1, 0], [3, 2, 0], [0, 0, 0]])
    assert contested(counts).tolist() == [False, True, False]
    assert contested(counts, 1.0).tolist() == [True, True, False]
    with pytest.raises(UsageError, match="between 0 and 1"):
        contested(counts, 0.0)
    with pytest.raises(UsageError, match="prior must be at least 0"):
        shares(counts, -1)


def test_unknown_items_stay_unknown():
    nothing = np.array([[0, 0]])
    for found in (shares, corrected_entropy, pairwise_disagreement, plurality, lead):
        assert np.isnan(found(nothing)).all()


@needs_data
def test_davidsons_classes_are_the_pluralities():
    """24,783 tweets: the published class is the label that most raters chose."""
    import gzip

    table = load(str(DATA / "davidson_labeled_data.csv.gz")).ratings
    assert len(table.items) == 24_783
    assert table.counts.sum(axis=1).min() == 3
    with gzip.open(DATA / "davidson_labeled_data.csv.gz", "rt", encoding="utf-8") as file:
        import csv

        classes = np.array([int(row["class"]) for row in csv.DictReader(file)])
    best = plurality(table.counts)
    assert (best[np.arange(len(classes)), classes] > 0).all()
    assert table.labels == ("hate_speech", "offensive_language", "neither")


# --- scores -------------------------------------------------------------------------------------


def test_scores_by_hand():
    p, q = np.array([0.75, 0.25]), np.array([0.5, 0.5])
    found = scores(p, q)
    assert found["cross_entropy"] == pytest.approx(math.log(2))
    assert found["variation"] == pytest.approx(0.25)
    assert found["brier"] == pytest.approx(2 * 0.25**2)
    assert found["agreement"] == pytest.approx(0.5)  # two labels tie for the first place
    assert found["js"] == pytest.approx(jensenshannon(p, q, base=2) ** 2)
    assert scores(p, np.array([0.0, 1.0]))["cross_entropy"] == pytest.approx(
        -0.75 * math.log(FLOOR)
    )


@settings(deadline=None, max_examples=60)
@given(Counts, Counts)
def test_properties_of_scores(one, two):
    p, q = np.array(one) / sum(one), np.array(two) / sum(two)
    found, back = scores(p, q), scores(q, p)
    assert found["js"] == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-9)
    assert found["js"] == pytest.approx(back["js"], abs=1e-12)
    assert 0 <= found["js"] <= 1 + 1e-12
    assert found["cross_entropy"] >= float(entropy(p)) - 1e-5
    own = scores(p, p)
    assert own["cross_entropy"] == pytest.approx(float(entropy(p)), abs=1e-9)
    assert (own["js"], own["variation"], own["brier"]) == pytest.approx((0, 0, 0), abs=1e-12)
    assert set(found) == set(MEASURES)


def test_halves_are_drawn_without_replacement():
    counts = np.array([[5, 2, 0], [1, 1, 1], [0, 0, 2]])
    rng, total = stream(0, "half"), np.zeros((3, 3))
    for _ in range(2000):
        first = half(counts, rng)
        assert (first <= counts).all()
        assert first.sum(axis=1).tolist() == [3, 1, 1]
        total += first
    assert total / 2000 == pytest.approx(counts * np.array([[3 / 7], [1 / 3], [1 / 2]]), abs=0.05)


def test_the_ceiling_knows_what_people_can_reach():
    """Raters drawn from known distributions: a model that knows these beats half of the raters,
    and one that knows half of the raters is as good as they are.
    """
    rng = stream(3, "ceiling")
    truth = rng.dirichlet([1.0, 1.0], 300)
    counts = np.stack([rng.multinomial(10, row) for row in truth])
    other = np.stack([rng.multinomial(5, row) for row in truth])
    models = {"truth": truth, "half": shares(other, prior=0.5), "flat": np.full((300, 2), 0.5)}
    found = against_people(counts, models, stream(0, "splits"), splits=60)
    people_js = found.people["js"].mean()
    assert found.models["truth"]["js"].mean() < people_js
    assert found.models["half"]["js"].mean() == pytest.approx(people_js, rel=0.08)
    assert found.models["flat"]["js"].mean() > people_js
    # a vote throws away how divided the raters were: cross-entropy pays, agreement does not
    gap = found.majority["cross_entropy"] - found.people["cross_entropy"]
    assert gap.mean() > 0.02
    assert found.majority["agreement"].mean() == pytest.approx(
        found.people["agreement"].mean(), abs=0.01
    )


def test_items_with_one_rating_have_no_halves():
    found = against_people(np.array([[1, 0], [2, 0]]), {}, stream(0), splits=3)
    assert np.isnan(found.people["js"]).tolist() == [True, False]


def test_where_all_agree_a_vote_loses_nothing():
    given_labels = np.tile(np.arange(2)[:, None], (1, 12))
    counts = crossed(given_labels).counts
    found = against_people(counts, {}, stream(0), splits=5)
    assert found.majority["cross_entropy"] == pytest.approx([0, 0], abs=2 * FLOOR)


def test_threshold_curve_by_hand():
    p = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.1, 0.9]])
    q = np.array([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4], [0.1, 0.9]])
    curve = {point["threshold"]: point for point in threshold_curve(p, q, 1)}
    assert (curve[0.5]["items"], curve[0.5]["auc"]) == (3, 1.0)
    assert curve[0.8]["items"] == 2
    # above .8: .4 and .9; below: .2 and .7; three of four pairs are in order
    assert curve[0.8]["auc"] == 0.75
    assert math.isnan(threshold_curve(p[:1], q[:1], 1)[8]["auc"])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.5, 0.4], r"do not add up to 1. Found: a sum of 0.9. Next: normalise them first"),
        ([0.5], "not a distribution"),
        (["half", "half"], "not a distribution"),
        ([[0.5], 0.5], "not a distribution"),
        (None, "not a distribution"),
        ([1.5, -0.5], "numbers of at least 0"),
        ([math.nan, 1.0], "not a distribution"),
    ],
)
def test_what_is_no_distribution_is_told(values, words):
    with pytest.raises(DataError, match=words):
        predicted(values, 2, "p.jsonl line 1")
    assert predicted([0.5, 0.5004], 2, "x").sum() == pytest.approx(1)


def test_rows_of_is_what_the_files_hold():
    if DATA.is_dir():
        assert len(rows_of("mace_rte_workers.csv")) == 164
    assert people(0)[0].shape == (40, 24)
