"""Tasks: how each kind asks and scores, by hand; what it refuses; the guards."""

from __future__ import annotations

import ast
import hashlib
import inspect
import math
import shutil
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_toys import Saying, Scripted, choices, docs, texts

from togi.errors import DataError, UsageError
from togi.evaluate.asking import Asking, Question
from togi.evaluate.checks import CHECKS, DOCSTRING_RULES, docstring_format
from togi.evaluate.functions import with_function
from togi.evaluate.guards import GUARDS, general_text, guard_rows
from togi.evaluate.judge import judge
from togi.evaluate.kinds import TASK_KINDS, split_words
from togi.evaluate.samples import choose, fit_samples, to_sample
from togi.evaluate.tasks import Task, ask
from togi.evaluate.trust.suite import Wanted, plan
from togi.lm.base import Sampling
from togi.lm.exact import ExactModel
from togi.rows.types import Document, Dropped, Example, Feedback, Message, Ranking, Sample

DICE = ExactModel.from_table({"": {"a": 0.5, "b": 0.25, "": 0.25}})
"a costs 1 bit, b and the end of a turn 2 bits each."


def one(kind: str, sample: Sample, asking: Asking = Asking(), **more) -> Task:  # noqa: B008
    return Task(name="t", kind=kind, samples=(sample,), asking=asking, **more)


# --- bits per byte ------------------------------------------------------------------------------


def test_bits_per_byte_by_hand():
    task = one("bits_per_byte", Sample(id="1", input="?", target="aab"))
    numbers = ask(DICE, task, task.samples)[0].measures
    assert numbers["nats"] == pytest.approx(4 * math.log(2))
    assert (numbers["bytes"], numbers["tokens"], numbers["greedy"]) == (3, 3, 0)


def test_end_of_turn_costs_bits_but_has_no_byte():
    chat = (Message("user", "?"),)
    task = one("bits_per_byte", Sample(id="1", input=chat, target="aa"))
    numbers = ask(DICE, task, task.samples)[0].measures
    assert numbers["nats"] == pytest.approx(4 * math.log(2))
    assert numbers["bytes"] == 2


def test_bytes_are_utf8():
    task = one("bits_per_byte", Sample(id="1", input="?", target="é€"))
    assert ask(ExactModel({}), task, task.samples)[0].measures["bytes"] == 5


def test_text_is_scored_after_its_first_words_only():
    sample = Sample(id="1", input="", target="b b b aa")
    task = one("text_bits_per_byte", sample, Asking(context_words=3))
    question = task.rules.ask(task.asking, (), sample)
    assert question == Question("b b b", (" aa",))
    whole = one("text_bits_per_byte", sample, Asking(context_words=0))
    assert whole.rules.ask(whole.asking, (), sample) == Question("", ("b b b aa",))


@given(st.text(max_size=60), st.integers(0, 6))
def test_split_words_loses_nothing(text: str, words: int):
    head, rest = split_words(text, words)
    assert head + rest == text
    assert len(head.split()) == min(words, len(text.split()))


def test_perplexities_are_powers_of_e_and_never_break(tmp_path: Path):
    """A text without white space is one word, whose perplexity no number may hold."""
    samples = tuple(Sample(id=f"{i}", input="?", target="数" * (300 + i)) for i in range(4))
    task = Task(name="t", kind="bits_per_byte", samples=samples)
    found = judge({"m": ExactModel({})}, [task], tmp_path, say=lambda _: None)["scores"]["m"]["t"]
    bits = found["bits_per_byte"]["mean"]
    assert found["byte_perplexity"]["mean"] == pytest.approx(2**bits)
    assert found["word_perplexity"]["mean"] is None  # infinite, which JSON cannot say


# --- multiple choice ----------------------------------------------------------------------------


def test_multiple_choice_by_hand():
    table = {" no": -1.0, " perhaps": -2.0, " yes": -1.5}
    sample = Sample(id="1", input="Is it?", target=1, choices=("no", "perhaps", "yes"))
    answer = ask(Scripted(lambda _, t: table[t]), one("multiple_choice", sample), [sample])[0]
    assert answer.text == "no"
    assert answer.measures["correct"] == 0
    # per byte: -1/2, -2/7, -1.5/3
    assert answer.measures["correct_normalised"] == 1
    assert answer.measures["margin"] == pytest.approx(-1.0)
    assert answer.detail == {"logprobs": [-1.0, -2.0, -1.5]}


def test_ties_are_split_wherever_the_right_choice_stands():
    for target in (0, 1, 2):
        sample = Sample(id="1", input="?", target=target, choices=("x", "y", "z"))
        answer = ask(Scripted(lambda *_: -1.0), one("multiple_choice", sample), [sample])[0]
        assert answer.measures["correct"] == pytest.approx(1 / 3)
        assert answer.measures["margin"] == 0


def test_unknown_likelihood_makes_the_answer_unknown():
    sample = Sample(id="1", input="?", target=0, choices=("x", "y"))
    model = Scripted(lambda _, t: math.nan if "y" in t else -1.0)
    answer = ask(model, one("multiple_choice", sample), [sample])[0]
    assert answer.text == ""
    assert all(math.isnan(value) for value in answer.measures.values())


def test_letters_list_the_choices_and_score_their_letters():
    sample = Sample(id="1", input="Sky?", target=1, choices=("green", "blue"))
    task = one("multiple_choice", sample, Asking(render="letters"))
    question = task.rules.ask(task.asking, (), sample)
    assert question == Question("Sky?\nA. green\nB. blue\nAnswer:", (" A", " B"))
    chat = replace(sample, input=(Message("user", "Sky?"),))
    question = task.rules.ask(task.asking, (), chat)
    assert question.prompt == (Message("user", "Sky?\nA. green\nB. blue"),)
    assert question.continuations == ("A", "B")


@given(st.permutations(range(4)))
def test_order_of_choices_does_not_matter(order: list[int]):
    values = [-3.0, -1.0, -2.0, -4.0]
    sample = Sample(id="1", input="?", target=order.index(1), choices=tuple(f"c{i}" for i in order))
    model = Scripted(lambda _, text: values[int(text[-1])])
    answer = ask(model, one("multiple_choice", sample), [sample])[0]
    assert (answer.text, answer.measures["correct"], answer.measures["margin"]) == ("c1", 1, 1)


def test_impossible_choices_have_no_margin_but_lose():
    sample = Sample(id="1", input="?", target=0, choices=("x", "y", "z"))
    model = Scripted(lambda _, t: -1.0 if "x" in t else -math.inf)
    answer = ask(model, one("multiple_choice", sample), [sample])[0]
    assert (answer.measures["correct"], answer.measures["margin"]) == (1, math.inf)
    none = Scripted(lambda *_: -math.inf)
    answer = ask(none, one("multiple_choice", sample), [sample])[0]
    assert answer.measures["correct"] == pytest.approx(1 / 3)
    assert math.isnan(answer.measures["margin"])


# --- shots --------------------------------------------------------------------------------------


def test_solved_examples_as_text_and_as_turns():
    shot = Sample(id="s", input="1+1=", target=0, choices=("2", "3"))
    sample = Sample(id="1", input="2+2=", target=1, choices=("3", "4"))
    task = one("multiple_choice", sample, shots=(shot,))
    assert task.rules.ask(task.asking, task.shots, sample).prompt == "1+1= 2\n\n2+2="
    system = Message("system", "Be brief.")
    shot = Sample(id="s", input=(system, Message("user", "1+1")), target="2")
    sample = Sample(id="1", input=(system, Message("user", "2+2")), target="4")
    task = one("bits_per_byte", sample, shots=(shot,))
    roles = [m.role for m in task.rules.ask(task.asking, task.shots, sample).prompt]
    assert roles == ["system", "user", "assistant", "user"]


def test_plain_and_chat_examples_do_not_mix():
    shot = Sample(id="s", input="1+1=", target="2")
    sample = Sample(id="1", input=(Message("user", "2+2"),), target="4")
    task = one("bits_per_byte", sample, shots=(shot,))
    with pytest.raises(DataError, match="cannot be mixed"):
        ask(DICE, task, task.samples)


# --- generation ---------------------------------------------------------------------------------


def test_exact_match_ignores_case_and_space_only():
    samples = texts(3)
    task = Task(name="t", kind="exact_match", samples=samples)
    said = {"text 0:": "ANSWER  number 0\n", "text 1:": "answer number 1.", "text 2:": "no"}
    answers = ask(Saying(said.__getitem__), task, samples)
    assert [a.measures["exact"] for a in answers] == [1, 0, 0]


def test_check_is_the_mean_of_the_draws():
    sample = Sample(id="1", input="def f(): ...", target="")
    asking = Asking(check="docstring_format", sampling=Sampling(n=2))
    drawn = iter(["Return nothing.", ""])
    task = one("generate_and_check", sample, asking)
    answer = ask(Saying(lambda _: next(drawn)), task, [sample])[0]
    assert answer.measures["score"] == 0.5
    assert answer.measures["all_met"] == 0.5
    assert answer.text == "Return nothing."
    assert answer.detail["answers"] == ["Return nothing.", ""]


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("Return the sum of a and b.", []),
        ("Open a file, e.g. a log.\n\nMore about it.\nAnd more.", []),
        ("Return x", ["period"]),
        ("Returns x.", ["imperative"]),
        ("This function does x.", ["imperative"]),
        ("Process the bus.", []),
        ("return x.", ["capital"]),
        ("Do it. Then stop.", ["one_sentence"]),
        ("Do it.\nAnd more.", ["blank_line"]),
        ("Do it.\n\n```python\nf()\n```", ["no_code"]),
        ("Do it.\n\ndef f(x):\n    pass", ["no_code"]),
        ('"""Do it."""', ["period", "capital", "imperative", "no_quotes"]),
        ("Do " + "very " * 30 + "much.", ["length"]),
        ("Do it.\n\n" + "word " * 500, ["length"]),
    ],
)
def test_docstring_rules(text: str, broken: list[str]):
    found = docstring_format(text, "stop")
    assert [rule for rule, met in found.items() if not met] == broken


def test_cut_off_answer_is_not_finished():
    assert docstring_format("Do it.", "length") == {
        rule: rule != "finished" for rule in DOCSTRING_RULES
    }


def test_real_docstrings_meet_most_rules_and_chatter_does_not():
    """The measure must tell the standard library's docstrings from a chatty answer."""
    found = [
        docstring
        for module in (shutil, textwrap, inspect)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.FunctionDef) and (docstring := ast.get_docstring(node))
    ]
    shares = [np.mean(list(docstring_format(text, "stop").values())) for text in found]
    chatter = "Sure! Here is a docstring for the function:\n```python\ndef f(x):\n"
    assert np.mean(shares) > 0.88
    assert np.mean(list(docstring_format(chatter, "length").values())) < 0.6


@given(st.text(), st.sampled_from(["stop", "length"]))
def test_checks_answer_for_any_text(text: str, finish: str):
    for check in CHECKS.values():
        found = check.apply(text, finish)
        assert found.keys() == check.rules.keys()
        assert all(isinstance(met, bool) for met in found.values())
    if not text.strip():
        assert not any(docstring_format(text, finish).values())


# --- every kind ---------------------------------------------------------------------------------

EXAMPLES = {
    "bits_per_byte": docs(7),
    "text_bits_per_byte": Task(
        name="t",
        kind="text_bits_per_byte",
        samples=tuple(Sample(id=f"{i}", input="", target="word " * (9 + i)) for i in range(5)),
    ),
    "multiple_choice": choices(7),
    "distribution": Task(
        name="d",
        kind="distribution",
        samples=tuple(
            replace(sample, metadata={"counts": [3, 1 + place, 0]})
            for place, sample in enumerate(choices(7).samples)
        ),
    ),
    "generate_and_check": Task(
        name="g",
        kind="generate_and_check",
        samples=texts(5),
        asking=Asking(check="docstring_format", sampling=Sampling(max_tokens=9, n=2)),
    ),
    "exact_match": Task(
        name="e",
        kind="exact_match",
        samples=texts(5),
        asking=Asking(sampling=Sampling(max_tokens=9, temperature=0.7)),
    ),
    "choice_by_generation": Task(
        name="cg",
        kind="choice_by_generation",
        samples=choices(5).samples,
        asking=Asking(sampling=Sampling(max_tokens=9), likelihood=True),
    ),
    "code": Task(
        name="code",
        kind="code",
        samples=tuple(replace(s, metadata={"test": "assert True"}) for s in texts(2)),
        asking=Asking(sampling=Sampling(max_tokens=4, n=2), passes=(1, 2), likelihood=True),
    ),
    "function": Task(
        name="f",
        kind="function",
        samples=texts(3),
        asking=with_function(
            Asking(sampling=Sampling(max_tokens=9)), f"{Path(__file__).parent}/own_score.py:overlap"
        ),
    ),
    "answer": Task(
        name="a",
        kind="answer",
        samples=texts(5),
        asking=Asking(sampling=Sampling(max_tokens=60, n=2)),
    ),
    "likelihood": Task(
        name="l",
        kind="likelihood",
        samples=tuple(replace(s, target="", choices=("97 98 256", "97")) for s in texts(5)),
    ),
    "verdict_by_likelihood": Task(
        name="v",
        kind="verdict_by_likelihood",
        samples=tuple(replace(s, target="", choices=("A", "B", "C")) for s in texts(5)),
    ),
    "verdict_by_text": Task(
        name="w",
        kind="verdict_by_text",
        samples=tuple(replace(s, target="", choices=("A", "B")) for s in texts(5)),
        asking=Asking(sampling=Sampling(max_tokens=3)),
    ),
}

for side in plan(Wanted(draws=2, max_tokens=20)).values():
    EXAMPLES |= {task.kind: replace(task, samples=task.samples[:3]) for task in side.tasks}


ELSEWHERE = {
    "verdict_by_rule",  # no model's
    "trust.rating", "trust.crime",  # of published files alone; tests/evaluate/trust has them
}  # fmt: skip


def test_every_kind_that_asks_a_model_has_an_example():
    assert EXAMPLES.keys() == TASK_KINDS.keys() - ELSEWHERE


@pytest.mark.parametrize("kind", EXAMPLES)
def test_kind_keeps_the_contract(kind: str):
    task = EXAMPLES[kind]
    model = ExactModel.from_text("the answer number is 1 and 4 and 9.", order=2)
    together = ask(model, task, task.samples)
    alone = [ask(model, task, [sample])[0] for sample in task.samples]
    assert together == alone
    for measure in task.measures:
        for answer in together:
            assert math.isfinite(answer.measures[measure.over])
            assert not measure.per or answer.measures[measure.per] > 0
    assert task.measures[0].compared
    assert len({measure.name for measure in task.measures}) == len(task.measures)
    assert orjson.dumps(task.template)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("multiple_choice", {"render": "letters"}),
        ("text_bits_per_byte", {"context_words": 3}),
        ("exact_match", {"sampling": Sampling(temperature=0, max_tokens=3)}),
    ],
)
def test_template_hash_follows_what_matters(kind: str, change: dict):
    task = EXAMPLES[kind]
    other = replace(task, asking=replace(task.asking, **change))
    assert other.template_hash != task.template_hash
    assert replace(task, samples=task.samples[:2], name="z").template_hash == task.template_hash
    shown = replace(task, shots=task.samples[:1], samples=task.samples[1:])
    assert shown.template_hash != task.template_hash


def test_settings_that_mean_nothing_are_refused():
    sample = Sample(id="1", input="?", target="x")
    with pytest.raises(UsageError, match="'render' means nothing to bits_per_byte"):
        one("bits_per_byte", sample, Asking(render="letters"))
    with pytest.raises(UsageError, match="did you mean 'bits_per_byte'"):
        one("bits_per_bite", sample)
    with pytest.raises(UsageError, match="did you mean 'docstring_format'"):
        one("generate_and_check", sample, Asking(check="docstring_fromat"))


@pytest.mark.parametrize(
    ("kind", "sample", "why"),
    [
        ("bits_per_byte", Sample(id="1", input="?", target=""), "empty"),
        ("text_bits_per_byte", Sample(id="1", input="", target="too short"), "no more than 8"),
        ("text_bits_per_byte", Sample(id="1", input="?", target="w " * 20), "bits_per_byte"),
        ("multiple_choice", Sample(id="1", input="?", target=0, choices=("a",)), "1 choices"),
        ("multiple_choice", Sample(id="1", input="?", target=2, choices=("a", "b")), "no index"),
        ("multiple_choice", Sample(id="1", input="?", target=0, choices=("a", "a")), "alike"),
    ],
)
def test_unfit_samples_are_refused_with_the_reason(kind: str, sample: Sample, why: str):
    with pytest.raises(DataError, match=why):
        one(kind, sample)


def test_no_samples_twice_an_id_no_cluster():
    with pytest.raises(DataError, match="no sample"):
        Task(name="t", kind="bits_per_byte", samples=())
    with pytest.raises(DataError, match="two samples have the id 'text-000'"):
        Task(name="t", kind="bits_per_byte", samples=texts(1) * 2)
    with pytest.raises(DataError, match=r"no cluster. Found: half, ten. Expected: metadata 'mod"):
        Task(name="t", kind="bits_per_byte", samples=texts(2), cluster="module")


# --- rows and guards ----------------------------------------------------------------------------


def test_rows_become_samples_and_the_rest_is_counted():
    rows = [
        Example(id="a", prompt="?", response="yes"),
        Example(id="b", prompt="?", response=""),
        Feedback(id="c", prompt="?", response="x", desirable=True),
        Example(id="a", prompt="!", response="no"),
        Ranking(id="d", prompt="?", responses=("best", "worst")),
    ]
    kept, dropped = fit_samples(rows, "bits_per_byte", Asking())
    assert [(s.id, s.target) for s in kept] == [("a", "yes"), ("d", "best")]
    assert [d.id for d in dropped] == ["b", "c", "a"]
    assert isinstance(to_sample(rows[2], "bits_per_byte"), Dropped)
    ranked = to_sample(rows[4], "multiple_choice")
    assert (ranked.choices, ranked.target) == (("best", "worst"), 0)
    assert to_sample(Document(id="x", text="t"), "text_bits_per_byte").target == "t"


def test_solved_examples_are_never_judged_and_do_not_depend_on_the_limit():
    samples = texts(20)
    shots, judged = choose(samples, shots=3, limit=None, seed=1, name="t")
    again, fewer = choose(samples, shots=3, limit=5, seed=1, name="t")
    assert again == shots
    assert len(judged) == 17
    assert not {s.id for s in shots} & {s.id for s in judged}
    assert len(fewer) == 5
    assert list(judged) == sorted(judged, key=lambda s: s.id)


@pytest.mark.parametrize("name", GUARDS)
def test_guard_suite_is_fit_unique_and_the_same_everywhere(name: str):
    rows = guard_rows(name)
    samples, dropped = fit_samples(rows, GUARDS[name], Asking())
    assert not dropped
    pinned = {"general_text": "46f4c809c098b90a", "choices": "a83a9b795833ae9c"}
    text = "\n".join(f"{s.id}|{s.input}|{s.target}|{s.choices}" for s in samples)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == pinned[name]


def test_general_text_has_sixty_passages_of_sixty_to_a_hundred_and_twenty_words():
    sizes = [len(document.text.split()) for document in general_text()]
    assert len(sizes) == 60
    assert min(sizes) >= 60
    assert max(sizes) <= 120


def test_choices_have_four_each_in_all_places_and_enough_templates():
    samples = guard_rows("choices")
    assert len(samples) >= 200
    assert {len(sample.choices) for sample in samples} == {4}
    counts = np.bincount([sample.target for sample in samples])
    assert counts.min() > len(samples) / 4 * 0.7
    assert len({sample.metadata["template"] for sample in samples}) >= 25
    assert len({sample.input for sample in samples}) == len(samples)


def test_unknown_guard():
    with pytest.raises(UsageError, match="did you mean 'choices'"):
        guard_rows("choises")
