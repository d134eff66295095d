"""The few distribution functions the statistics need, typed, with scipy imported on first use."""
# pyright: basic
# scipy ships no types; this file is the one place where that is let in.

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def normal_cdf(z: float) -> float:
    """Return Φ(z).

    >>> round(normal_cdf(1.96), 4)
    0.975
    """
    from scipy import special

    return float(special.ndtr(z))


def log_normal_cdf(values: Any) -> Any:
    """Return ln Φ of an array, exact far below zero too.

    >>> import numpy as np
    >>> log_normal_cdf(np.array([0.0, -40.0])).round(4).tolist()
    [-0.6931, -804.6084]
    """
    from scipy import special

    return special.log_ndtr(values)


def normal_quantile(p: float) -> float:
    """Return Φ⁻¹(p); infinite at 0 and 1.

    >>> round(normal_quantile(0.975), 4)
    1.96
    """
    from scipy import special

    return float(special.ndtri(p))


def t_quantile(p: float, df: float) -> float:
    """Return the p-quantile of Student's t with `df` degrees of freedom.

    >>> round(t_quantile(0.975, 4), 3)
    2.776
    """
    from scipy import special

    return float(special.stdtrit(df, p))


def t_cdf(x: float, df: float) -> float:
    """Return P(T ≤ x) of Student's t with `df` degrees of freedom.

    >>> round(t_cdf(2.776, 4), 3)
    0.975
    """
    from scipy import special

    return float(special.stdtr(df, x))


def noncentral_t_cdf(x: float, df: float, shift: float) -> float:
    """Return P(T ≤ x) of the non-central t; NaN where scipy cannot compute it.

    >>> round(noncentral_t_cdf(2.0, 30, 0.0), 3) == round(t_cdf(2.0, 30), 3)
    True
    """
    from scipy import special

    return float(special.nctdtr(df, shift, x))


def binomial_cdf(k: int, n: int, p: float = 0.5) -> float:
    """Return P(K ≤ k) for K binomial(n, p).

    >>> binomial_cdf(1, 3)
    0.5
    """
    from scipy import special

    if k < 0:
        return 0.0
    return float(special.bdtr(k, n, p))


def log_choose(n: int, k: int) -> float:
    """Return the natural logarithm of "n over k".

    >>> import math
    >>> round(math.exp(log_choose(6, 3)))
    20
    """
    from math import lgamma

    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def log_gamma(values: Any) -> Any:
    """Return ln Γ of an array of positive numbers.

    >>> import numpy as np
    >>> round(float(np.exp(log_gamma(np.array(5.0)))))
    24
    """
    from scipy import special

    return special.gammaln(values)


def beta_quantiles(p: float, a: Any, b: Any) -> Any:
    """Return the p-quantile of beta distributions; 0 where a is 0, 1 where b is 0.

    >>> import numpy as np
    >>> beta_quantiles(0.5, np.array([3.0, 0.0, 1.0]), np.array([3.0, 1.0, 0.0])).tolist()
    [0.5, 0.0, 1.0]
    """
    import numpy as np
    from scipy import special

    inside = special.betaincinv(np.maximum(a, 1e-300), np.maximum(b, 1e-300), p)
    return np.where(np.asarray(a) == 0, 0.0, np.where(np.asarray(b) == 0, 1.0, inside))


def find_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where `function` changes sign between `low` and `high` (Brent's method).

    >>> round(find_root(lambda x: x * x - 2, 0, 2), 6)
    1.414214
    """
    from scipy import optimize

    root: Any = optimize.brentq(function, low, high, xtol=1e-12, maxiter=200)
    return float(root)
