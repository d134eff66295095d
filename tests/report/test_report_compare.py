"""The page's parts on pairs of answers and on what changed, from what the steps really write."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
import shutil
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_report_page import Page

from togi.evaluate.asking import Asking
from togi.evaluate.changes import changes
from togi.evaluate.pairwise import LanguageJudge, compare
from togi.evaluate.rules import RULES
from togi.evaluate.tasks import Task
from togi.lm.base import Generated, Sampling, Scored
from togi.lm.exact import ExactModel
from togi.report.glossary import UNKNOWN
from togi.report.page import build
from togi.report.pairwise_samples import preferred
from togi.report.scatter import Spot, _spread, scatter_plot
from togi.rows.types import Sample

COSTS = {
    "sft": {"trainings": ["sft"], "tokens": 30000, "seconds": 75.0, "memory_mb": 1930.4,
            "trained_parameters": 921600},
    "dpo": {"trainings": ["sft", "dpo"], "tokens": 52000, "seconds": 130.0, "memory_mb": None,
            "trained_parameters": 921600},
}  # fmt: skip


@dataclass
class Says:
    """A model of known answers, and a judge that always takes the answer shown first."""

    name: str
    words: int = 3

    @property
    def fingerprint(self) -> str:
        return self.name

    def generate(self, prompts, sampling):
        empty = np.zeros(0, dtype=np.float32)
        texts = [" ".join(["<b>word"] * (self.words + len(p) % 4)) for p in prompts]
        return [[Generated(text, (), empty, "stop")] for text in texts]

    def score(self, contexts, continuations):
        table = {"A": -0.1, "B": -2.0, "C": -3.0}
        return [Scored((1,), np.array([table[t]], dtype=np.float32), False) for t in continuations]


def prompts(n: int, asking: Asking) -> Task:
    samples = tuple(
        Sample(id=f"p{i}", input=f"Say{'.' * (i % 7)}", target="ab", metadata={"t": i % 5})
        for i in range(n)
    )
    return Task(name="answers", kind="answer", samples=samples, asking=asking)


def finished(folder: Path, *steps: tuple[str, str]) -> Path:
    entries = [
        {"name": name, "use": f"evaluate.{name}", "hash": "0", "folder": place, "status": "done"}
        for name, place in steps
    ]
    told = {"name": "toy", "status": "done", "steps": entries}
    (folder / "run.json").write_text(json.dumps(told))
    return folder


def table(a: float, b: float, name: str) -> ExactModel:
    return ExactModel.from_table({"": {"a": a, "b": b, "": 1 - a - b}}, name=name)


def quiet(_: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> tuple[Path, dict, dict]:
    """A run with a pairwise judging of three models and a comparison of what changed."""
    folder = tmp_path_factory.mktemp("run")
    models = {name: Says(name, words) for name, words in (("base", 4), ("sft", 3), ("dpo", 4))}
    judges = {"shorter": RULES["shorter"], "small model": LanguageJudge(model=Says("first"))}
    pairs = compare(models, judges, prompts(40, Asking()), folder / "steps/pairwise-0", say=quiet)
    tuned = {
        "base": table(0.4, 0.3, "base"), "sft": table(0.6, 0.2, "sft"),
        "dpo": table(0.5, 0.3, "dpo"), "served": Says("served"),
    }  # fmt: skip
    asked = prompts(40, Asking(sampling=Sampling(max_tokens=8)))
    scored = {name: model for name, model in tuned.items() if name != "served"}
    responses = Task(name="responses", kind="bits_per_byte", samples=asked.samples)
    changed = changes(
        scored, asked, [responses], folder / "steps/changes-0", more={"costs": COSTS}, say=quiet
    )
    changes(tuned, asked, [], folder / "steps/served-0", more={"costs": {}}, say=quiet)
    finished(
        folder, ("pairwise", "steps/pairwise-0"), ("changes", "steps/changes-0"),
        ("changes", "steps/served-0"),
    )  # fmt: skip
    return folder, pairs, changed


@pytest.fixture(scope="module")
def text(compared) -> str:
    return build(compared[0]).read_text(encoding="utf-8")


def part(text: str, name: str) -> str:
    """Return one section of the page, as text without tags."""
    found = re.search(rf'<section id="{name}">.*?</section>', text, re.S)
    assert found
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", found[0])))


def rows_of(text: str, caption: str) -> dict[str, list[str]]:
    """Return a table's rows: first cell -> the others."""
    found = next(t for t in re.findall(r"<table.*?</table>", text, re.S) if f">{caption}<" in t)
    rows = {}
    for row in re.findall(r"<tr>.*?</tr>", found, re.S):
        cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)
        plain = [unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in cells]
        rows[plain[0]] = plain[1:]
    return rows


# --- the page as a whole --------------------------------------------------------------------------


def test_the_page_is_well_formed_and_defines_every_name(text: str):
    page = Page(text)
    assert not page.wrong
    assert not page.stack
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = {attrs["href"] for _, attrs in page.all("a")}
    assert targets <= {f"#{name}" for name in ids}
    assert UNKNOWN not in text
    levels = [int(tag[1]) for tag, _ in page.all("h1", "h2", "h3", "h4", "h5")]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_part_on_changes_is_there_only_where_something_was_compared(text: str, fake_run):
    assert '<a href="#changes">What changed</a>' in text
    sections = [attrs["id"] for _, attrs in Page(text).all("section")]
    assert sections[2:5] == ["guards", "changes", "data"]
    without = build(fake_run()).read_text(encoding="utf-8")
    assert "What changed" not in without


def test_answers_are_shown_and_never_obeyed(text: str):
    assert "<b>word" not in text
    assert "&lt;b&gt;word" in text


# --- pairs ----------------------------------------------------------------------------------------


def test_win_rates_and_biases_are_those_of_the_file(text: str, compared):
    _, pairs, _ = compared
    told = part(text, "measures")
    rows = rows_of(text, "shorter: win rates")
    entry = next(e for e in pairs["results"] if (e["judge"], e["after"]) == ("shorter", "sft"))
    cells = rows["sft over base"]
    assert cells[0].startswith(f"{entry['win_rate']['mean']:.2f}"[:4])
    assert cells[3:6] == [str(entry[key]) for key in ("wins", "ties", "losses")]
    assert cells[-1] == "better"
    assert rows_of(text, "small model: position bias")["sft over base"][0] == "0.500"
    assert "0.5 is even" in told
    assert "turned its verdict round with the order on up to 100.0 % of the prompts" in told
    assert "A rule prefers the answer of fewer characters." in told


def test_strengths_and_agreement_are_told(text: str, compared):
    told = part(text, "measures")
    assert "How far the judges agree" in told
    assert "shorter and small model" in told
    strengths = rows_of(text, "shorter: strengths over base")
    assert set(strengths) == {"model", "sft", "dpo"}
    # sft's answers are always shorter: it has no finite strength, and n is not to blame
    assert strengths["sft"][0] == strengths["dpo"][0] == "unknown"
    assert "a model that won or lost all has no finite one" in told


def test_pairs_stand_side_by_side_with_every_judges_word(text: str):
    told = part(text, "samples")
    assert "shorter prefers sft" in told
    assert "shorter: sft · small model: turned round" in told
    shown = re.search(r'<article id="samples-sft-over-base">.*?</article>', text, re.S)
    assert shown
    assert re.findall(r"<h5>(base|sft)", shown[0])[:2] == ["base", "sft"]
    assert "<ins>" in shown[0] or "<del>" in shown[0]


def test_two_verdicts_come_to_one():
    pair = ("a", "b")
    assert [preferred(c, pair) for c in ((1, 0.5), (0.5, 0.0), (0.5, 0.5), (0.0, 1.0))] == [
        "a", "b", "tie", "turned round",
    ]  # fmt: skip


# --- what changed ---------------------------------------------------------------------------------


def test_methods_stand_in_one_table(text: str, compared):
    _, _, changed = compared
    rows = rows_of(text, "What changed against the base")
    kl = changed["kl"]["sft"]["kl_answer"]
    assert rows["measure"] == ["sft − base", "dpo − base", "base"]
    assert f"{kl['mean']:.2f}"[:4] in rows["kl_answer"][0]
    assert "n 40" in rows["kl_answer"][0]
    assert rows["kl_answer"][2] == "–"
    assert rows["seconds"] == ["1 min 15 s", "2 min 10 s", "–"]
    assert rows["memory_mb"] == ["1,930", "unknown", "–"]
    words = changed["scores"]["base"]["answers"]["words"]
    assert rows["words"][2].startswith(f"{words['mean']:.2f} (")
    assert "responses: bits_per_byte" in rows
    told = part(text, "changes")
    assert "on 40 prompts with 1 answer to each, of at most 8 tokens" in told
    assert "dpo: sft, then dpo" in told
    assert "“i'm sorry”" in told


def test_an_unknown_divergence_is_called_so(text: str):
    told = part(text, "changes")
    assert "The divergence of served is unknown: its tokens are not known" in told
    assert "There is no measure of quality to draw against the cost" in told
    served = [t for t in re.findall(r"<table.*?</table>", text, re.S) if "served − base" in t]
    assert re.search(
        r"kl_answer</a></th>.*?>unknown</td>\s*<td[^>]*>–</td>\s*</tr>", served[0], re.S
    )


def test_the_scatter_is_described_and_each_point_can_be_reached_by_keys(text: str):
    found = re.findall(r'<svg role="group".*?</svg>\s*<p class="axis">', text, re.S)
    assert len(found) == 2
    for plot in found:
        name = re.search(r'aria-labelledby="(\S+) (\S+)"', plot)
        assert name
        for place in name.groups():
            assert re.search(rf'<(title|desc) id="{place}">[^<]+</', plot)
        points = re.findall(r'<g class="point" role="img" tabindex="0" aria-label="([^"]+)">', plot)
        assert [point.split(":")[0] for point in points] == ["sft", "dpo"]
    assert "sft: " in found[0]
    assert "at 1 min 15 s" in found[0]
    assert "at 30,000 tokens" in found[1]
    assert "lower is better" in text


def test_a_half_written_file_leaves_the_page_whole(compared, tmp_path: Path):
    folder = tmp_path / "run"
    shutil.copytree(compared[0], folder)
    for name in ("changes-0/changes.json", "pairwise-0/scores.json"):
        path = folder / "steps" / name
        whole = json.loads(path.read_text())
        for key in ("kl", "quality", "scores", "differences", "strengths", "answers"):
            whole.pop(key, None)
        path.write_text(json.dumps(whole))
    (folder / "steps/pairwise-0/samples.jsonl").write_text("{")
    page = Page(build(folder).read_text(encoding="utf-8"))
    assert not page.wrong
    (folder / "steps/changes-0/changes.json").write_text("{")
    assert "changes.json: " in Page(build(folder).read_text(encoding="utf-8")).text


# --- points ---------------------------------------------------------------------------------------


def test_a_scatter_by_hand():
    spots = [Spot("a", "r", 10.0, 1.0, 0.0, 2.0), Spot("b", "s", 0.0, -2.0, None, None, "bad")]
    plot = scatter_plot(spots, id="f", title="t", x_label="seconds", y_label="gain")
    a, b = plot.points
    assert a.x > b.x
    assert a.y < b.y  # the SVG's y points down
    assert a.low is not None
    assert a.high is not None
    assert a.high < a.y < a.low
    assert (b.low, b.kind, a.left, b.left) == (None, "bad", True, False)
    assert plot.level == a.low
    assert plot.description == "gain over seconds. a: r; b: s."


@given(st.lists(st.floats(0, 100), max_size=9))
def test_labels_never_touch_and_stay_on_the_page(places: list[float]):
    found = _spread(places)
    ordered = sorted(found)
    assert all(after - before >= 9 - 1e-9 for before, after in itertools.pairwise(ordered))
    assert all(place <= 98 for place in found)
    order = sorted(range(len(places)), key=lambda i: places[i])
    assert [found[i] for i in order] == ordered


# --- in a browser ---------------------------------------------------------------------------------


def browser():
    """The tools of the browser tests, loaded from their file."""
    path = Path(__file__).with_name("test_report_browser.py")
    spec = importlib.util.spec_from_file_location("test_report_browser", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_parts_fit_a_phone_and_a_desktop(compared, tmp_path: Path, width: int):
    tools = browser()
    if tools.BROWSER is None:
        pytest.skip("no browser on this machine")
    found = tools.measured(tmp_path, build(compared[0]), width)
    assert found["wide"] == []
    assert found["scroll"] <= width
    assert found["rising"]
    assert found["letters"] >= 12
