"""Estimates, intervals, paired tests, multiplicity, power, win rates and the verdict."""

from togi.stats.bootstrap import Method, bootstrap_mean, bootstrap_ratio
from togi.stats.estimate import Estimate
from togi.stats.exact import Tested, mcnemar, permutation_test, sign_flip, sign_test
from togi.stats.gate import Finding, Gate, guard, non_inferior
from togi.stats.multiple import benjamini_hochberg, holm
from togi.stats.paired import Paired, paired_difference, paired_ratio_difference
from togi.stats.power import (
    collect_more,
    minimum_detectable_effect,
    n_for_effect,
    power_curve,
    power_of,
)
from togi.stats.proportion import wilson
from togi.stats.rng import derive, stream
from togi.stats.verdict import Decision, decide
from togi.stats.wins import WinRate, win_rate

__all__ = [
    "Decision",
    "Estimate",
    "Finding",
    "Gate",
    "Method",
    "Paired",
    "Tested",
    "WinRate",
    "benjamini_hochberg",
    "bootstrap_mean",
    "bootstrap_ratio",
    "collect_more",
    "decide",
    "derive",
    "guard",
    "holm",
    "mcnemar",
    "minimum_detectable_effect",
    "n_for_effect",
    "non_inferior",
    "paired_difference",
    "paired_ratio_difference",
    "permutation_test",
    "power_curve",
    "power_of",
    "sign_flip",
    "sign_test",
    "stream",
    "wilson",
    "win_rate",
]
