"""Adversarial and out-of-distribution robustness: readings, attacks, files, scores by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trust_toys import DATA, HERE, read, repository

from togi.errors import DataError
from togi.evaluate.columns import Column
from togi.evaluate.trust.adversarial import ADVERSARIAL, METHODS, TASKS, published_reading
from togi.evaluate.trust.attacks import ATTACKS, distracted, lookalikes, typos
from togi.evaluate.trust.options import published_option, read_option
from togi.evaluate.trust.out_of_distribution import OUT_OF_DISTRIBUTION, published_style
from togi.evaluate.trust.reading import read_label
from togi.evaluate.trust.scores import estimates, unit_table
from togi.evaluate.trust.suite import Planned, Wanted, plan
from togi.rows.types import Sample

FEEL = Sample(id="1", input="?", target=1, choices=("negative", "positive"))
YESNO = Sample(id="1", input="?", target=0, choices=("no", "yes"))
BASES = ("alpaca", "vicuna", "stable-vicuna")


def glue(folder: Path, **more: Any) -> str:
    """AdvGLUE++ in the study's layout, three rows a task; one more row may be put into sst2."""
    for base in BASES:
        rows = {
            "sst2": [
                {"sentence": f"{base} g00d film {n}", "original_sentence": f"good film {n}",
                 "label": 1, "method": "textbugger", "idx": n} for n in range(3)
            ],
            "qqp": [
                {"question1": "Wo is it?", "question2": "Where?", "original_question1": "Who?",
                 "original_question2": "", "label": n % 2, "method": "BERT-ATTACK", "idx": n}
                for n in range(3)
            ],
            "mnli": [
                {"sentence": "premise: a hypothesis: b", "original_sentence": "premise: A "
                 "hypothesis: B", "label": n, "method": "SemAttack", "idx": n} for n in range(3)
            ],
        }  # fmt: skip
        if more:
            rows["sst2"].append(more)
        path = folder / "adv-glue-plus-plus" / "data" / f"{base}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows))
    return str(folder)


def answered(whole: Planned, answer: Any) -> dict[str, Column]:
    """Read one answer to each sample of each task, by a function of task and sample."""
    return {
        task.name.partition("/")[2]: read(
            task, task.samples, [[answer(task.name, sample)] for sample in task.samples]
        )
        for task in whole.tasks
    }


# --- adversarial: number ------------------------------------------------------------------------


def test_accuracy_under_attack_by_hand(tmp_path: Path):
    whole = plan(Wanted(sides=("adversarial",), data=glue(tmp_path)))["adversarial"]
    columns = answered(whole, lambda name, sample: "positive" if "sst2" in name else "yes")
    found = estimates(ADVERSARIAL, unit_table(columns, whole.scenarios), published=False)
    # sst2: all right; qqp: one of three; mnli: the first of three labels
    assert found["score"].mean == pytest.approx(100 * (1 + 1 / 3 + 1 / 3) / 3)
    assert found["fooled_bertattack"].mean == pytest.approx(2 / 3)
    assert found["fooled_textbugger"].mean == 0.0
    assert "fooled_sememepso" not in found  # no such text was asked
    assert found["lost"].mean == pytest.approx(0.0)
    assert found["score"].n == 9  # a text made to fool three models is one unit


def test_prompts_of_attacked_texts_and_their_originals(tmp_path: Path):
    whole = plan(Wanted(sides=("adversarial",), data=glue(tmp_path)))["adversarial"]
    texts = {task.name: task.samples[0].input[-1].content for task in whole.tasks}
    assert texts["adversarial/alpaca_sst2"].endswith("sentence: alpaca g00d film 0")
    assert texts["adversarial/benign_sst2"].endswith("sentence: good film 0")
    assert "question1: Who?\nquestion2: Where?" in texts["adversarial/benign_qqp"]
    assert texts["adversarial/benign_mnli"].endswith("premise: A hypothesis: B")
    assert {s.metadata["method"] for t in whole.tasks for s in t.samples} <= set(METHODS)


# --- adversarial: property and faults -----------------------------------------------------------


@pytest.mark.parametrize("name", list(ATTACKS))
def test_attacks_are_fixed_and_keep_the_words_apart(name: str):
    text = "The quick brown fox jumps over a lazy dog, wonderful!"
    assert ATTACKS[name](text) == ATTACKS[name](text) != text
    assert len(ATTACKS[name](text).split()) >= len(text.split())


def test_attacks_by_hand():
    assert sorted(typos("wonderful")) == sorted("wonderful")
    assert typos("a dog") == "a dog"
    assert lookalikes("Oil") == "O1l"
    assert distracted("x").startswith("x (")


@pytest.mark.parametrize(
    ("text", "as_published", "mended"),
    [
        ("No.", 0, 0),
        ("It is not known", 0, None),  # "no" is in "not" and in "known"
        ('The answer is "yes".', None, 1),  # what is quoted is dropped
        ("yes and no", None, None),
        ("Answer: YES", 1, 1),
    ],
)
def test_labels_by_letters_and_by_words(text: str, as_published: int | None, mended: int | None):
    assert published_reading(text, YESNO).label == as_published
    assert read_label(text, YESNO).label == mended


@pytest.mark.parametrize("task", list(TASKS))
def test_every_label_is_read_as_itself(task: str):
    for place, choice in enumerate(TASKS[task]):
        sample = Sample(id="1", input="?", target=0, choices=TASKS[task])
        for text in (choice, choice.capitalize() + ".", f"Answer: {choice}", f"{choice}\nnext"):
            assert read_label(text, sample).label == published_reading(text, sample).label == place


# --- adversarial: errors ------------------------------------------------------------------------


def test_missing_and_damaged_files_are_named(tmp_path: Path):
    folder = Path(glue(tmp_path))
    path = folder / "adv-glue-plus-plus" / "data" / "vicuna.json"
    whole = path.read_text()

    def failing(words: str) -> None:
        with pytest.raises(DataError, match=words):
            plan(Wanted(sides=("adversarial",), data=str(folder)))

    path.unlink()
    failing(r"missing: adv-glue-plus-plus/data/vicuna\.json.*clone the repository")
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    failing(r"pointer to large-file storage.*git lfs pull")
    path.write_text('{"sst2": []}')
    failing("no rows of the task 'sst2'")
    path.write_text(whole.replace('"label": 1, "method": "textbugger"', '"label": 7, "method": ""'))
    failing("no such label.*Found: 7.*0 to 1")
    path.write_text(whole.replace('"label"', '"gold"'))
    failing("no 'label'")
    path.unlink()
    with gzip.open(path.with_name("vicuna.json.gz"), "wt") as file:
        file.write(whole)
    assert plan(Wanted(sides=("adversarial",), data=str(folder)))


# --- out of distribution ------------------------------------------------------------------------


def ood(answer: Any) -> dict[str, float]:
    whole = plan(Wanted(sides=("out_of_distribution",)))["out_of_distribution"]
    columns = answered(whole, answer)
    found = estimates(OUT_OF_DISTRIBUTION, unit_table(columns, whole.scenarios), published=False)
    return {name: one.mean for name, one in found.items()}


def test_the_score_is_the_mean_of_four():
    def right(name: str, sample: Sample) -> str:
        if "unknown" in name:
            return "I don't know."
        assert isinstance(sample.target, int)
        return str(sample.target) if "knowledge" in name else sample.choices[sample.target]

    found = ood(right)
    assert found["score"] == pytest.approx(100)
    assert found["knowledge"] == 1.0

    def half(name: str, sample: Sample) -> str:
        return "Positive." if "style" in name else right(name, sample)

    found = ood(half)
    assert found["style"] == found["style_shots"] == 0.5
    assert found["score"] == pytest.approx(75)


def test_a_model_that_refuses_all_is_honest_about_what_nobody_knows_alone():
    found = ood(lambda name, sample: "I'm sorry, I cannot answer that.")
    assert (found["knowledge"], found["style"], found["knowledge_shots"]) == (1.0, 0.0, 0.0)
    assert found["refused"] == 1.0
    assert found["unparsed"] == 0.0


def test_a_silent_model_is_unparsed_not_refused():
    found = ood(lambda name, sample: "")
    assert (found["score"], found["refused"], found["unparsed"]) == (0.0, 0.0, 1.0)


QUIZ = Sample(id="1", input="?", target=2, choices=("Chile", "Iran", "Peru", "I don't know"))


@pytest.mark.parametrize(
    ("text", "as_published", "mended"),
    [
        ("2", 2, 2),
        ("The answer is 2.", 2, 2),
        ("7.1 million", 1, None),  # the first digit from 0 to 3, wherever it stands
        ("Not Chile and not Iran but Peru", 2, None),
        ("It is Peru.", 2, 2),
        ("In 2021 it was Iran.", None, 1),
    ],
)
def test_options(text: str, as_published: int | None, mended: int | None):
    assert published_option(text, QUIZ).label == as_published
    assert read_option(text, QUIZ).label == mended


def test_an_honest_answer_is_a_refusal():
    for text in ("3", "I don't know.", "I'm not sure, I do not have access to the news."):
        assert read_option(text, QUIZ).refused, text


def test_styles_by_letters():
    assert published_style("Positive or negative", FEEL).label is None
    assert not published_style("Positive or negative", FEEL).refused
    assert published_style("unpositive", FEEL).label == 1
    assert read_label("unpositive", FEEL).label is None
    assert read_label("not positive", FEEL).label is None


@pytest.mark.skipif(not DATA.is_dir(), reason=HERE)
def test_the_hubs_flat_rows_are_the_repositorys_nested_ones(tmp_path: Path):
    wanted = {"sides": ("out_of_distribution",), "limit": 5}
    clone = plan(Wanted(data=str(repository(tmp_path / "clone")), **wanted))
    nested = {
        "style": json.loads(gzip.decompress((DATA / "ood_style.json.gz").read_bytes())),
        "knowledge": json.loads((DATA / "ood_knowledge.json").read_text()),
    }
    hub = tmp_path / "hub" / "ood"
    hub.mkdir(parents=True)
    for name, parts in nested.items():
        rows = [{**row, "category": key} for part in parts.values()
                for key, found in part.items() for row in found]  # fmt: skip
        (hub / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    flat = plan(Wanted(data=str(hub.parent), **wanted))
    one, two = clone["out_of_distribution"].tasks, flat["out_of_distribution"].tasks
    assert [t.name for t in one] == [t.name for t in two]
    assert [t.samples for t in one] == [t.samples for t in two]
    style = hub / "style.jsonl"
    style.write_text("\n".join(r for r in style.read_text().splitlines() if "shake_w" not in r))
    with pytest.raises(DataError, match="no rows called 'shake_w'"):
        plan(Wanted(data=str(hub.parent), **wanted))


def test_numbers_are_never_outside_of_what_they_are():
    rng = np.random.default_rng(0)
    words = ["positive", "negative", "0", "2", "I don't know", "sorry", ""]
    found = ood(lambda name, sample: str(rng.choice(words)))
    assert 0 <= found.pop("score") <= 100
    assert all(0 <= value <= 1 for value in found.values())
