"""Three epochs of the DPO work, as `python -m bench.dpo --epochs 3 --pairs 32`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench import dpo

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        dpo.speed(Path(name), options.repetitions, options.pairs, epochs=3)
