"""n-grams of words as 64-bit keys, counted by documents and by occurrences in one hash table.

A key holds 60 bits of the n-gram's hash, its order in bits 0 to 2, and in bit 3 whether it stands
for the first time in its document. Two n-grams share a key by chance about once in 10^18 pairs.
"""

from __future__ import annotations

from numba import int64, njit, uint32, uint64

from togi.data.kernels.hashing import CHAIN, FINAL, _fold, _word_hash
from togi.data.kernels.table import (
    CLASS,
    COUNTS,
    DOCUMENTS,
    FIRST,
    FRESH,
    OCCURRENCES,
    ORDERS,
    WORD,
)
from togi.data.kernels.words import _next_character

jit = njit(error_model="numpy", nogil=True)


@jit
def _is_word(text, start, end, kinds):
    code = int64(text[start])
    if code >= 0x80:
        code, _ = _next_character(text, start, end, False)
    return int64(kinds[code]) & CLASS == WORD


@jit
def _key(state, order):
    mixed = state * uint64(FINAL)
    mixed ^= mixed >> uint64(32)
    return (mixed & ~uint64(15)) | uint64(order)


@jit
def _slot(key, mask):
    return int64(key >> uint64(28)) & mask


@jit
def _is_fresh(key, stamp, seen, stamps, mask):
    """Whether the key is new to the document of that stamp; it is then remembered."""
    place = _slot(key, mask)
    while stamps[place] == stamp:
        if seen[place] == key:
            return False
        place = (place + 1) & mask
    seen[place], stamps[place] = key, stamp
    return True


def ngram_keys(  # noqa: PLR0913
    text, starts, ends, sizes, count, kinds, shortest, longest, chain, stamp, seen, stamps, mask,
    keys, grams, totals,
):  # fmt: skip
    """Write the keys of all n-grams of words; what is no word (punctuation) is passed over.

    Args:
        text: uint8, lower-cased words, eight bytes to spare behind the last.
        starts: int32, where each word starts.
        ends: int32, where it ends.
        sizes: int32[count], words of each document, punctuation included.
        count: documents.
        kinds: uint8[0x110000], classes of characters.
        shortest: shortest n-gram, at least 1.
        longest: longest n-gram, at most 7.
        chain: uint64[8], scratch.
        stamp: a number larger than any that the scratch has seen; document d gets stamp + d.
        seen: uint64[mask + 1], scratch, more than the n-grams of any document.
        stamps: int64[mask + 1], scratch, zeros at first.
        mask: a power of two less one.
        keys: uint64, written: for each word the n-grams that end there, short ones first.
        grams: int64[count], written: n-grams of each document.
        totals: int64[16], added to: occurrences of each order, then documents of each order.

    Returns:
        The number of keys.
    """
    token, written = int64(0), int64(0)
    for document in range(count):
        before, position = written, int64(0)
        for _ in range(sizes[document]):
            start, end = int64(starts[token]), int64(ends[token])
            token += 1
            if not _is_word(text, start, end, kinds):
                continue
            state = _word_hash(text, start, end)
            reach = min(position + 1, longest)
            for order in range(reach, 1, -1):
                chain[order] = _fold(chain[order - 1] * uint64(CHAIN), state)
            chain[1] = state
            for order in range(shortest, reach + 1):
                key = _key(chain[order], order)
                totals[order] += 1
                if _is_fresh(key, stamp + document, seen, stamps, mask):
                    totals[ORDERS + order] += 1
                    key |= uint64(FRESH)
                keys[written] = key
                written += 1
            position += 1
        grams[document] = written - before
    return written


@jit
def _bound(key, sketch, mask):
    first = sketch[int64(key >> uint64(4)) & mask]
    second = sketch[mask + 1 + (int64(key >> uint64(34)) & mask)]
    return min(first, second)


def sketch_keys(keys, count, sketch, mask):
    """Count each key's documents in a count-min sketch of two rows, updated conservatively.

    Args:
        keys: uint64, of which those fresh in their document count.
        count: keys.
        sketch: uint32[2][mask + 1]; the lesser of a key's two cells never lies below its count.
        mask: a power of two less one, below 2^30.
    """
    for i in range(count):
        if keys[i] & uint64(FRESH):
            first = int64(keys[i] >> uint64(4)) & mask
            second = mask + 1 + (int64(keys[i] >> uint64(34)) & mask)
            bound = min(sketch[first], sketch[second])
            if sketch[first] == bound:
                sketch[first] = uint32(bound + 1)
            if sketch[second] == bound:
                sketch[second] = uint32(bound + 1)
    return count


@jit
def _find(key, table, mask):
    """Return the place of the key in the table, or the empty one where it belongs."""
    place = _slot(key, mask)
    while table[place] != uint64(0) and table[place] != key:
        place = (place + 1) & mask
    return place


def tally_keys(  # noqa: PLR0913
    keys, begin, count, ends, first, group, table, rows, mask, state, sketch, width, least
):
    """Add keys to the table, until it has no room for a new one.

    Args:
        keys: uint64, of all documents.
        begin: the key to begin with.
        count: keys.
        ends: int64[documents], the key behind each document's last.
        first: number of the first document, from 1.
        group: 0 or 1, which corpus they are of.
        table: uint64[mask + 1], 0 where empty.
        rows: uint32[mask + 1][6], of both corpora: documents, occurrences, first document.
        mask: a power of two less one.
        state: int64[2], how many places are taken, and how many may be.
        sketch: the sketch of `sketch_keys`, or any array where `least` is 0.
        width: its mask.
        least: keys whose bound in the sketch is less are passed over; 0 takes all.

    Returns:
        The key to go on with when there is more room; `count` if all were added.
    """
    document = int64(0)
    for i in range(begin, count):
        key = keys[i] & ~uint64(FRESH)
        if least and _bound(key, sketch, width) < least:
            continue
        place = _find(key, table, mask)
        if table[place] == uint64(0):
            if state[0] == state[1]:
                return i
            table[place] = key
            state[0] += 1
        row = place * COUNTS
        rows[row + OCCURRENCES + group] += uint32(1)
        if keys[i] != key:
            rows[row + DOCUMENTS + group] += uint32(1)
            if rows[row + FIRST + group] == uint32(0):
                while i >= ends[document]:
                    document += 1
                rows[row + FIRST + group] = uint32(first + document)
    return count


def move_keys(old, old_rows, size, table, rows, mask):
    """Move a table of `size` places into a larger, empty one; return how many keys it holds."""
    moved = int64(0)
    for place in range(size):
        if old[place] != uint64(0):
            new = _find(old[place], table, mask)
            table[new] = old[place]
            for column in range(COUNTS):
                rows[new * COUNTS + column] = old_rows[place * COUNTS + column]
            moved += 1
    return moved
