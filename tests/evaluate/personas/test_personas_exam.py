"""Exams by experts: who is asked, marks and effects by hand, rows of one's own, what is refused."""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
from persona_toys import Knowing, quiet

from togi.errors import DataError
from togi.evaluate.personas.effects import Trust
from togi.evaluate.personas.exam import chance, check, exam_prompt, exam_task, mark
from togi.evaluate.personas.exam_rows import Sitting, exam_of_rows, own_exam
from togi.evaluate.personas.exam_scores import (
    by_relation,
    exam_csv,
    exam_effects,
    exam_model_effects,
    exam_results,
)
from togi.evaluate.personas.manner import Manner
from togi.evaluate.personas.persona import chosen, persona
from togi.evaluate.personas.probes import Probes, ask_all
from togi.evaluate.personas.subjects import MMLU_DOMAINS, OWN_DOMAINS, OWN_EXPERTS
from togi.rows.types import Document, Sample

QUICK = Trust(draws=300)
NEUTRAL = chosen(["none", "person"])
DOMAINS = {"algebra": "numbers", "geometry": "numbers", "law": "letters"}


def rows(each: int = 2) -> list[Sample]:
    """Questions that say their task and the right one's place; the place is 0 or 1 by turns."""
    return [
        Sample(
            id=f"{task}-{k}", input=f"Of {task}, right is [{k % 2}]:", target=k % 2,
            choices=("w", "x", "y", "z"), metadata={"subject": task, "domain": domain},
        )
        for task, domain in DOMAINS.items()
        for k in range(each)
    ]  # fmt: skip


def knows(text: str, end: str) -> float:
    """An expert of the task knows the place; everyone else says A."""
    task, place = re.findall(r"Of (\w+), right is \[(\d)\]", text)[-1]
    said = "ABCD"[int(place)] if f"a {task} expert" in text or f"an {task} expert" in text else "A"
    return -0.1 if end.strip() == said else -3.0


def sit(exam, model: Knowing, folder: Path, manner: Manner | None = None):
    asked = ask_all({"m": model}, Probes(manner=manner or Manner(), exam=exam), folder, say=quiet)
    return asked.marks["m"]


@pytest.fixture
def exam():
    return exam_of_rows(rows(), Sitting(neutral=NEUTRAL, each=1), [])


# --- who is asked ---------------------------------------------------------------------------------


def test_each_question_is_put_to_everyone(exam):
    asked = {item.id: dict(exam.asked_of(item)) for item in exam.items}
    algebra = asked["algebra-0"]
    assert algebra["task"].text == "an algebra expert"
    assert algebra["domain"].name == "geometry expert"
    assert algebra["other"].name == "law expert"
    assert (algebra["neutral"].name, algebra["none"].text) == ("person", "")
    assert "domain" not in asked["law-1"]  # no other task of its domain
    assert asked["law-1"]["other"].name in ("algebra expert", "geometry expert")
    assert len(exam_task(exam, Manner()).samples) == 2 * (5 + 5 + 4)


def test_a_persona_of_two_roles_is_asked_once():
    neutral, more = chosen(["none", "law expert"]), chosen(["genders"])
    exam = exam_of_rows(rows(), Sitting(neutral=neutral, each=9, more=more), [])
    asked = exam.asked_of(exam.items[0])
    names = [who.name for _, who in asked]
    assert len(names) == len(set(names))
    assert {who.name: relation for relation, who in asked}["law expert"] == "other"
    assert names[-3:] == ["woman", "man", "non-binary person"]


def test_the_prompt_lists_the_options_and_the_persona_comes_last(exam):
    sample = exam_prompt(Manner(), persona("wug"), exam.items[1], written=False)
    assert sample.input == (
        "A multiple-choice question and its options.\n\nOf algebra, right is [1]:\n"
        "A: w\nB: x\nC: y\nD: z\n\n"
        "Question: If you were a wug, which answer would you choose?\nAnswer:"
    )
    assert (sample.choices, sample.target) == (("A", "B", "C", "D"), 1)
    nobody = exam_prompt(Manner(), persona("none"), exam.items[1])
    assert "\n\nQuestion: Which answer would you choose?" in str(nobody.input)
    chat = exam_prompt(Manner(prompt="chat"), persona("wug"), exam.items[1], written=True)
    assert chat.input[-1].content.endswith("Reply with the letter only.")  # type: ignore[union-attr]


# --- by hand --------------------------------------------------------------------------------------


def test_marks_and_nats_by_hand(exam, tmp_path):
    marks = sit(exam, Knowing(knows), tmp_path)
    right, wrong = marks["algebra-1/algebra expert"], marks["algebra-1/person"]
    norm = math.log(math.exp(-0.1) + 3 * math.exp(-3.0))
    assert right.correct == 1
    assert right.nats == pytest.approx(norm + 0.1)
    assert wrong.correct == 0
    assert wrong.nats == pytest.approx(norm + 3.0)
    assert marks["algebra-0/person"].correct == 1  # A is right by luck


def test_accuracy_by_relation_and_task(exam, tmp_path):
    marks = sit(exam, Knowing(knows), tmp_path)
    table = by_relation(exam, marks)
    assert table["task"]["accuracy"].tolist() == [1] * 6
    assert table["other"]["accuracy"].tolist() == [1, 0] * 3
    assert np.isnan(table["domain"]["accuracy"]).tolist() == [False] * 4 + [True] * 2
    found = exam_results(exam, marks, QUICK)
    assert found["relations"]["task"]["accuracy"]["mean"] == 1.0
    assert found["relations"]["domain"]["accuracy"]["n"] == 4
    assert found["relations"]["neutral"]["accuracy"]["mean"] == 0.5
    assert found["tasks"][2] == {
        "task": "law", "domain": "letters", "n": 2,
        "accuracy": {"task": 1.0, "domain": None, "other": 0.5, "neutral": 0.5, "none": 0.5},
    }  # fmt: skip


def test_effects_of_expertise_by_hand(tmp_path):
    exam = exam_of_rows(rows(each=10), Sitting(neutral=NEUTRAL, each=1), [])
    marks = sit(exam, Knowing(knows), tmp_path)
    accuracy, nats = exam_effects("m", exam, marks, QUICK)
    found = {(one["after"], one["before"]): one for one in accuracy}
    one = found["task expert", "neutral persona"]
    assert (one["estimate"]["mean"], one["pairs"]) == (0.5, 30)
    assert one["p_value"] == pytest.approx(2 / 2**15)  # fifteen discordant, all one way: McNemar
    assert found["neutral persona", "no persona"]["estimate"]["mean"] == 0
    assert len(accuracy) == len(nats) == 5
    assert nats[0]["estimate"]["mean"] == pytest.approx(-2.9 / 2)


def test_further_personas_are_compared_with_each_other(tmp_path):
    more = chosen(["genders", "ages"])
    exam = exam_of_rows(rows(), Sitting(neutral=NEUTRAL, each=1, more=more), [])
    marks = sit(exam, Knowing(knows), tmp_path)
    accuracy, _ = exam_effects("m", exam, marks, QUICK)
    sides = {(one["after"], one["before"]) for one in accuracy}
    assert {("woman", "man"), ("woman", "no persona"), ("10 years of age", "")} <= sides
    assert ("woman", "13-year-old") not in sides


def test_models_are_compared_over_everyone_asked(exam, tmp_path):
    good = sit(exam, Knowing(knows), tmp_path / "a")
    bad = sit(exam, Knowing(lambda text, end: -float(ord(end.strip()))), tmp_path / "b")  # A
    (found,) = exam_model_effects(exam, {"a": good, "b": bad}, QUICK)
    # on each second question the task's expert alone is right: 1 of 5, of 5, of 4 asked
    expected = -(2 * 1 / 5 / 2 + 1 / 4 / 2) / 3
    assert found["estimate"]["mean"] == pytest.approx(expected)


def test_the_table_of_right_answers(exam, tmp_path):
    marks = sit(exam, Knowing(knows), tmp_path)
    lines = list(csv.DictReader(io.StringIO(exam_csv(exam, {"m": marks}))))
    line = next(one for one in lines if one["persona"] == "law expert" and one["task"] == "law")
    assert (line["relation"], line["n"], line["unread"], line["correct"]) == ("task", "2", "0", "2")
    assert sum(int(one["n"]) for one in lines) == len(marks)


def test_ties_are_split(exam, tmp_path):
    marks = sit(exam, Knowing(lambda text, end: -1.0), tmp_path)
    assert {one.correct for one in marks.values()} == {0.25}
    assert marks["law-0/person"].nats == pytest.approx(math.log(4))


def test_written_letters_are_read_or_counted(tmp_path):
    exam = exam_of_rows(rows(), Sitting(neutral=NEUTRAL, each=1, reads="text"), [])

    def answer(text: str, seed: int, draw: int) -> str:
        return "Either B or A" if "law" in text else "The answer is A."

    marks = sit(exam, Knowing(answer=answer), tmp_path, Manner(prompt="chat"))
    assert marks["algebra-0/person"].correct == 1
    assert math.isnan(marks["algebra-0/law expert"].correct)
    assert math.isnan(marks["law-0/person"].correct)
    found = exam_results(exam, marks, QUICK)["relations"]
    assert found["neutral"]["unread"] == 2
    assert found["neutral"]["answers"] == 6
    _, nats = exam_effects("m", exam, marks, QUICK)
    assert nats == []  # what is written has no likelihood


def test_an_answer_without_likelihood_is_unknown(exam):
    line = {"measures": {"correct": None}, "detail": {"logprobs": [None, -1.0, -1.0, -1.0]}}
    found = mark(exam, exam.items[0], line)
    assert math.isnan(found.correct)
    assert math.isnan(found.nats)


# --- rows and togi's own questions ----------------------------------------------------------------


def test_own_questions_have_experts_and_clusters():
    exam = own_exam(Sitting(neutral=NEUTRAL))
    assert set(exam.tasks.values()) == set(OWN_DOMAINS) == set(OWN_EXPERTS)
    assert exam.render == "text"
    assert exam.experts["arithmetic"].text == "an arithmetic expert"
    assert len(set(exam.clusters.values())) < len(exam.items)
    assert check(exam) == []
    asked = exam_prompt(Manner(), persona("wug"), exam.items[0], render="text")
    assert str(asked.input).startswith("If you were a wug, how would you complete this?\nThe ")
    assert asked.choices == exam.items[0].choices


def test_mmlu_has_57_subjects_in_four_domains():
    assert len(MMLU_DOMAINS) == 57
    assert len(set(MMLU_DOMAINS.values())) == 4
    items = [
        Sample(id=str(k), input="?", target=0, choices=("a", "b"), metadata={"subject": subject})
        for k, subject in enumerate(MMLU_DOMAINS)
    ]
    exam = exam_of_rows(items, Sitting(neutral=NEUTRAL, each=2), [])
    assert exam.experts["virology"].text == "a virology expert"
    assert exam.clusters["3"] == exam.tasks["3"]  # with ten tasks or more they are the units
    assert len(exam.asked_of(exam.items[0])) == 1 + 2 + 2 + 2


def test_a_limit_draws_by_the_seed():
    some = [own_exam(Sitting(neutral=NEUTRAL, limit=20, seed=seed)).items for seed in (0, 0, 1)]
    assert len(some[0]) == 20
    assert some[0] == some[1] != some[2]


def test_rows_with_fewer_choices_and_other_rows_are_counted():
    notes: list[str] = []
    odd = [
        Sample(id="two", input="?", target=1, choices=("a", "b"), metadata={"subject": "law"}),
        Sample(id="one", input="?", target=0, choices=("a",), metadata={"subject": "law"}),
        Document(id="d", text="no question"),
    ]
    exam = exam_of_rows(
        [*rows(), *odd], Sitting(neutral=NEUTRAL, domains={"law": "letters"}), notes
    )
    assert len(exam.items) == 7
    assert chance(exam.items) == pytest.approx((6 / 4 + 1 / 2) / 7)
    (note,) = notes
    assert note.startswith("exam: 2 rows left out: it has 1 choices; 2 to 26 are needed (1), ")


def test_columns_of_ones_own():
    odd = [
        Sample(
            id=str(k), input="?", target=0, choices=("a", "b"),
            metadata={"field": f"t{k % 2}", "area": f"d{k % 2}", "page": str(k // 2)},
        )
        for k in range(4)
    ]  # fmt: skip
    sitting = Sitting(
        neutral=NEUTRAL, task="field", domain="area", cluster="page", experts={"t0": "judge"},
        render="text",
    )  # fmt: skip
    exam = exam_of_rows(odd, sitting, [])
    assert exam.domains == {"t0": "d0", "t1": "d1"}
    assert exam.experts["t0"].text == "a judge"
    assert (exam.clusters["3"], exam.render) == ("1", "text")


def question(**metadata: str) -> Sample:
    return Sample(id="q", input="?", target=0, choices=("a", "b"), metadata=metadata)


@pytest.mark.parametrize(
    ("given", "sitting", "message"),
    [
        ([], {}, "no row can be asked as multiple choice.*the rows are empty"),
        ([Document(id="d", text="x")], {}, "no row can be asked.*1 rows left out: it has 0"),
        ([question()], {}, r"'q': the rows do not say which task.*no further columns.*exam\.task"),
        ([question(topic="law")], {}, r"topic\. Expected: a column subject or task or category"),
        ([question(subject="law")], {"task": "topic"}, "Expected: a column topic"),
        ([question(subject="law")], {}, r"no domain is known of the task 'law'.*exam\.domains"),
        ([question(subject="law")], {"domain": "area"}, "a column area"),
        (
            [question(subject="law", domain="a"),
             Sample(id="r", input="?", target=0, choices=("a", "b"),
                    metadata={"subject": "law", "domain": "b"})],
            {}, "row 'r': the task 'law' is of two domains. Found: a and b",
        ),
        ([question(subject="virology")], {"cluster": "page"}, "a column page"),
    ],
)  # fmt: skip
def test_rows_that_make_no_exam_are_refused(given, sitting, message):
    with pytest.raises(DataError, match=message):
        exam_of_rows(given, Sitting(neutral=NEUTRAL, **sitting), [])


def test_one_task_is_no_exam_and_missing_comparisons_are_said():
    one = exam_of_rows([question(subject="virology")], Sitting(neutral=NEUTRAL), [])
    with pytest.raises(DataError, match=r"two tasks or more.*Found: virology"):
        check(one)
    both = [*rows()[:4]]
    assert check(exam_of_rows(both, Sitting(neutral=NEUTRAL), [])) == [
        "exam: all tasks are of one domain, so no expert of another one sits it"
    ]
    apart = [rows()[0], rows()[4]]
    assert check(exam_of_rows(apart, Sitting(neutral=NEUTRAL), [])) == [
        "exam: no domain has two tasks, so no other expert of a domain sits it"
    ]
