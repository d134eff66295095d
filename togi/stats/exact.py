"""Tests of paired data that need no model: sign, McNemar, and permutation.

All unknown pairs (NaN on either side) are left out, and `n` says how many entered the test.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from togi.errors import DataError, UsageError
from togi.stats.arrays import Floats, Labels, Values, check_draws, floats, same_length
from togi.stats.rng import stream
from togi.stats.special import binomial_cdf, log_choose
from togi.stats.units import to_units

Alternative: TypeAlias = Literal["two-sided", "greater", "less"]

CELLS = 1 << 20  # cells of a matrix of signs or labels held at once


@dataclass(frozen=True, slots=True)
class Tested:
    """A test's outcome.

    Attributes:
        p_value: NaN where there was nothing to test.
        test: what was done, as a report says it.
        n: how many units entered.
    """

    p_value: float
    test: str
    n: int


def _pairs(first: Values, second: Values | None) -> Floats:
    """Return the known differences of the pairs."""
    one = floats(first, "the first column")
    if second is None:
        return one[~np.isnan(one)]
    two = floats(second, "the second column")
    same_length(one, two, "the two columns")
    gap = one - two
    return gap[~np.isnan(gap)]


def coin_p(heads: int, tosses: int, alternative: Alternative = "two-sided") -> float:
    """Return the exact p-value of that many heads from a fair coin.

    >>> coin_p(9, 10) == 2 * (10 + 1) / 1024
    True
    >>> coin_p(0, 0)
    1.0
    """
    # P(≥ heads) = P(≤ tosses − heads) by symmetry, without the cancellation of 1 − P
    at_least, at_most = binomial_cdf(tosses - heads, tosses), binomial_cdf(heads, tosses)
    return _pick(at_least, at_most, alternative)


def _pick(at_least: float, at_most: float, alternative: Alternative) -> float:
    """Return the tail that the alternative asks for; twice the smaller one for two sides."""
    if alternative == "greater":
        return at_least
    if alternative == "less":
        return at_most
    if alternative == "two-sided":
        return min(1.0, 2 * min(at_least, at_most))
    raise UsageError(
        f"unknown alternative '{alternative}'", where="stats", expected="two-sided, greater, less"
    )


def sign_test(
    after: Values, before: Values | None = None, *, alternative: Alternative = "two-sided"
) -> Tested:
    """Test by the exact sign test whether `after` tends to be above `before`.

    Only the direction of each pair counts; ties are left out of `n`. Source: Dixon & Mood 1946.

    Args:
        after: (rows,) values, or differences where `before` is None.
        before: (rows,) values of the same samples.
        alternative: "greater" asks whether `after` is above.

    Nine of ten up, one down: p = 2 · (10 + 1) / 2¹⁰.

    >>> round(sign_test([1] * 9 + [-1]).p_value, 6)
    0.021484
    """
    gap = _pairs(after, before)
    up, down = int((gap > 0).sum()), int((gap < 0).sum())
    p = coin_p(up, up + down, alternative) if len(gap) else math.nan
    return Tested(p, "sign test, exact", up + down)


def mcnemar(after: Values, before: Values, *, alternative: Alternative = "two-sided") -> Tested:
    """Test by McNemar's exact test whether two rates of right answers differ.

    It is the sign test on the pairs that differ. Source: McNemar 1947, exact binomial form.

    Args:
        after: (rows,) 1 where right, 0 where wrong, NaN where unknown.
        before: (rows,) the same of the other model, on the same samples.
        alternative: "greater" asks whether `after` is right more often.

    Raises:
        DataError: a value that is neither 0 nor 1.

    Six pairs gained, one lost: p = 2 · (7 + 1) / 2⁷.

    >>> mcnemar([1] * 6 + [0] + [1] * 5, [0] * 6 + [1] + [1] * 5)
    Tested(p_value=0.125, test='McNemar, exact', n=7)
    """
    for name, column in (("after", after), ("before", before)):
        if not is_binary(floats(column, name)):
            raise DataError(f"'{name}' is not binary", where="mcnemar", expected="0, 1 or NaN")
    tested = sign_test(after, before, alternative=alternative)
    return Tested(tested.p_value, "McNemar, exact", tested.n)


def is_binary(values: Floats) -> bool:
    """Whether every known value is 0 or 1.

    >>> is_binary(np.array([0.0, 1.0, np.nan])), is_binary(np.array([0.5]))
    (True, False)
    """
    return bool((np.isnan(values) | (values == 0) | (values == 1)).all())


def _signed_sums(sizes: Floats, draws: int | None, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield chunks of Σ ± size: over all 2ⁿ signs where `draws` is None, else random ones.

    Eight signs at a time: their 256 possible sums are looked up by one random byte.
    """
    groups = (len(sizes) + 7) // 8
    padded = np.zeros(groups * 8)
    padded[: len(sizes)] = sizes
    signs = 1.0 - 2.0 * (np.arange(256)[:, None] >> np.arange(8) & 1)
    table = (padded.reshape(groups, 8) @ signs.T).ravel()
    total, rows = 2 ** len(sizes) if draws is None else draws, max(1, CELLS // groups)
    for start in range(0, total, rows):
        count = min(rows, total - start)
        if draws is None:
            codes = np.arange(start, start + count)[:, None] >> 8 * np.arange(groups) & 255
        else:
            codes = np.frombuffer(rng.bytes(count * groups), dtype=np.uint8).reshape(count, groups)
        yield table[codes + 256 * np.arange(groups)].sum(axis=1)


def sign_flip(
    gaps: Floats,
    *,
    alternative: Alternative = "two-sided",
    draws: int = 9999,
    seed: int = 0,
) -> Tested:
    """Test by random signs whether the mean of known, independent differences is 0.

    If the two models were interchangeable, each difference could as well have had the other
    sign. All 2ⁿ signs are tried where they are at most draws + 1; else `draws` random ones, with
    the observed one counted among them, (1 + hits) / (1 + draws), so that the level holds
    exactly (Phipson & Smyth 2010). Flipping the mean or its t statistic gives the same p-value.
    Differences of 0 change nothing and are left out, so `n` counts the others.

    All of 1, 2, 3 up is one of 2³ cases on each side:

    >>> sign_flip(np.array([1.0, 2.0, 3.0]))
    Tested(p_value=0.25, test='sign-flip permutation, exact', n=3)
    """
    if len(gaps) == 0:
        return Tested(math.nan, "sign-flip permutation", 0)
    moved = gaps[gaps != 0]
    # sizes in one order and symmetric signs: swapping the models gives the very same p-value
    sizes = np.sort(np.abs(moved))
    n = len(sizes)
    if n == 0:
        return Tested(1.0, "sign-flip permutation, exact", 0)
    exact = n < 60 and 2**n <= check_draws(draws) + 1
    fuzz = 1e-12 * float(sizes.sum())
    observed = math.fsum(moved)
    tally = np.zeros(4)
    for sums in _signed_sums(sizes, None if exact else draws, stream(seed, "stats", "sign-flip")):
        tally += _tally(sums, observed, fuzz)
    above, below, extreme, total = tally if exact else tally + 1
    name = f"sign-flip permutation, {'exact' if exact else f'{draws} draws'}"
    if alternative == "two-sided":  # the law is symmetric
        return Tested(float(extreme / total), name, n)
    return Tested(_pick(float(above / total), float(below / total), alternative), name, n)


def _tally(values: Floats, observed: float, fuzz: float) -> Floats:
    """Count values at or above, at or below, at or beyond the observed one, and all."""
    return np.array(
        [
            (values >= observed - fuzz).sum(),
            (values <= observed + fuzz).sum(),
            (np.abs(values) >= abs(observed) - fuzz).sum(),
            len(values),
        ],
        dtype=np.float64,
    )


def permutation_test(
    after: Values,
    before: Values | None = None,
    *,
    paired: bool = True,
    clusters: Labels | None = None,
    alternative: Alternative = "two-sided",
    draws: int = 9999,
    seed: int = 0,
) -> Tested:
    """Test by permutation whether two means are equal; exact where small enough.

    Paired: the signs of the differences are flipped (`sign_flip`), whole clusters at once.
    Not paired: the labels of the two groups are shuffled; all arrangements are tried where they
    are at most draws + 1, else `draws` random ones with the observed one counted among them.

    Args:
        after: (rows,) values, or differences where paired and `before` is None.
        before: (rows,) values of the same samples; (other rows,) of other ones if not paired.
        paired: whether the two columns are about the same samples.
        clusters: (rows,) labels of samples that belong together; for paired data only.
        alternative: "greater" asks whether `after` is above; two-sided doubles the smaller tail.
        draws: how many random arrangements where not all can be tried.
        seed: of the random arrangements.

    Raises:
        UsageError: groups that are not paired without `before`, or with clusters.

    One of "4 over 2" = 6 arrangements has 3 and 4 in the first group:

    >>> permutation_test([3.0, 4.0], [1.0, 2.0], paired=False, alternative="greater").p_value
    0.16666666666666666
    """
    if paired:
        one = floats(after, "after")
        two = np.zeros(len(one)) if before is None else floats(before, "before")
        same_length(one, two, "'after' and 'before'")
        units = to_units(one - two, None, clusters)
        return sign_flip(units.num, alternative=alternative, draws=draws, seed=seed)
    if before is None or clusters is not None:
        raise UsageError(
            "groups that are not paired need both columns and no clusters",
            where="permutation_test",
        )
    one, two = np.sort(floats(after, "after")), np.sort(floats(before, "before"))
    return _shuffle(one[~np.isnan(one)], two[~np.isnan(two)], alternative, draws, seed)


def _shuffle(one: Floats, two: Floats, alternative: Alternative, draws: int, seed: int) -> Tested:
    """Shuffle the labels of two independent groups; the statistic is the first group's sum."""
    first, size = len(one), len(one) + len(two)
    if not len(one) or not len(two):
        return Tested(math.nan, "permutation", size)
    pool = np.sort(np.concatenate([one, two]))
    pool = pool - pool.mean()
    observed, fuzz = float((one - np.concatenate([one, two]).mean()).sum()), 1e-12
    fuzz *= float(np.abs(pool).sum())
    exact = log_choose(size, first) <= math.log(check_draws(draws) + 1)
    tally = np.zeros(4)
    if exact:
        picks = np.array(list(itertools.combinations(range(size), first)), dtype=np.intp)
        tally += _tally(pool[picks].sum(axis=1), observed, fuzz)
    else:
        rng, rows = stream(seed, "stats", "permutation"), max(1, CELLS // size)
        for start in range(0, draws, rows):
            table = np.tile(pool, (min(rows, draws - start), 1))
            shuffled = rng.permuted(table, axis=1)[:, :first]
            tally += _tally(shuffled.sum(axis=1), observed, fuzz)
        tally += 1
    above, below, _, total = (float(count) for count in tally)
    name = f"permutation, {'exact' if exact else f'{draws} draws'}"
    return Tested(_pick(above / total, below / total, alternative), name, size)
