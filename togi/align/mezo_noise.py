"""The random direction of a MeZO step: never stored, drawn again from its seed wherever needed.

A weight's direction is drawn in blocks, each from a generator of its own that is seeded by the
step's seed, the weight's name and the block's number. So any part of it can be drawn by itself,
in any order and by several threads, and the program's own random state is never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from torch import Tensor

from togi.errors import UsageError, nearest
from togi.stats.rng import derive

BLOCK = 1 << 18
"Numbers that one generator draws: long enough that seeding it costs nothing."


def gaussian(out: Tensor, generator: torch.Generator) -> None:
    """Fill [n] with standard normal numbers."""
    out.normal_(generator=generator)


def rademacher(out: Tensor, generator: torch.Generator) -> None:
    """Fill [n] with signs, eight from each random byte."""
    table = _signs(out.dtype, out.device)
    drawn = torch.empty((len(out) + 7) // 8, dtype=torch.uint8, device=out.device)
    drawn.random_(0, 256, generator=generator)
    out.copy_(table.index_select(0, drawn.int()).view(-1)[: len(out)])


@cache
def _signs(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return [256, 8]: the signs that the bits of each byte mean."""
    bits = torch.arange(256, device=device)[:, None] >> torch.arange(8, device=device) & 1
    return (2 * bits - 1).to(dtype)


DRAWS: dict[str, Callable[[Tensor, torch.Generator], None]] = {
    "gaussian": gaussian,
    "rademacher": rademacher,
}


class Noise:
    """The direction of one step, by the names of the weights.

    Args:
        seed: the step's.
        draw: a key of `DRAWS`; signs have the smaller variance (d instead of d + 2 times the
            squared gradient) and are quicker to draw.
    """

    def __init__(self, seed: int, draw: str = "gaussian") -> None:
        if draw not in DRAWS:
            raise UsageError(
                "unknown draw", where="mezo.draw", found=draw, expected=nearest(draw, DRAWS)
            )
        self.seed, self._fill = seed, DRAWS[draw]

    def block(self, name: str, number: int, out: Tensor) -> Tensor:
        """Fill a block's part [at most BLOCK] of a weight's direction."""
        generator = torch.Generator(out.device)
        generator.manual_seed(derive(self.seed, "mezo", name, number) >> 1)
        self._fill(out, generator)
        return out

    def of(self, name: str, like: Tensor, out: Tensor | None = None) -> Tensor:
        """Return a weight's whole direction, in float32 (float64 for a float64 weight)."""
        z = empty_like(like) if out is None else out
        blocks = z.view(-1).split(BLOCK)
        run_all([lambda i=i, part=part: self.block(name, i, part) for i, part in enumerate(blocks)])
        return z

    def rows(self, name: str, weight: Tensor, first: int, last: int) -> Tensor:
        """Return rows [first, last) of a matrix's direction, as `of` would draw them."""
        width = weight.shape[1]
        start, end = first * width, last * width
        low = start // BLOCK
        whole = [
            empty_like(weight.view(-1)[i * BLOCK : (i + 1) * BLOCK])
            for i in range(low, -(-end // BLOCK))
        ]
        run_all([lambda i=i, z=z: self.block(name, low + i, z) for i, z in enumerate(whole)])
        return torch.cat(whole)[start - low * BLOCK : end - low * BLOCK].view(last - first, width)


def empty_like(weight: Tensor) -> Tensor:
    """Return an empty contiguous tensor of a weight's shape in the type that noise has."""
    wide = torch.promote_types(weight.dtype, torch.float32)
    return torch.empty(weight.shape, dtype=wide, device=weight.device)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="togi-noise")


def run_all(jobs: list[Callable[[], Any]]) -> None:
    """Run jobs, several at once: torch's generators use one thread each and let others run."""
    if len(jobs) == 1:
        jobs[0]()
        return
    for done in [_pool().submit(job) for job in jobs]:
        done.result()


def rounded_at_random(value: Tensor, generator: torch.Generator) -> Tensor:
    """Return float32 numbers as bfloat16, up or down so that the mean is right.

    A bfloat16 weight takes no update smaller than 1/256 of itself if it is rounded to the nearest;
    rounded so, it takes it now and then, in proportion.

    >>> half = torch.full((4096,), 1 + 2**-9)  # half-way between 1 and 1 + 2**-7, from below a half
    >>> found = rounded_at_random(half, torch.Generator().manual_seed(0)).float()
    >>> sorted(set(found.tolist())), abs(found.mean().item() - half[0].item()) < 1e-3
    ([1.0, 1.0078125], True)
    """
    bits = value.contiguous().view(torch.int32)
    low = torch.empty((bits.numel() + 3) // 4, dtype=torch.int64, device=value.device)
    low.random_(-(2**63), None, generator=generator)
    noise = low.view(torch.int16)[: bits.numel()].view(bits.shape).to(torch.int32) & 0xFFFF
    return ((bits + noise) & -65536).view(torch.float32).to(torch.bfloat16)
