"""The memory of the DPO work: `python -m bench.dpo_memory` is `python -m bench.dpo --memory`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench import dpo

if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        dpo.memory(Path(name), repetitions=3)
