"""The frozen trunk kept: adapters in the upper third of the layers, three epochs.

`python -m bench.frozen_trunk` writes `frozen_trunk` (togi with `cache_trunk` beside TRL with the
same adapter, at its best settings here) and `frozen_trunk_own` (togi with it beside togi without).
What is computed once counts within the time. Real tokens a second over all epochs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from bench import _paired
from bench._sweep import HERE, best, job_of, losses_agree, said, sides

CLOSE = 0.03
PLAIN = {"gradient_checkpointing": False}


def main(repetitions: int, rows: int) -> None:
    """Measure real tokens a second."""
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        folder = Path(name)
        peer = best("sft", job_of("trunk", folder, n=8) | PLAIN, folder, micros=(1, 2, 4))
        job = job_of("trunk", folder, n=rows, epochs=3) | PLAIN
        ours, theirs = sides("sft", job | {"cache_trunk": True}, folder, peer)
        what = f"SFT LoRA r=8 in the upper 10 of 30 layers, SmolLM2-135M, {rows} rows, 3 epochs"
        first = rows // 8
        _paired.compare(
            "frozen_trunk", "tokens/s", ours, theirs, repetitions=repetitions,
            agreement=lambda a, b: losses_agree(a | {"compared": first}, b, CLOSE),
            about=f"{what}; TRL at its best here ({said(peer)})",
        )  # fmt: skip
        plain = folder / "plain.json"
        plain.write_text(json.dumps(job))
        _paired.compare(
            "frozen_trunk_own", "tokens/s", ours,
            [sys.executable, str(HERE / "_ours.py"), "sft", str(plain)], repetitions=repetitions,
            agreement=lambda a, b: losses_agree(a, b, CLOSE),
            about=f"{what}; togi with the trunk kept beside togi without",
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--rows", type=int, default=64)
    options = parser.parse_args()
    main(options.repetitions, options.rows)
