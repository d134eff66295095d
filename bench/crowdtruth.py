"""CrowdTruth from a file to all scores: togi beside CrowdTruth-core.

`python -m bench.crowdtruth` makes a table of the size of the temporal-ordering task (462 items,
76 raters, ten ratings an item, two labels); both sides read it and iterate to rest. The clock
starts when the imports are done and a small table has been read.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ITEMS, RATERS, EACH = 462, 76, 10
HEAD = ["_unit_id", "_worker_id", "_id", "_started_at", "_created_at", "_channel", "_country",
        "_region", "_city", "_ip", "in_col", "out_col"]  # fmt: skip
LABELS = ["after", "before"]


def make_data(path: Path, items: int) -> Path:
    """Write a table of ratings, always the same: raters differ in how often they are right."""
    import numpy as np

    rng = np.random.default_rng(0)
    right = rng.uniform(0.5, 1.0, RATERS)
    when = ["7/12/2014 08:20:58", "7/12/2014 08:21:04"]
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(HEAD)
        for item in range(items):
            truth = int(rng.integers(2))
            for place, rater in enumerate(rng.permutation(RATERS)[:EACH]):
                said = truth if rng.random() < right[rater] else 1 - truth
                row = [f"u{item}", f"w{rater}", item * EACH + place, *when, *["NA"] * 6]
                out.writerow([*row, LABELS[said]])
    return path


def ours(source: Path, small: Path) -> dict[str, Any]:
    import numpy as np

    from togi.evaluate.disagreement.crowdtruth import crowdtruth
    from togi.evaluate.disagreement.loaders import Reading, load

    how = Reading(columns={"label": "out_col", "groups": []})

    def scored(path: Path) -> Any:
        table = load(str(path), how).ratings
        return table, crowdtruth(table.item, table.rater, np.eye(2)[table.label])

    scored(small)
    began = time.perf_counter()
    table, found = scored(source)
    seconds = time.perf_counter() - began
    last = found.last
    return {
        "seconds": seconds,
        "work": table.n,
        "items": dict(zip(table.items, last.items.tolist(), strict=True)),
        "raters": dict(zip(table.raters, last.raters.tolist(), strict=True)),
        "labels": dict(zip(table.labels, last.labels.tolist(), strict=True)),
    }


def theirs(source: Path, small: Path) -> dict[str, Any]:
    import crowdtruth
    from crowdtruth.configuration import DefaultConfig

    class Config(DefaultConfig):
        inputColumns = ["in_col"]  # noqa: N815, RUF012
        outputColumns = ["out_col"]  # noqa: N815, RUF012
        open_ended_task = False
        annotation_vector = LABELS

    def scored(path: Path) -> Any:
        data, config = crowdtruth.load(file=str(path), config=Config())
        return crowdtruth.run(data, config)

    scored(small)
    began = time.perf_counter()
    found = scored(source)
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "work": len(found["judgments"]),
        "items": found["units"]["uqs"].astype(float).to_dict(),
        "raters": found["workers"]["wqs"].astype(float).to_dict(),
        "labels": found["annotations"]["aqs"].astype(float).to_dict(),
    }


def same_scores(mine: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """Compare every quality of items, raters and labels."""
    agreed: dict[str, Any] = {"ratings": mine["work"], "same number": mine["work"] == peer["work"]}
    for part in ("items", "raters", "labels"):
        gap = max(abs(mine[part][name] - value) for name, value in peer[part].items())
        agreed[f"greatest difference over {part}"] = gap
        agreed[f"{part} within 1e-12"] = gap < 1e-12 and len(mine[part]) == len(peer[part])
    return agreed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--repetitions", type=int, default=3)
    asked = parser.parse_args()
    from bench._paired import compare, peers_python

    with tempfile.TemporaryDirectory(prefix="togi-bench-crowdtruth-") as folder:
        whole = str(make_data(Path(folder) / "whole.csv", asked.items))
        small = str(make_data(Path(folder) / "small.csv", 12))
        script = str(Path(__file__))
        compare(
            "crowdtruth",
            "ratings/s",
            [sys.executable, script, "--side", "ours", whole, small],
            [peers_python(), script, "--side", "peer", whole, small],
            repetitions=asked.repetitions,
            agreement=same_scores,
            about=f"{asked.items} items, {RATERS} raters, {asked.items * EACH} ratings, from a csv "
            "file to the qualities of items, raters and labels",
        )


def one_side(which: str, source: str, small: str, written: str) -> None:
    """Run one side and write what it found: what the harness starts."""
    side = {"ours": ours, "peer": theirs}[which]
    Path(written).write_text(json.dumps(side(Path(source), Path(small))))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        sys.path.pop(0)  # this file's folder would hide the package of the same name
        one_side(*sys.argv[2:])
    else:
        main()
