"""What an endpoint may take: time, tries and money; and how much it has taken."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from togi.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long an endpoint may take and how often it is asked again; times in seconds.

    Attributes:
        connect: to open a connection.
        read: of silence while a reply is awaited; then the attempt counts as failed.
        total: for one request with all its attempts and pauses.
        attempts: tries for one request; three while no reply at all has ever come.
        first_wait: pause after the first failed try; it doubles each time, with jitter.
        longest_wait: the longest pause; a `Retry-After` beyond it ends the run with an error.
    """

    connect: float = 10.0
    read: float = 120.0
    total: float = 600.0
    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 120.0

    def __post_init__(self) -> None:
        for name in ("connect", "read", "total", "attempts", "first_wait", "longest_wait"):
            if not getattr(self, name) > 0:
                raise UsageError(
                    f"{name} must be above 0, got {getattr(self, name)}", where="patience"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What an endpoint's tokens cost, per million, and the most that one run may cost."""

    per_million_in: float = 0.0
    per_million_out: float = 0.0
    most: float = math.inf

    def __post_init__(self) -> None:
        if min(self.per_million_in, self.per_million_out, self.most) < 0:
            raise UsageError("prices and the cost cap cannot be negative", where="prices")
        if self.most < math.inf and self.per_million_in == self.per_million_out == 0:
            raise UsageError(
                "a cost cap needs prices",
                where="prices",
                hint="give per_million_in and per_million_out",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How an endpoint is asked.

    Attributes:
        concurrency: requests under way at once.
        patience: time limits and tries.
        prices: of its tokens, and the most that one run may cost.
        extra: more fields for every request's body; None takes a field out.
        paid: the run's `paid.jsonl`, where what was paid is written down; None for nowhere.
    """

    concurrency: int = 8
    patience: Patience = field(default_factory=Patience)
    prices: Prices = field(default_factory=Prices)
    extra: Mapping[str, Any] = field(default_factory=dict)
    paid: Path | None = None


@dataclass(slots=True)
class Usage:
    """What this run has used so far; `uncounted` replies came without token counts."""

    requests: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    uncounted: int = 0

    def add(self, tokens_in: object, tokens_out: object) -> None:
        """Count one reply; it is uncounted where its tokens are not told."""
        self.requests += 1
        if not isinstance(tokens_in, int):
            self.uncounted += 1
            return
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out if isinstance(tokens_out, int) else 0

    def cost(self, prices: Prices) -> float:
        """Return the cost in the prices' currency; NaN when a reply told no token counts.

        >>> Usage(tokens_in=2_000_000, tokens_out=500_000).cost(
        ...     Prices(per_million_in=0.5, per_million_out=2.0))
        2.0
        """
        if self.uncounted:
            return math.nan
        paid = self.tokens_in * prices.per_million_in + self.tokens_out * prices.per_million_out
        return paid / 1e6


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Read how many seconds the server asks to wait: a number or an HTTP date (RFC 9110, 10.2.3).

    >>> retry_after({"retry-after": "7"})
    7.0
    >>> retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"},
    ...             datetime(2015, 10, 21, 7, 27, 30, tzinfo=UTC))
    30.0
    """
    given = headers.get("retry-after", "").strip()
    if not given:
        return None
    try:
        seconds = float(given)
    except ValueError:
        try:
            date = parsedate_to_datetime(given)
        except ValueError:
            return None
        seconds = (date - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
