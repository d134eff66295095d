"""Four-bit codes back to numbers, compiled for this processor; numba keeps the machine code."""

from __future__ import annotations

import numba
import numpy as np

PARTS = 16  # pieces that the threads share out


@numba.njit(parallel=True, cache=True, error_model="numpy")
def to_float32(codes, scales, levels, size, out):
    """Write levels[code] * scale to out (float32[n]); `size` values share a scale."""
    step = -(-len(scales) // PARTS)
    for part in numba.prange(PARTS):
        table = np.empty(16, np.float32)
        for block in range(part * step, min(len(scales), (part + 1) * step)):
            for k in range(16):
                table[k] = levels[k] * scales[block]
            row = codes[block * size // 2 : (block + 1) * size // 2]
            to = out[block * size : (block + 1) * size]
            for i in range(len(to) // 2):
                to[2 * i] = table[row[i] >> 4]
                to[2 * i + 1] = table[row[i] & 15]
            if len(to) % 2:
                to[len(to) - 1] = table[row[len(to) // 2] >> 4]


@numba.njit(parallel=True, cache=True, error_model="numpy")
def to_bfloat16(codes, scales, levels, size, out):
    """Write the same to out (uint16[n], the bits of bfloat16), rounded to the nearest even."""
    step = -(-len(scales) // PARTS)
    for part in numba.prange(PARTS):
        wide = np.empty(16, np.float32)
        bits = wide.view(np.uint32)
        table = np.empty(16, np.uint16)
        for block in range(part * step, min(len(scales), (part + 1) * step)):
            for k in range(16):
                wide[k] = levels[k] * scales[block]
            for k in range(16):  # the block's 16 values are rounded once, not each of its 64
                table[k] = (bits[k] + 0x7FFF + ((bits[k] >> 16) & 1)) >> 16
            row = codes[block * size // 2 : (block + 1) * size // 2]
            to = out[block * size : (block + 1) * size]
            for i in range(len(to) // 2):
                to[2 * i] = table[row[i] >> 4]
                to[2 * i + 1] = table[row[i] & 15]
            if len(to) % 2:
                to[len(to) - 1] = table[row[len(to) // 2] >> 4]
