"""The page's part on raters: what `evaluate.raters` writes is what stands there, and no more."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from togi.evaluate.disagreement.steps import RatersSettings, run_raters
from togi.report.glossary import UNKNOWN
from togi.report.page import build
from togi.report.raters import sections
from togi.step import Work


def table(path: Path, *, groups: bool = True, hostile: str = "") -> str:
    rng = np.random.default_rng(0)
    rows = []
    for item in range(12):
        for rater in range(24):
            row = {
                "item": f"i{item}{hostile}", "rater": f"r{rater}",
                "label": ["No", "Unsure", "Yes"][int(rng.integers(3))],
                "text": f"SECRET text {item}{hostile}",
            }  # fmt: skip
            rows.append({**row, "sex": "fm"[rater % 2] + hostile} if groups else row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def made(folder: Path, source: str, **settings) -> tuple[str, dict]:
    """A run of one raters step; its page and its numbers."""
    place = folder / "steps/raters-0"
    place.mkdir(parents=True)
    work = Work(folder=place, seed=0, name="raters", model="", say=lambda _: None)
    quick = {"permutations": 200, "resamples": 200, "splits": 5}
    run_raters(RatersSettings(source=source, **{**quick, **settings}), work)
    step = {"name": "raters", "use": "evaluate.raters", "hash": "0", "folder": "steps/raters-0",
            "status": "done"}  # fmt: skip
    (folder / "run.json").write_text(json.dumps({"name": "toy", "status": "done", "steps": [step]}))
    text = build(folder).read_text(encoding="utf-8")
    return text, json.loads((place / "raters.json").read_text())


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> tuple[str, dict]:
    folder = tmp_path_factory.mktemp("run")
    return made(folder, table(folder / "t.jsonl"))


def test_ratings_alone_come_without_a_verdict(page):
    text, _ = page
    assert "<title>toy: disagreement of raters · togi</title>" in text
    assert '<section id="raters" class="first">' in text
    assert 'id="verdict"' not in text
    assert UNKNOWN not in text


def test_numbers_reach_the_page_with_their_intervals(page):
    text, told = page
    alpha = told["agreement"]["alpha"]
    shown = re.search(r'α, these raters</text>\s*<text class="reading"[^>]*>([^<]+)<', text)
    assert shown is not None
    number, low = re.findall(r"[−\d.]+", shown[1])[:2]
    assert float(number.replace("−", "-")) == pytest.approx(alpha["mean"], abs=2e-3)
    assert float(low.replace("−", "-")) == pytest.approx(alpha["low"], abs=2e-3)
    axis = told["groups"]["axes"][0]
    assert f"{100 * axis['explained']:.1f} % of the disagreement within items" in text
    assert "Groups of sex" in text
    assert "What the unsure label does" in text


def test_bars_add_up_and_texts_stand_behind_a_click(page):
    text, told = page
    bars = re.findall(r'<span class="shares"[^>]*>(.*?)</span>', text)
    assert len(bars) == len(told["most_contested"]) == 12
    for bar in bars:
        widths = [float(width) for width in re.findall(r"width:([\d.]+)%", bar)]
        assert sum(widths) == pytest.approx(100, abs=0.05)
    outside = re.sub(r"<details.*?</details>", "", text, flags=re.DOTALL)
    assert "SECRET" in text
    assert "SECRET" not in outside
    assert "may offend" in text


def test_hostile_names_are_shown_not_obeyed(tmp_path: Path):
    hostile = '<script>alert(1)</script>"&\u202e'
    text, _ = made(tmp_path, table(tmp_path / "t.jsonl", hostile=hostile))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_without_groups_and_with_a_broken_file(tmp_path: Path):
    text, _ = made(tmp_path, table(tmp_path / "t.jsonl", groups=False))
    assert "Groups of raters" not in text
    path = tmp_path / "steps/raters-0/raters.json"
    whole = json.loads(path.read_text())
    for key in list(whole):
        path.write_text(json.dumps({k: v for k, v in whole.items() if k != key}))
        assert build(tmp_path).is_file(), key
    path.write_text("{")
    assert "raters.json" in build(tmp_path).read_text(encoding="utf-8")


def test_models_stand_beside_people(tmp_path: Path):
    rows = [{"item": f"i{i}", "model": "m<1>", "probabilities": [0.2, 0.2, 0.6]} for i in range(12)]
    predictions = tmp_path / "p.jsonl"
    predictions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text, told = made(tmp_path, table(tmp_path / "t.jsonl"), predictions=str(predictions))
    assert "m&lt;1&gt; against the raters" in text
    assert "Whom a model is nearest to" in text
    assert told["against"]["models"]["m<1>"]["items"] == 12
    assert callable(sections)
