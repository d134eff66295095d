"""Strict UTF-8, as Unicode 15, table 3-7, has it."""

from __future__ import annotations

from numba import int64, njit

from togi.data.kernels.lanes import STEP, high_bytes, lowest

jit = njit(error_model="numpy", nogil=True)


@jit
def _continuation(text, i, low, high):
    return low <= text[i] <= high


@jit
def _character_end(text, i, end):
    """Index behind the well-formed UTF-8 character at i (Unicode 15, table 3-7), or -1."""
    lead = text[i]
    if lead < 0x80:
        return i + 1
    size = int64(2) if lead < 0xE0 else (int64(3) if lead < 0xF0 else int64(4))
    if lead < 0xC2 or lead > 0xF4 or i + size > end:
        return int64(-1)
    low, high = int64(0x80), int64(0xBF)  # the second byte's range rules out overlong forms,
    if lead == 0xE0:  # surrogates and what lies beyond U+10FFFF
        low = int64(0xA0)
    elif lead == 0xED:
        high = int64(0x9F)
    elif lead == 0xF0:
        low = int64(0x90)
    elif lead == 0xF4:
        high = int64(0x8F)
    if not _continuation(text, i + 1, low, high):
        return int64(-1)
    for k in range(i + 2, i + size):
        if not _continuation(text, k, 0x80, 0xBF):
            return int64(-1)
    return i + size


@jit
def is_utf8(text, i, end):
    """Whether text[i:end] is well-formed."""
    while i < end:
        if i + STEP <= end:
            high = high_bytes(text, i)
            if not high:
                i += STEP
                continue
            i += lowest(high)
        i = _character_end(text, i, end)
        if i < 0:
            return False
    return True
