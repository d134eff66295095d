"""The LoRA layer: a frozen linear map plus a trained low-rank one, as one fused operation.

    y = x Wᵀ + b + s (x Aᵀ) Bᵀ      A [rank, in], B [out, rank], s = alpha / rank

The products run in the base weights' dtype (bf16 or fp32); A and B, their gradients and the
optimiser stay in fp32. Against plain autograd this saves the copies of x, the scaling and the
sums into y and dx, and skips dx where nothing below it is trained.   Source: Hu et al. 2021, §4.

With a magnitude the layer is DoRA (Liu et al. 2024): rows of W + s B A are scaled to trained
lengths. The base may also be one that makes its matrix on demand (NF4); then W is made again in
the backward pass instead of being kept.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# Rows up to which the small products run in float32 when decoding on a CPU: starting a bfloat16
# product there takes longer (23 against 6 microseconds measured) than doing it.
FEW = 16


@dataclass(slots=True)
class Low:
    """A low-rank update as the products want it: a [rank, in], b [out, rank], both in W's dtype."""

    a: Tensor
    b: Tensor
    scale: float
    magnitude: Tensor | None = None


class _Fused(torch.autograd.Function):
    """x [n, in], W [out, in] -> y [n, out]; `low` holds A and B in W's dtype."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, layer: LoraLinear, bias: Tensor | None, A: Tensor, B: Tensor, low: Low
    ) -> Tensor:
        xa = x @ low.a.t()
        ctx.save_for_backward(x, xa)
        ctx.layer, ctx.low, ctx.kept = layer, low, A.dtype
        return F.linear(x, layer.matrix(), bias).addmm_(xa, low.b.t(), alpha=low.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        x, xa = ctx.saved_tensors
        low, scale = ctx.low, ctx.low.scale
        gb = g @ low.b
        dx = dA = dB = None
        if ctx.needs_input_grad[0]:
            dx = (g @ ctx.layer.matrix()).addmm_(gb, low.a, alpha=scale)
        if ctx.needs_input_grad[3]:
            dA = (gb.t() @ x).to(ctx.kept).mul_(scale)
        if ctx.needs_input_grad[4]:  # (xAᵀ)ᵀ g is several times faster than gᵀ (xAᵀ)
            dB = (xa.t() @ g).t().to(ctx.kept, memory_format=torch.contiguous_format)
            dB = dB.mul_(scale)
        return dx, None, None, dA, dB, None


class LoraLinear(nn.Module):
    """Stands where a linear layer stood; keeps its `weight` and `bias` under the same names.

    Args:
        base: `torch.nn.Linear`, GPT-2's `Conv1D` (whose weight is stored [in, out]), or a layer
            with a method `matrix`, which is kept as `packed`.
        rank: inner width of the update; 0 for a layer that only carries others' adapters.
        alpha: numerator of the scale.
        dropout: share of the low-rank branch's inputs that are dropped in training.
        rslora: scale alpha / sqrt(rank) instead of alpha / rank (Kalajdzievski 2023).
        dora: train the rows' lengths apart from their directions.
        generator: draws A, uniform in ±1/sqrt(in); B starts at zero, so the layer starts as `base`.

    Attributes:
        sides: frozen adapters by name, which `using` puts in the trained one's place.
        twin: updates of the first and of the second half of the rows, while both are asked.
    """

    bias: Tensor | None

    def __init__(
        self,
        base: nn.Module,
        *,
        rank: int,
        alpha: float,
        dropout: float = 0.0,
        rslora: bool = False,
        dora: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.transposed = is_conv1d(base)
        self.packed = base if is_packed(base) else None
        self.weight: Tensor | None = None if self.packed is not None else base.weight  # pyright: ignore
        self.bias = base.bias  # pyright: ignore
        self.rank, self.alpha, self.dropout, self.rslora = rank, alpha, dropout, rslora
        self.scale = alpha / (rank**0.5 if rslora else rank) if rank else 0.0
        self.enabled, self.merged = rank > 0, False
        self.kept: Tensor | None = None  # the weights before merging, to unmerge bit-exactly
        self.sides: dict[str, Low] = {}
        self.using: str | None = None
        self.twin: tuple[Low, Low] | None = None
        self.out_features, self.in_features = sides(base)
        place, wide = _place(base), torch.promote_types(self.dtype, torch.float32)
        low = torch.empty(rank, self.in_features, dtype=wide)
        low.uniform_(-(self.in_features**-0.5), self.in_features**-0.5, generator=generator)
        self.lora_A = nn.Parameter(low.to(place), requires_grad=rank > 0)
        zeros = torch.zeros(self.out_features, rank, dtype=wide, device=place)
        self.lora_B = nn.Parameter(zeros, requires_grad=rank > 0)
        lengths = self.matrix().to(wide).norm(dim=1) if dora else None
        self.lora_magnitude = None if lengths is None else nn.Parameter(lengths)
        self._low: Low | None = None
        self._low_key: tuple[Any, ...] = ()

    @property
    def dtype(self) -> torch.dtype:
        """The frozen weights' dtype, in which the products run."""
        return self.packed.dtype if self.weight is None else self.weight.dtype  # pyright: ignore

    def matrix(self) -> Tensor:
        """Return the frozen weights as [out, in]: a view, or made from their packed form."""
        if self.weight is None:
            return self.packed.matrix()  # pyright: ignore
        return self.weight.t() if self.transposed else self.weight

    def delta(self) -> Tensor:
        """Return what the update adds to W as [out, in], in A's dtype."""
        low = (self.lora_B @ self.lora_A).mul_(self.scale)
        if self.lora_magnitude is None:
            return low
        whole = low.add_(self.matrix())
        return whole * (self.lora_magnitude / whole.norm(dim=1))[:, None] - self.matrix()

    def low(self) -> Low:
        """Return the update in the base's dtype.

        A frozen one is cast once; a trained one each time, because a fused optimiser changes it
        without a trace (it does not raise the tensors' version).
        """
        A, B, dtype = self.lora_A.detach(), self.lora_B.detach(), self.dtype
        length = self.lora_magnitude
        if A.dtype == dtype or self.lora_A.requires_grad or self.lora_B.requires_grad:
            return Low(A.to(dtype), B.to(dtype), self.scale, length)
        key = (A._version, B._version, A.data_ptr(), B.data_ptr(), dtype)
        if self._low is None or self._low_key != key:
            with torch.inference_mode(False), torch.no_grad():  # may be saved for a backward
                self._low = Low(A.to(dtype), B.to(dtype), self.scale, length)
            self._low_key = key
        return self._low

    def forward(self, x: Tensor) -> Tensor:
        """Map x [..., in] to [..., out]."""
        rows = x.reshape(-1, self.in_features)
        if self.twin is not None:
            y = self._twin(rows, *self.twin)
        elif self.using is not None:
            y = self._frozen(rows, self.sides.get(self.using))
        elif self.merged or not self.enabled:
            y = self._frozen(rows, None)
        elif torch.is_grad_enabled():
            y = self._trained(rows)
        else:
            y = self._frozen(rows, self.low())
        return y.view(*x.shape[:-1], self.out_features)

    def _trained(self, rows: Tensor) -> Tensor:
        if self.dropout and self.training:
            a, b = self.lora_A.to(rows.dtype), self.lora_B.to(rows.dtype)
            low = F.linear(F.linear(F.dropout(rows, self.dropout), a), b) * self.scale
            y = F.linear(rows, self.matrix(), self._plain_bias()) + low
        else:
            bias = self._plain_bias()
            y = _Fused.apply(rows, self, bias, self.lora_A, self.lora_B, self.low())
        return y if self.lora_magnitude is None else self._lengthened(y, self.low())

    def _frozen(self, rows: Tensor, low: Low | None) -> Tensor:
        """Map rows by the base and a given update, without gradients to either."""
        W = self.matrix()
        if low is None:
            return F.linear(rows, W, self.bias)
        y = F.linear(rows, W, self.bias if low.magnitude is None else None)
        if len(rows) <= FEW and W.dtype == torch.bfloat16 and W.device.type == "cpu":
            small = (rows.float() @ low.a.t().float()) @ low.b.t().float()
            y = y.add_(small, alpha=low.scale)
        else:
            y = y.addmm_(rows @ low.a.t(), low.b.t(), alpha=low.scale)
        return y if low.magnitude is None else self._lengthened(y, low)

    def _twin(self, rows: Tensor, first: Low, second: Low) -> Tensor:
        """Map the first half of the rows by one update, the second half by another."""
        half = len(rows) // 2
        if first.magnitude is not None:
            return torch.cat([self._frozen(rows[:half], first), self._frozen(rows[half:], second)])
        y = F.linear(rows, self.matrix(), self.bias)
        for part, low in ((slice(0, half), first), (slice(half, None), second)):
            y[part].addmm_(rows[part] @ low.a.t(), low.b.t(), alpha=low.scale)
        return y

    def _plain_bias(self) -> Tensor | None:
        return self.bias if self.lora_magnitude is None else None

    def _lengthened(self, y: Tensor, low: Low) -> Tensor:
        """Scale (W + s B A) x to the trained lengths; the norm carries no gradient (DoRA, §4.3)."""
        assert low.magnitude is not None  # noqa: S101 - asked only then
        with torch.no_grad():
            whole = torch.addmm(self.matrix(), low.b, low.a, alpha=low.scale)
            norm = whole.to(torch.promote_types(whole.dtype, torch.float32)).norm(dim=1)
        y = y * (low.magnitude / norm).to(y.dtype)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        """Say the sizes when printed."""
        return f"{self.in_features}, {self.out_features}, rank={self.rank}, alpha={self.alpha}"


def is_conv1d(module: nn.Module) -> bool:
    """Whether it is transformers' `Conv1D` (GPT-2), told by name so that nothing is imported."""
    kind = type(module)
    return kind.__name__ == "Conv1D" and kind.__module__.startswith("transformers.")


def is_packed(module: nn.Module) -> bool:
    """Whether it is a linear layer that makes its matrix on demand, such as one in NF4."""
    return callable(getattr(module, "matrix", None)) and not isinstance(module, LoraLinear)


def is_linear(module: nn.Module) -> bool:
    """Whether LoRA can stand in its place."""
    return type(module) is nn.Linear or is_conv1d(module) or is_packed(module)


def sides(module: nn.Module) -> tuple[int, int]:
    """Return how many numbers such a layer puts out and takes in."""
    layer: Any = module
    if is_packed(module):
        return layer.out_features, layer.in_features
    out, into = layer.weight.shape
    return (into, out) if is_conv1d(module) else (out, into)


def _place(module: nn.Module) -> torch.device:
    return next(itertools.chain(module.parameters(), module.buffers())).device


def lora_layers(model: nn.Module, *, all_slots: bool = False) -> dict[str, LoraLinear]:
    """Return the model's LoRA layers by path, in the model's order.

    `all_slots` adds those that only carry other adapters than the trained one.
    """
    found = ((p, m) for p, m in model.named_modules() if isinstance(m, LoraLinear))
    return {path: layer for path, layer in found if all_slots or layer.rank}
