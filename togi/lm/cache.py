"""Any language model with a reply cache before it: only what is missing is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from togi.lm.base import Generated, LanguageModel, Sampling, Scored
from togi.lm.replies import VERSION, ReplyCache, Stored
from togi.lm.requests import DrawRequest, Request, ScoreRequest, Streams, draws
from togi.rows.types import Prompt

__all__ = ["Cached", "ReplyCache", "request_key"]


def request_key(fingerprint: str, request: Request) -> bytes:
    """Return the 32-byte key of a request to the model of that fingerprint.

    >>> a, b = (request_key(m, ScoreRequest("x", "y")) for m in ("model 1", "model 2"))
    >>> len(a), a == b
    (32, False)
    """
    if isinstance(request, ScoreRequest):
        fields: list[Any] = ["score", _plain(request.context), request.continuation]
    else:
        sampling = asdict(request.sampling)
        if request.sampling.temperature == 0:  # greedy: what steers the drawing has no effect
            sampling |= {"seed": 0, "top_p": 1.0, "top_k": 0}
        fields = ["generate", _plain(request.prompt), sampling]
    text = json.dumps([VERSION, fingerprint, *fields], sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=32).digest()


def _plain(prompt: Prompt) -> str | list[list[str]]:
    return prompt if isinstance(prompt, str) else [[m.role, m.content] for m in prompt]


class Cached:
    """A language model whose replies are kept; a repeated or resumed call asks what is missing.

    A model that streams (an endpoint) has each reply stored as it arrives; another is asked in
    chunks, each committed when it is done, so that a crash loses one chunk at most. The chunks
    do not depend on time, so a run can be repeated exactly.

    Args:
        model: the model that answers what is missing.
        cache: where replies are kept.
        score_chunk: continuations asked at once; large, so that shared beginnings stay shared.
        draw_chunk: answers drawn at once.

    Attributes:
        model: the inner model.
        found: requests answered from the cache so far.
        asked: requests that reached the inner model so far.
    """

    def __init__(
        self,
        model: LanguageModel,
        cache: ReplyCache,
        *,
        score_chunk: int = 1024,
        draw_chunk: int = 128,
    ) -> None:
        self.model, self.cache = model, cache
        self.score_chunk, self.draw_chunk = score_chunk, draw_chunk
        self.found, self.asked = 0, 0

    def __repr__(self) -> str:
        return f"Cached({self.model!r}, {str(self.cache.path)!r})"

    @property
    def name(self) -> str:
        """The inner model's name."""
        return self.model.name

    @property
    def fingerprint(self) -> str:
        """The inner model's fingerprint."""
        return self.model.fingerprint

    def score(self, contexts: Sequence[Prompt], continuations: Sequence[str]) -> list[Scored]:
        """Score as the inner model would; see `LanguageModel.score`."""
        pairs = zip(contexts, continuations, strict=True)

        def ask(missing: Sequence[ScoreRequest]) -> list[list[Scored]]:
            contexts = [request.context for request in missing]
            scored = self.model.score(contexts, [request.continuation for request in missing])
            return [[one] for one in scored]

        requests = [ScoreRequest(c, a) for c, a in pairs]
        return [reply[0] for reply in self._answer(requests, ask, self.score_chunk)]

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Generated]]:
        """Draw as the inner model would; see `LanguageModel.generate`."""
        if isinstance(self.model, Streams):  # one request a draw: none is paid for twice
            split = [draw for prompt in prompts for draw in draws(prompt, sampling)]
            replies = iter(self._answer(split, None, 1))
            return [[next(replies)[0] for _ in range(sampling.n)] for _ in prompts]

        def ask(missing: Sequence[DrawRequest]) -> list[list[Generated]]:
            return self.model.generate([request.prompt for request in missing], sampling)

        chunk = max(1, self.draw_chunk // sampling.n)
        return self._answer([DrawRequest(p, sampling) for p in prompts], ask, chunk)

    def _answer(
        self,
        requests: Sequence[Any],
        ask: Callable[[Sequence[Any]], Sequence[Stored]] | None,
        chunk: int,
    ) -> list[Any]:
        """Answer from the cache, asking each missing request once and storing as it goes."""
        fingerprint = self.fingerprint
        keys = [request_key(fingerprint, request) for request in requests]
        replies = self.cache.get(dict.fromkeys(keys))
        missing = {k: r for k, r in zip(keys, requests, strict=True) if k not in replies}
        self.found += len(replies)
        for stored in self._ask(missing, ask, chunk):
            self.cache.put(stored)
            self.asked += len(stored)
            replies.update(stored)
        return [replies[key] for key in keys]

    def _ask(
        self,
        missing: dict[bytes, Any],
        ask: Callable[[Sequence[Any]], Sequence[Stored]] | None,
        chunk: int,
    ) -> Iterator[list[tuple[bytes, Stored]]]:
        keys, requests = list(missing), list(missing.values())
        if isinstance(self.model, Streams):
            for index, reply in self.model.stream(requests):
                yield [(keys[index], [reply])]  # type: ignore[list-item]  # all of one kind
            return
        assert ask is not None  # noqa: S101  # only a streaming model is asked without it
        for start in range(0, len(keys), chunk):
            part = slice(start, start + chunk)
            yield list(zip(keys[part], ask(requests[part]), strict=True))
