"""Thresholded measures beside continuous ones: what is flagged, what is not, what is said."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import orjson
import pytest
from judge_toys import Saying, choices, quiet, texts

from togi.errors import UsageError
from togi.evaluate.asking import Asking, Measure
from togi.evaluate.columns import Column
from togi.evaluate.judge import judge
from togi.evaluate.kinds import TASK_KINDS
from togi.evaluate.matching import EXACT_MATCH
from togi.evaluate.mirage import mirage, on_scale, pairings
from togi.evaluate.scores import differences, rescore
from togi.evaluate.settings import JudgeSettings
from togi.evaluate.tasks import Task
from togi.lm.exact import ExactModel
from togi.stats.emergence import effective_length

MEASURES = EXACT_MATCH.measures(Asking())
BRIER = Measure(
    name="brier", unit="", higher_is_better=False, definition="", over="brier", span=2.0
)


def column(**numbers: np.ndarray) -> Column:
    n = len(next(iter(numbers.values())))
    whole = {name: np.asarray(values, dtype=np.float64) for name, values in numbers.items()}
    return Column(tuple(f"{i:06}" for i in range(n)), ("t",), None, whole)


def answers(exact: float, near: float, n: int = 200, seed: int = 0) -> Column:
    """Answers of which a share is exact, and whose similarity has a mean."""
    rng = np.random.default_rng(seed)
    hits = np.zeros(n)
    hits[rng.permutation(n)[: round(exact * n)]] = 1
    return column(exact=hits, similarity=np.clip(near + 0.05 * rng.standard_normal(n), 0, 1))


def told(table: dict[str, Column], series: tuple[str, ...] = (), measures=MEASURES) -> dict:
    names = list(table)
    facts = {"sums": {"measures": {m.name: _fields(m) for m in measures}}}
    keyed = {(name, "sums"): found for name, found in table.items()}
    found = differences(facts, [(name, names[0]) for name in names[1:]], keyed)
    return mirage({"sums": measures}, found, series, keyed)


def _fields(measure: Measure) -> dict:
    return {name: getattr(measure, name) for name in Measure.__dataclass_fields__}


# --- pairs and scales ---------------------------------------------------------------------------


def test_each_thresholded_measure_of_every_kind_names_a_partner_that_is_there():
    asking = Asking(check="docstring_format", likelihood=True)
    for name, kind in TASK_KINDS.items():
        for pair in pairings(kind.measures(asking)):
            assert pair.partner is not None, (name, pair.measure.name)
            assert not pair.partner.thresholded
            assert pair.measure.span == 1


def test_on_the_common_scale_one_is_better_whatever_the_direction():
    found = column(brier=np.array([0.0, 2.0]), exact=np.array([1.0, 0.0]))
    assert on_scale(BRIER, found).tolist() == [0, -1]
    assert on_scale(MEASURES[0], found).tolist() == [1, 0]


# --- a difference of two models -----------------------------------------------------------------


def test_a_jump_without_movement_is_flagged():
    (found,) = told({"before": answers(0.1, 0.7), "after": answers(0.5, 0.72, seed=1)})["jumps"]
    assert found["flagged"]
    assert found["change"]["mean"] == pytest.approx(0.4)
    assert found["partner_change"]["mean"] == pytest.approx(0.02, abs=0.02)
    assert "exact rose by 0.4 of its scale" in found["says"]
    assert found["says"].endswith("most of the jump is made by counting right or wrong")


def test_a_jump_in_which_both_move_is_none():
    (found,) = told({"before": answers(0.1, 0.3), "after": answers(0.5, 0.6, seed=1)})["jumps"]
    assert not found["flagged"]
    assert "counting" not in found["says"]


def test_a_fall_is_flagged_as_a_rise_is_and_the_order_of_models_does_not_matter():
    (fell,) = told({"before": answers(0.5, 0.72), "after": answers(0.1, 0.7, seed=1)})["jumps"]
    assert fell["flagged"]
    assert "exact fell by 0.4 of its scale" in fell["says"]


def test_small_and_undecided_differences_are_not_flagged():
    small = told({"before": answers(0.5, 0.7), "after": answers(0.56, 0.7, seed=1)})["jumps"][0]
    few = told({"before": answers(0.2, 0.7, 9), "after": answers(0.5, 0.7, 9, 1)})["jumps"][0]
    assert not small["flagged"]
    assert not few["flagged"]


def test_one_model_twice_has_no_jump():
    (found,) = told({"before": answers(0.4, 0.7), "after": answers(0.4, 0.7)})["jumps"]
    assert not found["flagged"]
    assert found["change"]["mean"] == 0


def test_unknown_values_are_said_and_not_flagged():
    lost = column(exact=np.full(30, math.nan), similarity=np.full(30, math.nan))
    (found,) = told({"before": lost, "after": lost})["jumps"]
    assert not found["flagged"]
    assert found["says"] == "exact has no value here"


# --- tokens -------------------------------------------------------------------------------------


def test_exact_answers_are_explained_by_their_tokens():
    """Three tokens of probability 1/2 each: 1/8 is expected, 1/4 counts as two free tokens."""
    measures = EXACT_MATCH.measures(Asking(likelihood=True))
    nats = np.full(8, 3 * math.log(2))
    one = column(
        exact=np.array([1, 1, 0, 0, 0, 0, 0, 0]), similarity=np.ones(8), target_nats=nats,
        target_tokens=np.full(8, 3), token_probability=np.full(8, 0.5),
    )  # fmt: skip
    (found,) = told({"before": one, "after": one}, measures=measures)["jumps"]
    tokens = found["tokens"]["after"]
    assert (tokens["p"], tokens["length"]) == (pytest.approx(0.5), 3)
    assert tokens["expected"] == pytest.approx(1 / 8)
    assert tokens["effective_length"] == pytest.approx(2)


# --- series -------------------------------------------------------------------------------------


def simulated(p: float, *, n: int, length: int, seed: int) -> Column:
    """Answers of independent tokens, each right with chance p (Schaeffer et al. 2023)."""
    right = np.random.default_rng(seed).random((n, length)) < p
    return column(exact=right.all(1).astype(float), similarity=right.mean(1))


LAW = [math.exp(-((scale / 1e6) ** -0.15)) for scale in (1e6, 1e7, 1e8, 1e9, 1e10)]


def test_p1_a_series_is_sharp_by_exact_match_and_not_by_tokens():
    table = {
        f"m{i}": simulated(p, n=20_000, length=10, seed=i) for i, p in enumerate(LAW)
    }  # fmt: skip
    (found,) = told(table, tuple(table))["series"]
    assert found["flagged"]
    assert found["says"].startswith("one step makes 64% of exact's rise or fall, 31% of similarity")
    assert found["says"].endswith("'s: the jump is made by the measure")
    assert not found["sides"]["partner"]["sharp"]
    # P3: exact match falls geometrically in the length; the token errors give it back.
    last = table["m4"].numbers["exact"].mean()
    assert effective_length(float(last), LAW[4]) == pytest.approx(10, rel=0.05)


def test_p2_few_items_hide_what_many_show_and_the_resolution_says_so():
    few, many = (simulated(LAW[1], n=n, length=10, seed=n) for n in (150, 50_000))
    assert few.numbers["exact"].sum() == 0
    assert many.numbers["exact"].sum() > 0
    (measure,) = told({"m": few})["measures"]
    assert (measure["n"], measure["resolution"]) == (150, 1 / 150)
    assert measure["unseen"] > many.numbers["exact"].mean() > 0
    assert (measure["measure"], measure["partner"]) == ("exact", "similarity")


def test_a_real_transition_is_not_explained_away():
    """Where the tokens themselves jump, as in grokking, the measure is not blamed."""
    table = {
        f"m{i}": simulated(p, n=2000, length=3, seed=i)
        for i, p in enumerate((0.10, 0.11, 0.12, 0.97, 0.98))
    }
    (found,) = told(table, tuple(table))["series"]
    assert not found["flagged"]
    assert found["says"].endswith("of similarity's: the measure does not explain the jump")


def test_noise_of_smooth_series_is_seldom_flagged():
    flags = []
    for seed in range(40):
        table = {
            f"m{i}": simulated(p, n=100, length=1, seed=100 * seed + i)
            for i, p in enumerate(np.linspace(0.1, 0.6, 5))
        }
        flags.append(told(table, tuple(table))["series"][0]["flagged"])
    assert sum(flags) <= 4


def test_two_models_are_no_series_and_unknown_ones_cannot_be_told():
    table = {f"m{i}": answers(0.5, 0.5, seed=i) for i in range(3)}
    assert told(table, ("m0", "m1"))["series"] == []
    table["m1"] = column(exact=np.full(200, math.nan), similarity=np.full(200, math.nan))
    (found,) = told(table, tuple(table))["series"]
    assert (found["flagged"], found["says"]) == (None, "exact: n too small to tell")


# --- whole --------------------------------------------------------------------------------------


def test_the_judging_writes_it_and_scoring_again_gives_the_same(tmp_path: Path):
    models = {
        "none": Saying(lambda _: "answer", fingerprint="a"),
        "some": Saying(lambda p: f"answer number {len(str(p)) % 2}", fingerprint="b"),
        "most": Saying(lambda p: f"answer number {int(str(p)[5:-1]) ** 2}", fingerprint="c"),
    }
    task = Task(name="squares", kind="exact_match", samples=texts(40))
    found = judge(models, [task], tmp_path, series=list(models), say=quiet)
    assert len(found["mirage"]["jumps"]) == 2
    assert found["mirage"]["jumps"][1]["change"]["mean"] == 1
    assert found["mirage"]["series"][0]["models"] == list(models)
    again = rescore(tmp_path)
    assert orjson.dumps(again["mirage"]) == orjson.dumps(found["mirage"])


def test_choices_are_held_against_brier(tmp_path: Path):
    models = {
        name: ExactModel.from_text(text, order=2)
        for name, text in (("one", "right wrong"), ("two", "right right right"))
    }
    found = judge(models, [choices(30)], tmp_path, say=quiet)
    pairs = {(one["measure"], one["partner"]) for one in found["mirage"]["measures"]}
    assert ("accuracy", "brier") in pairs
    assert all(one["n"] == 30 for one in found["mirage"]["measures"])


def test_a_series_of_unknown_models_is_refused(tmp_path: Path):
    task = Task(name="t", kind="exact_match", samples=texts(3))
    model = Saying(lambda _: "x")
    with pytest.raises(UsageError, match="names the model 'b'"):
        judge({"a": model}, [task], tmp_path, series=["a", "b"], say=quiet)
    asked = {"name": "t", "kind": "exact_match", "rows": "r"}
    with pytest.raises(UsageError, match=r"no model is called 'bass'.*did you mean 'base'"):
        JudgeSettings.model_validate(
            {"models": {"base": "base"}, "tasks": [asked], "series": ["bass"]}
        )
