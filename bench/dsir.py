"""DSIR from a raw file to picked lines: togi beside the reference package `data-selection`.

`python -m bench.dsir` makes an 84 MB file from the standard library's source (words are varied
by a seeded generator, so that passes over it differ), lets both sides fit, weigh and pick from it,
and writes the results `dsir` (togi's fast hash) and `dsir_exact` (the reference's own hash).

The clock of either side starts when its imports are done and a small selection has run, and
stops when the picked lines are on disk; the whole process' time is kept too.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

PIECE = 5000  # characters of source in a document
TARGET_EVERY = 40
PICKED_OF_A_MEGABYTE = 24


def make_data(folder: Path, megabytes: float) -> tuple[Path, Path]:
    """Write raw.jsonl of that size and target.jsonl, the same on every run of a Python version."""
    root, texts = Path(sysconfig.get_paths()["stdlib"]), []
    for path in sorted(root.rglob("*.py")):
        if "site-packages" not in path.parts:
            text = path.read_text(encoding="utf-8", errors="ignore")
            texts += [text[i : i + PIECE] for i in range(0, len(text), PIECE)]
    draw = random.Random(0)

    def vary(match: re.Match[str]) -> str:
        return match[0] + str(draw.randrange(3)) if draw.random() < 0.05 else match[0]

    raw, target = folder / "raw.jsonl", folder / "target.jsonl"
    written = number = 0
    with raw.open("w", encoding="utf-8") as file:
        while written < megabytes * 1e6:
            text = texts[number % len(texts)]
            if number >= len(texts):
                text = re.sub(r"\w{6,}", vary, text)
            written += file.write(json.dumps({"id": number, "text": text}) + "\n")
            number += 1
    lines = (json.dumps({"text": text}) + "\n" for text in texts[::TARGET_EVERY])
    target.write_text("".join(lines), encoding="utf-8")
    return raw, target


def how_many(raw: Path) -> int:
    """Return how many documents to pick: about a tenth of them."""
    return int(raw.stat().st_size / 1e6 * PICKED_OF_A_MEGABYTE)


def small(folder: Path, raw: Path) -> Path:
    """Write the first lines of the raw file, for warming up."""
    path = folder / "small.jsonl"
    with raw.open("rb") as file:
        path.write_bytes(b"".join(file.readline() for _ in range(40)))
    return path


def ours(data: Path, hash: str, workers: int) -> dict[str, Any]:
    from togi.data.dsir import select_files

    raw, target = data / "raw.jsonl", data / "target.jsonl"
    with tempfile.TemporaryDirectory() as folder:
        few, out = small(Path(folder), raw), Path(folder) / "picked.jsonl"
        select_files([few], [few], 10, out, hash=hash, workers=workers)
        began = time.perf_counter()
        chosen = select_files(
            [raw], [target], how_many(raw), out, hash=hash, workers=workers, top_k=True
        )
        seconds = time.perf_counter() - began
        picked = [json.loads(line)["id"] for line in out.open("rb")]
    return {
        "seconds": seconds,
        "work": raw.stat().st_size / 1e6,
        "picked": sorted(picked),
        "log_weights": chosen.log_weights.tolist(),
        "words": chosen.words.tolist(),
    }


def theirs(data: Path, workers: int) -> dict[str, Any]:
    import numpy as np
    from data_selection import HashedNgramDSIR

    def picked_by(raw: Path, target: Path, folder: Path, k: int) -> HashedNgramDSIR:
        dsir = HashedNgramDSIR([str(raw)], [str(target)], str(folder / "cache"), num_proc=workers)
        dsir.fit_importance_estimator(num_tokens_to_fit="all")
        dsir.compute_importance_weights()
        dsir.resample(str(folder / "out"), k, cache_dir=str(folder / "resampled"), top_k=True)
        return dsir

    raw, target = data / "raw.jsonl", data / "target.jsonl"
    with tempfile.TemporaryDirectory() as warm, tempfile.TemporaryDirectory() as folder:
        few = small(Path(warm), raw)
        picked_by(few, few, Path(warm), 10)
        began = time.perf_counter()
        picked_by(raw, target, Path(folder), how_many(raw))
        seconds = time.perf_counter() - began
        files = sorted(Path(folder, "out").rglob("*.jsonl"))
        picked = [json.loads(line)["id"] for file in files for line in file.open("rb")]
        # Row i of shard s of S is the raw file's row i * S + s.
        cache = Path(folder, "cache")
        columns = {}
        for name in ("log_importance_weights", "perexample_metadata"):
            shards = [np.load(cache / name / f"{s}.npy") for s in range(workers)]
            column = np.empty(sum(map(len, shards)))
            for s, shard in enumerate(shards):
                column[s::workers] = shard
            columns[name] = column.tolist()
    return {
        "seconds": seconds,
        "work": raw.stat().st_size / 1e6,
        "picked": sorted(picked),
        "log_weights": columns["log_importance_weights"],
        "words": columns["perexample_metadata"],
    }


def same_everything(mine: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """Compare words, weights and picks under the reference's own hash."""
    import numpy as np

    ours, theirs = np.array(mine["log_weights"]), np.array(peer["log_weights"])
    relative = float(np.max(np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1)))
    return {
        "documents": len(ours),
        "same words in each": mine["words"] == [int(words) for words in peer["words"]],
        "greatest relative difference of log weights": relative,
        "within 1e-9": relative < 1e-9,
        "same lines picked (top k)": mine["picked"] == peer["picked"],
    }


def same_words(mine: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """Compare what another hash must keep: the words, and roughly the order of the documents.

    Other n-grams share a bucket then, so weights differ by that much between any two good hashes:
    SHA-256 and BLAKE2 modulo 10,000 have a rank correlation of .95 on a tenth of this pool.
    """
    from scipy.stats import spearmanr

    both = set(mine["picked"]) & set(peer["picked"])
    rank = float(spearmanr(mine["log_weights"], peer["log_weights"]).statistic)
    return {
        "documents": len(mine["words"]),
        "same words in each": mine["words"] == [int(words) for words in peer["words"]],
        "rank correlation of log weights": round(rank, 4),
        "above 0.8": rank > 0.8,
        "share of the picked lines in common (other buckets collide)": round(
            len(both) / len(mine["picked"]), 3
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=84.0)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hash", choices=("fast", "exact", "both"), default="both")
    asked = parser.parse_args()
    from bench._paired import compare, peers_python

    with tempfile.TemporaryDirectory(prefix="togi-bench-dsir-") as folder:
        make_data(Path(folder), asked.megabytes)
        script, workers = str(Path(__file__)), str(asked.workers)
        peer = [peers_python(), script, "--side", "peer", folder, workers]
        for hash, name, agreement in (
            ("fast", "dsir", same_words),
            ("exact", "dsir_exact", same_everything),
        ):
            if asked.hash in (hash, "both"):
                compare(
                    name,
                    "MB/s",
                    [sys.executable, script, "--side", hash, folder, workers],
                    peer,
                    repetitions=asked.repetitions,
                    agreement=agreement,
                    about=f"{asked.megabytes:.0f} MB of JSON lines, fit + weigh + pick a tenth, "
                    f"{workers} cores, {hash} hash; the peer has {workers} processes",
                )


def one_side(which: str, data: str, workers: str, written: str) -> None:
    """Run one side and write what it found: what the harness starts."""
    if which == "peer":
        found = theirs(Path(data), int(workers))
    else:
        found = ours(Path(data), which, int(workers))
    Path(written).write_text(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        one_side(*sys.argv[2:])
    else:
        main()
