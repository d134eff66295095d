"""SFT with LoRA: togi beside TRL at its best settings on this kind of machine.

`python -m bench.sft` writes the result `sft`: rows of mixed length, batch 8, bfloat16, real tokens
a second (padding does not count). TRL: two rows at a time, accumulated to eight (of 1, 2, 4 and 8
its fastest here), no gradient checkpointing, no packing. Same adapter, same order; the losses step
by step are the agreement.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from bench import _jobs, _paired
from bench.dpo import losses_agree, sides

CLOSE = 0.03
"Largest difference of a step's loss, in nats a token, between two ways of rounding to bfloat16."


def main(repetitions: int, rows: int) -> None:
    """Measure real tokens a second."""
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        folder = Path(name)
        job = json.loads(_jobs.write("sft", folder, n=rows).read_text())
        file = folder / "job.json"
        file.write_text(json.dumps(job | {"gradient_checkpointing": False, "micro": 2}))
        _paired.compare(
            "sft", "tokens/s", *sides("sft", file), repetitions=repetitions,
            agreement=lambda a, b: losses_agree(a, b, CLOSE),
            about=f"SFT LoRA r=8, SmolLM2-135M, {rows} rows of mixed length, batch 8, bf16; "
            "TRL two at a time (its fastest here), without checkpointing and packing",
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--rows", type=int, default=64)
    options = parser.parse_args()
    main(options.repetitions, options.rows)
