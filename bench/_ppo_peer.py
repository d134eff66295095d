"""TRL's PPO in its bench, by the last release that has it, which lies in a folder of its own.

`python bench/_ppo_peer.py ppo job.json result.json` in the peers' environment.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(Path(sys.prefix) / "trl-ppo"), str(HERE)]
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

from _peers import _classifier, _model  # noqa: E402


def _value(job: dict[str, Any]) -> Any:
    """Return a value model of the same size as ours has on its trunk: adapter and zero head."""
    import torch

    model, _ = _classifier(job)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("score.weight"):
                weight.zero_()
    return model.base_model.model


def ppo(job: dict[str, Any]) -> dict[str, Any]:
    """Play rounds: draw, score, and learn in several passes."""
    import torch
    from datasets import Dataset
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    policy, tokenizer = _model(job)
    judge, _ = _classifier(job, adapter=False)
    judge.requires_grad_(False).eval()
    tokenizer.padding_side = "left"
    tokenizer.pad_token = job["pad"]
    for model in (policy, judge):
        model.config.pad_token_id = tokenizer.pad_token_id
    value = _value(job)
    value.config.pad_token_id = tokenizer.pad_token_id
    with torch.no_grad():
        scores = [float(judge(torch.tensor([ids])).logits[0, 0]) for ids in job["fixed"]]
    prompts = [{"input_ids": tokenizer(text)["input_ids"]} for text in job["prompts"]]
    with tempfile.TemporaryDirectory() as folder:
        config = PPOConfig(
            output_dir=folder, per_device_train_batch_size=job["micro"],
            gradient_accumulation_steps=len(prompts) // job["micro"], num_mini_batches=1,
            total_episodes=len(prompts) * job["rounds"], response_length=job["new"],
            temperature=1.0, num_ppo_epochs=job["passes"], kl_coef=job["beta"],
            learning_rate=job["lr"], num_sample_generations=0, report_to="none", use_cpu=True,
            bf16=job.get("dtype") == "bfloat16", gradient_checkpointing=False,
            save_strategy="no", disable_tqdm=True, logging_steps=1,
            local_rollout_forward_batch_size=job.get("rollout", 32),
        )  # fmt: skip
        trainer = PPOTrainer(
            args=config, processing_class=tokenizer, model=policy, ref_model=None,
            reward_model=judge, value_model=value, train_dataset=Dataset.from_list(prompts),
        )  # fmt: skip
        began = time.perf_counter()
        trainer.train()
        took = time.perf_counter() - began
    return {"seconds": took, "work": len(prompts) * job["rounds"], "answers": scores}


if __name__ == "__main__":
    job_file, result_file = sys.argv[2:4]
    Path(result_file).write_text(json.dumps(ppo(json.loads(Path(job_file).read_text()))))
