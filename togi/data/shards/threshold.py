"""The k largest of any number of keys without sorting or holding them: sixteen bits at a time.

A float's bits, turned so that they order as the floats do, are four digits of base 65,536. The
digit in which the k-th largest key lies follows from a histogram of that digit over all keys, and
then the next one among the keys that share it: at most four looks at eight bytes a key, in
65,536 counters, whatever the number of keys, and the same for any split of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

BITS, LEVELS = 16, 4
TOP = np.uint64(1 << 63)


def ordered(keys: np.ndarray) -> np.ndarray:
    """Return uint64 that order as the float64 keys do; no key may be NaN, -0 counts as 0.

    >>> bits = ordered(np.array([-1.0, 0.0, 2.5]))
    >>> bool((bits[:-1] < bits[1:]).all())
    True
    """
    bits = (keys + 0.0).view(np.uint64)
    return np.where(bits & TOP, ~bits, bits | TOP)


@dataclass(frozen=True, slots=True)
class Digits:
    """The leading digits of keys: how many are known, and their value."""

    known: int = 0
    prefix: int = 0

    def leading(self, bits: np.ndarray) -> np.ndarray:
        """Return the leading digits of ordered keys, as many as are known; 0 where none is."""
        if not self.known:
            return np.zeros(len(bits), np.uint64)
        return bits >> np.uint64(64 - BITS * self.known)

    def next(self, digit: int) -> Digits:
        """Return these digits and one more."""
        return Digits(self.known + 1, self.prefix << BITS | digit)


def histogram(bits: np.ndarray, digits: Digits) -> np.ndarray:
    """Count the next digit of the ordered keys that begin with these digits: int64[65536]."""
    inside = bits[digits.leading(bits) == np.uint64(digits.prefix)]
    shifted = inside >> np.uint64(64 - BITS * (digits.known + 1))
    digit = (shifted & np.uint64((1 << BITS) - 1)).astype(np.int64)
    return np.bincount(digit, minlength=1 << BITS)


def find(k: int, count: Callable[[Digits], np.ndarray]) -> tuple[Digits, int]:
    """Find the k largest keys: those above some leading digits, and some of those that begin so.

    Args:
        k: at least 1 and at most the number of keys.
        count: gives the histogram of the next digit after some leading ones, over all keys.

    Returns:
        The digits, and how many of the keys that begin with them belong to the k largest: all of
        them, unless all four digits are known and several keys are equal.

    >>> keys = ordered(np.array([3.0, 1.0, 2.0, 2.0]))
    >>> digits, equal = find(2, lambda known: histogram(keys, known))
    >>> int((digits.leading(keys) > digits.prefix).sum()), equal
    (1, 1)
    """
    digits, left = Digits(), k
    while True:
        counts = count(digits)
        above = np.cumsum(counts[::-1])  # keys with this next digit or a greater one
        place = int(np.searchsorted(above, left))
        left -= int(above[place - 1]) if place else 0
        digits = digits.next((1 << BITS) - 1 - place)
        here = int(counts[(1 << BITS) - 1 - place])
        if here == left or digits.known == LEVELS:
            return digits, left
