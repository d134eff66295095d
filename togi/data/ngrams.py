"""Which n-grams rose and fell between two corpora, with intervals, exact tests and correction.

Each n-gram is told by several statistics side by side: the difference and the ratio of its shares
with intervals, an exact test, and the log-odds ratio with an informative Dirichlet prior (Monroe,
Colaresi & Quinn 2008, "Fightin' Words", eqs. 15, 16, 19 to 22), whose z ranks them. All tests
together are corrected by Benjamini & Hochberg. n-grams nested in each other are one trend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from togi.data.ngram_counts import Counted
from togi.data.ngram_trends import trends
from togi.errors import DataError, UsageError
from togi.stats import benjamini_hochberg
from togi.stats.arrays import Floats, check_level
from togi.stats.fisher import fisher_log_p, rates_log_p
from togi.stats.shares import (
    Interval,
    rate_ratios,
    share_differences,
    share_ratios,
    two_share_z,
)
from togi.stats.special import normal_quantile

Unit: TypeAlias = Literal["documents", "occurrences"]

PRIOR = 500.0  # words of prior text, in all


class LogOdds(NamedTuple):
    """Log-odds ratios of two corpora, second minus first: value, standard deviation, z."""

    value: Floats
    sd: Floats
    z: Floats


def log_odds(
    a: Floats, n_a: Floats, b: Floats, n_b: Floats, prior: Floats, strength: float
) -> LogOdds:
    """Return log-odds ratios with an informative Dirichlet prior.

    Args:
        a: (m,) counts in the first corpus.
        n_a: (m,) all n-grams of the same order there.
        b: (m,) counts in the second corpus.
        n_b: (m,) all n-grams of the same order there.
        prior: (m,) each n-gram's share of the background, above 0.
        strength: α₀, how many n-grams of background the prior is worth, above 0.

    Returns:
        δ = ln((b + α) / (n_b + α₀ − b − α)) − the same of a, with α = α₀ · prior; its standard
        deviation √(1 / (b + α) + 1 / (a + α)); and z, their ratio.

    Raises:
        UsageError: a strength that is not above 0.

    With α = 1: ln(10 / 91) − ln(5 / 96) over √(1/10 + 1/5).

    >>> one = np.ones(1)
    >>> found = log_odds(4 * one, 100 * one, 9 * one, 100 * one, one, 1.0)
    >>> round(float(found.z[0]), 4), round(float(found.sd[0] ** 2), 6)
    (1.3632, 0.3)
    """
    if not strength > 0:
        raise UsageError("the prior's strength must be above 0", found=f"{strength:g}")
    alpha = strength * prior
    floor = 1e-3 * strength  # an n-gram that is all of its corpus has odds without bound
    rest_a = np.maximum(n_a + strength - a - alpha, floor)
    rest_b = np.maximum(n_b + strength - b - alpha, floor)
    value = np.log((b + alpha) / rest_b) - np.log((a + alpha) / rest_a)
    sd = np.sqrt(1 / (b + alpha) + 1 / (a + alpha))
    return LogOdds(value, sd, value / sd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """What rose and fell: one entry for each tested n-gram, in the order of the names.

    Attributes:
        names: the n-grams.
        counted: their counts; everything else is of its `documents` or `occurrences`.
        unit: which of the two is compared.
        difference: of shares of documents, second minus first; unknown where rates are compared.
        ratio: of shares or rates, second over first.
        log_odds: with the prior; `odds` is it with its interval.
        odds: the log-odds ratio with its interval, in nats.
        z: of the two shares or rates as they are, without any prior.
        p: of the exact test, two-sided: Fisher's for shares, conditional binomial for rates.
        q: p adjusted by Benjamini & Hochberg over all tested n-grams.
        rose: whether the tested share or rate is larger in the second corpus: bool[m].
        agrees: whether the log-odds say so too: they are of all n-grams, so that the two may differ
            where one corpus has longer documents.
        significant: whether q is at most the level asked for, and both agree.
        trend: index of the n-gram that stands for the trend that each belongs to.
        error: the false discovery rate asked for.
        level: of all intervals.
    """

    names: list[str]
    counted: Counted
    unit: Unit
    difference: Interval
    ratio: Interval
    log_odds: LogOdds
    odds: Interval
    z: Floats
    p: Floats
    q: Floats
    rose: np.ndarray
    agrees: np.ndarray
    significant: np.ndarray
    trend: np.ndarray
    error: float
    level: float

    @property
    def rates(self) -> bool:
        """Whether rates are compared, not shares of documents."""
        return self.unit == "occurrences" or bool(np.isnan(self.difference.mean).any())

    @property
    def rms_z(self) -> float:
        """Root mean square of z: about 1 where only chance differs; NaN without n-grams."""
        return float(np.sqrt((self.z**2).mean())) if len(self.z) else float("nan")

    def found(self) -> tuple[int, int]:
        """Return how many n-grams rose and fell significantly."""
        up = self.rose & self.significant
        return int(up.sum()), int((self.significant & ~self.rose).sum())

    def members(self) -> Mapping[int, list[int]]:
        """Return the trends: place of the n-gram that stands for it -> others, strongest first."""
        groups: dict[int, list[int]] = {}
        for place in np.argsort(-np.abs(self.log_odds.z), kind="stable").tolist():
            root = int(self.trend[place])
            groups.setdefault(root, [])
            if place != root:
                groups[root].append(place)
        return groups


def contrast(
    counted: Counted,
    *,
    unit: Unit = "documents",
    per_length: bool = False,
    strength: float = PRIOR,
    background: Counted | None = None,
    error: float = 0.05,
    level: float = 0.95,
) -> Contrast:
    """Compare the second corpus with the first, n-gram by n-gram.

    Args:
        counted: the n-grams to test, chosen by both corpora together only, as
            `togi.data.ngram_counts.frequent` does.
        unit: compare in how many documents they stand, or how often. Occurrences are taken for
            independent, but words cluster in documents: their test is too sure.
        per_length: take the documents that hold an n-gram as a rate of all n-grams instead of a
            share of all documents, so that a corpus of longer documents has not more of everything.
        strength: α₀ of the prior; larger pulls more towards no difference.
        background: counts of further text for the prior, such as earlier years; without it the
            prior is both corpora together, which are then used twice, for the ranking only.
        error: false discovery rate.
        level: of the intervals.

    Raises:
        DataError: a corpus of fewer than two documents.
        UsageError: a level or strength that makes no sense.
    """
    check_level(error)
    if min(counted.sizes.documents) < 2:
        raise DataError(
            "too few documents to compare",
            where="compare",
            found="{} and {}".format(*counted.sizes.documents),
            expected="at least two in each corpus",
        )
    by_document = unit == "documents"
    counts = (counted.documents if by_document else counted.occurrences).astype(np.float64)
    of = counted.sizes.in_documents if by_document else counted.sizes.occurrences
    whole = of[counted.orders].astype(np.float64)
    a, b = counts[:, 0], counts[:, 1]
    odds = log_odds(a, whole[:, 0], b, whole[:, 1], _prior(counted, background, unit), strength)
    half = normal_quantile(1 - (1 - check_level(level)) / 2) * odds.sd
    shares = by_document and not per_length
    z, p, difference, ratio = _tests(counted, whole, a, b, shares, level)
    q = benjamini_hochberg(p) if len(p) else p
    agrees = (z > 0) == (odds.value > 0)
    significant = (q <= error) & agrees
    return Contrast(
        names=counted.names,
        counted=counted,
        unit=unit,
        difference=difference,
        ratio=ratio,
        log_odds=odds,
        odds=Interval(odds.value, odds.value - half, odds.value + half),
        z=z,
        p=p,
        q=q,
        rose=z > 0,
        agrees=agrees,
        significant=significant,
        trend=trends(counted.names, counted.documents, odds.z, significant),
        error=error,
        level=level,
    )


def _tests(
    counted: Counted, whole: Floats, a: Floats, b: Floats, shares: bool, level: float
) -> tuple[Floats, Floats, Interval, Interval]:
    """Return z, p, the difference and the ratio; rates are of all n-grams of the same order."""
    n_a, n_b = counted.sizes.documents
    if shares:
        return (
            two_share_z(a, n_a, b, n_b),
            np.exp(fisher_log_p(a, n_a, b, n_b)),
            share_differences(a, n_a, b, n_b, level),
            share_ratios(a, n_a, b, n_b, level),
        )
    p, unknown = np.ones(len(a)), np.full(len(a), np.nan)
    ratio = Interval(np.ones(len(a)), np.ones(len(a)), np.ones(len(a)))
    for order in np.unique(counted.orders):
        at = np.flatnonzero(counted.orders == order)
        one, two = whole[at[0]]
        p[at] = np.exp(rates_log_p(a[at], one, b[at], two))
        for column, values in zip(ratio, rate_ratios(a[at], one, b[at], two, level), strict=True):
            column[at] = values
    share = whole[:, 1] / whole.sum(axis=1)
    z = (b - (a + b) * share) / np.sqrt((a + b) * share * (1 - share))
    return z, p, Interval(unknown, unknown, unknown), ratio


def _prior(counted: Counted, background: Counted | None, unit: Unit) -> Floats:
    """Return each n-gram's share of the corpora, and of the background where there is one."""
    by_document = unit == "documents"

    def columns(side: Counted) -> tuple[np.ndarray, np.ndarray]:
        counts = side.documents if by_document else side.occurrences
        sizes = side.sizes.in_documents if by_document else side.sizes.occurrences
        return counts.sum(axis=1).astype(np.float64), sizes.sum(axis=1).astype(np.float64)

    counts, whole = columns(counted)
    if background is not None:
        more, further = columns(background)
        counts, whole = counts + _found_in(background, more, counted), whole + further
    return counts / whole[counted.orders]


def _found_in(background: Counted, counts: Floats, wanted: Counted) -> Floats:
    """Return the background's counts of the wanted n-grams, 0 for those it lacks."""
    if background.keys is None or wanted.keys is None:
        known = dict(zip(background.names, counts.tolist(), strict=True))
        return np.array([known.get(name, 0.0) for name in wanted.names])
    if not len(background.keys):
        return np.zeros(len(wanted.keys))
    places = np.searchsorted(background.keys, wanted.keys)
    places = np.minimum(places, len(background.keys) - 1)
    return np.where(background.keys[places] == wanted.keys, counts[places], 0.0)


def ranked(
    found: Contrast, by: Literal["z", "difference", "ratio"] = "z", *, falling: bool = False
) -> np.ndarray:
    """Return the n-grams' places in order; equal ones by name.

    Args:
        found: the contrast.
        by: the log-odds z; the difference of shares, as slides do; or the ratio of shares.
        falling: put those that fell most first, instead of those that rose most.
    """
    keys = {"z": found.log_odds.z, "difference": found.difference.mean, "ratio": found.ratio.mean}
    key = np.nan_to_num(keys[by], nan=0.0)
    return np.lexsort((np.array(found.names), key if falling else -key))
