"""A group of raters against the rest: labels, agreement, and their intervals by two-way bootstrap.

The measures are GRASP's (Prabhakaran et al. 2024, arXiv 2311.05074, section 3). Intervals come
from resampling raters (in the group and outside it) and items at once, since both are samples of
more that there could be; single ratings are never resampled, as those of one rater belong
together. Two copies of one resampled rater agree of necessity, so such pairs are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from togi.evaluate.disagreement.groups import gai_of
from togi.evaluate.disagreement.membership import CELLS, Common, Pool, Singles, common_of, product
from togi.evaluate.disagreement.soft import entropy, plurality, shares
from togi.stats import Estimate, bootstrap_mean, derive, stream
from togi.stats.alpha import alpha_sums
from togi.stats.arrays import check_draws
from togi.stats.smooth import smooth_estimate

Floats = NDArray[np.float64]
UNDEFINED = 0.05
"An interval is not given where more than this share of the resamples has no value."


@dataclass(frozen=True, slots=True)
class Portrait:
    """What a group of raters is like, each number with its interval.

    Attributes:
        shares: (labels) share of each label among the group's ratings.
        differences: (labels) the same minus the others' share.
        irr: α inside the group; xrr: κx with the others; gai: their ratio.
        plurality: mean share of an item's leading label inside the group; over items.
        negentropy: mean of ln labels − entropy, in nats: 0 where all labels are equally frequent.
        cross_negentropy: mean of ln labels + Σ p ln q, the group's shares p against the others'
            q (one rating spread evenly added to q).
        voting: α of the two sides' leading labels taken as two raters; items with a tie left out.
    """

    shares: tuple[Estimate, ...]
    differences: tuple[Estimate, ...]
    irr: Estimate
    xrr: Estimate
    gai: Estimate
    plurality: Estimate
    negentropy: Estimate
    cross_negentropy: Estimate
    voting: Estimate


def portrait(
    pool: Pool, member: NDArray[np.bool_], *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> Portrait:
    """Describe a group of raters against all others of the pool.

    Args:
        pool: the ratings.
        member: (raters,) who belongs to the group.
        draws: resamples of raters and items.
        level: of the intervals.
        seed: of the resamples.

    Raises:
        UsageError: fewer than 100 resamples.
    """
    whole = pool.common(member[None])
    parts = list(resampled(pool, member, check_draws(draws), stream(seed, "grasp")))
    size = int(member.sum())

    def told(value: Callable[[Common], Floats]) -> Estimate:
        found = np.concatenate([value(part) for part in parts])
        return percentile(float(value(whole)[0]), found, size, level)

    labels = range(pool.shape[2])
    inside = np.stack([part[member].sum(axis=0) for part in pool.hot], axis=1)
    outside = np.stack([part[~member].sum(axis=0) for part in pool.hot], axis=1)
    return Portrait(
        shares=tuple(told(lambda c, k=k: c.share[:, k]) for k in labels),
        differences=tuple(told(lambda c, k=k: c.share[:, k] - c.share_out[:, k]) for k in labels),
        irr=told(lambda c: c.irr),
        xrr=told(lambda c: c.xrr),
        gai=told(gai_of),
        **_of_items(inside, outside, level, derive(seed, "items")),
    )


def resampled(
    pool: Pool, member: NDArray[np.bool_], draws: int, rng: np.random.Generator
) -> Iterator[Common]:
    """Yield what resampled groups have in common: raters within each side, and items."""
    raters, items, _ = pool.shape
    rated = pool.hot.sum(axis=0)
    step = max(1, CELLS // items)
    for start in range(0, draws, step):
        size = min(step, draws - start)
        times = np.zeros((size, raters), dtype=np.float32)
        for side in (member, ~member):
            times[:, side] = times_drawn(int(side.sum()), size, rng)
        within = times * member
        inside: list[Singles] = [product(within, part) for part in pool.hot]
        outside: list[Singles] = [product(times - within, part) for part in pool.hot]
        weight = times_drawn(items, size, rng)
        yield common_of(inside, outside, own=within**2 @ rated, weight=weight)


def times_drawn(n: int, size: int, rng: np.random.Generator) -> Singles:
    """Return (size, n): how often each of n is drawn where n are drawn with replacement.

    >>> times_drawn(5, 2, stream(0)).sum(axis=1).tolist()
    [5.0, 5.0]
    """
    picks = rng.integers(0, max(n, 1), size=(size, n)) + np.arange(size)[:, None] * n
    return np.bincount(picks.ravel(), minlength=size * n).reshape(size, n).astype(np.float32)


def percentile(value: float, draws: Floats, n: int, level: float) -> Estimate:
    """Return an estimate with the percentile interval of its resamples.

    >>> percentile(0.5, np.linspace(0, 1, 101), 20, 0.9)
    Estimate(mean=0.5, low=0.05, high=0.95, n=20, level=0.9)
    """
    known = draws[np.isfinite(draws)]
    if not math.isfinite(value) or len(known) < (1 - UNDEFINED) * len(draws):
        return Estimate(value, math.nan, math.nan, n, level)
    tail = (1 - level) / 2
    low, high = (round(float(end), 12) for end in np.quantile(known, [tail, 1 - tail]))
    return Estimate(value, low, high, n, level)


def _of_items(
    inside: NDArray[Any], outside: NDArray[Any], level: float, seed: int
) -> dict[str, Estimate]:
    """Return the measures that are means over items, with intervals over items."""
    labels = inside.shape[1]
    p, q = shares(inside), shares(outside, prior=1 / labels)
    empty = outside.sum(axis=1) == 0
    cross = np.where(empty, math.nan, math.log(labels) + (p * np.log(q)).sum(axis=1))
    means = {
        "plurality": p.max(axis=1),
        "negentropy": math.log(labels) - entropy(p),
        "cross_negentropy": cross,
    }
    found = {name: bootstrap_mean(values, level=level, seed=seed) for name, values in means.items()}
    return {**found, "voting": voting_agreement(inside, outside, level=level, seed=seed)}


def voting_agreement(
    inside: NDArray[Any], outside: NDArray[Any], *, level: float = 0.95, seed: int = 0
) -> Estimate:
    """Return α between two groups' leading labels, taken as two raters.

    Items on which a side has a tie, or no rating, are left out; `n` counts the others.

    >>> same = np.array([[3, 0], [0, 2], [1, 1]])
    >>> found = voting_agreement(same, same)
    >>> found.mean, found.n
    (1.0, 2)
    """
    one, two = plurality(inside), plurality(outside)
    clear = (one.max(axis=1) == 1) & (two.max(axis=1) == 1)
    summed = alpha_sums((one + two)[clear])
    return smooth_estimate(summed.rows, summed.statistic, most=1.0, level=level, seed=seed)
