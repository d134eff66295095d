"""The entries on tuning: what their findings say, when they hold, and small runs of them."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from tests.saved_toys import llama, quiet, save
from togi.gallery import (
    dpo_separable,
    kto_thumbs,
    lima_curve,
    lora_forgets_less,
    mezo_memory,
    mezo_runs,
    nf4_error,
    rlhf_frontier,
)
from togi.gallery.rlhf_frontier import Played, Policy
from togi.lm.local import load_local
from togi.stats import Estimate


def sure(mean: float) -> Estimate:
    return Estimate(mean, mean - 0.01, mean + 0.01, 100)


class Scores:
    """Stands for a judging: each model's score in each task; differences have narrow intervals."""

    def __init__(self, **scores: dict[str, float]) -> None:
        self.scores = scores

    def score(self, model: str, task: str) -> Estimate:
        return sure(self.scores[task][model])

    def difference(self, after: str, before: str, task: str) -> Estimate:
        return sure(self.scores[task][after] - self.scores[task][before])


def work(tmp_path, **more):
    known = {"name": "entry", "folder": tmp_path, "seed": 0, "say": quiet, "offline": True}
    return SimpleNamespace(**{**known, **more})


@pytest.mark.parametrize(
    ("kto", "expected"),
    [(0.8, "holds"), (0.79, "holds"), (0.6, "does not hold here"), (0.77, "cannot tell")],
)
def test_thumbs_match_pairs_by_their_margin(kto, expected):
    bits = {"base": 1.4, "sft": 1.1, "dpo": 1.2, "kto": 1.15}
    form = {"base": 0.2, "sft": 0.5, "dpo": 0.8, "kto": kto}
    found = kto_thumbs.finding(Scores(docstrings=bits, format=form))
    assert found.holds == expected
    assert found.estimates["rules met, KTO minus SFT"].mean == pytest.approx(kto - 0.5)
    assert found.estimates["bits per byte, DPO minus KTO"].mean == pytest.approx(0.05)


def test_lora_forgets_less_is_judged_at_each_one_s_better_setting():
    learnt = {"base": 1.4, "lora-8": 1.2, "lora-64": 1.15, "full-2e-5": 1.25, "full-1e-4": 1.05}
    kept = {"base": 0.9, "lora-8": 0.92, "lora-64": 0.93, "full-2e-5": 0.91, "full-1e-4": 1.1}
    found = lora_forgets_less.finding(Scores(docstrings=learnt, general_text=kept))
    assert (found.holds, found.values) == ("holds", {"full": "full-1e-4", "lora": "lora-64"})
    learnt["full-1e-4"] = 1.3  # full learns less than LoRA now, and forgets as much
    kept["full-2e-5"] = 0.9
    found = lora_forgets_less.finding(Scores(docstrings=learnt, general_text=kept))
    assert found.holds == "does not hold here"


@pytest.mark.parametrize(
    ("many", "narrow", "expected"),
    [(1.09, 1.15, "holds"), (0.9, 1.15, "does not hold here"), (1.09, 1.1, "cannot tell")],
)
def test_lima_wants_little_of_more_and_much_of_diversity(many, narrow, expected):
    scores = {
        "base": 1.4, "n-20": 1.2, "n-80": 1.1, "n-320": many, "narrow-80": narrow,
        "mixed-80": 1.2, "diverse-80": 1.1,
    }  # fmt: skip
    found = lima_curve.finding(Scores(docstrings=scores))
    assert found.holds == expected
    assert found.estimates["gain of diversity: random against narrow"].mean == pytest.approx(
        narrow - 1.1
    )


def world(*, ppo: float, dpo: float) -> Played:
    def short(by: float) -> Policy:
        return Policy(kl=1.0, reward=2.0 - by, best=2.0)

    wrong = [Policy(1, 1.5, 2), Policy(2, 1.0, 2), Policy(3, 0.5, 2), Policy(4, 0.2, 2)]
    return Played([short(ppo)] * 4, [short(dpo)] * 4, [short(0.05)] * 7, wrong, wrong)


@pytest.mark.parametrize(
    ("ppo", "dpo", "expected"), [(0.3, 0.1, "holds"), (0.1, 0.3, "does not hold here")]
)
def test_the_frontier_compares_shortfalls(ppo, dpo, expected):
    played = [world(ppo=ppo + d, dpo=dpo) for d in (-0.02, -0.01, 0.0, 0.01, 0.02)]
    found = rlhf_frontier.finding(played, None)
    assert found.holds == expected
    assert found.estimates["PPO's shortfall minus DPO's"].mean == pytest.approx(ppo - dpo)
    assert found.estimates["true reward lost to the wrong one, from its peak"].mean == (
        pytest.approx(1.3)
    )


@pytest.mark.parametrize(("dpo_end", "expected"), [(8.0, "holds"), (4.05, "does not hold here")])
def test_a_gap_that_still_grows_in_the_second_half_has_run_away(dpo_end, expected):
    def curve(middle: float, end: float, kl: float) -> list[tuple[int, float, float]]:
        half = [(i, kl, middle) for i in range(1, 7)]
        return [*half, *((i, kl, end) for i in range(7, 13))]

    spread = [1 + i / 1000 for i in range(-4, 4)]
    curves = {
        "DPO": [curve(4.0, dpo_end * x, 2.0) for x in spread],
        "IPO": [curve(1.0, x, 0.5 * x) for x in spread],
    }
    settings = dpo_separable.Settings(worlds=8)
    found = dpo_separable.finding(curves, [0.5] * 8, settings)
    assert found.holds == expected


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save(llama(max_position_embeddings=1024), tmp_path_factory.mktemp("model") / "tiny")


def test_codebooks_are_judged_on_the_same_weights_and_the_weights_come_back(tiny):
    model = load_local(tiny, dtype="float32", say=quiet)
    before = {name: weight.clone() for name, weight in model.model.named_parameters()}
    errors, bits = nf4_error.measured(model, nf4_error.Settings(blocksize=32), quiet)
    assert all((weight == before[name]).all() for name, weight in model.model.named_parameters())
    assert {len(of) for of in errors.values()} == {14}
    assert {len(of) for of in bits.values()} == {60}
    assert bits["exact"] != bits["nf4"] != bits["fp4"]
    found = nf4_error.finding(errors, bits, nf4_error.Settings(blocksize=32))
    ours = found.estimates["error of NF4, share of the variance"]
    assert ours.mean == pytest.approx(sum(errors["nf4"]) / 14)
    assert ours.mean < found.estimates["error of FP4, share of the variance"].mean


def test_bits_per_byte_by_hand():
    scores = [SimpleNamespace(total=-math.log(2) * 8)]
    model = SimpleNamespace(score=lambda starts, texts: scores)
    assert nf4_error.bits_per_byte(model, ["é€a"]) == [pytest.approx(8 / 6)]


def test_four_bits_hold_only_where_both_rivals_lose_more():
    assert nf4_error._holds([sure(0.1), sure(0.2)]) == "holds"
    assert nf4_error._holds([sure(0.1), sure(-0.2)]) == "does not hold here"
    assert nf4_error._holds([sure(0.1), sure(0.0)]) == "cannot tell"


def test_mezo_and_adamw_start_from_the_same_adapter_and_are_judged_on_unseen_questions(
    tiny, tmp_path
):
    learnt, held = mezo_runs.halves()
    assert not set(learnt) & set(held)
    assert len(learnt) + len(held) == 237
    settings = mezo_memory.Settings(mezo_steps=25, adamw_steps=4, adamw_lr=1e-2)
    losses, curve = mezo_runs.trained(settings, work(tmp_path, model=str(tiny)))
    assert {len(of) for of in losses.values()} == {len(held)}
    assert sum(losses["adamw"]) < sum(losses["base"])
    assert [step for step, _ in curve] == [20, 25]
    found = mezo_memory.finding(
        losses, curve, {"scoring": 500, "mezo": 520, "adamw": 2000}, settings
    )
    gain = (sum(losses["base"]) - sum(losses["adamw"])) / len(held)
    assert found.estimates["nats that AdamW gains"].mean == pytest.approx(gain)
    assert "1.04 times scoring" in found.measured


@pytest.mark.parametrize(
    ("share", "memory", "expected"),
    [(Estimate(0.9, 0.82, 1, 9), 1.05, "holds"), (Estimate(0.9, 0.7, 1, 9), 1.05, "cannot tell"),
     (Estimate(0.9, 0.82, 1, 9), 1.2, "does not hold here"),
     (Estimate(0.5, 0.4, 0.6, 9), 1.0, "does not hold here")],
)  # fmt: skip
def test_tuning_in_inference_s_memory(share, memory, expected):
    assert mezo_memory._holds(share, memory) == expected


def test_a_failed_measuring_process_is_said(tmp_path):
    from togi.errors import SurroundingsError

    with pytest.raises(SurroundingsError, match=r"measures 'mezo' failed"):
        mezo_memory.peak_of("mezo", work(tmp_path, model=str(tmp_path / "none")))


def test_memory_is_measured_in_processes_of_its_own(tiny, tmp_path):
    peak = mezo_memory.peak_of("scoring", work(tmp_path, model=str(tiny)))
    assert 100 < peak < 5000


def test_a_small_run_of_the_separable_pairs(tmp_path):
    settings = dpo_separable.Settings(worlds=2, pairs=64, epochs=8)
    outputs = dpo_separable.run(settings, work(tmp_path))
    assert outputs["holds"] in ("holds", "does not hold here", "cannot tell")
    assert (tmp_path / "finding.json").exists()
