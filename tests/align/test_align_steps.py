"""The recipe's training steps on a tiny saved model: files, going on, judging, refusals."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import signal

import pytest
import torch
from safetensors.torch import load_file
from saved_toys import llama, quiet, save

from togi.align.dpo import Dpo
from togi.align.pairs_step import run_pairs
from togi.align.settings import DpoSettings, PairsSettings, SftSettings
from togi.align.sft import Sft
from togi.align.steps import forecast, run_train
from togi.align.tuned import open_tuned
from togi.errors import DataError, RecipeError, Stopped, UsageError
from togi.rows.read import read_rows
from togi.rows.types import (
    Document,
    Example,
    Feedback,
    Message,
    Preference,
    Ranking,
    Sample,
)
from togi.rows.write import write_rows
from togi.step import Work
from togi.train.metrics import read_metrics

TRAIN = {"lr": 0.01, "batch": 4, "dtype": "float32", "lora": {"rank": 4}}


def ask(i):
    return (Message("user", f"What is number {i}?" + " of the users" * (i % 3)),)


EXAMPLES = [
    Example(id=f"e{i}", prompt=ask(i), response=f"It is {i * i}." + " And so on." * (i % 2))
    for i in range(12)
]
PAIRS = [
    Preference(id=f"p{i}", prompt=ask(i), chosen=f"It is {i}.", rejected="No" + " no" * (i % 4))
    for i in range(12)
]
QUESTIONS = [Sample(id="q", input="What?", target="That.")]
LONG = Example(id="long", prompt=ask(1), response="far " * 200)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save(llama(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def work(base, tmp_path):
    """Return a function that makes a step's place to work in, with rows as its inputs."""

    def make(name="sft", rows=EXAMPLES, *, model=None, say=quiet, **inputs):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        write_rows(tmp_path / f"{name}-rows.jsonl", rows)
        given = {"data": {"rows": str(tmp_path / f"{name}-rows.jsonl")}, **inputs}
        return Work(
            folder=folder, seed=3, name=name, model=model or str(base), inputs=given, say=say,
            offline=True,
        )  # fmt: skip

    return make


def sft(**settings):
    return SftSettings(rows="data", **{"steps": 6, **TRAIN, **settings})


def dpo(**settings):
    return DpoSettings(rows="data", **{"steps": 6, **TRAIN, **settings})


def adapter(work):
    return load_file(work.folder / "adapter" / "adapter_model.safetensors")


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def scores(base, folder, rows):
    model = open_tuned(str(base), adapter=folder, dtype="float32", say=quiet)
    found = model.score([r.prompt for r in rows], [r.response for r in rows])
    return sum(s.total for s in found), sum(len(s.token_ids) for s in found)


def test_sft_writes_what_the_report_reads_and_learns(base, work):
    place = work(rows=[*EXAMPLES, LONG])
    outputs = run_train(sft(steps=12, max_tokens=120), place)
    assert outputs["adapter"] == "adapter"
    assert (outputs["steps"], outputs["rows"]) == (12, 12)
    told = json.loads((place.folder / "train.json").read_text())
    assert told["objective"] == "sft"
    assert told["dropped"] == {"longer than max_tokens": 1}
    assert 0 < told["trained_parameters"] < told["total_parameters"]
    assert told["final_loss"] == outputs["final_loss"]
    lines = read_metrics(place.folder / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, 13))
    wanted = {"loss", "lr", "grad_norm", "tokens", "tokens_per_s", "seconds", "memory_mb",
              "token_accuracy"}  # fmt: skip
    assert all(wanted <= line.keys() for line in lines)
    before, count = scores(base, None, EXAMPLES)
    after, _ = scores(base, place.folder / "adapter", EXAMPLES)
    assert (after - before) / count > 0.3
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.3


def test_the_first_loss_is_the_models_own_on_the_whole_batch(base, work):
    place = work()
    run_train(sft(steps=1, batch=12), place)
    (line,) = read_metrics(place.folder / "metrics.jsonl")
    total, count = scores(base, None, EXAMPLES)
    assert line["loss"] == pytest.approx(-total / count, abs=1e-5)


def test_the_same_seed_gives_the_same_adapter(work):
    first, again, other = work("one"), work("two"), work("three")
    for place, rank in ((first, 4), (again, 4), (other, 3)):
        run_train(sft(steps=3, lora={"rank": rank, "dropout": 0.2}), place)
    assert same(adapter(first), adapter(again))
    assert next(iter(adapter(other).values())).shape != next(iter(adapter(first).values())).shape


def test_documents_are_learnt_as_plain_text(work):
    place = work(rows=[Document(id=f"d{i}", text=f"the users of {i}") for i in range(5)])
    run_train(sft(steps=8), place)
    lines = read_metrics(place.folder / "metrics.jsonl")
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.2


def test_training_goes_on_from_an_adapter(base, work):
    first = work("first")
    run_train(sft(), first)
    start = {"adapter": str(first.folder / "adapter")}
    place = work("second", first=start)
    run_train(sft(start="first", steps=1, batch=12), place)
    (line,) = read_metrics(place.folder / "metrics.jsonl")
    total, count = scores(base, first.folder / "adapter", EXAMPLES)
    assert line["loss"] == pytest.approx(-total / count, abs=1e-5)
    assert adapter(place).keys() == adapter(first).keys()
    assert not same(adapter(place), adapter(first))


def test_dpo_begins_at_ln2_and_widens_the_margin(base, work):
    place = work("dpo", rows=[*PAIRS, Preference(id="e", prompt="a", chosen="b", rejected="b")])
    outputs = run_train(dpo(steps=12), place)
    lines = read_metrics(place.folder / "metrics.jsonl")
    assert lines[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert lines[-1]["rewards/margins"] > 0.05
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.02
    told = json.loads((place.folder / "train.json").read_text())
    assert told["dropped"] == {"chosen and rejected are equal": 1}
    assert outputs["final_loss"] == told["final_loss"] < math.log(2)
    model = open_tuned(str(base), adapter=place.folder / "adapter", dtype="float32", say=quiet)
    reference = open_tuned(str(base), dtype="float32", say=quiet)
    margins = []
    for pair in PAIRS:
        ratios = [
            model.score([pair.prompt], [text])[0].total
            - reference.score([pair.prompt], [text])[0].total
            for text in (pair.chosen, pair.rejected)
        ]
        margins.append(0.1 * (ratios[0] - ratios[1]))
    assert sum(margins) / len(margins) > 0.05


def test_dpo_from_an_adapter_refers_to_that_adapter(work):
    first = work("first")
    run_train(sft(lora={"rank": 4, "dropout": 0.3}), first)
    place = work("dpo", PAIRS, first={"adapter": str(first.folder / "adapter")})
    run_train(dpo(start="first", steps=2, batch=12, micro_tokens=60), place)
    lines = read_metrics(place.folder / "metrics.jsonl")
    assert lines[0]["loss"] != pytest.approx(math.log(2), abs=1e-6)  # dropout, in training only
    plain = work("plain", PAIRS, first={"adapter": str(_without_dropout(first.folder))})
    run_train(dpo(start="first", steps=1, batch=12), plain)
    (line,) = read_metrics(plain.folder / "metrics.jsonl")
    assert line["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert line["rewards/margins"] == pytest.approx(0, abs=1e-4)


def _without_dropout(folder):
    config = folder / "adapter" / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "lora_dropout": 0.0}))
    return folder / "adapter"


RUNS = {"sft": (run_train, sft, Sft, EXAMPLES), "dpo": (run_train, dpo, Dpo, PAIRS)}


def _at_call(objective, number, act, monkeypatch):
    """Let `act` happen while the objective computes its `number`-th loss."""
    whole, calls = objective.loss, []

    def loss(self, model, items):
        calls.append(len(items))
        if len(calls) == number:
            act()
        return whole(self, model, items)

    monkeypatch.setattr(objective, "loss", loss)


@pytest.mark.parametrize("name", RUNS)
def test_a_stopped_step_resumed_equals_straight(work, monkeypatch, name):
    run, settings, objective, rows = RUNS[name]
    options = settings(lora={"rank": 4, "dropout": 0.1}, save_every=0, micro_tokens=10_000)
    straight, place = work("straight", rows), work("stopped", rows)
    run(options, straight)
    with monkeypatch.context() as patch:
        _at_call(objective, 4, lambda: os.kill(os.getpid(), signal.SIGTERM), patch)
        with pytest.raises(Stopped, match="after step 4 of 6"):
            run(options, place)
    assert not (place.folder / "adapter").exists()
    if name == "dpo":  # the reference is not computed anew
        monkeypatch.setattr("togi.align.reference.reference_sums", None)
    outputs = run(options, place)
    assert outputs["steps"] == 6
    assert same(adapter(place), adapter(straight))
    losses = [[line["loss"] for line in read_metrics(w.folder / "metrics.jsonl")]
              for w in (straight, place)]  # fmt: skip
    assert losses[0] == losses[1]
    assert len(losses[0]) == 6


def test_a_crashed_step_resumed_equals_straight(work, monkeypatch):
    straight, place = work("straight"), work("crashed")
    run_train(sft(save_every=2), straight)

    def crash():
        raise RuntimeError("the plug was pulled")

    with monkeypatch.context() as patch:
        _at_call(Sft, 6, crash, patch)
        with pytest.raises(RuntimeError, match="plug"):
            run_train(sft(save_every=2, micro_tokens=10_000), place)
    with pytest.raises(UsageError, match="micro_tokens"):
        run_train(sft(save_every=2), place)
    run_train(sft(save_every=2, micro_tokens=10_000), place)
    assert same(adapter(place), adapter(straight))


def test_held_out_loss_is_judged_and_the_best_weights_are_kept(base, work, tmp_path):
    # Letters that no training row has: each step makes them less likely, so the first is best.
    held = [dataclasses.replace(row, response="ZQXJ" * 6) for row in EXAMPLES[:5]]
    write_rows(tmp_path / "held.jsonl", held)
    place = work(rows=EXAMPLES[5:], held={"rows": str(tmp_path / "held.jsonl")})
    wild = {"lr": 0.1, "schedule": "constant", "clip": 0, "steps": 30, "save_every": 0}
    run_train(sft(judge_rows="held", judge_every=10, keep_best=True, **wild), place)
    lines = read_metrics(place.folder / "metrics.jsonl")
    judged = {line["step"]: line["judge/loss"] for line in lines if "judge/loss" in line}
    assert sorted(judged) == [0, 10, 20, 30]
    told = json.loads((place.folder / "train.json").read_text())
    assert told["best_step"] == min(judged, key=judged.get)
    assert told["best_step"] == 0
    assert judged[30] > judged[0] + 0.1
    assert told["best_value"] == min(judged.values())
    total, count = scores(base, None, held)
    assert judged[0] == pytest.approx(-total / count, abs=1e-5)
    total, count = scores(base, place.folder / "adapter", held)
    assert told["best_value"] == pytest.approx(-total / count, abs=1e-4)


def test_judging_changes_no_weight_and_keeps_its_limit(work, tmp_path):
    write_rows(tmp_path / "held.jsonl", EXAMPLES)
    held = {"rows": str(tmp_path / "held.jsonl")}
    plain, judged, few = work("plain"), work("judged", held=held), work("few", held=held)
    dropout = {"lora": {"rank": 4, "dropout": 0.2}}
    run_train(sft(**dropout), plain)
    run_train(sft(judge_rows="held", judge_every=2, **dropout), judged)
    run_train(sft(judge_rows="held", judge_every=6, judge_limit=1, **dropout), few)
    assert same(adapter(plain), adapter(judged))
    first = [read_metrics(w.folder / "metrics.jsonl")[0]["judge/loss"] for w in (judged, few)]
    assert first[0] != first[1]


@pytest.mark.parametrize("which", ["rows", "judge_rows"])
def test_rows_that_are_all_too_long_are_refused(work, tmp_path, which):
    write_rows(tmp_path / "long.jsonl", [LONG, LONG])
    rows = [LONG] if which == "rows" else EXAMPLES
    place = work(rows=rows, held={"rows": str(tmp_path / "long.jsonl")})
    judged = {"judge_rows": "held", "judge_every": 1} if which == "judge_rows" else {}
    with pytest.raises(DataError, match="no row is left") as caught:
        run_train(sft(max_tokens=120, **judged), place)
    assert "longer than max_tokens" in caught.value.found


def test_no_row_is_longer_than_the_models_positions(work):
    place = work(rows=[*EXAMPLES, LONG])
    run_train(sft(steps=1, max_tokens=100_000), place)
    told = json.loads((place.folder / "train.json").read_text())
    assert told["dropped"] == {"longer than max_tokens": 1}


def test_rows_of_the_wrong_kind_are_refused(work):
    with pytest.raises(DataError, match="DPO learns from pairs of answers"):
        run_train(dpo(), work("dpo", EXAMPLES))
    with pytest.raises(DataError, match=r"SFT learns from responses.*rankings, thumbs"):
        run_train(sft(), work("sft", QUESTIONS))
    with pytest.raises(DataError, match="no rows with prompt and response"):
        run_pairs(PairsSettings(rows="data"), work("pairs", PAIRS))


def test_a_step_without_the_named_output_is_refused(work):
    with pytest.raises(RecipeError, match="has no output 'adapter'"):
        run_train(sft(start="data"), work())


@pytest.mark.parametrize(("run", "settings"), [(run_train, sft), (run_train, dpo), (forecast, sft)])
def test_an_endpoint_cannot_be_trained(work, run, settings):
    place = work(model="openai:http://127.0.0.1:9/v1#some-model")
    with pytest.raises(UsageError, match="an endpoint can be judged but not trained"):
        run(settings(), place)


def pairs(**settings):
    options = {"n": 2, "max_tokens": 8, "unfinished": "keep", "dtype": "float32", **settings}
    return PairsSettings(rows="data", **options)


def test_pairs_are_rows_that_dpo_learns_from(base, work):
    place = work("pairs")
    outputs = run_pairs(pairs(), place)
    rows = list(read_rows(place.folder / "rows.jsonl"))
    told = json.loads((place.folder / "rows.json").read_text())
    assert outputs == {"rows": "rows.jsonl", "n": len(rows)}
    assert told["n"] == len(rows) == 24 - sum(told["dropped"].values())
    assert [e["id"] for e in told["examples"]] == [r.id for r in rows[:3]]
    sources = {e.id: e for e in EXAMPLES}
    for row in rows:
        source = sources[row.id.split("#")[0]]
        assert (row.prompt, row.chosen) == (source.prompt, source.response)
        assert row.rejected.strip() == row.rejected != row.chosen
    before = (place.folder / "rows.jsonl").read_bytes()
    run_pairs(pairs(), work("pairs"))
    assert (place.folder / "rows.jsonl").read_bytes() == before
    assert run_train(dpo(steps=2), work("dpo", rows))["rows"] == len(rows)


def test_pairs_take_a_sample_of_the_rows_and_the_tuned_models_answers(work):
    tuned = work("tuned")
    run_train(sft(steps=8, lr=0.05), tuned)
    start = {"adapter": str(tuned.folder / "adapter")}
    asked = []
    for name, options in {"base": {}, "on": {"start": "tuned"}}.items():
        place = work("pairs", tuned=start)
        run_pairs(pairs(limit=5, temperature=0, n=1, **options), place)
        asked.append({r.id: r.rejected for r in read_rows(place.folder / "rows.jsonl")})
        assert len(asked[-1]) <= 5, name
    assert asked[0] != asked[1]
    assert {i.split("#")[0] for i in asked[0]} != {e.id for e in EXAMPLES[:5]}  # drawn, not first


def test_answers_that_are_all_cut_off_leave_no_pair(work):
    with pytest.raises(DataError, match="no pair is left") as caught:
        run_pairs(pairs(max_tokens=1, unfinished="drop"), work("pairs"))
    assert re.fullmatch(r"\d+ answer cut off(, \d+ empty answer)?", caught.value.found)
    assert sum(map(int, re.findall(r"\d+", caught.value.found))) == 24


@pytest.mark.parametrize(("settings", "rows"), [(sft, EXAMPLES), (dpo, PAIRS)])
def test_the_forecast_measures_and_leaves_nothing_behind(work, settings, rows):
    place = work("dry", rows)
    found = forecast(settings(steps=None, epochs=2, batch=5), place)
    assert (found["rows"], found["steps"], found["dropped"]) == (12, 5, 0)
    assert found["seconds"] > 0
    assert found["tokens_per_s"] > 0
    assert found["memory_mb"] > 100
    assert found["tokens_mean"] <= found["tokens_max"] < 256
    assert list(place.folder.iterdir()) == []


def test_a_reward_makes_pairs_of_the_best_and_the_worst_answer(work):
    place = work("pairs", PAIRS)
    given = {"reward": "brevity", "n": 6, "max_tokens": 8, "unfinished": "keep"}
    outputs = run_pairs(pairs(limit=None, **given), place)
    rows = list(read_rows(str(place.folder / outputs["rows"])))
    assert len(rows) == outputs["n"] > 0
    for row in rows:
        assert len(row.chosen) < len(row.rejected)
        assert row.metadata["reward_chosen"] == pytest.approx(-len(row.chosen) / 100)
    told = json.loads((place.folder / "rows.json").read_text())
    assert told["understood"].endswith("best against worst of the model's own")
    assert outputs["n"] + sum(told["dropped"].values()) == len(PAIRS)


def test_pairs_by_a_reward_need_two_answers_and_one_source(work):
    with pytest.raises(UsageError, match="a best and a worst answer need two"):
        run_pairs(pairs(reward="brevity", n=1), work("pairs"))
    with pytest.raises(UsageError, match="no such reward"):
        run_pairs(pairs(reward="brevty"), work("pairs"))
    with pytest.raises(UsageError, match="one of reward and reward_model"):
        run_pairs(pairs(reward="brevity", reward_model="data"), work("pairs"))


def test_sft_learns_the_better_answers_of_any_rows(work):
    rows = [
        PAIRS[0],
        Ranking(id="r", prompt=ask(1), responses=("best", "worse", "worst")),
        Feedback(id="up", prompt=ask(2), response="good", desirable=True),
        Feedback(id="down", prompt=ask(2), response="bad", desirable=False),
    ]
    place = work("sft", rows)
    assert run_train(sft(steps=1), place)["rows"] == 3
    told = json.loads((place.folder / "train.json").read_text())
    assert told["dropped"] == {"a thumb down": 1}
