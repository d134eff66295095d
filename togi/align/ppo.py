"""PPO on language models: draw answers, reward them, move towards the better ones, not too far.

Ziegler et al. 2019 (arXiv 1909.08593), Ouyang et al. 2022 (2203.02155). One step of the training
loop is one round: the step's prompts are answered by the policy as it stands, each answer gets a
score at its last real token and pays for its divergence from the reference at every token, and
several passes of clipped updates are made on them. Policy, value, reference and reward model share
one trunk: the value is a head on the policy, the reference the policy with its adapter off.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from togi.align.ppo_math import (
    DIVERGENCES,
    adapted,
    advantages,
    policy_loss,
    token_rewards,
    value_loss,
    whitened,
)
from togi.align.rewards import plain
from togi.align.rollout import Rollout, RolloutLog, Round, rollouts
from togi.errors import UsageError, nearest
from togi.lm.forward import Request, answer_scores
from togi.rows.types import Prompt
from togi.stats.rng import derive, stream

VALUE_HEAD = "value_head"
"""Name of the value's head on the policy."""


@dataclass(frozen=True, slots=True)
class PpoItem:
    """A prompt to answer."""

    id: str
    prompt: Prompt
    ids: tuple[int, ...]
    metadata: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PpoSettings:
    """How PPO learns; wrong values raise `UsageError` when it is built.

    >>> PpoSettings(target=6.0).beta
    0.05
    """

    beta: float = 0.05
    "Weight of the divergence from the reference."
    target: float | None = None
    "Divergence of an answer in nats that beta is moved towards; None keeps beta as it is."
    horizon: int = 10_000
    "Answers over which beta is moved."
    divergence: str = "k1"
    "A key of `togi.align.ppo_math.DIVERGENCES`, for the tokens' rewards."
    passes: int = 4
    "Times that a round's answers are learnt from."
    minibatches: int = 1
    "Updates in one pass."
    clip: float = 0.2
    "How far a token's probability ratio may move before it counts no further."
    value_clip: float = 0.2
    "How far a value may move in a round before its error counts in full."
    value_weight: float = 0.1
    "Weight of the value's loss."
    gamma: float = 1.0
    "Discount of later tokens."
    lam: float = 0.95
    "How far advantages look ahead: 0 one token, 1 to the end."
    whiten: bool = True
    "Bring the advantages of a round to mean 0 and deviation 1."

    def __post_init__(self) -> None:
        if self.divergence not in DIVERGENCES:
            raise UsageError(
                "unknown estimator", where="ppo.divergence", found=self.divergence,
                expected=nearest(self.divergence, DIVERGENCES),
            )  # fmt: skip
        checks = [
            (0 <= self.beta < math.inf, "beta", "at least 0"),
            (self.target is None or self.target > 0, "target", "more than 0"),
            (self.horizon >= 1, "horizon", "at least 1"),
            (self.passes >= 1, "passes", "at least 1"),
            (self.minibatches >= 1, "minibatches", "at least 1"),
            (0 < self.clip < 1, "clip", "between 0 and 1"),
            (self.value_clip > 0, "value_clip", "more than 0"),
            (self.value_weight >= 0, "value_weight", "at least 0"),
            (0 <= self.gamma <= 1, "gamma", "between 0 and 1"),
            (0 <= self.lam <= 1, "lam", "between 0 and 1"),
        ]
        for good, name, expected in checks:
            if not good:
                raise UsageError(
                    f"{name} is out of range", where=f"ppo.{name}",
                    found=repr(getattr(self, name)), expected=expected,
                )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PpoSample:
    """One answer with what the round fixed for each of its tokens, as [tokens] tensors."""

    id: str
    request: Request
    old: Tensor
    old_values: Tensor
    advantages: Tensor
    returns: Tensor


class Ppo:
    """The PPO objective for `togi.train.loop.train`; a step is one round.

    Args:
        settings: see `PpoSettings`.
        plan: draws and scores answers; see `togi.align.rollout.Round`.
        seed: of the answers and of the passes' order.
        log: where each round's answers are written.
    """

    name = "ppo"

    def __init__(
        self, settings: PpoSettings, plan: Round, *, seed: int = 0, log: RolloutLog | None = None
    ) -> None:
        self.words = f"{settings} reward={plan.reward.name} seed={seed}"
        self._settings, self._plan, self._seed, self._log = settings, plan, seed, log
        self.state: dict[str, float] = {"beta": settings.beta}
        self.told: dict[str, float] = {}

    def weight(self, item: PpoItem | PpoSample) -> float:
        """Return an answer's tokens: each token of a minibatch counts the same."""
        return float(len(item.old)) if isinstance(item, PpoSample) else 1.0

    def cost(self, item: PpoItem | PpoSample) -> int:
        """Return the tokens put through the model in an update."""
        ids = item.request.ids if isinstance(item, PpoSample) else item.ids
        return len(ids) - 1 if isinstance(item, PpoSample) else len(ids)

    def updates(
        self, model: Any, items: Sequence[PpoItem], step: int
    ) -> Iterator[Sequence[PpoSample]]:
        """Answer the prompts, reward the answers, and yield the minibatches of all passes."""
        seed = derive(self._seed, "answers", step) >> 1
        found = rollouts(model, items, self._plan, seed=seed)
        if self._log is not None:
            self._log.add(step, found, {item.id: plain(item.prompt) for item in items})
        samples = self._samples(found)
        for number in range(self._settings.passes):
            order = stream(self._seed, "ppo", step, number).permutation(len(samples))
            parts = min(self._settings.minibatches, len(samples))
            for part in range(parts):
                yield [samples[i] for i in order[part::parts]]
        self._adapt(found)

    def rewind(self, step: int) -> None:
        """Take back what was written of rounds after that step."""
        if self._log is not None:
            self._log.rewind(step)

    def close(self) -> None:
        """Close the file of answers, and end a reward function's process."""
        if self._log is not None:
            self._log.close()
        close = getattr(self._plan.reward, "close", None)
        if close is not None:
            close()

    def _samples(self, found: Sequence[Rollout]) -> list[PpoSample]:
        """Turn rollouts into rewards, advantages and returns, all answers together."""
        settings, beta = self._settings, self.state["beta"]
        mask = padded([torch.ones(len(r.old), dtype=torch.bool) for r in found])
        old, reference, values = (
            padded([getattr(r, name) for r in found]) for name in ("old", "reference", "values")
        )
        paid = DIVERGENCES[settings.divergence](old, reference)
        scores = torch.tensor([r.score for r in found], dtype=old.dtype)
        rewards = token_rewards(scores, paid, mask, beta)
        gained, returns = advantages(
            rewards, values, mask, gamma=settings.gamma, lam=settings.lam
        )  # fmt: skip
        self._tell(found, rewards, returns, values, mask)
        if settings.whiten:
            gained = whitened(gained, mask)
        return [
            PpoSample(r.id, r.request, r.old, r.values, gained[i, :n], returns[i, :n])
            for i, r in enumerate(found)
            for n in [len(r.old)]
        ]

    def _tell(
        self, found: Sequence[Rollout], rewards: Tensor, returns: Tensor, values: Tensor,
        mask: Tensor,
    ) -> None:  # fmt: skip
        """Note the round's figures for the log."""
        n = len(found)
        spread = returns[mask].var(unbiased=False)
        error = (returns - values)[mask].var(unbiased=False)
        self.told = {
            "objective/scores": sum(r.score for r in found) / n,
            "objective/kl": sum(float((r.old - r.reference).sum()) for r in found) / n,
            "objective/rlhf_reward": float(rewards.sum()) / n,
            "objective/entropy": sum(float(-r.old.sum()) for r in found) / n,
            "objective/beta": self.state["beta"],
            "val/explained_variance": float(1 - error / spread) if spread > 0 else math.nan,
            "answers/tokens": sum(len(r.old) for r in found) / n,
            "answers/ended": sum(r.ended for r in found) / n,
        }

    def _adapt(self, found: Sequence[Rollout]) -> None:
        target = self._settings.target
        if target is not None:
            self.state["beta"] = adapted(
                self.state["beta"], self.told["objective/kl"], target=target,
                answers=len(found), horizon=self._settings.horizon,
            )  # fmt: skip

    def loss(
        self, model: Any, items: Sequence[PpoSample]
    ) -> tuple[Tensor, dict[str, tuple[float, float]]]:
        """Return the clipped losses of policy and value, summed over the answers' tokens."""
        settings = self._settings
        scores = answer_scores(
            model, [item.request for item in items], temperature=self._plan.draw.temperature
        )
        new, values = scores.tokens.logprobs, getattr(model, VALUE_HEAD)(scores.states)
        old, was, gained, returned = (
            torch.cat([getattr(item, name) for item in items]).to(new)
            for name in ("old", "old_values", "advantages", "returns")
        )
        log_ratio = new - old
        ratio = log_ratio.exp()
        policy = policy_loss(ratio, gained, settings.clip)
        value = value_loss(values, was.to(values), returned.to(values), settings.value_clip)
        n, moved = float(len(new)), log_ratio.detach()
        measures = {
            "policy/approxkl": (float(0.5 * moved.square().sum()), n),
            "policy/clipfrac": (float(((ratio.detach() - 1).abs() > settings.clip).sum()), n),
            "loss/policy": (float(policy.detach().sum()), n),
            "loss/value": (float(value.detach().sum()), n),
            "val/ratio": (float(ratio.detach().sum()), n),
        }
        return policy.sum() + settings.value_weight * value.sum().to(policy.dtype), measures


def padded(rows: Sequence[Tensor]) -> Tensor:
    """Lay rows of different length into one tensor, zeros (False) behind their ends.

    >>> padded([torch.tensor([1.0, 2.0]), torch.tensor([3.0])]).tolist()
    [[1.0, 2.0], [3.0, 0.0]]
    """
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
