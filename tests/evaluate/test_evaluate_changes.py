"""What changed: divergence by hand and against enumeration, resuming, costs, what is unknown."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_toys import Saying, choices, docs, quiet

from togi.errors import DataError, UsageError
from togi.evaluate.answers import REFUSALS, distinct, refusal_like
from togi.evaluate.asking import Asking
from togi.evaluate.changes import changes, rescore, why_unknown
from togi.evaluate.costs import chain_of, cost_of
from togi.evaluate.drift import Drift, divergence, drift
from togi.evaluate.judge import Opener
from togi.evaluate.ledger import read_lines
from togi.evaluate.quality import judged_quality, quality_of
from togi.evaluate.tasks import Task
from togi.lm.base import Sampling, Scored
from togi.lm.drawn import score_ids, vocabulary
from togi.lm.exact import END, ExactModel
from togi.rows.types import Message, Prompt, Sample


def prompts(n: int, *, draws: int = 1, max_tokens: int = 6, cluster: str = "") -> Task:
    samples = tuple(
        Sample(id=f"p{i:04}", input=f"{i}:", target="ab", metadata={"ten": str(i // 10)})
        for i in range(n)
    )
    sampling = Sampling(max_tokens=max_tokens, n=draws, seed=7)
    asking = Asking(sampling=sampling)
    return Task(name="answers", kind="answer", samples=samples, asking=asking, cluster=cluster)


def table(a: float, b: float, name: str) -> ExactModel:
    """A model over two letters and the end, with a little memory."""
    rows = {"": {"a": a, "b": b, "": 1 - a - b}, "a": {"a": b, "b": a, "": 1 - a - b}}
    return ExactModel.from_table(rows, name=name)


BASE, TUNED = table(0.4, 0.3, "base"), table(0.6, 0.1, "tuned")


def enumerated(tuned: ExactModel, base: ExactModel, prompt: Prompt, longest: int) -> float:
    """KL(tuned ‖ base) of answers of at most so many tokens, over every one of them."""
    total = 0.0
    for size in range(1, longest + 1):
        for ids in itertools.product((ord("a"), ord("b"), END), repeat=size):
            ended = ids[-1] == END
            if END in ids[:-1] or (not ended and size < longest):
                continue
            one, two = tuned.score_ids(prompt, ids), base.score_ids(prompt, ids)
            total += math.exp(one.total) * (one.total - two.total)
    return total


# --- the divergence -------------------------------------------------------------------------------


def test_drift_by_hand():
    # token 1: ½ against ¼; token 2: ¼ against ½
    tuned, base = [math.log(0.5), math.log(0.25)], [math.log(0.25), math.log(0.5)]
    found = drift(tuned, base)
    assert found.k1 == pytest.approx(0)
    assert found.k3 == pytest.approx((0.5 - 1 + math.log(2)) + (2 - 1 - math.log(2)))
    assert found.tokens == 2


@given(st.lists(st.tuples(st.floats(-20, 0), st.floats(-20, 0)), min_size=1, max_size=8))
def test_k3_is_never_negative_and_zero_for_oneself(pairs: list[tuple[float, float]]):
    tuned, base = (list(side) for side in zip(*pairs, strict=True))
    assert drift(tuned, base).k3 >= 0
    assert drift(tuned, tuned) == Drift(0.0, 0.0, len(tuned))
    turned = drift(base, tuned)
    assert turned.k1 == pytest.approx(-drift(tuned, base).k1)


def test_an_impossible_token_makes_the_divergence_unknown_and_not_zero():
    found = drift([-1.0, -1.0], [-1.0, None])
    assert math.isnan(found.k1)
    assert math.isnan(found.k3)
    with pytest.raises(DataError, match=r"other tokens under the base\. Found: 2 and 1"):
        drift([-1.0, -1.0], [-1.0])


@pytest.mark.parametrize("longest", [1, 4])
def test_the_estimate_converges_to_the_enumerated_divergence(tmp_path: Path, longest: int):
    task = prompts(1500, draws=2, max_tokens=longest)
    models = {"base": BASE, "tuned": TUNED}
    found = changes(models, task, [], tmp_path, say=quiet)["kl"]["tuned"]
    truth = enumerated(TUNED, BASE, "1:", longest)
    assert truth > 0.05
    for name in ("kl_answer", "kl_answer_k3"):
        estimate = found[name]
        assert estimate["n"] == 1500
        half = (estimate["high"] - estimate["low"]) / 2
        assert half < 0.1 * truth + 0.02
        assert abs(estimate["mean"] - truth) < 2 * half
    # a token's is the answer's over the mean length
    lines = [x for x in read_lines(tmp_path / "samples.jsonl")[0] if x["task"][:4] == "like"]
    length = np.mean([line["measures"]["tokens"] for line in lines])
    assert found["kl_token"]["mean"] * length == pytest.approx(found["kl_answer"]["mean"])


def test_the_divergence_by_hand_from_the_lines(tmp_path: Path):
    task = prompts(5, draws=2)
    found = changes({"base": BASE, "tuned": TUNED}, task, [], tmp_path, say=quiet)
    answers = [
        line for line in read_lines(tmp_path / "samples.jsonl")[0]
        if (line["model"], line["task"]) == ("tuned", "answers")
    ]  # fmt: skip
    gaps = [
        TUNED.score_ids(line["input"], ids).total - BASE.score_ids(line["input"], ids).total
        for line in answers
        for ids in line["detail"]["ids"]
    ]
    assert len(gaps) == 10
    assert found["kl"]["tuned"]["kl_answer"]["mean"] == pytest.approx(np.mean(gaps), abs=1e-5)


def test_a_model_has_not_moved_from_itself(tmp_path: Path):
    models = {"base": BASE, "same": table(0.4, 0.3, "same")}
    responses = Task(name="responses", kind="bits_per_byte", samples=prompts(40).samples)
    found = changes(models, prompts(40), [responses], tmp_path, say=quiet)
    for name in ("kl_answer", "kl_token", "kl_answer_k3", "kl_token_k3"):
        assert (found["kl"]["same"][name]["mean"], found["kl"]["same"][name]["high"]) == (0, 0)
    # None where no answer has two words
    means = {entry["measure"]: entry["estimate"]["mean"] for entry in found["differences"]}
    assert (means["bits_per_byte"], means["words"], means["ended"]) == (0, 0, 0)
    assert set(means.values()) <= {0, None}


def test_clusters_of_prompts_are_the_units(tmp_path: Path):
    task = prompts(40, cluster="ten")
    found = changes({"base": BASE, "tuned": TUNED}, task, [], tmp_path, say=quiet)
    assert found["kl"]["tuned"]["kl_answer"]["n"] == 4
    assert found["scores"]["base"]["answers"]["words"]["n"] == 4


def test_conversations_are_scored_to_the_end_of_the_turn():
    talk = (Message("user", "?"),)
    (ended,) = BASE.generate([talk], Sampling(max_tokens=30, seed=1))[0]
    assert ended.token_ids[-1] == END
    (by_text,) = BASE.score([talk], [ended.text])
    (by_ids,) = score_ids(BASE, [talk], [ended.token_ids])
    np.testing.assert_array_equal(by_text.logprobs, by_ids.logprobs)
    np.testing.assert_allclose(by_ids.logprobs, ended.logprobs, atol=1e-6)


# --- answers --------------------------------------------------------------------------------------


def test_lengths_and_endings_by_hand(tmp_path: Path):
    said = {"base": "yes it is so", "tuned": "I cannot say. I cannot say."}
    models = {
        name: replace(Saying(lambda _, t=text: t), fingerprint=name) for name, text in said.items()
    }
    models["tuned"].finish = "length"
    found = changes(models, prompts(30), [], tmp_path, say=quiet)
    by_measure = {entry["measure"]: entry for entry in found["differences"]}
    means = {name: entry["estimate"]["mean"] for name, entry in by_measure.items()}
    # "I cannot say." twice: 3 of 6 words are different, and 3 of its 5 pairs
    assert means == {
        "words": 2, "ended": -1, "refusal_like": 1, "distinct_1": 0.5 - 1, "distinct_2": 0.6 - 1,
    }  # fmt: skip
    assert {entry["better"] for entry in by_measure.values()} == {None}
    assert by_measure["words"]["estimate"]["n"] == 30


@pytest.mark.parametrize("opening", REFUSALS)
def test_each_opening_is_seen_with_any_apostrophe_and_mark(opening: str):
    text = opening.capitalize().replace("'", "’")
    assert refusal_like(f"  **{text}** do that.")
    assert not refusal_like(f"Certainly. {text}")
    assert not refusal_like("")


def test_distinct_runs():
    assert distinct(["a", "b", "c"], 2) == 1
    assert math.isnan(distinct(["a"], 2))
    assert math.isnan(distinct([], 1))


# --- what is unknown ------------------------------------------------------------------------------


def test_an_endpoints_divergence_is_unknown_and_not_zero(tmp_path: Path):
    served = Saying(lambda _: "ab", name="served", fingerprint="served")
    found = changes({"base": BASE, "served": served}, prompts(4), [], tmp_path, say=quiet)
    kl = found["kl"]["served"]
    assert kl["kl_answer"] == {"mean": None, "low": None, "high": None, "n": 0, "level": 0.95}
    assert "served by an endpoint" in kl["unknown"]
    found = changes({"served": served, "tuned": TUNED}, prompts(4), [], tmp_path / "b", say=quiet)
    assert found["kl"]["tuned"]["kl_answer"]["mean"] is None
    assert "the base is served by an endpoint" in found["kl"]["tuned"]["unknown"]
    assert vocabulary(served) == ""
    with pytest.raises(TypeError, match="takes no token ids"):
        score_ids(served, ["?"], [(1,)])


def test_other_vocabularies_cannot_be_compared():
    assert why_unknown({"vocabulary": "a"}, {"vocabulary": "a"}) == ""
    assert "different vocabularies" in why_unknown({"vocabulary": "a"}, {"vocabulary": "b"})


def test_the_divergence_of_a_forbidden_answer_is_left_out_and_counted(tmp_path: Path):
    strict = ExactModel.from_table({"": {"a": 0.7, "": 0.3}}, name="strict")
    found = changes({"base": strict, "tuned": TUNED}, prompts(60), [], tmp_path, say=quiet)
    lines = read_lines(tmp_path / "samples.jsonl")[0]
    own = [x for x in lines if x["task"] == "answers" and x["model"] == "tuned"]
    possible = sum("b" not in line["answer"] for line in own)
    assert 0 < possible < 60
    assert found["kl"]["tuned"]["kl_answer"]["n"] == possible


# --- files and resuming ---------------------------------------------------------------------------


class FailingExact(ExactModel):
    """An exact model that goes away after so many calls."""

    left = 1_000_000

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling):
        self.left -= 1
        if self.left < 0:
            raise ConnectionError("the model went away")
        return super().generate(prompts, sampling)

    def score_ids(self, context: Prompt, tokens: Sequence[int]) -> Scored:
        self.left -= 1
        if self.left < 0:
            raise ConnectionError("the model went away")
        return super().score_ids(context, tokens)


def failing(model: ExactModel, after: int) -> FailingExact:
    rows = {key: row for key, row in model._rows.items() if key}
    found = FailingExact({b"": model._rows[b""], **rows}, name=model.name)
    found.left = after
    return found


@pytest.mark.parametrize(("which", "after"), [("tuned", 1), ("tuned", 5), ("base", 2), ("base", 9)])
def test_interrupted_and_resumed_equals_straight(tmp_path: Path, which: str, after: int):
    models = {"base": BASE, "tuned": TUNED}
    task, guard = prompts(12), choices(6)
    changes(models, task, [guard], tmp_path / "straight", say=quiet)
    broken = {**models, which: failing(models[which], after)}
    with pytest.raises(ConnectionError):
        changes(broken, task, [guard], tmp_path / "cut", chunk=4, say=quiet)
    changes(models, task, [guard], tmp_path / "cut", chunk=5, say=quiet)
    for name in ("samples.jsonl", "changes.json"):
        left, right = (tmp_path / folder / name for folder in ("straight", "cut"))
        assert left.read_bytes() == right.read_bytes()


def test_each_model_is_opened_once_and_a_finished_one_never_again(tmp_path: Path):
    opened: list[str] = []

    def opener(model: ExactModel) -> Opener:
        return Opener(model.name, lambda: (opened.append(model.name), model)[1])

    third = table(0.2, 0.2, "third")
    models = {model.name: opener(model) for model in (BASE, TUNED, third)}
    changes(models, prompts(6), [choices(4)], tmp_path, say=quiet)
    assert opened == ["tuned", "third", "base"]
    before = (tmp_path / "changes.json").read_bytes()
    changes(models, prompts(6), [choices(4)], tmp_path, say=quiet)
    assert opened == ["tuned", "third", "base"]
    assert (tmp_path / "changes.json").read_bytes() == before


def test_scores_are_computed_from_the_lines_alone(tmp_path: Path):
    models = {"base": BASE, "tuned": TUNED}
    found = changes(
        models, prompts(12, cluster="ten"), [replace(docs(8), name="responses")], tmp_path,
        more={"costs": {}}, seed=5, say=quiet,
    )  # fmt: skip
    again, written = rescore(tmp_path), orjson.loads((tmp_path / "changes.json").read_bytes())
    assert {key: written[key] for key in again} == again
    assert found["quality"]["measure"] == "bits_per_byte"
    assert (written["kl"], written["costs"]) == (found["kl"], {})
    with pytest.raises(DataError, match="nothing was compared here"):
        rescore(tmp_path / "none")


def test_only_whole_distributions_are_drawn_from(tmp_path: Path):
    models = {"base": BASE, "tuned": TUNED}
    for change in ({"temperature": 0.0}, {"top_p": 0.9}, {"top_k": 5}, {"stop": ("x",)}):
        task = prompts(3)
        sampling = replace(task.asking.sampling, **change)
        with pytest.raises(UsageError, match="Expected: temperature 1"):
            changes(models, replace(task, asking=Asking(sampling=sampling)), [], tmp_path)
    with pytest.raises(UsageError, match="a base and at least one tuned model"):
        changes({"base": BASE}, prompts(3), [], tmp_path)


def test_lines_of_other_samples_are_not_compared(tmp_path: Path):
    changes({"base": BASE, "tuned": TUNED}, prompts(3), [], tmp_path, say=quiet)
    lines = [x for x in read_lines(tmp_path / "samples.jsonl")[0] if x["task"][:4] == "like"]
    tuned, base = ([x for x in lines if x["model"] == name] for name in ("tuned", "base"))
    assert divergence(tuned, base).answer.n == 3
    with pytest.raises(DataError, match="the two models scored different samples"):
        divergence(tuned, base[:2])


# --- quality and cost -----------------------------------------------------------------------------


def test_quality_is_found_by_task_and_measure(tmp_path: Path):
    from judge_toys import Scripted, per_byte

    from togi.evaluate.judge import judge

    models = {
        "base": Scripted(per_byte(1.4, 0.1), fingerprint="a"),
        "sft": Scripted(per_byte(1.1, 0.1), fingerprint="b"),
        "dpo": Scripted(per_byte(1.2, 0.1), fingerprint="c"),
    }
    scores = judge(models, [docs(20)], tmp_path, comparisons=[("sft", "base")], say=quiet)
    found = judged_quality(tmp_path, "docs", ["base", "sft", "dpo"])
    assert (found["measure"], found["unit"], found["higher_is_better"]) == (
        "bits_per_byte", "bits per byte", False,
    )  # fmt: skip
    assert found["differences"]["sft"] == scores["differences"][0]["estimate"]
    assert found["differences"]["dpo"]["mean"] == pytest.approx(-0.2, abs=0.03)
    assert judged_quality(tmp_path, "docs.bits_per_byte", ["base", "sft"])["task"] == "docs"
    with pytest.raises(UsageError, match="did you mean 'docs'"):
        judged_quality(tmp_path, "dosc", ["base", "sft"])
    with pytest.raises(UsageError, match="no measure 'bits'"):
        quality_of(scores["tasks"], [], "docs.bits")
    with pytest.raises(UsageError, match="no model 'ppo'"):
        judged_quality(tmp_path, "docs", ["base", "ppo"])


def training(folder: Path, *, start: Path | None = None, **told: object) -> Path:
    folder.mkdir(parents=True)
    whole = {"tokens": 100, "seconds": 2.5, "steps": 4, "trained_parameters": 7, "objective": "x"}
    (folder / "train.json").write_text(json.dumps({**whole, **told}))
    lines = [{"step": n, "memory_mb": 10.0 * n} for n in (1, 3, 2)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    mark = {"settings": {"start": None}, "inputs": {}}
    if start:
        adapter = str(start / "adapter")
        mark = {"settings": {"start": "first"}, "inputs": {"first": {"adapter": adapter}}}
    (folder / "step.json").write_text(json.dumps(mark))
    return folder


def test_costs_of_a_chain_add_up_and_memory_does_not(tmp_path: Path):
    first = training(tmp_path / "sft-0a", tokens=1000, trained_parameters=3)
    second = training(tmp_path / "dpo-0b", start=first)
    assert chain_of(second) == [first, second]
    assert chain_of(first) == [first]
    found = cost_of(chain_of(second))
    assert found["trainings"] == ["sft", "dpo"]
    assert (found["tokens"], found["seconds"], found["steps"]) == (1100, 5.0, 8)
    assert (found["memory_mb"], found["trained_parameters"]) == (30.0, 7)


def test_an_adapter_from_another_run_leads_to_its_training(tmp_path: Path):
    first = training(tmp_path / "there" / "sft-0a")
    given = tmp_path / "adapter-0b"
    given.mkdir()
    for source, found in ((first / "adapter", [first]), (tmp_path / "gone" / "adapter", [given])):
        (given / "step.json").write_text(json.dumps({"settings": {"source": str(source)}}))
        assert chain_of(given) == found


def test_a_cost_that_nobody_told_is_unknown_and_not_zero(tmp_path: Path):
    first = training(tmp_path / "sft-0a")
    given = tmp_path / "adapter-0c"
    given.mkdir()
    found = cost_of([given, first])
    assert (found["tokens"], found["seconds"], found["memory_mb"]) == (None, None, None)
    assert found["trained_parameters"] == 7
    assert cost_of([])["seconds"] is None
