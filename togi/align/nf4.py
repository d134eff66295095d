"""NF4: weights in four bits, their scales in eight (QLoRA, Dettmers et al. 2023, NeurIPS).

A tensor is cut, row by row as it lies in memory, into blocks of 64 values. Each is divided by its
largest magnitude (`absmax`) and rounded to the nearest of 16 levels; two codes share a byte, the
first value in the high half. Double quantisation then stores the scales themselves in eight bits.
Bytes and values are those of bitsandbytes, bit by bit; the codebooks are in `nf4_codebooks.py`,
the faster ways back to numbers in `nf4_backends.py`, the layer in `nf4_layer.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor

from togi.align.nf4_codebooks import CODEBOOKS, dynamic_map, dynamic_places, grid, pairs
from togi.errors import DataError, UsageError, nearest

BLOCKSIZES = tuple(2**k for k in range(5, 13))
NESTED = 256  # scales that share one scale of their own
SMALLEST = 1e-38  # a divisor in the place of zero, as bitsandbytes has it
CHUNK = 1 << 18  # values worked on at a time: small enough for the processor's cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """A tensor in four bits.

    Attributes:
        codes: [(n + 1) // 2, 1] uint8, two codes in each.
        absmax: [blocks] each block's largest magnitude: float32, or eight-bit codes of it.
        nested: [blocks / 256] float32, the scales of `absmax`; None without double quantisation.
        offset: [] float32, their mean, taken off before; None without double quantisation.
        shape: of the tensor.
        blocksize: values that share a scale.
        kind: the codebook's name.
    """

    codes: Tensor
    absmax: Tensor
    nested: Tensor | None
    offset: Tensor | None
    shape: tuple[int, ...]
    blocksize: int
    kind: str

    @property
    def n(self) -> int:
        """How many values it holds."""
        return prod(self.shape)

    @property
    def double(self) -> bool:
        """Whether the scales are quantised too."""
        return self.nested is not None

    @property
    def nbytes(self) -> int:
        """What codes and scales take in memory; the codebooks are shared and not counted."""
        parts = (self.codes, self.absmax, self.nested, self.offset)
        return sum(part.nbytes for part in parts if part is not None)

    @property
    def bits_per_parameter(self) -> float:
        """What it really takes, partial blocks included."""
        return 8 * self.nbytes / self.n

    def scales(self) -> Tensor:
        """Return each block's scale [blocks], float32."""
        if self.nested is None or self.offset is None:
            return self.absmax
        table = dynamic_map(self.absmax.device)
        coarse = self.nested.repeat_interleave(NESTED)[: len(self.absmax)]
        return table.index_select(0, self.absmax.int()).mul_(coarse).add_(self.offset)

    def to(self, device: torch.device) -> Quantised:
        """Return it on another device."""
        moved: dict[str, Any] = {"codes": self.codes.to(device), "absmax": self.absmax.to(device)}
        if self.nested is not None and self.offset is not None:
            moved |= {"nested": self.nested.to(device), "offset": self.offset.to(device)}
        return replace(self, **moved)


def bits_per_parameter(blocksize: int = 64, double: bool = True) -> float:
    """Return the bits that whole blocks take, scales included.

    >>> round(bits_per_parameter(), 3), bits_per_parameter(double=False)
    (4.127, 4.5)
    """
    return 4 + (8 / blocksize + 32 / (blocksize * NESTED) if double else 32 / blocksize)


def packed_bytes(n: int, blocksize: int = 64, double: bool = True) -> tuple[int, int, int]:
    """Return the bytes of n values: codes, their scales, and the scales of those.

    >>> packed_bytes(100, 64, double=True), packed_bytes(100, 64, double=False)
    ((50, 2, 8), (50, 8, 0))
    """
    blocks = -(n // -blocksize)
    if not double:
        return (n + 1) // 2, 4 * blocks, 0
    return (n + 1) // 2, blocks, 4 * -(blocks // -NESTED) + 4


def quantise(
    weights: Tensor,
    *,
    blocksize: int = 64,
    double: bool = True,
    kind: str = "nf4",
    name: str = "the tensor",
) -> Quantised:
    """Quantise a tensor of any shape, block by block over its row-major order.

    Sizes need not be multiples of anything: an odd last code is padded, and a last block that is
    not full has a scale of its own.

    Args:
        weights: any floating-point type; float64 is rounded to float32 first.
        blocksize: values that share a scale: a power of two from 32 to 4096.
        double: quantise the scales too.
        kind: a codebook of `nf4_codebooks.CODEBOOKS`.
        name: what an error calls the tensor.

    Raises:
        UsageError: for another block size or codebook, or values that are not floating-point.
        DataError: where a value is NaN or infinite, or there are no values.

    >>> packed = quantise(torch.tensor([1.0, -0.5, 0.0]), double=False)
    >>> [f"{byte:02x}" for byte in packed.codes.view(-1).tolist()], packed.absmax.tolist()
    (['f2', '77'], [1.0])
    """
    _check(weights, blocksize, kind, name)
    flat = weights.detach().reshape(-1)
    n, table = len(flat), grid(kind, flat.device)
    full, step = n - n % blocksize, max(CHUNK, blocksize)
    absmax = torch.empty(-(n // -blocksize), dtype=torch.float32, device=flat.device)
    for start in range(0, full, step):
        blocks = flat[start : min(start + step, full)].view(-1, blocksize)
        absmax[start // blocksize :][: len(blocks)] = blocks.abs().amax(1)
    if full < n:
        absmax[-1] = flat[full:].float().abs().amax().clamp_min(SMALLEST)
    if not absmax.isfinite().all():
        raise DataError("the weights hold values that are not finite", where=name)
    codes = torch.empty(n + n % 2, dtype=torch.uint8, device=flat.device)
    for start in range(0, full, step):
        stop = min(start + step, full)
        blocks = flat[start:stop].float().view(-1, blocksize)
        inverse = _inverse(absmax[start // blocksize : stop // blocksize])
        codes[start:stop] = table.place(blocks * inverse).view(-1)
    if full < n:  # bitsandbytes divides here where it multiplies above, and the bits can differ
        codes[full:n] = table.place(flat[full:].float() / absmax[-1])
    if n % 2:
        codes[n:] = table.place(torch.zeros(1, device=flat.device))
    packed = ((codes[0::2] << 4) | codes[1::2]).unsqueeze(1)
    whole = Quantised(
        codes=packed, absmax=absmax, nested=None, offset=None,
        shape=tuple(weights.shape), blocksize=blocksize, kind=kind,
    )  # fmt: skip
    return _doubled(whole) if double else whole


def _inverse(top: Tensor) -> Tensor:
    """Return 1 / absmax [blocks, 1]; nothing is as large as a block's own largest magnitude."""
    return (1.0 / top.clamp_min(SMALLEST))[:, None]


def _check(weights: Tensor, blocksize: int, kind: str, name: str) -> None:
    if blocksize not in BLOCKSIZES:
        sizes = ", ".join(map(str, BLOCKSIZES))
        raise UsageError(
            "not a block size", where=name, found=str(blocksize), expected=f"one of {sizes}"
        )
    if kind not in CODEBOOKS:
        raise UsageError(
            "no such codebook", where=name, found=kind, expected=nearest(kind, CODEBOOKS)
        )
    if not weights.is_floating_point():
        told = str(weights.dtype).removeprefix("torch.")
        raise UsageError(
            "only floating-point weights can be quantised", where=name, found=told,
            hint="weights in uint8 may be packed already: each byte holds two of four bits",
        )  # fmt: skip
    if not weights.numel():
        raise DataError("there is nothing to quantise", where=name, found="a tensor of size 0")


def _doubled(whole: Quantised) -> Quantised:
    """Quantise the scales: less their mean, in blocks of 256, by the signed eight-bit map."""
    device, count = whole.absmax.device, len(whole.absmax)
    offset = whole.absmax.mean()
    centred = torch.nn.functional.pad(whole.absmax - offset, (0, -count % NESTED))
    blocks = centred.view(-1, NESTED)
    top = blocks.abs().amax(1)
    inverse = 1.0 / torch.where(top == 0, 1.0, top)
    scaled = (blocks * inverse[:, None]).nan_to_num_(0.0).clamp_(-1, 1)
    place = ((scaled + 1) * 0.5 * ((1 << 16) - 1) + 0.5).to(torch.int32)
    codes = dynamic_places(device).index_select(0, place.view(-1)).view(blocks.shape)
    codes = torch.where(top[:, None] == 0, 0, codes).to(torch.uint8)
    small = codes.view(-1)[:count].clone()
    return replace(whole, absmax=small, nested=top, offset=offset)


def dequantise(packed: Quantised, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the values: level times scale in float32, then rounded once to `dtype`.

    This is the reference in plain torch, on any device; `nf4_backends` has faster ways to the
    same bits.

    >>> dequantise(quantise(torch.tensor([2.0, -1.0, 0.0]), double=False)).tolist()
    [2.0, -1.050146..., 0.0]
    """
    n, size = packed.n, packed.blocksize
    out = torch.empty(n, dtype=dtype, device=packed.codes.device)
    table, scales = pairs(packed.kind, out.device), packed.scales()
    codes = packed.codes.view(-1)
    step = max(CHUNK, size)
    for start in range(0, n, step):
        stop = min(start + step, n)
        both = table.index_select(0, codes[start // 2 : (stop + 1) // 2].int())
        values = both.view(torch.float32)[: stop - start]
        whole = len(values) - len(values) % size
        first, last = start // size, stop // size
        values[:whole].view(-1, size).mul_(scales[first:last, None])
        if whole < len(values):
            values[whole:].mul_(scales[-1])
        out[start:stop] = values
    return out.view(packed.shape)


def relative_error(weights: Tensor, packed: Quantised) -> float:
    """Return the mean squared error of quantisation over the weights' variance.

    >>> w = torch.randn(4096, 64, generator=torch.Generator().manual_seed(0))
    >>> [round(relative_error(w, quantise(w, kind=kind)), 4) for kind in ("nf4", "int4", "fp4")]
    [0.0085, 0.0116, 0.0149]
    """
    exact = weights.detach().float()
    return float((dequantise(packed) - exact).square().mean() / exact.var(correction=0))
