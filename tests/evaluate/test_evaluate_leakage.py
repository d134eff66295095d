"""Leakage into a judging: planted samples are found, and the scores without them are by hand."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from judge_toys import Saying, quiet

from togi.errors import DataError
from togi.evaluate.judge import judge
from togi.evaluate.leakage import LeakageSettings, run_leakage
from togi.evaluate.scores import read_scores
from togi.evaluate.tasks import Task
from togi.rows.types import Document, Message, Row, Sample
from togi.rows.write import write_rows
from togi.step import Work

LEAKED = 8


def question(i: int) -> str:
    words = " ".join(f"w{i}x{k}" for k in range(20))
    return f"Question number {i} is about {words}, is it not?"


def samples(prefix: str = "s") -> tuple[Sample, ...]:
    return tuple(
        Sample(id=f"{prefix}{i}", input=(Message("user", question(i)),), target="yes")
        for i in range(20)
    )


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """Two models on 20 questions: the tuned one knows the leaked ones by heart and few others."""
    folder = tmp_path / "judge"
    folder.mkdir()

    def knows(numbers):
        return lambda prompt: "yes" if _number(prompt) in numbers else "no"

    models = {
        "base": Saying(knows({0, 10, 11, 12}), fingerprint="b"),
        "tuned": Saying(knows({*range(LEAKED), 10, 11, 12}), fingerprint="t"),
    }
    task = Task(name="asked", kind="exact_match", samples=samples())
    other = Task(name="clean", kind="exact_match", samples=(
        Sample(id="c", input="Something else entirely?", target="no"),
        Sample(id="d", input="And another thing?", target="no"),
    ))  # fmt: skip
    judge(models, [task, other], folder, comparisons=[("tuned", "base")], say=quiet)
    return folder


def _number(prompt) -> int:
    text = prompt if isinstance(prompt, str) else prompt[-1].content
    return int(text.split()[2]) if text.startswith("Question") else -1


def leaked(root: Path, judged: Path, rows: list[Row], **settings):
    folder = root / "leakage"
    folder.mkdir()
    write_rows(root / "train.jsonl", rows)
    inputs = {
        "judge": {"scores": str(judged / "scores.json")},
        "train": {"rows": str(root / "train.jsonl")},
    }
    said: list[str] = []
    work = Work(folder=folder, seed=0, name="leak", model="", inputs=inputs, say=said.append)
    outputs = run_leakage(LeakageSettings(scores="judge", against=["train"], **settings), work)
    return orjson.loads((folder / "leakage.json").read_bytes()), outputs, said


def train(changed: bool = False) -> list[Row]:
    rows: list[Row] = [Document(id=f"own{i}", text=f"a text of its own {i}") for i in range(30)]
    for i in range(LEAKED):
        text = question(i)
        if changed:  # every twelfth word differs, so that no thirteen stand in a row
            words = text.split()
            words[6::12] = ["other"] * len(words[6::12])
            text = " ".join(words)
        rows.append(Document(id=f"leak{i}", text=f"seen before: {text}"))
    return rows


def test_planted_samples_are_found_and_scores_without_them_are_by_hand(tmp_path, judged) -> None:
    told, outputs, said = leaked(tmp_path, judged, train())
    asked = told["tasks"]["asked"]
    assert outputs["overlapping"] == asked["overlapping"] == LEAKED
    assert asked["rows"] == LEAKED
    assert {one["sample"]: one["row"] for one in asked["examples"]} == {
        f"s{i}": f"leak{i}" for i in range(5)
    }
    assert "task asked: 8 of 20 samples stand in 8 of 38 training rows" in said
    assert told["tasks"]["clean"]["overlapping"] == 0
    measure = next(iter(told["scores"]["tuned"]["asked"]))
    tuned = told["scores"]["tuned"]["asked"][measure]
    assert [tuned[part]["mean"] for part in ("all", "without", "overlapping")] == [
        11 / 20, 3 / 12, 1.0,
    ]  # fmt: skip
    assert [tuned[part]["n"] for part in ("all", "without", "overlapping")] == [20, 12, 8]
    assert told["scores"]["base"]["asked"][measure]["without"]["mean"] == 3 / 12
    gain = next(one for one in told["differences"] if one["task"] == "asked")
    assert gain["all"]["estimate"]["mean"] == pytest.approx(7 / 20)
    assert gain["without"]["estimate"]["mean"] == 0
    assert told["scores"]["base"]["clean"][measure]["overlapping"] is None


def test_all_samples_are_scored_as_the_judging_scored_them(tmp_path, judged) -> None:
    told, _, _ = leaked(tmp_path, judged, train())
    scores, _ = read_scores(judged)
    for model, tasks in scores["scores"].items():
        for task, measures in tasks.items():
            found = {name: parts["all"] for name, parts in told["scores"][model][task].items()}
            assert found == measures


def test_disturbed_text_is_found_only_when_fuzzy(tmp_path, judged) -> None:
    told, _, _ = leaked(tmp_path, judged, train(changed=True), fuzzy=0.3, fuzzy_words=5)
    assert told["tasks"]["asked"]["overlapping"] == LEAKED
    assert list(told["tasks"]["asked"]["reasons"]) == [
        "holds most of a held-out text, in runs of 5 words"
    ]
    (tmp_path / "exact").mkdir()
    told, _, _ = leaked(tmp_path / "exact", judged, train(changed=True), fuzzy=None)
    assert told["tasks"]["asked"]["overlapping"] == 0


def test_where_every_sample_leaked_nothing_is_left_to_score(tmp_path, judged) -> None:
    rows = [Document(id=str(i), text=question(i)) for i in range(20)]
    told, _, _ = leaked(tmp_path, judged, rows)
    parts = next(iter(told["scores"]["base"]["asked"].values()))
    assert parts["without"] is None
    assert parts["overlapping"] == parts["all"]
    gain = next(one for one in told["differences"] if one["task"] == "asked")
    assert gain["without"] is None


def test_an_unfinished_judging_is_refused(tmp_path, judged) -> None:
    (judged / "scores.json").unlink()
    with pytest.raises(DataError, match="there is no finished judging here"):
        leaked(tmp_path, judged, train())
