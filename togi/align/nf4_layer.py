"""A linear layer whose weights are four-bit codes, made into numbers anew in each pass.

    y = x Wᵀ + b,   dx = g W        W [out, in] restored for the product and dropped after it

W gets no gradient, and the restored matrix is not kept for the backward pass, so what a layer
holds is its codes.   Source: Dettmers et al. 2023, eq. 5 and 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from togi.align.lora_layer import is_conv1d
from togi.align.nf4 import Quantised, quantise
from togi.align.nf4_backends import restore


class _Product(torch.autograd.Function):
    """x [..., in] -> y [..., out]; the matrix is restored in either direction."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Nf4Linear, bias: Tensor | None) -> Tensor:
        ctx.layer = layer
        return F.linear(x, layer.matrix(), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        dx = g @ ctx.layer.matrix() if ctx.needs_input_grad[0] else None
        summed = g.reshape(-1, g.shape[-1]).sum(0) if ctx.needs_input_grad[2] else None
        return dx, None, summed


class Nf4Linear(nn.Module):
    """Stands where a linear layer stood; `bias` keeps its name, `weight` becomes buffers.

    Args:
        packed: the weights as [out, in].
        bias: [out] or None.
        dtype: in which the matrix is restored and the products run.
        conv1d: whether it stood for GPT-2's `Conv1D`, whose weights lie as [in, out]; they are
            turned before they are quantised, as bitsandbytes has it.

    Attributes:
        dtype: as given; `to(dtype)` changes it, and leaves the codes' scales in float32.
    """

    codes: Tensor
    absmax: Tensor
    nested: Tensor | None
    offset: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        packed: Quantised,
        bias: Tensor | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        conv1d: bool = False,
    ) -> None:
        super().__init__()
        self.out_features, self.in_features = packed.shape
        self.blocksize, self.kind = packed.blocksize, packed.kind
        self.dtype, self.conv1d = dtype, conv1d
        self.register_buffer("codes", packed.codes)
        self.register_buffer("absmax", packed.absmax)
        self.register_buffer("nested", packed.nested)
        self.register_buffer("offset", packed.offset)
        frozen = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.register_parameter("bias", frozen)

    @classmethod
    def of(
        cls,
        layer: nn.Module,
        *,
        blocksize: int = 64,
        double: bool = True,
        kind: str = "nf4",
        name: str = "the layer",
    ) -> Nf4Linear:
        """Quantise a linear layer, or GPT-2's `Conv1D`; errors are those of `quantise`."""
        weight: Tensor = layer.weight  # pyright: ignore
        conv1d = is_conv1d(layer)
        lying = weight.t() if conv1d else weight
        packed = quantise(lying, blocksize=blocksize, double=double, kind=kind, name=name)
        bias: Tensor | None = layer.bias  # pyright: ignore
        return cls(packed, bias, dtype=weight.dtype, conv1d=conv1d).train(layer.training)

    @property
    def quantised(self) -> Quantised:
        """The weights as they are stored."""
        return Quantised(
            codes=self.codes, absmax=self.absmax, nested=self.nested, offset=self.offset,
            shape=(self.out_features, self.in_features), blocksize=self.blocksize, kind=self.kind,
        )  # fmt: skip

    @property
    def packing(self) -> dict[str, Any]:
        """How the weights are packed, as plain values."""
        double = self.nested is not None
        return {"kind": self.kind, "blocksize": self.blocksize, "double": double}

    def matrix(self) -> Tensor:
        """Return the weights [out, in] in `dtype`, made anew."""
        return restore(self.quantised, self.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Map x [..., in] to [..., out]."""
        return _Product.apply(x, self, self.bias)  # pyright: ignore

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Nf4Linear:
        """Move to a device, or take another dtype for the products: scales stay in float32."""
        kept = {name: self._buffers[name] for name in ("absmax", "nested", "offset")}
        super()._apply(fn, recurse)
        for name, before in kept.items():
            after = self._buffers[name]
            if before is not None and after is not None and after.dtype != before.dtype:
                self._buffers[name] = before.to(after.device)
        self.dtype = fn(torch.empty(0, dtype=self.dtype, device=self.codes.device)).dtype
        return self

    def extra_repr(self) -> str:
        """Say the sizes when printed."""
        double = "double" if self.nested is not None else "single"
        sizes = f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"
        return f"{sizes}, {self.kind}, blocksize={self.blocksize}, {double}"


def packed_layers(model: nn.Module) -> Iterator[tuple[str, Nf4Linear]]:
    """Yield the layers in four bits by path, those under an adapter too."""
    return ((p, m) for p, m in model.named_modules() if isinstance(m, Nf4Linear))
