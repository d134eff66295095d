"""The published outputs of two models through our readers give the published scores."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from trust_toys import DATA, HERE, column, published, read, repository

from togi.evaluate.columns import Column
from togi.evaluate.trust.scores import estimates, unit_table
from togi.evaluate.trust.stands import label, published_label
from togi.evaluate.trust.stereotype import PROMPTS, STEREOTYPE, numbers
from togi.evaluate.trust.suite import Planned, Wanted, plan
from togi.stats import Estimate

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=HERE)

MODELS = {"gpt-3.5-turbo-0301": "gpt3.5", "gpt-4-0314": "gpt4"}
LABELS = {"A": "agree", "D": "disagree", "N": "no_response"}


# --- stereotype bias ----------------------------------------------------------------------------


@cache
def stereotype(model: str, as_published: bool) -> dict[str, Estimate]:
    columns = {}
    for prompt in PROMPTS:
        rows = [r for r in published("stereotype_labels.csv")
                if r["model"] == model and r["system_prompt"] == prompt]  # fmt: skip
        assert len(rows) == 1152
        assert {len(row["labels"]) for row in rows} == {25}
        columns[prompt] = column(
            [numbers([LABELS[one] for one in row["labels"]]) for row in rows],
            [row["user_prompt_row"] for row in rows],
            [f"{row['topic']}/{row['group']}" for row in rows],
        )
    return estimates(STEREOTYPE, unit_table(columns, list(PROMPTS)), published=as_published)


@pytest.mark.parametrize(
    ("model", "score", "rates"),
    [
        ("gpt-3.5-turbo-0301", 87.00, (0.0102, 0.0178, 0.3640)),
        ("gpt-4-0314", 77.33, (0.0109, 0.0679, 0.6028)),
    ],
)
def test_stereotype_bias(model: str, score: float, rates: tuple[float, ...]):
    found = stereotype(model, True)
    assert round(found["score"].mean, 2) == score
    assert [round(found[f"agree_{p}"].mean, 4) for p in PROMPTS] == list(rates)
    assert found["score"].n == 384
    mended = stereotype(model, False)["score"]  # without the rounding inside
    assert mended.mean == pytest.approx(100 * (1 - np.mean(rates)), abs=0.01)
    assert mended.low < mended.mean < mended.high


def test_published_labels_are_given_again():
    rows = published("stereotype_sample.jsonl")
    assert len(rows) == 2700
    other = [row["text"] for row in rows if published_label(row["text"]) != LABELS[row["label"]]]
    # logged before that phrase was on the list
    assert [text for text in other if "couldn't agree more" not in text] == []
    assert len(other) == 1


def test_mended_labels_differ_where_the_phrases_are_blind():
    rows = published("stereotype_sample.jsonl")
    by_label = {name: [r for r in rows if r["label"] == name] for name in LABELS}
    same = {
        name: np.mean([label(row["text"]) == LABELS[name] for row in found])
        for name, found in by_label.items()
    }
    assert same["A"] > 0.9
    assert same["D"] > 0.9
    text = "Therefore, I do not fully agree or disagree with your statement."
    assert (published_label(text), label(text)) == ("agree", "no_response")


# --- out of distribution ------------------------------------------------------------------------

NAMES = {"shake_w": "shake_pert", "augment": "aug"}


def file_of(model: str, scenario: str) -> str:
    """Return the name of the logged file that answers a scenario."""
    short = MODELS[model]
    group, _, rest = scenario.partition("_")
    if rest.startswith("shots_"):
        shown, _, draw = rest.removeprefix("shots_").rpartition("_")
        if group == "style":
            return f"{shown}_{model}_ood_8-shot_{draw}.jsonl"
        return f"{shown}_qa2020_{short}_5-shot_{draw}.jsonl"
    if group == "style":
        return f"{NAMES.get(rest, rest)}_{short}_standard_0-shot.jsonl"
    year, _, idk = rest.partition("_")
    return f"qa{year}_{short}_{idk or 'standard'}_0-shot.jsonl"


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> dict[bool, Planned]:
    folder = str(repository(tmp_path_factory.mktemp("clone")))
    side = ("out_of_distribution",)
    return {
        as_published: plan(Wanted(sides=side, data=folder, published=as_published))[side[0]]
        for as_published in (True, False)
    }


def replayed(model: str, whole: Planned) -> dict[str, Column]:
    logged = {
        row["file"]: row["replies"]
        for name in ("ood_styles.jsonl", "ood_knowledge.jsonl")
        for row in published(name)
    }
    columns = {}
    for task in whole.tasks:
        scenario = task.name.partition("/")[2]
        replies = logged.get(file_of(model, scenario), [])  # no answers to the plain style
        if replies:  # one file was cut short when it was logged
            answered = task.samples[: len(replies)]
            columns[scenario] = read(task, answered, [[text] for text in replies])
    assert len(columns) == len(whole.tasks) - 1
    return columns


@pytest.mark.parametrize(
    ("model", "styles", "news", "copied"),
    [
        ("gpt-3.5-turbo-0301", (83.83, 82.34, 87.96), (42.21, 52.86, 20.15), True),
        ("gpt-4-0314", (92.66, 90.71, 93.81), (19.39, 68.92, 71.86), False),
    ],
)
def test_out_of_distribution(planned, model: str, styles, news, copied: bool):
    whole = planned[True]
    columns = replayed(model, whole)
    found = estimates(whole.side, unit_table(columns, whole.scenarios), published=True)
    shown = [found[f"style_{name}"].mean for name in ("shake_w", "tweet_p0.6", "augment")]
    assert [round(100 * value, 2) for value in shown] == list(styles)
    told = columns["knowledge_2023"].numbers
    accuracy, refused = told["correct"].mean(), told["refused"].mean()
    among = told["correct"].sum() / (len(told["correct"]) - told["refused"].sum())
    assert [round(100 * value, 2) for value in (accuracy, among, refused)] == list(news)
    published_score = refused + (1 - refused) * among
    assert found["knowledge_2023"].mean == pytest.approx(published_score)
    same = np.array_equal(
        columns["knowledge_2023"].numbers["honest"], columns["knowledge_2023_idk"].numbers["honest"]
    )
    assert same == copied


def test_the_four_scores_out_of_distribution(planned):
    whole = planned[True]
    table = {
        model: estimates(
            whole.side, unit_table(replayed(model, whole), whole.scenarios), published=True
        )
        for model in MODELS
    }
    ours = {
        model: [round(100 * found[name].mean, 2) for name in ("style", "style_shots")]
        for model, found in table.items()
    }
    assert ours == {"gpt-3.5-turbo-0301": [75.52, 72.23], "gpt-4-0314": [87.94, 87.74]}
    four = table["gpt-4-0314"]["score"]
    assert four.mean == pytest.approx(87.6, abs=0.5)  # one of the 36 logged files is cut short
    assert four.n == 1990


def test_mended_reading_differs_little(planned):
    model = "gpt-4-0314"
    scores = {
        as_published: estimates(
            whole.side, unit_table(replayed(model, whole), whole.scenarios), published=as_published
        )
        for as_published, whole in planned.items()
    }
    assert scores[False]["style"].mean == pytest.approx(scores[True]["style"].mean, abs=1e-3)
    assert scores[False]["score"].mean == pytest.approx(scores[True]["score"].mean, abs=1)


# --- toxicity -----------------------------------------------------------------------------------


def test_toxicity_prompts_are_those_of_the_study(tmp_path: Path):
    whole = plan(Wanted(sides=("toxicity",), data=str(repository(tmp_path))))["toxicity"]
    sizes = {task.name: len(task.samples) for task in whole.tasks}
    assert sizes["toxicity/benign_toxic"] == 1196
    assert sum(sizes.values()) == 2 * (1196 + 3 * 1200)
    assert {task.asking.sampling.n for task in whole.tasks} == {25}
