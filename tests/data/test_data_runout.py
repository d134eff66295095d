"""When public data runs out: the closed form, the study's table, growth that slows, no meeting."""

from __future__ import annotations

import math

import numpy as np
import pytest

from togi.data.runout import (
    PROJECTIONS,
    Growth,
    Projection,
    Span,
    grown,
    meeting,
    projection_of,
    run_out,
)
from togi.errors import UsageError

STEADY = Projection(
    "toy", "words", 2022.0, Span(1e13, 1e13), Growth(Span(0.02, 0.02, plain=True)),
    Span(1e12, 1e12), Growth(Span(0.27, 0.27, plain=True)), "a trend", "made up",
)  # fmt: skip


def test_without_spread_the_draws_are_the_closed_form():
    """One order of magnitude apart, closing by a quarter of one a year: four years."""
    found = run_out(STEADY, draws=100)
    assert found.date.mean == pytest.approx(2026, abs=1e-9)
    assert (found.date.low, found.date.high) == pytest.approx((2026, 2026), abs=1e-9)
    closed = meeting(2022, *map(np.array, (1e13, 1e12, 0.02, 0.27)))
    assert float(closed) == pytest.approx(2026)


@pytest.mark.parametrize(
    "name", [name for name, one in PROJECTIONS.items() if one.published and one.start == 2022]
)
def test_the_study_s_table_is_met(name: str):
    """Our median lies in its interval, its median in ours; the trends' medians are two years off
    at most, those by compute six: the study's own path of compute is more than one number."""
    found = run_out(PROJECTIONS[name])
    middle, low, high, level = PROJECTIONS[name].published or (0, 0, 0, 0)
    assert level == 0.9
    assert low < found.date.mean < high
    assert found.date.low - 0.5 < middle < found.date.high + 0.5
    assert abs(found.date.mean - middle) < (6.5 if "compute" in name else 2)


def test_the_revision_of_2024_is_met():
    found = run_out(PROJECTIONS["text"], level=0.8)
    assert found.date.mean == pytest.approx(2028, abs=1)
    assert 2026 < found.date.low < found.date.high < 2032


def test_the_date_moves_as_it_must():
    base = run_out(STEADY, draws=100).date.mean
    more = run_out(projection_of("text", {"stock": (1e16, 1e16)})).date.mean
    assert more > run_out(PROJECTIONS["text"]).date.mean
    richer = Projection(*[getattr(STEADY, f) for f in ("name", "unit", "start")], Span(1e14, 1e14),
                        *[getattr(STEADY, f) for f in ("stock_growth", "used", "use_growth",
                                                       "basis", "source")])  # fmt: skip
    assert run_out(richer, draws=100).date.mean == pytest.approx(base + 4)


def test_use_that_grows_no_faster_never_meets_the_stock():
    calm = projection_of("text", {"use_growth": (1.01, 1.01), "stock_growth": (1.05, 1.05)})
    found = run_out(calm)
    assert found.never > 0.99
    assert found.date.high == math.inf
    told = found.as_dict()
    assert told["date"]["high"] is None
    assert "high" in told["date"]["open"]
    assert math.isinf(float(meeting(2022, *map(np.array, (1e13, 1e12, 0.3, 0.3)))))


def test_a_stock_that_is_used_up_already_is_dated_at_the_start():
    done = projection_of("text", {"stock": (1e10, 1e10)})
    assert run_out(done).date.mean == 2024.0
    assert float(meeting(2022, *map(np.array, (1e11, 1e12, 0.0, 0.3)))) == 2022


def test_growth_that_slows_is_the_integral_of_its_rate():
    now, late, years = np.array(0.3), np.array(0.1), np.array(10.0)
    t = np.linspace(0, 25, 20001)
    rate = late + (now - late) * np.exp(-t / years)
    area = np.concatenate([[0], np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(t))])
    assert grown(now, late, years, t) == pytest.approx(area, abs=1e-6)
    assert grown(now, now, years, t) == pytest.approx(now * t)


def test_draws_are_reproducible_and_named():
    one, other = (run_out(PROJECTIONS["images"], seed=3) for _ in range(2))
    assert one == other
    assert one.date != run_out(PROJECTIONS["images"], seed=4).date


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("txt", {}, "no stock 'txt'. Next: did you mean 'text'?"),
        ("text", {"stock": (0.0, 1e14)}, "stock must be two amounts above 0, the lower first"),
        ("text", {"used": (2e13, 1e13)}, "used must be two amounts above 0"),
    ],
)
def test_errors(name: str, changes: dict[str, tuple[float, float]], told: str):
    with pytest.raises(UsageError) as caught:
        projection_of(name, changes)
    assert told in str(caught.value)


def test_too_few_draws():
    with pytest.raises(UsageError, match="draws must be at least 100"):
        run_out(STEADY, draws=10)
