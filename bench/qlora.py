"""SFT over a base in four bits: togi's QLoRA beside PEFT with bitsandbytes, on the CPU.

`python -m bench.qlora` writes `qlora`: rows of mixed length, batch 8, real tokens a second. Both
hold the same packed bytes (NF4, blocks of 64, double quantisation); the losses step by step are
the agreement, and the peaks of memory stand beside the rates.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench import _paired
from bench._sweep import best, job_of, losses_agree, said, sides

CLOSE = 0.05
PLAIN = {"gradient_checkpointing": False, "nf4": True}


def main(repetitions: int, rows: int) -> None:
    """Measure real tokens a second."""
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        folder = Path(name)
        peer = best("sft", job_of("sft", folder, n=8) | PLAIN, folder, micros=(1, 2, 4))
        job = job_of("sft", folder, n=rows) | PLAIN
        _paired.compare(
            "qlora", "tokens/s", *sides("sft", job, folder, peer), repetitions=repetitions,
            agreement=lambda a, b: losses_agree(a, b, CLOSE),
            about=f"SFT, LoRA r=8 over NF4, SmolLM2-135M, {rows} rows of mixed length, batch 8; "
            f"PEFT and bitsandbytes through TRL at their best here ({said(peer)})",
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--rows", type=int, default=32)
    options = parser.parse_args()
    main(options.repetitions, options.rows)
