"""The arithmetic of PPO on ragged answers: returns, advantages, divergences, clipped losses.

Answers are rows of [answers, longest] tensors with a mask that is True on their tokens; what
lies beyond an answer's end counts nowhere.   Sources: Schulman et al. 2016 (arXiv 1506.02438) for
the advantages, Schulman et al. 2017 (1707.06347) for the losses, Ziegler et al. 2019 (1909.08593)
for the rewards and the adaptive weight of the divergence.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def token_rewards(scores: Tensor, divergence: Tensor, mask: Tensor, weight: float) -> Tensor:
    """Return each token's reward: minus the weighted divergence, plus the score at the last token.

    Args:
        scores: [answers]; divergence, mask: [answers, longest]; weight: beta.

    >>> mask = torch.tensor([[True, True, False]])
    >>> token_rewards(torch.tensor([1.0]), torch.tensor([[0.5, 0.5, 9.0]]), mask, 0.1).tolist()
    [[-0.05000000074505806, 0.949999988079071, 0.0]]
    """
    rewards = torch.where(mask, -weight * divergence, 0.0)
    last = mask.sum(1, keepdim=True) - 1
    return rewards.scatter_add(1, last, scores[:, None].to(rewards.dtype))


def advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float = 1.0, lam: float = 0.95
) -> tuple[Tensor, Tensor]:
    """Return generalised advantages and the returns they imply, [answers, longest] each.

    ``delta_t = r_t + gamma v_{t+1} - v_t`` and ``A_t = delta_t + gamma lam A_{t+1}``, where the
    value after the last token is 0; the return is A + v.

    >>> rewards, values = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.5]])
    >>> found, returns = advantages(rewards, values, torch.ones(1, 2).bool(), lam=1.0)
    >>> found.tolist(), returns.tolist()
    ([[0.5, 0.5]], [[1.0, 1.0]])
    """
    values, rewards = torch.where(mask, values, 0.0), torch.where(mask, rewards, 0.0)
    found = torch.zeros_like(values)
    after, following = torch.zeros_like(values[:, 0]), torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * following - values[:, t]
        after = torch.where(mask[:, t], delta + gamma * lam * after, 0.0)
        found[:, t], following = after, values[:, t]
    return found, found + values


def whitened(values: Tensor, mask: Tensor, *, keep_mean: bool = False) -> Tensor:
    """Return values of mean 0 and deviation 1 over the mask; constant ones only lose their mean.

    >>> whitened(torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([[True, True, False]])).tolist()
    [[-1.0, 1.0, 0.0]]
    """
    known = values[mask]
    mean, deviation = known.mean(), known.var(unbiased=False).sqrt()
    scaled = (values - mean) / torch.where(deviation > 1e-8, deviation, torch.ones_like(deviation))
    return torch.where(mask, scaled + mean if keep_mean else scaled, 0.0)


def k1(policy: Tensor, reference: Tensor) -> Tensor:
    """Return log p - log q on samples of p: unbiased for KL(p || q), of either sign."""
    return policy - reference


def k2(policy: Tensor, reference: Tensor) -> Tensor:
    """Return half the square of the same: never negative, biased."""
    return 0.5 * (policy - reference).square()


def k3(policy: Tensor, reference: Tensor) -> Tensor:
    """Return q/p - 1 - log(q/p): never negative, and unbiased.

    >>> k3(torch.tensor(0.0), torch.tensor(0.0)).item()
    0.0
    """
    gap = reference - policy
    return gap.exp() - 1 - gap


DIVERGENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"k1": k1, "k2": k2, "k3": k3}
"""Estimators of KL(policy || reference) from one token's log-probabilities."""


def policy_loss(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """Return max(-A ratio, -A clip(ratio, 1 - clip, 1 + clip)) by token.

    >>> policy_loss(torch.tensor([1.5, 0.5]), torch.tensor([1.0, 1.0]), 0.2).tolist()
    [-1.2000000476837158, -0.5]
    """
    return torch.maximum(-advantage * ratio, -advantage * ratio.clamp(1 - clip, 1 + clip))


def value_loss(value: Tensor, old: Tensor, returned: Tensor, clip: float) -> Tensor:
    """Return half the larger squared error of the value and of the value held near its old one."""
    held = old + (value - old).clamp(-clip, clip)
    return 0.5 * torch.maximum((value - returned).square(), (held - returned).square())


def adapted(
    weight: float, divergence: float, *, target: float, answers: int, horizon: int
) -> float:
    """Return the divergence's weight moved towards its target (Ziegler et al. 2019, §2.2).

    >>> round(adapted(0.1, 12.0, target=6.0, answers=512, horizon=10_000), 6)
    0.101024
    """
    error = min(0.2, max(-0.2, divergence / target - 1))
    return weight * (1 + error * answers / horizon)


def best_of_n_divergence(n: int) -> float:
    """Return KL of the best of n answers from the model that drew them: log n - (n - 1) / n.

    It is exact where no two answers have the same reward, and an upper bound otherwise
    (Stiennon et al. 2020, appendix G.3; Beirami et al. 2024).

    >>> round(best_of_n_divergence(1), 12), round(best_of_n_divergence(4), 4)
    (0.0, 0.6363)
    """
    import math

    return math.log(n) - (n - 1) / n
