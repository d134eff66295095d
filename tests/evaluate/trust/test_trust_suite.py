"""The whole suite: what is asked, in what order and size, kept and resumed, scored again."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import saved_toys
from trust_toys import DATA, HERE, Saying, quiet, repository

from togi.errors import DataError, UsageError
from togi.evaluate.trust.judging import Way, judge_sides, rescore
from togi.evaluate.trust.sides import SIDES, TRUST_KINDS
from togi.evaluate.trust.steps import SideName, notes_of
from togi.evaluate.trust.suite import Planned, Wanted, plan
from togi.evaluate.trust.talks import check_turns
from togi.lm.base import Generated, Sampling
from togi.lm.local import LocalModel
from togi.rows.types import Prompt

SOME = ("stereotype", "adversarial")


def agreeable(prompt: Prompt) -> str:
    """Answer as a model that gives in to hostile systems and knows nothing of labels."""
    text = str(prompt)
    if "without any rules" in text:
        return "I agree."
    return "I disagree." if "Somebody" in text else "No."


@dataclass
class Mortal(Saying):
    """A model that dies after so many prompts."""

    answer: Any = agreeable
    lives: int = 1_000_000
    asked: list[Prompt] = field(default_factory=list)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Generated]]:
        if len(self.asked) + len(prompts) > self.lives:
            raise KeyboardInterrupt
        self.asked += prompts
        return super().generate(prompts, sampling)


def judged(
    folder: Path, wanted: Wanted, *models: Saying, chunk: int = 16, **way: Any
) -> dict[str, Any]:
    names = [f"m{place}" for place in range(len(models))]
    pairs = [(name, names[0]) for name in names[1:]]
    return judge_sides(
        dict(zip(names, models, strict=True)), plan(wanted), folder, comparisons=pairs,
        way=Way(**way), chunk=chunk, say=quiet,
    )  # fmt: skip


# --- conformance: every side, alone -------------------------------------------------------------


def test_the_settings_name_every_side_and_no_other():
    from typing import get_args

    assert set(SIDES) <= set(get_args(SideName))


@pytest.mark.parametrize("name", list(SIDES))
def test_every_side_stands_by_itself(name: str, tmp_path: Path):
    """Scenarios, readings, parts, rates, and a file of each line: what any side must give."""
    side, wanted = SIDES[name], Wanted(sides=(name,), limit=3)
    whole = plan(wanted)[name]
    assert len({task.name for task in whole.tasks}) == len(whole.tasks) == len(whole.scenarios)
    assert all(task.kind in TRUST_KINDS for task in whole.tasks)
    assert whole.prompts <= whole.answers <= whole.tokens
    assert side.faults
    assert side.warning
    told = judged(tmp_path, wanted, Mortal())
    parts, about = told["side_scores"]["m0"][name], told["sides"][name]["parts"]
    assert next(iter(parts)) == "score"
    assert list(parts) == list(about)
    assert {"refused", "unparsed"} <= set(parts)
    assert about["score"]["unit"] == "points"
    for part, found in parts.items():
        if found["mean"] is None:
            continue
        most = {"points": 100.0, "share": 1.0, "difference": 1.0}[about[part]["unit"]]
        assert -most <= found["mean"] <= most, part
        assert found["n"] >= 1, part
        assert about[part]["definition"], part
    assert told["examples"][name]
    for line in (tmp_path / "samples.jsonl").read_text().splitlines():
        assert {"refused", "unparsed"} <= set(json.loads(line)["measures"])


@pytest.mark.parametrize(
    "answer", ["", "I'm sorry, but I cannot help with that.", "yes no 42 \ud800"]
)
def test_no_answer_breaks_a_side(answer: str, tmp_path: Path):
    told = judged(tmp_path, Wanted(limit=2), Saying(lambda prompt: answer))
    rates = {name: parts["refused"]["mean"] for name, parts in told["side_scores"]["m0"].items()}
    if answer.startswith("I'm sorry"):
        assert rates == dict.fromkeys(SIDES, 1.0)
    elif not answer:
        unread = {n: p["unparsed"]["mean"] for n, p in told["side_scores"]["m0"].items()}
        assert unread == dict.fromkeys(SIDES, 1.0)


# --- property -----------------------------------------------------------------------------------


def test_pressure_shows_where_a_model_gives_in(tmp_path: Path):
    told = judged(tmp_path, Wanted(sides=("stereotype",)), Mortal())
    found = told["side_scores"]["m0"]["stereotype"]
    assert found["agree_benign"]["mean"] == 0.0
    assert found["agree_targeted"]["mean"] == 1.0
    assert found["pressure"]["mean"] == 1.0
    assert found["score"]["mean"] == pytest.approx(100 / 3)


def test_a_limit_keeps_the_same_units_in_all_scenarios():
    whole = plan(Wanted(sides=("stereotype",), limit=4))["stereotype"]
    units = [{s.metadata["unit"] for s in task.samples} for task in whole.tasks]
    assert [len(one) for one in units] == [4, 4, 4]
    assert units[0] == units[1] == units[2]
    other = plan(Wanted(sides=("stereotype",), limit=4, seed=1))["stereotype"]
    assert {s.metadata["unit"] for s in other.tasks[0].samples} != units[0]
    more = plan(Wanted(sides=("stereotype",), limit=9))["stereotype"]
    assert units[0] < {s.metadata["unit"] for s in more.tasks[0].samples}


def test_draws_and_lengths_are_those_of_drawn_answers_alone():
    wanted = Wanted(sides=SOME, draws=2, max_tokens=7)
    tasks = {task.name: task for one in plan(wanted).values() for task in one.tasks}
    drawn, greedy = tasks["stereotype/benign"], tasks["adversarial/typos_sst2"]
    assert (drawn.asking.sampling.n, drawn.asking.sampling.max_tokens) == (2, 7)
    assert (greedy.asking.sampling.n, greedy.asking.sampling.temperature) == (1, 0.0)
    assert drawn.asking.sampling.seed != tasks["stereotype/targeted"].asking.sampling.seed


# --- equivalence --------------------------------------------------------------------------------


def test_stopped_and_taken_up_is_as_straight_through(tmp_path: Path):
    wanted = Wanted(sides=SOME, limit=6)
    straight = judged(tmp_path / "straight", wanted, Mortal())
    dying = Mortal(lives=40)
    with pytest.raises(KeyboardInterrupt):
        judged(tmp_path / "cut", wanted, dying)
    again = Mortal()
    resumed = judged(tmp_path / "cut", wanted, again)
    assert resumed == straight
    assert 0 < len(dying.asked) <= 40
    assert len(again.asked) + len(dying.asked) == plan_size(wanted)
    for name in ("scores.json", "trust.csv"):
        one, two = ((tmp_path / where / name).read_bytes() for where in ("straight", "cut"))
        assert one == two
    third = Mortal()
    assert judged(tmp_path / "cut", wanted, third) == straight
    assert third.asked == []


def plan_size(wanted: Wanted) -> int:
    return sum(one.prompts for one in plan(wanted).values())


def test_the_size_of_a_request_changes_nothing(tmp_path: Path):
    wanted = Wanted(sides=SOME, limit=5)
    one = judged(tmp_path / "1", wanted, Mortal(), chunk=1)
    assert judged(tmp_path / "64", wanted, Mortal(), chunk=64) == one


def test_sides_asked_together_are_as_asked_alone(tmp_path: Path):
    both = judged(tmp_path / "both", Wanted(sides=SOME, limit=4), Mortal())["side_scores"]["m0"]
    for name in SOME:
        alone = judged(tmp_path / name, Wanted(sides=(name,), limit=4), Mortal())
        assert alone["side_scores"]["m0"][name] == both[name]


def test_scores_come_from_the_lines_alone(tmp_path: Path):
    told = judged(tmp_path, Wanted(sides=SOME, limit=4), Mortal(), Mortal(fingerprint="s1"))
    again = json.loads(json.dumps(rescore(tmp_path)))
    written = json.loads((tmp_path / "scores.json").read_text())
    assert again == {k: written[k] for k in again}
    assert set(told) - set(again) == {"scorers", "judged"}


def test_the_sheet_holds_every_number(tmp_path: Path):
    models = Mortal(), Mortal(answer=lambda prompt: "I disagree.", fingerprint="s1")
    told = judged(tmp_path, Wanted(sides=SOME, limit=4), *models)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "trust.csv").read_text())))
    scores = {(r["model"], r["side"], r["part"]): r for r in rows if r["kind"] == "score"}
    for model, sides in told["side_scores"].items():
        for side, parts in sides.items():
            for part, found in parts.items():
                row = scores.pop((model, side, part))
                assert row["mean"] == ("" if found["mean"] is None else str(found["mean"]))
                assert row["n"] == str(found["n"])
    assert scores == {}
    gaps = [row for row in rows if row["kind"] == "difference"]
    assert len(gaps) == len(told["side_differences"]) > 0
    better = {row["part"]: row["better"] for row in gaps if row["side"] == "stereotype"}
    assert better["score"] in ("True", "")  # it no longer gives in; four units may not tell it
    groups = [row for row in rows if row["kind"] == "group"]
    assert {row["side"] for row in groups} == {"stereotype"}


# --- errors -------------------------------------------------------------------------------------


def test_what_cannot_be_asked_is_said_before_any_model_is_opened(tmp_path: Path):
    with pytest.raises(UsageError, match=r"no side of trust is called 'privcy'.*privacy"):
        plan(Wanted(sides=("privcy",)))
    with pytest.raises(UsageError, match="no side is named"):
        plan(Wanted(sides=()))
    with pytest.raises(UsageError, match=r"no such folder of published data.*clone the repository"):
        plan(Wanted(data=str(tmp_path / "nowhere")))
    (tmp_path / "data").mkdir()
    for name in SIDES:
        with pytest.raises(DataError, match=r"missing.*Next: .*or leave this side out"):
            plan(Wanted(sides=(name,), data=str(tmp_path)))
    with pytest.raises(DataError, match=r"nothing is left to ask.*Found: conditions none"):
        plan(Wanted(sides=("stereotype",), conditions=()))


def test_one_condition_alone_has_parts_but_no_score(tmp_path: Path):
    wanted = Wanted(sides=("stereotype",), limit=4, conditions=("benign",))
    told = judged(tmp_path, wanted, Mortal())
    found = told["side_scores"]["m0"]["stereotype"]
    assert found["score"]["mean"] is None
    assert found["agree_benign"]["mean"] == 0.0
    assert "stereotype: no score, as untargeted, targeted was not asked" in notes_of(told)


def test_most_answers_unread_is_noted(tmp_path: Path):
    told = judged(tmp_path, Wanted(sides=("stereotype",), limit=3), Saying(lambda prompt: "Cats."))
    assert any("100 % of the answers on stereotype cannot be read" in n for n in notes_of(told))


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (None, "no chat template.*set `turns: plain`"),
        (saved_toys.CHATML.replace("{% for m in messages %}",
         "{% for m in messages if m.role != 'system' %}"), "drops the system's turn.*turns: user"),
        ("{{ raise_exception('no system here') }}", "set `turns: user`"),
    ],
)  # fmt: skip
def test_a_template_without_a_place_for_the_system(template: str | None, words: str):
    model = LocalModel(saved_toys.llama(), saved_toys.tokenizer(template), name="m")
    prompt = plan(Wanted(sides=("stereotype",), limit=1))["stereotype"].tasks[0].samples[0].input
    with pytest.raises(UsageError, match=words):
        check_turns(model, prompt)
    plain = plan(Wanted(sides=("stereotype",), limit=1, turns="plain"))["stereotype"]
    check_turns(model, plain.tasks[0].samples[0].input)


@pytest.mark.skipif(not DATA.is_dir(), reason=HERE)
def test_damaged_rows_are_named_by_line(tmp_path: Path):
    root = repository(tmp_path)
    path = root / "data/toxicity/user_prompts/toxic.jsonl"
    lines = path.read_text().splitlines()
    path.unlink()
    for text, words in (
        ('{"prompt": {"words": "x"}}', "line 3: no 'prompt.text'.*Found: words"),
        ("[1]", "line 3: not an object"),
        ('{"prompt":', "line 3: a file of the published data is no JSON"),
    ):
        path.write_text("\n".join([*lines[:2], text]))
        with pytest.raises(DataError, match=words):
            plan(Wanted(sides=("toxicity",), data=str(root)))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        plan(Wanted(sides=("toxicity",), data=str(root)))


def test_planned_is_told_before_it_is_asked():
    whole: Planned = plan(Wanted(sides=("toxicity",), limit=2, draws=3, max_tokens=5))["toxicity"]
    assert (whole.prompts, whole.answers, whole.tokens) == (8, 24, 120)
    assert np.isfinite(whole.tokens)
