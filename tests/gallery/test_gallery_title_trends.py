"""The gallery's title trends: the slide's twenty bigrams, by the published counts and by titles."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from togi.errors import DataError, UsageError
from togi.gallery.title_trends import FELL, ROSE, TESTED, TITLES, Settings, run
from togi.step import Work

DATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "neurips_trends"
SIX = ["language models", "diffusion models", "large language", "text to", "diffusion model",
       "to image"]  # fmt: skip


def found(root: Path, **settings) -> dict:
    work = Work(folder=root, seed=0, name="title_trends", model="", offline=True)
    assert run(Settings(**settings), work)["holds"] == "does not hold here"
    return json.loads((root / "finding.json").read_text())


def test_six_of_twenty_survive_by_the_counts_alone(tmp_path: Path) -> None:
    told = found(tmp_path)
    assert told["values"]["survive"] == SIX
    assert "6 of the 20 survive correction for 455 tests" in told["measured"]
    assert "0 of the falling ones" in told["measured"]
    points = told["estimates"]["reinforcement learning, points"]
    assert points["low"] < 0 < points["high"]
    assert points["mean"] == pytest.approx(100 * (166 / 3584 - 161 / 2900))
    assert set(told["plots"][0]["series"]) == {"said to rise", "said to fall", "needed to survive"}


@pytest.mark.skipif(not DATA.is_dir(), reason="the published counts are not beside the repository")
def test_the_counts_are_the_published_ones() -> None:
    with (DATA / "title_2gram_counts.csv").open() as file:
        rows = {(row["ngram"], row["year"]): int(row["titles"]) for row in csv.DictReader(file)}
    for name, counts in {**ROSE, **FELL}.items():
        assert counts == (rows[name, "2022"], rows[name, "2023"])
    with (DATA / "year_totals.csv").open() as file:
        totals = {row["year"]: int(row["titles"]) for row in csv.DictReader(file)}
    assert (totals["2022"], totals["2023"]) == TITLES
    names = {name for name, year in rows if year in ("2022", "2023")}
    both = [rows.get((name, "2022"), 0) + rows.get((name, "2023"), 0) for name in names]
    assert sum(n >= 10 for n in both) == TESTED


def test_titles_of_ones_own_are_counted_and_corrected(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.csv"
    one.write_text("".join(f"Neural Networks for task {i}\n" for i in range(200)))
    two.write_text("title\n" + "".join(f"Large Language Models of kind {i}\n" for i in range(300)))
    told = found(tmp_path, before=str(one), after=str(two))
    assert told["values"]["survive"] == ["language models", "large language", "neural networks"]
    assert told["values"]["titles"] == [200, 300]
    assert (
        "2 (language models, large language) of the rising ones and 1 (neural networks) of"
        in (told["measured"])
    )
    assert "Counted in 200 and 300 titles." in told["notes"]


def test_faults_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give both 'before' and 'after'"):
        Settings(before="x.txt")
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("one title\nanother title\n")
    with pytest.raises(DataError, match="none of the twenty bigrams stands in these titles"):
        found(tmp_path, before=str(tmp_path / "a.txt"), after=str(tmp_path / "b.txt"))
