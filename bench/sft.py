"""SFT with LoRA: togi beside TRL at its best settings on this kind of machine.

`python -m bench.sft` writes `sft`: rows of mixed length, batch 8, real tokens a second (padding
does not count); TRL's dtype and rows at a time are chosen by a sweep, without gradient
checkpointing and packing. Same adapter, same order; the losses step by step are the agreement.
`sft_packing` is the same against TRL with packing into blocks of 1024 tokens: on a CPU it lets the
packed rows see each other, so only the work, not the losses, can be held against ours.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench import _paired
from bench._sweep import best, job_of, losses_agree, said, sides

CLOSE = 0.03
"Largest difference of a step's loss, in nats a token, between two ways of rounding to bfloat16."
PLAIN = {"gradient_checkpointing": False}


def main(repetitions: int, rows: int) -> None:
    """Measure real tokens a second."""
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        folder = Path(name)
        peer = best("sft", job_of("sft", folder, n=8) | PLAIN, folder, micros=(1, 2, 4, 8))
        job = job_of("sft", folder, n=rows) | PLAIN
        what = f"SFT LoRA r=8, SmolLM2-135M, {rows} rows of mixed length, batch 8"
        _paired.compare(
            "sft", "tokens/s", *sides("sft", job, folder, peer), repetitions=repetitions,
            agreement=lambda a, b: losses_agree(a, b, CLOSE),
            about=f"{what}; TRL at its best here ({said(peer)}), without checkpointing and packing",
        )  # fmt: skip
        packed = {**peer, "micro": 1, "batch": 1, "packing": True}
        _paired.compare(
            "sft_packing", "tokens/s", *sides("sft", job, folder, packed), repetitions=repetitions,
            agreement=lambda a, b: {"same_tokens": a["work"] == b["work"]},
            about=f"{what}; TRL with packing into blocks of 1024 tokens, one block a step "
            f"({said(packed)}); there rows see each other, with us they do not",
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--rows", type=int, default=64)
    options = parser.parse_args()
    main(options.repetitions, options.rows)
