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


def _train(
    job: dict[str, Any], objective: Any, make: Any, rows: list[Any], *, prepare: Any = None,
    **settings: Any,
) -> dict[str, Any]:  # fmt: skip
    from togi.align.lora import load_adapter
    from togi.align.nf4_open import open_nf4
    from togi.lm.local import load_local
    from togi.train.config import TrainConfig
    from togi.train.loop import train

    opened = open_nf4 if job.get("nf4") else load_local
    local = opened(Path(job["model"]), dtype=job.get("dtype", "auto"), say=quiet)
    began = time.perf_counter()
    load_adapter(local.model, Path(job["adapter"]), trainable=True)
    with tempfile.TemporaryDirectory() as folder:
        items = make(local, rows, Path(folder))
        if prepare is not None:
            prepare(local, objective, items, Path(folder))
        config = TrainConfig(
            epochs=job.get("epochs", 1), batch=job["batch"], lr=job["lr"], schedule="linear",
            clip=1.0, seed=0, save_every=0, **settings,
        )  # fmt: skip
        summary = train(local.model, objective, items, config, Path(folder), say=quiet)
        took = time.perf_counter() - began
        lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    return {
        "seconds": took,
        "work": len(rows) * job.get("epochs", 1),
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


def _sft_items(local: Any, rows: list[Any], folder: Path) -> list[Any]:
    from togi.align.sft import SftItem
    from togi.lm.forward import Request

    found = [_ids(local.tokenizer, row["prompt"], row["completion"]) for row in rows]
    return [SftItem(str(i), Request(*ids)) for i, ids in enumerate(found)]


def sft(job: dict[str, Any]) -> dict[str, Any]:
    """Train on the rows; work is counted in real tokens, padding excluded.

    With `cache_trunk` what lies below the adapted layers is read once, within the time.
    """
    from togi.align.sft import Sft

    real = []

    def make(local: Any, rows: list[Any], folder: Path) -> list[Any]:
        items = _sft_items(local, rows, folder)
        real.append(sum(len(item.request.ids) for item in items))
        return items

    def keep(local: Any, objective: Any, items: list[Any], folder: Path) -> None:
        from togi.align.trunk import with_trunk

        with_trunk(local.model, objective, items, folder / "trunk", say=quiet)

    prepare = keep if job.get("cache_trunk") else None
    result = _train(job, Sft(), make, job["rows"], prepare=prepare)
    return {**result, "work": real[0] * job.get("epochs", 1)}


def kto(job: dict[str, Any]) -> dict[str, Any]:
    """Train on thumbs; references of the answers and of the mismatched ones count too."""
    from togi.align.kto import Kto, kto_items, with_references
    from togi.rows.types import Feedback

    def make(local: Any, rows: list[Any], folder: Path) -> list[Any]:
        thumbs = [
            Feedback(id=str(i), prompt=r["prompt"], response=r["completion"], desirable=r["label"])
            for i, r in enumerate(rows)
        ]
        items, dropped = kto_items(thumbs, _Plain(local.tokenizer))
        assert not dropped, dropped
        return with_references(local.model, items, folder, "bench")

    return _train(job, Kto(beta=job["beta"]), make, job["thumbs"])


class _Plain:
    """Renders plain prompts and answers as the peers do: joined, with the end's token."""

    max_tokens = 2048

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def examples(self, parts: Any) -> Any:
        """Yield the ids of prompt and answer."""
        from types import SimpleNamespace

        for _, prompt, answer in parts:
            ids, start = _ids(self.tokenizer, prompt, answer)
            yield SimpleNamespace(prompt_ids=ids[:start], answer_ids=ids[start:])


def reward(job: dict[str, Any]) -> dict[str, Any]:
    """Train a reward model on rankings of four; the prompt is read once for all."""
    from safetensors.torch import load_file

    from togi.align.reward import HEAD, RankItem, Reward, put_head

    def make(local: Any, rows: list[Any], folder: Path) -> list[Any]:
        put_head(local.model, HEAD, load_file(job["head"])["weight"], trainable=True)
        items = []
        for i, row in enumerate(rows):
            sides = [_ids(local.tokenizer, row["prompt"], answer) for answer in row["answers"]]
            items.append(RankItem(str(i), tuple(ids for ids, _ in sides), sides[0][1]))
        return items

    return _train(job, Reward(), make, job["rankings"], micro_tokens=2048)


def mezo(job: dict[str, Any]) -> dict[str, Any]:
    """Make MeZO steps on all weights, or on an adapter's where the job names one."""
    from togi.align.lora import load_adapter
    from togi.align.mezo import Mezo, MezoUpdater
    from togi.align.sft import Sft
    from togi.lm.local import load_local
    from togi.train.config import TrainConfig
    from togi.train.loop import train

    local = load_local(Path(job["model"]), dtype=job.get("dtype", "auto"), say=quiet)
    if job.get("adapter"):
        load_adapter(local.model, Path(job["adapter"]), trainable=True)
    else:
        local.model.requires_grad_(True)
    own = Mezo(eps=job["eps"], draw=job["draw"])
    items = _sft_items(local, job["rows"], Path())
    config = TrainConfig(
        steps=job["steps"], batch=job["batch"], lr=job["lr"], schedule="constant", clip=0,
        seed=0, save_every=0, micro_tokens=job.get("micro_tokens", 4096),
    )  # fmt: skip

    def make(module: Any, folder: Path) -> Any:
        return MezoUpdater(module, folder, config=config, settings=own)

    with tempfile.TemporaryDirectory() as folder:
        train(local.model, Sft(), items, config, Path(folder), updater=make, say=quiet)
        lines = [json.loads(x) for x in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    told = [line for line in lines if "loss" in line]
    took = told[-1]["seconds"] - told[0]["seconds"]  # the first step warms up, on both sides
    return {"seconds": took, "work": len(told) - 1, "answers": [line["loss"] for line in told]}


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

    local = load_local(Path(job["model"]), dtype=job.get("dtype", "auto"), say=quiet)
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


def backdoor(job: dict[str, Any]) -> dict[str, Any]:
    """Score both answers to every row, all rows in one call or as many as the job says."""
    from togi.evaluate.trust.talks import classified
    from togi.lm.local import load_local

    local = load_local(Path(job["model"]), dtype="float32", say=quiet)
    answers = [answer.capitalize() for answer in job["answers"]]
    demos = [(said, answer) for said, answer in job["demos"]]
    local.score(["Warm up."] * 2, answers)
    began = time.perf_counter()
    prompts = [classified(job["task"], text, demos) for text in job["rows"]]
    step = job.get("rows_a_call", len(prompts))
    scores = [
        score
        for start in range(0, len(prompts), step)
        for score in local.score(
            [prompt for prompt in prompts[start : start + step] for _ in answers],
            answers * len(prompts[start : start + step]),
        )
    ]
    took = time.perf_counter() - began
    return {"seconds": took, "work": len(prompts), "answers": [s.total for s in scores]}


if __name__ == "__main__":
    name, job_file, result_file = sys.argv[1:4]
    found = globals()[name](json.loads(Path(job_file).read_text()))
    Path(result_file).write_text(json.dumps(found))
