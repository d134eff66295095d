"""The loop: accumulation, judging, messages, faults; resuming is in test_train_resume.py."""

import dataclasses
import json
import math

import pytest
import torch
from train_toys import CONFIG, Point, Squares, network, points

from togi.errors import DataError, SurroundingsError, UsageError
from togi.train import TrainConfig
from togi.train.checkpoint import saved_steps
from togi.train.loop import train
from togi.train.metrics import DEFINITIONS, MetricsLog, read_metrics
from togi.train.progress import Bar
from togi.train.update import GradientUpdater, accumulate, memory_told


def quiet(line):
    pass


def run(folder, config=CONFIG, *, model=None, objective=None, items=None, judge=None, say=quiet):
    model = network() if model is None else model
    items = points() if items is None else items
    summary = train(model, objective or Squares(), items, config, folder, judge=judge, say=say)
    return model, summary


def weights(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def same(one, other):
    return all(torch.equal(weight, other[name]) for name, weight in one.items())


def test_accumulation_equals_batch():
    found = []
    for micro_tokens in (3, 10_000):
        model = network(torch.float64, dropout=0.0)
        loss, measures, parts = accumulate(model, Squares(), points(12), micro_tokens)
        gradients = [w.grad for w in model.parameters() if w.requires_grad]
        found.append((loss, measures["abs"], parts, gradients))
    (loss, measure, parts, many), (whole, measure_whole, one, single) = found
    assert parts > one == 1
    assert loss == pytest.approx(whole, abs=1e-12)
    assert measure == pytest.approx(measure_whole, abs=1e-12)
    for ours, theirs in zip(many, single, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_trained_weights_do_not_depend_on_micro_tokens(tmp_path):
    ends = []
    for micro_tokens in (4, 10_000):
        config = dataclasses.replace(CONFIG, micro_tokens=micro_tokens)
        model = network(torch.float64, dropout=0.0)
        run(tmp_path / str(micro_tokens), config, model=model)
        ends.append(weights(model))
    for name, weight in ends[0].items():
        torch.testing.assert_close(weight, ends[1][name], rtol=0, atol=1e-12)


def test_one_update_by_hand(tmp_path):
    # y = w x, one token x = 2, y = 1, w = 1: loss 1, dL/dw = 2 (2 - 1) 2 = 4, clipped to 1.
    # AdamW's first step moves by lr * g / (|g| + eps) after decay: 1 * (1 - .1 * .5) - .1.
    model = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    torch.nn.init.ones_(model.weight)
    config = TrainConfig(steps=1, lr=0.1, weight_decay=0.5, clip=1.0, micro_tokens=10)
    updater = GradientUpdater(model, config, tmp_path)
    done = updater.update(Squares(), [Point("a", (2.0,), (1.0,))], lr=0.1)
    assert (done.loss, done.grad_norm, done.micro_batches) == (1.0, 4.0, 1)
    assert done.measures == {"abs": 1.0}
    assert model.weight.item() == pytest.approx(0.85, abs=1e-6)
    assert model.weight.grad is None


def test_vectors_do_not_decay(tmp_path):
    groups = GradientUpdater(network(), CONFIG, tmp_path).optimizer.param_groups
    decays = {w.ndim: group["weight_decay"] for group in groups for w in group["params"]}
    assert decays == {1: 0.0, 2: 0.1}


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path):
    first, one = run(tmp_path / "a")
    second, two = run(tmp_path / "b")
    third, _ = run(tmp_path / "c", dataclasses.replace(CONFIG, seed=6))
    assert same(weights(first), weights(second))
    assert one.final_loss == two.final_loss
    assert not same(weights(first), weights(third))


def test_a_run_leaves_the_random_state_and_the_mode_alone(tmp_path):
    model, before = network().eval(), torch.get_rng_state()
    run(tmp_path, model=model)
    assert torch.equal(before, torch.get_rng_state())
    assert not model.training


def test_the_log_and_the_summary(tmp_path):
    _, summary = run(tmp_path)
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, 31))
    assert {*lines[0]} - {"abs"} <= {*DEFINITIONS}
    assert lines[0]["lr"] == pytest.approx(0.01 / 3)
    assert summary.final_loss == pytest.approx(sum(line["loss"] for line in lines[-3:]) / 3)
    assert lines[-1]["loss"] < lines[0]["loss"]
    told = json.loads((tmp_path / "train.json").read_text())
    assert told["trained_parameters"] == 4 * 8 + 8 + 8 + 1
    assert told["total_parameters"] == told["trained_parameters"] + 8 * 8 + 8
    assert (told["objective"], told["steps"], told["rows"]) == ("squares", 30, 20)
    assert told["tokens"] == lines[-1]["tokens"] == 30 * 6 * 3  # 9 epochs of 20 items, 3 on average
    assert saved_steps(tmp_path / "checkpoints") == [28, 30]


def test_notes_stand_in_train_json(tmp_path):
    train(
        network(), Squares(), points(), CONFIG, tmp_path, say=quiet, notes={"dropped": {"long": 2}}
    )
    assert json.loads((tmp_path / "train.json").read_text())["dropped"] == {"long": 2}


def test_epochs_see_every_row_once_each(tmp_path):
    objective = Squares()
    run(tmp_path, TrainConfig(epochs=2, batch=8, save_every=0), objective=objective)
    seen = sorted(name for micro in objective.seen for name in micro)
    assert seen == sorted([point.id for point in points()] * 2)


def test_log_every_logs_every_nth_and_the_last(tmp_path):
    run(tmp_path, dataclasses.replace(CONFIG, log_every=8))
    steps = [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")]
    assert steps == [8, 16, 24, 30]


def judged(values):
    def judge(model, step):
        assert not model.training
        assert not torch.is_grad_enabled()
        torch.rand(3)
        return {"bits": values.get(step, 9.0)}

    return judge


def test_the_best_weights_are_kept_and_taken(tmp_path):
    config = dataclasses.replace(CONFIG, judge_every=7, best="bits", keep=1)
    states = {}

    def judge(model, step):
        states[step] = weights(model)
        return judged({0: 5.0, 7: 3.0, 14: 1.0, 21: 2.0})(model, step)

    model, summary = run(tmp_path, config, judge=judge)
    assert sorted(states) == [0, 7, 14, 21, 28, 30]
    assert (summary.best_step, summary.best_value) == (14, 1.0)
    assert same(weights(model), states[14])
    assert saved_steps(tmp_path / "checkpoints") == [14, 30]
    lines = {line["step"]: line for line in read_metrics(tmp_path / "metrics.jsonl")}
    assert lines[0] == {"step": 0, "judge/bits": 5.0}
    assert lines[14]["judge/bits"] == 1.0
    again, _ = run(tmp_path, config, judge=judge)
    assert same(weights(again), states[14])


def test_highest_can_be_best_and_nan_never_is(tmp_path):
    config = dataclasses.replace(CONFIG, judge_every=10, best="bits", best_is="highest")
    said = []
    judge = judged({0: math.nan, 10: 1.0, 20: 2.0, 30: 0.5})
    _, summary = run(tmp_path, config, judge=judge, say=said.append)
    assert (summary.best_step, summary.best_value) == (20, 2.0)
    assert any("cannot be the best" in line for line in said)


def test_judging_does_not_touch_the_run(tmp_path):
    plain, _ = run(tmp_path / "a")
    config = dataclasses.replace(CONFIG, judge_every=3)
    with_judge, _ = run(tmp_path / "b", config, judge=judged({}))
    assert same(weights(plain), weights(with_judge))


def test_judging_keeps_its_budget(tmp_path):
    said, steps = [], []

    def slow(model, step):
        steps.append(step)
        return {}

    config = dataclasses.replace(CONFIG, judge_every=1, judge_seconds=1e-9)
    run(tmp_path, config, judge=slow, say=said.append)
    assert steps == [0]
    assert sum("judge_seconds" in line for line in said) == 1


def test_a_wrong_best_names_the_measures(tmp_path):
    config = dataclasses.replace(CONFIG, judge_every=5, best="bit")
    with pytest.raises(UsageError, match="did you mean 'bits'"):
        run(tmp_path, config, judge=judged({}))
    with pytest.raises(UsageError, match="needs a judge"):
        run(tmp_path / "b", config)


def test_a_nan_loss_names_step_and_rows_and_keeps_the_checkpoint(tmp_path):
    items = points()
    items[7] = dataclasses.replace(items[7], y=(math.nan,))
    objective = Squares()
    config = dataclasses.replace(CONFIG, save_every=1, micro_tokens=1)
    with pytest.raises(DataError) as caught:
        run(tmp_path, config, objective=objective, items=items)
    order = [name for micro in objective.seen for name in micro]
    step = order.index("p7") // 6 + 1
    assert f"step {step} of 30" in str(caught.value)
    assert "p7" in caught.value.found
    assert "the loss is nan" in str(caught.value)
    assert saved_steps(tmp_path / "checkpoints")[-1:] == ([step - 1] if step > 1 else [])


def test_an_infinite_gradient_is_an_error_and_changes_nothing(tmp_path):
    class Steep(Squares):
        def loss(self, model, items):
            summed, measures = super().loss(model, items)
            return torch.sqrt(summed * 0), measures  # 0, with slope infinity times zero

    model = network()
    before = weights(model)
    with pytest.raises(DataError, match="gradient's norm is nan"):
        run(tmp_path, model=model, objective=Steep())
    assert same(weights(model), before)


def test_what_cannot_be_trained_is_refused(tmp_path):
    with pytest.raises(DataError, match="no rows to train on"):
        run(tmp_path, items=[])
    with pytest.raises(DataError, match="row empty: nothing of this row is trained"):
        run(tmp_path, items=[*points(), Point("empty", (0.0,) * 4, ())])
    with pytest.raises(UsageError, match="no weights to train"):
        run(tmp_path, model=network().requires_grad_(False))
    with pytest.raises(UsageError, match="must be float32"):
        run(tmp_path, model=network().to(torch.bfloat16))


def test_a_loss_without_the_weights_is_refused(tmp_path):
    class Apart(Squares):
        def loss(self, model, items):
            return torch.tensor(1.0), {}

    with pytest.raises(UsageError, match="does not depend on a trained weight"):
        run(tmp_path, objective=Apart())


def test_memory_that_runs_out_says_what_to_lower():
    with (
        pytest.raises(SurroundingsError, match=r"lower micro_tokens \(now 512\)"),
        memory_told(512),
    ):
        torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="other"), memory_told(512):
        raise RuntimeError("other")


def test_plain_lines_each_tenth_or_ten_seconds():
    said, now = [], [0.0]
    facts = {"loss": 1.0, "tokens_per_s": 5.0, "memory_mb": 100.0}
    bar = Bar("sft", start=0, steps=100, say=said.append, live=False, clock=lambda: now[0])
    with bar:
        for step in range(1, 101):
            now[0] += 11.0 if step == 3 else 0.1
            bar.show({"step": step, **facts})
    steps = [int(line.split()[2]) for line in said]
    assert steps == [3, 13, 23, 33, 43, 53, 63, 73, 83, 93, 100]
    assert "left" in said[0]
    assert "left" not in said[-1]


def test_a_live_bar_says_nothing(capsys):
    said = []
    with Bar("sft", start=0, steps=2, say=said.append, live=True) as bar:
        for step in (1, 2):
            bar.show({"step": step, "loss": 1.0, "tokens_per_s": 5.0, "memory_mb": 100.0})
    assert said == []
    assert "2/2" in capsys.readouterr().err


def test_a_torn_log_line_is_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step":1,"loss":2.0}\n{"step":2,"loss":1.0}\n{"step":3,"lo')
    log = MetricsLog(path, after=5)
    log.add({"step": 3, "loss": 0.5})
    log.close()
    assert [line["step"] for line in read_metrics(path)] == [1, 2, 3]
    MetricsLog(path, after=1).close()
    assert [line["step"] for line in read_metrics(path)] == [1]
    MetricsLog(path, after=None).close()
    assert read_metrics(path) == []
