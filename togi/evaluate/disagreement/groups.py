"""Do raters' groups rate otherwise? Permutation of whole raters, exact p-values, effect sizes.

Ratings of one rater belong together, so the raters' groups are permuted, never single labels:
that would give far too small p-values. Three questions are asked, each a family of its own that
is corrected by Benjamini and Hochberg's method:

- of an axis, such as gender: what share of the disagreement within items do its groups explain?
- of a group: do its raters give other labels than the rest?
- of a group: do its raters agree more with each other than with the rest? This is GRASP's group
  association index GAI = IRR / XRR (Prabhakaran et al. 2024, arXiv 2311.05074).

p-values are (1 + draws at least as extreme) / (1 + draws); GAI's are two-sided (twice the smaller
tail), where the paper takes the tail on the observed side alone, which errs twice as often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from togi.errors import DataError
from togi.evaluate.disagreement.membership import Common, Pool
from togi.evaluate.disagreement.table import Ratings
from togi.stats.arrays import check_draws

Floats = NDArray[np.float64]

LEAST_RATERS = 10
LEAST_XRR = 0.02
"Below this the ratio GAI explodes or changes sign: it is not given."
CHUNK = 2000  # permutations at once
FUZZ = 1e-6  # equal statistics differ by less: incomplete tables are summed in single precision


@dataclass(frozen=True, slots=True)
class GroupTest:
    """One group against all raters outside it.

    Attributes:
        group: its name.
        raters: how many raters it has.
        common: what it has in common.
        apart: how far its labels' shares are from the others': the absolute difference of the
            label in question, or the total variation over all labels.
        p_apart: of that, by permutation.
        gai: IRR / XRR; NaN where `reason` says why.
        p_gai: two-sided, by permutation.
        reason: why there is no number; "" where there is.
    """

    group: str
    raters: int
    common: Common
    apart: float
    p_apart: float
    gai: float
    p_gai: float
    reason: str


@dataclass(frozen=True, slots=True)
class AxisTest:
    """One axis of groups.

    Attributes:
        axis: its name.
        groups: its groups with at least the least number of raters.
        small: groups that are too small to be told, with their number of raters.
        unknown: raters without a group on this axis; they are left out of it.
        explained: share of the disagreement within items that the groups explain, 0 to 1.
        by_chance: mean, 2.5 % and 97.5 % points of that share under permutation.
        p: of the share explained.
        draws: permutations.
    """

    axis: str
    groups: tuple[GroupTest, ...]
    small: dict[str, int]
    unknown: int
    explained: float
    by_chance: tuple[float, float, float]
    p: float
    draws: int

    @property
    def beyond_chance(self) -> float:
        """The share explained beyond chance, (explained − chance) / (1 − chance)."""
        return (self.explained - self.by_chance[0]) / (1 - self.by_chance[0])

    @property
    def dsi(self) -> float:
        """The diversity sensitivity index: the greatest GAI of the axis' groups."""
        known = [one.gai for one in self.groups if math.isfinite(one.gai)]
        return max(known, default=math.nan)


def gai_of(common: Common) -> Floats:
    """Return IRR / XRR, NaN where XRR is too near 0 for a ratio."""
    known = common.xrr >= LEAST_XRR  # NaN is not
    return np.where(known, common.irr / np.where(known, common.xrr, 1.0), math.nan)


def apart_of(common: Common, label: int | None) -> Floats:
    """Return how far the shares differ: of one label, or in total variation."""
    gap = common.share - common.share_out
    return np.abs(gap[:, label]) if label is not None else np.abs(gap).sum(axis=1) / 2


def axis_test(
    ratings: Ratings,
    axis: str,
    groups: Sequence[str],
    *,
    rng: np.random.Generator,
    label: int | None = None,
    least: int = LEAST_RATERS,
    draws: int = 20_000,
) -> AxisTest:
    """Test one axis of groups by permuting the raters' groups.

    Args:
        ratings: with raters.
        axis: its name, for the result.
        groups: (raters,) each rater's group, "" where unknown.
        rng: where the permutations come from.
        label: the label whose shares are compared; all of them where None.
        least: groups with fewer raters are listed as small and not told.
        draws: permutations.

    Raises:
        DataError: no raters are known, or fewer than two groups.
        UsageError: fewer than 100 permutations.

    >>> from togi.evaluate.disagreement.table import from_triples
    >>> from togi.stats.rng import stream
    >>> triples = [(f"i{i}", f"r{r}", "yes" if (r < 4) == (i < 3) else "no")
    ...            for i in range(6) for r in range(8)]
    >>> found = axis_test(from_triples(triples), "side", ["a"] * 4 + ["b"] * 4,
    ...                   rng=stream(0), least=4, draws=999)
    >>> round(found.explained, 3), found.p < 0.05, len(found.groups)
    (1.0, True, 2)
    """
    known = np.array([bool(group) for group in groups])
    names = sorted({group for group in groups if group})
    if not ratings.raters:
        raise DataError("the table holds counts only; groups need raters", where=f"axis '{axis}'")
    if len(names) < 2:
        raise DataError(
            "fewer than two groups", where=f"axis '{axis}'", found=", ".join(names) or "none"
        )
    pool = Pool(ratings.only(known))
    codes = np.array([names.index(group) for group in groups if group])
    sizes = np.bincount(codes, minlength=len(names))
    tally = _Tally(pool, codes, len(names), label)
    tally.permute(rng, check_draws(draws))
    told = [place for place in range(len(names)) if sizes[place] >= least]
    return AxisTest(
        axis=axis,
        groups=tuple(tally.group(names[place], place, int(sizes[place])) for place in told),
        small={names[g]: int(sizes[g]) for g in range(len(names)) if sizes[g] < least},
        unknown=int((~known).sum()),
        explained=tally.explained,
        by_chance=tally.by_chance,
        p=tally.p,
        draws=draws,
    )


class _Tally:
    """Counts, for an axis and each of its groups, the permutations that are as extreme."""

    def __init__(self, pool: Pool, codes: NDArray[np.int64], groups: int, label: int | None):
        self.pool, self.codes, self.label, self.draws = pool, codes, label, 0
        self.observed = [pool.common((codes == g)[None]) for g in range(groups)]
        self.apart = np.array([float(apart_of(one, label)[0]) for one in self.observed])
        self.gai = np.array([float(gai_of(one)[0]) for one in self.observed])
        self.explained = self._explained(sum(float(one.held[0]) for one in self.observed))
        self.chance: Floats = np.zeros(0)
        self.above = np.zeros((2, groups))  # draws at least as far apart, of at least that GAI
        self.below = np.zeros(groups)  # of at most that GAI

    def _explained(self, held: float) -> float:
        """Return the share of the disagreement that is between groups."""
        return (held - self.pool.held) / self.pool.varied if self.pool.varied else math.nan

    def permute(self, rng: np.random.Generator, draws: int) -> None:
        """Permute the raters' groups; ties with the observed statistic count as extreme."""
        chance = []
        for start in range(0, draws, CHUNK):
            size = min(CHUNK, draws - start)
            codes = rng.permuted(np.tile(self.codes, (size, 1)), axis=1)
            held = np.zeros(size)
            for group in range(len(self.observed)):
                found = self.pool.common(codes == group)
                held += found.held
                self._count(group, found)
            chance.append((held - self.pool.held) / (self.pool.varied or math.nan))
        self.chance, self.draws = np.concatenate(chance), draws

    def _count(self, group: int, found: Common) -> None:
        apart, gai = apart_of(found, self.label), gai_of(found)
        self.above[0, group] += (apart >= self.apart[group] - FUZZ).sum()
        # a permutation without a GAI counts as extreme on both sides
        self.above[1, group] += (~(gai < self.gai[group] - FUZZ)).sum()
        self.below[group] += (~(gai > self.gai[group] + FUZZ)).sum()

    @property
    def p(self) -> float:
        """The p-value of the share explained."""
        if math.isnan(self.explained):
            return math.nan
        return (1 + int((self.chance >= self.explained - FUZZ).sum())) / (1 + self.draws)

    @property
    def by_chance(self) -> tuple[float, float, float]:
        """Mean and 95 % of the share explained under permutation."""
        low, high = np.quantile(self.chance, [0.025, 0.975])
        return float(self.chance.mean()), float(low), float(high)

    def group(self, name: str, place: int, raters: int) -> GroupTest:
        """Return what was found of one group."""
        common, gai = self.observed[place], float(self.gai[place])
        smaller = min(self.above[1, place], self.below[place])
        return GroupTest(
            group=name,
            raters=raters,
            common=common,
            apart=float(self.apart[place]),
            p_apart=float((1 + self.above[0, place]) / (1 + self.draws)),
            gai=gai,
            p_gai=math.nan
            if math.isnan(gai)
            else min(1.0, 2 * (1 + float(smaller)) / (1 + self.draws)),
            reason=no_gai(float(common.irr[0]), float(common.xrr[0])),
        )


def no_gai(irr: float, xrr: float) -> str:
    """Say why a group has no GAI; "" where it has one.

    >>> no_gai(0.2, 0.001), no_gai(0.2, 0.18)
    ('XRR is 0.001: too near 0 for a ratio', '')
    """
    if math.isnan(irr):
        return "IRR is undefined: its raters share no items, or all labels are the same"
    if math.isnan(xrr):
        return "XRR is undefined: no item is rated by both, or all labels are the same"
    return f"XRR is {xrr:.3g}: too near 0 for a ratio" if xrr < LEAST_XRR else ""
