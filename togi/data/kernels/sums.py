"""Sums over buckets: histograms, and a document's log weight as the sum of its n-grams' shares."""

from __future__ import annotations

from numba import float64, int64


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
