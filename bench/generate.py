"""Generation: togi beside transformers' `generate`, each in the dtype that is faster here.

`python -m bench.generate` writes two results: `generate` (32 prompts of mixed length, 64 new
tokens each) and `generate_shared` (4 prompts of 500 tokens, 8 samples of 64 tokens each).
Agreement: the first 16 greedy tokens of four prompts in float32; in bfloat16 ties fall either way.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from bench import _jobs, _paired
from bench._sweep import DTYPES, sides

NEW = 64


def jobs(folder: Path) -> dict[str, dict[str, Any]]:
    """Make both jobs as token ids."""
    from transformers import AutoTokenizer

    job = json.loads(_jobs.write("generate", folder).read_text())
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    encode = lambda texts: tokenizer(texts, add_special_tokens=False)["input_ids"]  # noqa: E731
    long = [i for ids in encode(job["long"]) for i in ids]
    common = {"model": job["model"], "new": NEW}
    return {
        "generate": common | {"ids": encode(job["prompts"]), "n": 1},
        "generate_shared": common | {"ids": [long[500 * i :][:500] for i in range(4)], "n": 8},
    }


def agreement(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """Compare greedy answers and the number of tokens."""
    return {
        "greedy_float32": ours["answers"] == peer["answers"],
        "same_tokens_drawn": ours["work"] == peer["work"],
    }


def main(repetitions: int) -> None:
    """Measure new tokens a second."""
    about = {
        "generate": "32 prompts of mixed length, 64 new tokens, sampling",
        "generate_shared": "4 prompts of 500 tokens, 8 samples of 64 tokens each",
    }
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        folder = Path(name)
        for bench, job in jobs(folder).items():
            rates = {}
            for settings in DTYPES:
                argv = sides("generate", job, folder, dict(settings))[1]
                rates[json.dumps(settings)] = _paired.run(argv).value
                print(f"  peer at {settings}: {rates[json.dumps(settings)]:.4g}", flush=True)
            peer = json.loads(max(rates, key=lambda key: rates[key]))
            _paired.compare(
                bench, "tokens/s", *sides("generate", job, folder, peer), repetitions=repetitions,
                agreement=agreement,
                about=f"{about[bench]}; transformers in {' '.join(peer.values())}, its fastest",
            )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    main(parser.parse_args().repetitions)
