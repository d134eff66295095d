"""Sums over buckets: histograms, and a document's log weight as the sum of its n-grams' shares."""

from __future__ import annotations

from numba import float64, int64, uint64

from togi.data.kernels.table import FACTORS

MIX1, MIX2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def count_buckets(indices, count, counts):
    """Add one to counts[b] for each of the `count` buckets b; return `count`."""
    for i in range(count):
        counts[indices[i]] += 1
    return count


def gather(indices, sizes, count, values, sums):
    """Write sums[d], the sum of values[b] over document d's buckets b, in their order.

    Args:
        indices: uint16 or uint32, the buckets of all documents, one document after another.
        sizes: int64[count], buckets of each document.
        count: documents.
        values: float64[m].
        sums: float64[count], written.

    Returns:
        The number of buckets read.
    """
    i = int64(0)
    for document in range(count):
        total = float64(0.0)
        for _ in range(sizes[document]):
            total += values[indices[i]]
            i += 1
        sums[document] = total
    return i


def count_picked(indices, sizes, count, picked, counts):
    """Add the buckets of the documents with picked[d] != 0 to `counts` (int64[m])."""
    i = int64(0)
    for document in range(count):
        if picked[document]:
            for k in range(i, i + sizes[document]):
                counts[indices[k]] += 1
        i += sizes[document]
    return i


def fingerprints(buckets, sizes, count, factors, prints):
    """Write a 64-bit hash of each document's buckets in their order: the same for the same words.

    Multilinear over pieces of FACTORS buckets (a sum of products with random factors, which
    processors take several at a time), the pieces chained by splitmix64's mixing.

    Args:
        buckets: uint32, the buckets of all documents, one document after another.
        sizes: int64[count], buckets of each document.
        count: documents.
        factors: uint64[FACTORS], random and odd.
        prints: uint64[count], written.

    Returns:
        The number of buckets read.
    """
    i = int64(0)
    for document in range(count):
        left = int64(sizes[document])
        state = uint64(left)
        while left > 0:
            piece = min(left, int64(FACTORS))
            total = uint64(0)
            for k in range(piece):
                total += (uint64(buckets[i + k]) + uint64(1)) * factors[k]
            state = (state ^ total) * uint64(MIX1)
            state = (state ^ (state >> uint64(29))) * uint64(MIX2)
            state ^= state >> uint64(32)
            i += piece
            left -= piece
        prints[document] = state
    return i
