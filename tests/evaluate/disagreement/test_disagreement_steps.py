"""`evaluate.raters` as a recipe's step: its files, its models, its refusals, always the same."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rater_toys import DATA, people, synthetic_dices

from togi.errors import DataError, RecipeError, UsageError
from togi.evaluate.disagreement.predictions import read_predictions
from togi.evaluate.disagreement.steps import RatersSettings, run_raters
from togi.recipe import parse_recipe
from togi.rows.read import read_rows
from togi.rows.types import Sample
from togi.run import STEPS
from togi.stats.alpha import krippendorff
from togi.step import Work

QUICK = {"permutations": 200, "resamples": 200, "splits": 10}
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the published data are not here")


def analysed(folder: Path, source: str, **settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the step; its outputs and what `raters.json` holds."""
    folder.mkdir(parents=True, exist_ok=True)
    work = Work(folder=folder, seed=3, name="raters", model="", say=lambda _: None)
    outputs = run_raters(RatersSettings(source=source, **{**QUICK, **settings}), work)
    return outputs, json.loads((folder / "raters.json").read_text())


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> str:
    return str(synthetic_dices(tmp_path_factory.mktemp("data") / "d.csv", items=24, raters=40))


@pytest.fixture(scope="module")
def done(source: str, tmp_path_factory) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    folder = tmp_path_factory.mktemp("done")
    return folder, *analysed(folder, source, cross=[["gender", "age"]])


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_files_and_outputs(done):
    folder, outputs, told = done
    for name in ("raters", "items", "people", "groups", "model_eval", "rows"):
        assert (folder / outputs[name]).is_file(), name
    assert set(STEPS["evaluate.raters"].outputs) <= set(outputs)
    assert outputs["n"] == 24 * 40 == told["sizes"]["ratings"]
    assert told["positive"] == "Yes"
    assert any(note.startswith("alpha (nominal): ") for note in outputs["notes"])


def test_items_hold_what_the_counts_say(done):
    folder, _, told = done
    lines = read_lines(folder / "items.jsonl")
    assert len(lines) == 24
    counts = np.array([list(line["counts"].values()) for line in lines])
    assert told["agreement"]["alpha"]["mean"] == pytest.approx(krippendorff(counts))
    for line, row in zip(lines, counts, strict=True):
        assert line["n"] == row.sum() == 40
        assert line["shares"]["Yes"] == pytest.approx(row[2] / 40)
        assert line["contested"] == (row.max() / 40 < 2 / 3 - 1e-12)
        assert line["positive"]["low"] < line["shares"]["Yes"] < line["positive"]["high"]
        assert set(line["groups"]) == {"gender", "race", "age", "education", "gender × age"}
        assert 0 <= line["uqs"] <= 1
        assert sum(line["mace"].values()) == pytest.approx(1)
        assert line["gold"] in ("Yes", "No")
    entropies = [line["entropy"] for line in told["most_contested"]]
    assert entropies == sorted(entropies, reverse=True)
    share = told["items"]["contested"]
    assert share["mean"] == pytest.approx(np.mean([line["contested"] for line in lines]))


def test_raters_and_groups(done):
    folder, _, told = done
    raters = read_lines(folder / "raters.jsonl")
    assert len(raters) == 40
    assert all(0 <= line["competence"] <= 1 and line["n"] == 24 for line in raters)
    with (folder / "groups.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    listed = [g for axis in told["groups"]["axes"] for g in axis["groups"]]
    assert [row["group"] for row in rows] == [group["group"] for group in listed]
    assert float(rows[0]["irr"]) == pytest.approx(listed[0]["irr"]["mean"])
    assert "LatinX, Latino, Hispanic or Spanish Origin" in {row["group"] for row in rows} | {
        name for axis in told["groups"]["axes"] for name in axis["small"]
    }


def test_the_unsure_label_is_told_both_ways(done):
    codings = {one["coding"]: one for one in done[2]["codings"]}
    assert list(codings) == ["as it is", "Unsure counts as No", "Unsure counts as Yes"]
    as_is, as_yes = (
        codings[name]["positive"]["mean"] for name in ("as it is", "Unsure counts as Yes")
    )
    assert as_yes > as_is


def test_soft_labels_are_rows_that_judging_reads(done):
    folder, outputs, _ = done
    rows = [row for row in read_rows(str(folder / outputs["rows"])) if isinstance(row, Sample)]
    assert len(rows) == 24
    assert rows[0].choices == ("No", "Unsure", "Yes")
    assert sum(rows[0].metadata["counts"]) == 40
    assert sum(rows[0].metadata["distribution"]) == pytest.approx(1)


def test_the_same_seed_gives_the_same_files(source: str, tmp_path: Path):
    for name in ("one", "two"):
        analysed(tmp_path / name, source)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_merging_labels_changes_alpha_and_shares(source: str, tmp_path: Path):
    _, told = analysed(tmp_path, source, merge={"Unsure": "Yes"})
    assert told["labels"] == ["No", "Yes"]
    assert told["codings"] == []


# --- models -------------------------------------------------------------------------------------


def predictions_of(folder: Path, kind: str) -> str:
    """A model that knows the raters, one that does not, in one of three shapes."""
    rng = np.random.default_rng(0)
    rows = []
    for line in read_lines(folder / "items.jsonl"):
        known = list(line["shares"].values())
        rows += [
            ("knows", line["item"], known),
            ("guesses", line["item"], list(rng.dirichlet([1] * 3))),
        ]
    path = folder / f"p-{kind}.jsonl"
    labels = ("No", "Unsure", "Yes")
    shapes = {
        "list": lambda m, i, p: {"model": m, "item_id": i, "probabilities": p},
        "object": lambda m, i, p: {
            "model": m, "item": int(i), "probs": dict(zip(labels[::-1], p[::-1], strict=True))
        },
        "columns": lambda m, i, p: {"model": m, "id": i, **dict(zip(labels, p, strict=True))},
    }  # fmt: skip
    path.write_text("".join(json.dumps(shapes[kind](*row)) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("kind", ["list", "object", "columns"])
def test_models_are_judged_against_the_raters(done, source: str, tmp_path: Path, kind: str):
    _, told = analysed(tmp_path, source, predictions=predictions_of(done[0], kind))
    knows, guesses = (told["against"]["models"][name] for name in ("knows", "guesses"))
    assert knows["scores"]["js"]["mean"] == pytest.approx(0, abs=1e-9)
    assert knows["scores"]["cross_entropy"]["mean"] < guesses["scores"]["cross_entropy"]["mean"]
    assert knows["above_people"]["js"]["mean"] < 0 < guesses["above_people"]["js"]["low"]
    assert knows["rank_correlation"]["mean"] == pytest.approx(1)
    assert knows["majority"]["mean"] == pytest.approx(1)
    axis = next(axis for axis in guesses["groups"] if axis["axis"] == "gender")
    level = {g: found["cross_entropy"]["mean"] for g, found in axis["groups"].items()}
    assert axis["gap"]["mean"] == pytest.approx(level[axis["worst"]] - level[axis["best"]])
    assert axis["gap"]["mean"] >= 0
    stats = json.loads((tmp_path / "model_eval.json").read_text())["stats"]
    assert {line["model"] for line in stats} == {"people", "knows", "guesses"}
    assert any(line["sub_split"].startswith("gender=") for line in stats)


WRONG = {
    "sum": ({"item": "0", "probabilities": [0.5, 0.2]}, r"p.jsonl line 1: the probabilities do"),
    "three": ({"item": "0", "probabilities": [0.5, 0.2, 0.3]}, r"line 1: not a distribution"),
    "labels": ({"item": "0", "probabilities": {"a": 1}}, r"names other labels.*Expected: No, Yes"),
    "none": ({"item": "0", "x": 1}, r"no probabilities were found.*, or one for each"),
    "item": ({"thing": "0", "probabilities": [1, 0]}, r"no column for the item was found"),
    "other": ({"item": "zz", "probabilities": [1, 0]}, r"no prediction is about a rated item"),
    "text": ({"item": "0", "probabilities": "half"}, r"'probabilities' is no JSON"),
    "number": ({"item": "0", "No": "x", "Yes": "y"}, r"a probability is no number"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_predictions_are_told(tmp_path: Path, case: str):
    row, words = WRONG[case]
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=words):
        read_predictions(str(path), ["0", "1"], ["No", "Yes"])


def test_a_second_prediction_of_an_item_is_refused(tmp_path: Path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"item": "0", "probabilities": [1, 0]}\n' * 2)
    with pytest.raises(DataError, match=r"line 2: a model predicts an item twice"):
        read_predictions(str(path), ["0"], ["No", "Yes"])


# --- thin tables and refusals -------------------------------------------------------------------


@needs_data
def test_counts_alone_have_no_groups_and_no_raters(tmp_path: Path):
    outputs, told = analysed(tmp_path, str(DATA / "davidson_labeled_data.csv.gz"), splits=2)
    assert (told["groups"], told["quality"]) == (None, None)
    assert told["sizes"]["raters"] is None
    assert "people" not in outputs
    assert told["positive"] == "neither"
    assert told["agreement"]["alpha"]["n"] == 24_783
    # of three raters one predicts two: all that he can say is a vote, so a vote loses nothing
    loss = told["against"]["vote_above_people"]["cross_entropy"]
    assert -0.06 < loss["mean"] < 0


def test_one_item_and_constant_labels(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("item,rater,label\na,1,x\na,2,y\na,3,x\n")
    _, told = analysed(tmp_path / "one", str(path))
    assert told["agreement"]["alpha"]["low"] is None
    path.write_text("item,rater,label\na,1,x\na,2,x\nb,1,x\nb,2,x\n")
    _, told = analysed(tmp_path / "same", str(path), labels=["x", "y"])
    assert told["agreement"]["alpha"]["mean"] is None
    assert told["agreement"]["reason"] == "all ratings are the same label: 0/0"
    assert told["items"]["unanimous"]["mean"] == 1


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"level": "ordinal", "columns": {"label": "word"}}, UsageError, r"words have no order"),
        (
            {"level": "interval", "labels": ["lo", "hi"], "columns": {"label": "word"}},
            UsageError,
            r"wants numbers",
        ),
        ({"positive": "Yess"}, UsageError, r"no label is called 'Yess'"),
        ({"merge": {"Unsre": "Yes"}}, UsageError, r"did you mean"),
        ({"cross": [["sex"]]}, UsageError, r"a crossing wants two axes"),
        ({"cross": [["sex", "rase"]]}, UsageError, r"no group 'rase'"),
        ({"raters": "paper"}, UsageError, r"known of dices:350 only"),
        ({"source": "nowhere.csv"}, DataError, r"no such file or folder"),
    ],
)
def test_wrong_settings_are_told(tmp_path: Path, settings, kind, words):
    given_labels, group = people(0, items=6, raters=8)
    rows = [
        {"item": i, "rater": r, "label": ["No", "Unsure", "Yes"][given_labels[i, r]],
         "word": "hi" if given_labels[i, r] else "lo", "sex": group[r]}
        for i in range(6) for r in range(8)
    ]  # fmt: skip
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(kind, match=words):
        analysed(tmp_path / "run", **{"source": str(path), **settings})


def test_the_recipe_refuses_misspelt_settings():
    text = "steps: [{name: r, use: evaluate.raters, source: a.csv, permutation: 10}]"
    with pytest.raises(RecipeError, match="did you mean 'permutations'"):
        parse_recipe(text, STEPS)


def test_ordinal_levels_use_the_order_given(tmp_path: Path):
    path = tmp_path / "t.csv"
    words = ["low", "mid", "high"]
    given_labels, _ = people(1, items=20, raters=6)
    body = "".join(f"i{i},r{r},{words[given_labels[i, r]]}\n" for i in range(20) for r in range(6))
    path.write_text("item,rater,label\n" + body)
    _, told = analysed(tmp_path / "a", str(path), level="ordinal", labels=words)
    counts = np.stack([(given_labels == k).sum(axis=1) for k in range(3)], axis=1)
    assert told["agreement"]["alpha"]["mean"] == pytest.approx(krippendorff(counts, "ordinal"))
    _, other = analysed(tmp_path / "b", str(path), level="ordinal", labels=["mid", "low", "high"])
    assert not math.isclose(
        other["agreement"]["alpha"]["mean"], told["agreement"]["alpha"]["mean"], rel_tol=1e-3
    )
