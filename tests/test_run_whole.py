"""The bundled recipes, whole, on a tiny model: with the network cut, twice the same, and dry."""

from __future__ import annotations

import hashlib
import json
import socket
from io import StringIO
from pathlib import Path
from typing import Any

import lima_toys
import pytest
import saved_toys

from togi.commands.judging import Asked, run_compare, run_judge, try_task
from togi.commands.recipes import bundled, find_recipe
from togi.commands.runs import RunFlags
from togi.recipe import Recipe, load_recipe
from togi.run import STEPS, Outcome, run
from togi.run_dry import dry_run
from togi.voice import Voice

VERBS = ["Return", "Compute", "Find", "Count", "Make"]
NOUNS = ["the sum", "the mean", "all words", "each line", "the largest item", "a copy"]


def functions(folder: Path, modules: int, start: int) -> Path:
    """Write modules of functions with docstrings, no two alike."""
    folder.mkdir()
    for m in range(modules):
        parts = []
        for n in range(2):
            number = start + 2 * m + n
            verb, noun = VERBS[number % 5], NOUNS[number % 6]
            text = f"{verb} {noun} of the values, number {number}, as a plain number."
            parts.append(f'def f{number}(x):\n    """{text}"""\n    return x + {number}\n')
        (folder / f"m{m}.py").write_text("\n".join(parts))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, two folders of functions, talks and pairs."""
    folder = tmp_path_factory.mktemp("whole")
    saved_toys.save(saved_toys.llama(max_position_embeddings=1024), folder / "model")
    functions(folder / "target", 12, 0)
    functions(folder / "pool", 16, 1000)
    talks = [
        {"messages": [{"role": "user", "content": f"What is {n} and {n}?"},
                      {"role": "assistant", "content": f"The number is {2 * n}."}]}
        for n in range(20)
    ]  # fmt: skip
    pairs = [{"prompt": f"Say {n}", "chosen": f"number {n}", "rejected": "no"} for n in range(12)]
    lima_toys.several_sites(folder / "forum", {"cooking": 40, "travel": 12}, paragraphs=(1, 3))
    for name, rows in (("chats", talks), ("pairs", pairs)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def quickstart(place: Path) -> Recipe:
    words = [
        f"model={place / 'model'}",
        f"steps.pool.source=python:{place / 'pool'}",
        f"steps.stdlib.source=python:{place / 'target'}",
        *(f"steps.{pick}.{key}" for pick in ("dsir", "random") for key in ("k=12", "min_tokens=0")),
        *(
            f"steps.sft-{pick}.{key}"
            for pick in ("dsir", "random")
            for key in ("steps=2", "batch=4")
        ),
        "steps.pairs.limit=4",
        "steps.pairs.max_tokens=8",
        "steps.pairs.unfinished=keep",
        "steps.dpo.batch=4",
        "steps.judge.tasks.1.limit=2",
        "steps.judge.tasks.1.sampling.max_tokens=8",
        "steps.judge.tasks.2.limit=3",
        "steps.judge.tasks.3.limit=4",
        "steps.changes.limit=3",
        "steps.changes.max_tokens=8",
    ]
    return load_recipe(find_recipe("quickstart"), STEPS, words)


def own_data(place: Path) -> Recipe:
    words = [
        f"model={place / 'model'}",
        f"steps.talks.source={place / 'chats.jsonl'}",
        f"steps.choices.source={place / 'pairs.jsonl'}",
        "steps.sft.epochs=0.5",
        "steps.judge.tasks.1.limit=3",
        "steps.judge.tasks.2.limit=4",
    ]
    return load_recipe(find_recipe("own-data"), STEPS, words)


def lima(place: Path) -> Recipe:
    words = [
        f"model={place / 'model'}",
        f"steps.lima.source={place / 'forum'}",
        "steps.lima.k=24",
        "steps.lima.min_characters=300",
        "steps.lima.max_tokens=900",
        "steps.split.fraction=0.25",
        "steps.sft.epochs=0.5",
        "steps.sft.batch=4",
        "steps.sft.judge_every=2",
        "steps.sft.max_tokens=1024",
        "steps.judge.tasks.1.limit=3",
        "steps.judge.tasks.2.limit=4",
    ]
    return load_recipe(find_recipe("lima"), STEPS, words)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this process, name look-ups included."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def go(recipe: Recipe, folder: Path) -> Outcome:
    return run(recipe, folder, voice=Voice("quiet", StringIO()), offline=True)


def answers(folder: Path) -> dict[str, str]:
    """Digest what a run found: rows, adapters, judged samples, scores, the verdict."""
    wanted = {
        "rows.jsonl", "train.jsonl", "held_out.jsonl", "selection.json", "samples.jsonl",
        "scores.json", "verdict.json", "adapter_model.safetensors", "adapter_config.json",
    }  # fmt: skip
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.name in wanted and "checkpoints" not in path.parts
    }


def test_each_bundled_recipe_is_tested_here():
    assert set(bundled()) == {"quickstart", "own-data", "raters", "lima"}


@pytest.mark.usefixtures("no_network")
def test_offline_runs_with_the_network_cut_and_the_same_recipe_and_seed_give_the_same_run(
    place: Path, tmp_path: Path
):
    first = go(quickstart(place), tmp_path / "a")
    second = go(quickstart(place), tmp_path / "b")
    assert first.verdict is not None
    assert first.verdict["decision"] in {"accept", "reject", "cannot tell"}
    assert first.report is not None
    assert first.report.stat().st_size < 2_000_000
    found = answers(tmp_path / "a")
    assert len([name for name in found if name.endswith(".safetensors")]) >= 3
    assert found == answers(tmp_path / "b")
    assert first.verdict == second.verdict
    notes = json.loads((tmp_path / "a" / "run.json").read_text())
    assert [step["status"] for step in notes["steps"]] == ["done"] * 13


@pytest.mark.usefixtures("no_network")
def test_own_data_runs_offline_and_goes_on_after_a_change(place: Path, tmp_path: Path):
    out = StringIO()
    go(own_data(place), tmp_path / "run")
    run(own_data(place), tmp_path / "run", voice=Voice("plain", out), offline=True)
    assert out.getvalue().count("done before, nothing changed") == 8


@pytest.mark.usefixtures("no_network")
def test_raters_recipe_puts_a_model_beside_people(place: Path, tmp_path: Path):
    table = tmp_path / "ratings.csv"
    rows = [
        f"q{item},r{rater},{'Yes' if (item * rater) % 3 else 'No'},is {item} a number,{rater % 2}"
        for item in range(12) for rater in range(24)
    ]  # fmt: skip
    table.write_text("\n".join(["item,rater,label,text,side", *rows]))
    quick = ["permutations=200", "resamples=200", "splits=5", f"source={table}"]
    words = [f"steps.{step}.{word}" for step in ("people", "against") for word in quick]
    recipe = load_recipe(find_recipe("raters"), STEPS, [f"model={place / 'model'}", *words])
    outcome = go(recipe, tmp_path / "run")
    assert outcome.passed
    (found,) = (tmp_path / "run").glob("steps/against-*/raters.json")
    model = json.loads(found.read_text())["against"]["models"]["base"]
    assert model["items"] == 12
    assert model["scores"]["cross_entropy"]["mean"] > 0
    assert outcome.report is not None
    assert "base against the raters" in outcome.report.read_text(encoding="utf-8")


def test_lima_curates_a_forum_tunes_judges_and_decides(place: Path, tmp_path: Path):
    first = go(lima(place), tmp_path / "run")
    assert first.verdict is not None
    assert first.verdict["decision"] in {"accept", "reject", "cannot tell"}
    assert first.report is not None
    page = first.report.read_text(encoding="utf-8")
    assert "lima: what each rule let through" in page
    assert "not the best answer of its question" in page
    (told,) = (tmp_path / "run").glob("steps/lima-*/curation.json")
    curation = json.loads(told.read_text())
    assert (curation["k"], curation["kind"]) == (24, "stack_exchange")


@pytest.mark.usefixtures("no_network")
def test_a_dry_run_shows_plan_sample_mask_and_cost_and_leaves_nothing(place: Path, tmp_path: Path):
    out = StringIO()
    dry_run(quickstart(place), tmp_path / "run", STEPS, Voice("plain", out))
    said = out.getvalue()
    assert said.count("would run") == 13
    assert "⟦" in said
    assert "<|im_end|>⟧" in said  # the end-of-turn token carries loss
    assert "% of them trained" in said
    for step in ("sft-random", "sft-dsir", "dpo"):
        assert f"forecast of '{step}'" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("no_network")
def test_a_dry_run_forecasts_only_what_it_has_rows_for(place: Path, tmp_path: Path):
    out = StringIO()
    dry_run(lima(place), tmp_path / "run", STEPS, Voice("plain", out))
    said = out.getvalue()
    assert said.count("would run") == 5
    assert "no forecast of 'sft': its rows depend on steps that are not done yet" in said
    assert not (tmp_path / "run").exists()


def test_a_dry_run_of_a_done_run_has_nothing_to_say_but_the_plan(place: Path, tmp_path: Path):
    go(own_data(place), tmp_path / "run")
    out = StringIO()
    dry_run(own_data(place), tmp_path / "run", STEPS, Voice("json", out))
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert {event["done"] for event in events if event["event"] == "plan"} == {True}
    assert {event["event"] for event in events} == {"say", "plan"}


def test_a_dry_run_without_the_model_still_tells_the_plan(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TOGI_CACHE", str(tmp_path / "cache"))
    recipe = load_recipe(find_recipe("own-data"), STEPS)
    out = StringIO()
    dry_run(recipe, tmp_path / "run", STEPS, Voice("plain", out))
    assert out.getvalue().count("would run") == 8
    assert "togi fetch" in out.getvalue()


@pytest.mark.usefixtures("no_network")
def test_single_commands_judge_compare_and_try(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    asked = Asked(rows=str(place / "chats.jsonl"), kind="bits_per_byte", limit=4)
    flags = RunFlags(out=tmp_path / "judge", offline=True, quiet=True)
    assert run_judge(asked, ["base"], str(place / "model"), 0, flags) == 0
    said = capsys.readouterr().out
    assert "base  rows bits_per_byte: " in said
    assert "n 4)" in said
    flags = RunFlags(out=tmp_path / "compare", offline=True, quiet=True)
    models = {"before": "base", "after": "base"}
    assert run_compare(asked, models, str(place / "model"), 0, {}, flags) == 3  # no better
    capsys.readouterr()
    try_task(asked, "base", str(place / "model"), 0, offline=True)
    said = capsys.readouterr().out
    assert said.count("--- ") == 4
    assert "expected: The number is" in said
    assert "nats" in said
