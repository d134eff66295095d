"""Near-duplicates of short documents: togi beside datasketch's MinHashLSH, or beside rensa.

`python -m bench.near_duplicates` makes a million documents of some fifty words, of which a
twentieth are copies of an earlier one with at most one word changed (Jaccard similarity of their
runs of five words at least 0.75) and another twentieth copies with a third of their words changed
(similarity below 0.2). All sides read the file, sketch runs of five words with 128 permutations
and say which documents are near to an earlier one, at the threshold 0.7; togi compares proposed
pairs exactly as well. The clock starts when the imports are done and a few documents were looked
through. The result is `near_duplicates`, or `near_duplicates_rensa`.

rensa (MinHash in Rust) is no dependency of the peers' environment; install it there to compare.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
THRESHOLD, WORDS, PERMUTATIONS = 0.7, 5, 128
LENGTHS, VOCABULARY = (40, 60), 20_000
NEAR, FAR = 0.05, 0.05


def make_data(folder: Path, documents: int) -> tuple[Path, set[int]]:
    """Write documents.jsonl; return it and the numbers of those that are near to an earlier one."""
    draw = random.Random(0)
    words = [f"{draw.choice('bdfgklmnprst')}{draw.choice('aeiou')}{n}" for n in range(VOCABULARY)]
    cumulated = list(accumulate(1 / (rank + 10) for rank in range(VOCABULARY)))
    path, near, texts = folder / "documents.jsonl", set[int](), list[list[str]]()
    with path.open("w", encoding="utf-8") as file:
        for number in range(documents):
            chance = draw.random() if number > 100 else 1.0
            if chance < NEAR + FAR:
                text = list(texts[draw.randrange(len(texts))])
                changes = draw.randrange(2) if chance < NEAR else len(text) // 3
                for place in draw.sample(range(len(text)), changes):
                    text[place] = f"new{draw.randrange(10**9)}"
                if chance < NEAR:
                    near.add(number)
            else:
                text = draw.choices(words, cum_weights=cumulated, k=draw.randint(*LENGTHS))
                if len(texts) < 50_000:
                    texts.append(text)
            file.write(json.dumps({"text": " ".join(text)}) + "\n")
    return path, near


def texts_of(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def runs_of(text: str) -> set[str]:
    words = text.split()
    return {" ".join(words[i : i + WORDS]) for i in range(max(1, len(words) - WORDS + 1))}


def ours(path: Path) -> list[int]:
    from togi.data.neardup import near_duplicates, shingles

    clusters = near_duplicates(list(shingles(texts_of(path), WORDS)), THRESHOLD)
    return sorted(number for one in clusters for number, _ in one.dropped)


def datasketch(path: Path) -> list[int]:
    from datasketch import MinHash, MinHashLSH

    index, dropped = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS), []
    for number, text in enumerate(texts_of(path)):
        sketch = MinHash(num_perm=PERMUTATIONS)
        sketch.update_batch([run.encode() for run in runs_of(text)])
        if index.query(sketch):
            dropped.append(number)
        else:
            index.insert(number, sketch, check_duplication=False)
    return dropped


def rensa(path: Path) -> list[int]:
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=32)
    dropped = []
    for number, text in enumerate(texts_of(path)):
        sketch = RMinHash(num_perm=PERMUTATIONS, seed=0)
        sketch.update(list(runs_of(text)))
        if index.query(sketch):
            dropped.append(number)
        else:
            index.insert(number, sketch)
    return dropped


SIDES = {"ours": ours, "datasketch": datasketch, "rensa": rensa}


def one_side(which: str, path: str, few: str, written: str) -> None:
    """Measure one side and write what it found: what the harness starts."""
    SIDES[which](Path(few))
    began = time.perf_counter()
    dropped = SIDES[which](Path(path))
    seconds = time.perf_counter() - began
    with open(path, "rb") as file:
        documents = sum(1 for _ in file)
    found = {"seconds": seconds, "work": documents, "dropped": dropped}
    Path(written).write_text(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--peer", choices=("datasketch", "rensa"), default="datasketch")
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from bench._paired import compare, peers_python

    with tempfile.TemporaryDirectory(prefix="togi-bench-near-") as folder:
        path, near = make_data(Path(folder), asked.documents)
        few = Path(folder) / "few.jsonl"
        with path.open("rb") as file:
            few.write_bytes(b"".join(file.readline() for _ in range(100)))

        def agreement(mine: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
            both, either = (set(mine["dropped"]), set(peer["dropped"])), {}
            for name, one in zip(("togi", asked.peer), both, strict=True):
                either[f"planted ones that {name} finds"] = round(len(one & near) / len(near), 4)
                either[f"others that {name} drops"] = len(one - near)
            found = len(both[0] & near) / len(near)
            return {
                "documents": mine["work"], "near ones planted": len(near), **either,
                "togi finds 98 %": found >= 0.98, "togi drops no other": both[0] <= near,
            }  # fmt: skip

        script = str(Path(__file__))
        compare(
            "near_duplicates" + ("_rensa" if asked.peer == "rensa" else ""),
            "documents/s",
            [sys.executable, script, "--side", "ours", str(path), str(few)],
            [peers_python(), script, "--side", asked.peer, str(path), str(few)],
            repetitions=asked.repetitions,
            agreement=agreement,
            about=f"{asked.documents:,} documents of {LENGTHS[0]} to {LENGTHS[1]} words, runs of "
            f"{WORDS} words, {PERMUTATIONS} permutations, similarity {THRESHOLD}, one process each",
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        sys.path.pop(0)  # this file's folder would hide packages of the same names as files
        one_side(*sys.argv[2:])
    else:
        main()
