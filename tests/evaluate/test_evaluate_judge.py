"""The judge: scores by hand, nothing asked twice, nothing lost, unlike never compared."""

from __future__ import annotations

import errno
import math
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judge_toys import Saying, Scripted, choices, docs, per_byte, quiet

from togi.errors import DataError, SurroundingsError, UsageError
from togi.evaluate.judge import Opener, judge, try_task
from togi.evaluate.ledger import read_lines
from togi.evaluate.scores import read_scores, rescore
from togi.evaluate.tasks import Task
from togi.lm.base import Sampling
from togi.lm.exact import ExactModel
from togi.rows.types import Sample


def lines_of(folder: Path) -> list[dict]:
    return read_lines(folder / "samples.jsonl")[0]


def right_where(n: int):
    """Answer the questions with a number below n rightly, the others wrongly."""

    def logprob(context, text: str) -> float:
        number = int(str(context).split()[-1].rstrip(":"))
        return -1.0 if ("right" in text) == (number < n) else -3.0

    return logprob


def test_bits_per_byte_is_the_ratio_of_sums_by_hand(tmp_path: Path):
    samples = (Sample(id="1", input="?", target="aaaa"), Sample(id="2", input="?", target="ab"))
    task = Task(name="t", kind="bits_per_byte", samples=samples)
    dice = ExactModel.from_table({"": {"a": 0.5, "b": 0.25, "": 0.25}})
    scores = judge({"dice": dice}, [task], tmp_path, say=quiet)
    found = scores["scores"]["dice"]["t"]["bits_per_byte"]
    assert found["mean"] == pytest.approx((4 + 3) / (4 + 2))
    assert found["n"] == 2
    assert scores == orjson.loads((tmp_path / "scores.json").read_bytes())


def test_difference_is_paired_signed_and_adjusted(tmp_path: Path):
    models = {
        "base": Scripted(per_byte(1.4, 0.1), fingerprint="a"),
        "better": Scripted(per_byte(1.1, 0.11), fingerprint="b"),
        "same": Scripted(per_byte(1.4, 0.1), fingerprint="c"),
    }
    scores = judge(models, [docs()], tmp_path, say=quiet)
    first, second = scores["differences"]
    assert (first["after"], first["before"], first["better"]) == ("better", "base", True)
    means = [scores["scores"][m]["docs"]["bits_per_byte"]["mean"] for m in ("better", "base")]
    assert first["estimate"]["mean"] == pytest.approx(means[0] - means[1])
    assert first["estimate"]["high"] < 0
    assert first["p_adjusted"] == pytest.approx(2 * first["p_value"])
    assert (second["estimate"]["mean"], second["better"]) == (0, None)


def test_accuracy_has_wilsons_interval_and_mcnemars_test(tmp_path: Path):
    models = {
        "base": Scripted(right_where(30), fingerprint="a"),
        "tuned": Scripted(right_where(45), fingerprint="b"),
    }
    scores = judge(models, [choices(60)], tmp_path, say=quiet)
    found = scores["scores"]["base"]["choices"]["accuracy"]
    assert found["mean"] == 0.5
    # Wilson, by hand: centre (.5 + z²/2n) / (1 + z²/n) = .5, half width z √(.25/n + z²/4n²) / (…)
    z, n = 1.959964, 60
    half = z * math.sqrt(0.25 / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert found["low"] == pytest.approx(0.5 - half, abs=1e-6)
    by_measure = {entry["measure"]: entry for entry in scores["differences"]}
    assert by_measure["accuracy"]["p_value"] == pytest.approx(2 * 0.5**15)
    assert by_measure["accuracy"]["better"] is True


def test_multiplicity_runs_over_the_declared_family_only(tmp_path: Path):
    models = {str(i): Scripted(per_byte(1.4 + i / 50, 0.1), fingerprint=f"{i}") for i in range(4)}
    tasks = [docs(20), choices(20)]
    models["0"].logprob = models["1"].logprob
    scores = judge(models, [tasks[0]], tmp_path / "a", comparisons=[("3", "0")], say=quiet)
    assert scores["differences"][0]["p_adjusted"] == scores["differences"][0]["p_value"]
    scores = judge(models, [tasks[0]], tmp_path / "b", say=quiet)
    p = {d["after"]: (d["p_value"], d["p_adjusted"]) for d in scores["differences"]}
    assert p["3"][1] >= 2 * p["3"][0]
    assert scores["comparisons"] == [["1", "0"], ["2", "0"], ["3", "0"]]


def test_clusters_are_counted_as_units(tmp_path: Path):
    model = Scripted(per_byte(1.2, 0.2))
    scores = judge({"m": model}, [docs(40, cluster="ten")], tmp_path, say=quiet)
    assert scores["scores"]["m"]["docs"]["bits_per_byte"]["n"] == 4
    assert {line["cluster"] for line in lines_of(tmp_path)} == {"0", "1", "2", "3"}


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_chunk_size_changes_no_byte_and_no_score(tmp_path: Path, chunk: int):
    tasks = [
        docs(10),
        choices(10),
        Task(
            name="drawn",
            kind="exact_match",
            samples=docs(6).samples,
            asking=replace(docs().asking, sampling=Sampling(max_tokens=5, n=2, seed=3)),
        ),
    ]
    model = ExactModel.from_text("the answer number is right or wrong1", order=2)
    judge({"m": model}, tasks, tmp_path / "whole", say=quiet)
    judge({"m": model}, tasks, tmp_path / "cut", chunk=chunk, say=quiet)
    for name in ("samples.jsonl", "scores.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


# --- resume -------------------------------------------------------------------------------------


def test_interrupted_and_resumed_equals_straight_and_asks_each_sample_once(tmp_path: Path):
    tasks = [docs(25)]
    judge({"m": Scripted(per_byte(1.3, 0.1))}, tasks, tmp_path / "straight", say=quiet)
    model = Scripted(per_byte(1.3, 0.1), fail_after=12)
    with pytest.raises(ConnectionError):
        judge({"m": model}, tasks, tmp_path / "cut", chunk=5, say=quiet)
    assert len(lines_of(tmp_path / "cut")) == 10
    model.fail_after = 1000
    judge({"m": model}, tasks, tmp_path / "cut", chunk=5, say=quiet)
    assert len(model.asked) == 25
    for name in ("samples.jsonl", "scores.json"):
        left, right = (tmp_path / folder / name for folder in ("straight", "cut"))
        assert left.read_bytes() == right.read_bytes()


def test_half_a_line_is_removed_and_its_sample_asked_again(tmp_path: Path):
    tasks = [docs(6)]
    judge({"m": Scripted(per_byte(1.3))}, tasks, tmp_path, say=quiet)
    path = tmp_path / "samples.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    (tmp_path / "scores.json").unlink()
    said: list[str] = []
    model = Scripted(per_byte(1.3))
    judge({"m": model}, tasks, tmp_path, say=said.append)
    assert len(model.asked) == 1
    assert path.read_bytes() == whole
    assert "removed half a line" in said[0]


def test_damaged_line_is_told_with_its_number(tmp_path: Path):
    judge({"m": Scripted(per_byte(1.3))}, [docs(6)], tmp_path, say=quiet)
    path = tmp_path / "samples.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"garbage\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(DataError, match=r"samples.jsonl line 3: this line is damaged.*garbage"):
        judge({"m": Scripted(per_byte(1.3))}, [docs(6)], tmp_path, say=quiet)


def test_full_disk_keeps_what_was_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    model = Scripted(per_byte(1.3))
    with pytest.raises(SurroundingsError, match="the disk is full"):
        judge({"m": model}, [docs(20)], tmp_path, chunk=4, say=quiet)
    monkeypatch.undo()
    there = len(lines_of(tmp_path))
    assert there >= 8
    again = Scripted(per_byte(1.3))
    judge({"m": again}, [docs(20)], tmp_path, say=quiet)
    assert len(again.asked) == 20 - there


def test_changed_model_or_sample_is_asked_again_and_old_answers_are_set_aside(tmp_path: Path):
    task = docs(8)
    judge({"m": Scripted(per_byte(1.3))}, [task], tmp_path, say=quiet)
    edited = replace(task.samples[0], target=" something else")
    model = Scripted(per_byte(1.3))
    task = replace(task, samples=(edited, *task.samples[1:]))
    judge({"m": model}, [task], tmp_path, say=quiet)
    assert model.asked == [" something else"]
    other = Scripted(per_byte(1.2), fingerprint="f1")
    said: list[str] = []
    judge({"m": other}, [task], tmp_path, say=said.append)
    assert len(other.asked) == 8
    assert "8 answers that no longer belong here" in said[-1]
    assert len(lines_of(tmp_path)) == 8
    assert len(read_lines(tmp_path / "samples.old.jsonl")[0]) == 9


def test_one_model_under_two_names_and_one_task_twice(tmp_path: Path):
    model = Scripted(per_byte(1.3, 0.1))
    tasks = [docs(5), replace(docs(5), name="again")]
    scores = judge({"a": model, "b": model}, tasks, tmp_path, say=quiet)
    assert len(lines_of(tmp_path)) == 20
    assert scores["scores"]["a"] == scores["scores"]["b"]
    assert [d["estimate"]["mean"] for d in scores["differences"]] == [0, 0]


@given(st.integers(0, 3000))
@settings(max_examples=30, deadline=None)
def test_cut_anywhere_and_run_again_gives_the_same_file(cut: int):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        judge({"m": Scripted(per_byte(1.3))}, [docs(6)], folder, say=quiet)
        path = folder / "samples.jsonl"
        whole = path.read_bytes()
        path.write_bytes(whole[:cut])
        judge({"m": Scripted(per_byte(1.3))}, [docs(6)], folder, chunk=2, say=quiet)
        assert path.read_bytes() == whole


def test_damaged_memory_of_models_costs_an_opening_only(tmp_path: Path):
    opened = []

    def open_it() -> Scripted:
        opened.append(1)
        return Scripted(per_byte(1.3))

    models = {"m": Opener("m", open_it)}
    judge(models, [docs(5)], tmp_path, say=quiet)
    (tmp_path / "models.json").write_text("{")
    said: list[str] = []
    judge(models, [docs(5)], tmp_path, say=said.append)
    assert len(opened) == 2
    assert "models.json is damaged" in said[0]


def test_added_model_and_task_leave_the_others_alone(tmp_path: Path):
    first = Scripted(per_byte(1.3), fingerprint="a")
    judge({"a": first}, [docs(5)], tmp_path, say=quiet)
    second = Scripted(per_byte(1.2), fingerprint="b")
    tasks = [docs(5), docs(3, "more")]
    scores = judge({"a": first, "b": second}, tasks, tmp_path, say=quiet)
    assert (len(first.asked), len(second.asked)) == (8, 8)
    assert [len(scores["scores"][m]) for m in "ab"] == [2, 2]


def test_models_are_opened_one_at_a_time_and_only_when_needed(tmp_path: Path):
    opened: list[str] = []
    alive: set[str] = set()

    class Held(Scripted):
        def __del__(self) -> None:
            alive.discard(self.name)

    def opener(name: str) -> Opener:
        def open_it() -> Held:
            assert not alive, "the model before was not closed"
            opened.append(name)
            alive.add(name)
            return Held(per_byte(1.3), name=name, fingerprint=name)

        return Opener(f"identity of {name}", open_it)

    models = {name: opener(name) for name in ("a", "b")}
    judge(models, [docs(5)], tmp_path, say=quiet)
    assert opened == ["a", "b"]
    before = (tmp_path / "scores.json").read_bytes()
    judge(models, [docs(5)], tmp_path, say=quiet)
    assert opened == ["a", "b"]
    assert (tmp_path / "scores.json").read_bytes() == before
    judge({**models, "c": opener("c")}, [docs(5)], tmp_path, say=quiet)
    assert opened == ["a", "b", "c"]


# --- unknown is not zero ------------------------------------------------------------------------


def test_unknown_likelihoods_are_null_counted_and_left_out_of_both_sides(tmp_path: Path):
    def holes(context, text: str) -> float:
        if text.endswith(" 4"):
            return math.nan
        return -math.inf if text.endswith(" 9") else per_byte(1.3, 0.1)(context, text)

    models = {
        "base": Scripted(per_byte(1.3, 0.1), fingerprint="a"),
        "holes": Scripted(holes, fingerprint="b"),
    }
    scores = judge(models, [docs(20)], tmp_path, say=quiet)
    assert scores["undefined"] == [{"model": "holes", "task": "docs", "samples": 2}]
    assert scores["scores"]["holes"]["docs"]["bits_per_byte"]["n"] == 18
    found = scores["differences"][0]
    assert (found["pairs"], found["dropped"], found["estimate"]["mean"]) == (18, 2, 0)
    assert sum(line["measures"]["nats"] is None for line in lines_of(tmp_path)) == 2


def test_too_few_samples_give_no_interval(tmp_path: Path):
    scores = judge({"m": Scripted(per_byte(1.3))}, [docs(1)], tmp_path, say=quiet)
    found = scores["scores"]["m"]["docs"]["bits_per_byte"]
    assert (found["low"], found["high"], found["n"]) == (None, None, 1)


# --- files --------------------------------------------------------------------------------------


def test_scores_are_computed_from_the_lines_alone(tmp_path: Path):
    models = {
        "base": Scripted(per_byte(1.4, 0.1), fingerprint="a"),
        "tuned": Scripted(per_byte(1.1, 0.1), fingerprint="b"),
    }
    scores = judge(models, [docs(), docs(12, "more", "ten")], tmp_path, say=quiet)
    again = rescore(tmp_path)
    assert again == {key: value for key, value in scores.items() if key != "judged"}
    with pytest.raises(DataError, match="no finished judging"):
        read_scores(tmp_path / "nowhere")


def test_files_hold_what_the_report_reads(tmp_path: Path):
    scores = judge({"m": Scripted(per_byte(1.4))}, [docs(4), choices(4)], tmp_path, say=quiet)
    task = scores["tasks"]["choices"]
    assert (task["kind"], task["primary_measure"], task["unit"]) == (
        "multiple_choice",
        "accuracy",
        "share",
    )
    assert task["higher_is_better"] is True
    assert task["n"] == 4
    assert task["card"].keys() >= {"template", "shots", "backend", "dtype"}
    assert scores["models"] == ["m"]
    keys = {"model", "task", "id", "cluster", "input", "target", "answer", "measures"}
    assert all(line.keys() >= keys for line in lines_of(tmp_path))
    assert lines_of(tmp_path)[-1]["target"] == "right"


def test_wrong_names_are_refused_before_anything_is_asked(tmp_path: Path):
    model = Scripted(per_byte(1.4), name="base")
    with pytest.raises(UsageError, match="did you mean 'base'"):
        judge({"base": model}, [docs(4)], tmp_path, comparisons=[("base", "bas")], say=quiet)
    with pytest.raises(UsageError, match="two tasks are called 'docs'"):
        judge({"base": model}, [docs(4), docs(5)], tmp_path, say=quiet)
    with pytest.raises(UsageError, match="at least one model"):
        judge({}, [docs(4)], tmp_path, say=quiet)
    assert not model.asked


def test_trying_a_task_writes_nothing():
    lines = try_task(docs(9), Scripted(per_byte(1.0)), n=2)
    assert [line["id"] for line in lines] == ["docs-000", "docs-001"]
    assert lines[0]["measures"]["nats"] / lines[0]["measures"]["bytes"] == pytest.approx(
        math.log(2), rel=1e-6
    )


def test_half_a_surrogate_pair_from_an_endpoint_does_not_stop_the_file(tmp_path: Path):
    task = Task(name="t", kind="exact_match", samples=docs(2).samples)
    judge({"m": Saying(lambda _: "odd \ud800 text")}, [task], tmp_path, say=quiet)
    assert lines_of(tmp_path)[0]["answer"] == "odd ? text"
