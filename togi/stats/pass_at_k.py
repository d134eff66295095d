"""pass@k: the chance that at least one of k answers passes, from n answers of which c did."""

from __future__ import annotations

import math

from togi.errors import UsageError


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the unbiased estimate 1 − C(n − c, k) / C(n, k) of one problem's pass@k.

    Over problems it is averaged, and the interval comes from a bootstrap of the problems: the
    draws of one problem are no independent samples of a benchmark. Source: Chen et al. 2021,
    arXiv 2107.03374, eq. 1, as a product so that no large number occurs.

    Args:
        n: answers drawn.
        c: how many of them passed.
        k: answers that one would have; NaN is returned where k exceeds n.

    Raises:
        UsageError: c outside 0 … n, or k below 1.

    >>> pass_at_k(4, 1, 1), pass_at_k(4, 1, 2), pass_at_k(4, 3, 2)
    (0.25, 0.5, 1.0)
    """
    if not 0 <= c <= n or k < 1:
        raise UsageError(f"pass@{k} of {c} passes among {n} answers makes no sense")
    if k > n:
        return math.nan
    if n - c < k:
        return 1.0
    if c == 0:
        return 0.0
    failing = 1.0
    for missed in range(n - c + 1, n + 1):
        failing *= 1 - k / missed
    return 1 - failing
