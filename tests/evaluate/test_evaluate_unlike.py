"""Unlike with unlike: refused field by field, allowed on purpose, and then stated."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from judge_toys import Saying, Scripted, choices, docs, per_byte, quiet

from togi.errors import DataError, UsageError
from togi.evaluate.asking import TaskKind
from togi.evaluate.judge import judge
from togi.evaluate.kinds import TASK_KINDS
from togi.evaluate.scores import rescore
from togi.evaluate.settings import JudgeSettings, VerdictSettings
from togi.evaluate.steps import _apart
from togi.evaluate.verdict import Judged, Rule, verdict
from togi.stats import minimum_detectable_effect


@dataclass
class InFormat(Scripted):
    """A scripted model that tells the number format of its weights."""

    dtype: str = "float32"

    def __post_init__(self) -> None:
        self.model = SimpleNamespace(dtype=f"torch.{self.dtype}")


class Served(Scripted):
    """The same numbers by another engine."""


RULE = Rule(baseline="base", candidate="tuned", primary="docs")
BETTER, WORSE = per_byte(1.1, 0.1), per_byte(1.4, 0.11)


def pair(folder: Path, base, tuned, tasks=None, **options):
    """Judge the two apart and hold the one against the other."""
    one, two = tasks or ([docs()], [docs()])
    judge({"base": base}, one, folder / "a", say=quiet)
    judge({"tuned": tuned}, two, folder / "b", say=quiet)
    return Judged(folder / "b", folder / "a", **options)


def test_another_dtype_is_refused_and_named(tmp_path: Path):
    tuned = InFormat(BETTER, fingerprint="f1", dtype="bfloat16")
    found = pair(tmp_path, InFormat(WORSE), tuned)
    with pytest.raises(DataError, match=r"dtype: bfloat16 and float32.*unlike: \[dtype\]"):
        verdict(found, RULE)


def test_another_backend_is_refused_and_each_field_is_shown(tmp_path: Path):
    found = pair(tmp_path, InFormat(WORSE), Served(BETTER, fingerprint="f1"))
    with pytest.raises(DataError, match="backend: Served and InFormat; dtype: not told and float"):
        verdict(found, RULE)
    some = Judged(tmp_path / "b", tmp_path / "a", unlike=["backend"])
    with pytest.raises(DataError, match=r"unlike: \[backend, dtype\]"):
        verdict(some, RULE)


def test_what_is_allowed_is_compared_and_stated(tmp_path: Path):
    tuned = InFormat(BETTER, fingerprint="f1", dtype="bfloat16")
    told = verdict(pair(tmp_path, InFormat(WORSE), tuned, unlike=["dtype"]), RULE)
    assert told["decision"] == "accept"
    said = (
        "tuned and base were compared on docs although they differ in dtype: bfloat16 and float32."
    )
    assert told["unlike"] == [said]
    assert said in told["reasons"]


def test_shots_are_refused_or_allowed_by_name(tmp_path: Path):
    plain = docs(20)
    shown = replace(plain, shots=plain.samples[:2], samples=plain.samples[2:])
    none = replace(plain, samples=plain.samples[2:])
    flat = Scripted(WORSE)
    with pytest.raises(DataError, match=r"shots: 2 of .* and 0 of"):
        pair(tmp_path, flat, flat, ([none], [shown]))
    found = Judged(tmp_path / "b", tmp_path / "a", unlike=["shots"])
    assert "differ in shots" in verdict(found, RULE)["unlike"][0]


def test_another_version_of_the_reading_is_refused(tmp_path: Path, monkeypatch):
    flat = Scripted(WORSE)
    judge({"base": flat}, [docs()], tmp_path / "a", say=quiet)
    newer: TaskKind = replace(TASK_KINDS["bits_per_byte"], version=7)
    monkeypatch.setitem(TASK_KINDS, "bits_per_byte", newer)
    judge({"tuned": flat}, [docs()], tmp_path / "b", say=quiet)
    with pytest.raises(DataError, match=r"version: 7 and \d"):
        Judged(tmp_path / "b", tmp_path / "a")


def test_edited_samples_under_the_same_ids_are_refused(tmp_path: Path):
    task = choices(12)
    edited = replace(task.samples[3], choices=("right", "wrong1", "another wrong one"))
    other = replace(task, samples=(*task.samples[:3], edited, *task.samples[4:]))
    flat = Scripted(lambda *_: -1.0)
    found = pair(tmp_path, flat, flat, ([task], [other]))
    rule = replace(RULE, primary="choices")
    with pytest.raises(DataError, match=r"under the same ids.*1 of 12 \(choices-3\)"):
        verdict(found, rule)


def test_one_judging_leaves_out_unlike_pairs_and_says_so(tmp_path: Path):
    models = {
        "base": InFormat(WORSE),
        "half": InFormat(BETTER, fingerprint="f1", dtype="bfloat16"),
        "tuned": InFormat(BETTER, fingerprint="f2"),
    }
    scores = judge(models, [docs()], tmp_path, say=quiet)
    assert [one["after"] for one in scores["differences"]] == ["tuned"]
    assert scores["scores"]["half"]["docs"]["bits_per_byte"]["n"] == 40
    (note,) = _apart(scores["unlike"]["pairs"])
    assert note == (
        "half and base were not compared: they differ in dtype: bfloat16 and float32 "
        "(unlike: [dtype])"
    )
    stored = json.loads((tmp_path / "scores.json").read_text())
    again = rescore(tmp_path)
    assert again["differences"] == stored["differences"]
    both = judge(models, [docs()], tmp_path, unlike=["dtype"], say=quiet)
    assert [one["after"] for one in both["differences"]] == ["half", "tuned"]
    assert "although they differ in dtype" in _apart(both["unlike"]["pairs"])[0]


def test_misspelt_allowances_are_refused():
    with pytest.raises(UsageError, match="did you mean 'dtype'"):
        JudgeSettings.model_validate(
            {"models": {"base": "base"}, "unlike": ["dtpye"],
             "tasks": [{"name": "t", "guard": "choices"}]}
        )  # fmt: skip
    told = VerdictSettings(scores="j", baseline="a", candidate="b", primary="t", unlike=["shots"])
    assert told.unlike == ["shots"]


# --- the minimum detectable effect beside every paired comparison -------------------------------


def test_each_difference_tells_what_it_could_have_shown(tmp_path: Path):
    models = {"base": Scripted(WORSE), "tuned": Scripted(BETTER, fingerprint="f1")}
    tasks = [docs(), docs(30, "more")]
    for one in judge(models, tasks, tmp_path, say=quiet)["differences"]:
        # two differences in the family: 2.5 % each
        right = minimum_detectable_effect(one["sd"], one["estimate"]["n"], 0.025, 0.8)
        assert one["minimum_detectable"] == pytest.approx(right)


def test_equal_differences_and_a_single_item_tell_nothing(tmp_path: Path):
    flat = {"base": Scripted(per_byte(1.4)), "tuned": Scripted(per_byte(1.4), fingerprint="f1")}
    (equal,) = judge(flat, [docs()], tmp_path / "a", say=quiet)["differences"]
    (single,) = judge(flat, [docs(1)], tmp_path / "b", say=quiet)["differences"]
    assert equal["minimum_detectable"] is None is single["minimum_detectable"]
    assert single["estimate"]["low"] is None is single["better"]


def test_the_verdict_tells_it_at_the_corrected_level(tmp_path: Path):
    models = {"base": Scripted(WORSE), "tuned": Scripted(BETTER, fingerprint="f1")}
    judge(models, [docs(), docs(40, "guard")], tmp_path, say=quiet)
    told = verdict(Judged(tmp_path), replace(RULE, guards={"guard": 0.5}))
    for one in (told["primary"], *told["guards"]):
        level = one["estimate"]["level"]
        sd = next(
            d["sd"]
            for d in json.loads((tmp_path / "scores.json").read_text())["differences"]
            if d["task"] == one["task"]
        )
        right = minimum_detectable_effect(sd, one["n"], 1 - level, 0.8)
        assert one["minimum_detectable"] == pytest.approx(right)


def test_a_model_that_only_talks_is_no_other_engine(tmp_path: Path):
    talkers = {"a": Saying(lambda _: "x"), "b": Saying(lambda _: "y", fingerprint="s1")}
    task = replace(docs(5), kind="exact_match")
    assert judge(talkers, [task], tmp_path, say=quiet)["unlike"]["pairs"] == []
