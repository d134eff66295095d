"""Direct preference optimisation: widen the gap between the better and the worse answer.

Rafailov et al. 2023 (arXiv 2305.18290), eq. 7. With ``a`` and ``b`` the log-ratios of policy to
reference for the chosen and the rejected answer, the loss of a pair is ``-log sigmoid(beta (a -
b))``: ln 2 while the policy still is the reference. Its relatives are in `pair_losses.py`. Both
answers stand after one prompt in the token tree, and the reference's log-probabilities are
computed once, before the first step.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from togi.align.pair_losses import LOSSES, pair_loss
from togi.align.reference import cached_sums
from togi.align.sft import as_request
from togi.errors import DataError, UsageError
from togi.lm.forward import Request, answer_scores
from togi.rows.types import Dropped, Preference

if TYPE_CHECKING:
    from togi.rows.chat import Renderer


@dataclass(frozen=True, slots=True)
class DpoItem:
    """A rendered pair; the reference's log-probabilities are NaN until they are computed."""

    id: str
    chosen: Request
    rejected: Request
    reference_chosen: float = math.nan
    reference_rejected: float = math.nan


class Dpo:
    """The DPO objective for `togi.train.loop.train`; a pair weighs 1.

    Args:
        beta: strength of the tie to the reference, more than 0.
        loss: a key of `togi.align.pair_losses.LOSSES`.
        noise: share of wrong labels, for the losses that take one.
        margin: by how much the better answer shall lead, for the losses that take one.
        chosen_weight: adds so many times the better answer's mean negative log-likelihood a
            token, which keeps it from being unlearnt (RPO: Pang et al. 2024, eq. 1).
    """

    name = "dpo"
    scores_only = True

    def __init__(
        self,
        *,
        beta: float = 0.1,
        loss: str = "sigmoid",
        noise: float | None = None,
        margin: float | None = None,
        chosen_weight: float = 0.0,
    ) -> None:
        self._given = pair_loss(loss, beta, {"noise": noise, "margin": margin})
        if chosen_weight < 0:
            raise UsageError(
                "chosen_weight must be at least 0", where="dpo.chosen_weight",
                found=str(chosen_weight),
            )  # fmt: skip
        self.beta, self.loss_name, self._loss = beta, loss, LOSSES[loss]
        self.noise, self.margin = self._given.get("noise"), self._given.get("margin")
        self.chosen_weight = chosen_weight

    @property
    def needs_reference(self) -> bool:
        """Whether the reference's log-probabilities enter the loss."""
        return self._loss.reference

    def weight(self, item: DpoItem) -> float:
        """Return 1: each pair counts the same."""
        return 1.0

    def cost(self, item: DpoItem) -> int:
        """Return the tokens put through the model: the prompt once, both answers."""
        shared = item.chosen.start
        return len(item.chosen.ids) + len(item.rejected.ids) - shared - 2

    def loss(
        self, model: Any, items: Sequence[DpoItem]
    ) -> tuple[Tensor, dict[str, tuple[float, float]]]:
        """Return the summed loss of the pairs, and the field's usual measures."""
        requests = [r for item in items for r in (item.chosen, item.rejected)]
        sums = answer_scores(model, requests).sums(len(requests)).view(-1, 2)
        tokens = sums.new_tensor([len(r.ids) - r.start for r in requests]).view(-1, 2)
        ratios = sums
        if self._loss.reference:
            known = [(i.reference_chosen, i.reference_rejected) for i in items]
            ratios = sums - sums.new_tensor(known)
        terms = ratios / tokens if self._loss.mean else ratios
        gap = terms[:, 0] - terms[:, 1]
        losses = self._loss.function(gap, **self._given)
        if self.chosen_weight:
            losses = losses - self.chosen_weight * sums[:, 0] / tokens[:, 0]
        return losses.sum(), self._measures(sums.detach(), ratios.detach(), terms.detach())

    def _measures(self, sums: Tensor, ratios: Tensor, terms: Tensor) -> dict[str, Any]:
        rewards = self.beta * terms
        margins = rewards[:, 0] - rewards[:, 1]
        values = {
            "rewards/chosen": rewards[:, 0],
            "rewards/rejected": rewards[:, 1],
            "rewards/margins": margins,
            "rewards/accuracies": (margins > 0).float() + 0.5 * (margins == 0).float(),
            "logps/chosen": sums[:, 0],
            "logps/rejected": sums[:, 1],
        }
        if self._loss.reference:
            values |= {"kl/chosen": ratios[:, 0], "kl/rejected": ratios[:, 1]}
        return {name: (float(value.sum()), float(len(sums))) for name, value in values.items()}


def dpo_items(rows: Iterable[Preference], renderer: Renderer) -> tuple[list[DpoItem], Counter[str]]:
    """Render pairs, and count by reason those that were left out.

    Raises:
        DataError: for a row of another kind.
    """
    items: list[DpoItem] = []
    dropped: Counter[str] = Counter()
    for row in rows:
        if not isinstance(row, Preference):
            raise DataError(
                "DPO learns from pairs of answers",
                where=f"row {row.id}",
                found=type(row).__name__.lower(),
                expected="prompt, chosen, rejected",
                hint="for single answers `use: align.sft`, or make pairs with `align.pairs`",
            )
        if row.chosen == row.rejected:
            dropped["chosen and rejected are equal"] += 1
            continue
        sides = renderer.pair(row.prompt, row.chosen, row.rejected, id=row.id)
        if isinstance(sides, Dropped):
            dropped[sides.reason] += 1
            continue
        chosen, rejected = (as_request(side.prompt_ids, side.answer_ids) for side in sides)
        items.append(DpoItem(row.id, chosen, rejected))
    return items, dropped


def with_reference(
    model: Any, items: Sequence[DpoItem], cache: Path, fingerprint: str, *, budget: int = 2048
) -> list[DpoItem]:
    """Fill in the reference's log-probabilities: the model as it stands now.

    They are kept in `cache` under a digest of the items and of the model's fingerprint.
    """
    requests = [r for item in items for r in (item.chosen, item.rejected)]
    table = cached_sums(model, requests, cache, fingerprint, budget=budget).reshape(-1, 2)
    return [
        replace(item, reference_chosen=float(c), reference_rejected=float(r))
        for item, (c, r) in zip(items, table, strict=True)
    ]
