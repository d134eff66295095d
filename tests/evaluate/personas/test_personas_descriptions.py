"""Descriptions: cleaned of names, read by likelihood or in writing, counted by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from persona_toys import Knowing, quiet

from togi.errors import DataError
from togi.evaluate.personas.cleaning import Cleaned, cleaned, leaks, mask
from togi.evaluate.personas.descriptions import (
    Describing,
    Thing,
    among,
    describe_task,
    own_things,
    read_task,
    recognised,
    things_of_rows,
)
from togi.evaluate.personas.descriptions_scores import (
    by_expertise,
    described,
    description_effects,
    description_model_effects,
    description_results,
    table_of,
)
from togi.evaluate.personas.effects import Trust
from togi.evaluate.personas.manner import Manner
from togi.evaluate.personas.persona import chosen
from togi.evaluate.personas.probes import Probes, ask_all
from togi.evaluate.personas.things import THINGS
from togi.lm.base import Sampling
from togi.rows.types import Document, Sample

QUICK = Trust(draws=300)
PEOPLE = chosen(["none", "woman", "birder", "mechanic"])
EXPERTS = {"birds": "birder", "cars": "mechanic"}
NAMED = [("owl", "birds"), ("jay", "birds"), ("van", "cars"), ("limousine", "cars")]
SOUNDS = {"owl": "hoots", "jay": "screams", "van": "carries", "limousine": "stretches"}


def how(**more) -> Describing:
    settings = {
        "things": among(NAMED, 2), "people": PEOPLE, "experts": EXPERTS,
        "sampling": Sampling(max_tokens=20, temperature=0.7),
    }  # fmt: skip
    return Describing(**{**settings, **more})


def tells(text: str, seed: int, draw: int) -> str:
    """An expert of the thing's kind says what it does; everyone else that it is a thing."""
    name = next(name for name in SOUNDS if f" {name} " in text)
    expert = EXPERTS["birds" if name in ("owl", "jay") else "cars"]
    return f" what {SOUNDS[name]} at night" if f"a {expert}," in text else " a thing of some kind"


def reads(text: str, end: str) -> float:
    """A reader who knows the sounds, and likes the owl whatever is said."""
    base = -1.0 if "owl" in end else -2.0
    return base + 3.0 * (SOUNDS[end.strip()] in text)


def asked_of(model: Knowing, folder: Path, one: Describing, manner: Manner | None = None):
    probes = Probes(manner=manner or Manner(), describing=one)
    return ask_all({"m": model}, probes, folder, say=quiet)


# --- cleaning -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("It is a barn owl with wide wings.", "barn owl", "It is a it with wide wings."),
        ("Owls hunt at night. Barn-owls too.", "barn owl", "It hunt at night. It too."),
        ("Its owlish face is round.", "owl", "Its owlish face is round."),
        ("The PENGUIN's coat is black and white.", "penguin", "The It coat is black and white."),
        ("Cherries are red; a cherry is small.", "cherry", "It are red; a it is small."),
        ("It is <b>very</b> round and red.", "apple", "It is very round and red."),
        ("It is red. As an AI I cannot see it.", "apple", "It is red."),
        ("I'm sorry, no. It is round and red.", "apple", "It is round and red."),
        ("If I were a cook, it would be red.", "apple", "it would be red."),
        ("It is red and round.\n\nQ: What is a pear?", "apple", "It is red and round."),
        ("It is red and round. A: yes", "apple", "It is red and round."),
    ],
)
def test_a_description_is_cut_and_cleaned(text, name, expected):
    assert cleaned(text, name).text == expected
    assert cleaned(text, name).usable


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        ("", "owl", "nothing is left of it"),
        ("It is", "owl", "nothing is left of it"),
        ("As an AI, I cannot describe it well.", "owl", "nothing is left of it"),
        ("The King Fisher dives for fish.", "kingfisher", "it still names the thing"),
        ("A creme brulee is a sweet dish.", "crème brûlée", "it still names the thing"),
    ],
)
def test_what_cannot_be_read_says_why(text, name, reason):
    assert cleaned(text, name).reason == reason


def test_names_of_other_scripts_are_taken_out():
    assert mask("Der Kiwi ist ein Vogel; Kiwis laufen.", "Kiwi")[1] == 2
    assert mask("сова летает ночью", "сова") == ("it летает ночью", 1)
    assert mask("совами не бывает", "сова") == ("совами не бывает", 0)
    assert not leaks("that is", "hat")
    assert leaks("a hat is", "hat")
    assert not leaks("whatever", "")


def test_a_name_with_signs_is_no_pattern():
    assert mask("a C++ (lang) program", "C++ (lang)") == ("a It program", 1)
    assert mask("a thing", "") == ("a thing", 0)


# --- what is asked --------------------------------------------------------------------------------


def test_things_are_told_from_others_of_their_kind():
    things = among(own_things(), 4)
    assert len(things) == 40
    kinds = dict(own_things())
    for thing in things:
        assert thing.names[0] == thing.name
        assert len(set(thing.names)) == 4
        assert {kinds[name] for name in thing.names} == {thing.group}
    assert {group.expert for group in THINGS.values()} >= {"ornithologist", "car mechanic"}


def test_the_request_letter_by_letter():
    task = describe_task(how(), Manner())
    assert len(task.samples) == 16
    by_id = {sample.id: sample.input for sample in task.samples}
    assert by_id["owl/birder"] == (
        "Question: If you were a birder, how would you describe an owl in at most 45 words, "
        "without saying its name?\nAnswer: It is"
    )
    assert str(by_id["owl/none"]).startswith("Question: How would you describe an owl ")


def test_the_right_name_has_no_place_of_its_own():
    one = how(things=among(own_things(), 4))
    told = {f"{t.name}/{w.name}": [Cleaned("it is a thing")] for t in one.things for w in PEOPLE}
    places = [int(s.target) for s in read_task(one, told).samples if s.id.endswith("/none/0")]
    assert len(places) == 40
    assert all(4 <= places.count(place) <= 16 for place in range(4))


# --- by hand --------------------------------------------------------------------------------------


def test_recognition_by_hand(tmp_path):
    asked = asked_of(Knowing(reads, tells), tmp_path, how())
    table = table_of(how(), asked.told["m"], asked.readings["m"])
    # experts of the kind are always told; all others raise no name, and two ties are split
    assert table.tolist() == [[0.5] * 4, [0.5] * 4, [1, 1, 0.5, 0.5], [0.5, 0.5, 1, 1]]
    own, others = by_expertise(how(), table)
    assert own.tolist() == [1] * 4
    assert others.tolist() == [0.5] * 4
    found = description_results(how(), asked.told["m"], table, QUICK)
    assert found["birder"]["recognised"]["mean"] == 0.75
    assert found["birder"]["words"] == (6 + 6 + 7 + 7) / 4
    assert (found["none"]["descriptions"], found["none"]["left_out"]) == (4, {})
    effects = {(e["after"], e["before"]): e for e in description_effects("m", how(), table, QUICK)}
    assert list(effects) == [("own expert", "other experts"), ("woman", "none")]
    assert effects["own expert", "other experts"]["estimate"]["mean"] == 0.5


def test_a_name_that_is_liked_has_no_head_start(tmp_path):
    """The reader likes the owl; what counts is how far a description raises it."""
    asked = asked_of(Knowing(reads, tells), tmp_path, how())
    lines = asked.readings["m"]
    sample = next(s for s in read_task(how(), asked.told["m"]).samples if s.id == "jay/birder/0")
    logprobs = dict(zip(sample.choices, lines["jay/birder/0"]["detail"]["logprobs"], strict=True))
    assert logprobs == {"jay": 1.0, "owl": -1.0}
    assert recognised(sample, lines["jay/birder/0"], lines["jay/blank/0"]) == 1.0


def test_unknown_likelihoods_recognise_nothing():
    sample = Sample(id="x", input="", target=0, choices=("a", "b"))
    lost = {"detail": {"logprobs": [None, -1.0]}}
    known = {"detail": {"logprobs": [-1.0, -1.0]}}
    assert math.isnan(recognised(sample, lost, known))
    assert math.isnan(recognised(sample, known, lost))
    assert recognised(sample, known, known) == 0.5


def test_a_writing_reader_names_a_letter(tmp_path):
    one = how(reads="text")

    def answer(text: str, seed: int, draw: int) -> str:
        if "Which of these" not in text:
            return tells(text, seed, draw)
        options = [line for line in text.splitlines() if line[1:2] == ":"]
        said = [line for line in options if SOUNDS[line[3:]] in text]
        return f"{said[0][0]}." if said else "hard to say"

    asked = asked_of(Knowing(answer=answer), tmp_path, one)
    table = table_of(one, asked.told["m"], asked.readings["m"])
    assert table[2, :2].tolist() == [1, 1]
    assert np.isnan(table[0]).all()
    assert not any("blank" in key for key in asked.readings["m"])


def test_what_names_the_thing_is_counted_and_not_read(tmp_path):
    def answer(text: str, seed: int, draw: int) -> str:
        return " a l-i-m-o-u-s-i-n-e for all" if " limousine " in text else " what hoots here"

    asked = asked_of(Knowing(reads, answer), tmp_path, how())
    found = description_results(
        how(), asked.told["m"], table_of(how(), asked.told["m"], asked.readings["m"]), QUICK
    )
    assert found["none"]["left_out"] == {"it still names the thing": 1}
    assert found["none"]["recognised"]["n"] == 3
    assert "limousine/none/0" not in asked.readings["m"]
    texts = described(how(), asked.told["m"], asked.written["m"])
    assert texts["none"]["limousine"][0]["left_out"] == "it still names the thing"
    assert texts["none"]["owl"] == [
        {"raw": " what hoots here", "clean": "It is what hoots here", "left_out": ""}
    ]


def test_several_draws_are_averaged(tmp_path):
    one = how(sampling=Sampling(max_tokens=20, temperature=0.7, n=2))

    def answer(text: str, seed: int, draw: int) -> str:
        return [" what hoots at night", " a thing at night"][draw]

    asked = asked_of(Knowing(reads, answer), tmp_path, one)
    table = table_of(one, asked.told["m"], asked.readings["m"])
    assert table[0, 0] == 0.75  # an owl: once told, once a tie
    assert table[0, 1] == 0.25  # a jay: once taken for an owl, once a tie


def test_another_reader_reads_what_the_models_wrote(tmp_path):
    reader = Knowing(reads, name="r", fingerprint="r0")
    writer = Knowing(answer=tells)
    probes = Probes(manner=Manner(), describing=how(), reader=reader)
    asked = ask_all({"m": writer}, probes, tmp_path, say=quiet)
    assert not writer.scored
    assert not reader.written
    assert set(asked.facts) == {"m", "reader"}
    assert table_of(how(), asked.told["m"], asked.readings["m"])[2, 0] == 1.0


def test_stopped_and_resumed_is_straight(tmp_path):
    straight = asked_of(Knowing(reads, tells), tmp_path / "a", how())
    probes = Probes(manner=Manner(), describing=how())
    for after in (6, 30):
        with pytest.raises(ConnectionError):
            ask_all(
                {"m": Knowing(reads, tells, fail_after=after)}, probes, tmp_path / "b",
                chunk=3, say=quiet,
            )  # fmt: skip
    model = Knowing(reads, tells)
    resumed = ask_all({"m": model}, probes, tmp_path / "b", chunk=3, say=quiet)
    assert not model.written
    assert resumed.told == straight.told
    assert resumed.readings == straight.readings


def test_models_are_compared_over_all_personas():
    tables = {"a": np.array([[0.0, 0.5], [1.0, 0.5]]), "b": np.array([[1.0, 0.5], [1.0, 1.0]])}
    (found,) = description_model_effects(tables, QUICK)
    assert (found["after"], found["estimate"]["mean"]) == ("b", 0.375)


# --- rows -----------------------------------------------------------------------------------------


def test_things_from_rows():
    rows = [
        Document(id="1", text=" barn  owl ", metadata={"kind": "birds"}),
        Sample(id="2", input="van", target="", metadata={"kind": "cars"}),
        Document(id="3", text="barn owl", metadata={"kind": "birds"}),
    ]
    assert things_of_rows(rows, "kind") == [("barn owl", "birds"), ("van", "cars")]
    assert things_of_rows(rows, "") == [("barn owl", "things"), ("van", "things")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([Document(id="d", text="  ")], "row 'd': this row names no thing.*whose text is the name"),
        ([Document(id="d", text="owl", metadata={"a": 1})], "the thing has no 'kind'. Found: a"),
        ([Document(id="d", text="owl")], "no further columns"),
    ],
)
def test_rows_that_name_no_thing_are_refused(rows, message):
    with pytest.raises(DataError, match=message):
        things_of_rows(rows, "kind")


def test_too_few_of_a_kind_and_two_kinds_are_refused():
    with pytest.raises(DataError, match=r"too few cars to be told from each.*1: van.*least 2"):
        among([("owl", "birds"), ("jay", "birds"), ("van", "cars")], 2)
    with pytest.raises(DataError, match="the thing 'kiwi' is of two kinds"):
        among([("kiwi", "birds"), ("kiwi", "fruit")], 2)
    assert among([("a", "k"), ("b", "k")], 2)[0] == Thing("a", "k", ("a", "b"))
