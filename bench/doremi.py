"""DoReMi's proxy training: togi beside the authors' order of a step, the same model and batches.

`python -m bench.doremi` writes the result `doremi`. The peer is the step of the authors' code
written out: the logits of proxy and reference of the whole batch, the reference's anew at each
step, a mask over all tokens for each domain in turn, the tokens' weighted loss, AdamW. togi takes
the reference's losses once for all rows, within its time, and trains by its ordinary loop. The
rows are taken four times, as a small corpus allows; both get them in the same order.

The agreement compares the weights of the domains after each step (the authors' loss on both sides).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DOMAINS = 16
LR, ETA, SMOOTHING = 1e-3, 1.0, 1e-3
CLOSE = 1e-3


def rows_of(job: dict[str, Any]) -> list[tuple[int, tuple[int, ...]]]:
    """Return (domain, bytes after a first id) of the standard library's source, of equal length.

    Which file belongs to which domain does not matter for the time.
    """
    import sysconfig

    root, data = Path(sysconfig.get_paths()["stdlib"]), b""
    for path in sorted(root.glob("*.py")):
        data += path.read_bytes()
    context, n = job["context"], job["rows"]
    return [
        (i % DOMAINS, (256, *data[i * context : (i + 1) * context])) for i in range(n)
    ]  # fmt: skip


def model_of(job: dict[str, Any], seed: int) -> Any:
    """Return the model, with the same weights on both sides."""
    from togi.data.proxy import Shape, new_proxy

    shape = Shape(width=job["width"], layers=job["layers"], context=job["context"])
    return new_proxy(shape, seed=seed)


def mixture_of(job: dict[str, Any]) -> Any:
    """Return the sampler that both sides take their rows from: each domain in each step."""
    from togi.data.mixture import Mixture

    domains = [domain for domain, _ in rows_of(job)]
    return Mixture(domains, [1.0] * DOMAINS, batch=job["batch"], seed=0)


def ours(job: dict[str, Any]) -> dict[str, Any]:
    """Train by togi's loop; the reference's losses are within the time."""
    import numpy as np

    from togi.data.doremi import DomainItem, DoReMi
    from togi.data.reference_losses import with_losses
    from togi.lm.forward import Request
    from togi.train.config import TrainConfig
    from togi.train.loop import train
    from togi.train.metrics import read_metrics

    names = [f"d{i:02}" for i in range(DOMAINS)]
    none = np.empty(0, dtype=np.float32)
    proxy, reference = (model_of(job, seed) for seed in (0, 1))
    items = [
        DomainItem(str(i), Request(ids, 1), domain, job["context"], none)
        for i, (domain, ids) in enumerate(rows_of(job))
    ]
    tokens = job["batch"] * job["context"]
    config = TrainConfig(
        epochs=job["epochs"], batch=job["batch"], micro_tokens=tokens, lr=LR, schedule="constant",
        clip=1.0, weight_decay=0.01, betas=(0.9, 0.99), save_every=0,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        items = with_losses(reference, items, folder, budget=tokens)
        objective = DoReMi(names, eta=ETA, smoothing=SMOOTHING, loss="tokens", micro_tokens=tokens)
        train(
            proxy, objective, items, config, folder / "proxy", sampler=mixture_of(job),
            say=lambda line: None,
        )  # fmt: skip
        seconds = time.perf_counter() - began
        lines = read_metrics(folder / "proxy" / "metrics.jsonl")
    alphas = [[line[f"alpha/{name}"] for name in names] for line in lines]
    return {"seconds": seconds, "work": len(lines), "alphas": alphas}


def theirs(job: dict[str, Any]) -> dict[str, Any]:
    """Train in the authors' order of a step."""
    import torch
    import torch.nn.functional as F

    rows, mixture = rows_of(job), mixture_of(job)
    ids = torch.tensor([row for _, row in rows])
    domains = torch.tensor([domain for domain, _ in rows])
    proxy, reference = (model_of(job, seed) for seed in (0, 1))
    matrices = [w for w in proxy.parameters() if w.dim() > 1]
    vectors = [w for w in proxy.parameters() if w.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}],
        lr=LR, betas=(0.9, 0.99),
    )  # fmt: skip
    proxy.train()
    reference.train()  # as the authors do; there is no dropout here
    alpha = torch.full((DOMAINS,), 1 / DOMAINS, dtype=torch.float64)
    sampled = torch.full((DOMAINS,), 1 / DOMAINS, dtype=torch.float64)
    last = torch.full((DOMAINS,), 5.5, dtype=torch.float64)
    total = job["epochs"] * len(rows)
    alphas: list[list[float]] = []
    began = time.perf_counter()
    for step in range(total // job["batch"]):
        chosen = mixture.rows(step)
        batch, owner = ids[chosen], domains[chosen]
        labels = batch[:, 1:]

        def losses(model: Any, batch: Any = batch, labels: Any = labels) -> Any:
            logits = model(input_ids=batch[:, :-1], use_cache=False).logits
            flat = logits.reshape(-1, logits.size(-1)).float()
            return F.cross_entropy(flat, labels.reshape(-1), reduction="none")

        own = losses(proxy)
        with torch.no_grad():
            excess = (own.detach() - losses(reference)).clamp(min=0)
        of_token = owner.repeat_interleave(labels.size(1))
        for domain in range(DOMAINS):
            mask = of_token == domain
            if mask.any():
                last[domain] = excess[mask].double().mean()
        logs = alpha.log() + ETA * last
        alpha = (1 - SMOOTHING) * (logs - logs.logsumexp(0)).exp() + SMOOTHING / DOMAINS
        weights = (alpha / sampled)[of_token]
        loss = (weights * own).sum() / weights.sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(proxy.parameters(), 1.0)
        optimizer.step()
        alphas.append(alpha.tolist())
    return {"seconds": time.perf_counter() - began, "work": len(alphas), "alphas": alphas}


def same_weights(mine: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """Compare the domains' weights after each step."""
    pairs = zip(mine["alphas"], peer["alphas"], strict=True)
    gap = max(abs(a - b) for one, two in pairs for a, b in zip(one, two, strict=True))
    return {"steps": len(mine["alphas"]), "largest difference of a weight": gap,
            "agree": gap <= CLOSE}  # fmt: skip


def main() -> None:
    """Measure steps a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--rows", type=int, default=160)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--context", type=int, default=256)
    asked = parser.parse_args()
    from bench._paired import compare

    job = {"rows": asked.rows, "epochs": 4, "batch": 16, "width": asked.width,
           "layers": asked.layers, "context": asked.context}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as folder:
        file, script = Path(folder) / "job.json", str(Path(__file__))
        file.write_text(json.dumps(job))
        compare(
            "doremi", "steps/s",
            [sys.executable, script, "--side", "ours", str(file)],
            [sys.executable, script, "--side", "peer", str(file)],
            repetitions=asked.repetitions, agreement=same_weights,
            about=f"DoReMi proxy, {asked.layers} layers of width {asked.width}, {DOMAINS} domains, "
            f"16 rows of {asked.context} bytes a step, {asked.rows} rows four times; the authors' "
            "order of a step",
        )  # fmt: skip


def one_side(which: str, file: str, written: str) -> None:
    """Run one side and write what it found: what the harness starts."""
    job = json.loads(Path(file).read_text())
    found = ours(job) if which == "ours" else theirs(job)
    Path(written).write_text(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        one_side(*sys.argv[2:])
    else:
        main()
