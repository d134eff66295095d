"""The task kind `distribution`: a model's choice probabilities against people's answers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from judge_toys import Scripted, quiet

from togi.errors import DataError
from togi.evaluate.asking import Asking
from togi.evaluate.disagreement.predictions import from_judging
from togi.evaluate.distribution import human_ceiling, people_of, probabilities
from togi.evaluate.judge import judge
from togi.evaluate.ledger import read_lines
from togi.evaluate.samples import fit_samples
from togi.evaluate.tasks import Task
from togi.rows.read import read_rows
from togi.rows.types import Sample
from togi.stats.rng import stream


def asked(n: int = 40, people: int = 12) -> tuple[Sample, ...]:
    rng = stream(0, "asked")
    shares = rng.dirichlet([1, 1], n)
    return tuple(
        Sample(
            id=f"q{i}", input=f"question {i}:", target=0, choices=("yes", "no"),
            metadata={"counts": [int(k) for k in rng.multinomial(people, shares[i])],
                      "share": float(shares[i][0])},
        )
        for i in range(n)
    )  # fmt: skip


def knowing(samples, noise: float = 0.0):
    """A model that gives "yes" the log-probability of the share behind each question."""
    of = {sample.input: sample.metadata["share"] for sample in samples}

    def logprob(context, text: str) -> float:
        share = min(max(of[context] + noise, 0.01), 0.99)
        return math.log(share if "yes" in text else 1 - share) - 3  # all choices may be improbable

    return logprob


def task(samples) -> Task:
    return Task(name="people", kind="distribution", samples=tuple(samples))


def test_one_sample_by_hand(tmp_path: Path):
    sample = Sample(
        id="q", input="?", target=0, choices=("a", "b"), metadata={"distribution": [0.75, 0.25]}
    )
    model = Scripted(lambda _, text: math.log(0.2 if "a" in text else 0.3))
    judge({"m": model}, [task([sample])], tmp_path, say=quiet)
    (line,) = read_lines(tmp_path / "samples.jsonl")[0]
    q = np.array([0.4, 0.6])
    found = line["measures"]
    assert found["cross_entropy"] == pytest.approx(-(0.75 * math.log(0.4) + 0.25 * math.log(0.6)))
    assert found["variation"] == pytest.approx(0.35)
    assert found["agreement"] == pytest.approx(0.25)
    assert found["majority"] == 0
    assert found["human_js"] is None  # shares without counts have no halves
    assert line["detail"]["probabilities"] == pytest.approx(q)
    assert line["answer"] == "b"


def test_scores_have_intervals_and_the_ceiling_stands_beside(tmp_path: Path):
    samples = asked()
    models = {
        "knows": Scripted(knowing(samples), fingerprint="a"),
        "flat": Scripted(lambda _, text: -1.0, fingerprint="b"),
    }
    scores = judge(models, [task(samples)], tmp_path, say=quiet)
    facts = scores["tasks"]["people"]
    assert (facts["primary_measure"], facts["higher_is_better"]) == ("cross_entropy", False)
    knows, flat = (scores["scores"][name]["people"] for name in ("knows", "flat"))
    assert (
        knows["cross_entropy"]["mean"] < flat["cross_entropy"]["mean"] == pytest.approx(math.log(2))
    )
    assert knows["human_js"] == flat["human_js"]
    # what people share is known better by the model than by half of twelve people
    assert knows["above_human_js"]["high"] < 0 < flat["above_human_js"]["mean"]
    difference = next(d for d in scores["differences"] if d["measure"] == "cross_entropy")
    assert (difference["after"], difference["better"]) == ("flat", False)
    assert {d["measure"] for d in scores["differences"]} == {
        "cross_entropy", "js", "variation", "brier", "agreement", "majority",
    }  # fmt: skip


def test_the_ceiling_is_the_same_for_every_model_and_run():
    counts = np.array([7, 3, 2])
    one, near = human_ceiling(counts, np.array([0.6, 0.2, 0.2]), "q1")
    two, far = human_ceiling(counts, np.array([0.1, 0.1, 0.8]), "q1")
    assert one == two
    assert near["js"] < far["js"]
    assert human_ceiling(counts, np.ones(3) / 3, "q2")[0] != one


def test_probabilities_do_not_underflow():
    assert probabilities(np.array([-2000.0, -2001.0])).sum() == pytest.approx(1)
    assert np.isnan(probabilities(np.array([-math.inf, -math.inf]))).all()


def test_an_impossible_answer_is_unknown_and_counted(tmp_path: Path):
    model = Scripted(lambda _, text: -math.inf)
    scores = judge({"m": model}, [task(asked(4))], tmp_path, say=quiet)
    assert scores["undefined"] == [{"model": "m", "task": "people", "samples": 4}]
    assert scores["scores"]["m"]["people"]["cross_entropy"]["mean"] is None


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, "no 'counts' or 'distribution'"),
        ({"distribution": [0.5, 0.4]}, "adds up to 0.9, not to 1"),
        ({"distribution": [0.5]}, "not one number of at least 0 for each choice"),
        ({"distribution": ["a", "b"]}, "not one number"),
        ({"counts": [1, -1]}, "'counts' is not one number of at least 0"),
        ({"counts": [0, 0]}, "no whole numbers of people, one or more"),
        ({"counts": [0.5, 0.5]}, "no whole numbers"),
    ],
)
def test_what_is_no_distribution_is_left_out_with_the_reason(metadata, words):
    bad = Sample(id="q", input="?", target=0, choices=("a", "b"), metadata=metadata)
    kept, dropped = fit_samples([bad], "distribution", Asking())
    assert not kept
    assert words in dropped[0].reason
    with pytest.raises(DataError, match="cannot be judged"):
        task([bad])


def test_choices_must_be_choices():
    one = Sample(id="q", input="?", target=0, choices=("a",), metadata={"counts": [3]})
    alike = Sample(id="q", input="?", target=0, choices=("a", "a"), metadata={"counts": [3, 1]})
    for sample, words in ((one, "1 choices; 2 to 26"), (alike, "empty or alike")):
        (dropped,) = fit_samples([sample], "distribution", Asking())[1]
        assert words in dropped.reason


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([2, 6], {"counts": [2, 6]}),
        ([0.25, 0.75], {"distribution": [0.25, 0.75]}),
        ({"B": 6, "A": 2}, {"counts": [2, 6]}),
        ({"no": 0.75, "yes": 0.25}, {"distribution": [0.25, 0.75]}),
        ("[2, 6]", {"counts": [2, 6]}),
    ],
)
def test_rows_say_how_people_answered(tmp_path: Path, answer, expected):
    path = tmp_path / "q.jsonl"
    row = {"question": "?", "choices": ["yes", "no"], "answer": answer}
    path.write_text(json.dumps(row) + "\n")
    (sample,) = read_rows(str(path))
    assert isinstance(sample, Sample)
    assert sample.target == 1
    assert {key: sample.metadata[key] for key in expected} == expected
    assert people_of(sample)[0] == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize("answer", [[1, 2, 3], {"yes": 1, "maybe": 2}, [-1, 2], [True, False]])
def test_rows_that_say_it_wrongly_are_refused(tmp_path: Path, answer):
    path = tmp_path / "q.jsonl"
    path.write_text(
        json.dumps({"question": "?", "choices": ["yes", "no"], "answer": answer}) + "\n"
    )
    with pytest.raises(DataError, match="'answer' names no choice"):
        list(read_rows(str(path)))


def test_a_judging_gives_predictions_for_the_raters_analysis(tmp_path: Path):
    samples = asked(6)
    judge({"knows": Scripted(knowing(samples))}, [task(samples)], tmp_path, say=quiet)
    found = from_judging(tmp_path, [s.id for s in samples], ["no", "yes"])
    assert found["knows"][:, 1] == pytest.approx([s.metadata["share"] for s in samples], abs=0.011)
    with pytest.raises(DataError, match="names other labels"):
        from_judging(tmp_path, [s.id for s in samples], ["no", "maybe"])
    other = Task(name="t", kind="multiple_choice", samples=samples)
    judge({"m": Scripted(lambda _, text: -1.0)}, [other], tmp_path / "b", say=quiet)
    with pytest.raises(DataError, match="no task of the kind 'distribution'"):
        from_judging(tmp_path / "b", ["q0"], ["no", "yes"])
