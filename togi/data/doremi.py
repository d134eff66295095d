"""DoReMi: weights of domains by group DRO on excess loss, as an objective of the training loop.

Xie et al. 2023 (arXiv 2305.10429), algorithm 1. At each step, with the proxy's loss l and the
reference's r of each token, a domain's excess is the mean of max(l - r, 0) over its tokens of the
step; its weight is multiplied by exp(eta * excess), all are normalised, and mixed with the uniform
ones: (1 - c) alpha + c/k. The proxy then learns from the sum over domains of weight times mean
loss. What comes out is the mean of the weights over the steps.

Where the authors' code differs from their paper, the paper is followed; `loss="tokens"` is the
code's own. A domain that is absent from a step keeps its share of the weights, as nothing was seen
of it: the code takes its last excess, which before the first is ln(vocabulary) and so lets one
absent from the first batch take all the weight (github.com/sangmichaelxie/doremi, issue 5).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from togi.data.mixture import normalised
from togi.errors import DataError, UsageError, nearest
from togi.lm.forward import Request, answer_scores

Clip = Literal["token", "domain"]
Loss = Literal["domains", "tokens"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DomainItem:
    """A piece of a domain's text: its token ids, and the reference's loss of each trained token.

    `reference` [tokens] is in nats, empty until computed; `size` is the piece's bytes of text.
    """

    id: str
    request: Request
    domain: int
    size: int
    reference: NDArray[np.float32]

    @property
    def trained_tokens(self) -> int:
        """Number of tokens that carry loss."""
        return len(self.request.ids) - self.request.start


def reweighted(alpha: Floats, excess: Floats, *, eta: float, smoothing: float) -> Floats:
    """Return the next weights from these and each domain's excess loss in nats a token.

    An excess of NaN says that the domain was absent: it keeps its share, and the others move
    among themselves. The result sums to 1 and is nowhere below smoothing / k.

    >>> alpha, excess = np.full(2, 0.5), np.array([math.log(3), 0.0])  # 3 : 1 before smoothing
    >>> reweighted(alpha, excess, eta=1.0, smoothing=0.2).round(3).tolist()
    [0.7, 0.3]
    """
    here = np.isfinite(excess)
    moved = np.array(alpha, dtype=np.float64)
    if here.any():
        with np.errstate(divide="ignore"):  # without smoothing a weight may have become 0
            logs = np.log(moved[here]) + eta * excess[here]
        grown = np.exp(logs - logs.max())
        moved[here] = moved[here].sum() * grown / grown.sum()
    return (1 - smoothing) * moved + smoothing / len(moved)


def mean_by_domain(values: Tensor, domain: Tensor, k: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return each domain's mean of token values [n] (NaN where it has none), and its tokens.

    >>> mean_by_domain(torch.tensor([1.0, 3.0]), torch.tensor([0, 0]), 2)[0].tolist()
    [2.0, nan]
    """
    sums = np.bincount(domain.numpy(), weights=values.double().cpu().numpy(), minlength=k)
    counts = np.bincount(domain.numpy(), minlength=k)
    with np.errstate(invalid="ignore"):
        return sums / counts, counts


class DoReMi:
    """The proxy's objective for `togi.train.loop.train`; its weights are in `state`.

    Where a step's items fit into `micro_tokens`, which must be the loop's, one forward pass serves
    both players; otherwise the excess of the whole step is taken first, so that the weights are
    never those of a part of it.

    Args:
        domains: their names, in the order of the items' numbers.
        eta: step of the weights, more than 0.
        smoothing: share c of the uniform weights that is mixed in, in [0, 1).
        clip: "token" cuts each token's excess at 0 (the paper's), "domain" only the mean's: without
            it a domain on which proxy and reference differ by chance only still seems to lag.
        loss: "domains" sums weight times mean loss over domains (the paper's), "tokens" weighs
            each token by alpha / sampled and divides by the weights' sum (the authors' code).
        sampled: [k] the weights that the steps are drawn by; uniform by default.
        micro_tokens: the loop's.

    Raises:
        UsageError: a setting out of range.
    """

    name = "doremi"
    scores_only = True

    def __init__(
        self,
        domains: Sequence[str],
        *,
        eta: float = 1.0,
        smoothing: float = 1e-3,
        clip: Clip = "token",
        loss: Loss = "domains",
        sampled: Sequence[float] | None = None,
        micro_tokens: int = 1024,
    ) -> None:
        for good, setting, value, expected in (
            (len(domains) >= 2, "domains", len(domains), "at least 2"),
            (0 < eta < math.inf, "eta", eta, "more than 0"),
            (0 <= smoothing < 1, "smoothing", smoothing, "in [0, 1)"),
            (clip in get_args(Clip), "clip", clip, nearest(str(clip), get_args(Clip))),
            (loss in get_args(Loss), "loss", loss, nearest(str(loss), get_args(Loss))),
        ):
            if not good:
                raise UsageError(f"{setting} is out of range", where=f"doremi.{setting}",
                                 found=str(value), expected=expected)  # fmt: skip
        k = len(domains)
        self.eta, self.smoothing, self.clip, self.loss_kind = eta, smoothing, clip, loss
        self.names = ", ".join(domains)
        self._domains, self._micro_tokens = tuple(domains), micro_tokens
        self._sampled = normalised(np.ones(k) if sampled is None else sampled)
        self._counts = np.zeros(k, dtype=np.int64)
        self._known, self._rows = False, 0
        self.state: dict[str, float] = {"steps": 0.0}
        self.told: dict[str, float] = {}
        for name in domains:
            self.state |= {f"alpha/{name}": 1 / k, f"sum/{name}": 0.0}

    @property
    def alpha(self) -> Floats:
        """The weights as they stand, [k]."""
        return np.array([self.state[f"alpha/{name}"] for name in self._domains])

    @property
    def average(self) -> Floats:
        """The mean of the weights over the steps so far, [k]; what DoReMi is run for."""
        steps = self.state["steps"]
        if not steps:
            return self.alpha
        return np.array([self.state[f"sum/{name}"] / steps for name in self._domains])

    def weight(self, item: DomainItem) -> float:
        """Return 1; what counts is in the loss."""
        return 1.0

    def cost(self, item: DomainItem) -> int:
        """Return the tokens put through the model; the last one is only predicted."""
        return len(item.request.ids) - 1

    def updates(
        self, model: Any, items: Sequence[DomainItem], step: int
    ) -> Iterator[Sequence[DomainItem]]:
        """Move the weights by the whole step, now or within its only forward pass."""
        self._known, self._rows = False, len(items)
        if sum(map(self.cost, items)) > self._micro_tokens:
            with torch.no_grad():
                parts = [_losses(model, part) for part in runs_of(items, self._micro_tokens)]
            self._move(torch.cat(parts), items)
        yield items

    def loss(
        self, model: Any, items: Sequence[DomainItem]
    ) -> tuple[Tensor, dict[str, tuple[float, float]]]:
        """Return the step's loss (its part on these items) times its rows, and the mean loss."""
        losses = _losses(model, items)
        if not self._known and len(items) < self._rows:
            raise UsageError(
                "the objective and the loop split a step differently", where="doremi.micro_tokens",
                found=str(self._micro_tokens), expected="the loop's",
            )  # fmt: skip
        if not self._known:
            self._move(losses.detach(), items)
        weights = torch.from_numpy(self._rows * self._each())[_domains(items)].to(losses)
        return (weights * losses).sum(), {
            "nats_a_token": (float(losses.detach().sum()), float(len(losses)))
        }

    def _each(self) -> Floats:
        """Return what one token of each domain counts in the step's loss, 0 for absent ones."""
        here, none = self._counts > 0, np.zeros(len(self._counts))
        if self.loss_kind == "domains":
            return np.divide(self.alpha, self._counts, out=none, where=here)
        ratio = np.divide(self.alpha, self._sampled, out=none, where=here)
        return ratio / np.sum(ratio * self._counts)

    def _move(self, losses: Tensor, items: Sequence[DomainItem]) -> None:
        """Update the weights from the losses of all tokens of the step, and tell of it."""
        k, domain = len(self._domains), _domains(items)
        gap = losses - _references(items).to(losses)
        raw, self._counts = mean_by_domain(gap, domain, k)
        cut = mean_by_domain(gap.clamp(min=0), domain, k)[0]
        excess = cut if self.clip == "token" else np.maximum(raw, 0)
        if not np.isfinite(excess[self._counts > 0]).all():
            return self._not_finite(excess)
        alpha = reweighted(self.alpha, excess, eta=self.eta, smoothing=self.smoothing)
        self._known, self._rows = True, len(items)
        self.state["steps"] += 1
        self.told = {"alpha_entropy": float(-np.sum(alpha * np.log(np.maximum(alpha, 1e-300))))}
        for number, name in enumerate(self._domains):
            self.state[f"alpha/{name}"] = float(alpha[number])
            self.state[f"sum/{name}"] += float(alpha[number])
            self.told[f"alpha/{name}"] = float(alpha[number])
            if self._counts[number]:
                self.told[f"excess/{name}"] = float(excess[number])
                self.told[f"excess_unclipped/{name}"] = float(raw[number])
        return None

    def _not_finite(self, excess: Floats) -> None:
        lost = [n for n, e in zip(self._domains, excess, strict=True) if not math.isfinite(e)]
        raise DataError("the loss is not finite", found=f"domain {', '.join(lost[:8])}",
                        expected="a number")  # fmt: skip


def _losses(model: Any, items: Sequence[DomainItem]) -> Tensor:
    """Return the loss in nats of each trained token, items end to end."""
    return -answer_scores(model, [item.request for item in items]).tokens.logprobs


def _domains(items: Sequence[DomainItem]) -> Tensor:
    """Return the domain of each trained token."""
    numbers = torch.tensor([item.domain for item in items])
    return numbers.repeat_interleave(torch.tensor([item.trained_tokens for item in items]))


def _references(items: Sequence[DomainItem]) -> Tensor:
    for item in items:
        if len(item.reference) != item.trained_tokens:
            raise UsageError(
                "the reference's losses are missing", where=f"row {item.id}",
                found=f"{len(item.reference)} of {item.trained_tokens} tokens",
                hint="fill them in with togi.data.reference_losses.with_losses",
            )  # fmt: skip
    return torch.from_numpy(np.concatenate([item.reference for item in items]))


def runs_of(items: Sequence[DomainItem], budget: int) -> Iterator[list[DomainItem]]:
    """Split items in their order into parts of at most `budget` tokens (or one item)."""
    part: list[DomainItem] = []
    used = 0
    for item in items:
        cost = len(item.request.ids) - 1
        if part and used + cost > budget:
            yield part
            part, used = [], 0
        part.append(item)
        used += cost
    yield part
