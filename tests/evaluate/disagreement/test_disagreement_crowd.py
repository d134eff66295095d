"""CrowdTruth, MACE, Dawid–Skene: released results, equations by hand, and properties."""

from __future__ import annotations

import numpy as np
import pytest
from rater_toys import DATA, crossed, people, rows_of

from togi.errors import DataError, UsageError
from togi.evaluate.disagreement.crowdtruth import crowdtruth
from togi.evaluate.disagreement.dawid_skene import dawid_skene
from togi.evaluate.disagreement.loaders import Reading, load
from togi.evaluate.disagreement.mace import mace
from togi.evaluate.disagreement.soft import plurality
from togi.stats.rng import stream

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the published data are not here")


@pytest.fixture(scope="module")
def entailment():
    """800 pairs of sentences, 164 raters, ten ratings each."""
    return load(str(DATA / "crowdtruth_rte.csv")).ratings


def published(name: str, key: str) -> dict[str, dict[str, str]]:
    return {row[key]: row for row in rows_of(name)}


def column(rows: dict[str, dict[str, str]], names: tuple[str, ...], key: str) -> np.ndarray:
    return np.array([float(rows[name][key]) for name in names])


# --- CrowdTruth ---------------------------------------------------------------------------------


@needs_data
def test_released_crowdtruth_results_to_1e_12(entailment):
    found = crowdtruth(entailment.item, entailment.rater, np.eye(2)[entailment.label])
    units = published("crowdtruth_rte_units.csv", "orig_id")
    workers = published("crowdtruth_rte_workers.csv", "worker")
    first, last = found.first, found.last
    for ours, key in ((last.items, "uqs"), (first.items, "uqs_initial"),
                      (found.scores[:, 1], "true"), (found.scores[:, 0], "false")):  # fmt: skip
        theirs = column(units, entailment.items, key)
        assert np.abs(ours - theirs).max() < 1e-12, key
    for ours, key in (
        (last.raters, "wqs"), (last.with_others, "wwa"), (last.with_crowd, "wsa"),
        (first.raters, "wqs_initial"), (first.with_others, "wwa_initial"),
        (first.with_crowd, "wsa_initial"),
    ):  # fmt: skip
        theirs = column(workers, entailment.raters, key)
        assert np.abs(ours - theirs).max() < 1e-12, key
    assert (found.rounds, found.settled) == (8, True)
    assert last.labels == pytest.approx([0.70649, 0.79325], abs=5e-6)


@needs_data
@pytest.mark.parametrize(
    ("name", "item", "first", "others"), [("agr", 1, 1, 1), ("disagr", 0, 0, 0)]
)
def test_package_fixtures(name, item, first, others):
    rows = rows_of(f"crowdtruth_10work_{name}.csv")
    labels = sorted({row["out_col"] for row in rows})
    chosen = np.eye(len(labels))[[labels.index(row["out_col"]) for row in rows]]
    found = crowdtruth(np.zeros(10, dtype=np.int64), np.arange(10), chosen)
    assert found.last.items == pytest.approx([item], abs=1e-15)
    assert found.last.raters == pytest.approx([first, *[others] * 9], abs=1e-15)


@needs_data
def test_package_fixture_of_an_outlier_through_the_reader():
    how = Reading(columns={"label": "out_col"})
    table = load(str(DATA / "crowdtruth_10work_outlier.csv"), how).ratings
    found = crowdtruth(table.item, table.rater, np.eye(2)[table.label])
    assert found.last.items == pytest.approx([1.0])
    assert found.last.raters == pytest.approx([0.0, *[1.0] * 9])


def test_the_first_round_by_hand():
    # one item, three raters: two say a, one says b; all weights are 1
    found = crowdtruth(np.zeros(3, dtype=np.int64), np.arange(3), np.eye(2)[[0, 0, 1]])
    assert found.first.items == pytest.approx([1 / 3])  # one of three pairs agrees
    assert found.first.with_others == pytest.approx([0.5, 0.5, 0])
    # the others' sum is (1, 1) for the first two: cosine 1/√2; (2, 0) for the third: 0
    assert found.first.with_crowd == pytest.approx([0.5**0.5, 0.5**0.5, 0])
    assert found.first.labels == pytest.approx([0.5, 1e-8])  # of pairs with a: 2 of 4


def slow_round(item, rater, x, wqs, uqs, aqs):
    """UQS and WWA of one round by loops over pairs, as the paper writes them."""

    def cos(a, b):
        bottom = np.sqrt((aqs * a * a).sum() * (aqs * b * b).sum())
        return (aqs * a * b).sum() / max(bottom, 1e-8)

    top, bottom = np.zeros(len(uqs)), np.zeros(len(uqs))
    near, met = np.zeros(len(wqs)), np.zeros(len(wqs))
    for p in range(len(item)):
        for q in range(len(item)):
            if item[p] == item[q] and rater[p] != rater[q]:
                c, i, j, u = cos(x[p], x[q]), rater[p], rater[q], item[p]
                top[u] += c * wqs[i] * wqs[j]
                bottom[u] += wqs[i] * wqs[j]
                near[i] += c * wqs[j] * uqs[u]
                met[i] += wqs[j] * uqs[u]
    return top / np.maximum(bottom, 1e-8), near / np.maximum(met, 1e-8)


def test_several_labels_at_once_equal_the_papers_loops():
    rng = stream(0, "several")
    item, rater = np.repeat(np.arange(6), 5), np.tile(np.arange(5), 6)
    x = (rng.random((30, 4)) < 0.4).astype(float)
    x[:, 0] = np.maximum(x[:, 0], x.sum(axis=1) == 0)
    found = crowdtruth(item, rater, x, most=1)
    uqs, wwa = slow_round(item, rater, x, np.ones(5), np.ones(6), np.ones(4))
    assert found.first.items == pytest.approx(uqs, abs=1e-12)
    assert found.first.with_others == pytest.approx(wwa, abs=1e-12)
    again = crowdtruth(item, rater, x, most=2)
    uqs, wwa = slow_round(item, rater, x, found.last.raters, found.last.items, found.last.labels)
    assert again.last.items == pytest.approx(uqs, abs=1e-12)
    assert again.last.with_others == pytest.approx(wwa, abs=1e-12)


def test_names_of_raters_and_items_change_nothing():
    table = crossed(people(2, items=30, raters=9)[0])
    chosen = np.eye(3)[table.label]
    one = crowdtruth(table.item, table.rater, chosen)
    rng = stream(1, "names")
    new_item, new_rater = rng.permutation(30), rng.permutation(9)
    order = rng.permutation(len(chosen))
    two = crowdtruth(new_item[table.item][order], new_rater[table.rater][order], chosen[order])
    assert two.last.items[new_item] == pytest.approx(one.last.items, abs=1e-12)
    assert two.last.raters[new_rater] == pytest.approx(one.last.raters, abs=1e-12)
    assert two.last.labels == pytest.approx(one.last.labels, abs=1e-12)


def test_a_lone_rater_an_unused_label_and_a_cap_on_rounds():
    # item 1 has one rating, rater 2 has one item alone, label 2 is never chosen
    item, rater = np.array([0, 0, 1]), np.array([0, 1, 2])
    found = crowdtruth(item, rater, np.eye(3)[[0, 0, 1]])
    assert found.last.items == pytest.approx([1, 0])
    assert found.last.raters == pytest.approx([1, 1, 0], abs=1e-6)
    assert found.last.labels[2] == pytest.approx(1e-8)
    capped = crowdtruth(item, rater, np.eye(3)[[0, 0, 1]], close=0.0, most=3)
    assert (capped.rounds, capped.settled) == (3, False)


def test_open_ended_tasks_have_no_label_quality():
    table = crossed(people(4, items=12, raters=6)[0])
    found = crowdtruth(table.item, table.rater, np.eye(3)[table.label], open_ended=True)
    assert found.last.labels.tolist() == [1, 1, 1]


@pytest.mark.parametrize("chosen", [np.zeros((0, 2)), np.array([[-1.0, 0.0]]), np.ones(2)])
def test_crowdtruth_refuses_nonsense(chosen):
    places = np.zeros(len(chosen), dtype=np.int64)
    with pytest.raises(DataError, match="CrowdTruth wants"):
        crowdtruth(places, places, chosen)


# --- MACE and Dawid–Skene -----------------------------------------------------------------------


@needs_data
def test_mace_reaches_the_released_result_within_what_its_random_start_moves(entailment):
    """The release stopped after 50 rounds from a random start; ours ends nearby, not bit by bit."""
    units, workers = (
        published("mace_rte_units.csv", "unit"),
        published("mace_rte_workers.csv", "worker"),
    )
    truth = column(units, entailment.items, "true")
    competence = column(workers, entailment.raters, "competence")
    found = mace(
        entailment.item, entailment.rater, entailment.label, 2, rounds=50, starts=10, close=0.0
    )
    assert np.abs(found.competence - competence).mean() < 1e-3
    assert np.abs(found.competence - competence).max() < 0.02
    assert np.abs(found.truth[:, 1] - truth).mean() < 1e-3
    assert np.corrcoef(found.competence, competence)[0, 1] > 0.9999
    assert ((found.truth[:, 1] > 0.5) == (truth > 0.5)).all()


@needs_data
def test_models_of_the_crowd_beat_the_vote_on_entailment(entailment):
    """Accuracy against the experts; the literature has .90 for the vote, .93 for both models."""
    gold = np.array([int(label) for label in entailment.gold])
    own = (entailment.item, entailment.rater, entailment.label, 2)
    vote = plurality(entailment.counts)[np.arange(800), gold].mean()
    assert vote == pytest.approx(0.897, abs=0.001)
    assert (mace(*own).truth.argmax(axis=1) == gold).mean() == pytest.approx(0.926, abs=0.002)
    assert (dawid_skene(*own).truth.argmax(axis=1) == gold).mean() == pytest.approx(
        0.9275, abs=0.002
    )


KNOW = [0.95, 0.8, 0.6, 0.9, 0.7, 0.0]


def guessers(seed: int, items: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """A truth, and labels by raters who know it so often; the last one always says 1."""
    rng = stream(seed, "guessers")
    truth = rng.integers(0, 3, items)
    knows = rng.random((items, len(KNOW))) < KNOW
    guess = rng.integers(0, 3, (items, len(KNOW)))
    guess[:, -1] = 1
    return truth, np.where(knows, truth[:, None], guess)


def test_mace_finds_who_knows():
    truth, given_labels = guessers(0)
    table = crossed(given_labels)
    found = mace(table.item, table.rater, table.label, 3)
    assert np.argsort(-found.competence).tolist() == [0, 3, 1, 4, 2, 5]
    assert found.competence[:-1] == pytest.approx(KNOW[:-1], abs=0.08)
    assert found.competence[-1] < 0.1
    assert (found.truth.argmax(axis=1) == truth).mean() > 0.95
    assert found.truth.sum(axis=1) == pytest.approx(1)


def test_dawid_skene_finds_each_confusion():
    truth, given_labels = guessers(1)
    table = crossed(given_labels)
    found = dawid_skene(table.item, table.rater, table.label, 3)
    assert (found.truth.argmax(axis=1) == truth).mean() > 0.95
    assert found.confusion[1].diagonal() == pytest.approx([0.87] * 3, abs=0.08)  # .8 + .2/3
    assert found.confusion[-1][:, 1] == pytest.approx(1, abs=0.01)
    assert found.confusion.sum(axis=2) == pytest.approx(1)


@pytest.mark.parametrize("model", [mace, dawid_skene])
def test_names_change_nothing_for_models_of_the_crowd(model):
    table = crossed(guessers(2, 60)[1])
    swap = np.array([2, 0, 3, 1, 5, 4])
    one = model(table.item, table.rater, table.label, 3)
    two = model(table.item, swap[table.rater], table.label, 3)
    assert two.truth == pytest.approx(one.truth, abs=2e-3)  # random starts are by rater
    assert two.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-6)


def test_more_starts_are_never_less_likely_and_the_seed_decides():
    table = crossed(people(5, items=25, raters=8)[0])
    own = (table.item, table.rater, table.label, 3)
    one, many = mace(*own, starts=1), mace(*own, starts=6)
    assert many.log_likelihood >= one.log_likelihood
    assert (
        mace(*own, starts=3, seed=4).competence.tolist()
        == mace(*own, starts=3, seed=4).competence.tolist()
    )


@pytest.mark.parametrize("model", [mace, dawid_skene])
def test_models_of_the_crowd_refuse_nothing_to_learn_from(model):
    nothing = np.zeros(0, dtype=np.int64)
    with pytest.raises(DataError, match="wants one item, rater and label"):
        model(nothing, nothing, nothing, 2)


def test_mace_wants_a_round():
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(UsageError, match="at least one round"):
        mace(one, one, one, 2, rounds=0)
