"""How many samples it takes: power, the smallest effect one can see, and "collect n more".

All is for the mean of independent differences (paired samples) by Student's t test, with the
non-central t law; `sides=2` has the two-sided test at α, `sides=1` the one-sided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from togi.errors import UsageError
from togi.stats.arrays import Floats
from togi.stats.estimate import Estimate
from togi.stats.special import (
    find_root,
    noncentral_t_cdf,
    normal_cdf,
    normal_quantile,
    t_quantile,
)

MOST = 10**12


def _check(alpha: float, power: float = 0.5, sides: int = 2) -> None:
    """Refuse error probabilities outside (0, 1), and three-sided tests."""
    if not (0 < alpha < 1 and 0 < power < 1 and sides in (1, 2)):
        raise UsageError(
            "alpha and power must lie between 0 and 1, sides must be 1 or 2",
            where="power",
            found=f"alpha {alpha}, power {power}, sides {sides}",
        )


def _power(shift: float, n: int, alpha: float, sides: int) -> float:
    """Return the power at a true mean of `shift` standard errors."""
    edge = t_quantile(1 - alpha / sides, n - 1)
    below = noncentral_t_cdf(edge, n - 1, shift)
    if math.isnan(below):  # scipy gives up far out, where the normal law decides nothing else
        below = normal_cdf(edge - shift)
    beyond = noncentral_t_cdf(-edge, n - 1, shift) if sides == 2 else 0.0
    return min(1.0, 1 - below + (0.0 if math.isnan(beyond) else beyond))


def power_of(sd: float, n: int, effect: float, alpha: float = 0.05, *, sides: int = 2) -> float:
    """Return the chance that n samples show a true mean difference of `effect`.

    Args:
        sd: standard deviation of one sample's difference.
        n: how many samples; below two nothing can be shown and the answer is NaN.
        effect: the true difference, in the units of `sd`.
        alpha: of the test.
        sides: 2 or 1.

    >>> round(power_of(sd=1.0, n=34, effect=0.5), 3)
    0.808
    """
    _check(alpha, sides=sides)
    if n < 2 or not (math.isfinite(sd) and math.isfinite(effect)) or sd < 0:
        return math.nan
    if sd == 0:
        return 1.0 if effect else math.nan
    return _power(abs(effect) * math.sqrt(n) / sd, n, alpha, sides)


def power_curve(
    sd: float, effect: float, sizes: Sequence[int], alpha: float = 0.05, *, sides: int = 2
) -> Floats:
    """Return the power at each of the sample sizes, for a plot.

    >>> power_curve(1.0, 0.5, [10, 34, 100]).round(2).tolist()
    [0.29, 0.81, 1.0]
    """
    return np.array([power_of(sd, n, effect, alpha, sides=sides) for n in sizes])


def minimum_detectable_effect(
    sd: float, n: int, alpha: float = 0.05, power: float = 0.8, *, sides: int = 2
) -> float:
    """Return the smallest true difference that n samples show with that power.

    Args:
        sd: standard deviation of one sample's difference.
        n: how many samples; NaN below two.
        alpha: of the test.
        power: the chance to see it; at least alpha.
        sides: 2 or 1.

    For large n it is (z(1 − α/2) + z(power)) · sd / √n = 2.802 · sd / √n:

    >>> round(minimum_detectable_effect(sd=1.0, n=10_000), 4)
    0.028
    >>> minimum_detectable_effect(sd=1.0, n=1)
    nan
    """
    _check(alpha, power, sides)
    if n < 2 or not math.isfinite(sd) or sd < 0 or power <= alpha:
        return math.nan
    top = 2.0
    while _power(top, n, alpha, sides) < power:
        top *= 2
    shift = find_root(lambda s: _power(s, n, alpha, sides) - power, 0.0, top)
    return shift * sd / math.sqrt(n)


def n_for_effect(
    sd: float, effect: float, alpha: float = 0.05, power: float = 0.8, *, sides: int = 2
) -> int | None:
    """Return how many samples show a true difference of `effect` with that power.

    None where no number does: an effect of 0, an unknown spread, or more than 10¹².

    A t test for half a standard deviation takes 34 pairs (normal theory: 31.4):

    >>> n_for_effect(sd=1.0, effect=0.5)
    34
    """
    _check(alpha, power, sides)
    if not (math.isfinite(sd) and math.isfinite(effect)) or effect == 0 or sd < 0:
        return None
    reach = normal_quantile(1 - alpha / sides) + normal_quantile(power)
    guess = (max(reach, 0.0) * sd / abs(effect)) ** 2
    if guess > MOST:
        return None
    low, high = 1, max(2, math.ceil(guess))
    while power_of(sd, high, effect, alpha, sides=sides) < power:
        low, high = high, high + max(1, high // 4)
    while high - low > 1:
        middle = (low + high) // 2
        if power_of(sd, middle, effect, alpha, sides=sides) < power:
            low = middle
        else:
            high = middle
    return high


def collect_more(
    estimate: Estimate,
    threshold: float = 0.0,
    *,
    sd: float | None = None,
    level: float | None = None,
    power: float = 0.8,
) -> int | None:
    """Return how many more units it likely takes until the interval leaves `threshold` out.

    The present estimate is taken for the truth, so the answer is a plan and not a promise.

    Args:
        estimate: the difference as it stands; `n` of it counts units.
        threshold: 0 for "is there a difference", −margin for "not worse by more than margin".
        sd: spread of one unit's difference; from the interval's width where None.
        level: of the interval that shall leave the threshold out; the estimate's where None.
        power: the chance that it then does.

    Returns:
        0 if it is out already at the estimate's level, None if unknown (NaN) or if no number
        would do (the estimate lies on the threshold).

    A difference of .1 with a standard error of .1 at n = 25 (sd .5) needs 199 in all:

    >>> half = t_quantile(0.975, 24) * 0.1
    >>> collect_more(Estimate(0.1, 0.1 - half, 0.1 + half, 25))
    174
    """
    alpha = 1 - (level or estimate.level)
    if not estimate.known or estimate.n < 2:
        return None
    if level in (None, estimate.level) and not estimate.low <= threshold <= estimate.high:
        return 0
    if sd is None:
        width = (estimate.high - estimate.low) / 2
        sd = width / t_quantile((1 + estimate.level) / 2, estimate.n - 1) * math.sqrt(estimate.n)
    needed = n_for_effect(sd, estimate.mean - threshold, alpha, power)
    return None if needed is None else max(1, needed - estimate.n)
