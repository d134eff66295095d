"""Every name that togi logs is defined, and the page's colours can be read."""

import itertools
import json
import re
from pathlib import Path

import pytest

import togi
from togi.report.glossary import UNKNOWN
from togi.report.page import TEMPLATES, build
from togi.report.words import UNITS, WORDS, look_up
from togi.train.metrics import DEFINITIONS

SOURCES = Path(togi.__file__).parent
CSS = (TEMPLATES / "page.css").read_text(encoding="utf-8")


def logged_by_objectives() -> set[str]:
    """Return the measures' names in the source of align: "rewards/margins" and its like."""
    text = "\n".join(path.read_text() for path in (SOURCES / "align").glob("*.py"))
    return set(re.findall(r'"((?:rewards|logps|logits|kl)/\w+|token_accuracy)":', text))


def test_what_the_training_logs_is_defined():
    names = {name for name in DEFINITIONS if not name.endswith("/")} | logged_by_objectives()
    assert {"loss", "grad_norm", "rewards/margins", "logps/chosen", "token_accuracy"} <= names
    assert [name for name in sorted(names) if look_up(name) is None] == []


@pytest.mark.parametrize("seed", [0, 1])
def test_all_names_on_a_page_are_defined(fake_run, seed):
    text = build(fake_run(seed=seed)).read_text(encoding="utf-8")
    assert UNKNOWN not in text.replace(unknown_of(text, "period"), "")
    glossary = text[text.index('id="glossary"') :]
    for name in ("loss", "rewards/margins", "bits_per_byte", "effective_sample_size", "guard"):
        assert re.search(rf"<dt>{name}[ <]", glossary), name


def unknown_of(text: str, name: str) -> str:
    """Return the glossary's entry of a name that the made-up run does not define."""
    found = re.search(rf'<div id="word-{name}">.*?</div>', text, re.S)
    assert found
    return found[0]


def test_a_name_that_nobody_defines_is_shown_as_such(fake_run):
    folder = fake_run()
    path = next(folder.glob("steps/dpo-*/metrics.jsonl"))
    lines = [{**json.loads(line), "glorp/x": 1.0} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = build(folder).read_text(encoding="utf-8")
    assert UNKNOWN in unknown_of(text, "glorp-x")


def test_the_runs_own_definition_goes_before_ours(fake_run):
    folder = fake_run()
    path = next(folder.glob("steps/judge-*/scores.json"))
    scores = json.loads(path.read_text())
    scores["tasks"]["form"]["measures"] = {"score": {"definition": "OWN WORDS", "unit": "share"}}
    path.write_text(json.dumps(scores))
    assert "OWN WORDS" in unknown_of(build(folder).read_text(encoding="utf-8"), "score")


def test_definitions_are_sentences_and_units_belong_to_known_names():
    for name, word in WORDS.items():
        assert name == name.lower()
        assert " " not in name
        for text in filter(None, word):
            assert text[-1] == ".", name
    heads = {name.partition("/")[0] for name in WORDS}
    assert {name for name in UNITS if name not in WORDS and name not in heads} == set()


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    low, high = sorted([luminance(one), luminance(two)])
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_has_the_contrast_that_the_standard_says():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_all_text_can_be_read_against_what_lies_behind_it(scheme):
    block = re.findall(r":root \{(.*?)\}", CSS, re.S)[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", block))
    fronts, backs = ("ink", "soft", "accent"), ("paper", "wash")
    for front, back in itertools.product(fronts, backs):
        assert contrast(colours[front], colours[back]) >= 4.5, (front, back)
    assert contrast(colours["ink"], colours["accent-wash"]) >= 4.5


def test_every_colour_of_the_page_is_a_named_one():
    rules = re.sub(r":root \{.*?\}", "", CSS, flags=re.S)
    assert not re.search(r"#[0-9a-f]{3,8}\b|rgba?\(|hsla?\(", rules)
    for path in TEMPLATES.glob("*.jinja"):
        assert not re.search(r"(fill|stroke|color)=", path.read_text(encoding="utf-8")), path.name
