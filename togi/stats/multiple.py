"""Several tests at once: Holm and Benjamini–Hochberg."""

from __future__ import annotations

import numpy as np

from togi.errors import DataError
from togi.stats.arrays import Floats, Values, floats


def _known(p: Values) -> tuple[Floats, Floats]:
    """Return the column and its known p-values in rising order."""
    column = floats(p, "p-values")
    known = column[~np.isnan(column)]
    if ((known < 0) | (known > 1)).any():
        raise DataError("a p-value lies outside 0 to 1", where="stats")
    return column, np.sort(known)


def _place(column: Floats, ordered: Floats, adjusted: Floats) -> Floats:
    """Give each p-value its adjusted one; equal ones get the same, unknown ones stay NaN."""
    out = np.full(len(column), np.nan)
    known = ~np.isnan(column)
    out[known] = adjusted[np.searchsorted(ordered, column[known], side="left")]
    return out


def holm(p: Values) -> Floats:
    """Return p-values adjusted by Holm's step-down method (Holm 1979).

    Calling "different" all those whose adjusted value is at most α errs anywhere with a
    probability of at most α, however the tests depend on each other.

    Args:
        p: (m,) p-values; NaN ones stay NaN and do not count among the m.

    .01 · 3, .02 · 2, and .04 · 1 raised to its predecessor:

    >>> holm([0.01, 0.04, 0.02]).tolist()
    [0.03, 0.04, 0.04]
    """
    column, ordered = _known(p)
    steps = np.arange(len(ordered), 0, -1)
    return _place(column, ordered, np.minimum(1.0, np.maximum.accumulate(ordered * steps)))


def benjamini_hochberg(p: Values) -> Floats:
    """Return p-values adjusted for the false discovery rate (Benjamini & Hochberg 1995).

    Of all those called "different" because their adjusted value is at most q, a share of at most
    q is wrong in expectation, if the tests are independent or positively dependent.

    Args:
        p: (m,) p-values; NaN ones stay NaN and do not count among the m.

    >>> benjamini_hochberg([0.01, 0.04, 0.02]).round(3).tolist()
    [0.03, 0.04, 0.03]
    """
    column, ordered = _known(p)
    count = len(ordered)
    scaled = ordered * count / np.arange(1, count + 1)
    falling = np.minimum.accumulate(scaled[::-1])[::-1]
    # among equal p-values the last one's factor is the smallest; accumulation gives it to all
    return _place(column, ordered, np.minimum(1.0, falling))
