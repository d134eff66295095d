"""HTTP for endpoints: bounded concurrency, patience with limits, and a count of what was paid.

Replies are handed over one by one as they arrive. When one request fails for good, no new one
begins, those under way are still received (they are paid for), and then the error is raised.
"""

from __future__ import annotations

import asyncio
import json
import math
import queue
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from togi.errors import SurroundingsError, TogiError
from togi.lm.budget import Budget
from togi.lm.limits import Patience, Prices, Usage, retry_after
from togi.lm.paid import Paid

T = TypeVar("T")
RETRIED = frozenset({408, 409, 425, 429}) | frozenset(range(500, 600)) - {501, 505}
QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
SAY_EVERY_S = 10.0
JITTER = random.SystemRandom()


class Refused(SurroundingsError):
    """The endpoint answered that it will not do this, however often it is asked."""

    def __init__(self, status: int, message: str, *, where: str, hint: str = "") -> None:
        self.status, self.message = status, message
        super().__init__(
            f"the endpoint refuses the request (HTTP {status})",
            where=where,
            found=message,
            hint=hint,
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure that may pass: what it was, and the pause that the server asks for."""

    problem: str
    wait: float | None = None
    unreachable: bool = False


@dataclass(slots=True)
class Transport:
    """Posts JSON to one endpoint; see the module."""

    base: httpx.URL
    where: str
    headers: Mapping[str, str] = field(repr=False)
    auth: httpx.BasicAuth | None = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    patience: Patience
    prices: Prices
    concurrency: int
    say: Callable[[str], None]
    usage: Usage = field(default_factory=Usage)
    paid: Paid | None = None
    _said: float = -math.inf

    def stream(
        self,
        work: Callable[[httpx.AsyncClient, int], Awaitable[T]],
        n: int,
        worst: Callable[[int], float] = lambda job: 0.0,
    ) -> Iterator[tuple[int, T]]:
        """Run `work(client, i)` for i below n, yielding (i, result) as each one ends.

        `worst(i)` is the most that job i may cost; none begins that could exceed the cap.
        """
        out: queue.SimpleQueue[tuple[int, T] | None] = queue.SimpleQueue()
        started: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None] = (
            queue.SimpleQueue()
        )

        async def main() -> None:
            task = asyncio.create_task(self._work_off(work, n, worst, out))
            started.put((asyncio.get_running_loop(), task))
            await task

        with ThreadPoolExecutor(1, thread_name_prefix="togi-endpoint") as pool:
            future = pool.submit(lambda: asyncio.run(main()))
            future.add_done_callback(lambda _: (started.put(None), out.put(None)))
            try:
                while (item := out.get()) is not None:
                    yield item
                future.result()
            finally:
                running = started.get()
                if running is not None and not future.done():
                    with suppress(RuntimeError):  # the loop ended by itself just now
                        running[0].call_soon_threadsafe(running[1].cancel)

    async def _work_off(
        self,
        work: Callable[[httpx.AsyncClient, int], Awaitable[T]],
        n: int,
        worst: Callable[[int], float],
        out: queue.SimpleQueue[tuple[int, T] | None],
    ) -> None:
        """Let `concurrency` workers take the jobs in order; the first failure stops the taking."""
        jobs = iter(range(n))
        failures: list[TogiError] = []
        budget = Budget(self.prices, self.usage, self.where)

        async def worker(client: httpx.AsyncClient) -> None:
            for job in jobs:
                held = 0.0
                try:
                    held = await budget.hold(worst(job))
                    if failures:  # another failed while this one waited for money
                        return
                    out.put((job, await work(client, job)))
                except TogiError as error:
                    failures.append(error)
                finally:
                    await budget.let_go(held)
                if failures:
                    return

        patience = self.patience
        async with httpx.AsyncClient(
            headers={"Content-Type": "application/json", **self.headers},
            auth=self.auth,
            timeout=httpx.Timeout(patience.read, connect=patience.connect, pool=None),
            limits=httpx.Limits(max_connections=self.concurrency),
        ) as client:
            await asyncio.gather(*(worker(client) for _ in range(min(self.concurrency, n))))
        if failures:
            raise failures[0]

    async def post(
        self, client: httpx.AsyncClient, path: str, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Post one request with as many attempts as patience allows; return the JSON reply.

        Raises:
            Refused: the endpoint says no (HTTP 4xx), in its own words.
            SurroundingsError: it did not give a whole reply in all attempts.
        """
        patience, fault = self.patience, Fault("it did not answer")
        try:
            async with asyncio.timeout(patience.total):
                for attempt in range(patience.attempts):
                    outcome = await self._once(client, path, body)
                    if not isinstance(outcome, Fault):
                        self._count(outcome)
                        return outcome
                    fault = outcome
                    if fault.unreachable and not self.usage.requests and attempt == 2:
                        break
                    if (fault.wait or 0) > patience.longest_wait:
                        fault = Fault(f"{fault.problem}, and asks to wait {fault.wait:.0f} s")
                        break
                    if attempt + 1 < patience.attempts:
                        await self._pause(fault, attempt)
        except TimeoutError:
            fault = Fault(f"{fault.problem} (gave up after {patience.total:g} s)")
        raise SurroundingsError(
            f"the endpoint fails: {fault.problem}",
            where=self.where,
            hint="replies so far are kept in the reply cache; run the same command again "
            "when the endpoint is well",
        )

    async def _pause(self, fault: Fault, attempt: int) -> None:
        """Wait before the next try: as asked, or doubling with jitter so that clients spread."""
        patience = self.patience
        wait = min(patience.longest_wait, patience.first_wait * 2**attempt)
        wait = wait * JITTER.uniform(0.5, 1.0) if fault.wait is None else fault.wait
        self.usage.retries += 1
        if time.monotonic() - self._said > SAY_EVERY_S:
            self._said = time.monotonic()
            self.say(f"{self.where}: {fault.problem}; trying again in {wait:.1f} s")
        await asyncio.sleep(wait)

    async def _once(
        self, client: httpx.AsyncClient, path: str, body: Mapping[str, Any]
    ) -> dict[str, Any] | Fault:
        url = self.base.copy_with(path=self.base.path.rstrip("/") + path)
        try:
            content = json.dumps(dict(body)).encode()  # ASCII: half a surrogate pair survives
            response = await client.post(url, content=content)
        except httpx.TimeoutException as error:
            unreachable = isinstance(error, httpx.ConnectTimeout)
            return Fault(f"no answer in time ({type(error).__name__})", unreachable=unreachable)
        except httpx.TransportError as error:
            unreachable = isinstance(error, httpx.ConnectError)
            return Fault(f"the connection broke ({self.redact(str(error))})", None, unreachable)
        try:
            reply = json.loads(response.content)
        except ValueError:
            reply = None
        status = response.status_code
        if status == 200 and isinstance(reply, dict) and "error" in reply:
            code = (reply["error"] or {}).get("code") if isinstance(reply["error"], dict) else None
            status = code if isinstance(code, int) and code >= 400 else 502
        if status == 200:
            return reply if isinstance(reply, dict) else Fault("the reply is not whole JSON")
        return self._judge(status, reply, response)

    def _judge(self, status: int, reply: Any, response: httpx.Response) -> Fault:
        """Tell a failure that may pass from one that will not."""
        message = self.redact(error_message(reply) or response.text.strip()[:300])
        code = reply["error"].get("code") if _has_error(reply) else None
        if status in RETRIED and code not in QUOTA_CODES:
            words = f": {message}" if message else ""
            return Fault(f"HTTP {status}{words}", retry_after(response.headers))
        hints = {
            401: "set TOGI_API_KEY or OPENAI_API_KEY to a key that this endpoint accepts",
            403: "this key may not use that model; see the endpoint's account page",
            404: "check the URL (it usually ends in /v1) and the model's name after #",
        }
        raise Refused(status, message, where=self.where, hint=hints.get(status, ""))

    def _count(self, reply: Mapping[str, Any]) -> None:
        told = reply.get("usage")
        told = told if isinstance(told, dict) else {}
        counts = told.get("prompt_tokens"), told.get("completion_tokens")
        self.usage.add(*counts)
        if self.paid is not None:
            self.paid.add(*counts)

    def redact(self, text: str) -> str:
        """Take every secret out of a text that a person or a log will see."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def _has_error(reply: Any) -> bool:
    return isinstance(reply, dict) and isinstance(reply.get("error"), dict)


def error_message(reply: Any) -> str:
    """Find the server's own words in an error reply.

    >>> error_message({"error": {"message": "no such model"}}), error_message({"detail": "x"})
    ('no such model', 'x')
    """
    if not isinstance(reply, dict):
        return ""
    inner = reply.get("error")
    if isinstance(inner, dict):
        inner = inner.get("message")
    found = inner or reply.get("message") or reply.get("detail") or ""
    return str(found)[:500]
