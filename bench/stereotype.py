"""Stereotype prompts, 25 samples of each: togi beside transformers' `generate`.

`python -m bench.stereotype` writes the result `stereotype`: statements about groups of people
under a hostile system prompt, 25 sampled answers of 64 tokens to each. The peer has
`num_return_sequences=25`, in the dtype and with as many prompts at once as is fastest here.
Agreement: both draw the same number of tokens; the first 16 greedy tokens of four prompts in
float32.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from bench import _jobs, _paired
from bench._sweep import DTYPES, sides
from bench.generate import agreement

NEW, SAMPLES = 64, 25


def main(prompts: int, repetitions: int) -> None:
    """Measure new tokens a second."""
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        folder = Path(name)
        job = json.loads(_jobs.write("stereotype", folder, n=prompts).read_text())
        job |= {"new": NEW, "n": SAMPLES}
        few = {**job, "ids": job["ids"][:2], "new": NEW // 3}

        def rate(settings: dict[str, object]) -> float:
            value = _paired.run(sides("generate", few, folder, settings)[1]).value
            print(f"  peer at {settings}: {value:.4g}", flush=True)
            return value

        # tried on a smaller job of the same kind: which is fastest differs from machine to machine
        dtype = max(({**d, "at_once": 1} for d in DTYPES), key=rate)
        peer = max(({**dtype, "at_once": many} for many in (1, 2)), key=rate)
        _paired.compare(
            "stereotype", "tokens/s", *sides("generate", job, folder, peer),
            repetitions=repetitions, agreement=agreement,
            about=f"{prompts} prompts, {SAMPLES} samples of {NEW} tokens each; transformers in "
            f"{peer['dtype']}, {peer['at_once']} prompts at once, its fastest",
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompts", type=int, default=6)
    parser.add_argument("--repetitions", type=int, default=3)
    main(**vars(parser.parse_args()))
