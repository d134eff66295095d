"""Direct preference optimisation: widen the gap between the better and the worse answer.

Rafailov et al. 2023 (arXiv 2305.18290), eq. 7. With ``a`` and ``b`` the log-ratios of policy to
reference for the chosen and the rejected answer, the loss of a pair is ``-log sigmoid(beta (a -
b))``: ln 2 while the policy still is the reference. Both answers stand after one prompt in the
token tree, and the reference's log-probabilities are computed once, before the first step.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor
from torch.nn.functional import logsigmoid

from togi.align.sft import as_request
from togi.errors import DataError, UsageError, nearest
from togi.lm.forward import Request, answer_scores, stream_scores
from togi.rows.types import Dropped, Preference

if TYPE_CHECKING:
    from togi.rows.chat import Renderer


def sigmoid_loss(gap: Tensor, beta: float) -> Tensor:
    """Return the loss of preferring the better answer (eq. 7), shape of `gap`.

    >>> import torch
    >>> round(sigmoid_loss(torch.tensor([0.0]), beta=0.1).item(), 6)  # ln 2
    0.693147
    """
    return -logsigmoid(beta * gap)


LOSSES: dict[str, Callable[[Tensor, float], Tensor]] = {"sigmoid": sigmoid_loss}


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
        loss: a key of `LOSSES`.
    """

    name = "dpo"

    def __init__(self, *, beta: float = 0.1, loss: str = "sigmoid") -> None:
        if not beta > 0:
            raise UsageError("beta must be more than 0", where="dpo.beta", found=str(beta))
        if loss not in LOSSES:
            raise UsageError(
                "unknown loss", where="dpo.loss", found=loss, expected=nearest(loss, LOSSES)
            )
        self.beta, self.pair_loss, self.loss_name = beta, LOSSES[loss], loss

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
        reference = sums.new_tensor([(i.reference_chosen, i.reference_rejected) for i in items])
        ratios = sums - reference
        gap = ratios[:, 0] - ratios[:, 1]
        rewards, margins = self.beta * ratios.detach(), self.beta * gap.detach()
        measures = {
            "rewards/chosen": rewards[:, 0],
            "rewards/rejected": rewards[:, 1],
            "rewards/margins": margins,
            "rewards/accuracies": (margins > 0).float() + 0.5 * (margins == 0).float(),
            "logps/chosen": sums.detach()[:, 0],
            "logps/rejected": sums.detach()[:, 1],
        }
        count = float(len(items))
        counted = {name: (float(values.sum()), count) for name, values in measures.items()}
        return self.pair_loss(gap, self.beta).sum(), counted


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

    They are kept in `cache` (safetensors) under a digest of the items and of the model's
    fingerprint, so that a resumed run uses the very same numbers and other data never do.
    """
    from safetensors.numpy import load_file

    key = _key(items, fingerprint)
    file = cache / f"reference-{key}.safetensors"
    if file.exists():
        table = load_file(file)["logps"]
    else:
        table = reference_logps(model, items, budget=budget)
        _save(file, table)
    return [
        replace(item, reference_chosen=float(c), reference_rejected=float(r))
        for item, (c, r) in zip(items, table, strict=True)
    ]


def reference_logps(model: Any, items: Sequence[DpoItem], *, budget: int) -> np.ndarray:
    """Return [pairs, 2] summed log-probabilities of the chosen and the rejected answers."""
    requests = [r for item in items for r in (item.chosen, item.rejected)]
    sums = np.zeros(len(requests))
    for pack, scores in stream_scores(model, requests, budget=budget):
        sums[pack] = scores.sums(len(pack)).double().cpu().numpy()
    return sums.reshape(-1, 2)


def _key(items: Sequence[DpoItem], fingerprint: str) -> str:
    digest = hashlib.blake2b(fingerprint.encode(), digest_size=12)
    for item in items:
        for request in (item.chosen, item.rejected):
            digest.update(np.asarray([request.start, *request.ids], dtype=np.int64).tobytes())
    return digest.hexdigest()


def _save(file: Path, table: np.ndarray) -> None:
    from safetensors.numpy import save_file

    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".part")
    save_file({"logps": table}, draft)
    draft.replace(file)
