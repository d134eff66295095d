"""A small pool of three domains in files of every form, and a target."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pyarrow
import pyarrow.parquet

from togi.data.dsir import select_files

WORDS = {
    "cooking": "stir the soup with salt and butter then bake bread until golden",
    "law": "the court held that the party shall pay damages under the contract",
    "code": "def return self import class for in range if else none",
}
DOMAINS = {name: words.split() for name, words in WORDS.items()}


def texts(count: int, seed: int = 0, domains: tuple[str, ...] = tuple(DOMAINS)) -> list[str]:
    draw = random.Random(seed)
    return [
        " ".join(draw.choices(DOMAINS[draw.choice(domains)], k=draw.randrange(4, 40)))
        for _ in range(count)
    ]


def lines(some: list[str]) -> bytes:
    return b"".join(json.dumps({"id": i, "text": t}).encode() + b"\n" for i, t in enumerate(some))


def write(folder: Path, name: str, some: list[str]) -> Path:
    """Write texts in the form that the name's ending says."""
    path = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        table = pyarrow.table({"n": list(range(len(some))), "text": some})
        pyarrow.parquet.write_table(table, path, row_group_size=100)
        return path
    data = "".join(t + "\n" for t in some).encode() if ".txt" in name else lines(some)
    if name.endswith(".csv"):
        data = ("text\n" + "".join(f"{t}\n" for t in some)).encode()
    pack = {".gz": gzip.compress, ".zst": lambda b: pyarrow.compress(b, "zstd", asbytes=True)}
    path.write_bytes(pack.get(path.suffix, bytes)(data))
    return path


POOL, TARGET = texts(900), texts(60, seed=1, domains=("cooking", "law"))
SOME = {"min_tokens": 8, "smoothing": 1.0}


def picked_by(folder: Path, raw: list[Path], k: int = 150, **options):
    """Select into a file; returns the selection and the picked lines."""
    target = folder / "target.jsonl"
    if not target.exists():  # a file that is written anew is another one
        write(folder, target.name, TARGET)
    out = folder / "out.jsonl"
    chosen = select_files(raw, [target], k, out, **{**SOME, **options})
    return chosen, out.read_bytes().splitlines()
