"""Chinchilla's law refitted to its public runs, with the refits that give intervals.

The 240 runs behind it are those that Besiroglu et al. 2024 read off the paper's figure 4, the five
highest losses left out. The refits lie in `scaling.jsonl`, made by `record`; a test makes them anew
from the public table. With them a budget can be split without runs of one's own.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from togi.data.isoflop import isoflop
from togi.data.scaling import FORMS, points_of, untie
from togi.data.scaling_fit import DELTA, Fit, fit, likelihood_ratio, residuals
from togi.data.scaling_optimal import Fitted, fit_runs
from togi.data.scaling_runs import Runs, runs_of
from togi.data.solve import Floats

FILE = Path(__file__).with_name("scaling.jsonl")
SHARP = 1e-7  # a delta so small that the Huber sum is the likelihood's sum of absolute values
BUDGETS = (6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21)  # the paper's approach 2
DIGITS = 7  # of each parameter: a and α are so entangled that five would blur ln(D/N)
EXACT = "in the paper's source"
PRINTED = {
    "as printed": np.array([np.log(406.4), np.log(410.7), np.log(1.69), 0.34, 0.28]),
    EXACT: np.array([6.0073404, 6.0179186, 0.5267228, 0.33917084, 0.2849083]),
}
"""Hoffmann et al. 2022's constants of approach 3, (a, b, e, α, β)."""


def chinchilla() -> Fitted:
    """Return Chinchilla's law as refitted to its public runs.

    >>> from togi.data.scaling_optimal import split
    >>> best = split(chinchilla(), 5.76e23)
    >>> f"{best.ratio.mean:.1f} tokens a parameter, {best.ratio.low:.0f} to {best.ratio.high:.0f}"
    '17.9 tokens a parameter, 7 to 34'
    """
    return fitted_of(kept())


def fitted_of(entry: dict[str, Any]) -> Fitted:
    """Return the law of a record."""
    free, tied = (np.array(entry[name]) for name in ("draws", "tied_draws"))
    return Fitted(
        runs_of([], [], []),
        _fit("chinchilla", entry["theta"], entry["n"]),
        free,
        _fit("tied", entry["tied"], entry["n"]),
        untie(tied),
        entry["n"],
        entry["largest"],
    )


def _fit(form: str, theta: list[float], n: int) -> Fit:
    return Fit(FORMS[form], np.array(theta), np.nan, DELTA, n, 0, 0, 0)


@cache
def kept() -> dict[str, Any]:
    """Return the record that comes with togi."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def record(runs: Runs, draws: int = 400, seed: int = 0) -> dict[str, Any]:
    """Return the law as it is kept, from the public runs.

    Beside the refits stand twice the log-likelihood that the printed constants lose against the
    best ones (five degrees of freedom), and the exponent that IsoFLOP profiles give.
    """
    found = fit_runs(runs, draws=draws, seed=seed)
    points, form = points_of(runs), FORMS["chinchilla"]
    best = residuals(points, form, fit(points, delta=SHARP).theta)
    profiles = isoflop(runs, BUDGETS, draws=draws, seed=seed)
    return {
        "name": "chinchilla",
        "n": found.n,
        "largest": found.largest,
        "theta": _rounded(found.theta[None])[0],
        "tied": _rounded(found.tied.theta[None])[0],
        "lost": {
            name: round(likelihood_ratio(residuals(points, form, theta), best), 2)
            for name, theta in PRINTED.items()
        },
        "isoflop_exponent": profiles.exponent.as_dict(),
        "draws": _rounded(found.draws),
        "tied_draws": _rounded(found.tied_draws[:, :4]),
    }


def _rounded(table: Floats) -> list[list[float]]:
    return [[float(f"{v:.{DIGITS}g}") for v in row] for row in table.tolist()]
