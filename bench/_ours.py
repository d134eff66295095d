"""togi's side of the benches: `python bench/_ours.py NAME job.json result.json`."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def quiet(_: str) -> None:
    """Say nothing while the clock runs."""


def _ids(tokenizer: Any, prompt: str, answer: str) -> tuple[tuple[int, ...], int]:
    start = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    whole = tokenizer(prompt + answer, add_special_tokens=False)["input_ids"]
    assert whole[: len(start)] == start, "the prompt is not a prefix of the whole"
    return (*whole, tokenizer.eos_token_id), len(start)


def _train(job: dict[str, Any], objective: Any, make: Any, rows: list[Any]) -> dict[str, Any]:
    from togi.align.lora import load_adapter
    from togi.lm.local import load_local
    from togi.train.config import TrainConfig
    from togi.train.loop import train

    local = load_local(Path(job["model"]), dtype=job.get("dtype", "bfloat16"), say=quiet)
    began = time.perf_counter()
    load_adapter(local.model, Path(job["adapter"]), trainable=True)
    with tempfile.TemporaryDirectory() as folder:
        items = make(local, rows, Path(folder))
        config = TrainConfig(
            epochs=1, batch=job["batch"], lr=job["lr"], schedule="linear", clip=1.0,
            seed=0, save_every=0,
        )  # fmt: skip
        summary = train(local.model, objective, items, config, Path(folder), say=quiet)
        took = time.perf_counter() - began
        lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    return {
        "seconds": took,
        "work": len(rows),
        "tokens": summary.tokens,
        "answers": [json.loads(line)["loss"] for line in lines if "loss" in json.loads(line)],
    }


def dpo(job: dict[str, Any]) -> dict[str, Any]:
    """Train on the pairs; the reference is scored once, within the time."""
    from togi.align.dpo import Dpo, DpoItem, with_reference
    from togi.lm.forward import Request

    def make(local: Any, rows: list[Any], folder: Path) -> list[Any]:
        items = [
            DpoItem(
                str(i),
                Request(*_ids(local.tokenizer, row["prompt"], row["chosen"])),
                Request(*_ids(local.tokenizer, row["prompt"], row["rejected"])),
            )
            for i, row in enumerate(rows)
        ]
        return with_reference(local.model, items, folder, "bench")

    return _train(job, Dpo(beta=job["beta"]), make, job["pairs"])


def sft(job: dict[str, Any]) -> dict[str, Any]:
    """Train on the rows; work is counted in real tokens, padding excluded."""
    from togi.align.sft import Sft, SftItem
    from togi.lm.forward import Request

    real = []

    def make(local: Any, rows: list[Any], folder: Path) -> list[Any]:
        found = [_ids(local.tokenizer, row["prompt"], row["completion"]) for row in rows]
        real.append(sum(len(ids) for ids, _ in found))
        return [SftItem(str(i), Request(*ids)) for i, ids in enumerate(found)]

    result = _train(job, Sft(), make, job["rows"])
    return {**result, "work": real[0]}


def multiple_choice(job: dict[str, Any]) -> dict[str, Any]:
    """Score every choice of every item."""
    from togi.lm.local import load_local

    local = load_local(Path(job["model"]), dtype=job["dtype"], say=quiet)
    contexts = [item["context"] for item in job["items"] for _ in item["choices"]]
    choices = [choice for item in job["items"] for choice in item["choices"]]
    local.score(contexts[:8], choices[:8])
    began = time.perf_counter()
    scores = local.score(contexts, choices)
    took = time.perf_counter() - began
    return {"seconds": took, "work": len(job["items"]), "answers": [s.total for s in scores]}


def lm_eval_plugin(job: dict[str, Any]) -> dict[str, Any]:
    """Score the same through lm-eval's plug-in `togi`, tokenisation included; needs lm-eval."""
    from lm_eval.api.instance import Instance

    from togi.plugins.lm_eval import TogiLM

    lm = TogiLM(pretrained=job["model"], dtype=job["dtype"])
    requests = [
        Instance(request_type="loglikelihood", doc={}, arguments=(i["context"], c), idx=k)
        for i in job["items"]
        for k, c in enumerate(i["choices"])
    ]
    lm.loglikelihood(requests[:2], disable_tqdm=True)
    began = time.perf_counter()
    found = lm.loglikelihood(requests, disable_tqdm=True)
    took = time.perf_counter() - began
    return {"seconds": took, "work": len(job["items"]), "answers": [total for total, _ in found]}


def generate(job: dict[str, Any]) -> dict[str, Any]:
    """Draw 64 new tokens for each prompt, greedily (agreement) or by sampling (speed)."""
    from togi.lm.base import Sampling
    from togi.lm.generate import generate as draw
    from togi.lm.local import load_local

    local = load_local(Path(job["model"]), dtype=job["dtype"], say=quiet)
    prompts = [tuple(ids) for ids in job["ids"]]
    settings = {"n": job["n"], "max_tokens": job["new"]}
    draw(local.model, local.tokenizer, prompts[:2], Sampling(max_tokens=4), frozenset())
    began = time.perf_counter()
    drawn = draw(local.model, local.tokenizer, prompts, Sampling(**settings), frozenset())
    took = time.perf_counter() - began
    exact = load_local(Path(job["model"]), dtype="float32", say=quiet)
    greedy = draw(
        exact.model, exact.tokenizer, prompts[:4], Sampling(temperature=0, max_tokens=16),
        frozenset(),
    )  # fmt: skip
    return {
        "seconds": took,
        "work": sum(len(a.token_ids) for row in drawn for a in row),
        "answers": [list(row[0].token_ids) for row in greedy],
    }


if __name__ == "__main__":
    name, job_file, result_file = sys.argv[1:4]
    found = globals()[name](json.loads(Path(job_file).read_text()))
    Path(result_file).write_text(json.dumps(found))
