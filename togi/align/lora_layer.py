"""The LoRA layer: a frozen linear map plus a trained low-rank one, as one fused operation.

    y = x Wᵀ + b + s (x Aᵀ) Bᵀ      A [rank, in], B [out, rank], s = alpha / rank

The products run in the base weights' dtype (bf16 or fp32); A and B, their gradients and the
optimiser stay in fp32. Against plain autograd this saves the copies of x, the scaling and the
sums into y and dx, and skips dx where nothing below it is trained.   Source: Hu et al. 2021, §4.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# Rows up to which the small products run in float32 when decoding on a CPU: starting a bfloat16
# product there takes longer (23 against 6 microseconds measured) than doing it.
FEW = 16


class _Fused(torch.autograd.Function):
    """x [n, in], W [out, in] -> y [n, out]; `a`, `b` are A and B in W's dtype."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, W: Tensor, bias: Tensor | None, A: Tensor, B: Tensor,
        low: tuple[Tensor, Tensor], scale: float,
    ) -> Tensor:  # fmt: skip
        a, b = low
        xa = x @ a.t()
        ctx.save_for_backward(x, W, a, b, xa)
        ctx.scale, ctx.kept = scale, A.dtype
        return F.linear(x, W, bias).addmm_(xa, b.t(), alpha=scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        x, W, a, b, xa = ctx.saved_tensors
        gb = g @ b
        dx = dA = dB = None
        if ctx.needs_input_grad[0]:
            dx = (g @ W).addmm_(gb, a, alpha=ctx.scale)
        if ctx.needs_input_grad[3]:
            dA = (gb.t() @ x).to(ctx.kept).mul_(ctx.scale)
        if ctx.needs_input_grad[4]:  # (xAᵀ)ᵀ g is several times faster than gᵀ (xAᵀ)
            dB = (xa.t() @ g).t().to(ctx.kept, memory_format=torch.contiguous_format)
            dB = dB.mul_(ctx.scale)
        return dx, None, None, dA, dB, None, None


class LoraLinear(nn.Module):
    """Stands where a linear layer stood; keeps its `weight` and `bias` under the same names.

    Args:
        base: `torch.nn.Linear`, or GPT-2's `Conv1D`, whose weight is stored [in, out].
        rank: inner width of the update.
        alpha: numerator of the scale.
        dropout: share of the low-rank branch's inputs that are dropped in training.
        rslora: scale alpha / sqrt(rank) instead of alpha / rank (Kalajdzievski 2023).
        generator: draws A, uniform in ±1/sqrt(in); B starts at zero, so the layer starts as `base`.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        base: nn.Linear,
        *,
        rank: int,
        alpha: float,
        dropout: float = 0.0,
        rslora: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.transposed = is_conv1d(base)
        self.weight, self.bias = base.weight, base.bias
        self.rank, self.alpha, self.dropout, self.rslora = rank, alpha, dropout, rslora
        self.scale = alpha / (rank**0.5 if rslora else rank)
        self.enabled = True
        self.merged = False
        self.kept: Tensor | None = None  # the weights before merging, to unmerge bit-exactly
        self.out_features, self.in_features = self.matrix().shape
        trained = torch.float64 if self.weight.dtype == torch.float64 else torch.float32
        low = torch.empty(rank, self.in_features, dtype=trained)
        low.uniform_(-(self.in_features**-0.5), self.in_features**-0.5, generator=generator)
        self.lora_A = nn.Parameter(low.to(self.weight.device))
        self.lora_B = nn.Parameter(
            torch.zeros(self.out_features, rank, dtype=trained, device=self.weight.device)
        )
        self._low: tuple[Tensor, Tensor] | None = None
        self._low_key: tuple[Any, ...] = ()

    def matrix(self) -> Tensor:
        """Return the frozen weights as [out, in], a view."""
        return self.weight.t() if self.transposed else self.weight

    def delta(self) -> Tensor:
        """Return s B A as [out, in], in A's dtype."""
        return (self.lora_B @ self.lora_A).mul_(self.scale)

    def low(self) -> tuple[Tensor, Tensor]:
        """Return A and B in the base's dtype.

        Frozen ones are cast once; trained ones each time, because a fused optimiser changes them
        without a trace (it does not raise the tensors' version).
        """
        A, B = self.lora_A.detach(), self.lora_B.detach()
        dtype = self.weight.dtype
        if A.dtype == dtype or self.lora_A.requires_grad or self.lora_B.requires_grad:
            return A.to(dtype), B.to(dtype)
        key = (A._version, B._version, A.data_ptr(), B.data_ptr(), dtype)
        if self._low is None or self._low_key != key:
            with torch.inference_mode(False), torch.no_grad():  # may be saved for a backward
                self._low = (A.to(dtype), B.to(dtype))
            self._low_key = key
        return self._low

    def forward(self, x: Tensor) -> Tensor:
        """Map x [..., in] to [..., out]."""
        if self.merged or not self.enabled:
            return F.linear(x, self.matrix(), self.bias)
        if self.dropout and self.training:
            a, b = self.lora_A.to(x.dtype), self.lora_B.to(x.dtype)
            low = F.linear(F.linear(F.dropout(x, self.dropout), a), b)
            return F.linear(x, self.matrix(), self.bias) + self.scale * low
        rows, W = x.reshape(-1, self.in_features), self.matrix()
        if torch.is_grad_enabled():
            y = _Fused.apply(rows, W, self.bias, self.lora_A, self.lora_B, self.low(), self.scale)
        elif len(rows) <= FEW and W.dtype == torch.bfloat16 and W.device.type == "cpu":
            low = (rows.float() @ self.lora_A.t()) @ self.lora_B.t()
            y = F.linear(rows, W, self.bias).add_(low, alpha=self.scale)
        else:
            a, b = self.low()
            y = F.linear(rows, W, self.bias).addmm_(rows @ a.t(), b.t(), alpha=self.scale)
        return y.view(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """Say the sizes when printed."""
        return f"{self.in_features}, {self.out_features}, rank={self.rank}, alpha={self.alpha}"


def is_conv1d(module: nn.Module) -> bool:
    """Whether it is transformers' `Conv1D` (GPT-2), told by name so that nothing is imported."""
    kind = type(module)
    return kind.__name__ == "Conv1D" and kind.__module__.startswith("transformers.")


def is_linear(module: nn.Module) -> bool:
    """Whether LoRA can stand in its place."""
    return type(module) is nn.Linear or is_conv1d(module)


def lora_layers(model: nn.Module) -> dict[str, LoraLinear]:
    """Return the model's LoRA layers by path, in the model's order."""
    return {path: m for path, m in model.named_modules() if isinstance(m, LoraLinear)}
