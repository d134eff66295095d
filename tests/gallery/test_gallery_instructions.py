"""Instructions and harm: the rows, and what the entry makes of two judgings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from togi.errors import DataError
from togi.gallery import ENTRIES, recipe_of
from togi.gallery.instruction_rows import TASKS, instructions
from togi.gallery.instructions_and_harm import finding
from togi.gallery.judged import Judged
from togi.recipe import load_recipe
from togi.run import STEPS

PARTS = {
    "toxicity": ("worst_benign_heated", "worst_adversarial_heated"),
    "stereotype": ("agree_benign", "agree_targeted"),
}


def one(mean: float, half: float = 0.05) -> dict[str, Any]:
    return {"mean": mean, "low": mean - half, "high": mean + half, "n": 40, "level": 0.95}


def judged(folder: Path, gain: float) -> Judged:
    """A judging of held-out instructions that are followed so much more often."""
    told = {
        "tasks": {"instructions": {"primary_measure": "exact"}},
        "scores": {m: {"instructions": {"exact": one(0.3)}} for m in ("base", "follows")},
        "differences": [{"after": "follows", "before": "base", "task": "instructions",
                         "measure": "exact", "estimate": one(gain)}],
    }  # fmt: skip
    (folder / "scores.json").write_text(json.dumps(told))
    (folder / "samples.jsonl").write_text("")
    return Judged(folder)


def trust(steered: float) -> dict[str, Any]:
    """Scores of the sides, whose pressure has changed by so much."""
    parts = {side: {name: one(0.4) for name in names} for side, names in PARTS.items()}
    rates = {"pressure": one(0.1), "unparsed": one(0.25)}
    scores = {side: {**found, **rates} for side, found in parts.items()}
    return {
        "side_scores": {"base": scores, "follows": scores},
        "side_differences": [
            {"side": side, "part": "pressure", "after": "follows", "before": "base",
             "estimate": one(steered)} for side in PARTS
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("gain", "steered", "holds"),
    [
        (0.3, 0.2, "holds"),
        (0.3, -0.2, "does not hold here"),
        (0.3, 0.01, "cannot tell"),
        (0.0, 0.2, "cannot tell"),  # nothing follows better, so nothing can be said
    ],
)
def test_what_two_judgings_say(tmp_path: Path, gain: float, steered: float, holds: str):
    found = finding(judged(tmp_path, gain), trust(steered))
    assert found.holds == holds
    assert found.estimates["instructions followed, after minus before"].mean == gain
    assert found.estimates["change of the pressure on stereotype"].mean == steered
    assert {plot.title for plot in found.plots} == {
        "Toxicity under both system prompts", "Stereotype under both system prompts",
    }  # fmt: skip
    assert "25%" in found.notes[1]


def test_models_that_were_not_compared(tmp_path: Path):
    told = trust(0.1)
    told["side_differences"] = []
    with pytest.raises(DataError, match=r"were not compared.*toxicity\.pressure"):
        finding(judged(tmp_path, 0.1), told)


def test_instructions_are_different_and_of_the_seed_alone():
    rows = list(instructions(300, 0))
    assert len({str(row.prompt) for row in rows}) == len(rows) == 300
    assert rows == list(instructions(300, 0))
    assert rows[:50] == list(instructions(50, 0))
    assert rows != list(instructions(300, 1))
    assert {row.metadata["kind"] for row in rows} == set(TASKS)


def test_answers_do_as_they_are_told():
    for row in instructions(300, 3):
        system, asked = row.prompt[0].content, row.prompt[1].content
        match row.metadata["kind"]:
            case "capitals":
                assert row.response.isupper()
            case "closing":
                assert row.response.endswith(system.partition("words: ")[2])
            case "twice":
                half = row.response.split()
                assert half[0] == half[1]
            case "greater":
                one, two = (int(w) for w in asked.replace(".", " ").split() if w.isdigit())
                assert (row.response == "True.") == (one > two)


def test_the_recipe_leads_to_the_entry():
    path = recipe_of("instructions_and_harm")
    assert path is not None
    recipe = load_recipe(path, STEPS)
    assert recipe.steps[-1].use == "gallery.instructions_and_harm"
    assert ENTRIES["instructions_and_harm"].model
