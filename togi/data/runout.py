"""When public data runs out: the date at which the largest training set has grown to the stock.

Villalobos et al. 2022, "Will we run out of data?" (arXiv 2211.04325) and its revision of 2024: the
largest data sets grow by a factor a year, the stock of public data grows far slower, and where the
two lines meet the stock is used up: t* = t₀ + (ln S₀ − ln D₀)/(g_D − g_S). A growth rate that
changes goes from `now` to `late` exponentially over `years`, and the meeting is then found by
bisection. All inputs are intervals; the date's interval comes from draws of them.

A projection of trends, not a forecast: the projections of 2022 for high-quality text have already
been overtaken by events.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from togi.data.law_numbers import clean, estimate, told
from togi.data.solve import Floats, bisect
from togi.errors import UsageError, nearest
from togi.stats.arrays import check_draws
from togi.stats.estimate import Estimate
from togi.stats.rng import stream
from togi.stats.special import normal_quantile

HORIZON = 200.0  # years; what has not met by then counts as never


@dataclass(frozen=True, slots=True)
class Span:
    """A 90 % interval: log-normal between two positive ends, or normal where `plain`."""

    low: float
    high: float
    plain: bool = False

    def draw(self, rng: np.random.Generator, draws: int) -> Floats:
        """Return draws; equal ends give that value each time."""
        ends = np.array([self.low, self.high])
        ends = ends if self.plain else np.log(ends)
        middle, half = ends.mean(), (ends[1] - ends[0]) / 2 / normal_quantile(0.95)
        found = middle + half * rng.standard_normal(draws)
        return found if self.plain else np.exp(found)


@dataclass(frozen=True, slots=True)
class Growth:
    """Yearly growth in orders of magnitude: `now`, and what it nears over `years` where it changes.

    >>> Growth.percent(4, 5).now.low == math.log10(1.04)
    True
    """

    now: Span
    late: Span | None = None
    years: Span = Span(1.0, 1.0)

    @staticmethod
    def percent(low: float, high: float, late: float | None = None, years: float = 25.0) -> Growth:
        """Return growth of so many per cent a year, falling to `late` per cent where given."""
        ends = [math.log10(1 + value / 100) for value in (low, high)]
        slow = None if late is None else Span(*[math.log10(1 + late / 100)] * 2, plain=True)
        return Growth(Span(ends[0], ends[1], plain=True), slow, Span(years, years))


@dataclass(frozen=True, slots=True)
class Projection:
    """A stock and the data sets drawn from it.

    Attributes:
        name: of the stock.
        unit: what is counted.
        start: the year of both sizes.
        stock: how much there is.
        stock_growth: how it grows.
        used: the largest data set.
        use_growth: how the largest data set grows.
        basis: how its growth was projected.
        source: where the inputs are from.
        published: the source's own median, interval and its level, where it has one.
    """

    name: str
    unit: str
    start: float
    stock: Span
    stock_growth: Growth
    used: Span
    use_growth: Growth
    basis: str
    source: str
    published: tuple[float, float, float, float] | None = None


_2022 = "Villalobos et al. 2022 (arXiv 2211.04325v1) and its published model"
_2024 = "Villalobos et al. 2024 (arXiv 2211.04325v2) and its published model"
_TEXT_SETS = {"used": Span(2e12, 2e12), "use_growth": Growth(Span(0.265, 0.392, plain=True))}
_COMPUTE = Growth(  # half of compute's growth: doubling in 6 months, later in 20, after 8–18 years
    Span(0.26, 0.34, plain=True), Span(0.09, 0.09, plain=True), Span(8.0, 18.0)
)

PROJECTIONS: dict[str, Projection] = {
    "text": Projection(
        "public text, 2024", "tokens", 2024.0,
        Span(1e14, 1e15), Growth.percent(2, 10),
        Span(3e12, 13e12), Growth(Span(0.29, 0.47, plain=True)),
        "data sets' trend", _2024, (2028.0, 2026.0, 2032.0, 0.8),
    ),
    "text-compute": Projection(
        "public text, 2024", "tokens", 2024.0,
        Span(1e14, 1e15), Growth.percent(2, 10),
        Span(5.8e12, 1.8e13), Growth(Span(0.284, 0.331, plain=True)),
        "compute-optimal, 20 tokens a parameter, compute 4 times a year", _2024,
    ),
    "low-quality-text": Projection(
        "low-quality text, 2022", "words", 2022.0,
        Span(7e13, 7e16), Growth.percent(6, 17, late=1),
        **_TEXT_SETS, basis="data sets' trend", source=_2022,
        published=(2032.4, 2028.4, 2039.2, 0.9),
    ),
    "low-quality-text-compute": Projection(
        "low-quality text, 2022", "words", 2022.0,
        Span(7e13, 7e16), Growth.percent(6, 17, late=1),
        Span(1e12, 3e12), _COMPUTE, "compute-optimal", _2022, (2040.5, 2034.6, 2048.9, 0.9),
    ),
    "high-quality-text": Projection(
        "high-quality text, 2022", "words", 2022.0,
        Span(4.6e12, 1.7e13), Growth.percent(4, 5),
        **_TEXT_SETS, basis="data sets' trend", source=_2022,
        published=(2024.5, 2023.5, 2025.7, 0.9),
    ),
    "high-quality-text-compute": Projection(
        "high-quality text, 2022", "words", 2022.0,
        Span(4.6e12, 1.7e13), Growth.percent(4, 5),
        Span(1e12, 3e12), _COMPUTE, "compute-optimal", _2022, (2024.1, 2023.2, 2025.3, 0.9),
    ),
    "images": Projection(
        "images, 2022", "images", 2022.0,
        Span(8.11e12, 2.3e13), Growth.percent(6, 10, late=1),
        Span(3e9, 3e9), Growth(Span(0.096, 0.233, plain=True)),
        "data sets' trend", _2022, (2046.0, 2037.0, 2062.8, 0.9),
    ),
    "images-compute": Projection(
        "images, 2022", "images", 2022.0,
        Span(8.11e12, 2.3e13), Growth.percent(6, 10, late=1),
        Span(3e9, 3e9), _COMPUTE, "compute-optimal", _2022, (2038.8, 2032.0, 2049.8, 0.9),
    ),
}  # fmt: skip
"Stocks by name. The study of 2022 is kept as the record of what was projected then."


def meeting(
    start: float, stock: Floats, used: Floats, stock_growth: Floats, use_growth: Floats
) -> Floats:
    """Return the year in which use has grown to the stock, both growing steadily.

    t* = t₀ + log₁₀(S₀/D₀) / (g_D − g_S), growth in orders of magnitude a year; infinite where use
    does not grow faster.

    >>> float(meeting(2022, np.array(1e13), np.array(1e12), np.array(0.02), np.array(0.27)))
    2026.0
    """
    gain = np.asarray(use_growth) - stock_growth
    apart = np.log10(np.asarray(stock) / used)
    with np.errstate(divide="ignore", invalid="ignore"):
        years = np.where(gain > 0, apart / np.where(gain > 0, gain, 1), np.inf)
    return start + np.where(apart <= 0, 0.0, years)


def grown(now: Floats, late: Floats, years: Floats, t: Floats) -> Floats:
    """Return the orders of magnitude grown in t years at a rate that nears `late`.

    late · t + (now − late) · τ (1 − e^(−t/τ)).

    >>> round(float(grown(np.array(0.3), np.array(0.1), np.array(10.0), np.array(10.0))), 3)
    2.264
    """
    return late * t - (now - late) * years * np.expm1(-t / years)


@dataclass(frozen=True, slots=True)
class RunOut:
    """When a stock is used up: the median date, its interval, and how often never."""

    projection: Projection
    date: Estimate
    never: float
    """Share of the draws in which use does not meet the stock within 200 years."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        one = self.projection
        return clean(
            {
                "stock": one.name,
                "unit": one.unit,
                "basis": one.basis,
                "date": told(self.date),
                "never": self.never,
                "published": one.published,
                "source": one.source,
            }
        )


def run_out(
    projection: Projection, *, draws: int = 10_000, seed: int = 0, level: float = 0.9
) -> RunOut:
    """Return when a stock is used up, by draws of all its inputs.

    The mean is the draws' median. A bound is infinite where that share of the draws never meets.

    >>> 2026 < run_out(PROJECTIONS["text"]).date.mean < 2030
    True
    """
    rng = stream(seed, "data.runout", projection.name, projection.basis)
    count = check_draws(draws)
    stock, used = projection.stock.draw(rng, count), projection.used.draw(rng, count)
    rates = [_rates(g, rng, count) for g in (projection.stock_growth, projection.use_growth)]

    def ahead(t: Floats) -> Floats:
        supply, use = (grown(*rate, t) for rate in rates)
        return use - supply - apart

    apart = np.log10(stock / used)
    end = np.full(count, HORIZON)
    years = np.where(apart <= 0, 0.0, bisect(ahead, np.zeros(count), end))
    met = (apart <= 0) | (ahead(end) >= 0)
    years = np.where(met, years, np.inf)
    dates = projection.start + years
    middle = float(np.quantile(dates, 0.5, method="lower"))
    return RunOut(projection, estimate(middle, dates, count, level), float(1 - met.mean()))


def _rates(growth: Growth, rng: np.random.Generator, draws: int) -> tuple[Floats, Floats, Floats]:
    now = growth.now.draw(rng, draws)
    late = now if growth.late is None else growth.late.draw(rng, draws)
    return now, late, growth.years.draw(rng, draws)


def projection_of(name: str, changes: Mapping[str, tuple[float, float]]) -> Projection:
    """Return a projection by name, with some of its spans changed.

    Args:
        name: in `PROJECTIONS`.
        changes: `stock`, `used` (amounts), `stock_growth`, `use_growth` (factors a year) -> the
            ends of a 90 % interval; growth that is given is steady.

    Raises:
        UsageError: an unknown name, or ends that make no sense.
    """
    if name not in PROJECTIONS:
        raise UsageError(f"no stock '{name}'", hint=nearest(name, PROJECTIONS))
    found = PROJECTIONS[name]
    for key, (low, high) in changes.items():
        if not 0 < low <= high < math.inf:
            raise UsageError(
                f"{key} must be two amounts above 0, the lower first", found=f"{low:g} to {high:g}"
            )
        if key.endswith("growth"):
            ends = Span(math.log10(low), math.log10(high), plain=True)
            found = replace(found, **{key: Growth(ends)}, published=None)
        else:
            found = replace(found, **{key: Span(low, high)}, published=None)
    return found
