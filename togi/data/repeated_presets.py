"""The laws of repeated data that need no runs of one's own, with refits that give intervals.

`c4` is the paper's: its law of C4 and its decays, with the spread of the decays when they are
refitted to resamples of its 182 public runs. `whole` is all seven parameters fitted to those runs.
The refits lie in `repeated.jsonl`, made by `record`; a test makes them anew from the public runs.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from togi.data.repeated import C4_LAW, ENDLESS, PUBLISHED, SLOWEST, WHOLE, Decay
from togi.data.repeated_fit import NONE_FROM, fit_decays
from togi.data.repeated_measured import BANDS, measured_excess
from togi.data.repeated_plan import Known, known_of
from togi.data.scaling import points_of
from togi.data.scaling_fit import Fit, bootstrap, fit
from togi.data.scaling_runs import Runs
from togi.data.solve import Floats

FILE = Path(__file__).with_name("repeated.jsonl")
DIGITS = 5
Law: TypeAlias = Literal["c4", "whole"]


def preset(name: Law, level: float = 0.95) -> Known:
    """Return a law by name.

    >>> known = preset("c4")
    >>> known.decay.tokens, known.n
    (15.387756, 20)
    """
    return known_from(kept()[name], level)


def known_from(kept: dict[str, Any], level: float = 0.95) -> Known:
    """Return the law of a record."""
    draws = np.array(
        [[ENDLESS if v is None else v for v in row] for row in kept["draws"]], dtype=float
    )
    decays = Decay(draws[:, -2], draws[:, -1])
    laws = draws[:, :5] if draws.shape[1] > 2 else None
    best = [ENDLESS if v is None else v for v in kept["decay"]]
    return known_of(np.array(kept["theta"]), Decay(*best), decays, laws, n=kept["n"], level=level)


@cache
def kept() -> dict[str, Any]:
    """Return the records that come with togi, by name."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return {entry["name"]: entry for entry in map(json.loads, lines)}


def whole_draws(runs: Runs, found: Fit, draws: int, seed: int, groups: np.ndarray) -> Floats:
    """Return (s, 7) refits of all parameters to resamples, the decays not as logarithms."""
    drawn = bootstrap(points_of(runs), found, draws, seed, groups)
    drawn[:, 5:] = ended(np.exp(np.minimum(drawn[:, 5:], SLOWEST)))
    return drawn


def ended(decays: Floats) -> Floats:
    """Return decays with those too slow to tell from none as none.

    >>> ended(np.array([15.0, 1e5])).tolist()
    [15.0, 1000000000000000.0]
    """
    return np.where(decays > NONE_FROM, ENDLESS, decays)


def record(runs: Runs, draws: int = 200, seed: int = 0) -> list[dict[str, Any]]:
    """Return both laws as they are kept, from the paper's public runs.

    Runs of one model size are resampled together: they share how far the law is off for that size.
    Beside the refits stand the profile of R_D* and what repeated runs lose against fresh ones.
    """
    decays = fit_decays(runs, C4_LAW, draws=draws, seed=seed, groups=runs.params)
    found = fit(points_of(runs), WHOLE)
    drawn = whole_draws(runs, found, draws, seed, runs.params)
    best = ended(np.exp(found.theta[5:]))
    return [
        {
            "name": "c4",
            "theta": C4_LAW.tolist(),
            "decay": list(PUBLISHED),
            "n": decays.n,
            "valley": _rounded(decays.profile[:, [0, 3]]),
            "measured": [_measured(runs, low, high, seed) for low, high in BANDS],
            "draws": _rounded(decays.draws),
        },
        {
            "name": "whole",
            "theta": [float(f"{v:.8g}") for v in found.theta[:5]],
            "decay": _rounded(best[None])[0],
            "n": decays.n,
            "draws": _rounded(drawn),
        },
    ]


def _measured(runs: Runs, low: float, high: float, seed: int) -> dict[str, Any]:
    found = measured_excess(runs, low, high, seed)
    ratio = found.ratio.as_dict()
    for side in ("mean", "low", "high"):
        ratio[side] = None if ratio[side] is None else float(f"{ratio[side]:.{DIGITS}g}")
    return {"from": low, "to": high, "pairs": found.pairs, "ratio": ratio}


def _rounded(table: Floats) -> list[list[float | None]]:
    return [
        [None if v >= ENDLESS else float(f"{v:.{DIGITS}g}") for v in row] for row in table.tolist()
    ]
