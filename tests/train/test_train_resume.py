"""Stopping and going on: resumed equals straight, whatever stopped the run."""

import dataclasses
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from train_toys import CONFIG, Point, Squares, network, points

from togi.errors import Stopped, SurroundingsError, UsageError
from togi.train import files
from togi.train.checkpoint import (
    folder_of,
    newest,
    prune,
    read_checkpoint,
    saved_steps,
    write_checkpoint,
)
from togi.train.interrupt import Interrupts
from togi.train.loop import train
from togi.train.metrics import read_metrics

TIMED = ("seconds", "tokens_per_s", "memory_mb")


def quiet(line):
    pass


def run(folder, config=CONFIG, *, objective=None, items=None, say=quiet):
    torch.set_num_threads(1)
    model = network()
    summary = train(
        model, objective or Squares(), points() if items is None else items, config, folder, say=say
    )
    return model, summary


def lasting(folder):
    lines = read_metrics(folder / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k not in TIMED} for line in lines]


def same_weights(one, other):
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def start(folder, pause):
    program = Path(__file__).with_name("train_toys.py")
    return subprocess.Popen(
        [sys.executable, str(program), str(folder), str(pause)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_step(folder, step, process):
    log = folder / "metrics.jsonl"
    while len(read_metrics(log)) < step:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def test_resumed_equals_straight_after_kill_9_at_a_random_step(tmp_path):
    straight, summary = run(tmp_path / "straight")
    step = random.SystemRandom().randrange(5, 28)
    process = start(tmp_path / "killed", 0.01)
    wait_for_step(tmp_path / "killed", step, process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    done = len(read_metrics(tmp_path / "killed" / "metrics.jsonl"))
    assert step <= done < 30
    resumed, again = run(tmp_path / "killed")
    assert 0 < again.resumed_from <= done, f"killed at step {step}"
    assert same_weights(straight, resumed), f"killed at step {step}"
    assert lasting(tmp_path / "killed") == lasting(tmp_path / "straight")
    assert (again.final_loss, again.tokens) == (summary.final_loss, summary.tokens)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_saves_and_exits_130(tmp_path, number):
    process = start(tmp_path / "run", 0.02)
    wait_for_step(tmp_path / "run", 3, process)
    process.send_signal(number)
    out, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "finishing this step and saving" in out
    assert "run the same command again" in told
    [saved] = saved_steps(tmp_path / "run" / "checkpoints")[-1:]
    assert saved == len(read_metrics(tmp_path / "run" / "metrics.jsonl"))
    resumed, again = run(tmp_path / "run")
    straight, _ = run(tmp_path / "straight")
    assert again.resumed_from == saved
    assert same_weights(straight, resumed)


def test_a_second_ctrl_c_leaves_at_once_and_handlers_come_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    said = []

    def twice():
        with Interrupts(said.append) as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.requested
            said.append("still here")
            signal.raise_signal(signal.SIGINT)
            said.append("not reached")

    with pytest.raises(KeyboardInterrupt):
        twice()
    assert [line.split()[0] for line in said] == ["Ctrl-C:", "still"]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_stopped_in_process_saves_and_goes_on(tmp_path):
    class Interrupting(Squares):
        name = "squares"

        def loss(self, model, items):
            if len(self.seen) == 5:
                signal.raise_signal(signal.SIGTERM)
            return super().loss(model, items)

    with pytest.raises(Stopped, match="stopped and saved after step"):
        run(tmp_path, objective=Interrupting())
    said = []
    resumed, summary = run(tmp_path, say=said.append)
    assert summary.resumed_from > 0
    assert "going on after step" in said[0]
    assert same_weights(resumed, run(tmp_path / "straight")[0])


def test_the_best_step_is_remembered_over_a_stop(tmp_path):
    config = dataclasses.replace(CONFIG, judge_every=3, best="abs", keep=1)
    objective = Squares()

    def judge(model, step):
        if step == 15 and objective._stops:
            signal.raise_signal(signal.SIGTERM)
        return {"abs": abs(step - 6)}

    def sitting(folder, stops):
        objective._stops = stops
        model = network()
        return model, train(model, objective, points(), config, folder, judge=judge, say=quiet)

    straight, one = sitting(tmp_path / "a", stops=False)
    with pytest.raises(Stopped):
        sitting(tmp_path / "b", stops=True)
    resumed, two = sitting(tmp_path / "b", stops=False)
    assert two.resumed_from == 15
    assert one.best_step == two.best_step == 6
    assert same_weights(straight, resumed)
    assert lasting(tmp_path / "a") == lasting(tmp_path / "b")


def test_a_finished_run_is_only_loaded(tmp_path):
    first, _ = run(tmp_path)
    objective = Squares()
    second, summary = run(tmp_path, objective=objective)
    assert objective.seen == []
    assert same_weights(first, second)
    assert summary.micro_batches == 0


@pytest.fixture
def finished(tmp_path):
    run(tmp_path)
    return tmp_path


def test_changed_settings_are_refused_and_named(finished):
    with pytest.raises(UsageError) as caught:
        run(finished, dataclasses.replace(CONFIG, lr=0.02, batch=5))
    assert caught.value.found == "batch was 6 and is 5; lr was 0.01 and is 0.02"
    assert str(finished) in str(caught.value)


def test_changed_rows_are_refused_and_named(finished):
    items = points()
    items[16] = Point("p16", items[16].x, (0.0,))
    with pytest.raises(UsageError, match="row 17 has another content"):
        run(finished, items=items)
    with pytest.raises(UsageError, match="there were 20 rows and are 19"):
        run(finished, items=points()[:-1])


def test_a_changed_objective_is_refused_and_named(finished):
    with pytest.raises(UsageError, match=r"squares scale=1\.0 and is squares scale=3\.0"):
        run(finished, objective=Squares(scale=3.0))


def test_saving_and_logging_may_change(finished):
    run(finished, dataclasses.replace(CONFIG, save_every=9, keep=1, log_every=3))


def test_a_damaged_checkpoint_falls_back_to_the_one_before(finished):
    file = folder_of(finished / "checkpoints", 30) / "weights.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    said = []
    resumed, summary = run(finished, say=said.append)
    assert "the checkpoint is damaged" in said[0]
    assert summary.resumed_from == 28
    assert same_weights(resumed, run(finished / "straight")[0])
    assert lasting(finished) == lasting(finished / "straight")


@pytest.mark.parametrize(
    "harm",
    [
        lambda f: (f / "state.json").unlink(),
        lambda f: (f / "state.json").write_text("{"),
        lambda f: (f / "random.safetensors").unlink(),
        lambda f: (f / "moments.safetensors").write_bytes(b""),
    ],
)
def test_each_kind_of_damage_is_noticed(tmp_path, harm):
    root = tmp_path / "c"
    groups = {group: {"x": torch.ones(2)} for group in ("moments", "random")}
    for step in (1, 2):
        write_checkpoint(root, step, groups, {"n": step})
    harm(folder_of(root, 2))
    with pytest.raises(SurroundingsError, match="damaged"):
        read_checkpoint(root, 2)
    found = newest(root, quiet)
    assert found is not None
    assert found.step == 1
    harm(folder_of(root, 1))
    with pytest.raises(SurroundingsError, match="no whole checkpoint is left"):
        newest(root, quiet)


def test_a_checkpoint_reads_back_as_written(tmp_path):
    tensors = {"a": torch.randn(3, 4).t(), "b": torch.tensor(2.0, dtype=torch.float64)}
    write_checkpoint(tmp_path, 7, {"weights": tensors}, {"tokens": 5, "value": 0.1 + 0.2})
    back = read_checkpoint(tmp_path, 7)
    assert back.state == {"tokens": 5, "value": 0.1 + 0.2}
    assert all(torch.equal(back.groups["weights"][name], t) for name, t in tensors.items())
    names = sorted(path.name for path in folder_of(tmp_path, 7).iterdir())
    assert names == ["state.json", "weights.safetensors"]


def test_a_full_disk_is_one_clear_error_and_loses_nothing(tmp_path, monkeypatch):
    run(tmp_path, dataclasses.replace(CONFIG, steps=30))
    before = saved_steps(tmp_path / "checkpoints")

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "sync", full)
        with pytest.raises(SurroundingsError, match="the disk is full"):
            write_checkpoint(tmp_path / "checkpoints", 40, {}, {})
        with pytest.raises(SurroundingsError, match="the disk is full"):
            write_checkpoint(tmp_path / "checkpoints", 30, {}, {})
        with pytest.raises(SurroundingsError, match="the disk is full"):
            files.write_text(tmp_path / "train.json", "new")
    assert saved_steps(tmp_path / "checkpoints") == before
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == [
        folder_of(tmp_path, step).name for step in before
    ]
    assert json.loads((tmp_path / "train.json").read_text())["steps"] == 30
    assert read_checkpoint(tmp_path / "checkpoints", 30).step == 30


def test_a_disk_that_fills_up_in_a_run_is_continued(tmp_path, monkeypatch):
    calls, real = [], files.sync

    def filling(path):
        calls.append(path)
        if len(calls) == 30:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "sync", filling)
        with pytest.raises(SurroundingsError, match="run the same command again"):
            run(tmp_path)
    resumed, summary = run(tmp_path)
    assert 0 < summary.resumed_from < 30
    assert same_weights(resumed, run(tmp_path / "straight")[0])


def test_prune_keeps_the_newest_the_best_and_no_leftovers(tmp_path):
    for step in (1, 2, 3, 4):
        write_checkpoint(tmp_path, step, {}, {})
    (tmp_path / ".step-000005.123").mkdir()
    prune(tmp_path, keep=2, best=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-000001",
        "step-000003",
        "step-000004",
    ]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    place = tmp_path / "adapter"
    for text in ("old", "new"):
        with files.new_folder(place) as fresh:
            (fresh / "a").write_text(text)
    assert (place / "a").read_text() == "new"
    real = os.replace

    def failing(source, target):
        if Path(target) == place and (Path(source) / "a").read_text() == "newest":
            raise OSError(errno.EACCES, "Permission denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", failing)
    refused = pytest.raises(SurroundingsError, match="may not be written")
    with refused, files.new_folder(place) as fresh:
        (fresh / "a").write_text("newest")
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    assert (place / "a").read_text() == "new"
