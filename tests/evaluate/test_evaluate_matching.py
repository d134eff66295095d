"""Exact match, choices by generation, code and a user's function: by hand, garbage, bad input."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_toys import Saying
from test_evaluate_sandbox import needs_namespaces

from togi.errors import DataError, SurroundingsError, UsageError
from togi.evaluate.asking import Asking
from togi.evaluate.code import code_of, passes_of, program_of
from togi.evaluate.functions import with_function
from togi.evaluate.likelihoods import brier, check_apart, target_numbers, without_end
from togi.evaluate.sandbox import Limits
from togi.evaluate.tasks import Task, ask
from togi.lm.base import Generated, Sampling, Scored
from togi.lm.open import open_model
from togi.rows.types import Message, Sample

sys.path.insert(0, str(Path(__file__).parents[1] / "lm"))
from lm_server import Answer, serve

OWN = Path(__file__).parent / "own_score.py"
EMPTY = np.zeros(0, dtype=np.float32)


@dataclass
class Both:
    """A model that writes given answers in turn, and scores each text by a table."""

    answers: list[str]
    logprobs: dict[str, list[float]]
    name: str = "both"
    fingerprint: str = "b0"

    def generate(self, prompts, sampling):
        drawn = [Generated(text, (), EMPTY, "stop") for text in self.answers]
        return [drawn[: sampling.n] for _ in prompts]

    def score(self, contexts, continuations):
        return [
            Scored((hash(t) % 999,), np.array(self.logprobs[t], np.float32), False)
            for t in continuations
        ]


def asked(kind: str, model, sample: Sample, **asking) -> dict[str, float]:
    return answered(kind, model, sample, **asking).measures


def answered(kind: str, model, sample: Sample, **asking):
    task = Task(name="t", kind=kind, samples=(sample,), asking=Asking(**asking))
    answer = ask(model, task, [sample])[0]
    assert {m.over for m in task.measures} <= answer.measures.keys()
    partners = {m.partner for m in task.measures if m.thresholded}
    alone = {""} if kind == "choice_by_generation" and not task.asking.likelihood else set()
    assert partners <= {m.name for m in task.measures} | alone
    return answer


# --- exact match --------------------------------------------------------------------------------

SUM = Sample(id="1", input="60 + 82 =", target="142")


def test_exact_match_by_hand():
    assert asked("exact_match", Saying(lambda _: " 142\n"), SUM) == {
        "exact": 1, "similarity": 1, "unparsable": 0,
    }  # fmt: skip
    assert asked("exact_match", Saying(lambda _: "152"), SUM)["similarity"] == pytest.approx(2 / 3)
    found = asked("exact_match", Saying(lambda _: "So it is 142.0 apples"), SUM, parse="number")
    assert (found["exact"], found["unparsable"]) == (1, 0)
    found = asked("exact_match", Saying(lambda _: "Sum: 12 or 142"), SUM, parse=r"regex:(\d+) or")
    assert (found["exact"], found["similarity"]) == (0, pytest.approx(2 / 3))


def test_the_target_s_likelihood_stands_beside():
    model = Both(["141"], {" 142": [-0.5, -1.0, -1.5]})
    found = asked("exact_match", model, SUM, likelihood=True)
    assert (found["exact"], found["target_nats"], found["target_tokens"]) == (0, 3.0, 3.0)
    assert found["token_probability"] == pytest.approx(math.exp(-1))


@pytest.mark.parametrize(
    "text",
    ["", "I'm sorry, but I cannot help with that.", "\ud83d", "\x00\x00", "9" * 5000, "=" * 99],
)
@pytest.mark.parametrize("parse", ["", "number", "last_line", "lm_eval_strict"])
def test_refusals_and_garbage_are_wrong_and_break_nothing(text: str, parse: str):
    found = asked("exact_match", Saying(lambda _: text), SUM, parse=parse)
    assert found["exact"] == 0
    assert 0 <= found["similarity"] < 0.5
    if parse == "number" and not any(letter.isdigit() for letter in text):
        assert found["unparsable"] == 1


def test_several_draws_are_averaged_and_kept():
    model = Both(["142", "1 4 2", "7"], {})
    answer = answered("exact_match", model, SUM, sampling=Sampling(n=3, temperature=1.0))
    assert answer.measures["exact"] == pytest.approx(1 / 3)
    assert answer.measures["similarity"] == pytest.approx((1 + 1 + 0) / 3)
    assert answer.detail["answers"] == ["142", "1 4 2", "7"]


# --- choices ------------------------------------------------------------------------------------

SKY = Sample(id="1", input="The sky is", target=1, choices=("green", "blue", "dark red"))


@pytest.mark.parametrize(
    ("text", "correct", "unparsable"),
    [("B", 1, 0), ("(b) because of Rayleigh", 1, 0), ("The answer is **C**.", 0, 0), ("blue", 1, 0),
     ("I can't answer that.", 0, 1), ("Both A and B", 0, 1), ("", 0, 1), ("D", 0, 1),
     ("A good question!", 0, 1)],
)  # fmt: skip
def test_written_choices_by_hand(text: str, correct: float, unparsable: float):
    found = asked("choice_by_generation", Saying(lambda _: text), SKY)
    assert found == {"correct": correct, "unparsable": unparsable}


def test_reading_and_likelihood_stand_side_by_side():
    """A model that ranks the letters well but does not write one."""
    third = math.log(1 / 4)
    model = Both(["Let me think."], {" A": [third], " B": [math.log(1 / 2)], " C": [third]})
    found = asked("choice_by_generation", model, SKY, likelihood=True)
    assert (found["correct"], found["unparsable"], found["correct_likelihood"]) == (0, 1, 1)
    assert found["probability"] == pytest.approx(1 / 2)
    assert found["brier"] == pytest.approx(1 / 4 + 2 / 16)


def test_letters_that_the_tokenizer_merges_are_told():
    """A tokenizer that spells all letters alike gives them one and the same likelihood."""

    class Merging(Both):
        def score(self, contexts, continuations):
            return [Scored((7,), np.array([-1.0], np.float32), False) for _ in continuations]

    words = r"two choices with the same tokens. Found: ' A' and ' B'.*judge by generation"
    with pytest.raises(DataError, match=words):
        asked("choice_by_generation", Merging(["A"], {}), SKY, likelihood=True)
    task = Task(name="t", kind="multiple_choice", samples=(SKY,), asking=Asking(render="letters"))
    with pytest.raises(DataError, match=words):
        ask(Merging([], {}), task, task.samples)


def test_an_unknown_token_id_tells_nothing_apart():
    """An endpoint may tell no ids: equal probabilities alone do not refuse."""
    same = [Scored((-1,), np.array([-1.0], np.float32), False)] * 2
    check_apart(SKY, ("A", "B"), same)


def test_an_endpoint_without_logprobs_is_told_in_clear_words():
    choice = {"index": 0, "text": "x", "finish_reason": "length", "logprobs": None}
    with serve() as server:
        server.plan = lambda number, body: Answer(body={"choices": [choice], "usage": {}})
        model = open_model(f"openai:{server.url}#m")
        task = Task(name="t", kind="multiple_choice", samples=(SKY,))
        with pytest.raises(SurroundingsError, match=r"logprobs") as caught:
            ask(model, task, task.samples)
    assert "generat" in str(caught.value)


# --- likelihoods --------------------------------------------------------------------------------


@given(st.lists(st.floats(-30, 0), min_size=2, max_size=6), st.data())
def test_brier_is_between_0_and_2_and_does_not_see_the_scale(values: list[float], data):
    right = data.draw(st.integers(0, len(values) - 1))
    p, score = brier(values, right)
    assert 0 <= p <= 1
    assert 0 <= score <= 2 + 1e-12
    assert brier([v - 50 for v in values], right) == (pytest.approx(p), pytest.approx(score))
    # Against the formula over all classes, term by term.
    shares = np.exp(values) / np.exp(values).sum()
    y = [float(i == right) for i in range(len(values))]
    assert score == pytest.approx(sum((a - b) ** 2 for a, b in zip(shares, y, strict=True)))


def test_brier_s_ends():
    assert brier([0.0, -math.inf], 0) == (1, 0)
    assert brier([0.0, -math.inf], 1) == (0, 2)
    assert brier([-7.0] * 4, 2) == (0.25, pytest.approx(0.75))
    assert all(math.isnan(v) for v in brier([math.nan, 0.0], 0))
    assert all(math.isnan(v) for v in brier([-math.inf, -math.inf], 0))


def test_the_end_of_a_turn_is_no_part_of_the_target():
    reply = Scored((5, 6, 1), np.array([-1.0, -2.0, -9.0], np.float32), False)
    assert without_end(reply, "text") is reply
    chat = replace(SUM, input=(Message("user", "60 + 82?"),))
    numbers = target_numbers(chat, [reply])
    assert (numbers["target_nats"], numbers["target_tokens"]) == (3.0, 2.0)
    assert target_numbers(chat, []) == {}


# --- code ---------------------------------------------------------------------------------------

ADD = Sample(
    id="add", input="def add(a, b):\n", target="    return a + b",
    metadata={"entry_point": "add", "test": "def check(f):\n    assert f(2, 3) == 5"},
)  # fmt: skip


def test_programs_are_put_together_by_hand():
    end = "\n\ndef check(f):\n    assert f(2, 3) == 5\ncheck(add)\n"
    assert program_of(ADD, "    return a + b") == "def add(a, b):\n    return a + b" + end
    whole = "Sure:\n```python\ndef add(a, b):\n    return b + a\n```\nEnjoy!"
    assert program_of(ADD, whole) == "def add(a, b):\n    return b + a" + end
    helped = replace(ADD, input="import math\n\ndef add(a, b):\n")
    assert program_of(helped, whole).startswith("import math\n\ndef add(a, b):\n    return b + a")
    chat = replace(ADD, input=(Message("user", "Write add."),), metadata={"test": "assert add"})
    assert program_of(chat, "add = sum") == "add = sum\n\nassert add\n"
    assert code_of("```py\na\n```\nthen\n```\nb") == "b"


@needs_namespaces
def test_pass_at_k_of_answers_that_were_run():
    model = Both(
        ["    return a + b", "    return a - b", "    return a +", "    while True: pass"], {}
    )
    answer = answered(
        "code", model, ADD, passes=(1, 2), limits=Limits(seconds=1),
        sampling=Sampling(n=4, temperature=0.8),
    )  # fmt: skip
    assert answer.measures["pass@1"] == pytest.approx(1 / 4)
    assert answer.measures["pass@2"] == pytest.approx(1 / 2)
    assert answer.measures["too_long"] == pytest.approx(1 / 4)
    assert [run["how"] for run in answer.detail["ran"]] == [
        "passed",
        "raised",
        "raised",
        "too long",
    ]
    # 'return a + b' against itself, 'a - b' (1 of 4 pieces), 'a +' (1 missing), 'while True: pass'
    assert answer.measures["similarity"] == pytest.approx((1 + 3 / 4 + 3 / 4 + 0) / 4)


@needs_namespaces
def test_graded_together_is_graded_alone():
    samples = [replace(ADD, id=f"{i}") for i in range(3)]
    task = Task(name="t", kind="code", samples=tuple(samples))
    model = Saying(lambda _: "    return a + b")
    assert ask(model, task, samples) == [ask(model, task, [one])[0] for one in samples]


@pytest.mark.parametrize(
    ("change", "asking", "why"),
    [({"metadata": {}}, {}, "has no 'test'"),
     ({"metadata": {"test": "x", "entry_point": "a b"}}, {}, "entry_point 'a b' is no function"),
     ({"target": ""}, {"likelihood": True}, "no reference solution"),
     ({}, {"passes": (10,)}, "pass@10 needs 10 answers to each problem; sampling.n is 1"),
     ({}, {"sampling": Sampling(n=4, temperature=0)}, "one and the same; set sampling.temp")],
)  # fmt: skip
def test_unfit_problems_are_told(change: dict, asking: dict, why: str):
    with pytest.raises(DataError, match=why):
        Task(name="t", kind="code", samples=(replace(ADD, **change),), asking=Asking(**asking))


def test_passes_are_checked():
    with pytest.raises(UsageError, match="at least 1"):
        passes_of([0])
    with pytest.raises(UsageError, match="at least 1"):
        passes_of([])


# --- functions ----------------------------------------------------------------------------------

RIME = Sample(id="1", input="Rhyme:", target="cat hat")


def test_a_function_s_score_and_the_edit_distance_beside_it():
    asking = with_function(Asking(), f"{OWN}:overlap")
    task = Task(name="t", kind="function", samples=(RIME,), asking=asking)
    (answer,) = ask(Saying(lambda _: "the cat sat"), task, [RIME])
    assert answer.measures == {"score": 0.5, "similarity": pytest.approx(1 / 3)}
    assert "own_score.py:overlap" in task.measures[0].definition


def test_a_function_may_take_the_answer_alone_and_sees_garbage_safely():
    asking = with_function(Asking(), f"{OWN}:short")
    task = Task(name="t", kind="function", samples=(replace(RIME, target=""),), asking=asking)
    (answer,) = ask(Saying(lambda _: "\ud83d"), task, task.samples)
    assert answer.measures["score"] == 1
    assert math.isnan(answer.measures["similarity"])


def test_a_broken_function_names_the_row_and_its_line():
    asking = with_function(Asking(), f"{OWN}:broken")
    task = Task(name="t", kind="function", samples=(RIME,), asking=asking)
    with pytest.raises(DataError, match=r"own_score.py:broken, row 1: the function failed") as told:
        ask(Saying(lambda _: "x"), task, [RIME])
    assert "no_such_thing" in told.value.found
    assert "what was answered is kept" in told.value.hint


def test_an_edited_function_is_asked_anew(tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text("def score(response): return 1\n")
    first = with_function(Asking(), f"{file}:score")
    file.write_text("def score(response): return 0\n")
    second = with_function(Asking(), f"{file}:score")
    assert first.function_digest != second.function_digest
    with pytest.raises(UsageError, match="the task names no function"):
        Task(name="t", kind="function", samples=(RIME,))
    with pytest.raises(UsageError, match="no such file"):
        with_function(Asking(), f"{tmp_path}/none.py:score")
