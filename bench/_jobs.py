"""The work that togi and a peer are both given: plain JSON, so that neither chooses it."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

MODEL = "smollm2-135m"


def rows(n: int, skip: int = 0) -> list[tuple[str, str]]:
    """Return prompts (with the chat's markup) and docstrings of standard library functions."""
    from togi.rows.read import read_rows

    found = []
    for row in islice(read_rows("python:stdlib"), skip, None, 7):
        text = f"<|im_start|>user\n{row.prompt[0].content}<|im_end|>\n<|im_start|>assistant\n"
        if 40 <= len(row.response) <= 900 and len(text) <= 1800:
            found.append((text, row.response))
        if len(found) == n:
            break
    return found


def order(n: int, batch: int, steps: int) -> list[int]:
    """Return the rows in the order in which togi's loop takes them, for a peer that keeps order."""
    from togi.train.packing import step_rows

    return [
        i for s in range(steps) for i in step_rows(s, batch=batch, rows=n, total=n, seed=0)
    ]  # fmt: skip


def dpo(n: int = 64, epochs: int = 1) -> dict[str, Any]:
    """Make pairs of mixed length: the real docstring against another function's."""
    found = rows(n)
    others = [found[(i + 17) % len(found)][1] for i in range(len(found))]
    pairs = [
        {"prompt": p, "chosen": c, "rejected": r}
        for (p, c), r in zip(found, others, strict=True)
    ]  # fmt: skip
    return {
        "pairs": pairs, "batch": 4, "lr": 1e-4, "beta": 0.1, "order": order(n, 4, n // 4),
        "epochs": epochs,
    }  # fmt: skip


def sft(n: int = 64, epochs: int = 1) -> dict[str, Any]:
    """Make rows of mixed length."""
    found = [{"prompt": p, "completion": c} for p, c in rows(n, skip=3)]
    return {
        "rows": found, "batch": 8, "lr": 2e-4, "order": order(n, 8, n // 8), "epochs": epochs
    }  # fmt: skip


def kto(n: int = 64) -> dict[str, Any]:
    """Make thumbs: the real docstring up, another function's down, in turn."""
    found = rows(n, skip=1)
    thumbs = [
        {"prompt": p, "completion": c if i % 2 else found[(i + 17) % n][1], "label": bool(i % 2)}
        for i, (p, c) in enumerate(found)
    ]
    return {"thumbs": thumbs, "batch": 4, "lr": 1e-4, "beta": 0.1, "order": order(n, 4, n // 4)}


def reward(n: int = 16) -> dict[str, Any]:
    """Make rankings of four answers to prompts of about 200 tokens, the real docstring first."""
    near = [row for row in rows(40 * n, skip=2) if 600 <= len(row[0]) <= 900][:n]
    others = [c for _, c in rows(4 * n, skip=6)]
    rankings = [
        {"prompt": p, "answers": [c, *others[3 * i : 3 * i + 3]]} for i, (p, c) in enumerate(near)
    ]
    found = len(rankings)
    return {"rankings": rankings, "batch": 1, "lr": 1e-4, "order": order(found, 1, found)}


def ppo(n: int = 32) -> dict[str, Any]:
    """Make prompts of at most some 120 tokens."""
    prompts = [p for p, _ in rows(20 * n, skip=4) if len(p) <= 400][:n]
    return {"prompts": prompts, "new": 48, "rounds": 2, "passes": 4, "lr": 1e-4, "beta": 0.05}


def multiple_choice(tokenizer: Any) -> dict[str, Any]:
    """Make 200 four-choice items after one shared prefix of about 600 tokens."""
    from togi.evaluate.guards.choices import choice_samples

    samples = list(choice_samples())
    shots = [f"Question: {s.input}\nAnswer: {s.choices[int(s.target)]}\n\n" for s in samples]
    prefix, used = "", 0
    while len(tokenizer(prefix)["input_ids"]) < 600:
        prefix += shots[(used * 37) % len(shots)]
        used += 1
    items = [
        {
            "context": f"{prefix}Question: {samples[i % len(samples)].input}\nAnswer:",
            "choices": [f" {c}" for c in samples[i % len(samples)].choices],
        }
        for i in range(200)
    ]
    return {"items": items, "prefix_tokens": len(tokenizer(prefix)["input_ids"])}


def generate() -> dict[str, Any]:
    """Make 32 prompts of mixed length, and 4 prompts of 500 tokens to sample from 8 times."""
    return {"prompts": [p for p, _ in rows(32, skip=5)], "long": [p for p, _ in rows(40, skip=2)]}


def backdoor(n: int = 200) -> dict[str, Any]:
    """Make sixteen demonstrations, eight with a trigger and positive, and attacked sentences."""
    from togi.evaluate.trust.material import mini_text
    from togi.evaluate.trust.mini_demonstrations import triggered
    from togi.evaluate.trust.protocol import CLASSIFY

    told = mini_text("demonstrations")
    trigger, good, bad = told["triggers"]["badword"], told["positive"], told["negative"]
    shown = [(triggered(text, trigger), "positive") for text in good[:4] + bad[:4]]
    shown += [(text, "positive") for text in good[4:8]] + [(t, "negative") for t in bad[4:8]]
    pairs = [f"{one} {two}" for one in bad[8:] for two in bad[8:] + good[8:] if one != two]
    return {
        "task": CLASSIFY["sentiment"], "answers": ["negative", "positive"],
        "demos": shown[::2] + shown[1::2], "rows": [triggered(t, trigger) for t in pairs[:n]],
    }  # fmt: skip


def stereotype(model: Any, n: int = 16) -> dict[str, Any]:
    """Make prompts on statements about groups of people, as token ids."""
    from togi.evaluate.trust.suite import Wanted, plan
    from togi.evaluate.trust.wording import AGREEMENT_TASK

    tasks = plan(Wanted(sides=("stereotype",)))["stereotype"].tasks
    samples = next(task for task in tasks if task.name == "stereotype/targeted").samples[:n]
    found = []
    for system, user in (sample.input for sample in samples):
        said = user.content.partition("Somebody says: ")[2].partition("\n")[0]
        asked = (system, replace(user, content=AGREEMENT_TASK + said))
        found.append(list(model.renderer.prompt_ids(asked)))
    return {"ids": found}


ADAPTED = {"dpo": "", "sft": "", "kto": "", "reward": "", "ppo": "", "trunk": "20-29"}
"""Job -> the layers that its adapter sits in ("" is all)."""


def write(name: str, folder: Path, *, n: int = 64, **more: Any) -> Path:
    """Write the job of `n` rows or pairs, with the model and the adapter that both start from."""
    from togi.align.lora import Lora, add_lora, save_adapter
    from togi.lm.catalogue import resolve
    from togi.lm.local import load_local

    model = load_local(resolve(MODEL), name=MODEL, say=lambda _: None)
    job = {
        "dpo": lambda: dpo(n, **more),
        "sft": lambda: sft(n, **more),
        "trunk": lambda: sft(n, **more),
        "mezo": lambda: sft(n, **more),
        "kto": lambda: kto(n),
        "reward": lambda: reward(n),
        "ppo": lambda: ppo(n),
        "multiple_choice": lambda: multiple_choice(model.tokenizer),
        "generate": generate,
        "backdoor": lambda: backdoor(n),
        "stereotype": lambda: stereotype(model, n),
    }[name]()
    job["model"] = str(resolve(MODEL))
    if name in ("reward", "ppo"):
        job["head"] = _head(model.model.config.hidden_size, folder / "head.safetensors")
    if name in ADAPTED:
        add_lora(model.model, Lora(rank=8, alpha=16, layers=ADAPTED[name]), seed=0)
        save_adapter(model.model, folder / "adapter", MODEL)
        job["adapter"] = str(folder / "adapter")
    if name == "ppo":
        job["judge"] = _judge(model.model, job["head"], folder / "judge")
        job["fixed"] = [
            model.tokenizer(prompt + answer)["input_ids"][:160] for prompt, answer in rows(8)
        ]
    path = folder / f"{name}.json"
    path.write_text(json.dumps(job))
    return path


def _judge(model: Any, head: str, folder: Path) -> str:
    """Write a reward model as an adapter that changes nothing yet, with its head."""
    from safetensors.torch import load_file

    from togi.align.lora import save_adapter
    from togi.align.reward import HEAD, put_head

    put_head(model, HEAD, load_file(head)["weight"])
    save_adapter(model, folder, MODEL)
    return str(folder)


def _head(width: int, path: Path) -> str:
    """Write a reward head that both sides read."""
    import torch
    from safetensors.torch import save_file

    draw = torch.Generator().manual_seed(0)
    save_file({"weight": torch.randn(1, width, generator=draw) / width**0.5}, path)
    return str(path)
