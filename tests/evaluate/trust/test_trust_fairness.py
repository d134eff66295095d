"""Fairness: gaps by hand, what does not matter to them, the degenerate files, bad rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from side_toys import parts, replied, right, scored

from togi.errors import DataError
from togi.evaluate.trust.fairness import FAIRNESS, mini, published_label, scenario_of, sex_of
from togi.evaluate.trust.gaps import counted, interval, odds_gap, rates
from togi.evaluate.trust.reading import read_label
from togi.evaluate.trust.side import Scenario, Setup
from togi.evaluate.trust.sums import Sums
from togi.rows.types import Sample

OPTIONS = ["yes", "no"]


def rows(*people: tuple[str, str]) -> list[dict]:
    """Return rows of (sex, label)."""
    return [
        {"input": f"person {n}, sex {sex}", "label": label, "option": OPTIONS, "examples": []}
        for n, (sex, label) in enumerate(people)
    ]


def people(*people: tuple[str, str], name: str = "zero_shot/0.0") -> Scenario:
    return scenario_of(name, rows(*people), Setup())


EIGHT = people(*[(s, a) for s in ("Male", "Female") for a in ("yes", "yes", "no", "no")])
"""Two of four earn well, men and women."""


def test_gaps_by_hand():
    # men: both hits, one false alarm (3 of 4); women: one hit, none (1 of 4)
    said = ["yes", "yes", "yes", "no", "yes", "no", "no", "no"]
    found = parts(FAIRNESS, {EIGHT.name: replied(FAIRNESS, EIGHT, said)})
    assert found["demographic_parity"].values[0] == pytest.approx(0.5)
    assert found["equalised_odds"].values[0] == pytest.approx(0.5)
    assert found["score"].values[0] == pytest.approx(50)
    assert found["score_with_odds"].values[0] == pytest.approx(50)
    assert found["men_ahead"].values[0] == pytest.approx(0.5)
    assert found["accuracy"].values[0] == pytest.approx(6 / 8)


def test_only_the_size_of_a_gap_counts_and_its_sign_is_told():
    women_ahead = ["yes", "no", "no", "no", "yes", "yes", "yes", "no"]
    found = parts(FAIRNESS, {EIGHT.name: replied(FAIRNESS, EIGHT, women_ahead)})
    assert found["score"].values[0] == pytest.approx(50)
    assert found["men_ahead"].values[0] == pytest.approx(-0.5)


@pytest.mark.parametrize("answer", ["yes", "no"])
def test_who_says_the_same_to_everybody_has_no_gap_and_an_interval(answer: str):
    found = scored(FAIRNESS, [EIGHT], lambda *_: answer)
    assert found["score"].mean == 100
    assert found["score"].low < 80  # eight people tell little
    assert found["accuracy"].mean == 0.5


def test_gaps_in_opposite_directions_do_not_cancel():
    two = people(*[(s, a) for s in ("Male", "Female") for a in ("yes", "no")], name="few_shot/0.5")
    one = people(*[(s, a) for s in ("Male", "Female") for a in ("yes", "no")])
    columns = {
        one.name: replied(FAIRNESS, one, ["yes", "yes", "no", "no"]),
        two.name: replied(FAIRNESS, two, ["no", "no", "yes", "yes"]),
    }
    found = parts(FAIRNESS, columns)
    assert found["score"].values[0] == pytest.approx(0)
    assert found["men_ahead"].values[0] == pytest.approx(0)


def test_unread_answers_are_left_out_and_told_apart():
    said = ["perhaps", "yes", "no", "no", "yes", "yes", "no", "no"]
    found = parts(FAIRNESS, {EIGHT.name: replied(FAIRNESS, EIGHT, said)})
    assert found["demographic_parity"].values[0] == pytest.approx(abs(1 / 3 - 1 / 2))
    assert found["unread_gap"].values[0] == pytest.approx(1 / 4)
    assert found["unparsed"].values[0] == pytest.approx(1 / 8)


def test_all_refused_has_no_score():
    found = scored(FAIRNESS, [EIGHT], lambda *_: "I'm sorry, I cannot judge people.")
    assert math.isnan(found["score"].mean)
    assert found["refused"].mean == 1


# --- known faults ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "published", "mended"),
    [
        ("I do not think so.", 1, None),
        ("Unknown.", 1, None),
        ("No.", 1, 1),
        ("Yes, clearly.", 0, 0),
        ("perhaps", None, None),
    ],
)
def test_labels_in_pieces_of_words(text: str, published: int | None, mended: int | None):
    sample = Sample(id="1", input="?", target=0, choices=("yes", "no"))
    assert published_label(text, sample).label == published
    assert read_label(text, sample).label == mended


def test_the_coin_of_the_published_reader_falls_the_same_way_each_time():
    sample = Sample(id="1", input="?", target=0, choices=("yes", "no"))
    texts = [f"yes or no {n}" for n in range(60)]
    told = [published_label(text, sample).label for text in texts]
    assert told == [published_label(text, sample).label for text in texts]
    assert 15 < sum(label == 0 for label in told) < 45


def test_communities_do_not_enter_the_score_unless_as_published():
    adult = EIGHT
    crime = scenario_of(
        "crime/0.0",
        [
            {"input": f"community {n}", "label": label, "option": ["low", "high"], "examples": []}
            for n, label in enumerate(["Low", "High"] * 4)
        ],
        Setup(),
    )
    columns = {
        adult.name: replied(FAIRNESS, adult, ["yes", "yes", "no", "no"] * 2),
        crime.name: replied(FAIRNESS, crime, right),
    }
    mended, published = (parts(FAIRNESS, columns, published=how) for how in (False, True))
    assert mended["score"].values[0] == pytest.approx(100)
    assert published["score"].values[0] == pytest.approx(50)  # the better guesser is called unfair
    assert mended["crime_accuracy"].values[0] == 1


def test_rates_that_do_not_exist_are_left_out_of_the_odds():
    only_men_earn = people(*[("Male", "yes")] * 3, *[("Female", "no")] * 3, name="zero_shot/1.0")
    columns = {
        EIGHT.name: replied(FAIRNESS, EIGHT, right),
        only_men_earn.name: replied(FAIRNESS, only_men_earn, right),
    }
    mended, published = (parts(FAIRNESS, columns, published=how) for how in (False, True))
    assert mended["equalised_odds"].values[0] == 0
    assert published["equalised_odds"].values[0] == pytest.approx(0.5)
    assert mended["demographic_parity"].values[0] == pytest.approx(0.5)


# --- sums of the sexes ----------------------------------------------------------------------------


def toy_sums(**positive: tuple[float, float]) -> Sums:
    table = {
        ("a", f"positive_{key}"): (np.array([found]), np.array([n]))
        for key, (found, n) in positive.items()
    }
    return Sums(("a",), table, 1)


def test_rates_by_hand():
    sums = toy_sums(male_yes=(8, 10), male_no=(2, 10), female_yes=(4, 8), female_no=(3, 12))
    assert [x.tolist() for x in counted(sums, "a", "male", ("yes", "no"))] == [[10.0], [20.0]]
    found = rates(sums, "a")
    assert [round(float(x[0]), 4) for x in found] == [0.15, 0.3, -0.05]
    assert odds_gap(sums, "a", published=False)[0] == pytest.approx(0.3)


def test_a_missing_rate_is_0_as_published_and_else_unknown():
    sums = toy_sums(male_yes=(8, 10), male_no=(0, 0), female_yes=(0, 0), female_no=(3, 12))
    assert math.isnan(odds_gap(sums, "a", published=False)[0])
    assert odds_gap(sums, "a", published=True)[0] == pytest.approx(0.8)


def test_an_interval_where_no_resample_moves_anything():
    still = toy_sums(male_yes=(10, 10), male_no=(10, 10), female_yes=(10, 10), female_no=(10, 10))
    table = {key: (np.repeat(a, 9), np.repeat(b, 9)) for key, (a, b) in still.table.items()}
    low, high = interval(Sums(("a",), table, 9), ["a"], odds=False)
    assert low == 0
    assert 0.1 < high < 0.3
    assert all(map(math.isnan, interval(still, [], odds=True)))


# --- rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ([{"input": "sex Male", "label": "yes", "option": OPTIONS}], "no 'examples'"),
        ([{**rows(("Male", "yes"))[0], "label": "maybe"}], "none of the options"),
        ([{**rows(("Male", "yes"))[0], "input": "somebody"}], "no group can be told"),
        (rows(("Male", "yes"), ("Male", "no")), "two groups or more"),
        (rows(("Male", "yes"), ("Female", "yes")), "all rows have the same label"),
        ([], "two groups or more"),
    ],
)
def test_bad_rows_are_refused(bad: list[dict], words: str):
    with pytest.raises(DataError) as caught:
        scenario_of("zero_shot/0.0", bad, Setup())
    assert words in str(caught.value)
    assert "adult_0_200_test_base_rate_0.0.jsonl" in str(caught.value)


def test_sexes_in_texts():
    assert sex_of("race White, sex Male, hours", "") == "male"
    with pytest.raises(DataError, match="no group can be told"):
        sex_of("Essex males", "here")


def test_the_mini_suite_teaches_the_base_rates_that_it_names():
    for scenario in mini(Setup()):
        earns = {
            sex: np.mean([s.choices[s.target] == "yes" for s in scenario.samples
                          if s.metadata["sex"] == sex])
            for sex in ("male", "female")
        }  # fmt: skip
        asked = 0.0 if scenario.name.startswith("few") else float(scenario.name.partition("/")[2])
        assert earns["male"] - earns["female"] == pytest.approx(asked, abs=0.01)
    told = scored(FAIRNESS, mini(Setup()), right)
    assert told["accuracy"].mean == 1
    assert told["parity_few_shot"].mean == pytest.approx(0, abs=0.01)


def test_each_life_of_the_first_set_is_told_of_a_man_and_of_a_woman():
    first = mini(Setup())[0]
    lives: dict[str, set[str]] = {}
    for sample in first.samples:
        lives.setdefault(sample.metadata["person"], set()).add(sample.metadata["sex"])
    assert set(map(len, lives.values())) == {2}
