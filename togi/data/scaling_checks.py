"""What runs cannot tell: refusals before a scaling law is fitted, warnings after.

A law can be fitted to almost anything; whether the runs identify it is another matter. These
checks say so in words, each with what would mend it.
"""

from __future__ import annotations

import math

import numpy as np

from togi.data.law_numbers import estimate
from togi.data.scaling import Points, points_of
from togi.data.scaling_fit import (
    DELTA,
    LEAST_DISTINCT,
    Fit,
    centring,
    jacobian,
    residuals,
)
from togi.data.scaling_runs import Runs
from togi.data.solve import Floats
from togi.errors import DataError

LEAST_RUNS = 6
SAME = 0.01  # sizes within one per cent of each other are one size
ONE_LINE = 0.98  # |correlation| of ln N and ln D
ILL = 1000.0  # condition number of the columns, each scaled to one; a sound design has some 30
NO_FLOOR = 0.01  # E below this share of the least loss is none
WIDE = 4.0  # a tokens-per-parameter interval of more than this factor either way
FAR = 1.5  # decades of compute beyond the largest run
BITS = math.log(1 / math.log(2))  # ln of bits over nats
OUTLYING = 10.0  # times the middling residual


def distinct(column: Floats) -> int:
    """Return how many values there are that differ by more than a per cent.

    >>> distinct(np.array([1e8, 1.001e8, 2e8]))
    2
    """
    steps = np.diff(np.sort(np.log(column)))
    return 1 + int((steps > SAME).sum())


def refuse(runs: Runs, where: str = "runs") -> None:
    """Refuse runs that cannot tell the law at all.

    Raises:
        DataError: fewer than six runs, or fewer than three sizes or token counts.
    """
    if len(runs) < LEAST_RUNS:
        raise DataError(
            "too few runs to fit a scaling law",
            where=where,
            found=f"{len(runs)} runs",
            expected=f"at least {LEAST_RUNS}, better 20: the law has five parameters",
        )
    for column, name, other in (
        (runs.params, "parameters", "tokens"),
        (runs.tokens, "tokens", "parameters"),
    ):
        if distinct(column) < LEAST_DISTINCT:
            raise DataError(
                f"the runs cannot tell how loss falls with {name}",
                where=where,
                found=f"{distinct(column)} distinct value(s) of {name}",
                expected=f"at least {LEAST_DISTINCT}, spread over a factor of ten or more",
                hint=f"train further sizes, or look at {other} alone",
            )


def condition(points: Points, found: Fit) -> float:
    """Return the condition number of the runs' derivatives by the law's centred parameters."""
    table = jacobian(points, found.form, found.theta) @ centring(found.form, points)
    size = np.linalg.norm(table, axis=0)
    return float(np.linalg.cond(table / size)) if (size > 0).all() else math.inf


def warnings_of(runs: Runs, found: Fit, draws: Floats, ratio: Floats) -> list[str]:
    """Return what a user should know of a Chinchilla fit before using it.

    Args:
        runs: what was fitted.
        found: the fit.
        draws: (s, 5) refits to resamples.
        ratio: (s,) ln(tokens per parameter) at the budget asked for, under the refits.
    """
    points = points_of(runs)
    return [
        *_design(points, found),
        *_bounds(runs, found, draws),
        *_wide(found, draws, ratio),
        *_oddities(runs, found),
        *_checkpoints(runs),
    ]


def _design(points: Points, found: Fit) -> list[str]:
    notes = []
    together = float(np.corrcoef(points.n, points.d)[0, 1])
    if abs(together) > ONE_LINE:
        how = "tokens rise in step with parameters" if together > 0 else "the runs share one budget"
        notes.append(
            f"{how} (correlation {together:.3f}), so the runs hardly tell α from β: add runs off"
            " that line, as the proposed ones are"
        )
    ill = condition(points, found)
    if ill > ILL:
        notes.append(
            f"the runs leave some direction of the law open (condition number {ill:.3g}, some 30"
            " in a sound design): trust the predicted loss near the runs, not single parameters"
        )
    return notes


def _bounds(runs: Runs, found: Fit, draws: Floats) -> list[str]:
    notes, (floor, alpha, beta) = [], found.theta[2:]
    least = math.log(NO_FLOOR * float(runs.loss.min()))
    share = float(np.nanmean(draws[:, 2] < least)) if len(draws) else math.nan
    if floor < least:
        notes.append("the runs show no floor: E went to 0, so losses far beyond them are guesses")
    elif share > 0.05:
        notes.append(f"E is 0 in {share:.0%} of the resamples: the floor is not sure")
    for value, name, what in ((alpha, "α", "parameters"), (beta, "β", "tokens")):
        if value <= 0:
            notes.append(f"{name} is {value:.3g}: the loss does not fall with {what} in these runs")
    return notes


def _wide(found: Fit, draws: Floats, ratio: Floats) -> list[str]:
    lost = int(np.isnan(draws[:, 0]).sum())
    notes = []
    if lost:
        notes.append(
            f"{lost} of {len(draws)} resamples hold too few sizes or token counts to tell the law"
        )
    span = estimate(math.nan, ratio, found.n)
    width = span.high - span.low
    if not span.known or width > 2 * math.log(WIDE):
        told = f"a factor of {math.exp(width):.3g} wide" if math.isfinite(width) else "unbounded"
        notes.append(
            f"the runs do not identify the best split of this budget: the interval of tokens per"
            f" parameter is {told}"
        )
    return notes


def _oddities(runs: Runs, found: Fit) -> list[str]:
    """Look for losses in another unit, and for runs far off the law."""
    away = residuals(points_of(runs), found.form, found.theta)
    middle = float(np.median(np.abs(away)))
    notes = []
    offset = np.abs(np.abs(away) - BITS)
    bits = (offset < 0.05) & (middle < 0.05)
    if bits.any():
        notes.append(
            f"{int(bits.sum())} run(s) lie a factor of 1.44 off the law{_named(runs, bits)}: are"
            " their losses in bits and the others' in nats?"
        )
    far = (np.abs(away) > OUTLYING * max(middle, DELTA)) & ~bits
    if far.any():
        notes.append(
            f"{int(far.sum())} run(s) lie far off the law{_named(runs, far)}: look at them, and see"
            " what drop_highest or exclude changes"
        )
    return notes


def _named(runs: Runs, which: np.ndarray) -> str:
    names = [name for name in np.array(runs.names, dtype=object)[which] if name][:5]
    return f" ({', '.join(names)})" if names else ""


def _checkpoints(runs: Runs) -> list[str]:
    many = checkpointed(runs)
    if not many:
        return []
    return [
        f"{len(many)} name(s) stand at several token counts, such as {many[0]}: a law wants"
        " finished runs, and a checkpoint before the learning rate has come down is not one;"
        " rows of one name are resampled together"
    ]


def checkpointed(runs: Runs) -> list[str]:
    """Return the names that stand at more than one token count, in order: one run's checkpoints.

    >>> from togi.data.scaling_runs import Runs
    >>> column = np.array([1.0, 2.0, 2.0])
    >>> checkpointed(Runs(column, column, column, column, ("a", "a", "b")))
    ['a']
    """
    counts: dict[str, set[float]] = {}
    for name, tokens in zip(runs.names, runs.tokens.tolist(), strict=True):
        counts.setdefault(name, set()).add(tokens)
    return [name for name, seen in counts.items() if name and len(seen) > 1]


def groups_of(runs: Runs) -> np.ndarray | None:
    """Return labels that keep one run's checkpoints together; None where there are none."""
    together = set(checkpointed(runs))
    if not together:
        return None
    labels = [name if name in together else f"\0{i}" for i, name in enumerate(runs.names)]
    return np.unique(labels, return_inverse=True)[1]
