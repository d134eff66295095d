"""α of two groups of raters under permutation: togi beside the package `krippendorff` in a loop.

`python -m bench.krippendorff` permutes whole raters between two halves and computes Krippendorff's
α of each: 20,000 times by togi, some hundreds of the same permutations by the package (its loop
takes the same time for each). Both start with the ratings in memory: 104 raters × 350 items × 3
labels, the size of DICES-350.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

RATERS, ITEMS, LABELS, GROUP = 104, 350, 3, 52


def given() -> Any:
    """Return labels by rater and item, the same on every run: items and raters have leanings."""
    import numpy as np

    rng = np.random.default_rng(0)
    lean = rng.normal(0, 1, (1, ITEMS)) + rng.normal(0, 0.6, (RATERS, 1))
    return np.digitize(lean + rng.normal(0, 1, (RATERS, ITEMS)), [-0.5, 0.5])


def orders(count: int) -> Any:
    """Return permutations of the raters, a row each."""
    import numpy as np

    rng = np.random.default_rng(1)
    return rng.permuted(np.tile(np.arange(RATERS), (count, 1)), axis=1)


def ours(permutations: int, checked: int) -> dict[str, Any]:
    import numpy as np

    from togi.evaluate.disagreement.membership import Pool
    from togi.evaluate.disagreement.table import build

    labels, order = given(), orders(permutations)
    rater, item = (place.ravel() for place in np.indices(labels.shape))
    table = build(
        tuple(map(str, range(ITEMS))), tuple(map(str, range(RATERS))),
        tuple(map(str, range(LABELS))), (item, rater, labels.ravel()), {},
    )  # fmt: skip
    Pool(table).common(np.ones((1, RATERS), dtype=np.bool_))
    began = time.perf_counter()
    pool = Pool(table)
    found = []
    for start in range(0, permutations, 2000):
        part = order[start : start + 2000]
        member = np.zeros(part.shape, dtype=np.bool_)
        np.put_along_axis(member, part[:, :GROUP], True, axis=1)
        found.append(np.stack([pool.common(side).irr for side in (member, ~member)], axis=1))
    seconds = time.perf_counter() - began
    alpha = np.concatenate(found)[:checked].ravel().tolist()
    return {"seconds": seconds, "work": permutations, "alpha": alpha}


def theirs(permutations: int, checked: int) -> dict[str, Any]:
    import krippendorff

    labels, order = given(), orders(permutations)
    krippendorff.alpha(reliability_data=labels[:GROUP], level_of_measurement="nominal")
    began = time.perf_counter()
    alpha = [
        krippendorff.alpha(reliability_data=labels[side], level_of_measurement="nominal")
        for one in order[:checked]
        for side in (one[:GROUP], one[GROUP:])
    ]
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "work": checked, "alpha": [float(value) for value in alpha]}


def same_alpha(mine: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """Compare α of the permutations that both sides have done."""
    gap = max(abs(a - b) for a, b in zip(mine["alpha"], peer["alpha"], strict=True))
    return {
        "permutations compared": len(peer["alpha"]) // 2,
        "greatest difference of alpha": gap,
        "within 1e-12": gap < 1e-12,
        "seconds for togi's permutations": round(mine["seconds"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--permutations", type=int, default=20_000)
    parser.add_argument("--checked", type=int, default=500)
    parser.add_argument("--repetitions", type=int, default=3)
    asked = parser.parse_args()
    from bench._paired import compare, peers_python

    script, sizes = str(Path(__file__)), [str(asked.permutations), str(asked.checked)]
    compare(
        "krippendorff",
        "permutations/s",
        [sys.executable, script, "--side", "ours", *sizes],
        [peers_python(), script, "--side", "peer", *sizes],
        repetitions=asked.repetitions,
        agreement=same_alpha,
        about=f"nominal alpha of two groups of {GROUP} raters, {ITEMS} items, {LABELS} labels, "
        f"{asked.permutations:,} permutations of whole raters; the peer's loop over "
        f"{asked.checked} of them",
    )


def one_side(which: str, permutations: str, checked: str, written: str) -> None:
    """Run one side and write what it found: what the harness starts."""
    side = {"ours": ours, "peer": theirs}[which]
    Path(written).write_text(json.dumps(side(int(permutations), int(checked))))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        sys.path.pop(0)  # this file's folder would hide the package of the same name
        one_side(*sys.argv[2:])
    else:
        main()
