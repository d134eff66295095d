"""Many small problems solved at once: BFGS over a batch of starts, and bisection over a batch.

A scaling law has two to seven parameters and a few hundred runs, so that one minimisation is all
overhead. Here the starts, or the resamples of a bootstrap, are the rows of one array, and each
step of the method is a handful of array operations over all of them.

Source of the update: Nocedal & Wright 2006, "Numerical Optimization", eq. 6.17, with Armijo
backtracking. BFGS is known to work on functions that are only nearly smooth, as a Huber loss with
a small delta is (Lewis & Overton 2013).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Rows: TypeAlias = NDArray[np.intp]
Objective: TypeAlias = Callable[[Floats, Rows], tuple[Floats, Floats]]
"""(s, p) parameters and the (s,) rows that they belong to -> (s,) values, (s, p) gradients."""

FIRST = 0.1  # length of the first step; parameters here are logarithms and exponents
FARTHEST = 1.0  # no parameter moves by more than this in one step
SUFFICIENT = 1e-4  # Armijo's share of the promised decrease
HALVINGS = 30
STALLED = 3  # so many steps in a row without a decrease that counts end a row's search


class Minima(NamedTuple):
    """Where each row's search ended: (s, p) parameters, (s,) values, and the steps it took."""

    theta: Floats
    value: Floats
    steps: int


def minimise(
    objective: Objective, starts: Floats, *, steps: int = 500, tolerance: float = 1e-13
) -> Minima:
    """Minimise a function of a few parameters from many starts at once.

    Args:
        objective: gives values and gradients of the rows that it is asked for.
        starts: (s, p) where each row begins.
        steps: at most so many.
        tolerance: a relative decrease below this does not count.

    Returns:
        The minima, one a row; a row whose start has no finite value stays there.

    >>> def bowl(theta, rows):
    ...     away = theta - rows[:, None]
    ...     return (away**2).sum(1), 2 * away
    >>> minimise(bowl, np.zeros((3, 2))).theta[:, 0].round(6).tolist()
    [0.0, 1.0, 2.0]
    """
    theta, rows = starts.astype(np.float64), np.arange(len(starts))
    value, gradient = objective(theta, rows)
    best, lowest = theta.copy(), value.copy()
    rows = rows[np.isfinite(value) & np.isfinite(gradient).all(axis=1)]
    theta, value, gradient = theta[rows], value[rows], gradient[rows]
    inverse = _identity(theta, gradient)
    stalls, fresh, taken = np.zeros(len(rows), int), np.ones(len(rows), bool), 0
    while len(rows) and taken < steps:
        taken += 1
        step, slope = _direction(inverse, gradient)
        new, fell, slopes = _search(objective, rows, theta, value, (step, slope))
        moved = fell <= value
        change = np.where(moved, value - fell, 0.0)
        stalls = np.where(change > tolerance * np.abs(value), 0, stalls + 1)
        _update(inverse, new - theta, slopes - gradient, fresh)
        theta, value, gradient = new, fell, slopes
        best[rows], lowest[rows] = theta, value
        on = (stalls < STALLED) & (np.abs(gradient).max(axis=1) > 0)
        rows, theta, value, gradient = rows[on], theta[on], value[on], gradient[on]
        inverse, stalls, fresh = inverse[on], stalls[on], fresh[on]
    return Minima(best, lowest, taken)


def _identity(theta: Floats, gradient: Floats) -> Floats:
    """Return the first inverse Hessians: the first step is a tenth long, whatever the scale."""
    largest = np.maximum(np.abs(gradient).max(axis=1, initial=0), 1e-300)
    return (FIRST / largest)[:, None, None] * np.eye(theta.shape[1])


def _direction(inverse: Floats, gradient: Floats) -> tuple[Floats, Floats]:
    """Return each row's step, no longer than allowed, and its slope; uphill rows start anew."""
    step = -np.einsum("sij,sj->si", inverse, gradient)
    slope = (step * gradient).sum(axis=1)
    lost = ~(slope < 0)
    if lost.any():
        inverse[lost] = _identity(gradient[lost], gradient[lost])
        step[lost] = -np.einsum("sij,sj->si", inverse[lost], gradient[lost])
    step *= np.minimum(1, FARTHEST / np.maximum(np.abs(step).max(axis=1), 1e-300))[:, None]
    return step, (step * gradient).sum(axis=1)


def _search(
    objective: Objective, rows: Rows, theta: Floats, value: Floats, way: tuple[Floats, Floats]
) -> tuple[Floats, Floats, Floats]:
    """Halve each row's step until its value falls enough; a row that never does stays."""
    step, slope = way
    new, fell = theta.copy(), value.copy()
    gradient = np.zeros_like(theta)
    length, todo = np.ones(len(rows)), np.arange(len(rows))
    for _ in range(HALVINGS):
        tried = theta[todo] + length[todo, None] * step[todo]
        values, gradients = objective(tried, rows[todo])
        good = values <= value[todo] + SUFFICIENT * length[todo] * slope[todo]
        done = todo[good]
        new[done], fell[done], gradient[done] = tried[good], values[good], gradients[good]
        todo = todo[~good]
        if not len(todo):
            break
        length[todo] /= 2
    # A row that found nothing lower has come to its minimum: a zero gradient ends its search.
    return new, fell, gradient


def _update(inverse: Floats, moved: Floats, turned: Floats, fresh: NDArray[np.bool_]) -> None:
    """Update the inverse Hessians in place where the curvature along the step is positive."""
    curve = (moved * turned).sum(axis=1)
    size = np.sqrt((moved**2).sum(axis=1) * (turned**2).sum(axis=1))
    sound = np.isfinite(curve) & (curve > 1e-14 * size)
    first = sound & fresh
    scale = curve[first] / (turned[first] ** 2).sum(axis=1)
    inverse[first] = scale[:, None, None] * np.eye(moved.shape[1])
    fresh[first] = False
    step, turn, rho = moved[sound], turned[sound], 1 / curve[sound]
    pulled = np.einsum("sij,sj->si", inverse[sound], turn)
    along = rho * (1 + rho * (turn * pulled).sum(axis=1))
    cross = pulled[:, :, None] * step[:, None, :]
    inverse[sound] += (
        along[:, None, None] * step[:, :, None] * step[:, None, :]
        - rho[:, None, None] * (cross + cross.transpose(0, 2, 1))
    )  # fmt: skip


def bisect(function: Callable[[Floats], Floats], low: Floats, high: Floats) -> Floats:
    """Return where a rising function crosses zero between `low` and `high`, row by row.

    Args:
        function: (s,) places -> (s,) values, each rising with its own place.
        low: (s,) where the values are negative; where they are not, `low` is returned.
        high: (s,) where they are positive; where they are not, `high` is returned.

    Returns:
        (s,) places, to the last bits of a double.

    >>> squares = np.array([2.0, 9.0])
    >>> bisect(lambda x: x**2 - squares, np.zeros(2), squares).round(9).tolist()
    [1.414213562, 3.0]
    """
    low, high = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
    for _ in range(80):
        middle = (low + high) / 2
        below = function(middle) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2
