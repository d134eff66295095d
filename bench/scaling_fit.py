"""A scaling-law fit with 200 bootstrap refits: togi beside the method of the public replication.

The public replication of Chinchilla's fit (Besiroglu et al. 2024) minimises the Huber sum by
scipy's BFGS with autograd's gradients, one resample after the other, each from the constants that
the paper printed. The peer side does just that, and no more; togi screens 1,225 starts, polishes
64, and refits all resamples at once from its own fit.

Both get the same 240 runs (made from the law with seeded noise, or a table given by `--runs`) and
the same resamples. They agree where no refit of togi's has a higher sum than the peer's.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DRAWS = 200
DELTA = 1e-3
PRINTED = (6.0073404, 6.0179186, 0.5267228, 0.33917084, 0.2849083)


def make_job(path: Path, table: str | None) -> None:
    """Write the runs' logarithms and the resamples' places."""
    import numpy as np

    from togi.data.scaling import law_of, log_loss, points_of
    from togi.data.scaling_runs import read_runs

    rng = np.random.default_rng(0)
    if table:
        n, d, y, _ = points_of(read_runs(table, drop_highest=5))
    else:
        work = np.log(rng.choice(np.geomspace(6e18, 3e21, 9), size=240))
        n = 0.5 * work - 4.2 + rng.uniform(-1.6, 1.6, 240)
        d = work - np.log(6) - n
        truth = law_of(482.01, 2085.43, 1.8172, 0.3478, 0.3658)
        y = log_loss(truth, n, d) + rng.laplace(0, 0.0045, 240)
    picks = rng.integers(0, len(y), size=(DRAWS, len(y)))
    job = {"n": n.tolist(), "d": d.tolist(), "y": y.tolist(), "picks": picks.tolist()}
    path.write_text(json.dumps(job))


def ours(job: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    from togi.data.scaling import Points
    from togi.data.scaling_fit import fit, huber, refit, residuals

    n, d, y = (np.array(job[key]) for key in "ndy")
    points = Points(n, d, y, d)
    weights = np.stack([np.bincount(row, minlength=len(y)) for row in job["picks"]]).astype(float)
    fit(points, keep=2)
    began = time.perf_counter()
    found = fit(points)
    theta = refit(points, found, weights)
    seconds = time.perf_counter() - began
    sums = (huber(residuals(points, found.form, theta), DELTA)[0] * weights).sum(axis=1)
    return {
        "seconds": seconds,
        "work": DRAWS + 1,
        "objective": found.objective,
        "sums": sums.tolist(),
        "spread": theta.std(axis=0).tolist(),
    }


def theirs(job: dict[str, Any]) -> dict[str, Any]:
    import autograd.numpy as np
    from autograd import grad
    from scipy.optimize import minimize

    n, d, y = (np.array(job[key]) for key in "ndy")

    def huber_sum(theta: Any, n: Any, d: Any, y: Any) -> Any:
        a, b, e, alpha, beta = theta
        predicted = np.log(np.exp(a - alpha * n) + np.exp(b - beta * d) + np.exp(e))
        away = np.abs(predicted - y)
        return np.sum(np.where(away <= DELTA, away**2 / 2, DELTA * (away - DELTA / 2)))

    slope = grad(huber_sum)

    def refit(pick: Any) -> Any:
        given = (n[pick], d[pick], y[pick])
        return minimize(huber_sum, list(PRINTED), args=given, jac=slope, method="BFGS")

    every = np.arange(len(y))
    refit(every)
    began = time.perf_counter()
    whole = refit(every)
    found = [refit(np.array(row)) for row in job["picks"]]
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "work": DRAWS + 1,
        "objective": float(whole.fun),
        "sums": [float(one.fun) for one in found],
        "spread": np.std(np.array([one.x for one in found]), axis=0).tolist(),
    }


def agree(mine: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """Compare the sums that both reached on the same resamples."""
    worse = sum(a > b * (1 + 1e-6) for a, b in zip(mine["sums"], peer["sums"], strict=True))
    better = sum(b > a * (1 + 1e-4) for a, b in zip(mine["sums"], peer["sums"], strict=True))
    return {
        "objective ours": mine["objective"],
        "objective peer": peer["objective"],
        "no refit of ours has a higher sum": worse == 0,
        "refits in which the peer stopped early": better,
        "standard errors ours": [round(v, 4) for v in mine["spread"]],
        "standard errors peer": [round(v, 4) for v in peer["spread"]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", help="a table of runs instead of made-up ones")
    parser.add_argument("--repetitions", type=int, default=3)
    asked = parser.parse_args()
    from bench._paired import compare, peers_python

    with tempfile.TemporaryDirectory(prefix="togi-bench-scaling-") as folder:
        job = Path(folder) / "job.json"
        make_job(job, asked.runs)
        script = str(Path(__file__))
        compare(
            "scaling_fit",
            "refits/s",
            [sys.executable, script, "--side", "ours", str(job)],
            [peers_python(), script, "--side", "peer", str(job)],
            repetitions=asked.repetitions,
            agreement=agree,
            about="a fit and 200 bootstrap refits of 240 runs, one core; the peer is scipy's BFGS"
            " with autograd, one resample after the other, from the printed constants",
        )


def one_side(which: str, job: str, written: str) -> None:
    """Run one side and write what it found: what the harness starts."""
    given = json.loads(Path(job).read_text())
    Path(written).write_text(json.dumps(ours(given) if which == "ours" else theirs(given)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        one_side(*sys.argv[2:])
    else:
        main()
