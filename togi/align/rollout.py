"""Rollouts: answers drawn by the policy, with everything that a round of PPO fixes about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from togi.align.rewards import Answer, RewardSource, checked
from togi.errors import DataError
from togi.lm.base import Generated, Sampling
from togi.lm.forward import Request, stream_scores
from togi.lm.generate import generate
from togi.train.metrics import MetricsLog


@dataclass(frozen=True, slots=True)
class Rollout:
    """One answer: what was drawn, its score, and log-probabilities and values by token [tokens].

    `old` are the policy's, `reference` the reference's; `ended` where the answer ended by itself.
    """

    id: str
    request: Request
    text: str
    score: float
    ended: bool
    old: Tensor
    reference: Tensor
    values: Tensor


class RolloutLog:
    """`rollouts.jsonl`: a line for each answer, with its prompt, score, divergence and reward."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log: MetricsLog | None = None

    def rewind(self, step: int) -> None:
        """Open the file; lines of later steps are taken out."""
        self.close()
        self._log = MetricsLog(self.path, after=step)

    def add(self, step: int, found: Sequence[Rollout], prompts: Mapping[str, Any]) -> None:
        """Write one round's answers; `prompts` are the prompts by the answers' ids."""
        for one in found:
            line = {
                "step": step + 1, "id": one.id,
                "prompt": prompts.get(one.id, prompts.get(one.id.rpartition("#")[0])),
                "response": one.text, "score": one.score, "ended": one.ended,
                "kl": float((one.old - one.reference).sum()), "tokens": len(one.old),
            }  # fmt: skip
            if self._log is not None:
                self._log.add(line)

    def close(self) -> None:
        """Close the file."""
        if self._log is not None:
            self._log.close()
            self._log = None


class Draw:
    """Answers prompts of token ids by a model: how, and where an answer ends.

    Args:
        tokenizer: turns ids into text.
        sampling: how; its seed and n are set for each round.
        stop_ids: ids that end an answer.
        longest: positions that the model has.
    """

    def __init__(
        self, tokenizer: Any, sampling: Sampling, stop_ids: frozenset[int], *, longest: int
    ) -> None:
        self.tokenizer, self.sampling, self.stop_ids = tokenizer, sampling, stop_ids
        self.longest = longest

    @property
    def temperature(self) -> float:
        """What logits are divided by, when drawing and when learning."""
        return self.sampling.temperature

    def __call__(
        self, model: Any, prompts: Sequence[tuple[int, ...]], *, n: int, seed: int
    ) -> list[list[Generated]]:
        """Draw n answers to each prompt."""
        sampling = replace(self.sampling, n=n, seed=seed)
        return generate(
            model, self.tokenizer, prompts, sampling, self.stop_ids, longest=self.longest
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """How a round is played.

    Attributes:
        draw: answers prompts by the policy.
        reward: scores answers.
        reference: a context in which a model answers as the reference: ``with reference(model) as
            frozen``.
        answers: how many to each prompt.
        missing_end: taken off the score of an answer that does not end by itself.
        micro_tokens: tokens at once while answers are scored.
        value: name of the policy's value head.
    """

    draw: Draw
    reward: RewardSource
    reference: Callable[[Any], AbstractContextManager[Any]]
    answers: int = 1
    missing_end: float = 0.0
    micro_tokens: int = 2048
    value: str = "value_head"


def rollouts(model: Any, items: Sequence[Any], plan: Round, *, seed: int) -> list[Rollout]:
    """Draw answers to the items' prompts and score them.

    The policy's log-probabilities are computed anew over whole answers, as the updates will, so
    that the first update's ratio is 1 whatever the rounding of single decoding steps was.

    Args:
        items: each with `id`, `prompt`, `ids` and `metadata`.
        plan: how.
        seed: of the draws.

    Raises:
        DataError: no answer could be drawn, or a reward is not a finite number.
    """
    mode = model.training
    model.eval()
    try:
        drawn = _drawn(model, items, plan, seed)
        scores = checked(plan.reward, drawn, plan.reward(model, drawn)) if drawn else []
        requests = [Request(answer.ids, answer.start) for answer in drawn]
        old, values = _by_token(model, requests, plan, plan.value)
        with plan.reference(model) as frozen:
            before, _ = _by_token(frozen, requests, plan, None)
    finally:
        model.train(mode)
    if not drawn:
        raise DataError("no answer was drawn", where="ppo", hint="raise max_tokens of the answers")
    ends = [answer.ids[-1] in plan.draw.stop_ids for answer in drawn]
    return [
        Rollout(a.id, r, a.text, s - plan.missing_end * (not end), end, o, b, v)
        for a, r, s, end, o, b, v in zip(
            drawn, requests, scores, ends, old, before, values, strict=True
        )
    ]


def _drawn(model: Any, items: Sequence[Any], plan: Round, seed: int) -> list[Answer]:
    """Draw; equal prompts of one step get answers of their own."""
    found: list[Answer] = []
    times = Counter(item.ids for item in items)
    prompts = list(times)
    most = plan.answers * max(times.values(), default=0)
    replies = plan.draw(model, prompts, n=most, seed=seed)
    supply = {ids: iter(drawn) for ids, drawn in zip(prompts, replies, strict=True)}
    for item in items:
        for number in range(plan.answers):
            reply = next(supply[item.ids])
            found.append(
                Answer(
                    id=f"{item.id}#{number}" if plan.answers > 1 else item.id,
                    prompt=item.prompt,
                    text=reply.text,
                    ids=(*item.ids, *reply.token_ids),
                    start=len(item.ids),
                    metadata=dict(item.metadata or {}),
                )
            )
    return found


def _by_token(
    model: Any, requests: Sequence[Request], plan: Round, value: str | None
) -> tuple[list[Tensor], list[Tensor]]:
    """Return each request's log-probabilities, and its values where a head is named."""
    logprobs: list[Tensor] = [torch.empty(0)] * len(requests)
    values: list[Tensor] = [torch.empty(0)] * len(requests)
    budget, temperature = plan.micro_tokens, plan.draw.temperature
    for pack, scores in stream_scores(model, requests, budget=budget, temperature=temperature):
        lengths = [len(requests[i].ids) - requests[i].start for i in pack]
        for i, part in zip(pack, scores.tokens.logprobs.cpu().split(lengths), strict=True):
            logprobs[i] = part
        if value is not None:
            with torch.no_grad():
                found = getattr(model, value)(scores.states).cpu().split(lengths)
            for i, part in zip(pack, found, strict=True):
                values[i] = part
    return logprobs, values
