"""DPO with LoRA: togi beside TRL at its best settings on this kind of machine.

`python -m bench.dpo` writes two results. `dpo`: TRL with four pairs at a time. `dpo_micro1`: TRL
with one pair at a time, accumulated to four, which pads nothing and was its fastest way here.
Both without gradient checkpointing, with reference log-probabilities computed before training;
they count on both sides. Both sides start from the same adapter file and take the pairs in the
same order; the losses, step by step, are the agreement. `--memory` writes `dpo_memory`: peak
resident memory of either process on the longest pairs, TRL with gradient checkpointing (its
smaller setting).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import _jobs, _paired

HERE = Path(__file__).parent
CLOSE = 0.02
"Largest difference of a step's loss, in nats: both sides round to bfloat16, at other places."


def losses_agree(ours: dict[str, Any], peer: dict[str, Any], close: float) -> dict[str, Any]:
    """Compare the losses step by step."""
    gaps = [abs(a - b) for a, b in zip(ours["answers"], peer["answers"], strict=True)]
    return {
        "losses": f"{len(gaps)} steps, largest difference {max(gaps):.4f} nats",
        "first_and_last": f"ours {ours['answers'][0]:.4f} to {ours['answers'][-1]:.4f}, "
        f"peer {peer['answers'][0]:.4f} to {peer['answers'][-1]:.4f}",
        "agree": max(gaps) <= close,
    }


def sides(name: str, job: Path) -> tuple[list[str], list[str]]:
    """Return the two commands."""
    ours = [sys.executable, str(HERE / "_ours.py"), name, str(job)]
    return ours, [_paired.peers_python(), str(HERE / "_peers.py"), name, str(job)]


def speed(folder: Path, repetitions: int, pairs: int) -> None:
    """Measure pairs a second."""
    job = json.loads(_jobs.write("dpo", folder, n=pairs).read_text())
    job |= {"gradient_checkpointing": False, "precompute": True}
    for name, micro in (("dpo", 4), ("dpo_micro1", 1)):
        file = folder / "job.json"
        file.write_text(json.dumps(job | {"micro": micro}))
        _paired.compare(
            name, "pairs/s", *sides("dpo", file), repetitions=repetitions,
            agreement=lambda a, b: losses_agree(a, b, CLOSE),
            about=f"DPO LoRA r=8, SmolLM2-135M, {pairs} pairs of mixed length, batch 4, bf16; TRL "
            f"{micro} at a time, no checkpointing, reference precomputed",
        )  # fmt: skip


def memory(folder: Path, repetitions: int, pairs: int) -> None:
    """Measure peak memory on the longest pairs, batch 4."""
    job = json.loads(_jobs.write("dpo", folder).read_text())
    length = lambda p: len(p["prompt"]) + max(len(p["chosen"]), len(p["rejected"]))  # noqa: E731
    job["pairs"] = sorted(job["pairs"], key=length)[-pairs:]
    job |= {"order": _jobs.order(pairs, 4, pairs // 4), "gradient_checkpointing": True}
    job |= {"precompute": True, "micro": 4}
    file = folder / "job.json"
    file.write_text(json.dumps(job))

    def peak(argv: list[str]) -> _paired.Result:
        result = _paired.run(argv)
        return dataclasses.replace(result, value=result.peak_mb)

    ours, peer = sides("dpo", file)
    _paired.compare(
        "dpo_memory", "MB", lambda: peak(ours), lambda: peak(peer), repetitions=repetitions,
        agreement=lambda a, b: losses_agree(a, b, CLOSE), higher_is_better=False,
        about=f"peak resident memory of the DPO work, the {pairs} longest pairs, batch 4; TRL "
        "with gradient checkpointing, its smaller setting",
    )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        measure = memory if options.memory else speed
        measure(Path(name), options.repetitions, options.pairs)
