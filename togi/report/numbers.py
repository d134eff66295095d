"""Numbers as people read them: with their interval, in as many digits as the interval bears."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

TOO_SMALL = "n too small"
MINUS = "\N{MINUS SIGN}"


def finite(value: Any) -> float | None:
    """Return a finite number as float, anything else as None.

    >>> finite(3), finite(float("nan")), finite("3"), finite(True)
    (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def decimals(low: float | None, high: float | None) -> int | None:
    """Return how many decimals an interval bears: two significant digits of its half-width.

    >>> decimals(1.082, 1.127), decimals(2, 80), decimals(1, 1)
    (3, 0, None)
    """
    if low is None or high is None or high <= low:
        return None
    return min(8, max(0, 1 - math.floor(math.log10((high - low) / 2))))


def common_places(values: Iterable[float | None]) -> int:
    """Return one number of decimals for a column: four digits of its largest value.

    >>> common_places([1.9, 2.645]), common_places([857.0, 862.5]), common_places([3, 180])
    (3, 1, 0)
    """
    known = [abs(value) for value in values if value is not None]
    largest = max(known, default=0.0)
    if not largest or all(value == int(value) for value in known):
        return 0
    return min(10, max(0, 3 - math.floor(math.log10(largest))))


def number(value: Any, places: int | None = None, *, sign: bool = False) -> str:
    """Return a number as text, "n too small" where it is undefined.

    >>> number(30000), number(0.12345678), number(2e-5), number(float("nan"))
    ('30,000', '0.1235', '2e−5', 'n too small')
    >>> number(-0.28, 3, sign=True), number(0.28, 3, sign=True), number(-0.0001, 2)
    ('−0.280', '+0.280', '0.00')
    """
    real = finite(value)
    if real is None:
        return TOO_SMALL
    text = _fixed(real, places) if places is not None else _general(real)
    if text.startswith("-"):
        return MINUS + text[1:].replace("-", MINUS)
    return ("+" if sign and real > 0 else "") + text.replace("-", MINUS)


def _fixed(real: float, places: int) -> str:
    text = f"{real:,.{places}f}"
    return text.lstrip("-") if not text.strip("-0.,") else text


def _general(real: float) -> str:
    if real == int(real) and abs(real) < 1e15:
        return f"{int(real):,}"
    if abs(real) >= 1000:
        return f"{real:,.0f}"
    text = f"{real:.4g}"
    if "e" in text:
        head, _, tail = f"{real:.3g}".partition("e")
        return f"{head}e{int(tail)}"
    return text


def amount(value: Any) -> str:
    """Return a count of parameters or tokens as people write it, a larger number with its power.

    >>> [amount(v) for v in (73.2e9, 1.312e12, 850.0, 5.76e23, 4e7, None)]
    ['73.2B', '1.31T', '850', '5.76e23', '40M', 'unknown']
    """
    real = finite(value)
    if real is None:
        return "unknown"
    for scale, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if 0.9995 * scale <= real < 999.5 * scale:
            return f"{real / scale:.3g}{letter}"
    return f"{real:.3g}".replace("e+", "e")


def spread(estimate: dict[str, Any], show: Callable[[Any], str] = number) -> str:
    """Return an estimate with its interval; `open` names what is infinite rather than unknown.

    >>> spread({"mean": 15.0, "low": 5.0, "high": None, "open": ["high"]})
    '15 (5 to no limit)'
    >>> spread({"mean": 15.0, "low": None, "high": None})
    '15 (interval unknown)'
    """
    endless = estimate["open"] if isinstance(estimate.get("open"), list) else []
    middle, low, high = (
        "no limit" if side in endless else show(estimate.get(side))
        for side in ("mean", "low", "high")
    )
    if estimate.get("low") is None and "low" not in endless:
        return f"{middle} (interval unknown)"
    return middle if middle == low == high else f"{middle} ({low} to {high})"


def mean(estimate: dict[str, Any], *, sign: bool = False) -> str:
    """Return an estimate's mean in the digits that its interval bears.

    >>> mean({"mean": -0.28, "low": -0.308, "high": -0.252, "n": 120}, sign=True)
    '−0.280'
    """
    low, high = finite(estimate.get("low")), finite(estimate.get("high"))
    return number(estimate.get("mean"), decimals(low, high), sign=sign)


def interval(estimate: dict[str, Any], *, sign: bool = False) -> str:
    """Return an estimate's interval, "n too small" where a bound is undefined.

    >>> interval({"mean": 1.104, "low": 1.0823, "high": 1.1271, "n": 120})
    '1.082 to 1.127'
    """
    low, high = finite(estimate.get("low")), finite(estimate.get("high"))
    if low is None or high is None:
        return TOO_SMALL
    places = decimals(low, high)
    return f"{number(low, places, sign=sign)} to {number(high, places, sign=sign)}"


def level(estimate: dict[str, Any]) -> str:
    """Return an estimate's level.

    >>> level({"level": 0.95}), level({})
    ('95 %', '95 %')
    """
    return f"{100 * (finite(estimate.get('level')) or 0.95):.3g} %"


def p_value(value: Any) -> str:
    """Return a p value as text.

    >>> p_value(0.00001), p_value(0.0312), p_value(0.5), p_value(None)
    ('< 0.001', '0.031', '0.50', 'n too small')
    """
    real = finite(value)
    if real is None:
        return TOO_SMALL
    if real < 0.001:
        return "< 0.001"
    return f"{real:.3f}" if real < 0.1 else f"{real:.2f}"


def share(part: float, whole: float) -> str:
    """Return part of whole in per cent.

    >>> share(1, 8), share(1, 10_000), share(1, 0)
    ('12.5 %', '< 0.1 %', '–')
    """
    if not whole:
        return "–"
    return f"{100 * part / whole:.1f} %" if not 0 < part / whole < 0.0005 else "< 0.1 %"


def duration(seconds: Any) -> str:
    """Return a time span as text.

    >>> duration(3.21), duration(75), duration(7260), duration(None)
    ('3.2 s', '1 min 15 s', '2 h 1 min', '–')
    """
    real = finite(seconds)
    if real is None:
        return "–"
    if real < 60:
        return f"{real:.1f} s"
    whole = round(real)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(value: Any) -> str:
    """Return a time of ISO 8601 to the minute, other text unchanged, "" for none.

    >>> moment("2026-11-23T14:07:41+00:00"), moment(None)
    ('2026-11-23 14:07 UTC', '')
    """
    try:
        told_time = datetime.fromisoformat(str(value))
    except ValueError:
        return str(value or "")
    return f"{told_time:%Y-%m-%d %H:%M %Z}".strip()


def told(value: Any) -> str:
    """Return a plain value of a JSON file as text.

    >>> told({"a": [1, 2.5]}), told(None), told(True), told(30000)
    ('a: 1, 2.5', '–', 'yes', '30,000')
    """
    if isinstance(value, dict):
        return "; ".join(f"{key}: {told(item)}" for key, item in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(told(item) for item in value) or "–"
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    return number(value) if isinstance(value, int | float) else str(value)
