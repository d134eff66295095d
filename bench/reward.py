"""A reward model from rankings of four: togi beside TRL at its best settings here.

`python -m bench.reward` writes `reward`: rankings a second, four answers to prompts of about 200
tokens. A ranking is six pairs; TRL takes them as six rows of one step, togi reads the prompt once
and each answer once. Same adapter, same head, same order; the losses step by step agree.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench import _paired
from bench._sweep import best, job_of, losses_agree, said, sides

CLOSE = 0.03
PLAIN = {"gradient_checkpointing": False}


def main(repetitions: int, rankings: int) -> None:
    """Measure rankings a second."""
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        folder = Path(name)
        peer = best("reward", job_of("reward", folder, n=2) | PLAIN, folder, micros=(1, 2, 3, 6))
        job = job_of("reward", folder, n=rankings) | PLAIN
        _paired.compare(
            "reward", "rankings/s", *sides("reward", job, folder, peer), repetitions=repetitions,
            agreement=lambda a, b: losses_agree(a, b, CLOSE),
            about=f"reward model, LoRA r=8, SmolLM2-135M, {len(job['rankings'])} rankings of four "
            f"answers to prompts of about 200 tokens; TRL at its best here ({said(peer)})",
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--rankings", type=int, default=16)
    options = parser.parse_args()
    main(options.repetitions, options.rankings)
