"""Repeated data: the published numbers, the exact optimum, the flat valley, plans."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from law_toys import REPEATED, TRUTH, published

from togi.data.law_steps import RepeatedSettings, run_repeated
from togi.data.repeated import (
    C4_LAW,
    ENDLESS,
    PUBLISHED,
    Decay,
    best_split,
    effective,
    may_rise,
    next_epoch,
    repeated_loss,
    useful_params,
    worth,
)
from togi.data.repeated_fit import fit_decays, lowest_cells, plane
from togi.data.repeated_forms import compare
from togi.data.repeated_measured import measured_excess, r_squared, rises
from togi.data.repeated_plan import given, known_of, mixture, plan
from togi.data.repeated_presets import preset, record
from togi.data.repeated_study import Wanted, study
from togi.data.scaling import loss, optimum, points_of
from togi.data.scaling_runs import Runs, read_runs, runs_of
from togi.errors import DataError, UsageError
from togi.step import Work

OFFICIAL = REPEATED / "official_values.json"


@pytest.fixture(scope="module")
def runs() -> Runs:
    return read_runs(str(REPEATED / "runs_182.csv"))


def made(decay: Decay, noise: float = 0.0, seed: int = 0) -> Runs:
    """Runs of the true law and these decays: sizes × unique tokens × epochs."""
    rng = np.random.default_rng(seed)
    grid = np.meshgrid([3e7, 1e8, 3e8, 1e9], [1e8, 1e9, 1e10], [1, 2, 4, 8, 16, 32])
    n, u, k = (side.ravel() for side in grid)
    y = repeated_loss(TRUTH, decay, n, u * k, u)
    return runs_of(n, u * k, y * np.exp(noise * rng.standard_normal(len(n))), u)


# --- the published numbers ------------------------------------------------------------------------


@published
def test_the_official_function_values_to_twelve_digits():
    for one in json.loads(OFFICIAL.read_text())["readme_values"]:
        found = repeated_loss(C4_LAW, PUBLISHED, one["params"], one["tokens"], one["unique_tokens"])
        assert float(found) == pytest.approx(one["loss"], rel=1e-12)


@published
@pytest.mark.parametrize(
    ("name", "decay"),
    [
        ("Default", PUBLISHED),
        ("No decay", Decay(ENDLESS, ENDLESS)),
        ("Default but decay data only not params", Decay(2.9157212, ENDLESS)),
        ("Default but decay params only not data", Decay(ENDLESS, 713.0015)),
    ],
)
def test_the_notebook_s_shares_of_variance(runs: Runs, name: str, decay: Decay):
    expected = json.loads(OFFICIAL.read_text())["r2"][name]["r2"]
    predicted = repeated_loss(C4_LAW, decay, runs.params, runs.tokens, runs.unique)
    if decay.params == 713.0015:  # theirs counts N_opt by compute, ours by tokens: 1e-8 apart
        assert r_squared(runs, predicted) == pytest.approx(expected, rel=1e-6)
    else:
        assert r_squared(runs, predicted) == pytest.approx(expected, rel=1e-9)


@published
def test_the_huber_sum_at_the_published_constants(runs: Runs):
    expected = json.loads(OFFICIAL.read_text())["constants"]["huber_sum"]
    away = np.log(repeated_loss(C4_LAW, PUBLISHED, runs.params, runs.tokens, runs.unique))
    away -= np.log(runs.loss)
    cut = np.clip(away, -1e-3, 1e-3)
    assert float((cut * (away - cut / 2)).sum()) == pytest.approx(expected, rel=1e-6)


@published
def test_the_valley_is_flat_and_has_the_known_minima(runs: Runs):
    found = fit_decays(runs, C4_LAW, groups=runs.params)
    minima = [(found.decay, found.objective), *found.minima]
    for decay, value in (((95.4, 1.71), 0.0158047), ((46.99, 2.33), 0.0158074),
                         ((15.37, 5.31), 0.0158259)):  # fmt: skip
        near = [v for d, v in minima if np.allclose(d, decay, rtol=5e-3)]
        assert near == pytest.approx([value], rel=1e-5)
    assert found.objective == minima[0][1] == min(v for _, v in minima)
    values = found.profile
    flat = values[(values[:, 0] >= 10) & (values[:, 0] <= 200), 2]
    assert flat.max() < 1.007 * found.objective
    tokens = np.sort(found.draws[:, 0])
    assert tokens[int(0.03 * len(tokens))] < 10
    assert tokens[-int(0.05 * len(tokens))] == ENDLESS


@published
def test_the_whole_law_predicts_left_out_sizes_far_better_and_tells_the_decay(runs: Runs):
    """Found here: the flat valley is one of the law that is held fixed."""
    found = study(runs, Wanted(law="whole", draws=100))
    forms = {form["form"]: form for form in found["fit"]["forms"]}
    assert forms["whole"]["error"] < 0.5 * forms["both"]["error"]
    assert forms["whole"]["against_both"]["high"] < -0.03
    assert forms["none"]["against_both"]["low"] > 0.03
    assert forms["whole"]["r_squared"] == pytest.approx(0.934, abs=0.002)
    decay = found["decay"]["tokens"]
    assert decay["mean"] == pytest.approx(25.17, rel=1e-3)
    assert 10 < decay["low"] < decay["high"] < 80
    four = next(one for one in found["worth"] if one["epochs"] == 4)["worth"]
    assert four["mean"] == pytest.approx(0.957, abs=0.001)
    assert four["low"] > 0.9


@published
def test_four_epochs_cost_six_tenths_of_a_per_cent_measured_without_a_law(runs: Runs):
    found = measured_excess(runs, 3, 5)
    assert found.pairs == 16
    assert found.ratio.mean == pytest.approx(0.0059, abs=1e-4)
    assert 0.003 < found.ratio.low < found.ratio.high < 0.011
    later = measured_excess(runs, 16, 50)
    assert later.ratio.low > found.ratio.high


@published
def test_the_families_whose_loss_rises_are_found(runs: Runs):
    found = {(rise.params, rise.unique): rise for rise in rises(runs)}
    one = found[1.465e8, 1e8]
    assert (one.epochs, one.lowest, one.later_epochs, one.later) == (59, 3.718068, 1740, 3.897418)
    assert all(may_rise(C4_LAW, p, 40 * u, u) for p, u in found if p > 1e8)


@published
def test_the_shipped_refits_are_those_of_the_public_runs(runs: Runs):
    for entry in record(runs):
        kept = preset(entry["name"])
        assert kept.n == entry["n"] == 20
        assert kept.theta == pytest.approx(entry["theta"], rel=1e-4)
        mine = np.array([[ENDLESS if v is None else v for v in row] for row in entry["draws"]])
        for column, draws in ((-2, kept.decay_draws.tokens), (-1, kept.decay_draws.params)):
            for share in (0.05, 0.25, 0.5):
                ends = (np.quantile(table, share) for table in (mine[:, column], np.asarray(draws)))
                assert worth(4, next(ends)) == pytest.approx(worth(4, next(ends)), abs=0.01)


# --- the law --------------------------------------------------------------------------------------


def test_known_values_of_the_exact_optimum():
    n, d = best_split(C4_LAW, PUBLISHED, 1e22, 25e9)
    assert float(n) == pytest.approx(7.0262e9, rel=1e-5)
    assert float(d) / 25e9 == pytest.approx(9.4884, rel=1e-5)
    lowest = float(repeated_loss(C4_LAW, PUBLISHED, n, d, 25e9))
    assert lowest == pytest.approx(2.22212927487, abs=1e-11)
    assert lowest < 2.22212928325  # the authors' grid


@pytest.mark.parametrize("decay", [PUBLISHED, Decay(3.0, 100.0), Decay(200.0, 0.5)])
@pytest.mark.parametrize("unique", [1e8, 1e10, 1e13])
def test_the_optimum_is_the_least_loss_along_the_budget(decay: Decay, unique: float):
    flops = 1e21
    n, d = (float(side) for side in best_split(TRUTH, decay, flops, unique))
    near = n * np.exp(np.linspace(-0.3, 0.3, 601))
    losses = repeated_loss(TRUTH, decay, near, flops / 6 / near, unique)
    assert float(repeated_loss(TRUTH, decay, n, d, unique)) <= losses.min() * (1 + 1e-12)
    if np.ptp(losses) > 1e-6:  # 100 M unique tokens are used up: any split gives the same loss
        assert abs(int(losses.argmin()) - 300) <= 1
    far = np.geomspace(n / 100, n * 100, 4001)
    assert losses.min() <= repeated_loss(TRUTH, decay, far, flops / 6 / far, unique).min() + 1e-9


def test_limits():
    assert float(effective(5.0, 5.0, 2.0)) == 5.0
    assert float(effective(5.0, 3.0, 2.0)) == 3.0  # not even all of them seen
    assert float(effective(1.0, 1e9, 15.387756)) == pytest.approx(16.387756)  # (1 + R*) U
    assert float(effective(1.0, 7.0, np.inf)) == pytest.approx(7.0)
    fresh = repeated_loss(TRUTH, PUBLISHED, 1e7, 1e10, 1e10)
    assert float(fresh) == pytest.approx(float(loss(TRUTH, 1e7, 1e10)))
    endless = Decay(np.inf, np.inf)
    assert float(repeated_loss(TRUTH, endless, 1e10, 1e11, 1e9)) == pytest.approx(
        float(loss(TRUTH, 1e10, 1e11))
    )
    assert float(useful_params(TRUTH, float(optimum(TRUTH, 1e21)[1]))) == pytest.approx(
        float(optimum(TRUTH, 1e21)[0])
    )


def test_worth_falls_with_epochs_and_rises_with_the_decay():
    epochs = np.linspace(1, 200, 300)
    assert (np.diff(worth(epochs, 15.0)) < 0).all()
    assert (worth(epochs[1:], 30.0) > worth(epochs[1:], 15.0)).all()
    step = 1e-6
    slope = (effective(1.0, 8 + step, 15.0) - effective(1.0, 8 - step, 15.0)) / (2 * step)
    assert float(next_epoch(8.0, 15.0)) == pytest.approx(float(slope), rel=1e-6)


def test_enough_unique_tokens_leave_chinchilla_s_split():
    n, d = best_split(TRUTH, PUBLISHED, 1e20, 1e13)
    assert (float(n), float(d)) == pytest.approx([float(side) for side in optimum(TRUTH, 1e20)])


# --- fitting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [Decay(15.0, 5.0), Decay(4.0, 20.0)])
def test_known_decays_are_recovered(decay: Decay):
    found = fit_decays(made(decay), TRUTH, draws=100)
    assert list(found.decay) == pytest.approx(list(decay), rel=1e-3)


def test_runs_without_decay_are_recognised():
    found = fit_decays(made(Decay(np.inf, np.inf)), TRUTH, draws=100)
    predicted = repeated_loss(TRUTH, found.decay, 1e8, 1e10, 1e9)
    assert float(predicted) == pytest.approx(float(loss(TRUTH, 1e8, 1e10)), rel=1e-3)


def test_the_whole_law_is_recovered_with_its_decays():
    found = study(
        made(Decay(15.0, 5.0), noise=0.001), Wanted(law="whole", draws=100, together="run")
    )
    assert found["theta"][3:] == pytest.approx(TRUTH[3:].tolist(), abs=0.02)
    decay = found["decay"]["tokens"]
    assert decay["low"] < 15 < decay["high"]
    assert decay["mean"] == pytest.approx(15, rel=0.1)


def test_intervals_of_the_decay_cover_the_truth():
    """Thirty made-up studies: at 90 %, 22 of 30 is the first surprise (p = .02)."""
    hits = 0
    for seed in range(30):
        found = fit_decays(made(Decay(15.0, 5.0), 0.004, seed), TRUTH, draws=100, seed=seed)
        low, high = np.quantile(found.draws[:, 0], [0.05, 0.95])
        hits += low <= 15 <= high
    assert hits >= 22


def test_the_grid_equals_the_law_at_its_cells():
    runs = made(PUBLISHED, 0.01)
    from togi.data.repeated_fit import GRID_D, GRID_N

    cell = plane(points_of(runs), TRUTH)[30, 20]
    away = np.log(
        repeated_loss(TRUTH, Decay(GRID_D[30], GRID_N[20]), runs.params, runs.tokens, runs.unique)
        / runs.loss
    )
    cut = np.clip(away, -1e-3, 1e-3)
    assert cell == pytest.approx(cut * (away - cut / 2), abs=1e-12)


def test_lowest_cells_include_the_edges():
    assert lowest_cells(np.array([[3.0, 2.0, 3.0], [2.5, 4.0, 1.0]])) == [(1, 2)]


def test_the_forms_know_which_law_made_the_runs():
    runs = made(Decay(8.0, np.inf), noise=0.002)
    told = compare(runs, TRUTH, None, groups=np.arange(len(runs)))
    forms = {form["form"]: form for form in told}
    assert forms["none"]["error"] > 3 * forms["tokens only"]["error"]
    assert forms["tokens only"]["decay_tokens"] == pytest.approx(8, rel=0.05)
    assert forms["params only"]["decay_tokens"] is None


def test_runs_that_repeat_nothing_are_refused():
    fresh = runs_of([1e7, 1e8, 1e9] * 3, np.geomspace(1e9, 1e11, 9), np.linspace(4, 2, 9))
    with pytest.raises(DataError) as caught:
        fit_decays(fresh, TRUTH)
    assert str(caught.value) == (
        "runs: the runs cannot tell what repeated data is worth. Found: 9 runs, 0 of them with more"
        " tokens than unique tokens. Expected: at least 6 runs, 3 of them repeated. Next: give a"
        " column unique_tokens, or name it with columns: {unique_tokens: …}."
    )
    few = made(PUBLISHED).take(np.arange(6, 14))
    with pytest.raises(
        DataError, match=r"cannot tell how loss falls|too few runs to fit the whole"
    ):
        study(few, Wanted(law="whole", draws=100))


# --- plans ----------------------------------------------------------------------------------------


def test_a_plan_without_refits_has_unknown_intervals():
    found = plan(known_of(C4_LAW, PUBLISHED), 1e22, 25e9)
    assert found["epochs"]["mean"] == pytest.approx(9.4884, rel=1e-4)
    assert found["epochs"]["low"] is None
    assert found["epochs"]["open"] == []


def test_the_shipped_law_plans_with_intervals():
    found = study(None, Wanted(unique=25e9, flops=1e22))
    told = found["plan"]
    assert told["epochs"]["low"] < 9.49 < told["epochs"]["high"]
    assert told["loss"]["low"] < told["loss"]["mean"] < told["loss"]["high"]
    assert told["fresh"]["loss"] < told["loss"]["mean"]
    assert told["twice_unique_gains"]["mean"] > 0
    assert told["limit"]["mean"] < told["loss"]["mean"]
    assert found["decay"]["tokens"]["open"] == ["high"]


def test_more_unique_tokens_mean_fewer_epochs_and_less_loss():
    known = known_of(C4_LAW, PUBLISHED)
    plans = [plan(known, 1e22, unique) for unique in (5e9, 25e9, 125e9)]
    epochs = [one["epochs"]["mean"] for one in plans]
    losses = [one["loss"]["mean"] for one in plans]
    assert epochs == sorted(epochs, reverse=True)
    assert losses == sorted(losses, reverse=True)


def test_a_given_plan_is_judged_against_fresh_data_and_flagged_where_losses_rise():
    known = known_of(C4_LAW, PUBLISHED)
    calm = given(known, 2.8e9, 55e9, 14e9)
    assert calm["warnings"] == []
    assert calm["above_fresh"]["mean"] > 0
    wild = given(known, 6e8, 1e10, 1e8)
    assert (
        "measured losses rise with further epochs, which this law cannot show"
        in wild["warnings"][0]
    )
    assert "FLOPs are below all runs" in given(known, 1e4, 1e6, 1e6)["warnings"][0]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"flops": -1.0}, "flops must be a number above 0. Found: -1"),
        ({"flops": math.inf}, "flops must be a number above 0"),
        ({"unique": -5.0, "flops": 1e20}, "unique tokens must be a number above 0"),
    ],
)
def test_amounts_that_make_no_sense(asked: dict[str, float], told: str):
    with pytest.raises(UsageError) as caught:
        study(None, Wanted(**{"unique": 1e9, **asked}))
    assert told in str(caught.value)


def test_a_mixture_repeats_each_source_by_its_own_count():
    known = known_of(C4_LAW, PUBLISHED)
    web, code = mixture(known, 1e11, {"web": (8e10, 0.8), "code": (2e9, 0.2)})
    assert (web["epochs"], web["worth"]["mean"]) == (1.0, 1.0)
    assert (code["epochs"], code["worth"]["mean"]) == (
        10.0,
        pytest.approx(worth(10, PUBLISHED.tokens)),
    )
    with pytest.raises(
        UsageError, match=r"shares must be at least 0 and sum to 1\. Found: a sum of 0\.9"
    ):
        mixture(known, 1e11, {"web": (8e10, 0.9)})
    with pytest.raises(UsageError, match="unique tokens of web must be a number above 0"):
        mixture(known, 1e11, {"web": (0.0, 1.0)})


def test_filters_leave_fewer_unique_tokens(tmp_path: Path):
    def epochs(**settings: Any) -> float:
        work = Work(folder=tmp_path, seed=0, name="repeated", model="", say=lambda _: None)
        run_repeated(RepeatedSettings(unique_tokens=4e9, flops=1e21, **settings), work)
        told = json.loads((tmp_path / "repeated.json").read_text(encoding="utf-8"))
        return float(told["plan"]["epochs"]["mean"])

    assert epochs(kept=0.25) > 2 * epochs()


def test_the_step_takes_the_law_of_an_earlier_study(tmp_path: Path):
    runs = made(Decay(15.0, 5.0), noise=0.001)
    rows = zip(runs.params, runs.tokens, runs.unique, runs.loss, strict=True)
    lines = [
        "params,tokens,unique_tokens,loss",
        *(",".join(map(repr, map(float, r))) for r in rows),
    ]
    (tmp_path / "runs.csv").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "scaling.json").write_text(json.dumps({"law": {"theta": TRUTH.tolist()}}))
    inputs = {"law": {"scaling": str(tmp_path / "scaling.json")}}
    work = Work(folder=tmp_path, seed=0, name="r", model="", inputs=inputs, say=lambda _: None)
    settings = RepeatedSettings(source=str(tmp_path / "runs.csv"), base="law", draws=100)
    assert run_repeated(settings, work)["n"] == len(runs)
    told = json.loads((tmp_path / "repeated.json").read_text(encoding="utf-8"))
    assert "the intervals rest on 4 groups of runs, drawn whole by params" in told["warnings"][0]
    assert told["theta"] == TRUTH.tolist()
    assert told["decay"]["tokens"]["mean"] == pytest.approx(15, rel=0.1)
    spoilt = {"law": {"theta": [6.0, 6.0, 0.5, -0.1, 0.3]}}
    (tmp_path / "scaling.json").write_text(json.dumps(spoilt))
    with pytest.raises(DataError, match="does not fall with parameters and tokens"):
        run_repeated(settings, work)
