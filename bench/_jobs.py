"""The work that togi and a peer are both given: plain JSON, so that neither chooses it."""

from __future__ import annotations

import json
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


def dpo(n: int = 64) -> dict[str, Any]:
    """Make pairs of mixed length: the real docstring against another function's."""
    found = rows(n)
    others = [found[(i + 17) % len(found)][1] for i in range(len(found))]
    pairs = [
        {"prompt": p, "chosen": c, "rejected": r}
        for (p, c), r in zip(found, others, strict=True)
    ]  # fmt: skip
    return {"pairs": pairs, "batch": 4, "lr": 1e-4, "beta": 0.1, "order": order(n, 4, n // 4)}


def sft(n: int = 64) -> dict[str, Any]:
    """Make rows of mixed length."""
    found = [{"prompt": p, "completion": c} for p, c in rows(n, skip=3)]
    return {"rows": found, "batch": 8, "lr": 2e-4, "order": order(n, 8, n // 8)}


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


def write(name: str, folder: Path, *, n: int = 64) -> Path:
    """Write the job of `n` rows or pairs, with the model and the adapter that both start from."""
    from togi.align.lora import Lora, add_lora, save_adapter
    from togi.lm.catalogue import resolve
    from togi.lm.local import load_local

    model = load_local(resolve(MODEL), name=MODEL, say=lambda _: None)
    job = {
        "dpo": lambda: dpo(n),
        "sft": lambda: sft(n),
        "multiple_choice": lambda: multiple_choice(model.tokenizer),
        "generate": generate,
    }[name]()
    job["model"] = str(resolve(MODEL))
    if name in ("dpo", "sft"):
        add_lora(model.model, Lora(rank=8, alpha=16), seed=0)
        save_adapter(model.model, folder / "adapter", MODEL)
        job["adapter"] = str(folder / "adapter")
    path = folder / f"{name}.json"
    path.write_text(json.dumps(job))
    return path
