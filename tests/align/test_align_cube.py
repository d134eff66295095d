"""Three axes that combine freely: what is trained, who updates, towards what.

Every sensible cell on a tiny model: the first loss as computed by hand, saved and loaded answers
the same, resumed equals straight, and micro-batches of one equal the whole batch (which is packed
equals separate and accumulation equals batch at once).
"""

from __future__ import annotations

import math
import os
import signal

import pytest
import torch
from saved_toys import llama, quiet, save

from togi.align import opening, settings, steps
from togi.align.opening import start_of
from togi.align.scoring import open_reward
from togi.align.tuned import open_tuned
from togi.errors import Stopped, UsageError
from togi.rows.types import Example, Feedback, Message, Preference, Ranking, Sample
from togi.rows.write import write_rows
from togi.step import Work
from togi.train.metrics import read_metrics

STEPS = 3


def ask(i):
    return (Message("user", f"What is number {i}?" + " of the users" * (i % 3)),)


EXAMPLES = [Example(id=f"e{i}", prompt=ask(i), response=f"It is {i * i}.") for i in range(6)]
ROWS = {
    "sft": EXAMPLES,
    "dpo": [
        Preference(id=f"p{i}", prompt=ask(i), chosen=f"It is {i}.", rejected="No" * (1 + i % 3))
        for i in range(6)
    ],
    "kto": [
        Feedback(id=f"f{i}", prompt=ask(i), response=f"It is {i}.", desirable=i % 2 == 0)
        for i in range(6)
    ],
    "reward": [
        Ranking(id=f"r{i}", prompt=ask(i), responses=(f"It is {i}.", "No.", "users of the"))
        for i in range(6)
    ],
    "ppo": EXAMPLES,
    "metric": [
        Sample(id=f"s{i}", input=ask(i), target=i % 2, choices=("the number", "of users"))
        for i in range(6)
    ],
}
KINDS = {
    "sft": (settings.SftSettings, {}),
    "dpo": (settings.DpoSettings, {}),
    "kto": (settings.KtoSettings, {}),
    "reward": (settings.RewardSettings, {}),
    "ppo": (
        settings.PpoStepSettings,
        {"reward": "variety", "answer_tokens": 6, "passes": 2, "minibatches": 2, "target": 3.0},
    ),
    "metric": (settings.MetricSettings, {"metric": "accuracy"}),
}
TRAINED = ("lora", "qlora", "full", "prefix")
OPTIMIZERS = ("adamw", "paged_adamw", "mezo")
CELLS = [
    (trained, optimizer, method)
    for trained in TRAINED
    for optimizer in OPTIMIZERS
    for method in KINDS
    if method != "metric" or optimizer == "mezo"
    if optimizer != "paged_adamw" or method == "sft"  # it is AdamW bit by bit: see below
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save(llama(hidden_size=64), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def work(base, tmp_path):
    def make(name, rows):
        (tmp_path / name).mkdir(exist_ok=True)
        write_rows(tmp_path / f"{name}.jsonl", rows)
        inputs = {"data": {"rows": str(tmp_path / f"{name}.jsonl")}}
        return Work(folder=tmp_path / name, seed=3, name=name, model=str(base), inputs=inputs,
                    say=quiet, offline=True)  # fmt: skip

    return make


def cell(trained, optimizer, method, **more):
    kind, own = KINDS[method]
    rate = {"adamw": 0.003, "paged_adamw": 0.003, "mezo": 0.01}[optimizer]
    given = {
        "rows": "data", "train": trained, "optimizer": optimizer, "steps": STEPS, "batch": 4,
        "dtype": "float32", "lora": {"rank": 4}, "lr": rate, "save_every": 0, "micro_tokens": 4096,
    }  # fmt: skip
    return kind(**{**given, **own, **more})


def run(options, work, monkeypatch, *, stop_after=None):
    """Train, and return the outputs and the model as it was when it was saved."""
    kept = []
    real_open, real_save = opening.OPENERS[options.train], steps.save_trained

    def save_and_keep(options, work, model):
        kept.append(model)
        return real_save(options, work, model)

    with monkeypatch.context() as patch:
        patch.setattr(steps, "save_trained", save_and_keep)
        patch.setitem(opening.OPENERS, options.train, real_open)
        if stop_after is not None:
            stop_at(stop_after, patch)
        outputs = steps.run_train(options, work)
    return outputs, kept[0]


def stop_at(step, patch):
    from togi.train.loop import _Run

    real = _Run.advance

    def advance(self):
        line = real(self)
        if self.step == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return line

    patch.setattr(_Run, "advance", advance)


def trained_weights(model):
    module = model.model
    return {n: w.detach().clone() for n, w in module.named_parameters() if w.requires_grad}


def answers(model):
    found = model.score([e.prompt for e in EXAMPLES], [e.response for e in EXAMPLES])
    return torch.tensor([s.total for s in found])


def first_loss(method, folder):
    """What the first step's loss must be, whatever is trained: at the start nothing has moved."""
    line = read_metrics(folder / "metrics.jsonl")[0]
    if method == "dpo":
        return math.log(2)
    if method == "kto":
        return 0.5
    if method == "metric":
        return -line["metric"]
    return None


@pytest.mark.parametrize(("trained", "optimizer", "method"), CELLS)
def test_every_cell(trained, optimizer, method, work, monkeypatch):
    if trained == "qlora":
        pytest.importorskip("togi.align.nf4_model")
    options = cell(trained, optimizer, method)
    straight = work("straight", ROWS[method])
    outputs, model = run(options, straight, monkeypatch)
    weights, said = trained_weights(model), answers(model)

    by_hand = first_loss(method, straight.folder)
    if by_hand is not None:
        loss = read_metrics(straight.folder / "metrics.jsonl")[0]["loss"]
        # MeZO tells the mean of two perturbed losses, which lies near the unperturbed one.
        assert loss == pytest.approx(by_hand, abs=0.05 if optimizer == "mezo" else 1e-4)
    assert any(weights[name].abs().sum() > 0 for name in weights)

    saved = {k: str(straight.folder / outputs[k]) for k in ("adapter", "model") if k in outputs}
    loaded = start_of(Work(folder=straight.folder, seed=3, name="x", model=straight.model,
                           inputs={"step": saved}), "step")  # fmt: skip
    again = open_tuned(loaded.model, adapter=loaded.adapter, dtype="float32", offline=True,
                       say=quiet)  # fmt: skip
    torch.testing.assert_close(answers(again), said, rtol=0, atol=2e-4)
    if method == "reward":
        opened = open_reward(loaded, name="r", dtype="float32", offline=True, say=quiet)
        told = opened.scores([ask(1), ask(2)], ["It is 1.", "No."])
        assert all(map(math.isfinite, told))

    stopped = work("stopped", ROWS[method])
    with pytest.raises(Stopped):
        run(options, stopped, monkeypatch, stop_after=1)
    _, resumed = run(options, stopped, monkeypatch)
    for name, weight in trained_weights(resumed).items():
        assert torch.equal(weight, weights[name]), name

    if method == "ppo":
        same_first_round(trained, optimizer, work, monkeypatch)
        return
    apart = cell(trained, optimizer, method, micro_tokens=1)
    _, separate = run(apart, work("one", ROWS[method]), monkeypatch)
    for name, weight in trained_weights(separate).items():
        tight = 5e-3 if optimizer == "mezo" else 2e-4
        torch.testing.assert_close(weight, weights[name], rtol=0, atol=tight, msg=name)


def same_first_round(trained, optimizer, work, monkeypatch):
    """One round of PPO: in a second one, rounding may change which token is drawn."""
    found = []
    for micro_tokens in (1, 4096):
        options = cell(trained, optimizer, "ppo", steps=1, micro_tokens=micro_tokens, lr=1e-4)
        _, model = run(options, work(f"round-{micro_tokens}", ROWS["ppo"]), monkeypatch)
        found.append(answers(model))
    torch.testing.assert_close(*found, rtol=0, atol=0.02)


def test_paging_moments_changes_no_bit(work, monkeypatch):
    found = []
    for optimizer in ("adamw", "paged_adamw"):
        _, model = run(cell("full", optimizer, "sft"), work(optimizer, EXAMPLES), monkeypatch)
        found.append(trained_weights(model))
    assert all(torch.equal(w, found[1][name]) for name, w in found[0].items())


def test_axes_that_do_not_go_together_are_refused(work):
    with pytest.raises(UsageError, match=r"small updates vanish.*dtype: bfloat16"):
        steps.run_train(cell("full", "adamw", "sft", dtype="bfloat16"), work("a", EXAMPLES))
    with pytest.raises(UsageError, match=r"only below adapters.*Expected: train: lora or qlora"):
        steps.run_train(cell("full", "adamw", "sft", cache_trunk=True), work("b", EXAMPLES))
    with pytest.raises(UsageError, match="a measure has no gradient to follow"):
        steps.run_train(cell("lora", "adamw", "metric"), work("c", ROWS["metric"]))
