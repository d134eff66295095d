"""The peers' side of the benches, run by the peers' own environment without togi."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def _model(job: dict[str, Any], *, adapter: bool = True) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = {"bfloat16": torch.bfloat16, "float32": torch.float32}[job.get("dtype", "bfloat16")]
    if job.get("matmul"):
        torch.set_float32_matmul_precision(job["matmul"])
    packed = {"quantization_config": _packing(dtype)} if job.get("nf4") else {}
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=dtype, **packed)
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, job["adapter"], is_trainable=True)
    return model, tokenizer


def _packing(dtype: Any) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )  # fmt: skip


def _common(job: dict[str, Any], folder: str) -> dict[str, Any]:
    return {
        "output_dir": folder,
        "per_device_train_batch_size": job["micro"],
        "gradient_accumulation_steps": job["batch"] // job["micro"],
        "num_train_epochs": job.get("epochs", 1),
        "learning_rate": job["lr"],
        "lr_scheduler_type": "linear",
        "max_grad_norm": 1.0,
        "weight_decay": 0.0,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "bf16": job.get("dtype", "bfloat16") == "bfloat16",
        "gradient_checkpointing": job["gradient_checkpointing"],
        "train_sampling_strategy": "sequential",
        "disable_tqdm": True,
        "max_length": 2048,
    }


def dpo(job: dict[str, Any]) -> dict[str, Any]:
    """TRL's DPO with the settings named in the job."""
    from trl import DPOConfig, DPOTrainer

    return _preferences(job, job["pairs"], DPOConfig, DPOTrainer)


def kto(job: dict[str, Any]) -> dict[str, Any]:
    """TRL's KTO; it takes the mismatched answers from within each batch."""
    from trl import KTOConfig, KTOTrainer

    return _preferences(job, job["thumbs"], KTOConfig, KTOTrainer)


def _preferences(job: dict[str, Any], rows: list[Any], config: Any, trainer: Any) -> dict[str, Any]:
    """Train on pairs or thumbs, the reference's log-probabilities included in the time."""
    from datasets import Dataset

    model, tokenizer = _model(job)
    data = Dataset.from_list([rows[i] for i in job["order"]])
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        settings = config(
            **_common(job, folder), beta=job["beta"],
            precompute_ref_log_probs=job["precompute"],
        )  # fmt: skip
        run = trainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer)
        run.train()
        took = time.perf_counter() - began
    losses = [entry["loss"] for entry in run.state.log_history if "loss" in entry]
    return {"seconds": took, "work": len(data) * job.get("epochs", 1), "answers": losses}


def reward(job: dict[str, Any]) -> dict[str, Any]:
    """TRL's reward trainer: a ranking of four answers is six pairs, one step."""
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    model, tokenizer = _classifier(job)
    end = tokenizer.eos_token_id

    def ids(prompt: str, answer: str) -> list[int]:
        return [*tokenizer(prompt + answer, add_special_tokens=False)["input_ids"], end]

    pairs = []
    for place in job["order"]:
        row = job["rankings"][place]
        sides = [ids(row["prompt"], answer) for answer in row["answers"]]
        pairs += [
            {"chosen_ids": sides[i], "rejected_ids": sides[j]}
            for i in range(len(sides)) for j in range(i + 1, len(sides))
        ]  # fmt: skip
    each = len(pairs) // len(job["order"])
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        config = RewardConfig(**_common({**job, "batch": each}, folder))
        trainer = RewardTrainer(
            model, args=config, train_dataset=Dataset.from_list(pairs), processing_class=tokenizer
        )
        trainer.train()
        took = time.perf_counter() - began
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {"seconds": took, "work": len(job["order"]), "answers": losses}


def _classifier(job: dict[str, Any], *, adapter: bool = True) -> tuple[Any, Any]:
    """Open the model with a reward head; adapter and head are trained."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    dtype = {"bfloat16": torch.bfloat16, "float32": torch.float32}[job.get("dtype", "float32")]
    if job.get("matmul"):
        torch.set_float32_matmul_precision(job["matmul"])
    model = AutoModelForSequenceClassification.from_pretrained(
        job["model"], num_labels=1, dtype=dtype
    )
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    model.config.pad_token_id = tokenizer.pad_token_id
    with torch.no_grad():
        model.score.weight.copy_(load_file(job["head"])["weight"])
    if adapter:
        from peft import PeftConfig, PeftModel

        config = PeftConfig.from_pretrained(job["adapter"])
        config.task_type = None  # the file's is for generation
        model = PeftModel.from_pretrained(model, job["adapter"], config=config, is_trainable=True)
        for name, weight in model.named_parameters():
            if name.endswith("score.weight"):
                weight.requires_grad_(True)
    return model, tokenizer


def mezo(job: dict[str, Any]) -> dict[str, Any]:
    """MeZO's step as its authors' trainer makes it: each weight perturbed in place, four times."""
    import torch

    model, tokenizer = _model(job, adapter=False)
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    eps, lr, batch = job["eps"], job["lr"], job["batch"]

    def move(seed: int, scale: float) -> None:
        torch.manual_seed(seed)
        for _, weight in named:
            z = torch.normal(
                mean=0, std=1, size=weight.data.size(), device=weight.device, dtype=weight.dtype
            )
            weight.data = weight.data + scale * z

    losses, seconds = [], []
    with torch.inference_mode():
        for step in range(job["steps"]):
            began = time.perf_counter()
            order = job["order"]
            rows = [job["rows"][order[(step * batch + i) % len(order)]] for i in range(batch)]
            inputs = _padded(tokenizer, rows)
            move(step, eps)
            above = float(model(**inputs).loss)
            move(step, -2 * eps)
            below = float(model(**inputs).loss)
            move(step, eps)
            move(step, -lr * (above - below) / (2 * eps))
            losses.append((above + below) / 2)
            seconds.append(time.perf_counter() - began)
    return {"seconds": sum(seconds[1:]), "work": len(seconds) - 1, "answers": losses}


def _padded(tokenizer: Any, rows: list[Any]) -> dict[str, Any]:
    """Return one padded batch whose loss lies on the completions."""
    import torch

    found = []
    for row in rows:
        start = len(tokenizer(row["prompt"], add_special_tokens=False)["input_ids"])
        ids = tokenizer(row["prompt"] + row["completion"], add_special_tokens=False)["input_ids"]
        found.append((start, [*ids, tokenizer.eos_token_id]))
    longest = max(len(ids) for _, ids in found)
    pads = [(0, longest - len(ids)) for _, ids in found]
    pad = torch.nn.functional.pad
    ids, mask, labels = (
        torch.stack(
            [
                pad(torch.tensor(row), room, value=fill)
                for row, room in zip(rows_, pads, strict=True)
            ]
        )
        for rows_, fill in (
            ([ids for _, ids in found], 0),
            ([[1] * len(ids) for _, ids in found], 0),
            ([[-100] * start + ids[start:] for start, ids in found], -100),
        )
    )
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def sft(job: dict[str, Any]) -> dict[str, Any]:
    """TRL's SFT on prompt and completion, loss on the completion only."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = _model(job)
    data = Dataset.from_list([job["rows"][i] for i in job["order"]])
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        packing = bool(job.get("packing"))
        common = {**_common(job, folder), **({"max_length": 1024} if packing else {})}
        config = SFTConfig(**common, packing=packing, completion_only_loss=True)
        trainer = SFTTrainer(
            model=model, args=config, train_dataset=data, processing_class=tokenizer
        )
        trainer.train()
        took = time.perf_counter() - began
        real = sum(len(row["input_ids"]) for row in trainer.train_dataset)
        real *= job.get("epochs", 1)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {"seconds": took, "work": real, "answers": losses}


def multiple_choice(job: dict[str, Any]) -> dict[str, Any]:
    """Score the same items by lm-eval's own model."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=job["model"], dtype=job["dtype"], batch_size=job["batch"], device="cpu")
    requests = [
        Instance(request_type="loglikelihood", doc={}, arguments=(i["context"], c), idx=k)
        for i in job["items"]
        for k, c in enumerate(i["choices"])
    ]
    lm.loglikelihood(requests[:2], disable_tqdm=True)
    began = time.perf_counter()
    found = lm.loglikelihood(requests, disable_tqdm=True)
    took = time.perf_counter() - began
    return {"seconds": took, "work": len(job["items"]), "answers": [float(x) for x, _ in found]}


def generate(job: dict[str, Any]) -> dict[str, Any]:
    """Generate with transformers in left-padded batches: all prompts at once, or so many."""
    import torch

    model, _ = _model(job, adapter=False)
    settings = {"min_new_tokens": job["new"], "max_new_tokens": job["new"], "pad_token_id": 0}
    many = job.get("at_once", len(job["ids"]))
    batches = [_left_padded(job["ids"][i : i + many]) for i in range(0, len(job["ids"]), many)]
    ids, mask = batches[0]
    work = 0
    with torch.no_grad():
        model.generate(ids[:2], attention_mask=mask[:2], max_new_tokens=4, do_sample=False)
        began = time.perf_counter()
        for ids, mask in batches:
            out = model.generate(
                ids, attention_mask=mask, do_sample=True, top_k=0, num_return_sequences=job["n"],
                **settings,
            )  # fmt: skip
            work += (out.shape[1] - ids.shape[1]) * len(out)
        took = time.perf_counter() - began
        exact, _ = _model({**job, "dtype": "float32"}, adapter=False)
        greedy = [
            exact.generate(torch.tensor([p]), max_new_tokens=16, do_sample=False,
                           eos_token_id=None, pad_token_id=0)[0, len(p):].tolist()
            for p in job["ids"][:4]
        ]  # fmt: skip
    return {"seconds": took, "work": work, "answers": greedy}


def _left_padded(prompts: list[list[int]]) -> tuple[Any, Any]:
    """Pad prompts on the left to one length; return ids and mask."""
    import torch

    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
    return ids, torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])


if __name__ == "__main__":
    name, job_file, result_file = sys.argv[1:4]
    found = globals()[name](json.loads(Path(job_file).read_text()))
    Path(result_file).write_text(json.dumps(found))
