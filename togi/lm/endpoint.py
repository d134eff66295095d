"""Any OpenAI-compatible server as a language model: chat and plain completions over HTTP.

Plain text goes to `/completions` and conversations to `/chat/completions`. Scores need a server
that echoes the prompt's log-probabilities (`echo`, as vLLM and others do); hosted chat services
do not, and then the error says so.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import httpx

from togi.errors import SurroundingsError, UsageError
from togi.lm.base import Generated, Sampling, Scored
from togi.lm.budget import most_of
from togi.lm.echo import UNKNOWN_TOKEN, floats, read_echo
from togi.lm.limits import Patience, Prices, Usage
from togi.lm.paid import Paid
from togi.lm.requests import DrawRequest, Reply, Request, ScoreRequest, draws
from togi.lm.transport import Refused, Transport
from togi.rows.types import Message, Prompt

SEEDS = 1 << 31
"Seeds are taken modulo this, because servers refuse larger ones."
NO_SCORES = (
    "this endpoint serves no log-probabilities of a given text: bits per byte and choices by "
    "likelihood cannot be measured; use kinds that generate"
)


class Endpoint:
    """A served model as a `LanguageModel`, with retries, limits and counts.

    Args:
        url: the API's base, usually ending in /v1; a user name and password in it are used for
            HTTP basic authentication and appear nowhere else.
        model: the model's name on that server.
        api_key: bearer token; by default `TOGI_API_KEY`, else `OPENAI_API_KEY`.
        concurrency: requests under way at once.
        patience: time limits and retries.
        prices: prices per million tokens, and the most that one run may cost.
        extra: more fields for every request's body; None takes a field out.
        say: receives lines for the user.

    Token ids are `UNKNOWN_TOKEN`, since servers name tokens by their text. Log-probabilities
    that a server does not give are NaN.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str | None = None,
        concurrency: int = 8,
        patience: Patience | None = None,
        prices: Prices | None = None,
        extra: Mapping[str, Any] | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        base = _parse(url)
        if concurrency < 1:
            raise UsageError(f"concurrency must be at least 1, got {concurrency}", where="endpoint")
        key = api_key or os.environ.get("TOGI_API_KEY") or os.environ.get("OPENAI_API_KEY") or ""
        self.model, self.extra = model, dict(extra or {})
        self.url = str(base.copy_with(userinfo=b"", query=None))
        auth = httpx.BasicAuth(base.username, base.password) if base.userinfo else None
        headers = {"Authorization": f"Bearer {key}"} if key and auth is None else {}
        if (headers or auth) and base.scheme == "http" and not is_loopback(self.url):
            say(f"{self.url}: plain http shows the API key to everyone on the way; use https")
        self._transport = Transport(
            base=base.copy_with(userinfo=b""),
            where=f"{self.url} ({model})",
            headers=headers,
            auth=auth,
            secrets=tuple(filter(None, (key, base.password, base.query.decode()))),
            patience=patience or Patience(),
            prices=prices or Prices(),
            concurrency=concurrency,
            say=say,
        )
        self._asks_logprobs = True

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r}, {self.model!r})"

    @property
    def name(self) -> str:
        """The specification without credentials."""
        return f"openai:{self.url}#{self.model}"

    @property
    def fingerprint(self) -> str:
        """Digest of URL without credentials, model name and extra fields."""
        parts = json.dumps([self.url, self.model, self.extra], sort_keys=True, default=str)
        return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()

    def count_in(self, path: Path) -> None:
        """Write down what is paid in a run's `paid.jsonl`; its earlier starts' replies count too.

        Args:
            path: the file.
        """
        self._transport.paid = Paid(path, self.name)
        self._transport.usage = self._transport.paid.before

    @property
    def usage(self) -> Usage:
        """Requests, retries and tokens of this run."""
        return self._transport.usage

    @property
    def cost(self) -> float:
        """What this run has cost so far; NaN if the endpoint tells no token counts."""
        return self.usage.cost(self._transport.prices)

    def score(self, contexts: Sequence[Prompt], continuations: Sequence[str]) -> list[Scored]:
        """Score each continuation; see `LanguageModel.score`. Plain-text contexts only.

        A token that straddles the border belongs to the continuation. The first token of an
        empty context has a NaN log-probability unless the server puts a BOS before it.

        Raises:
            SurroundingsError: the endpoint serves no log-probabilities, or fails.
        """
        pairs = zip(contexts, continuations, strict=True)
        return self._all([ScoreRequest(c, a) for c, a in pairs])

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Generated]]:
        """Draw answers; draw d of a prompt is asked with the seed plus d. See `LanguageModel`."""
        replies = iter(self._all([d for p in prompts for d in draws(p, sampling)]))
        return [[next(replies) for _ in range(sampling.n)] for _ in prompts]

    def _all(self, requests: Sequence[Request]) -> list[Any]:
        """Answer all requests in order, asking equal ones once."""
        unique = list(dict.fromkeys(requests))
        found = {unique[index]: reply for index, reply in self.stream(unique)}
        return [found[request] for request in requests]

    def stream(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (index, reply) as replies arrive; see `togi.lm.requests.Streams`."""
        for request in requests:
            if isinstance(request, ScoreRequest):
                self._check_score(request)

        async def work(client: httpx.AsyncClient, index: int) -> Reply:
            request = requests[index]
            if isinstance(request, ScoreRequest):
                return await self._score(client, request)
            return await self._draw(client, request)

        prices = self._transport.prices
        return self._transport.stream(
            work, len(requests), lambda index: most_of(requests[index], prices)
        )

    def _check_score(self, request: ScoreRequest) -> None:
        if not request.continuation:
            raise UsageError("a continuation to score is empty", where=self._transport.where)
        if not isinstance(request.context, str):
            raise SurroundingsError(
                "an endpoint cannot score the answer of a conversation: "
                "its chat interface gives no log-probabilities of a given text",
                where=self._transport.where,
                hint="use generation tasks, plain-text prompts, or a local model",
            )

    async def _score(self, client: httpx.AsyncClient, request: ScoreRequest) -> Scored:
        context = str(request.context)
        text = context + request.continuation
        body = {"prompt": text, "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}
        try:
            reply = await self._transport.post(client, "/completions", self._body(body))
        except Refused as error:
            if error.status in (401, 403, 429):
                raise
            raise self._no_scores(error.message) from error
        logprobs = self._choice(reply).get("logprobs")
        if not isinstance(logprobs, dict):
            raise self._no_scores("a reply without `logprobs`")
        scored = read_echo(logprobs, context, request.continuation)
        if scored is None:
            raise self._no_scores("log-probabilities that do not cover the prompt (no `echo`)")
        return scored

    def _no_scores(self, found: str) -> SurroundingsError:
        return SurroundingsError(NO_SCORES, where=self._transport.where, found=found)

    async def _draw(self, client: httpx.AsyncClient, request: DrawRequest) -> Generated:
        chat = not isinstance(request.prompt, str)
        path = "/chat/completions" if chat else "/completions"
        body = _sampling_body(request)
        if self._asks_logprobs:
            try:
                wanted = {**body, "logprobs": True if chat else 1}
                return self._read_draw(
                    await self._transport.post(client, path, self._body(wanted)), chat
                )
            except Refused as error:
                if error.status not in (400, 422) or "logprob" not in error.message.lower():
                    raise
                self._asks_logprobs = False
        return self._read_draw(await self._transport.post(client, path, self._body(body)), chat)

    def _body(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        merged = {"model": self.model, **fields, **self.extra}
        return {name: value for name, value in merged.items() if value is not None}

    def _choice(self, reply: Mapping[str, Any]) -> dict[str, Any]:
        choices = reply.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            return choices[0]
        raise SurroundingsError(
            "the endpoint's reply has no choices",
            where=self._transport.where,
            found=self._transport.redact(json.dumps(reply)[:200]),
            expected="the OpenAI completions format",
        )

    def _read_draw(self, reply: Mapping[str, Any], chat: bool) -> Generated:
        choice = self._choice(reply)
        text = (choice.get("message") or {}).get("content") if chat else choice.get("text")
        given = choice.get("logprobs") or {}
        if chat:
            values = [token.get("logprob") for token in given.get("content") or []]
        else:
            values = list(given.get("token_logprobs") or [])
        if not values:
            told = (reply.get("usage") or {}).get("completion_tokens") or 0
            values = [None] * told
        finish: Literal["stop", "length"] = (
            "length" if choice.get("finish_reason") == "length" else "stop"
        )
        return Generated(text or "", (UNKNOWN_TOKEN,) * len(values), floats(values), finish)


def _sampling_body(request: DrawRequest) -> dict[str, Any]:
    sampling, prompt = request.sampling, request.prompt
    body: dict[str, Any] = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p if sampling.temperature else None,
        "top_k": sampling.top_k or None,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed % SEEDS,
    }
    if isinstance(prompt, str):
        return {"prompt": prompt, **body}
    return {"messages": [_message(message) for message in prompt], **body}


def _message(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.content}


def _parse(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:  # the URL is not repeated: a password may stand in it
        raise UsageError(
            "the endpoint's URL cannot be read", where="model", found=str(error)
        ) from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageError(
            "the endpoint's URL must begin with http:// or https://",
            where="model",
            found=str(parsed.copy_with(userinfo=b"")),
            expected="openai:https://host/v1#model-name",
        )
    return parsed


def is_loopback(url: str) -> bool:
    """Whether a URL names this very machine.

    >>> is_loopback("http://localhost:8000/v1"), is_loopback("https://example.org/v1")
    (True, False)
    """
    host = httpx.URL(url).host
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
