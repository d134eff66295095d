"""MinHash of sets of 32-bit hashes, and the pass that keeps the first of all near sets."""

from __future__ import annotations

from numba import float64, int32, int64, njit, uint32

from togi.data.kernels.machine import least_values, offset4
from togi.data.kernels.table import PERMUTATIONS

MIX1, MIX2 = 0x85EBCA6B, 0xC2B2AE35

jit = njit(error_model="numpy", nogil=True)


@jit
def _mixed(value):
    """MurmurHash3's finaliser: a permutation of 32 bits in which each bit moves all others."""
    value = uint32(uint32(value ^ (value >> uint32(16))) * uint32(MIX1))
    value = uint32(uint32(value ^ (value >> uint32(13))) * uint32(MIX2))
    return uint32(value ^ (value >> uint32(16)))


def minhash(hashes, sizes, count, factors, minima):
    """Write each set's least value under each of PERMUTATIONS permutations of 32 bits.

    A permutation is x -> a mix(x) + b modulo 2^32 with an odd a.

    Args:
        hashes: uint32, the sets' members, one set after another.
        sizes: int64[count], members of each set.
        count: sets.
        factors: uint32[2 * PERMUTATIONS], all a and then all b.
        minima: uint32[count * PERMUTATIONS], written; an empty set's are 2^32 - 1.

    Returns:
        The number of members read.
    """
    i = int64(0)
    for place in range(count):
        row = offset4(minima, int64(place * PERMUTATIONS))
        least_values(offset4(hashes, i), int64(sizes[place]), factors, row)
        i += sizes[place]
    return i


def band_keys(minima, count, bands, rows, keys):
    """Write a key for each band of each set's minima: equal bands have equal keys.

    Args:
        minima: uint32[count * PERMUTATIONS].
        count: sets.
        bands: how many; bands * rows is at most PERMUTATIONS.
        rows: minima of a band.
        keys: uint32[bands * count], written, one band after another.

    Returns:
        The number of keys.
    """
    for place in range(count):
        for band in range(bands):
            key = uint32(band + 1)
            start = place * PERMUTATIONS + band * rows
            for row in range(rows):
                key = _mixed(uint32(uint32(key * uint32(MIX1)) ^ minima[start + row]))
            keys[band * count + place] = key
    return int64(bands * count)


@jit
def _both(hashes, one, one_end, other, other_end):
    """Members of two sorted sets' intersection."""
    both = int64(0)
    while one < one_end and other < other_end:
        left, right = hashes[one], hashes[other]
        both += int64(left == right)
        one += int64(left <= right)
        other += int64(right <= left)
    return both


@jit
def _similarity(hashes, offsets, one, other, least):
    """Jaccard index of two sets; 0 where their sizes already say that it is below `least`."""
    n, m = offsets[one + 1] - offsets[one], offsets[other + 1] - offsets[other]
    if float64(min(n, m)) < least * float64(max(n, m)):
        return float64(0.0)
    both = _both(hashes, offsets[one], offsets[one + 1], offsets[other], offsets[other + 1])
    return float64(both) / float64(n + m - both)


def keep_first(  # noqa: PLR0913
    hashes, offsets, count, groups, bounds, heads, links, stamps, least, nearest, similarity
):
    """Go through sets in their order and keep each one that is near to none that is kept.

    Args:
        hashes: uint32, sorted members of each set, one set after another.
        offsets: int64[count + 1], where each set begins.
        count: sets.
        groups: int32, of each set the groups (sets with an equal band) that it is in.
        bounds: int64[count + 1], where each set's groups begin.
        heads: int32[number of groups], -1; scratch: the last kept entry of each group.
        links: int32[2 * len(groups)], scratch: of an entry its set, and the entry before it.
        stamps: int32[count], -1; scratch: the set with which each was compared last.
        least: Jaccard index from which on two sets are near.
        nearest: int32[count], written: the most similar kept set (the first of equals), or -1.
        similarity: float64[count], written: how similar, 0 where none is near.

    Returns:
        The number of comparisons.
    """
    compared = int64(0)
    for place in range(count):
        best, found = float64(0.0), int32(-1)
        for entry in range(bounds[place], bounds[place + 1]):
            link = heads[groups[entry]]
            while link >= 0:
                other = links[2 * link]
                if stamps[other] != place:
                    stamps[other] = int32(place)
                    compared += 1
                    share = _similarity(hashes, offsets, place, int64(other), least)
                    if share > best or (share == best and other < found):
                        best, found = share, other
                link = links[2 * link + 1]
        if best >= least:
            nearest[place], similarity[place] = found, best
            continue
        nearest[place], similarity[place] = int32(-1), float64(0.0)
        for entry in range(bounds[place], bounds[place + 1]):
            links[2 * entry] = int32(place)
            links[2 * entry + 1] = heads[groups[entry]]
            heads[groups[entry]] = int32(entry)
    return compared
