"""KTO: learn from thumbs up and down, one answer at a time.

Ethayarajh et al. 2024 (arXiv 2402.01306), eq. 7 and 8. With ``r`` the log-ratio of an answer,
policy to reference, and ``z`` a reference point, the loss of a good answer is ``w (1 - sigma(beta
(r - z)))`` and of a bad one ``w (1 - sigma(beta (z - r)))``: it levels off on both sides, so that
extreme answers, which are often mislabelled, pull little.

The reference point estimates the divergence of the policy from the reference: the mean log-ratio,
over the step's rows, of *another* row's answer after the row's own prompt, at least 0, without a
gradient. Whose answer that is, is drawn once for the whole data set, and never one to the same
prompt: so the reference's log-probabilities of both are computed once, and rows may be shuffled.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from togi.align.reference import cached_sums, reference_sums
from togi.align.sft import as_request
from togi.errors import DataError, UsageError, nearest
from togi.lm.forward import Request, answer_scores
from togi.rows.types import Dropped, Feedback, Preference
from togi.stats.rng import stream

if TYPE_CHECKING:
    from togi.rows.chat import Renderer

SATURATED = 4.0
"""A loss whose argument is beyond this has lost 93 % of its gradient."""
BALANCED = (1.0, 4 / 3)
"""Where w_D n_D / (w_U n_U) shall lie (the paper's eq. 8)."""


def kto(ratio: Tensor, point: Tensor, sign: Tensor, beta: float) -> Tensor:
    """Return 1 - sigma(beta (r - z)) for good answers (sign 1), with r and z turned for bad ones.

    >>> import torch
    >>> kto(torch.tensor([0.0]), torch.tensor([0.0]), torch.tensor([1.0]), beta=0.1).item()
    0.5
    """
    return (-sign * beta * (ratio - point)).sigmoid()


def apo_zero(ratio: Tensor, point: Tensor, sign: Tensor, beta: float) -> Tensor:
    """Return the same with the reference point at zero (D'Oosterlinck et al. 2024, eq. 7)."""
    return (-sign * beta * ratio).sigmoid()


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "kto": kto,
    "apo_zero": apo_zero,
}


@dataclass(frozen=True, slots=True)
class KtoItem:
    """A rendered row, and another row's answer after the same prompt.

    `reference` and `other_reference` are NaN until computed; `point` and `drift` (the point
    before it is cut off at 0) are the step's.
    """

    id: str
    request: Request
    desirable: bool
    other: Request
    reference: float = math.nan
    other_reference: float = math.nan
    point: float = 0.0
    drift: float = 0.0


class Kto:
    """The KTO objective for `togi.train.loop.train`; a row weighs 1.

    Args:
        beta: strength of the tie to the reference, more than 0.
        desirable_weight, undesirable_weight: what a good and a bad answer's loss is multiplied by.
        loss: a key of `LOSSES`.
        point_rows: rows of a step from which the reference point is taken; 0 for all of them.
        micro_tokens: tokens at once while it is taken.
    """

    name = "kto"
    scores_only = True

    def __init__(
        self,
        *,
        beta: float = 0.1,
        desirable_weight: float = 1.0,
        undesirable_weight: float = 1.0,
        loss: str = "kto",
        point_rows: int = 0,
        micro_tokens: int = 2048,
    ) -> None:
        weights = {"desirable": desirable_weight, "undesirable": undesirable_weight}
        if not beta > 0:
            raise UsageError("beta must be more than 0", where="kto.beta", found=str(beta))
        for name, weight in weights.items():
            if not 0 < weight < math.inf:
                raise UsageError(
                    f"the weight of {name} answers must be more than 0",
                    where=f"kto.{name}_weight",
                    found=str(weight),
                )
        if loss not in LOSSES:
            raise UsageError(
                "unknown loss", where="kto.loss", found=loss, expected=nearest(loss, LOSSES)
            )
        self.beta, self.loss_name, self._loss = beta, loss, LOSSES[loss]
        self.desirable_weight, self.undesirable_weight = desirable_weight, undesirable_weight
        self.point_rows, self._micro_tokens = point_rows, micro_tokens

    def weight(self, item: KtoItem) -> float:
        """Return 1: each row counts the same, its class's weight is in the loss."""
        return 1.0

    def cost(self, item: KtoItem) -> int:
        """Return the tokens put through the model with gradients; the last is only predicted."""
        return len(item.request.ids) - 1

    def updates(
        self, model: Any, items: Sequence[KtoItem], step: int
    ) -> Iterator[Sequence[KtoItem]]:
        """Fill in the step's reference point, from the policy as it stands."""
        if self.loss_name != "kto":
            yield items
            return
        some = items[: self.point_rows] if self.point_rows else items
        sums = reference_sums(model, [i.other for i in some], budget=self._micro_tokens)
        drift = float(np.mean(sums - [i.other_reference for i in some]))
        yield [replace(item, point=max(0.0, drift), drift=drift) for item in items]

    def loss(
        self, model: Any, items: Sequence[KtoItem]
    ) -> tuple[Tensor, dict[str, tuple[float, float]]]:
        """Return the summed loss of the rows, and measures by class."""
        requests = [item.request for item in items]
        sums = answer_scores(model, requests).sums(len(requests))
        ratio = sums - sums.new_tensor([item.reference for item in items])
        point = sums.new_tensor([item.point for item in items])
        good = sums.new_tensor([float(item.desirable) for item in items])
        weights = good * self.desirable_weight + (1 - good) * self.undesirable_weight
        loss = weights * self._loss(ratio, point, 2 * good - 1, self.beta)
        rewards, raw = self.beta * ratio.detach(), sums.detach()
        saturated = ((rewards - self.beta * point).abs() > SATURATED).float()
        n, up = float(len(items)), float(good.sum())
        measures = {
            "kl/point": (sum(item.point for item in items), n),
            "kl/drift": (sum(item.drift for item in items), n),
            "rewards/chosen": (float((rewards * good).sum()), up),
            "rewards/rejected": (float((rewards * (1 - good)).sum()), n - up),
            "logps/chosen": (float((raw * good).sum()), up),
            "logps/rejected": (float((raw * (1 - good)).sum()), n - up),
            "saturated": (float(saturated.sum()), n),
        }
        return loss.sum(), measures


def balanced_weights(desirable: int, undesirable: int) -> tuple[float, float]:
    """Return the weights (good, bad) that bring w_D n_D / (w_U n_U) into [1, 4/3].

    The class that counts too little is raised, the other keeps its 1.

    >>> balanced_weights(100, 90), balanced_weights(100, 1000), balanced_weights(300, 100)
    ((1.0, 1.0), (10.0, 1.0), (1.0, 2.25))
    """
    ratio = desirable / undesirable
    low, high = BALANCED
    if ratio < low:
        return low / ratio, 1.0
    return (1.0, ratio / high) if ratio > high else (1.0, 1.0)


def other_rows(prompts: Sequence[Any], *, seed: int) -> NDArray[np.int64]:
    """Draw for each row another one with another prompt, each row once (a derangement).

    Rows are laid out prompt by prompt, in a drawn order, and each takes the one that stands the
    size of the largest group further on.

    Raises:
        DataError: one prompt has more than half of the rows, so that there is no such draw.

    >>> prompts = ["a", "a", "b", "c"]
    >>> other = other_rows(prompts, seed=0)
    >>> sorted(other.tolist()), [prompts[i] != prompts[j] for i, j in enumerate(other)]
    ([0, 1, 2, 3], [True, True, True, True])
    """
    groups: dict[Any, list[int]] = {}
    for row, prompt in enumerate(prompts):
        groups.setdefault(prompt, []).append(row)
    largest = max(map(len, groups.values()), default=0)
    if 2 * largest > len(prompts) or len(prompts) < 2:
        raise DataError(
            "KTO needs answers to other prompts to take its reference point from",
            where="kto",
            found=f"one prompt has {largest} of {len(prompts)} rows",
            expected="at most half of the rows to one prompt, and at least two prompts",
        )
    draw = stream(seed, "kto", "others")
    members = list(groups.values())
    line = [row for g in draw.permutation(len(members)) for row in draw.permutation(members[g])]
    found = np.empty(len(line), dtype=np.int64)
    found[line] = np.roll(line, -largest)
    return found


def kto_items(
    rows: Iterable[Feedback | Preference], renderer: Renderer, *, seed: int = 0
) -> tuple[list[KtoItem], Counter[str]]:
    """Render rows, and count by reason those that were left out; a pair gives two rows.

    Raises:
        DataError: for a row of another kind, or where only one class is left.
    """
    dropped: Counter[str] = Counter()
    thumbs = [thumb for row in rows for thumb in _thumbs(row)]
    both = {(t.prompt, t.response) for t in thumbs if t.desirable} & {
        (t.prompt, t.response) for t in thumbs if not t.desirable
    }
    parts = [(t.id, t.prompt, t.response) for t in thumbs]
    kept: list[tuple[Feedback, Request]] = []
    for thumb, rendered in zip(thumbs, renderer.examples(parts), strict=True):
        if isinstance(rendered, Dropped):
            dropped[rendered.reason] += 1
        elif (thumb.prompt, thumb.response) in both:
            dropped["the same answer has both thumbs"] += 1
        else:
            kept.append((thumb, as_request(rendered.prompt_ids, rendered.answer_ids)))
    if kept:
        _both_classes([thumb for thumb, _ in kept])
    others = other_rows([thumb.prompt for thumb, _ in kept], seed=seed) if kept else []
    longest = getattr(renderer, "max_tokens", None)
    items = []
    for (thumb, request), j in zip(kept, others, strict=True):
        answer = kept[j][1]
        ids = request.ids[: request.start] + answer.ids[answer.start :]
        other = Request(ids[:longest], request.start)
        items.append(KtoItem(thumb.id, request, thumb.desirable, other))
    return items, dropped


def _thumbs(row: Feedback | Preference) -> list[Feedback]:
    if isinstance(row, Feedback):
        return [row]
    if isinstance(row, Preference):
        sides = ((row.chosen, True), (row.rejected, False))
        return [
            Feedback(id=f"{row.id}{'+' if up else '-'}", prompt=row.prompt, response=text,
                     desirable=up, metadata=row.metadata)
            for text, up in sides
        ]  # fmt: skip
    raise DataError(
        "KTO learns from thumbs up and down",
        where=f"row {row.id}",
        found=type(row).__name__.lower(),
        expected="prompt, response, desirable; or pairs, whose sides become two rows",
        hint="for answers to imitate `use: align.sft`",
    )


def _both_classes(thumbs: Sequence[Feedback]) -> None:
    up = sum(thumb.desirable for thumb in thumbs)
    if up in (0, len(thumbs)):
        raise DataError(
            f"there is no {'undesirable' if up else 'desirable'} answer",
            where="kto",
            found=f"{up} thumbs up, {len(thumbs) - up} down",
            expected="some of each",
            hint="with good answers only `use: align.sft`",
        )


def with_references(
    model: Any, items: Sequence[KtoItem], cache: Path, fingerprint: str, *, budget: int = 2048
) -> list[KtoItem]:
    """Fill in the reference's log-probabilities of own and other answers, kept in `cache`.

    Both follow the same prompt, so a pack reads it once.
    """
    requests = [r for item in items for r in (item.request, item.other)]
    table = cached_sums(model, requests, cache, fingerprint, budget=budget).reshape(-1, 2)
    return [
        replace(item, reference=float(own), other_reference=float(other))
        for item, (own, other) in zip(items, table, strict=True)
    ]
