"""Generation: togi beside transformers' `generate`, bfloat16.

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
from bench.dpo import sides

NEW = 64


def jobs(folder: Path) -> dict[str, dict[str, Any]]:
    """Make both jobs as token ids."""
    from transformers import AutoTokenizer

    job = json.loads(_jobs.write("generate", folder).read_text())
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    encode = lambda texts: tokenizer(texts, add_special_tokens=False)["input_ids"]  # noqa: E731
    long = [i for ids in encode(job["long"]) for i in ids]
    common = {"model": job["model"], "dtype": "bfloat16", "new": NEW}
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
        "generate": "32 prompts of mixed length, 64 new tokens, sampling, bf16",
        "generate_shared": "4 prompts of 500 tokens, 8 samples of 64 tokens each, bf16",
    }
    with tempfile.TemporaryDirectory(prefix="togi-bench-") as name:
        for bench, job in jobs(Path(name)).items():
            file = Path(name) / "job.json"
            file.write_text(json.dumps(job))
            _paired.compare(
                bench, "tokens/s", *sides("generate", file), repetitions=repetitions,
                agreement=agreement, about=about[bench],
            )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    main(parser.parse_args().repetitions)
