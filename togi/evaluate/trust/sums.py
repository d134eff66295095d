"""Sums of a side's numbers by scenario, over the lines themselves or over resamples of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from togi.stats.arrays import Floats


@dataclass(frozen=True, slots=True)
class Sums:
    """What a side's score is put together from.

    Attributes:
        planned: the side's scenarios, asked or not.
        table: (scenario, number) -> (draws,) its sum, and (draws,) how many lines knew it.
        draws: how many resamples; 1 for the lines themselves.

    >>> one = np.array([3.0]), np.array([4.0])
    >>> sums = Sums(("plain", "attacked"), {("plain", "correct"): one}, 1)
    >>> sums.mean("plain", "correct").tolist(), sums.mean("attacked", "correct").tolist()
    ([0.75], [nan])
    """

    planned: tuple[str, ...]
    table: Mapping[tuple[str, str], tuple[Floats, Floats]]
    draws: int

    @property
    def asked(self) -> tuple[str, ...]:
        """The scenarios that were asked, in their order."""
        found = {scenario for scenario, _ in self.table}
        return tuple(name for name in self.planned if name in found)

    def mean(self, scenario: str, number: str) -> Floats:
        """Return the mean of a number over a scenario's lines; NaN where nothing is known."""
        return share(*self.table.get((scenario, number), self._nothing()))

    def total(self, scenario: str, number: str) -> Floats:
        """Return the sum of a number over a scenario's lines; NaN where it was not asked."""
        return self.table.get((scenario, number), self._nothing())[0]

    def ratio(self, scenario: str, over: str, per: str) -> Floats:
        """Return the sum of one number over the sum of another; NaN where that is 0."""
        return share(self.total(scenario, over), self.total(scenario, per))

    def pooled(self, scenarios: Iterable[str], number: str) -> Floats:
        """Return the mean of a number over the lines of several scenarios together."""
        pairs = [self.table[name, number] for name in scenarios if (name, number) in self.table]
        if not pairs:
            return self._nothing()[0]
        return share(np.sum([p[0] for p in pairs], axis=0), np.sum([p[1] for p in pairs], axis=0))

    def _nothing(self) -> tuple[Floats, Floats]:
        return np.full(self.draws, np.nan), np.zeros(self.draws)


def share(over: Floats, per: Floats) -> Floats:
    """Divide, NaN where there is nothing to divide by.

    >>> share(np.array([1.0, 0.0]), np.array([2.0, 0.0])).tolist()
    [0.5, nan]
    """
    known = np.where(per > 0, per, np.nan)
    return over / known


def mean_of(values: list[Floats], draws: int) -> Floats:
    """Return the mean of several shares, each weighing the same; NaN where one is unknown.

    >>> mean_of([np.array([0.5]), np.array([1.0])], 1).tolist(), mean_of([], 1).tolist()
    ([0.75], [nan])
    """
    return np.mean(values, axis=0) if values else np.full(draws, np.nan)
