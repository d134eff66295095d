"""Parity with TRL: from the same rows, adapter, order and rates, the same losses step by step."""

from __future__ import annotations

import pytest
import torch

trl = pytest.importorskip("trl")
peft = pytest.importorskip("peft")

from saved_toys import CHATML, llama, quiet, save  # noqa: E402

from togi.align.lora import Lora, add_lora, lora_layers, save_adapter  # noqa: E402
from togi.align.settings import DpoSettings, SftSettings  # noqa: E402
from togi.align.steps import run_train  # noqa: E402
from togi.lm.local import load_local  # noqa: E402
from togi.rows.types import Example, Message, Preference  # noqa: E402
from togi.rows.write import write_rows  # noqa: E402
from togi.stats.rng import derive  # noqa: E402
from togi.step import Work  # noqa: E402
from togi.train.metrics import read_metrics  # noqa: E402
from togi.train.packing import step_rows  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mend

STEPS, BATCH, SEED, ROWS = 10, 4, 3, 17
OURS = {
    "rows": "data", "start": "init", "steps": STEPS, "batch": BATCH, "schedule": "linear",
    "warmup": 0, "clip": 0.5, "dtype": "float32",
}  # fmt: skip
THEIRS = {
    "max_steps": STEPS, "lr_scheduler_type": "linear", "warmup_steps": 0, "max_grad_norm": 0.5,
    "train_sampling_strategy": "sequential", "logging_steps": 1, "bf16": False, "use_cpu": True,
    "gradient_checkpointing": False, "report_to": "none", "save_strategy": "no",
    "disable_tqdm": True, "max_length": None,
}  # fmt: skip


def prompt_of(kind, i):
    text = f"What is number {i}?" + " And of the users" * (i % 4)
    if kind == "plain":
        return text
    system = (Message("system", "Be brief."),) if i % 3 == 0 else ()
    return (*system, Message("user", text))


EXAMPLES = {
    kind: [
        Example(
            id=f"e{i}", prompt=prompt_of(kind, i), response=f" It is {i * i}" + " or so" * (i % 5)
        )
        for i in range(ROWS)
    ]
    for kind in ("plain", "chat")
}
PAIRS = {
    kind: [
        Preference(
            id=f"p{i}",
            prompt=prompt_of(kind, i),
            chosen=f" It is {i}." + " Yes" * (i % 3),
            rejected=" No" + " no" * (i % 4),
        )
        for i in range(ROWS)
    ]
    for kind in ("plain", "chat")
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    # TRL trains on all that the template writes, togi up to the end of the turn.
    template = CHATML.replace("<|im_end|>\n", "<|im_end|>")
    return save(llama(), tmp_path_factory.mktemp("models") / "tiny", template)


@pytest.fixture(scope="module")
def init(base, tmp_path_factory):
    """An adapter that is not zero, so that the reference of DPO is not the base."""
    model = load_local(base, dtype="float32", say=quiet).model
    add_lora(model, Lora(rank=4), seed=1)
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for layer in lora_layers(model).values():
            layer.lora_B.copy_(0.02 * torch.randn(layer.lora_B.shape, generator=draw))
    folder = tmp_path_factory.mktemp("adapters") / "init"
    save_adapter(model, folder, str(base))
    return folder


def ours(run, settings, rows, base, init, folder):
    (folder / "step").mkdir()
    write_rows(folder / "rows.jsonl", rows)
    inputs = {"data": {"rows": str(folder / "rows.jsonl")}, "init": {"adapter": str(init)}}
    run(settings, Work(folder=folder / "step", seed=SEED, name="step", model=str(base),
                       inputs=inputs, say=quiet, offline=True))  # fmt: skip
    return read_metrics(folder / "step" / "metrics.jsonl")


def in_our_order(rows):
    seed, total = derive(SEED, "train") >> 1, STEPS * BATCH
    places = [
        step_rows(s, batch=BATCH, rows=len(rows), total=total, seed=seed) for s in range(STEPS)
    ]
    return [rows[i] for step in places for i in step]


def turns(prompt):
    return [{"role": m.role, "content": m.content} for m in prompt]


def said(kind, text):
    return text if kind == "plain" else [{"role": "assistant", "content": text}]


def their_rows(kind, rows, **columns):
    from datasets import Dataset

    records = []
    for row in in_our_order(rows):
        prompt = row.prompt if kind == "plain" else turns(row.prompt)
        answers = {name: said(kind, getattr(row, field)) for name, field in columns.items()}
        records.append({"prompt": prompt, **answers})
    return Dataset.from_list(records)


def theirs(trainer, arguments, data, base, init):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(model, init, is_trainable=True)
    runner = trainer(
        model, args=arguments, train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(base),
    )  # fmt: skip
    runner.train()
    return [line for line in runner.state.log_history if "loss" in line]


def same_runs(found, expected, **columns):
    assert len(found) == len(expected) == STEPS
    for name, other in {"loss": "loss", "grad_norm": "grad_norm", "lr": "learning_rate",
                        **columns}.items():  # fmt: skip
        mine, them = (
            [line[k] for line in lines] for lines, k in ((found, name), (expected, other))
        )
        assert mine == pytest.approx(them, abs=1e-5, rel=1e-5), name
    assert max(line["grad_norm"] for line in found) > 0.5  # clipping had something to do


@pytest.mark.parametrize(("kind", "parts"), [("plain", 1), ("chat", 1), ("chat", 2)])
def test_sft_losses_equal_trls_step_by_step(base, init, tmp_path, kind, parts):
    rows = EXAMPLES[kind]
    micro = {1: 100_000, 2: 60}[parts]
    settings = SftSettings(**OURS, lr=0.01, micro_tokens=micro)
    found = ours(run_train, settings, rows, base, init, tmp_path)
    arguments = trl.SFTConfig(
        output_dir=str(tmp_path / "trl"), learning_rate=0.01, completion_only_loss=True,
        per_device_train_batch_size=BATCH // parts, gradient_accumulation_steps=parts, **THEIRS,
    )  # fmt: skip
    data = their_rows(kind, rows, completion="response")
    expected = theirs(trl.SFTTrainer, arguments, data, base, init)
    # Over several parts TRL averages their accuracies, whatever their lengths.
    same_runs(found, expected, **({"token_accuracy": "mean_token_accuracy"} if parts == 1 else {}))
    assert found[-1]["loss"] < found[0]["loss"] - 0.3


@pytest.mark.parametrize("kind", ["plain", "chat"])
def test_dpo_losses_equal_trls_step_by_step(base, init, tmp_path, kind):
    rows = PAIRS[kind]
    settings = DpoSettings(**OURS, lr=0.005, beta=0.3)
    found = ours(run_train, settings, rows, base, init, tmp_path)
    arguments = trl.DPOConfig(
        output_dir=str(tmp_path / "trl"), learning_rate=0.005, beta=0.3, loss_type="sigmoid",
        per_device_train_batch_size=BATCH, **THEIRS,
    )  # fmt: skip
    data = their_rows(kind, rows, chosen="chosen", rejected="rejected")
    expected = theirs(trl.DPOTrainer, arguments, data, base, init)
    names = ["rewards/chosen", "rewards/rejected", "rewards/margins"]
    same_runs(found, expected, **{name: name for name in names})
    # Before the first update margins are rounding, so from the second step on.
    right = [[line["rewards/accuracies"] for line in lines[1:]] for lines in (found, expected)]
    assert right[0] == right[1]
    assert found[-1]["loss"] < found[0]["loss"] - 0.05
