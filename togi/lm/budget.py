"""A cost cap that is kept: money is set aside for each request before it is sent."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

from togi.errors import Stopped, SurroundingsError
from togi.lm.limits import Prices, Usage
from togi.lm.requests import Request, ScoreRequest

TEMPLATE = 32
"Tokens that a chat template may put around a message, or before all of them."


@dataclass(slots=True)
class Budget:
    """What requests under way may cost at most, so that all together stay below the cap.

    Attributes:
        prices: with the cap.
        usage: what was paid already; counted up elsewhere as replies arrive.
        where: the endpoint, for errors.
        held: set aside for requests under way.
    """

    prices: Prices
    usage: Usage
    where: str
    held: float = 0.0
    _freed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def hold(self, worst: float) -> float:
        """Set aside what a request may cost at most; wait where others hold too much of it.

        Returns:
            What was set aside, to be given to `let_go`.

        Raises:
            Stopped: it would not fit though nothing else is under way.
            SurroundingsError: what was spent is unknown.
        """
        most = self.prices.most
        if most == math.inf:
            return 0.0
        async with self._freed:
            while True:
                spent = self.usage.cost(self.prices)
                if math.isnan(spent):
                    raise self._unknown()
                if spent + self.held + worst <= most:
                    self.held += worst
                    return worst
                if self.held <= 0:
                    raise self._reached(spent, worst)
                await self._freed.wait()

    async def let_go(self, held: float) -> None:
        """Give back what was set aside: the request has ended and is counted."""
        if held:
            async with self._freed:
                self.held = max(0.0, self.held - held)
                if self.held < 1e-12 * self.prices.most:  # rounding of sums
                    self.held = 0.0
                self._freed.notify_all()

    def _unknown(self) -> SurroundingsError:
        return SurroundingsError(
            "the cost cap cannot be kept: the endpoint tells no token counts",
            where=self.where,
            hint="run without a cost cap, or on an endpoint that returns `usage`",
        )

    def _reached(self, spent: float, worst: float) -> Stopped:
        return Stopped(
            "the cost cap is reached",
            where=self.where,
            found=f"{spent:.4g} spent in this run, and one more request may cost {worst:.2g}",
            expected=f"at most {self.prices.most:.4g}",
            hint="replies so far are kept in the reply cache; raise the cap (endpoint.most) and "
            "run the same command again: they are not asked again",
        )


def most_of(request: Request, prices: Prices) -> float:
    """Return the most that a request can cost: no tokenizer makes more tokens than bytes.

    A conversation's template adds some around each message.

    >>> most_of(ScoreRequest("four", "more"), Prices(per_million_in=1e6, per_million_out=1e6))
    10.0
    """
    if isinstance(request, ScoreRequest):
        texts, around, out = [f"{request.context}{request.continuation}"], 1, 1
    elif isinstance(request.prompt, str):
        texts, around, out = [request.prompt], 1, request.sampling.max_tokens
    else:
        texts = [message.content for message in request.prompt]
        around, out = TEMPLATE * (len(texts) + 1), request.sampling.max_tokens
    tokens_in = around + sum(len(text.encode("utf-8", "replace")) for text in texts)
    return (tokens_in * prices.per_million_in + out * prices.per_million_out) / 1e6
