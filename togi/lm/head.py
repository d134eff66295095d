"""The output head, only where a log-probability is wanted, and never the whole vocabulary table.

For one row, ``d log p(t) / dh = W[t] - sum_v p(v) W[v]`` does not depend on what the loss makes
of the log-probability. So the forward pass, which has the logits at hand, leaves this vector
behind, and the backward pass only scales it: logits are computed once and never kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

ROWS = 128
"Rows of logits held at a time: 25 MB in float32 at a vocabulary of 49,152, and 1 % of the time."


@dataclass(slots=True)
class TokenScores:
    """Log-probabilities [n] of the wanted tokens, and whether each was the most probable."""

    logprobs: Tensor
    greedy: Tensor


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        wide = torch.promote_types(hidden.dtype, torch.float32)
        logprobs = torch.empty(len(targets), dtype=wide, device=hidden.device)
        greedy = torch.empty(len(targets), dtype=torch.bool, device=hidden.device)
        unit = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for start in range(0, len(targets), ROWS):
            rows = slice(start, start + ROWS)
            wanted = targets[rows, None]
            logits = torch.nn.functional.linear(hidden[rows], weight, bias).to(wide)
            hit = logits.gather(1, wanted)
            top = logits.amax(1, keepdim=True)
            logits.sub_(top).exp_()
            total = logits.sum(1, keepdim=True)
            logprobs[rows] = (hit - top - total.log()).squeeze(1)
            greedy[rows] = (hit >= top).squeeze(1)
            if unit is not None:
                mean = logits.div_(total).to(hidden.dtype) @ weight
                torch.sub(weight[targets[rows]], mean, out=unit[rows])
        ctx.save_for_backward(unit)
        ctx.mark_non_differentiable(greedy)
        return logprobs, greedy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (unit,) = ctx.saved_tensors
        return (unit * grads[0].to(unit.dtype)[:, None]).to(unit.dtype), None, None, None


def token_logprobs(
    hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None = None
) -> TokenScores:
    """Return log p(target) for each row of hidden states.

    Args:
        hidden: [n, width] states at the tokens *before* the targets.
        weight: [vocabulary, width] of the output head; bias: [vocabulary] or None.
        targets: [n] token ids.

    Where the head itself is trained, autograd works through one chunk at a time instead.

    >>> uniform = token_logprobs(torch.zeros(1, 2), torch.zeros(4, 2), torch.tensor([3]))
    >>> round(uniform.logprobs.item(), 4)  # ln 1/4
    -1.3863
    """
    if torch.is_grad_enabled() and weight.requires_grad:
        return _trained_head(hidden, weight, targets, bias)
    logprobs, greedy = _TokenLogprobs.apply(hidden, weight, bias, targets)  # type: ignore[misc]
    return TokenScores(logprobs, greedy)


def _trained_head(
    hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None
) -> TokenScores:
    def chunk(h: Tensor, w: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        wide = torch.promote_types(h.dtype, torch.float32)
        logits = torch.nn.functional.linear(h, w, bias).to(wide)
        hit = logits.gather(1, t[:, None]).squeeze(1)
        return hit - logits.logsumexp(1), hit.detach() >= logits.detach().amax(1)

    parts = [
        checkpoint(chunk, hidden[i : i + ROWS], weight, targets[i : i + ROWS], use_reentrant=False)
        for i in range(0, len(targets), ROWS)
    ]
    return TokenScores(torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts]))
