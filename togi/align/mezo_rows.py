"""Perturbed weights of MeZO, a few rows at a time: the embedding and the output head.

These two are by far the largest weights of a small model. Only the looked-up rows of an embedding
are perturbed, and the head is perturbed and multiplied some of the vocabulary at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from togi.align.mezo_noise import Noise
from togi.lm.head import TokenScores, token_logprobs

VOCABULARY = 8192
"Rows that are perturbed and multiplied at a time."


@dataclass(frozen=True, slots=True)
class Shift:
    """How weights are perturbed: by the noise of a step, eps, and the signs of the rows' parts."""

    noise: Noise
    eps: float
    signs: tuple[int, ...]
    names: Mapping[int, str]

    def parts(self, weight: nn.Parameter) -> Iterator[Tensor]:
        """Yield the perturbed weight for each sign; the next one overwrites the one before."""
        z = self.noise.of(self.names[id(weight)], weight)
        out = torch.empty_like(weight)
        for sign in self.signs:
            yield torch.add(weight, z, alpha=sign * self.eps, out=out)


def headed(model: Any, rows: Sequence[Tensor], targets: Tensor, shift: Shift) -> list[TokenScores]:
    """Score targets from both sides' states [n, width] by the model's output head."""
    head = model.get_output_embeddings()
    bias = getattr(head, "bias", None)
    if not head.weight.requires_grad:
        return [token_logprobs(part, head.weight, targets, bias) for part in rows]
    return _moved_head(rows, head.weight, bias, targets, shift)


def _moved_head(
    rows: Sequence[Tensor], weight: nn.Parameter, bias: Tensor | None, targets: Tensor, shift: Shift
) -> list[TokenScores]:
    """Score targets by a perturbed head, some of the vocabulary at a time.

    The sums of exponentials are carried along, so that neither the perturbed head nor the table
    of logits is ever held whole.
    """
    wide = torch.promote_types(rows[0].dtype, torch.float32)
    tops = [part.new_full((len(targets),), float("-inf"), dtype=wide) for part in rows]
    sums = [torch.zeros_like(top) for top in tops]
    hits = [torch.zeros_like(top) for top in tops]
    moved_bias = None if bias is None else list(copies(bias, shift))
    for first, z in _row_blocks(weight, shift):
        last = first + len(z)
        mine = (targets >= first) & (targets < last)
        place = (targets - first).clamp(0, len(z) - 1)[:, None]
        for side, sign in enumerate(shift.signs):
            part = torch.add(weight[first:last], z, alpha=sign * shift.eps).to(weight.dtype)
            shift_by = None if moved_bias is None else moved_bias[side][first:last]
            logits = torch.nn.functional.linear(rows[side], part, shift_by).to(wide)
            hits[side] = torch.where(mine, logits.gather(1, place)[:, 0], hits[side])
            top = torch.maximum(tops[side], logits.amax(1))
            sums[side] = sums[side] * (tops[side] - top).exp() + (logits - top[:, None]).exp().sum(
                1
            )
            tops[side] = top
    return [
        TokenScores(hit - top - total.log(), hit >= top)
        for hit, top, total in zip(hits, tops, sums, strict=True)
    ]


def copies(weight: Tensor, shift: Shift) -> Iterator[Tensor]:
    """Yield a weight for each sign, perturbed where it is trained; each may be kept."""
    if not weight.requires_grad:
        yield from (weight for _ in shift.signs)
        return
    for part in shift.parts(weight):  # type: ignore[arg-type]
        yield part.clone()


def _row_blocks(weight: nn.Parameter, shift: Shift) -> Iterator[tuple[int, Tensor]]:
    """Yield (first row, z of some rows) over a matrix."""
    name = shift.names[id(weight)]
    for first in range(0, len(weight), VOCABULARY):
        last = min(first + VOCABULARY, len(weight))
        yield first, shift.noise.rows(name, weight, first, last)


def embedded(inner: nn.Embedding, ids: Tensor, shift: Shift) -> Tensor:
    """Look tokens up and add the perturbation of their rows only."""
    out = inner(ids)
    flat, rows = ids.reshape(-1), out.view(-1, out.shape[-1])
    per = len(flat) // len(shift.signs)
    for first, z in _row_blocks(inner.weight, shift):
        mine = ((flat >= first) & (flat < first + len(z))).nonzero()[:, 0]
        if len(mine):
            signs = torch.tensor(shift.signs, device=ids.device)[mine // per]
            step = z[flat[mine] - first] * (shift.eps * signs)[:, None]
            rows[mine] = (rows[mine].to(step.dtype) + step).to(rows.dtype)
    return out
