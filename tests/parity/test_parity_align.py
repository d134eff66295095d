"""Parity of the methods: whole short runs beside TRL's, torchtune's loss, statsmodels' fit."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from pathlib import Path

import pytest
import torch

trl = pytest.importorskip("trl")
peft = pytest.importorskip("peft")

from saved_toys import CHATML, llama, quiet, tokenizer  # noqa: E402
from test_parity_trl import (  # noqa: E402
    BATCH,
    OURS,
    PAIRS,
    STEPS,
    THEIRS,
    base,  # noqa: F401 - fixtures
    init,  # noqa: F401
    ours,
    same_runs,
    their_rows,
    theirs,
)

from togi.align.kto import Kto, KtoItem, with_references  # noqa: E402
from togi.align.lora import load_adapter  # noqa: E402
from togi.align.pair_losses import cdpo, sigmoid  # noqa: E402
from togi.align.reward import RankItem, Reward, add_head  # noqa: E402
from togi.align.settings import DpoSettings  # noqa: E402
from togi.align.steps import run_train  # noqa: E402
from togi.lm.forward import Request  # noqa: E402
from togi.lm.local import load_local  # noqa: E402
from togi.train.config import TrainConfig  # noqa: E402
from togi.train.loop import train  # noqa: E402
from togi.train.metrics import read_metrics  # noqa: E402
from togi.train.packing import step_rows  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mend

FAMILY = [
    ({"loss": "hinge"}, {"loss_type": "hinge"}),
    ({"loss": "ipo_mean"}, {"loss_type": "ipo"}),
    ({"loss": "robust", "noise": 0.2}, {"loss_type": "robust", "label_smoothing": 0.2}),
    ({"loss": "sigmoid_mean"}, {"loss_type": "sigmoid_norm"}),
]


@pytest.mark.parametrize(("mine", "their"), FAMILY, ids=lambda v: str(next(iter(v.values()))))
def test_dpo_family_losses_equal_trls_step_by_step(base, init, tmp_path, mine, their):  # noqa: F811
    settings = DpoSettings(**OURS, lr=0.005, beta=0.3, **mine)
    found = ours(run_train, settings, PAIRS["chat"], base, init, tmp_path)
    arguments = trl.DPOConfig(
        output_dir=str(tmp_path / "trl"), learning_rate=0.005, beta=0.3,
        per_device_train_batch_size=BATCH, **their, **THEIRS,
    )  # fmt: skip
    data = their_rows("chat", PAIRS["chat"], chosen="chosen", rejected="rejected")
    expected = theirs(trl.DPOTrainer, arguments, data, base, init)
    for name, other in {"loss": "loss", "grad_norm": "grad_norm"}.items():
        ratio = [line[name] for line in found]
        assert ratio == pytest.approx([line[other] for line in expected], abs=1e-5, rel=2e-5), name


def torchtune_loss():
    """Load torchtune's loss from its file: importing the package wants another torchao."""
    found = importlib.util.find_spec("torchtune")
    if found is None or not found.submodule_search_locations:
        pytest.skip("torchtune is not installed")
    file = Path(found.submodule_search_locations[0]) / "rlhf" / "loss" / "dpo.py"
    spec = importlib.util.spec_from_file_location("torchtune_dpo", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DPOLoss


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
def test_cdpo_equals_torchtunes_loss_and_the_reference_formula(noise):
    """TRL's label_smoothing does nothing on its sigmoid loss, so it is no oracle here."""
    draw = torch.Generator().manual_seed(0)
    a, b, ref_a, ref_b = (-20 * torch.rand(64, generator=draw) for _ in range(4))
    gap = (a - ref_a) - (b - ref_b)
    mine = cdpo(gap, 0.3, noise) if noise else sigmoid(gap, 0.3)
    theirs_, _, _ = torchtune_loss()(beta=0.3, label_smoothing=noise)(a, b, ref_a, ref_b)
    torch.testing.assert_close(mine, theirs_)
    logits = 0.3 * gap  # the formula of Mitchell's note
    formula = (
        -torch.nn.functional.logsigmoid(logits) * (1 - noise)
        - torch.nn.functional.logsigmoid(-logits) * noise
    )
    torch.testing.assert_close(mine, formula)


def placed(rows):
    """Lay rows so that our loop, which permutes, takes them in the order given."""
    order = [
        i
        for s in range(STEPS)
        for i in step_rows(s, batch=BATCH, rows=len(rows), total=len(rows), seed=5)
    ]
    laid = [None] * len(rows)
    for row, place in zip(rows, order, strict=True):
        laid[place] = row
    return laid


CONFIG = TrainConfig(
    steps=STEPS, batch=BATCH, lr=0.005, schedule="linear", warmup=0, clip=0.5, seed=5,
    save_every=0, micro_tokens=100_000,
)  # fmt: skip


def test_kto_losses_equal_trls_step_by_step(base, init, tmp_path):  # noqa: F811
    """On TRL's own mismatched answers: rotated by one within each batch."""
    encode = tokenizer(CHATML)
    texts = [(f"What is number {i}?", f" It is {i * i}." + " or so" * (i % 3)) for i in range(40)]
    rows = []
    for i, (prompt, answer) in enumerate(texts):
        ids = encode(prompt)["input_ids"]
        whole = encode(prompt + answer + encode.eos_token)["input_ids"]
        assert whole[: len(ids)] == ids
        rows.append((str(i), ids, whole[len(ids) :], i % 3 != 0))
    items = []
    for block in range(0, len(rows), BATCH):
        mine = rows[block : block + BATCH]
        for place, (name, ids, answer, up) in enumerate(mine):
            other = mine[place - 1][2]
            items.append(
                KtoItem(
                    name, Request((*ids, *answer), len(ids)), up,
                    Request((*ids, *other), len(ids)),
                )
            )  # fmt: skip
    local = load_local(base, dtype="float32", say=quiet)
    load_adapter(local.model, init, trainable=True)
    items = with_references(local.model, items, tmp_path, "start")
    objective = Kto(beta=0.3, desirable_weight=1.0, undesirable_weight=1.5)
    train(local.model, objective, placed(items), CONFIG, tmp_path / "ours", say=quiet)
    found = read_metrics(tmp_path / "ours" / "metrics.jsonl")

    from datasets import Dataset

    data = Dataset.from_list(
        [{"prompt": p, "completion": a, "label": i % 3 != 0} for i, (p, a) in enumerate(texts)]
    )
    arguments = trl.KTOConfig(
        output_dir=str(tmp_path / "trl"), learning_rate=0.005, beta=0.3, desirable_weight=1.0,
        undesirable_weight=1.5, per_device_train_batch_size=BATCH, **THEIRS,
    )  # fmt: skip
    expected = theirs(trl.KTOTrainer, arguments, data, base, init)
    same_runs(found, expected, **{"kl/point": "kl"})


def test_reward_losses_equal_trls_step_by_step(base, tmp_path):  # noqa: F811
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    encode = tokenizer(CHATML)
    rows = []
    for i in range(40):
        start = encode(f"What is number {i}?")["input_ids"]
        better = encode(f" It is {i * i}." + " or so" * (i % 3))["input_ids"]
        worse = encode(" No" + " no" * (i % 4))["input_ids"]
        rows.append(RankItem(str(i), ((*start, *better), (*start, *worse)), len(start)))
    local = load_local(base, dtype="float32", say=quiet)
    local.model.requires_grad_(True)
    head = add_head(local.model, seed=3)
    weight = head.weight.detach().clone()
    lm_head = local.model.get_output_embeddings().weight
    if lm_head is not local.model.get_input_embeddings().weight:
        lm_head.requires_grad_(False)
    slow = dataclasses.replace(CONFIG, lr=0.001)  # all weights: a faster run amplifies rounding
    train(local.model, Reward(centre=0.05), placed(rows), slow, tmp_path / "ours", say=quiet)
    found = read_metrics(tmp_path / "ours" / "metrics.jsonl")

    theirs_ = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=1, dtype=torch.float32
    )
    with torch.no_grad():
        theirs_.score.weight.copy_(weight)
    theirs_.config.pad_token_id = 0
    data = Dataset.from_list(
        [{"chosen_ids": list(r.answers[0]), "rejected_ids": list(r.answers[1])} for r in rows]
    )
    arguments = trl.RewardConfig(
        output_dir=str(tmp_path / "trl"), learning_rate=0.001, center_rewards_coefficient=0.05,
        per_device_train_batch_size=BATCH, **THEIRS,
    )  # fmt: skip
    runner = trl.RewardTrainer(
        theirs_, args=arguments, train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(base),
    )  # fmt: skip
    runner.train()
    expected = [line for line in runner.state.log_history if "loss" in line]
    same_runs(found, expected, **{"rewards/accuracies": "accuracy", "rewards/margins": "margin"})


def test_a_linear_reward_model_is_statsmodels_logit():
    """Bradley and Terry on features is logistic regression of the differences, no intercept."""
    api = pytest.importorskip("statsmodels.api")
    import numpy as np

    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 2, 3))
    true = np.array([1.0, -0.5, 0.3])
    won = draw.random(400) < 1 / (1 + np.exp(-(x[:, 0] - x[:, 1]) @ true))
    better = np.where(won[:, None], x[:, 0], x[:, 1])
    worse = np.where(won[:, None], x[:, 1], x[:, 0])
    design = np.concatenate([better - worse, worse - better])
    wanted = api.Logit(np.r_[np.ones(400), np.zeros(400)], design).fit(disp=0).params

    from togi.align.reward import bradley_terry

    pairs = torch.from_numpy(np.stack([better, worse], 1))
    weights = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe",
                               tolerance_grad=1e-12)  # fmt: skip

    def closure():
        solver.zero_grad()
        total = sum(bradley_terry(pair @ weights) for pair in pairs)
        total.backward()
        return total

    solver.step(closure)
    assert weights.detach().numpy() == pytest.approx(wanted, abs=1e-6)


def test_the_published_mezo_update_by_hand():
    """One step of the published algorithm, written out with the global generator in float64."""
    from togi.align.mezo import Slope, move
    from togi.align.mezo_noise import Noise
    from togi.align.mezo_twins import evaluate
    from togi.align.sft import Sft, SftItem

    local = llama().double().requires_grad_(True)
    from togi.lm import attention

    attention.register()
    local.set_attn_implementation(attention.NAME)
    items = [SftItem("a", Request(tuple(range(3, 14)), 4))]
    eps, lr, noise = 1e-3, 1e-2, Noise(4)
    with torch.no_grad():
        by_hand = {name: w.clone() for name, w in local.named_parameters()}
        losses = []
        for scale in (1, -2):  # theta += eps z; L; theta -= 2 eps z; L; theta += eps z
            for name, w in local.named_parameters():
                w.add_(noise.of(name, w), alpha=scale * eps)
            losses.append(float(Sft().loss(local, items)[0]) / 7)
        for name, w in local.named_parameters():
            w.copy_(by_hand[name])
            by_hand[name] = w - lr * (losses[0] - losses[1]) / (2 * eps) * noise.of(name, w)
        both = evaluate(local, Sft(), items, noise, eps, 4096)
        assert (both.plus, both.minus) == pytest.approx(tuple(losses), abs=2e-6)
        slope = (losses[0] - losses[1]) / (2 * eps)
        move(dict(local.named_parameters()), [Slope(4, slope)], lr=lr, decay=0.0, draw="gaussian")
    for name, w in local.named_parameters():
        torch.testing.assert_close(w.detach(), by_hand[name], rtol=0, atol=1e-12)
    assert math.isfinite(slope)
