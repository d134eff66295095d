"""Which run to do next: the one that most narrows the interval of the best split.

By the law's derivatives, the parameters' covariance after runs with derivative rows j₁ … j_r is
σ² H⁻¹ with H = Σ j jᵀ, whatever the noise σ. The split at a budget C, ln(D*/N*), has the standard
error σ √(gᵀ H⁻¹ g). One more run adds its j jᵀ to H, so that the new error over the old one is
known before the run is done and without knowing σ. Source: c-optimal design (Fedorov 1972, ch. 2).

The proposal is greedy: the best run, then the best one after it, and so on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from togi.data.scaling import Points, loss, optimum, points_of, untie
from togi.data.scaling_fit import centring, jacobian
from togi.data.scaling_optimal import Fitted
from togi.data.scaling_runs import FLOPS_PER
from togi.data.solve import Floats

GRID = 41  # sizes and token counts that are tried
REACH = math.log(4.0)  # beyond the smallest and largest tried so far
EDGE = 0.05  # the runs' tokens per parameter, but for so many at either end, bound a proposal's
NEARLY = 0.01  # of the candidates this near to the best one, the cheapest is taken
RIDGE = 1e-8  # so that runs which leave a direction open can still be improved, in doubles
STEP = 1e-5


@dataclass(frozen=True, slots=True)
class Proposal:
    """A run to do next.

    Attributes:
        params: its size.
        tokens: its tokens.
        flops: its cost.
        loss: what the law predicts for it.
        width: how wide the interval of ln(D/N) at the budget will be after it, over how wide it
            is after the runs so far and the proposals before this one.
    """

    params: float
    tokens: float
    flops: float
    loss: float
    width: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            name: getattr(self, name) for name in ("params", "tokens", "flops", "loss", "width")
        }


def direction(theta: Floats, flops: float) -> Floats:
    """Return the (p,) derivatives of ln(D*/N*) by the law's parameters, by central differences."""
    steps = STEP * np.eye(len(theta))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        up, down = (np.log(d / n) for n, d in (optimum(theta + s, flops) for s in (steps, -steps)))
        return (up - down) / (2 * STEP)


def propose(
    found: Fitted, flops: float, *, count: int = 3, most: float | None = None
) -> list[Proposal]:
    """Return the runs to do next, in order.

    Args:
        found: the law fitted so far.
        flops: the budget whose split shall be known better.
        count: how many runs to propose.
        most: FLOPs that a proposed run may cost; as much as the dearest run so far by default.

    Returns:
        The proposals. Where the fitted law rises with size or tokens they are those of the law
        with α = β; there are none where that rises too, or where nothing is cheap enough.

    >>> from togi.data.scaling import law_of
    >>> from togi.data.scaling_optimal import fit_runs
    >>> from togi.data.scaling_runs import runs_of
    >>> N, D = (side.ravel() for side in np.meshgrid([1e7, 3e7, 1e8], [1e9, 3e9, 1e10]))
    >>> truth = law_of(482.01, 2085.43, 1.8172, 0.3478, 0.3658)
    >>> [first] = propose(fit_runs(runs_of(N, D, loss(truth, N, D)), draws=100), 1e21, count=1)
    >>> 0.5 < first.width < 0.9  # one run beside nine
    True
    """
    form, theta = found.fit.form, found.theta
    aim = direction(theta, flops)
    if not np.isfinite(aim).all():  # then the runs are in need of one more than ever
        theta = untie(found.tied.theta)
        aim = direction(theta, flops)
    grid = candidates(found, most or found.largest)
    if not np.isfinite(aim).all() or not len(grid.n):
        return []
    points = points_of(found.runs)
    matrix = centring(form, points)
    table = jacobian(points, form, theta) @ matrix
    size = np.linalg.norm(table, axis=0)
    table, aim = table / size, (aim @ matrix) / size
    rows = jacobian(grid, form, theta) @ matrix / size
    return _greedy(table.T @ table, aim, rows, grid, theta, count)


def candidates(found: Fitted, most: float) -> Points:
    """Return runs that could be done: a grid about those done.

    None is dearer than `most`, nor cheaper than the cheapest run so far: the law was not seen to
    hold there. For the same reason tokens per parameter stay within what was tried, or within a
    factor of four of the middling run where little was tried.
    """
    n, d = np.log(found.runs.params), np.log(found.runs.tokens)
    sizes, tokens = (side.ravel() for side in np.meshgrid(_reach(n), _reach(d), indexing="ij"))
    tried = np.quantile(d - n, [EDGE, 0.5, 1 - EDGE])
    work, ratio = sizes + tokens, tokens - sizes
    fits = (work <= math.log(most / FLOPS_PER) + 1e-9) & (work >= (n + d).min() - 1e-9)
    fits &= ratio >= min(tried[0], tried[1] - REACH)
    fits &= ratio <= max(tried[2], tried[1] + REACH)
    return Points(sizes[fits], tokens[fits], np.zeros(fits.sum()), tokens[fits])


def _reach(column: Floats) -> Floats:
    return np.linspace(column.min() - REACH, column.max() + REACH, GRID)


def _greedy(
    known: Floats, aim: Floats, rows: Floats, grid: Points, theta: Floats, count: int
) -> list[Proposal]:
    found: list[Proposal] = []
    known = known + RIDGE * np.trace(known) * np.eye(len(aim))
    for _ in range(count):
        spread = np.linalg.inv(known)
        before = aim @ spread @ aim
        along = rows @ spread
        # Sherman & Morrison: what one more row takes off the variance of the aim
        less = (along @ aim) ** 2 / (1 + (along * rows).sum(axis=1))
        width = np.sqrt(np.maximum(1 - less / before, 0))
        near = np.flatnonzero(width <= width.min() + NEARLY)
        best = near[np.argmin((grid.n + grid.d)[near])]
        params, tokens = math.exp(grid.n[best]), math.exp(grid.d[best])
        cost = FLOPS_PER * params * tokens
        predicted = float(loss(theta, params, tokens))
        found.append(Proposal(params, tokens, cost, predicted, float(width[best])))
        known = known + np.outer(rows[best], rows[best])
    return found
