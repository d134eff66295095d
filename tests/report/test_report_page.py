"""The page as a whole: its structure, what it says of broken and unfinished runs, its size."""

import itertools
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from togi.errors import DataError
from togi.report.page import CONTENTS, OPTIONAL, build, summary

VOID = {"meta", "link", "br", "img", "input", "hr"}
HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7*7 }}"
    " \u202eabc\x00\ud800 \x1b[2J"
)


def write(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")


class Page(HTMLParser):
    """Keeps the tags in order, with the text below each, and checks that they are nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.below: dict[str, list[str]] = {}
        self.stack: list[str] = []
        self.wrong: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if self.stack:
            self.below.setdefault(self.stack[-1], []).append(tag)
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if "style" not in self.stack:
            self.text += data

    def all(self, *names):
        return [(tag, attrs) for tag, attrs in self.tags if tag in names]


def parsed(folder) -> Page:
    return Page(build(folder).read_text(encoding="utf-8"))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_tags_are_nested_and_all_ids_are_unique(fake_run, seed):
    page = parsed(fake_run(seed=seed))
    assert not page.wrong
    assert not page.stack
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) > 40
    assert len(ids) == len(set(ids))
    targets = {attrs["href"] for _, attrs in page.all("a")}
    assert targets <= {f"#{name}" for name in ids}


def test_nothing_comes_from_outside_and_there_is_no_script(fake_run):
    text = build(fake_run()).read_text(encoding="utf-8")
    page = Page(text)
    assert not page.all("script", "iframe", "object", "embed", "form", "base")
    for _, attrs in page.tags:
        assert "src" not in attrs
        assert attrs.get("href", "#").startswith(("#", "data:,"))
        assert not [name for name in attrs if name.startswith("on")]
    assert not re.search(r"https?:|@import|url\(", text)


def test_the_headings_step_down_one_at_a_time(fake_run):
    levels = [int(tag[1]) for tag, _ in parsed(fake_run()).all("h1", "h2", "h3", "h4", "h5")]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_parts_come_in_the_promised_order(fake_run):
    page = parsed(fake_run())
    sections = [attrs["id"] for _, attrs in page.all("section")]
    assert sections == [name for name in CONTENTS if name not in OPTIONAL]
    assert sections[0] == "verdict"


def test_every_figure_is_named_described_and_told_in_a_table(fake_run):
    text = build(fake_run()).read_text(encoding="utf-8")
    figures = re.findall(r"<figure.*?</figure>", text, re.S)
    assert len(figures) > 20
    for figure in figures:
        name = re.search(r'role="img" aria-labelledby="(\S+) (\S+)"', figure)
        assert name, figure[:200]
        for place in name.groups():
            assert re.search(rf'<(title|desc) id="{place}">[^<]+</', figure)
    page = Page(text)
    roles = [attrs for tag, attrs in page.all("svg") if attrs.get("class") != "holder"]
    assert len(roles) == len(figures)
    for model in ("base", "random", "dsir", "dpo"):
        assert re.search(rf'<th scope="row">\s*{model}\s*</th>', text)


def test_tables_have_captions_and_scroll_in_a_box_that_keys_can_reach(fake_run):
    text = build(fake_run()).read_text(encoding="utf-8")
    boxes = re.findall(r'<div class="scroll" role="region" tabindex="0" aria-label="[^"]+">', text)
    assert len(boxes) == text.count("<table") == text.count("<caption") > 10


def test_the_verdict_stands_first_with_its_numbers(fake_run):
    text = re.sub(r"\s+", " ", parsed(fake_run()).text)
    head = text[text.index("Verdict: ") :]
    assert head.startswith("Verdict: Accept Docstrings improved by 0.27 bits per byte")
    for part in ("Before", "After", "Difference", "better", "n 40", "p, adjusted p", "< 0.001"):
        assert part in head[:1200]


def test_the_numbers_of_the_page_are_those_of_the_files(fake_run):
    folder = fake_run(seed=3)
    scores = json.loads(next(folder.glob("steps/judge-*/scores.json")).read_text())
    score = scores["scores"]["dsir"]["docstrings"]["bits_per_byte"]
    found = parsed(folder).text
    assert f"{score['low']:.3f} to {score['high']:.3f}" in found
    assert f"{score['mean']:.3f}" in found


def test_hostile_text_is_shown_and_never_obeyed(fake_run):
    folder = fake_run(hostile=HOSTILE)
    text = build(folder).read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<img" not in text
    assert "{{ 7*7 }}" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "⟨U+202E⟩abc⟨U+0000⟩" in text
    for letter in ("\u202e", "\x00", "\x1b"):
        assert letter not in text


def test_the_summary_is_short_and_holds_no_control_letters(fake_run):
    folder = fake_run()
    told = json.loads((folder / "steps/verdict-000000000000/verdict.json").read_text())
    told["sentence"] = "Cannot tell:\nlines\x1b[2J"
    told |= {"decision": "cannot tell", "collect_more": 1200, "reasons": ["r"] * 30}
    told["guards"] *= 30
    write(folder / "steps/verdict-000000000000/verdict.json", told)
    lines = summary(folder).splitlines()
    assert len(lines) <= 25
    assert lines[0] == "Verdict: CANNOT TELL"
    assert "\x1b" not in "".join(lines)
    assert "  Collect about 1,200 more samples to tell." in lines
    assert "  … and 25 more" in lines
    assert lines[-1] == f"Report: {folder / 'report.html'}"
    assert any(line.lstrip().startswith("Difference") and " better" in line for line in lines)


STEPS = ["target", "pool", "random", "dsir", "sft-random", "sft-dsir", "dpo", "judge", "verdict"]


@pytest.mark.parametrize("done", range(len(STEPS) + 1))
def test_an_unfinished_run_says_what_is_missing(fake_run, done):
    page = parsed(fake_run(leave=tuple(STEPS[done:])))
    text = re.sub(r"\s+", " ", page.text)
    assert ("No verdict yet" in text) == (done < len(STEPS))
    assert ("Nothing has been trained yet." in text) == (done <= 4)
    assert ("No model has been judged yet." in text) == (done <= 7)
    if done < len(STEPS):
        assert f"{done + 1} of 10 steps are done" in text  # the export is done in any case
    assert not page.wrong


def test_a_run_cut_short_in_the_middle_of_its_files_is_still_shown(fake_run):
    folder = fake_run()
    for name in ("metrics.jsonl", "samples.jsonl"):
        for path in folder.glob(f"steps/*/{name}"):
            path.write_text(path.read_text()[:-20])
    (folder / "steps/dsir-000000000000/selection.json").write_text('{"method": "ds')
    page = parsed(folder)
    assert "Some files could not be read" in page.text
    assert "1 unreadable line left out" in page.text
    assert "dsir-000000000000/selection.json" in page.text


def test_a_step_of_unknown_kind_is_told_with_outputs_and_settings(fake_run):
    text = build(fake_run()).read_text(encoding="utf-8")
    assert "lm.export" in text
    assert "drift" in text
    assert "deep.er" in text


def test_undefined_values_are_never_zero(fake_run):
    folder = fake_run()
    path = next(folder.glob("steps/judge-*/scores.json"))
    scores = json.loads(path.read_text())
    unknown = {"mean": 0.5, "low": None, "high": None, "n": 1, "level": 0.95}
    scores["scores"]["dpo"]["docstrings"]["bits_per_byte"] = unknown
    nothing = dict.fromkeys(("mean", "low", "high"), float("nan")) | {"n": 0}
    scores["differences"][0] |= {"estimate": nothing, "p_value": None, "better": None}
    write(path, scores)
    text = parsed(folder).text
    assert "0.5 · n too small" in text
    assert "n too small · cannot tell" in text
    assert "nan" not in text.lower()


ODD = (None, [], {}, "odd", 7, [None, 3], {"a": None}, True)


@pytest.mark.parametrize("name", ["verdict", "scores", "selection", "train", "rows", "run"])
def test_values_of_any_shape_are_survived(fake_run, name):
    folder = fake_run(samples=3, leave=("random", "sft-random", "sft-dsir", "pool"))
    (path,) = [*folder.glob(f"steps/*/{name}.json"), *folder.glob(f"{name}.json")]
    whole = json.loads(path.read_text())
    for place, key in enumerate(whole):
        for odd in (ODD[place % 8], ODD[(place + 3) % 8], ODD[(place + 5) % 8]):
            write(path, {**whole, key: odd})
            assert not parsed(folder).wrong, (key, odd)
    for odd in ODD:
        write(path, dict.fromkeys(whole, odd))
        assert not parsed(folder).wrong, odd


def test_a_big_run_stays_small_and_says_what_it_shows(fake_run):
    folder = fake_run(samples=400)
    path = build(folder)
    assert path.stat().st_size < 1_000_000
    assert "8 of 400 samples" in re.sub(r"\s+", " ", Page(path.read_text()).text)


def test_long_samples_are_cut_with_a_count_and_the_page_stays_below_two_megabytes(fake_run):
    folder = fake_run(samples=60, hostile="&<word> " * 4000)
    path = build(folder)
    assert path.stat().st_size < 2_000_000
    assert "more characters)" in path.read_text()


def test_a_folder_without_a_run_is_a_users_mistake(tmp_path):
    with pytest.raises(DataError, match="no run to report on"):
        build(tmp_path / "nothing")
    (tmp_path / "run.json").write_text("{broken")
    with pytest.raises(DataError, match=r"run\.json"):
        build(tmp_path)


def test_finished_steps_are_found_without_run_json(fake_run):
    folder = fake_run()
    (folder / "run.json").unlink()
    page = parsed(folder)
    assert "Accept" in page.text
    assert "lm.export" in page.text


def test_building_again_gives_the_same_page_and_leaves_no_draft(fake_run):
    folder = fake_run()
    first = build(folder).read_bytes()
    assert build(folder).read_bytes() == first
    beside = ["model-card.md", "report.csv", "report.html", "report.json"]
    left = sorted(path.name for path in folder.iterdir())
    assert left == [*beside, "run.json", "steps"]


def test_importing_the_report_brings_in_nothing_heavy():
    heavy = ["torch", "transformers", "matplotlib", "pyarrow", "numba", "scipy", "jinja2", "numpy"]
    code = f"import sys, togi.report.page; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
