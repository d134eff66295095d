"""Codebooks of four bits (NF4, FP4, int4), the signed eight-bit map, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
"NormalFloat of Dettmers et al. 2023 (arXiv 2305.14314, appendix E), to the last bit of float32."

FP4 = tuple(x / 12 for x in (0, 0.0625, 8, 12, 4, 6, 2, 3, 0, -0.0625, -8, -12, -4, -6, -2, -3))
"Sign, two bits of exponent, one of mantissa, in the order of their bit patterns."

INT4 = (*(k / 7 for k in range(-7, 8)), 1.0)
"Fifteen even steps; the sixteenth code is never given."

CODEBOOKS: dict[str, tuple[float, ...]] = {"nf4": NF4, "fp4": FP4, "int4": INT4}

OUTERMOST = 0.9677083  # 1 - (1/32 + 1/30) / 2, the digits that the published table was made with


def normal_float() -> tuple[float, ...]:
    """Derive NF4: quantiles of the normal distribution, scaled to [-1, 1], with an exact zero.

    Eight values above zero and seven below it, evenly spaced in probability; what lies beyond the
    outermost is the mean of half a bin of 16 and half a bin of 15.   Source: arXiv 2305.14314,
    eq. 4.

    >>> max(abs(a - b) for a, b in zip(normal_float(), NF4, strict=True)) < 1.1e-7
    True
    """
    import numpy as np
    from scipy.special import ndtri

    above = ndtri(np.linspace(OUTERMOST, 0.5, 9))[:-1]
    below = -ndtri(np.linspace(OUTERMOST, 0.5, 8))[:-1]
    values = np.sort(np.concatenate([below, [0.0], above]))
    return tuple((values / values.max()).tolist())


@dataclass(frozen=True, slots=True)
class Grid:
    """A codebook as quantisation wants it: [-1, 1] in even cells, none with two thresholds.

    A value's code is `below` of its cell, plus one where it exceeds the cell's `threshold`: two
    look-ups and one comparison, where a binary search takes four times as long and fifteen
    comparisons twice as long. The codes are the same to the last one, ties to the lower level.
    """

    cells: int
    below: Tensor  # [cells + 1] uint8: levels wholly below the cell
    threshold: Tensor  # [cells + 1] float32: the midpoint inside it, or 2
    codes: Tensor | None  # from sorted places to codes, where the codebook is not sorted

    def place(self, z: Tensor) -> Tensor:
        """Return the codes (uint8) of values in [-1, 1], of any shape."""
        cell = z.add(1).mul_(self.cells / 2).to(torch.int32).view(-1)
        found = self.below.index_select(0, cell)
        found += z.reshape(-1) > self.threshold.index_select(0, cell)
        if self.codes is not None:
            found = self.codes.index_select(0, found.int())
        return found.view(z.shape)


@cache
def levels(kind: str, device: torch.device) -> Tensor:
    """Return a codebook [16] in the order of its codes, float32."""
    return torch.tensor(CODEBOOKS[kind], dtype=torch.float32, device=device)


@cache
def grid(kind: str, device: torch.device) -> Grid:
    """Return a codebook's grid: the coarsest whose cells part all thresholds by a safe margin."""
    values, order = levels(kind, torch.device("cpu")).sort(stable=True)
    middles = (values[:-1] + values[1:]) / 2
    wide = middles.double()
    wide = wide[wide < 1]
    cells = next(cells for cells in range(32, 1 << 16) if _parts(wide, cells))
    cell, edges = ((wide + 1) * (cells / 2)).long(), _edges(cells)
    threshold = torch.full((cells + 1,), 2.0)
    threshold[cell] = middles[: len(wide)]
    below = (wide < edges[:, None]).sum(1).to(torch.uint8)
    plain = bool((order == torch.arange(16)).all())
    codes = None if plain else order.to(torch.uint8).to(device)
    return Grid(cells, below.to(device), threshold.to(device), codes)


def _edges(cells: int) -> Tensor:
    return torch.linspace(-1, 1, cells + 1, dtype=torch.float64)


def _parts(thresholds: Tensor, cells: int) -> bool:
    """Whether no cell holds two thresholds, and none lies so near an edge that rounding counts."""
    cell = ((thresholds + 1) * (cells / 2)).long()
    margin = (thresholds[:, None] - _edges(cells)).abs().min()
    return len(cell.unique()) == len(cell) and bool(margin > 1e-5)


@cache
def pairs(kind: str, device: torch.device) -> Tensor:
    """Return both values of each byte, [256] int64 that hold two float32, first value first."""
    table = levels(kind, torch.device("cpu"))
    byte = torch.arange(256)
    both = torch.stack([table[byte >> 4], table[byte & 15]], 1).contiguous()
    return both.view(torch.int64).view(-1).to(device)


@cache
def dynamic_map(device: torch.device) -> Tensor:
    """Return bitsandbytes' signed eight-bit map, [256] float32 ascending in [-1, 1].

    Seven decades from 1e-6 to 1, the i-th cut evenly into 2^i values of either sign, then zero and
    one.   Source: Dettmers 2015 (arXiv 1511.04561), as shipped.

    >>> [round(x, 4) for x in dynamic_map(torch.device("cpu"))[[0, 127, 128, 255]].tolist()]
    [-0.993, 0.0, 0.0, 1.0]
    """
    values = [0.0, 1.0]
    for decade in range(7):
        edges = torch.linspace(0.1, 1, 2**decade + 1, dtype=torch.float32)
        middles = ((edges[:-1] + edges[1:]) / 2) * 10.0 ** (decade - 6)
        values += [*middles.tolist(), *(-middles).tolist()]
    return torch.tensor(sorted(values), dtype=torch.float32, device=device)


@cache
def dynamic_places(device: torch.device) -> Tensor:
    """Return the code (uint8) of each of 65,536 even places in [-1, 1].

    bitsandbytes rounds to such a place before it looks for the nearest value, so near zero, where
    the map is finer than the places, its codes differ by up to three from the nearest ones.
    """
    table = dynamic_map(torch.device("cpu"))
    middles = (table[:-1] + table[1:]) * 0.5
    place = torch.arange(1 << 16, dtype=torch.float32) * 2 / ((1 << 16) - 1) - 1
    return torch.bucketize(place, middles).to(torch.uint8).to(device)
