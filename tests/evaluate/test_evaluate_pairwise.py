"""Pairwise judging: by hand, both orders, nothing asked twice, rules and written verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judge_toys import Saying, Scripted, quiet

from togi.errors import DataError, UsageError
from togi.evaluate.asking import Asking
from togi.evaluate.judge import Opener
from togi.evaluate.ledger import read_lines
from togi.evaluate.pairwise import LanguageJudge, compare, every_pair
from togi.evaluate.pairwise_scores import rescore
from togi.evaluate.rules import RULES, Pair, is_rule, rule_of
from togi.evaluate.tasks import Task
from togi.evaluate.verdicts import credit_of, parse_verdict, verdict_prompt
from togi.lm.base import Generated, Sampling
from togi.lm.exact import ExactModel
from togi.rows.types import Message, Prompt, Sample


def prompts(n: int, **more) -> Task:
    samples = tuple(
        Sample(id=f"p{i:03}", input=f"Say {i}", target=f"word {i}", metadata={"tens": str(i // 10)})
        for i in range(n)
    )
    return Task(name="answers", kind="answer", samples=samples, asking=Asking(), **more)


def number(prompt: Prompt) -> int:
    return int(str(prompt).split()[-1])


def saying(name: str, size) -> Saying:
    """A model whose answer to the prompt of a number has `size(number)` words."""
    return Saying(lambda p: " ".join(["word"] * size(number(p))), name=name, fingerprint=name)


MODELS = {
    "base": saying("base", lambda i: 5),
    "tuned": saying("tuned", lambda i: 3 if i % 4 else 8),
    "third": saying("third", lambda i: 2 + i % 6),
}
TWO = {name: MODELS[name] for name in ("base", "tuned")}


def letter_of(choose):
    """A judge's log-probabilities: `choose` names the letter for the question."""

    def logprob(context: Prompt, text: str) -> float:
        return -0.1 if text.strip() == choose(context) else -3.0

    return logprob


def body(context: Prompt) -> str:
    return context if isinstance(context, str) else context[0].content


def shorter_letter(context: Prompt) -> str:
    parts = body(context)
    first = parts.split("<answer A>\n")[1].split("\n</answer A>")[0]
    second = parts.split("<answer B>\n")[1].split("\n</answer B>")[0]
    return "C" if len(first) == len(second) else "A" if len(first) < len(second) else "B"


def judge_by(choose, fingerprint: str = "j", **more) -> LanguageJudge:
    return LanguageJudge(model=Scripted(letter_of(choose), fingerprint=fingerprint), **more)


# --- numbers --------------------------------------------------------------------------------------


def test_win_rate_by_hand(tmp_path: Path):
    scores = compare(TWO, {"short": RULES["shorter"]}, prompts(40), tmp_path, say=quiet)
    (found,) = scores["results"]
    # 3 words against 5 on three prompts of four
    assert (found["after"], found["before"]) == ("tuned", "base")
    assert (found["wins"], found["ties"], found["losses"], found["n"]) == (30, 0, 10, 40)
    assert found["win_rate"]["mean"] == 0.75
    assert found["better"] is True
    assert found["inconsistent"]["mean"] == 0
    assert found["longer"]["mean"] == 0
    assert scores == orjson.loads((tmp_path / "scores.json").read_bytes())


def test_a_language_judge_that_counts_letters_is_the_rule(tmp_path: Path):
    judges = {"rule": RULES["shorter"], "model": judge_by(shorter_letter)}
    scores = compare(MODELS, judges, prompts(30), tmp_path, say=quiet)
    by_judge = {
        judge: [
            (one["after"], one["win_rate"], one["position_bias"], one["wins"], one["p_value"])
            for one in scores["results"]
            if one["judge"] == judge
        ]
        for judge in judges
    }
    assert by_judge["rule"] == by_judge["model"]
    (found,) = scores["agreement"]
    assert found["judges"] == ["rule", "model"]
    assert (found["agreement"]["mean"], found["kappa"]["mean"]) == (1, 1)
    # the same prompts in three comparisons are 30 units, not 90
    assert found["agreement"]["n"] == 30


def test_a_judge_that_always_says_the_first(tmp_path: Path):
    judges = {"first": judge_by(lambda _: "A")}
    scores = compare(TWO, judges, prompts(40), tmp_path, say=quiet)
    (found,) = scores["results"]
    assert (found["win_rate"]["mean"], found["position_bias"]["mean"]) == (0.5, 0.5)
    assert (found["inconsistent"]["mean"], found["better"]) == (1, None)
    assert found["minimum_detectable"] is None


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_both_orders_cancel_a_bias_for_the_first_exactly(tmp_path: Path, share: float):
    """On some prompts the judge says A whatever stands there; those count as ties."""

    def fooled(context: Prompt) -> bool:
        return int(body(context).split("Say ")[1].split("\n")[0]) < 40 * share

    def choose(context: Prompt) -> str:
        return "A" if fooled(context) else shorter_letter(context)

    scores = compare(TWO, {"j": judge_by(choose)}, prompts(40), tmp_path, say=quiet)
    (found,) = scores["results"]
    numbers = np.arange(40)
    expected = np.where(numbers < 40 * share, 0.5, numbers % 4 > 0).mean()
    assert found["win_rate"]["mean"] == pytest.approx(expected)
    assert found["position_bias"]["mean"] == pytest.approx(share / 2)


def test_a_model_against_its_twin_is_even_whatever_the_judge(tmp_path: Path):
    twins = {"one": MODELS["third"], "two": MODELS["third"]}
    judges = {
        "fair": RULES["shorter"],
        "biased": judge_by(lambda c: "A" if len(body(c)) % 3 else "C"),
    }
    scores = compare(twins, judges, prompts(30), tmp_path, say=quiet)
    assert [one["win_rate"]["mean"] for one in scores["results"]] == [0.5, 0.5]
    assert scores["results"][0]["ties"] == 30


def test_graded_credit_by_hand(tmp_path: Path):
    table = {"A": math.log(0.5), "B": math.log(0.3), "C": math.log(0.2)}
    judge = LanguageJudge(model=Scripted(lambda _, text: table[text.strip()]))
    scores = compare(TWO, {"j": judge}, prompts(6), tmp_path, say=quiet)
    line = next(x for x in read_lines(tmp_path / "samples.jsonl")[0] if x["model"] == "j")
    assert line["measures"] == {"first": 1.0, "graded": pytest.approx(0.6)}
    # shown first .6 and shown second 1 − .6
    assert scores["results"][0]["graded_win_rate"]["mean"] == pytest.approx(0.5)


def test_without_ties_only_two_letters_are_scored(tmp_path: Path):
    judge = judge_by(lambda _: "A", ties=False)
    compare(TWO, {"j": judge}, prompts(3), tmp_path, say=quiet)
    assert set(judge.model.asked) == {"A", "B"}  # type: ignore[union-attr]
    assert "neither" not in body(
        verdict_prompt("?", ("x", "y"), criterion="W?", ties=False, chat=True)
    )


def test_impossible_or_unknown_letters_make_the_verdict_unknown():
    assert all(map(math.isnan, credit_of([-1.0, math.nan, -2.0], "ABC")))
    assert all(map(math.isnan, credit_of([-math.inf] * 3, "ABC")))
    assert credit_of([-math.inf, -1.0, -1.0], "ABC") == (0.25, 0.25)


def test_strengths_where_there_are_three_models(tmp_path: Path):
    scores = compare(MODELS, {"j": RULES["shorter"]}, prompts(60), tmp_path, say=quiet)
    found = {one["model"]: one["strength"] for one in scores["strengths"]}
    assert list(found) == ["tuned", "third"]
    assert found["tuned"]["low"] > 0  # shorter than the base on three prompts of four
    assert {one["over"] for one in scores["strengths"]} == {"base"}
    two = compare(TWO, {"j": RULES["shorter"]}, prompts(6), tmp_path / "two", say=quiet)
    assert two["strengths"] == []
    assert two["agreement"] == []


def test_clusters_are_the_units(tmp_path: Path):
    scores = compare(TWO, {"j": RULES["shorter"]}, prompts(40, cluster="tens"), tmp_path, say=quiet)
    (found,) = scores["results"]
    assert (found["win_rate"]["n"], found["n"]) == (4, 40)
    assert scores["answers"]["base"]["words"]["n"] == 4


def test_p_values_are_adjusted_over_all_comparisons_and_judges(tmp_path: Path):
    judges = {"s": RULES["shorter"], "l": RULES["longer"]}
    scores = compare(MODELS, judges, prompts(40), tmp_path, say=quiet)
    p = [(one["p_value"], one["p_adjusted"]) for one in scores["results"]]
    least = min(p)
    assert len(p) == 6
    assert least[1] == pytest.approx(min(1, 6 * least[0]))
    assert all(adjusted >= raw for raw, adjusted in p)


def test_a_sample_of_one_has_no_interval(tmp_path: Path):
    scores = compare(TWO, {"j": judge_by(shorter_letter)}, prompts(1), tmp_path, say=quiet)
    (found,) = scores["results"]
    assert (found["win_rate"]["low"], found["p_value"], found["better"]) == (None, None, None)
    assert found["minimum_detectable"] is None


# --- written verdicts -----------------------------------------------------------------------------


@dataclass
class Writing:
    """A judge that writes; it counts what it is asked."""

    write: object
    name: str = "writing"
    fingerprint: str = "w0"
    asked: list[Sampling] = field(default_factory=list)

    def generate(self, given: Sequence[Prompt], sampling: Sampling) -> list[list[Generated]]:
        self.asked += [sampling] * len(given)
        empty = np.zeros(0, dtype=np.float32)
        return [[Generated(self.write(p), (), empty, "stop")] for p in given]  # type: ignore[operator]


def test_written_verdicts_are_read_and_the_unread_counted(tmp_path: Path):
    def write(prompt: Prompt) -> str:
        asked = int(body(prompt).split("Say ")[1].split("\n")[0])
        return "I like both." if asked % 5 == 0 else f"Answer: {shorter_letter(prompt)}"

    judge = LanguageJudge(model=Writing(write), reads="text", max_tokens=7)  # type: ignore[arg-type]
    scores = compare(TWO, {"j": judge}, prompts(40), tmp_path, say=quiet)
    (found,) = scores["results"]
    assert found["unparsed"]["mean"] == pytest.approx(0.2)
    assert found["unparsed"]["n"] == 40
    assert (found["n"], found["dropped"]) == (32, 8)
    # of the 32 that were read, 8 are multiples of four without being multiples of five
    assert found["win_rate"]["mean"] == pytest.approx(24 / 32)
    assert {s.max_tokens for s in judge.model.asked} == {7}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A", "A"), ("b", "B"), (" C.\n", "C"), ("**B**", "B"), ("(A)", "A"), ("tie", "C"),
        ("[[A]]", "A"), ("A is short, so [[B]]", "B"), ("[[tie]]", "C"), ("[[A]] and [[A]]", "A"),
        ("Verdict: B", "B"), ("The answer is A.", "A"), ("My verdict is B because of it", "B"),
        ("Winner: **C**", "C"), ("A. Because it is short.", "A"), ("B\nIt says more.", "B"),
        ("", ""), ("A good answer", ""), ("Both are good", ""), ("[[A]] or [[B]]", ""),
        ("The answer is A good one", ""), ("Answer: A. Verdict: B", ""), ("Certainly!", ""),
        ("The choice is clear", ""), ("Answer A and answer B", ""),
    ],
)  # fmt: skip
def test_a_verdict_is_read_or_left_unknown(text: str, letter: str):
    assert parse_verdict(text) == letter
    assert parse_verdict(text, ties=False) == ("" if letter == "C" else letter)


@given(st.text(max_size=80))
def test_any_reply_has_at_most_one_verdict(text: str):
    assert parse_verdict(text) in ("", "A", "B", "C")


# --- rules ----------------------------------------------------------------------------------------


def pair(first: str, second: str, **more) -> Pair:
    return Pair(id="1", prompt="?", first=first, second=second, **more)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_fair_to_both_places_and_ties_with_itself(name: str):
    texts = ["Return it.", "returns it", "", "Return the sum of both.", "yes"]
    for one in texts:
        for two in texts:
            ends = ("stop", "length")
            here = RULES[name].credit(pair(one, two, target="YES", finishes=ends))
            there = RULES[name].credit(pair(two, one, target="YES", finishes=ends[::-1]))
            assert here + there == 1
        assert RULES[name].credit(pair(one, one, target="YES")) == 0.5


def test_rules_by_hand():
    assert RULES["longer"].credit(pair("abc", " ab ")) == 1
    assert RULES["ended"].credit(pair("a", "a", finishes=("length", "stop"))) == 0
    assert RULES["matches"].credit(pair("yes ", "no", target="Yes")) == 1
    assert RULES["docstring_format"].credit(pair("Return it.", "returns it")) == 1


OWN = '''
def kinder(prompt, first, second, target):
    """The answer that says please more often."""
    return 0.5 if first.count("please") == second.count("please") else float(
        first.count("please") > second.count("please"))

def broken(prompt, first, second, target):
    return 1 / (len(second) - len(second))

def odd(prompt, first, second, target):
    return "first"

def unsure(prompt, first, second, target):
    return None if prompt.endswith("1") else first > second

number = 3
'''


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


def test_a_users_function_judges_and_its_change_is_noticed(tmp_path: Path, own: Path):
    rule = rule_of(f"{own}:kinder")
    assert rule.definition == "The answer that says please more often."
    assert rule.credit(pair("please", "no")) == 1
    compare(TWO, {"own": rule}, prompts(3), tmp_path / "run", say=quiet)
    turned = OWN.replace('first.count("please") > second', 'first.count("please") < second')
    own.write_text(turned)  # as long as before, and in the same second
    assert rule_of(f"{own}:kinder").credit(pair("please", "no")) == 0
    assert rule_of(f"{own}:kinder").fingerprint != rule.fingerprint
    said: list[str] = []
    changed = {"own": rule_of(f"{own}:kinder")}
    compare(TWO, changed, prompts(3), tmp_path / "run", say=said.append)
    assert "own · tuned, then base: 3 samples asked" in said
    assert any("6 answers that no longer belong here" in line for line in said)


def test_what_a_rule_does_not_know_is_left_out(tmp_path: Path, own: Path):
    scores = compare(TWO, {"u": rule_of(f"{own}:unsure")}, prompts(20), tmp_path / "r", say=quiet)
    (found,) = scores["results"]
    assert (found["n"], found["dropped"]) == (18, 2)


def test_faults_of_a_users_rule_are_told(tmp_path: Path, own: Path):
    with pytest.raises(DataError, match=r"mine.py:broken, row '1'.*failed.*ZeroDivisionError"):
        rule_of(f"{own}:broken").credit(pair("a", "b"))
    with pytest.raises(DataError, match=r"makes no sense. Found: 'first'. Expected: 1 the first"):
        rule_of(f"{own}:odd").credit(pair("a", "b"))
    with pytest.raises(UsageError, match="did you mean 'kinder'"):
        rule_of(f"{own}:kindr")
    with pytest.raises(UsageError, match="the file has no function 'number'"):
        rule_of(f"{own}:number")
    with pytest.raises(UsageError, match="there is no such file"):
        rule_of(f"{tmp_path}/none.py:f")
    with pytest.raises(UsageError, match=r"did you mean 'shorter'.*file.py:function"):
        rule_of("shortr")
    (tmp_path / "bad.py").write_text("1 / 0")
    with pytest.raises(UsageError, match=r"cannot be run\. Found: ZeroDivisionError"):
        rule_of(f"{tmp_path}/bad.py:f")
    assert not is_rule("base")


# --- files and resuming ---------------------------------------------------------------------------


def test_each_model_answers_each_prompt_once_whatever_the_comparisons(tmp_path: Path):
    asked: list[str] = []

    def counted(name: str) -> Saying:
        return Saying(lambda p: (asked.append(name), "x " * (number(p) % 4))[1], fingerprint=name)

    models = {name: counted(name) for name in "abcd"}
    judges = {"s": RULES["shorter"], "l": RULES["longer"]}
    compare(models, judges, prompts(5), tmp_path, say=quiet)
    assert sorted(asked) == sorted("abcd" * 5)
    compare(models, judges, prompts(5), tmp_path, comparisons=[("d", "a")], say=quiet)
    assert len(asked) == 20


@pytest.mark.parametrize("after", [3, 20, 45, 80, 100])
def test_interrupted_and_resumed_equals_straight_and_asks_nothing_twice(tmp_path: Path, after: int):
    def judges(fail_after: int = 1_000_000):
        model = Scripted(letter_of(shorter_letter), fail_after=fail_after)
        return {"rule": RULES["longer"], "j": LanguageJudge(model=model)}

    compare(MODELS, judges(), prompts(12), tmp_path / "straight", say=quiet)
    broken = judges(after)
    with pytest.raises(ConnectionError):
        compare(MODELS, broken, prompts(12), tmp_path / "cut", chunk=4, say=quiet)
    first = broken["j"].model.asked  # type: ignore[union-attr]
    again = judges()
    compare(MODELS, again, prompts(12), tmp_path / "cut", chunk=5, say=quiet)
    assert len(first) + len(again["j"].model.asked) == 12 * 6 * 3  # type: ignore[union-attr]
    for name in ("samples.jsonl", "scores.json"):
        left, right = (tmp_path / folder / name for folder in ("straight", "cut"))
        assert left.read_bytes() == right.read_bytes()


def test_a_finished_judging_opens_no_model_again(tmp_path: Path):
    opened: list[str] = []

    def opener(name: str, model) -> Opener:
        return Opener(name, lambda: (opened.append(name), model)[1])

    models = {name: opener(name, model) for name, model in TWO.items()}
    judge = LanguageJudge(model=opener("judge", Scripted(letter_of(shorter_letter))))
    compare(models, {"j": judge}, prompts(4), tmp_path, say=quiet)
    assert opened == ["base", "tuned", "judge"]
    before = (tmp_path / "scores.json").read_bytes()
    compare(models, {"j": judge}, prompts(4), tmp_path, say=quiet)
    assert opened == ["base", "tuned", "judge"]
    assert (tmp_path / "scores.json").read_bytes() == before


def test_a_changed_answer_is_judged_again_and_an_unchanged_one_is_not(tmp_path: Path):
    judge = judge_by(shorter_letter)
    compare(TWO, {"j": judge}, prompts(10), tmp_path, say=quiet)
    other = saying("other", lambda i: 9 if i == 3 else 3 if i % 4 else 8)
    again = judge_by(shorter_letter)
    compare({**TWO, "tuned": other}, {"j": again}, prompts(10), tmp_path, say=quiet)
    assert len(again.model.asked) == 2 * 3  # type: ignore[union-attr]  # one prompt, both orders


def test_how_an_answer_ended_counts_for_a_rule(tmp_path: Path):
    cut = replace(MODELS["tuned"], finish="length")
    first = compare(TWO, {"e": RULES["ended"]}, prompts(5), tmp_path, say=quiet)
    task = replace(prompts(5), asking=Asking(sampling=Sampling(max_tokens=3, temperature=0)))
    cut.fingerprint = "cut"
    second = compare({**TWO, "tuned": cut}, {"e": RULES["ended"]}, task, tmp_path, say=quiet)
    assert (first["results"][0]["ties"], second["results"][0]["losses"]) == (5, 5)


def test_scores_are_computed_from_the_lines_alone(tmp_path: Path):
    judges = {"j": judge_by(shorter_letter), "r": RULES["longer"]}
    scores = compare(MODELS, judges, prompts(12, cluster="tens"), tmp_path, seed=3, say=quiet)
    known = {key: value for key, value in scores.items() if key not in ("judged", "judging")}
    assert rescore(tmp_path) == known


@pytest.mark.parametrize("chunk", [1, 7])
def test_chunks_change_no_byte(tmp_path: Path, chunk: int):
    models = {
        "a": ExactModel.from_text("the answer number is right or wrong1", order=2, name="a"),
        "b": ExactModel.from_text("no answer is wrong but this one", order=2, name="b"),
    }
    task = replace(prompts(9), asking=Asking(sampling=Sampling(max_tokens=12, seed=4)))
    judge = LanguageJudge(model=ExactModel.from_text("A B C A A", order=1), chat=False)
    for folder, size in (("whole", 64), ("cut", chunk)):
        compare(models, {"j": judge}, task, tmp_path / folder, chunk=size, say=quiet)
    for name in ("samples.jsonl", "scores.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


# --- words ----------------------------------------------------------------------------------------


def test_the_question_holds_all_that_is_compared():
    talk = (Message("system", "Be brief."), Message("user", "Hi {there}"))
    (turn,) = verdict_prompt(
        talk, ("<b>", "no"), criterion="Which is kinder?", ties=True, chat=True
    )
    assert turn.role == "user"
    for part in ("Which is kinder?", "system: Be brief.", "Hi {there}", "<answer A>\n<b>\n",
                 "<answer B>\nno\n", "C if neither"):  # fmt: skip
        assert part in turn.content


@settings(max_examples=30)
@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=6, unique=True))
def test_every_pair_comes_once(names: list[str]):
    found = every_pair(names)
    assert len({frozenset(two) for two in found}) == len(found) == len(names) * (len(names) - 1) / 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"comparisons": [("tuned", "bse")]}, "did you mean 'base'"),
        ({"comparisons": [("base", "base")]}, "compared with itself. Found: base"),
        ({"comparisons": [("base", "tuned"), ("tuned", "base")]}, "is compared twice"),
        ({"comparisons": []}, "at least two models and one judge"),
        ({"models": {"base": MODELS["base"]}}, "at least two models and one judge"),
        ({"judges": {}}, "at least two models and one judge"),
        ({"answers": replace(prompts(2), asking=Asking(sampling=Sampling(n=2)))}, "2 draws"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_asked(
    tmp_path: Path, change: dict, told: str
):
    whole = {"models": TWO, "judges": {"s": RULES["shorter"]}, "answers": prompts(2), **change}
    extra = {key: whole.pop(key) for key in ("comparisons",) if key in whole}
    with pytest.raises(UsageError, match=told):
        compare(**whole, folder=tmp_path / "x", say=quiet, **extra)
    assert not (tmp_path / "x").exists()
