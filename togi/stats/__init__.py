"""Estimates, intervals, paired tests, multiplicity, power and win rates."""

from togi.stats.estimate import Estimate
from togi.stats.rng import derive, stream

__all__ = ["Estimate", "derive", "stream"]
