"""DSIR over gigabytes: togi on a large pool beside togi on the 84 MB of `bench.dsir`.

`python -m bench.dsir_large` makes the 84 MB file of `bench.dsir` and a pool of 5 GB from it: copies
in each of which one letter in a hundred is another one, so that words, n-grams and documents
differ. Both are fitted, weighed and picked from with the same settings; the result `dsir_large` is
the large pool's rate over the small one's (1 is no loss), with the peak memory of either. Target:
at least 0.85, and as much memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CHANGED = 0.01  # of all letters of the texts
HEAD = 32  # bytes at the beginning of a line that hold its id and the field's name
ESCAPE = 6  # bytes of the longest escape of JSON


def noisy(lines: bytes, copies: int) -> Iterator[bytes]:
    """Yield copies of the lines with other letters here and there; they stay lines of JSON."""
    import numpy as np

    data = np.frombuffer(lines, np.uint8)
    free = (data >= ord("a")) & (data <= ord("z"))
    starts = np.append(0, np.flatnonzero(data == ord("\n")) + 1)
    for hold, places in ((HEAD, starts), (ESCAPE, np.flatnonzero(data == ord("\\")))):
        for step in range(hold):
            free[np.minimum(places + step, len(data) - 1)] = False
    places = np.flatnonzero(free)
    for number in range(copies):
        draw = np.random.default_rng(number)
        some = draw.choice(places, int(CHANGED * len(places)))
        copy = data.copy()
        copy[some] = draw.integers(ord("a"), ord("z") + 1, len(some), dtype=np.uint8)
        yield copy.tobytes()


def make_large(raw: Path, large: Path, megabytes: float) -> int:
    """Write as many noisy copies of the raw file as make up the size; return how many."""
    lines = raw.read_bytes()
    copies = max(1, round(megabytes * 1e6 / len(lines)))
    with large.open("wb") as file:
        for copy in noisy(lines, copies):
            file.write(copy)
    return copies


def picked(raw: Path, target: Path, work: Path, workers: int, engine: str) -> dict[str, Any]:
    """Pick a tenth of the raw file's documents, and write all that the step writes."""
    from togi.data.options import Options
    from togi.data.shards.report import report, write_report
    from togi.data.shards.select import How, select_shards
    from togi.data.shards.sources import Wanted
    from togi.data.shards.writing import gather

    how = How(work=work / "work", workers=workers, engine=engine)  # type: ignore[arg-type]
    wanted, options = Wanted(how), Options(top_k=True)
    k = int(raw.stat().st_size / 1e6 * 24)
    found = select_shards(wanted.pool([raw]), [wanted.target([target])], k, options, how)
    told = report(found, k, options)
    write_report(work, "", told, found)
    gather(found.parts, work / "picked.jsonl")
    return {"documents": told["n_raw"], "k": told["k"]}


def one_side(raw: str, workers: str, engine: str, written: str) -> None:
    """Measure one pool and write what was found: what the harness starts."""
    path = Path(raw)
    target, few = path.with_name("target.jsonl"), path.with_name("few.jsonl")
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        picked(few, few, Path(folder) / "warm", int(workers), engine)
        began = time.perf_counter()
        found = picked(path, target, Path(folder) / "timed", int(workers), engine)
        seconds = time.perf_counter() - began
    work = path.stat().st_size / 1e6
    Path(written).write_text(json.dumps({**found, "seconds": seconds, "work": work}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=5000.0, help="of the large pool")
    parser.add_argument("--small", type=float, default=84.0, help="megabytes of the small one")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--engine", choices=("threads", "ray"), default="threads")
    parser.add_argument("--folder", default=None, help="of the pools, by default a temporary one")
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from bench._paired import compare
    from bench.dsir import make_data, small

    with tempfile.TemporaryDirectory(prefix="togi-bench-dsir-", dir=asked.folder) as folder:
        raw, _ = make_data(Path(folder), asked.small)
        small(Path(folder), raw).rename(raw.with_name("few.jsonl"))
        large = raw.with_name("large.jsonl")
        copies = make_large(raw, large, asked.megabytes)

        def agreement(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
            return {
                "documents": ours["documents"],
                "every one is there": ours["documents"] == copies * peer["documents"],
                "picked of both": [ours["k"], peer["k"]],
            }

        side = [sys.executable, str(Path(__file__)), "--side"]
        compare(
            "dsir_large" + ("_ray" if asked.engine == "ray" else ""),
            "MB/s",
            [*side, str(large), str(asked.workers), asked.engine],
            [*side, str(raw), str(asked.workers), asked.engine],
            repetitions=asked.repetitions,
            agreement=agreement,
            about=f"{large.stat().st_size / 1e6:,.0f} MB of JSON lines beside "
            f"{asked.small:.0f} MB, both by togi: fit + weigh + pick a tenth + report, "
            f"{asked.workers} cores, engine {asked.engine}",
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        sys.path.pop(0)  # this file's folder would hide packages of the same names as files
        one_side(*sys.argv[2:])
    else:
        main()
