"""Backdoor demonstrations: all rows together beside one call a row, on the same engine.

`python -m bench.backdoor` writes the result `backdoor`: negative sentences with a trigger, each
after the same sixteen demonstrations, eight of which hold the trigger and are positive. The peer
is togi's own engine in the order of the published code: one call a row, nothing shared among
rows (the two answers of a row do share it, which the published code does not do either). Both
score the answers in float32. Agreement: the log-likelihoods and the chosen answer of every row.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from bench import _jobs, _paired
from bench._sweep import ours

CLOSE = 1e-3


def agreement(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """Compare the log-likelihoods and the answers of all rows."""
    gap = max(abs(a - b) for a, b in zip(ours["answers"], peer["answers"], strict=True))
    chosen = [
        [pair[1] > pair[0] for pair in zip(v[::2], v[1::2], strict=True)]
        for v in (ours["answers"], peer["answers"])
    ]
    return {
        "log_likelihoods": f"{len(ours['answers'])} answers, largest difference {gap:.2g} nats",
        "close": gap <= CLOSE,
        "same_choices": chosen[0] == chosen[1],
        "called_positive": f"{sum(chosen[0])} of {len(chosen[0])}",
    }


def main(rows: int, repetitions: int) -> None:
    """Measure rows a second."""
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        folder = Path(name)
        job = json.loads(_jobs.write("backdoor", folder, n=rows).read_text())
        _paired.compare(
            "backdoor", "rows/s",
            ours("backdoor", job, folder / "together.json"),
            ours("backdoor", {**job, "rows_a_call": 1}, folder / "alone.json"),
            repetitions=repetitions, agreement=agreement,
            about=f"{len(job['rows'])} sentences after the same 16 demonstrations, two answers "
            "scored each, fp32; the peer is the same engine with one call a row",
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--repetitions", type=int, default=3)
    main(**vars(parser.parse_args()))
