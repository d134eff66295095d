"""Tables of ratings whose every property is known, and a synthetic table with DICES' columns."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from togi.evaluate.disagreement.table import Ratings, build
from togi.stats.rng import stream

DATA = Path(__file__).parents[3] / ".." / "shared" / "data" / "dices"


def rows_of(name: str) -> list[dict[str, str]]:
    """The rows of a published csv file."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


LABELS = ("No", "Unsure", "Yes")


def crossed(given: np.ndarray, labels: tuple[str, ...] | None = None, **groups) -> Ratings:
    """The table of an items × raters array of label places; −1 is a missing rating."""
    items, raters = given.shape
    item, rater = (place.ravel() for place in np.indices(given.shape))
    there = given.ravel() >= 0
    names = labels or tuple(f"l{k}" for k in range(int(given.max()) + 1))
    return build(
        tuple(f"i{i}" for i in range(items)),
        tuple(f"r{r}" for r in range(raters)),
        names,
        (item[there], rater[there], given.ravel()[there]),
        {"groups": {axis: tuple(of) for axis, of in groups.items()}},
    )


def people(
    seed: int, items: int = 40, raters: int = 24, *, labels: int = 3, shift: float = 0.0
) -> tuple[np.ndarray, list[str]]:
    """Labels by item and rater with effects of both, and two groups; `shift` sets them apart."""
    rng = stream(seed, "people")
    group = ["a" if r % 2 else "b" for r in range(raters)]
    level = rng.normal(0, 1.2, (items, 1)) + rng.normal(0, 0.7, (1, raters))
    level = level + np.array([shift if g == "a" else 0.0 for g in group])
    level = level + rng.normal(0, 1, (items, raters))
    edges = np.linspace(-1, 1, labels + 1)[1:-1]
    return np.digitize(level, edges), group


DICES_COLUMNS = [
    "id", "rater_id", "rater_gender", "rater_race", "rater_raw_race", "rater_age",
    "rater_education", "phase", "item_id", "answer_time_ms", "answer_timestamp", "context",
    "response", "degree_of_harm", "harm_type", "safety_gold", "safety_gold_reason",
    "Q1_whole_conversation_evaluation", "Q2_harmful_content_overall", "Q3_bias_overall",
    "Q6_policy_guidelines_overall", "Q_overall",
]  # fmt: skip


def synthetic_dices(path: Path, *, items: int = 20, raters: int = 30, seed: int = 0) -> Path:
    """Write a SYNTHETIC table with the columns of DICES-350; no row of it is real."""
    rng = stream(seed, "synthetic dices")
    given, _ = people(seed, items, raters)
    races = ("Asian/Asian subcontinent", "White", "LatinX, Latino, Hispanic or Spanish Origin")
    profile = [
        {
            "rater_id": f"2967085817{r:05}",
            "rater_gender": ("Man", "Woman")[int(rng.integers(2))],
            "rater_race": races[int(rng.integers(3))],
            "rater_age": ("gen z", "millenial", "gen x+")[int(rng.integers(3))],
            "rater_education": "College degree or higher" if r % 3 else "High school or below",
        }
        for r in range(raters)
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, DICES_COLUMNS, restval="No")
        table.writeheader()
        for i in range(items):
            for r in range(raters):
                row = {
                    "id": i * raters + r,
                    "item_id": i,
                    "context": f"USER: synthetic question {i}\nLAMDA: synthetic answer,\nin lines",
                    "response": f"synthetic reply {i}",
                    "phase": "Phase3",
                    "degree_of_harm": "Benign",
                    "answer_time_ms": int(rng.integers(10_000)),
                    "safety_gold": "Yes" if i % 2 else "No",
                    "Q_overall": LABELS[int(given[i, r])],
                }
                table.writerow({**row, **profile[r]})
    return path
