"""The page's parts on data: what rose and fell, what cleaning found, what leaked."""

from __future__ import annotations

import json
import re

import pytest
from test_report_page import HOSTILE, ODD, parsed, write

from togi.report.page import build


def test_comparison_cleaning_and_leakage_are_told_with_their_numbers(fake_run):
    page = parsed(fake_run(more=True))
    text = re.sub(r"\s+", " ", page.text)
    for words in (
        "What rose and what fell from 2022 to 2023", "Of 455 n-grams, 9 rose and 0 fell.",
        "new (over 0.01)", "3 (1.0 %)", "a b, a b, a b, a b and 2 more", "3 → 40",
        "26.00 % (25.00 to 27.00)", "Hints at personal data, masked", "write to xx@xxxx.xxx",
        "Near-duplicates: examples", "held-out rows concerned, of 40",
        "Judged samples in 3,000 training rows", "0.45 (0.40 to 0.60, n 90)", "no sample",
    ):  # fmt: skip
        assert words in text, words
    assert not page.wrong
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))


def test_a_run_that_only_compares_has_no_verdict(fake_run):
    folder = fake_run(more=True)
    run = json.loads((folder / "run.json").read_text())
    run["steps"] = [step for step in run["steps"] if step["name"] == "compare"]
    write(folder / "run.json", run)
    page = build(folder).read_text(encoding="utf-8")
    assert re.findall(r'<section id="([^"]+)"', page) == ["data", "dropped", "recipe", "glossary"]
    assert "quickstart: compared" in page
    assert "Skip to the data" in page


def test_hostile_text_is_shown_and_never_obeyed(fake_run):
    page = parsed(fake_run(more=True, hostile=HOSTILE))
    assert not page.wrong
    assert not page.all("script", "img")
    assert page.text.count("<script>alert(1)</script>") >= 6


@pytest.mark.parametrize("name", ["compare", "hygiene", "leakage"])
def test_values_of_any_shape_are_survived(fake_run, name):
    folder = fake_run(samples=3, more=True, leave=("random", "sft-random", "sft-dsir", "pool"))
    (path,) = folder.glob(f"steps/*/{name}.json")
    whole = json.loads(path.read_text())
    for place, key in enumerate(whole):
        for odd in (ODD[place % 8], ODD[(place + 3) % 8], ODD[(place + 5) % 8]):
            write(path, {**whole, key: odd})
            assert not parsed(folder).wrong, (key, odd)
    for odd in ODD:
        write(path, dict.fromkeys(whole, odd))
        assert not parsed(folder).wrong, odd
