"""`evaluate.rank`: models of finished runs side by side, what is refused, what the page says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from judge_toys import Scripted, choices, docs, per_byte, quiet
from test_evaluate_unlike import InFormat
from typer.testing import CliRunner

from togi.cli import app
from togi.errors import DataError, UsageError
from togi.evaluate.field import gather, judgings_of
from togi.evaluate.judge import judge
from togi.evaluate.rank import rank
from togi.evaluate.steps_rank import RankSettings
from togi.report import page


def model(bits: float, spread: float = 0.2) -> Scripted:
    return Scripted(per_byte(bits, spread), fingerprint=f"{bits}-{spread}")


def run(root: Path, name: str, models: dict, tasks) -> Path:
    """Leave a run as `togi run` does: run.json and a judging step."""
    place = root / name / "steps" / "judge-000000000000"
    judge(models, tasks, place, say=quiet)
    step = {"name": "judge", "use": "evaluate.judge", "status": "done", "hash": "0" * 64}
    (root / name / "run.json").write_text(
        json.dumps({"name": name, "steps": [{**step, "folder": f"steps/{place.name}"}]})
    )
    return root / name


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [
        run(tmp_path, "one", {"base": model(1.4), "sft": model(1.2, 0.4)}, [docs(60)]),
        run(tmp_path, "two", {"base": model(1.4), "dpo": model(1.1, 0.5)}, [docs(60)]),
    ]


def test_models_of_two_runs_are_ranked_on_their_samples(runs):
    field = gather([place for one in runs for place in judgings_of(one)])
    assert field.models == ["base", "sft", "dpo"]  # the same base counts once
    found = rank(field, draws=400)
    assert [place["model"] for place in found["all"]["places"]] == ["dpo", "sft", "base"]
    # by hand from the lines: fewer nats a byte wins
    nats = {
        m: field.table[m, "docs"].numbers["nats"] / field.table[m, "docs"].numbers["bytes"]
        for m in field.models
    }
    share = float(np.mean(nats["dpo"] < nats["sft"]))
    assert found["all"]["shares"]["dpo"]["sft"] == pytest.approx(share)
    assert {(d["after"], d["before"]) for d in found["differences"]} == {
        ("sft", "base"), ("dpo", "base"), ("dpo", "sft"),
    }  # fmt: skip
    assert all(one["minimum_detectable"] > 0 for one in found["differences"])
    assert "changes" in found["warning"]


def test_clusters_are_respected(tmp_path: Path):
    one = run(tmp_path, "a", {"x": model(1.4), "y": model(1.2)}, [docs(40, cluster="ten")])
    found = rank(gather(judgings_of(one)), draws=200)
    assert found["all"]["places"][0]["win_rate"]["n"] == 4


def test_two_models_of_one_name_are_told_apart(tmp_path: Path):
    one = run(tmp_path, "a", {"base": model(1.4), "sft": model(1.2)}, [docs(20)])
    two = run(tmp_path, "b", {"base": model(1.4), "sft": model(1.1)}, [docs(20)])
    field = gather([*judgings_of(one), *judgings_of(two)])
    assert field.models == ["base", "sft", "sft (b)"]
    assert field.notes == ["sft (b) is another model than sft, which was met before."]


def test_several_tasks_weigh_the_same_and_lone_ones_are_left_out(tmp_path: Path):
    tasks = [docs(30), docs(10, "few")]
    one = run(tmp_path, "a", {"x": model(1.4)}, [*tasks, docs(5, "own")])
    two = run(tmp_path, "b", {"y": model(1.2)}, tasks)
    found = rank(gather([*judgings_of(one), *judgings_of(two)]), draws=200)
    assert [task["task"] for task in found["tasks"]] == ["docs", "few"]
    each = [task["places"][0]["win_rate"]["mean"] for task in found["tasks"]]
    whole = next(p for p in found["all"]["places"] if p["model"] == "y")["win_rate"]["mean"]
    assert whole == pytest.approx(np.mean(each))
    assert found["notes"] == ["own is left out: y was not judged on it."]
    with pytest.raises(UsageError, match="did you mean 'docs'"):
        rank(gather([*judgings_of(one), *judgings_of(two)]), ["dcos"])
    with pytest.raises(UsageError, match="has no measure 'nats'"):
        rank(gather([*judgings_of(one), *judgings_of(two)]), ["docs.nats"])


# --- what is refused ----------------------------------------------------------------------------


def test_unequal_item_sets_are_refused_or_cut_to_the_shared_ones(tmp_path: Path):
    task = docs(30)
    fewer = replace(task, samples=task.samples[:24])
    one = run(tmp_path, "a", {"x": model(1.4)}, [task])
    two = run(tmp_path, "b", {"y": model(1.2)}, [fewer])
    places = [*judgings_of(one), *judgings_of(two)]
    with pytest.raises(DataError, match=r"different samples.*6 only of x.*24 in common.*--shared"):
        gather(places)
    field = gather(places, shared=True)
    assert len(field.table["x", "docs"].ids) == 24
    assert field.notes == [
        "docs: 6 of 30 samples are left out, since not all models were asked them."
    ]
    assert rank(field, draws=200)["tasks"][0]["n"] == 24


def test_nothing_shared_is_refused_even_then(tmp_path: Path):
    one = run(tmp_path, "a", {"x": model(1.4)}, [docs(5)])
    task = docs(9)
    two = run(tmp_path, "b", {"y": model(1.2)}, [replace(task, samples=task.samples[5:])])
    with pytest.raises(DataError, match="different samples"):
        gather([*judgings_of(one), *judgings_of(two)], shared=True)


def test_unlike_is_refused_allowed_and_noted(tmp_path: Path):
    half = InFormat(per_byte(1.2, 0.1), fingerprint="h", dtype="bfloat16")
    one = run(tmp_path, "a", {"x": InFormat(per_byte(1.4, 0.2))}, [docs(20)])
    two = run(tmp_path, "b", {"y": half}, [docs(20)])
    places = [*judgings_of(one), *judgings_of(two)]
    with pytest.raises(DataError, match="dtype: bfloat16 and float32"):
        gather(places)
    field = gather(places, unlike=["dtype"])
    assert "although they differ in dtype: bfloat16 and float32" in field.notes[0]
    letters = replace(choices(20), asking=replace(choices(20).asking, render="letters"))
    flat = Scripted(lambda *_: -1.0)
    three = run(tmp_path, "c", {"x": flat}, [choices(20)])
    four = run(tmp_path, "d", {"y": replace(flat, fingerprint="f2")}, [letters])
    places = [*judgings_of(three), *judgings_of(four)]
    with pytest.raises(DataError, match="render: letters and text"):
        gather(places)
    assert rank(gather(places, unlike=["render"]), draws=200)["notes"]


def test_nothing_in_common_and_nobody_else(tmp_path: Path, runs):
    other = run(tmp_path, "c", {"z": model(1.3)}, [docs(8, "other")])
    with pytest.raises(DataError, match="no task was put to all of the models"):
        gather([*judgings_of(runs[0]), *judgings_of(other)])
    with pytest.raises(DataError, match="nothing to rank"):
        gather(judgings_of(other))
    with pytest.raises(DataError, match="no finished judging here"):
        judgings_of(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="name finished runs"):
        RankSettings()


# --- the command and the page -------------------------------------------------------------------


def test_the_command_says_the_places_and_leaves_a_page(runs, tmp_path: Path):
    out = tmp_path / "ranked"
    told = CliRunner().invoke(app, ["evaluate", "rank", *map(str, runs), "--out", str(out)])
    assert told.exit_code == 0, told.output
    assert "all tasks: 1. dpo  win rate" in told.output
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "Ranking" in text
    assert "it changes, and two models may change" in text
    assert "no definition known" not in text
    assert "smallest told" in text
    again = CliRunner().invoke(app, ["evaluate", "rank", *map(str, runs), "--out", str(out)])
    assert "done before, nothing changed" in again.output
    wrong = CliRunner().invoke(app, ["evaluate", "rank", str(tmp_path), "--out", str(out)])
    assert isinstance(wrong.exception, DataError)


def test_a_page_of_a_stopped_ranking_says_nothing_false(runs, tmp_path: Path):
    out = tmp_path / "ranked"
    CliRunner().invoke(app, ["evaluate", "rank", *map(str, runs), "--out", str(out)])
    (place,) = out.glob("steps/rank-*/rank.json")
    place.write_text("{}")
    assert "Bradley" not in page.build(out).read_text(encoding="utf-8")
