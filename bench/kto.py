"""KTO with LoRA: togi beside TRL at its best settings on this kind of machine.

`python -m bench.kto` writes `kto`: 64 thumbs, batch 4, rows a second; references of the answers
and of the mismatched answers count on both sides. TRL takes a mismatched answer from within the
batch, togi from the whole data set, so the losses agree up to the reference point's noise.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench import _paired
from bench._sweep import best, job_of, losses_agree, said, sides

CLOSE = 0.02
PLAIN = {"gradient_checkpointing": False, "precompute": True}


def main(repetitions: int, rows: int) -> None:
    """Measure rows a second."""
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        folder = Path(name)
        # KTO needs at least two rows at a time for its mismatched answers
        peer = best("kto", job_of("kto", folder, n=8) | PLAIN, folder, micros=(2, 4))
        job = job_of("kto", folder, n=rows) | PLAIN
        _paired.compare(
            "kto", "rows/s", *sides("kto", job, folder, peer), repetitions=repetitions,
            agreement=lambda a, b: losses_agree(a, b, CLOSE),
            about=f"KTO LoRA r=8, SmolLM2-135M, {rows} thumbs, batch 4; TRL at its best here "
            f"({said(peer)}), no checkpointing, reference precomputed",
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--rows", type=int, default=64)
    options = parser.parse_args()
    main(options.repetitions, options.rows)
