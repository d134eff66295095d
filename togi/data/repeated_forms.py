"""Which form of the law of repeats predicts runs that it was not fitted to, compared in pairs.

Four forms hold the law of fresh data fixed: both decays, only that of tokens, only that of excess
parameters, none. The fifth, `whole`, fits the law of fresh data to the same runs as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from togi.data.law_numbers import told
from togi.data.repeated import WHOLE, Decay, decays, repeated_loss
from togi.data.repeated_fit import GRID_D, GRID_N, NONE_FROM, plane
from togi.data.repeated_measured import r_squared
from togi.data.scaling import points_of
from togi.data.scaling_fit import DELTA, Fit, cross_validate, folds_of, objective_of
from togi.data.scaling_runs import Runs
from togi.data.solve import Floats, minimise
from togi.stats.arrays import Labels
from togi.stats.paired import paired_difference

FORMS = ("both", "tokens only", "params only", "none")
FOLDS = 10


def compare(
    runs: Runs,
    base: Floats,
    whole: Fit | None,
    *,
    groups: Labels,
    delta: float = DELTA,
    seed: int = 0,
    level: float = 0.95,
) -> list[dict[str, Any]]:
    """Return each form's fit and its error on held-out runs, against that of `both`.

    Args:
        runs: the runs.
        base: the law of fresh data that four of the forms hold fixed.
        whole: the fit of all seven parameters, where it was made.
        groups: labels of runs that are held out, and resampled, together.
        delta: of the Huber loss.
        seed: of the folds.
        level: of the intervals.
    """
    losses = plane(points_of(runs), base, delta)
    fold = folds_of(groups, FOLDS, seed)
    entries, away = [], []
    for name in FORMS:
        decay, value = _polished(runs, base, _best(losses.sum(axis=2), name)[0], name, delta)
        predicted = repeated_loss(base, decay, runs.params, runs.tokens, runs.unique)
        entries.append(_entry(name, decay, value, r_squared(runs, predicted)))
        away.append(_held_out(runs, base, losses, fold, name))
    if whole is not None:
        decay = Decay(*np.exp(whole.theta[5:]).tolist())
        predicted = repeated_loss(whole.theta[:5], decay, runs.params, runs.tokens, runs.unique)
        entries.append(_entry("whole", decay, whole.objective, r_squared(runs, predicted)))
        away.append(cross_validate(points_of(runs), whole, folds=FOLDS, seed=seed, groups=groups))
    for entry, off in zip(entries, away, strict=True):
        change = paired_difference(off, away[0], clusters=groups, level=level, seed=seed)
        entry |= {"error": off.mean(), "against_both": told(change.estimate)}
    return entries


def _entry(name: str, decay: Decay, value: float, explained: float) -> dict[str, Any]:
    parameters = {"both": 2, "none": 0, "whole": len(WHOLE.parameters)}.get(name, 1)
    rates = [None if rate > NONE_FROM else float(rate) for rate in decay]
    return {
        "form": name,
        "parameters": parameters,
        "decay_tokens": rates[0],
        "decay_params": rates[1],
        "objective": value,
        "r_squared": explained,
    }


def _best(sums: Floats, form: str) -> tuple[Decay, float]:
    """Return the grid's best decays of a form; the last row and column are no decay.

    >>> _best(np.array([[1.0, 2.0], [3.0, 4.0]]), "none")[1]
    4.0
    """
    rows = slice(-1, None) if form in ("params only", "none") else slice(None)
    columns = slice(-1, None) if form in ("tokens only", "none") else slice(None)
    part = sums[rows, columns]
    row, column = np.unravel_index(int(part.argmin()), part.shape)
    return Decay(GRID_D[rows][row], GRID_N[columns][column]), float(part.min())


def _polished(
    runs: Runs, base: Floats, start: Decay, form: str, delta: float
) -> tuple[Decay, float]:
    """Follow the grid's best decays down; what the form leaves out stays at no decay."""
    held = {"tokens only": (1,), "params only": (0,), "none": (0, 1)}.get(form, ())
    objective, _ = objective_of(decays(base), points_of(runs), delta, held=held)
    found = minimise(objective, np.log(np.array([start], dtype=float)))
    return Decay(*np.exp(found.theta[0]).tolist()), float(found.value[0])


def _held_out(runs: Runs, base: Floats, losses: Floats, fold: np.ndarray, form: str) -> Floats:
    """Return |ln L̂ − ln L| of each run, the decays fitted to the other folds."""
    away = np.empty(len(runs))
    for held in range(int(fold.max()) + 1):
        out = fold == held
        decay, _ = _best(losses[:, :, ~out].sum(axis=2), form)
        part = runs.take(out)
        predicted = repeated_loss(base, decay, part.params, part.tokens, part.unique)
        away[out] = np.abs(np.log(predicted / part.loss))
    return away
