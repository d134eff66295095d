"""Multiple choice after one shared prefix: togi beside lm-eval's own model.

`python -m bench.multiple_choice` writes the result `multiple_choice`: four-choice items after a
shared prefix of 600 tokens, float32. togi scores all 200 items; lm-eval, whose time grows with
the number of items and shares nothing among them, scores the first `PEER_ITEMS` of the very same
items at batch 1 (its best here), or one repetition would take twenty minutes. Agreement: the
log-likelihoods of all choices of these items, and the answers.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import _jobs, _paired
from bench._sweep import HERE

PEER_ITEMS = 10
CLOSE = 1e-3


def agreement(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """Compare log-likelihoods and answers on the items that both scored."""
    pairs = list(zip(ours["answers"], peer["answers"], strict=False))
    gap = max(abs(a - b) for a, b in pairs)

    def answers(values: list[float]) -> list[int]:
        items = [values[i : i + 4] for i in range(0, 4 * PEER_ITEMS, 4)]
        return [item.index(max(item)) for item in items]

    return {
        "log_likelihoods": f"{len(pairs)} choices, largest difference {gap:.2g} nats",
        "close": gap <= CLOSE,
        "same_answers": answers(ours["answers"]) == answers(peer["answers"]),
    }


def main(repetitions: int) -> None:
    """Measure items a second."""
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        folder = Path(name)
        job = json.loads(_jobs.write("multiple_choice", folder).read_text())
        job |= {"dtype": "float32", "batch": 1}
        whole, part = folder / "whole.json", folder / "part.json"
        whole.write_text(json.dumps(job))
        part.write_text(json.dumps(job | {"items": job["items"][:PEER_ITEMS]}))
        _paired.compare(
            "multiple_choice", "items/s",
            [sys.executable, str(HERE / "_ours.py"), "multiple_choice", str(whole)],
            [_paired.peers_python(), str(HERE / "_peers.py"), "multiple_choice", str(part)],
            repetitions=repetitions, agreement=agreement,
            about=f"200 four-choice items after a shared {job['prefix_tokens']}-token prefix, "
            f"fp32; lm-eval's rate from the first {PEER_ITEMS} of them",
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    main(parser.parse_args().repetitions)
