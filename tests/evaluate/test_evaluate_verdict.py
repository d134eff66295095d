"""The verdict: accept, reject, cannot tell; guards; other comparisons; what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from judge_toys import Scripted, choices, docs, per_byte, quiet

from togi.errors import DataError, UsageError
from togi.evaluate import steps
from togi.evaluate.asking import Asking
from togi.evaluate.guards import general_text
from togi.evaluate.judge import Opener, judge
from togi.evaluate.steps import JudgeSettings, VerdictSettings, build_task, run_judge, run_verdict
from togi.evaluate.verdict import Judged, Rule, in_words, verdict, write_verdict
from togi.lm.exact import ExactModel
from togi.rows.types import Example
from togi.rows.write import write_rows
from togi.step import Work


def model(bits: float, guard: float, spread: float = 0.1, fingerprint: str = "") -> Scripted:
    """Spend `bits` on the primary task's bytes and `guard` on those of the guard."""

    def logprob(context, text: str) -> float:
        return per_byte(guard if str(context).startswith("guard") else bits, spread)(context, text)

    return Scripted(logprob, fingerprint=fingerprint or f"{bits}-{guard}-{spread}")


def judged(folder: Path, n: int = 40, **models: Scripted) -> Judged:
    judge(models, [docs(n), docs(n, "guard")], folder, say=quiet)
    return Judged(folder)


def rule(**changes: Any) -> Rule:
    fields = {"baseline": "base", "candidate": "tuned", "primary": "docs"}
    return Rule(**{**fields, "guards": {"guard": 0.05}, **changes})


def test_accept_when_the_primary_improves_and_the_guard_holds(tmp_path: Path):
    found = judged(tmp_path, base=model(1.4, 1.0), tuned=model(1.1, 1.01, 0.11))
    told = verdict(found, rule())
    assert told["decision"] == "accept"
    assert told["sentence"].startswith("Accept tuned over base: docs")
    assert told["primary"]["better"] is True
    assert told["primary"]["required"] == 0
    assert told["primary"]["estimate"]["mean"] == pytest.approx(-0.3, abs=0.02)
    guard = told["guards"][0]
    assert (guard["task"], guard["margin"], guard["status"]) == ("guard", 0.05, "held")
    assert told["collect_more"] == 0


def test_reject_when_the_primary_gets_worse(tmp_path: Path):
    found = judged(tmp_path, base=model(1.1, 1.0), tuned=model(1.4, 1.0, 0.11))
    told = verdict(found, rule())
    assert told["decision"] == "reject"
    assert told["primary"]["better"] is False


def test_reject_when_a_guard_regresses_beyond_its_margin(tmp_path: Path):
    found = judged(tmp_path, base=model(1.4, 1.0), tuned=model(1.1, 1.2, 0.11))
    told = verdict(found, rule())
    assert told["decision"] == "reject"
    assert told["primary"]["better"] is True
    assert told["guards"][0]["status"] == "regressed"
    assert "guard" in told["sentence"]


def test_cannot_tell_on_few_noisy_samples_and_says_how_many_more(tmp_path: Path):
    found = judged(tmp_path, 6, base=model(1.30, 1.0), tuned=model(1.28, 1.0, 0.4))
    told = verdict(found, rule())
    assert told["decision"] == "cannot tell"
    assert told["primary"]["better"] is None
    assert told["collect_more"] is None or told["collect_more"] > 0
    assert told["sentence"].startswith("Cannot tell whether tuned is better than base:")


def test_unclear_guard_alone_makes_it_cannot_tell(tmp_path: Path):
    found = judged(tmp_path, 8, base=model(1.4, 1.0, 0.0), tuned=model(1.1, 1.0, 0.3))
    told = verdict(found, rule(guards={"guard": 0.001}))
    assert told["decision"] == "cannot tell"
    assert told["guards"][0]["status"] == "unclear"


def test_improvement_below_the_required_one_is_no_accept(tmp_path: Path):
    found = judged(tmp_path, base=model(1.4, 1.0), tuned=model(1.35, 1.0, 0.11))
    assert verdict(found, rule())["decision"] == "accept"
    told = verdict(found, rule(at_least=0.2))
    assert told["decision"] == "reject"
    assert told["primary"]["better"] is True
    assert told["primary"]["required"] == 0.2


def test_same_model_is_never_accepted(tmp_path: Path):
    found = judged(tmp_path, base=model(1.4, 1.0), tuned=model(1.4, 1.0, fingerprint="other"))
    told = verdict(found, rule())
    assert told["decision"] != "accept"
    assert told["primary"]["better"] is None


def test_higher_is_better_is_read_from_the_measure(tmp_path: Path):
    def answers(right: int):
        def logprob(context, text: str) -> float:
            number = int(str(context).split()[-1].rstrip(":"))
            return -1.0 if ("right" in text) == (number < right) else -3.0

        return logprob

    models = {
        "base": Scripted(answers(20), fingerprint="a"),
        "tuned": Scripted(answers(50), fingerprint="b"),
    }
    judge(models, [choices(60)], tmp_path, say=quiet)
    found = Judged(tmp_path)
    forth = rule(primary="choices", guards={})
    assert verdict(found, forth)["decision"] == "accept"
    assert verdict(found, replace(forth, primary="choices.margin"))["decision"] == "accept"
    back = replace(forth, baseline="tuned", candidate="base")
    assert verdict(found, back)["decision"] == "reject"


# --- beside the verdict -------------------------------------------------------------------------


def test_other_comparisons_are_told_plainly(tmp_path: Path):
    found = judged(
        tmp_path,
        base=model(1.4, 1.0),
        random=model(1.2, 1.0, 0.12),
        tuned=model(1.1, 1.0, 0.11),
        dpo=model(1.3, 1.0, 0.13),
        twin=model(1.1, 1.0, 0.11, "twin"),
    )
    also = (("tuned", "random"), ("dpo", "tuned"), ("twin", "tuned"))
    told = verdict(found, rule(also=also))["also"]
    assert [entry["better"] for entry in told] == [True, False, None]
    assert told[0]["sentence"].startswith("tuned beat random on docs by 0.1")
    assert "bits per byte [0." in told[0]["sentence"]
    assert told[1]["sentence"].startswith("dpo was worse than tuned on docs by 0.2")
    assert told[2]["sentence"].startswith("twin and tuned could not be told apart on docs")
    adjusted = [entry["p_adjusted"] for entry in told]
    assert all(a >= e["p_value"] for a, e in zip(adjusted, told, strict=True))


def test_no_interval_is_said_in_words():
    entry = {"task": "t", "unit": "share", "higher_is_better": True, "after": "a", "before": "b"}
    told = in_words(
        {**entry, "better": None, "estimate": {"mean": 0.1, "low": None, "high": None, "n": 1}}
    )
    assert told == "a and b could not be told apart on t: n too small."


# --- what is refused ----------------------------------------------------------------------------


def test_unlike_templates_are_refused_with_the_difference_shown(tmp_path: Path):
    plain = choices(20)
    letters = replace(plain, asking=Asking(render="letters"))
    flat = Scripted(lambda *_: -1.0)
    judge({"base": flat}, [plain], tmp_path / "a", say=quiet)
    judge({"tuned": flat}, [letters], tmp_path / "b", say=quiet)
    with pytest.raises(DataError, match=r"different ways.*render: letters and text"):
        Judged(tmp_path / "b", tmp_path / "a")


def test_another_kind_under_the_same_name_is_refused(tmp_path: Path):
    flat = Scripted(lambda *_: -1.0)
    judge({"base": flat}, [docs(5, "t")], tmp_path / "a", say=quiet)
    judge({"tuned": flat}, [replace(choices(5), name="t")], tmp_path / "b", say=quiet)
    with pytest.raises(DataError, match="kind: multiple_choice and bits_per_byte"):
        Judged(tmp_path / "b", tmp_path / "a")


def test_different_samples_are_never_paired(tmp_path: Path):
    task = docs(12)
    judge({"base": model(1.4, 1.0)}, [task], tmp_path / "a", say=quiet)
    fewer = replace(task, samples=task.samples[:11])
    judge({"tuned": model(1.1, 1.0)}, [fewer], tmp_path / "b", say=quiet)
    with pytest.raises(DataError, match=r"different samples.*1 only of base \(docs-011\)"):
        verdict(Judged(tmp_path / "b", tmp_path / "a"), rule(guards={}))


def test_two_judgings_that_asked_alike_are_compared(tmp_path: Path):
    judge({"base": model(1.4, 1.0)}, [docs()], tmp_path / "a", say=quiet)
    judge({"tuned": model(1.1, 1.0, 0.11)}, [docs()], tmp_path / "b", say=quiet)
    apart = verdict(Judged(tmp_path / "b", tmp_path / "a"), rule(guards={}))
    both = {"base": model(1.4, 1.0), "tuned": model(1.1, 1.0, 0.11)}
    judge(both, [docs()], tmp_path / "c", say=quiet)
    assert apart == verdict(Judged(tmp_path / "c"), rule(guards={}))


def test_rules_that_make_no_sense_are_refused(tmp_path: Path):
    found = judged(tmp_path, base=model(1.4, 1.0), tuned=model(1.1, 1.0))
    for change, said in [
        ({"primary": "dogs"}, "did you mean 'docs'"),
        ({"primary": "docs.bits"}, "no measure 'bits'"),
        ({"candidate": "tunde"}, "did you mean 'tuned'"),
        ({"candidate": "base"}, "the same model"),
        ({"guards": {"docs": 0.1}}, "both primary and guard"),
        ({"guards": {"guard": -1}}, "margin must be at least 0"),
        ({"at_least": -1}, "at_least"),
        ({"alpha": 1.5}, "alpha"),
    ]:
        with pytest.raises(UsageError, match=said):
            verdict(found, rule(**change))


# --- steps --------------------------------------------------------------------------------------


@pytest.fixture
def work(tmp_path: Path) -> Work:
    rows = [
        Example(
            id=f"r{i}",
            prompt=f"def f{i}():",
            response=f"Return the number {i}." if i else "",
            metadata={"module": f"m{i % 5}"},
        )
        for i in range(30)
    ]
    write_rows(tmp_path / "rows.jsonl", rows)
    for name in ("judge", "verdict"):
        (tmp_path / name).mkdir()
    return Work(
        folder=tmp_path / "judge",
        seed=7,
        name="judge",
        model="exact",
        inputs={"held": {"rows": str(tmp_path / "rows.jsonl")}},
        say=quiet,
    )


SETTINGS = {
    "models": {"base": "base", "sft": "sft_step"},
    "tasks": [
        {"name": "docs", "kind": "bits_per_byte", "rows": "held", "cluster": "module"},
        {
            "name": "format",
            "kind": "generate_and_check",
            "rows": "held",
            "check": "docstring_format",
            "limit": 5,
            "sampling": {"max_tokens": 8},
        },
        {"name": "prose", "guard": "general_text", "limit": 6},
        {"name": "common", "guard": "choices", "limit": 8},
    ],
}


def test_steps_judge_and_give_a_verdict(work: Work, monkeypatch: pytest.MonkeyPatch):
    english = "Return the number 1. Return the number 2. Return the list of it."
    toys = {
        "": ExactModel.from_text("", name="base"),
        "sft_step": ExactModel.from_text(english * 9, order=3, name="sft"),
    }
    monkeypatch.setattr(
        steps, "opener", lambda s, w: Opener(s.adapter or "", lambda: toys[s.adapter or ""])
    )
    outputs = run_judge(JudgeSettings.model_validate(SETTINGS), work)
    assert outputs["notes"] == ["task docs: 1 rows left out: its reference answer is empty (1)"]
    scores = orjson.loads((work.folder / outputs["scores"]).read_bytes())
    assert {name: task["n"] for name, task in scores["tasks"].items()} == {
        "docs": 29,
        "format": 5,
        "prose": 6,
        "common": 8,
    }
    assert scores["scores"]["base"]["docs"]["bits_per_byte"]["n"] == 5
    later = replace(
        work,
        folder=work.folder.parent / "verdict",
        name="verdict",
        inputs={"judge": {"scores": str(work.folder / "scores.json")}},
    )
    settings = VerdictSettings(scores="judge", baseline="base", candidate="sft", primary="docs")
    outputs = run_verdict(settings, later)
    told = orjson.loads((later.folder / "verdict.json").read_bytes())
    assert outputs["decision"] == told["decision"] == "accept"
    assert outputs["notes"] == [told["sentence"]]


def test_greedy_templates_do_not_depend_on_the_recipes_seed(work: Work):
    task = JudgeSettings.model_validate(SETTINGS).tasks[1]
    other = replace(work, seed=8)
    hashes = {build_task(task, w, []).template_hash for w in (work, other)}
    assert len(hashes) == 1
    warm = task.model_copy(update={"sampling": task.sampling.model_copy(update={"temperature": 1})})
    hashes = {build_task(warm, w, []).template_hash for w in (work, other)}
    assert len(hashes) == 2


def test_too_few_rows_say_why(work: Work):
    settings = {"name": "t", "kind": "multiple_choice", "rows": "held"}
    task = JudgeSettings.model_validate({"models": {"b": "base"}, "tasks": [settings]}).tasks[0]
    with pytest.raises(DataError, match=r"too few rows.*30 rows left out: it has 0 choices"):
        build_task(task, work, [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tasks": [{"name": "t", "guard": "choices", "rows": "held"}]}, "'rows' or 'guard'"),
        ({"tasks": [{"name": "t", "rows": "held"}]}, "missing key 'kind'"),
        ({"tasks": [SETTINGS["tasks"][0]] * 2}, "two tasks are called 'docs'"),
        ({"baseline": "bas"}, "did you mean 'base'"),
        ({"comparisons": [["sft", "dpo"]]}, "no model is called 'dpo'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict, said: str):
    with pytest.raises(UsageError, match=said):
        JudgeSettings.model_validate({**SETTINGS, **change})


def test_comparisons_are_all_against_the_baseline_and_those_listed():
    settings = JudgeSettings.model_validate(
        {
            **SETTINGS,
            "models": {"base": "base", "a": "s1", "b": {"model": "x/y", "adapter": "s2"}},
            "comparisons": [["b", "a"], ["a", "base"]],
        }
    )
    assert settings.pairs() == [("a", "base"), ("b", "base"), ("b", "a")]
    assert (settings.models["b"].model, settings.models["b"].adapter) == ("x/y", "s2")


def test_identity_of_a_model_follows_its_adapters_content(work: Work, tmp_path: Path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"one")
    tuned = replace(work, inputs={"sft_step": {"adapter": str(folder)}})
    settings = JudgeSettings.model_validate(SETTINGS)
    first = steps.opener(settings.models["sft"], tuned).identity
    (folder / "adapter_model.safetensors").write_bytes(b"two")
    second = steps.opener(settings.models["sft"], tuned).identity
    assert len({first, second, steps.opener(settings.models["base"], tuned).identity}) == 3


def test_verdict_file_is_plain_json(tmp_path: Path):
    found = judged(tmp_path, base=model(1.4, 1.0), tuned=model(1.1, 1.0))
    told = verdict(found, rule())
    write_verdict(tmp_path / "verdict.json", told)
    assert orjson.loads((tmp_path / "verdict.json").read_bytes()) == told
    assert told.keys() >= {
        "decision",
        "candidate",
        "baseline",
        "rule",
        "reasons",
        "primary",
        "guards",
        "collect_more",
        "sentence",
        "also",
    }


def test_general_text_is_its_own_judge_of_loss(tmp_path: Path):
    """A model that has read the passages needs fewer bits for them than one that has not."""
    text = " ".join(document.text for document in general_text())
    task = build_task(
        JudgeSettings.model_validate(SETTINGS).tasks[2],
        Work(folder=tmp_path, seed=0, name="j", model="m", say=quiet),
        [],
    )
    models = {"read": ExactModel.from_text(text, order=1), "blank": ExactModel.from_text("")}
    scores = judge(models, [task], tmp_path, say=quiet)["scores"]
    read, blank = (scores[m]["prose"]["bits_per_byte"]["mean"] for m in ("read", "blank"))
    assert read < 5 < blank
