"""Multiple choice after one shared prefix: togi beside lm-eval's own model.

`python -m bench.multiple_choice` writes the result `multiple_choice`: four-choice items after a
shared prefix of 600 tokens, float32, asked through lm-eval by the plug-in `togi` and by its own
`hf` model. With `--engine` togi's engine is asked directly, and the result is
`multiple_choice_engine`. togi scores all 200 items; lm-eval's model, whose time grows with
the number of items and shares nothing among them, scores the first `PEER_ITEMS` of the very same
items, or one repetition would take twenty minutes. Its batch size is the best of `BATCHES`, tried
on two items beforehand. Agreement: the log-likelihoods of all choices of these items, and the
answers.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import _jobs, _paired
from bench._sweep import HERE

PEER_ITEMS = 10
BATCHES = (1, 4, 8)
CLOSE = 1e-3


def agreement(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """Compare log-likelihoods and answers on the items that both scored."""
    pairs = list(zip(ours["answers"], peer["answers"], strict=False))
    gap = max(abs(a - b) for a, b in pairs)

    def answers(values: list[float]) -> list[int]:
        items = [values[i : i + 4] for i in range(0, len(pairs), 4)]
        return [item.index(max(item)) for item in items]

    return {
        "log_likelihoods": f"{len(pairs)} choices, largest difference {gap:.2g} nats",
        "close": gap <= CLOSE,
        "same_answers": answers(ours["answers"]) == answers(peer["answers"]),
    }


def best_batch(job: dict[str, Any], folder: Path, peers: str) -> int:
    """Return the batch size at which lm-eval's own model is fastest on two items."""
    rates: dict[int, float] = {}
    for batch in BATCHES:
        small = folder / f"batch-{batch}.json"
        small.write_text(json.dumps({**job, "batch": batch, "items": job["items"][:2]}))
        argv = [peers, str(HERE / "_peers.py"), "multiple_choice", str(small)]
        rates[batch] = _paired.run(argv).value
        print(f"  lm-eval's hf at batch {batch}: {rates[batch]:.3g} items/s", flush=True)
    return max(rates, key=lambda batch: rates[batch])


def main(repetitions: int, *, engine: bool, batch: int, items: int) -> None:
    """Measure items a second."""
    peers = _paired.peers_python()
    side = ("multiple_choice", sys.executable) if engine else ("lm_eval_plugin", peers)
    asked = "asked directly" if engine else "both asked through lm-eval"
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        folder = Path(name)
        job = json.loads(_jobs.write("multiple_choice", folder).read_text())
        job |= {"dtype": "float32", "items": job["items"][:items]}
        job["batch"] = batch = batch or best_batch(job, folder, peers)
        whole, part = folder / "whole.json", folder / "part.json"
        whole.write_text(json.dumps(job))
        part.write_text(json.dumps(job | {"items": job["items"][:PEER_ITEMS]}))
        _paired.compare(
            "multiple_choice_engine" if engine else "multiple_choice", "items/s",
            [side[1], str(HERE / "_ours.py"), side[0], str(whole)],
            [peers, str(HERE / "_peers.py"), "multiple_choice", str(part)],
            repetitions=repetitions, agreement=agreement,
            about=f"{len(job['items'])} four-choice items after a shared "
            f"{job['prefix_tokens']}-token prefix, fp32; {asked}; its hf model at batch {batch}, "
            f"its rate from the first {PEER_ITEMS} of them",
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--engine", action="store_true", help="ask togi's engine directly")
    parser.add_argument("--batch", type=int, default=0, help="of lm-eval's hf model; 0 tries some")
    parser.add_argument("--items", type=int, default=200, help="how many togi scores")
    given = parser.parse_args()
    main(given.repetitions, engine=given.engine, batch=given.batch, items=given.items)
