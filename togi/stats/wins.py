"""Win rates of one model's answers over another's, with the judge's bias for a position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from togi.errors import DataError
from togi.stats.arrays import Floats, Labels, Values, floats, same_length
from togi.stats.bootstrap import bootstrap_mean
from togi.stats.estimate import Estimate
from togi.stats.exact import is_binary, sign_flip
from togi.stats.paired import paired_difference
from togi.stats.proportion import wilson
from togi.stats.units import to_units


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRate:
    """How often our answer was preferred; a tie counts half.

    Attributes:
        rate: mean credit over the items, both orders averaged; .5 is even.
        p_value: against .5, two-sided sign-flip permutation test over the items.
        wins: items with a credit above .5, both orders taken together.
        ties: items with a credit of .5; two opposite verdicts are a tie too.
        losses: items with a credit below .5.
        position_bias: by how much the answer shown first wins more often than half, from −.5 to
            .5; 0 is a fair judge; NaN where only one order was asked.
        position_p_value: against no such bias.
        inconsistent: items whose verdict turned round when the order did.
        n: items that entered.
        dropped: items left out because a verdict is missing in one of the orders.
    """

    rate: Estimate
    p_value: float
    wins: int
    ties: int
    losses: int
    position_bias: Estimate
    position_p_value: float
    inconsistent: int
    n: int
    dropped: int


def _credits(values: Values, name: str) -> Floats:
    """Return the column if it holds credits."""
    column = floats(values, name)
    if ((column < 0) | (column > 1)).any():
        raise DataError(
            f"a credit of '{name}' lies outside 0 to 1",
            where="win_rate",
            expected="1 won, 0.5 tie, 0 lost, NaN unknown",
        )
    return column


def win_rate(
    shown_first: Values,
    shown_second: Values | None = None,
    *,
    clusters: Labels | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> WinRate:
    """Return how often our answer beats the other's, order bias measured and cancelled.

    A judge that sees both answers prefers places as well as answers. Asked in both orders and
    averaged, the bias for a place cancels: an item won first and lost second is a tie.

    Args:
        shown_first: (items,) our credit where our answer was shown first: 1 won, .5 tie, 0 lost,
            NaN unknown.
        shown_second: (items,) our credit on the same items where it was shown second; None where
            only one order was asked (then the order should have been drawn at random).
        clusters: (items,) labels of items that belong together.
        level: of the intervals.
        draws: resamples of the bootstrap.
        seed: as in `bootstrap_mean`.

    Returns:
        The win rate; Wilson's interval where each item is simply won or lost, BCa else.

    Raises:
        DataError: credits outside 0 to 1, columns of different length.

    Won both ways, won first only, lost both ways, tie and win:

    >>> found = win_rate([1, 1, 0, 0.5], [1, 0, 0, 1])
    >>> found.rate.mean, found.wins, found.ties, found.losses, found.position_bias.mean
    (0.5625, 2, 1, 1, 0.0625)
    """
    first = _credits(shown_first, "shown_first")
    second = first if shown_second is None else _credits(shown_second, "shown_second")
    same_length(first, second, "the two orders")
    credit = (first + second) / 2
    known = credit[~np.isnan(credit)]
    units = to_units(credit - 0.5, None, clusters)
    if is_binary(credit) and not units.clustered:
        rate = wilson(float(known.sum()), len(known), level)
    else:
        rate = bootstrap_mean(credit, clusters=clusters, level=level, draws=draws, seed=seed)
    nan = float("nan")
    bias, bias_p = Estimate(nan, nan, nan, 0, level), nan
    if shown_second is not None:
        order = paired_difference(
            first, second, clusters=clusters, level=level, draws=draws, seed=seed
        )
        whole = order.estimate
        bias = Estimate(whole.mean / 2, whole.low / 2, whole.high / 2, whole.n, level)
        bias_p = order.p_value
    return WinRate(
        rate=rate,
        p_value=sign_flip(units.num, seed=seed).p_value if units.n >= 2 else nan,
        wins=int((known > 0.5).sum()),
        ties=int((known == 0.5).sum()),
        losses=int((known < 0.5).sum()),
        position_bias=bias,
        position_p_value=bias_p,
        inconsistent=int(((first - 0.5) * (second - 0.5) < 0).sum()),
        n=len(known),
        dropped=len(credit) - len(known),
    )
