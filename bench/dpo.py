"""DPO with LoRA: togi beside TRL at its best settings on this kind of machine.

`python -m bench.dpo` writes `dpo`, `--epochs 3` writes `dpo_epochs`. TRL without gradient
checkpointing, its reference computed before training (which counts on both sides), its dtype and
rows at a time chosen by a sweep. Both sides start from the same adapter file and take the pairs in
the same order; the losses, step by step, are the agreement (of several epochs the first, whose
order is the same). `--memory` writes `dpo_memory`: peak resident memory of either process on the
longest pairs, TRL with gradient checkpointing (its smaller setting) in bfloat16.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

from bench import _jobs, _paired
from bench._sweep import best, job_of, losses_agree, said, sides

CLOSE = 0.02
"Largest difference of a step's loss, in nats: the sides may round to bfloat16 at other places."
PLAIN = {"gradient_checkpointing": False, "precompute": True}


def speed(folder: Path, repetitions: int, pairs: int, epochs: int) -> None:
    """Measure pairs a second."""
    small = job_of("dpo", folder, n=8)
    peer = best("dpo", small | PLAIN, folder, micros=(1, 2, 4))
    job = job_of("dpo", folder, n=pairs, epochs=epochs) | PLAIN
    compared = pairs // 4
    _paired.compare(
        "dpo" if epochs == 1 else "dpo_epochs", "pairs/s",
        *sides("dpo", job, folder, peer), repetitions=repetitions,
        agreement=lambda a, b: losses_agree(a | {"compared": compared}, b, CLOSE),
        about=f"DPO LoRA r=8, SmolLM2-135M, {pairs} pairs of mixed length, batch 4, {epochs} "
        f"epoch{'s' if epochs > 1 else ''}; TRL at its best here ({said(peer)}), no "
        "checkpointing, reference precomputed",
    )  # fmt: skip


def memory(folder: Path, repetitions: int, pairs: int) -> None:
    """Measure peak memory on the longest pairs, batch 4."""
    job = job_of("dpo", folder, n=64)
    length = lambda p: len(p["prompt"]) + max(len(p["chosen"]), len(p["rejected"]))  # noqa: E731
    job["pairs"] = sorted(job["pairs"], key=length)[-pairs:]
    job |= {"order": _jobs.order(pairs, 4, pairs // 4), "precompute": True}
    peer = {"gradient_checkpointing": True, "micro": 4, "dtype": "bfloat16"}
    ours, theirs = sides("dpo", job | {"dtype": "bfloat16"}, folder, peer)

    def peak(argv: list[str]) -> _paired.Result:
        result = _paired.run(argv)
        return dataclasses.replace(result, value=result.peak_mb)

    _paired.compare(
        "dpo_memory", "MB", lambda: peak(ours), lambda: peak(theirs), repetitions=repetitions,
        agreement=lambda a, b: losses_agree(a, b, CLOSE), higher_is_better=False,
        about=f"peak resident memory of the DPO work, the {pairs} longest pairs, batch 4, "
        "bfloat16; TRL with gradient checkpointing, its smaller setting",
    )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        if options.memory:
            memory(Path(name), options.repetitions, options.pairs)
        else:
            speed(Path(name), options.repetitions, options.pairs, options.epochs)
