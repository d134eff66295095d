"""Scaling studies: refusals, warnings, the next run, the step and its command."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from law_toys import TRUTH, profile_runs

from togi.cli import main
from togi.data.law_steps import RepeatedSettings, ScalingSettings, run_scaling
from togi.data.scaling import FORMS, loss, points_of
from togi.data.scaling_checks import condition, groups_of, refuse
from togi.data.scaling_fit import Fit, fit, refit
from togi.data.scaling_optimal import compute_saved, fit_runs, predict, quantities, split
from togi.data.scaling_plan import candidates, propose
from togi.data.scaling_runs import Runs, runs_of
from togi.data.scaling_study import Question, study
from togi.errors import DataError, RecipeError, UsageError
from togi.step import Work


def made(params: Any, tokens: Any, noise: float = 0.0, seed: int = 0) -> Runs:
    n, d = np.asarray(params, dtype=float), np.asarray(tokens, dtype=float)
    rng = np.random.default_rng(seed)
    return runs_of(n, d, loss(TRUTH, n, d) * np.exp(noise * rng.standard_normal(len(n))))


def table_of(runs: Runs, path: Path) -> str:
    rows = zip(runs.params.tolist(), runs.tokens.tolist(), runs.loss.tolist(), strict=True)
    text = "params,tokens,loss\n" + "".join(f"{n!r},{d!r},{y!r}\n" for n, d, y in rows)
    path.write_text(text, encoding="utf-8")
    return str(path)


# --- refusals -------------------------------------------------------------------------------------


def test_too_few_runs():
    with pytest.raises(DataError) as caught:
        refuse(made([1e7, 1e8, 1e9], [1e9, 1e10, 1e11]), "runs.csv")
    assert str(caught.value) == (
        "runs.csv: too few runs to fit a scaling law. Found: 3 runs. Expected: at least 6, better"
        " 20: the law has five parameters."
    )


@pytest.mark.parametrize(
    ("params", "tokens", "told"),
    [
        (np.full(8, 1e8), np.geomspace(1e9, 1e11, 8),
         "the runs cannot tell how loss falls with parameters. Found: 1 distinct value(s) of"
         " parameters. Expected: at least 3, spread over a factor of ten or more. Next: train"
         " further sizes, or look at tokens alone"),
        (np.geomspace(1e7, 1e9, 8), np.repeat([1e9, 1e10], 4),
         "the runs cannot tell how loss falls with tokens. Found: 2 distinct value(s) of tokens"),
        (1e8 * (1 + 1e-4 * np.arange(8)), np.geomspace(1e9, 1e11, 8), "1 distinct value(s)"),
    ],
    ids=["one size", "two token counts", "sizes all but equal"],
)  # fmt: skip
def test_runs_that_cannot_tell_the_law_are_refused(params: Any, tokens: Any, told: str):
    with pytest.raises(DataError) as caught:
        fit_runs(made(params, tokens), draws=100)
    assert told in str(caught.value)


def test_a_budget_that_makes_no_sense():
    found = fit_runs(profile_runs(noise=0.004), draws=100)
    for flops in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UsageError, match="a budget must be a number of FLOPs above 0"):
            split(found, flops)
    with pytest.raises(UsageError, match="draws must be at least 100"):
        fit_runs(profile_runs(), draws=10)


# --- warnings -------------------------------------------------------------------------------------


def warned(runs: Runs, **asked: Any) -> str:
    return "\n".join(study(runs, Question(draws=100, **asked))["warnings"])


def test_a_sound_design_warns_of_nothing():
    runs = profile_runs(6, 7, noise=0.002)
    assert warned(runs, budgets=[1e21]) == ""
    assert condition(points_of(runs), fit(points_of(runs))) < 300


def test_a_grid_on_one_line_does_not_identify_the_split():
    n = np.repeat(np.geomspace(1e7, 1e9, 6), 2)
    told = warned(made(n, 20 * n, noise=0.004))
    assert "tokens rise in step with parameters (correlation 1.000)" in told
    assert "the runs do not identify the best split of this budget" in told
    assert "condition number" in told


def test_a_single_budget_is_one_line_too():
    n = np.geomspace(1e7, 1e9, 12)
    assert "the runs share one budget" in warned(made(n, 1e19 / 6 / n, noise=0.004))


def test_losses_in_bits_among_losses_in_nats():
    runs = profile_runs(noise=0.002)
    runs.loss[3] /= math.log(2)
    assert "1 run(s) lie a factor of 1.44 off the law: are their losses in bits" in warned(runs)


def test_a_run_far_off_the_law():
    runs = profile_runs(6, 6, noise=0.002)
    runs.loss[5] *= 1.15
    assert "1 run(s) lie far off the law: look at them" in warned(runs)


def test_a_loss_without_a_floor():
    n, d = (
        side.ravel() for side in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5))
    )
    runs = runs_of(n, d, (1e13 / n) ** 0.05 * (1e13 / d) ** 0.0 + (1e12 / d) ** 0.3 * 0.1)
    assert "the runs show no floor: E went to 0" in warned(runs)


def test_a_loss_that_rises_with_tokens_has_no_split_and_says_so():
    n, d = (
        side.ravel() for side in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 4))
    )
    found = study(runs_of(n, d, 400 / n**0.34 + 2 + 0.1 * np.log(d / 1e9)), Question(draws=100))
    told = "\n".join(found["warnings"])
    assert "the loss does not fall with tokens in these runs" in told
    assert "the runs do not identify the best split" in told
    assert found["budgets"][0]["params"]["mean"] is None
    assert found["next"]["proposals"] == []


def test_checkpoints_of_one_run_are_noted_and_resampled_together():
    runs = profile_runs(noise=0.002)
    names = ("long", "long", *(f"run-{k}" for k in range(len(runs) - 2)))
    named = Runs(runs.params, runs.tokens, runs.loss, runs.unique, names)
    groups = groups_of(named)
    assert groups is not None
    assert len(set(groups.tolist())) == len(runs) - 1
    found = study(named, Question(draws=100))
    assert found["runs"]["independent"] == len(runs) - 1
    assert "1 name(s) stand at several token counts, such as long" in "\n".join(found["warnings"])
    assert groups_of(runs) is None


def test_a_budget_far_beyond_the_runs_is_told():
    told = warned(profile_runs(noise=0.002), budgets=[1e25])
    assert "1e+25 FLOPs lie 4.0 decades beyond the dearest run" in told


# --- the next run ---------------------------------------------------------------------------------


def spread_of(params: np.ndarray, tokens: np.ndarray, flops: float, studies: int) -> float:
    """The spread of ln(D/N) over made-up studies with these runs: what an interval stands for."""
    known = Fit(FORMS["chinchilla"], TRUTH, 0.0, 0.1, len(params), 0, 0, 0)
    every = np.ones((1, len(params)))
    found = [
        refit(points_of(made(params, tokens, noise=0.003, seed=seed)), known, every)[0]
        for seed in range(studies)
    ]
    ratio = np.log(quantities(np.array(found), flops)["ratio"])
    low, high = np.quantile(ratio[np.isfinite(ratio)], [0.16, 0.84])
    return float(high - low)


def test_the_proposed_run_narrows_the_interval_as_foretold():
    n, d = (
        side.ravel() for side in np.meshgrid(np.geomspace(5e7, 5e8, 3), np.geomspace(2e9, 2e10, 3))
    )
    found = fit_runs(made(n, d, noise=0.003), draws=100)
    [first] = propose(found, 1e22, count=1)
    assert first.width < 0.95
    before = spread_of(n, d, 1e22, 120)
    after = spread_of(np.append(n, first.params), np.append(d, first.tokens), 1e22, 120)
    again = spread_of(np.append(n, n[4]), np.append(d, d[4]), 1e22, 120)
    assert after / before == pytest.approx(first.width, abs=0.15)
    assert after < again  # better than one more of the middling run


def test_a_proposal_keeps_to_its_cost_and_to_what_was_tried():
    found = fit_runs(profile_runs(noise=0.003), draws=100)
    for most in (1e19, 1e21):
        for one in propose(found, 1e22, count=2, most=most):
            assert one.flops == pytest.approx(6 * one.params * one.tokens)
            assert 1e18 * (1 - 1e-9) <= one.flops <= most * (1 + 1e-9)
            assert one.loss == pytest.approx(float(loss(found.theta, one.params, one.tokens)))
    assert propose(found, 1e22, most=1e10) == []
    assert len(candidates(found, 1e21).n) > 100


def test_proposals_are_greedy_and_each_helps():
    found = fit_runs(profile_runs(noise=0.003), draws=100)
    three, one = propose(found, 1e22, count=3), propose(found, 1e22, count=1)
    assert three[0] == one[0]
    assert all(0 < p.width < 1 for p in three)


def test_a_line_of_runs_gets_a_run_off_the_line():
    n = np.repeat(np.geomspace(1e7, 1e9, 6), 2)
    found = fit_runs(made(n, 20 * n, noise=0.002), draws=100)
    proposed = propose(found, 1e22, count=2)
    for one in proposed:
        assert abs(math.log(one.tokens / one.params / 20)) > 0.5
    # a line leaves two directions open, the terms' sizes and their exponents: it takes two runs
    assert math.prod(one.width for one in proposed) < 0.1


# --- answers --------------------------------------------------------------------------------------


def test_predictions_and_waste():
    found = fit_runs(profile_runs(6, 6, noise=0.003), draws=100)
    told = predict(found, 1e9, 2e10)
    assert told.low < float(loss(TRUTH, 1e9, 2e10)) < told.high
    best = split(found, 1e22)
    assert compute_saved(found, 1e22, best.params.mean).mean == pytest.approx(1)
    assert compute_saved(found, 1e22, best.params.mean / 4).mean < 0.9


def test_forms_are_compared_in_pairs_on_held_out_runs():
    told = study(profile_runs(6, 6, noise=0.003), Question(draws=100))["forms"]
    chinchilla, _, kaplan = told
    assert [form["form"] for form in told] == ["chinchilla", "tied", "kaplan"]
    assert kaplan["against_chinchilla"]["low"] > 0  # the runs were made by the other law
    assert chinchilla["error"] < kaplan["error"]


def test_use_is_weighed_where_it_is_asked_for():
    found = study(profile_runs(noise=0.003), Question(draws=100, budgets=[1e21], read=1e12))
    used = found["budgets"][0]["with_use"]
    assert used["params"]["mean"] < found["budgets"][0]["params"]["mean"]
    assert used["total"]["mean"] < used["total_if_training_optimal"]


# --- step and command -----------------------------------------------------------------------------


def test_the_step_leaves_its_files_and_says_its_warnings(tmp_path: Path):
    runs = profile_runs(noise=0.003)
    source = table_of(runs, tmp_path / "runs.csv")
    said: list[str] = []
    work = Work(folder=tmp_path, seed=0, name="scaling", model="", say=said.append)
    settings = ScalingSettings(source=source, budgets=[1e21, 1e24], draws=100, drop_highest=1)
    outputs = run_scaling(settings, work)
    kept = json.loads((tmp_path / "scaling.json").read_text(encoding="utf-8"))
    assert outputs["scaling"] == "scaling.json"
    assert outputs["n"] == 24
    assert outputs["params"] == kept["budgets"][-1]["params"]["mean"]
    assert said == [f"warning: {line}" for line in kept["warnings"]]
    assert outputs["notes"][-len(said) :] == kept["warnings"]
    assert (tmp_path / "dropped.jsonl").read_text(encoding="utf-8").count("highest losses") == 1


def test_settings_refuse_what_makes_no_sense():
    with pytest.raises(RecipeError, match="budgets must be FLOPs above 0"):
        ScalingSettings(source="a.csv", budgets=[0])
    with pytest.raises(RecipeError, match="nothing to fit and nothing to plan"):
        RepeatedSettings()
    with pytest.raises(RecipeError, match="unique_tokens needs a budget or a plan"):
        RepeatedSettings(unique_tokens=1e9)
    with pytest.raises(RecipeError, match="domains need the training's tokens"):
        RepeatedSettings(domains={"a": {"unique_tokens": 1e9, "share": 1.0}})  # type: ignore[dict-item]
    with pytest.raises(RecipeError, match="base needs runs"):
        RepeatedSettings(unique_tokens=1e9, flops=1e20, base="scaling")


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Any:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["togi", *words])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


def test_the_command_says_the_split_and_leaves_a_report(call: Any, tmp_path: Path):
    table_of(profile_runs(noise=0.003), tmp_path / "runs.csv")
    code, out, _ = call("data", "scaling", "runs.csv", "--budget", "1e21", "draws=100")
    assert code == 0
    assert "25 runs; 64 of 64 starts agree" in out
    assert "Best split" in out
    assert "Next runs" in out
    page = (tmp_path / "runs" / "scaling" / "report.html").read_text(encoding="utf-8")
    assert "IsoFLOP profiles: loss over size at equal compute" in page
    code, out, _ = call("data", "scaling", "runs.csv", "--budget", "1e21", "draws=100", "--json")
    last = json.loads(out.splitlines()[-1])
    assert last["event"] == "scaling"
    assert last["budgets"][0]["flops"] == 1e21


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["data", "scaling", "none.csv"], 4, "no such file or folder"),
        (["data", "scaling", "few.csv"], 4, "too few runs to fit a scaling law"),
        (["data", "scaling", "bad.csv"], 4, "bad.csv line 2: column 'loss' is not a number"),
        (["data", "scaling", "few.csv", "--budget", "-1"], 2, "budgets must be FLOPs above 0"),
        (["data", "scaling", "few.csv", "draw=9"], 2, "did you mean 'draws'?"),
        (["data", "repeated", "--unique", "1e9"], 2, "unique_tokens needs a budget or a plan"),
        (["data", "repeated", "--unique", "1e9", "--params", "1e8", "--tokens", "1e8"], 2,
         "more unique tokens than tokens to train on"),
        (["data", "repeated", "few.csv"], 4, "cannot tell what repeated data is worth"),
        (["data", "runout", "txt"], 2, "did you mean 'text'?"),
        (["data", "runout", "text", "--set", "stock=a"], 2, "not of the form KEY=LOW:HIGH"),
    ],
)  # fmt: skip
def test_a_users_mistake_is_one_message_and_a_code(
    words: list[str], code: int, told: str, call: Any, tmp_path: Path
):
    (tmp_path / "few.csv").write_text("params,tokens,loss\n1e8,1e9,3\n2e8,1e9,2.9\n")
    (tmp_path / "bad.csv").write_text("params,tokens,loss\n1e8,1e9,x\n")
    found, _, err = call(*words)
    assert told in err
    assert found == code
    assert "Traceback" not in err
